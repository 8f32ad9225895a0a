"""What a figure was measured from: where that changes the figure is measured again, and the summary tells all of it."""

import json
import wave
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vivace.errors import VivaceError
from vivace.evaluation.metric import ItemMetric, Sample
from vivace.evaluation.suites.making import ModelRun
from vivace.evaluation.suites.run import evaluate_suite
from vivace.evaluation.suites.suite import Suite, SuiteItem
from vivace.media import Clip, write_clip

RATE = 8000


def a_clip(seed: int = 0) -> Clip:
    rng = np.random.default_rng(seed)
    sound = (0.1 * rng.normal(size=(1, RATE))).astype(np.float32)
    return Clip(np.full((12, 32, 32, 3), 90, np.uint8), Fraction(12), sound, RATE)


def write_sound(path: Path, *levels: float) -> Path:
    """A second of each level."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.repeat([round(32000 * level) for level in levels], RATE).astype("<i2").tobytes())
    return path


def counting(name: str, calls: list[str], *reads: str) -> ItemMetric:
    """A metric that notes when it is measured; its value is the first reference's length, or peak."""

    def measure(sample: Sample) -> list[float]:
        calls.append(name)
        found = sample.refs[reads[0]] if reads else sample.prompt
        if isinstance(found, Clip):
            assert found.audio is not None
            return [float(found.audio.max()), 1.0]
        return [float(len(found)), 1.0]

    return ItemMetric(name, measure, requires=[f"ref:{read}" for read in reads])


@pytest.fixture
def asked(tmp_path: Path) -> SuiteItem:
    write_clip(tmp_path / "x.mp4", a_clip())
    sound = write_sound(tmp_path / "true.wav", 0.25)
    (tmp_path / "faces.json").write_text('[{"first": 0, "boxes": [[1, 2, 9, 12]]}]')
    return SuiteItem(
        "x",
        "g",
        "a train",
        seed=4,
        texts={"said": "two"},
        files={"sound": sound, "face_tracks": tmp_path / "faces.json"},
    )


def a_suite(*items: SuiteItem) -> Suite:
    return Suite("toy", "toy-1", "A toy.", items)


def run(item: SuiteItem, folder: Path, metrics: list[ItemMetric], **more: Any) -> dict[str, Any]:
    return evaluate_suite(a_suite(item), folder / "out", metrics, clips={"x": folder / "x.mp4"}, **more)


def test_what_has_changed_is_measured_again_and_nothing_else(asked: SuiteItem, tmp_path: Path) -> None:
    calls: list[str] = []
    names = ("said", "sound", "face_tracks")
    metrics = [counting(f"of {name}", calls, name) for name in names] + [counting("alone", calls)]

    def values(item: SuiteItem) -> list[float]:
        calls.clear()
        scores = run(item, tmp_path, metrics)["groups"]["all"]["clips"]
        return [round(scores[metric.name]["value"], 2) for metric in metrics]

    assert values(asked) == [3, 0.24, 1, 7]
    assert values(asked) == [3, 0.24, 1, 7]
    assert not calls
    write_sound(tmp_path / "true.wav", 0.5)
    assert values(asked) == [3, 0.49, 1, 7]
    assert calls == ["of sound"]
    (tmp_path / "faces.json").write_text(
        '[{"first": 0, "boxes": [[1, 2, 9, 12]]}, {"first": 2, "boxes": [[1, 2, 9, 9]]}]'
    )
    assert values(asked) == [3, 0.49, 2, 7]
    assert calls == ["of face_tracks"]
    # Words are read by metrics that do not name them: of other words everything is due.
    assert values(replace(asked, texts={"said": "three"})) == [5, 0.49, 2, 7]
    assert len(calls) == 4
    metrics[3].weights = "ab" * 32
    values(replace(asked, texts={"said": "three"}))
    assert calls == ["alone"]
    rows = [json.loads(line) for line in (tmp_path / "out" / "items.jsonl").read_text().splitlines()]
    assert rows[-1]["metrics"]["alone"]["weights"] == "ab" * 32
    assert set(rows[-1]["given"]) == {"words", "sound", "face_tracks"}


def test_lines_that_do_not_tell_what_they_were_judged_by_are_not_believed(asked: SuiteItem, tmp_path: Path) -> None:
    calls: list[str] = []
    run(asked, tmp_path, [counting("alone", calls)])
    lines = tmp_path / "out" / "items.jsonl"
    row = json.loads(lines.read_text())
    row.pop("given")
    lines.write_text(json.dumps(row) + "\n")
    run(asked, tmp_path, [counting("alone", calls)])
    assert calls == ["alone", "alone"]


def test_other_detectors_are_another_run(asked: SuiteItem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(asked, tmp_path, [counting("alone", [])])
    monkeypatch.setattr("vivace.evaluation.suites.run.fingerprint", lambda: "other")
    with pytest.raises(VivaceError, match="another run"):
        run(asked, tmp_path, [counting("alone", [])])


def test_the_summary_tells_what_it_was_made_of(asked: SuiteItem, tmp_path: Path) -> None:
    metric = counting("alone", [])
    metric.weights = "cd" * 32
    first = run(asked, tmp_path, [metric, counting("said", [], "said")], command="vivace evaluate toy")
    assert first["command"] == "vivace evaluate toy"
    assert first["weights"] == {"alone": "cd" * 32}
    assert first["seeds"] == {"first": 4, "last": 4, "different": 1}
    assert (first["protocol"], len(first["perception"])) == ("toy-1", 16)
    stored = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert stored == first
    words = run(replace(asked, prompt="a ship"), tmp_path, [metric])
    write_sound(tmp_path / "true.wav", 0.5)
    sound = run(replace(asked, prompt="a ship"), tmp_path, [metric])
    hashes = [(summary["prompts_sha256"], summary["references_sha256"]) for summary in (first, words, sound)]
    assert hashes[0][0] != hashes[1][0] == hashes[2][0]
    assert hashes[0][1] == hashes[1][1] != hashes[2][1]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "cd" * 32 in page


class Maker:
    """Makes a clip of every item, and would refuse long prompts, told beforehand."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def __call__(self, items: Sequence[SuiteItem]) -> list[Clip]:
        self.made += [item.prompt for item in items]
        return [a_clip(item.seed) for item in items]

    def check(self, item: SuiteItem) -> None:
        if len(item.prompt) > 10:
            raise VivaceError("The prompt is too long; shorten it.")

    def run(self) -> ModelRun:
        return ModelRun(self, "toy model", "0" * 64, {}, check=self.check)


def test_a_clip_of_another_prompt_is_made_anew(tmp_path: Path) -> None:
    maker, metrics = Maker(), [counting("alone", [])]
    for prompt in ("a train", "a train", "a ship"):
        evaluate_suite(a_suite(SuiteItem("x", "g", prompt)), tmp_path, metrics, model=maker.run())
    assert maker.made == ["a train", "a ship"]


def test_what_a_model_would_refuse_is_told_before_anything_is_made(tmp_path: Path) -> None:
    maker, metrics = Maker(), [counting("alone", [])]
    suite = a_suite(SuiteItem("a", "g", "a train"), SuiteItem("b", "g", "a very long train"))
    with pytest.raises(VivaceError, match=r"1 of 2 prompts would be refused \(b; .*too long; shorten it\), so nothing"):
        evaluate_suite(suite, tmp_path, metrics, model=maker.run())
    assert not maker.made
    summary = evaluate_suite(suite, tmp_path, metrics, model=maker.run(), allow_missing=True)
    assert maker.made == ["a train"]
    assert summary["counted"]["failed"] == {"b": "The prompt is too long; shorten it."}


def test_a_reference_that_cannot_be_read_ends_no_run(asked: SuiteItem, tmp_path: Path) -> None:
    write_clip(tmp_path / "y.mp4", a_clip(1))
    (tmp_path / "bad.wav").write_bytes(b"no sound at all")
    write_sound(tmp_path / "empty.wav")
    bad = replace(asked, id="bad", files={**asked.files, "sound": tmp_path / "bad.wav"})
    gone = replace(asked, id="gone", files={"sound": tmp_path / "gone.wav"})
    empty = replace(asked, id="empty", files={"sound": tmp_path / "empty.wav"})
    items = (asked, bad, gone, empty)
    calls: list[str] = []
    metrics = [counting("of sound", calls, "sound"), counting("of faces", calls, "face_tracks")]

    def summary() -> dict[str, Any]:
        clips = {item.id: tmp_path / ("x.mp4" if item is asked else "y.mp4") for item in items}
        return evaluate_suite(a_suite(*items), tmp_path / "out", metrics, clips=clips)

    found = summary()
    score = found["groups"]["all"]["clips"]["of sound"]
    assert (score["n"], score["n_undefined"]) == (1, 3)
    assert score["reasons"] == {"the given sound cannot be read": 3}
    assert found["groups"]["all"]["clips"]["of faces"]["n"] == 2  # the other reference of "bad" is whole
    assert sorted(found["counted"]["broken_references"]) == ["bad", "empty", "gone"]
    assert "does not exist" in found["counted"]["broken_references"]["gone"]
    assert summary() == found
    told = (tmp_path / "out" / "summary.md").read_text()
    assert "with a reference that cannot be read 3" in told
    assert "## Broken references" in told
    write_sound(tmp_path / "bad.wav", 0.5)
    mended = summary()
    assert mended["groups"]["all"]["clips"]["of sound"]["n"] == 2
    assert sorted(mended["counted"]["broken_references"]) == ["empty", "gone"]


def test_of_a_clip_an_hour_long_the_first_minute_counts(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "long.wav", *([0.25] * 60), *([0.75] * 60))
    with path.open("r+b") as file:
        size = 44 + 3600 * 2 * RATE
        file.truncate(size)  # silence to the end, which takes no room
        for place, value in ((4, size - 8), (40, size - 44)):
            file.seek(place)
            file.write(value.to_bytes(4, "little"))

    def measure(sample: Sample) -> list[float]:
        assert sample.clip is not None
        assert sample.clip.audio is not None
        return [float(sample.clip.audio.max()), float(sample.clip.seconds)]

    suite = a_suite(SuiteItem("long", "g", ""), SuiteItem("short", "g", ""))
    clips = {"long": path, "short": write_sound(tmp_path / "short.wav", 0.5)}
    metric = ItemMetric("peak", measure, requires=("sound",))
    summary = evaluate_suite(suite, tmp_path / "out", [metric], clips=clips)
    assert summary["counted"]["cut"] == ["long"]
    rows = {row["id"]: row for row in map(json.loads, (tmp_path / "out" / "items.jsonl").read_text().splitlines())}
    assert rows["long"]["metrics"]["peak"]["record"] == pytest.approx([0.25, 60.0], rel=0.05)
    assert rows["long"]["notes"] == {"cut": "to 60 s"}
    assert "cut 1" in (tmp_path / "out" / "summary.md").read_text()
