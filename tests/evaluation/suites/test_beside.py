"""What a suite's figures are held against: the floor of swapped sound, and true clips where they are given."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vivace.cli.main import main
from vivace.evaluation.av_align import av_align_metrics
from vivace.evaluation.metric import ItemMetric, Sample, once_per_sample
from vivace.evaluation.prompts import true_clip, world_items
from vivace.evaluation.suites.beside import ALONE, partners
from vivace.evaluation.suites.folder import folder_suite
from vivace.evaluation.suites.run import evaluate_suite
from vivace.evaluation.suites.suite import Column, Suite, SuiteItem
from vivace.media import Clip, write_clip

RATE = 16000
NO_TRUTH = "no true clips are given"


def a_clip(level: int, frames: int = 12) -> Clip:
    """A picture of a brightness, and a tone as loud: sides that belong together."""
    tone = np.sin(2.0 * np.pi * 440.0 / RATE * np.arange(frames * RATE // 24))
    sound = (level / 256 * tone[None]).astype(np.float32)
    return Clip(np.full((frames, 32, 32, 3), level, np.uint8), Fraction(24), sound, RATE)


def loudness(sample: Sample) -> float:
    """The tone's amplitude, 0 to 1, by the median, as a codec changes its ends."""
    assert sample.clip is not None
    assert sample.clip.audio is not None
    return float(np.median(np.abs(sample.clip.audio)) * np.sqrt(2.0))


def gap(calls: list[str] | None = None) -> ItemMetric:
    """How far brightness and loudness are apart, of 256; notes the lengths of both sides in `calls`."""

    def measure(sample: Sample) -> list[float]:
        assert sample.clip is not None
        assert sample.clip.frames is not None
        assert sample.clip.audio is not None
        if calls is not None:
            calls.append(f"{sample.id}: {len(sample.clip.frames)}, {sample.clip.audio.shape[1]}")
        return [abs(float(sample.clip.frames.mean()) - 256.0 * loudness(sample)), 1.0]

    return ItemMetric("gap", measure, requires=("pictures", "sound"), direction="lower")


def loud() -> ItemMetric:
    return ItemMetric("loud", lambda sample: [loudness(sample), 1.0], requires=("sound",))


def write_all(folder: Path, clips: dict[str, Clip]) -> dict[str, Path]:
    folder.mkdir(exist_ok=True)
    for name, clip in clips.items():
        write_clip(folder / f"{name}.wav" if clip.frames is None else folder / f"{name}.mp4", clip)
    return {path.stem: path for path in sorted(folder.iterdir())}


def a_suite(*ids: str, **fields: Any) -> Suite:
    return Suite("toy", "toy-1", "A toy.", tuple(SuiteItem(name, name[0], "") for name in ids), **fields)


def test_av_align_of_swapped_sound_lies_below_that_of_true_clips(tmp_path: Path) -> None:
    items = [item for item in world_items("val", 6, height=64, width=64, hand=False, camera=False) if item.scene]
    clips = write_all(tmp_path / "clips", {f"c{n}": true_clip(item) for n, item in enumerate(items[:5])})
    summary = evaluate_suite(a_suite(*clips), tmp_path / "out", av_align_metrics(), clips=clips)
    scores = summary["groups"]["all"]
    assert set(scores["clips"]) == set(scores["floor"])
    for name, score in scores["clips"].items():
        assert score["n"] == scores["floor"][name]["n"] == 5
        assert scores["floor"][name]["value"] < score["value"] - 0.1
    told, page = ((tmp_path / "out" / name).read_text() for name in ("summary.md", "report.html"))
    assert f"· floor {scores['floor']['av_align_own_code']['value']:.3f} n 5 |" in told
    assert "with the sound of the next one of its part" in told
    assert "with the sound of the next one of its part" in page
    assert f"floor {scores['floor']['av_align_own_code']['value']:.2f}" in page
    assert told.count(NO_TRUTH) == 1


def test_a_clip_gets_the_sound_of_the_next_one_of_its_part_and_both_are_cut(tmp_path: Path) -> None:
    suite = a_suite("a1", "b1", "a2", "a3", "b2", "c1", "a4")
    there = dict.fromkeys(("a1", "b1", "a2", "a4", "b2", "c1"), tmp_path)
    assert partners(suite.items, there) == {"a1": "a2", "a2": "a4", "a4": "a1", "b1": "b2", "b2": "b1"}
    calls: list[str] = []
    clips = write_all(tmp_path / "clips", {"a1": a_clip(64, 12), "a2": a_clip(128, 24)})
    summary = evaluate_suite(a_suite("a1", "a2"), tmp_path / "out", [gap(calls), loud()], clips=clips)
    half, whole = RATE // 2, RATE
    assert calls == [f"a1: 12, {half}", f"a2: 24, {whole}", f"a1: 12, {half}", f"a2: 12, {half}"]
    scores = summary["groups"]["all"]
    assert scores["clips"]["gap"]["value"] < 5.0
    assert scores["floor"]["gap"]["value"] == pytest.approx(64.0, abs=5.0)
    assert "loud" not in scores["floor"]


def test_the_floor_is_measured_once(tmp_path: Path) -> None:
    calls: list[str] = []
    clips = write_all(tmp_path / "clips", {name: a_clip(60 * n) for n, name in enumerate(("a1", "a2", "a3"), 1)})
    suite, out = a_suite(*clips), tmp_path / "out"
    first = evaluate_suite(suite, out, [gap(calls)], clips=clips)
    assert len(calls) == 6
    assert evaluate_suite(suite, out, [gap(calls)], clips=clips)["groups"] == first["groups"]
    assert len(calls) == 6
    assert len((out / "floor" / "items.jsonl").read_text().splitlines()) == 3
    write_clip(clips["a2"], a_clip(200))
    changed = evaluate_suite(suite, out, [gap(calls)], clips=clips)
    # The clip, its pictures with another sound, and its sound under other pictures.
    assert sorted(call.split(":")[0] for call in calls[6:]) == ["a1", "a2", "a2"]
    assert changed["groups"]["all"]["floor"] != first["groups"]["all"]["floor"]


def test_a_clip_alone_has_no_floor(tmp_path: Path) -> None:
    calls: list[str] = []
    clips = write_all(tmp_path / "clips", {"a1": a_clip(64)})
    summary = evaluate_suite(a_suite("a1"), tmp_path / "out", [gap(calls)], clips=clips)
    floor = summary["groups"]["all"]["floor"]["gap"]
    assert (floor["value"], floor["n"], floor["reasons"]) == (None, 0, {ALONE: 1})
    assert len(calls) == 1
    assert "· floor" not in (tmp_path / "out" / "summary.md").read_text()


def test_clips_without_one_side_are_counted_in_the_floor(tmp_path: Path) -> None:
    whole = a_clip(64)
    mute = Clip(whole.frames, whole.fps, None, RATE)
    blind = Clip(None, whole.fps, whole.audio, RATE)
    clips = write_all(tmp_path / "clips", {"a1": whole, "a2": mute, "a3": blind, "a4": whole})
    (tmp_path / "clips" / "a5.mp4").write_bytes(b"no clip at all")
    clips["a5"] = tmp_path / "clips" / "a5.mp4"
    summary = evaluate_suite(a_suite(*clips), tmp_path / "out", [gap()], clips=clips)
    floor = summary["groups"]["all"]["floor"]["gap"]
    # The mute clip gets the sound of the blind one.
    assert (floor["n"], floor["reasons"]) == (1, {"no sound": 1, "no picture": 1, "the clip cannot be read": 2})


def test_networks_leave_the_floor_out_where_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def network() -> ItemMetric:
        metric = ItemMetric("judged", lambda sample: [0.5, 1.0], requires=("pictures", "sound"))
        metric.weights = "ab" * 32
        return metric

    monkeypatch.setattr("vivace.evaluation.published.published_metrics", lambda named: ([network()], []))
    write_all(tmp_path / "clips", {"a1": a_clip(64), "a2": a_clip(128)})
    command = ["evaluate", "clips", "--clips", str(tmp_path / "clips"), "--output", str(tmp_path / "out"), "--json"]
    floors = []
    for more in ([], ["--no-floor"]):
        assert main([*command, *more]) == 0
        floors.append(json.loads(capsys.readouterr().out.strip().splitlines()[-1])["beside"]["floor"])
    assert floors[0]["judged"] == {"value": 0.5, "n": 2}
    assert "judged" not in floors[1]
    assert "env_sync_c" in floors[0].keys() & floors[1].keys()
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["command"].endswith("--no-floor")
    assert "--no-floor" in summary["beside"]["floor"]


def test_true_clips_are_measured_as_if_they_were_made(tmp_path: Path) -> None:
    clips = write_all(tmp_path / "clips", {"a1": a_clip(40), "a2": a_clip(80), "a3": a_clip(80)})
    write_all(
        tmp_path / "truth",
        {"a1": a_clip(120), "silent": a_clip(0), "sound": Clip(None, Fraction(24), a_clip(100).audio, RATE)},
    )
    rows = [
        {"id": "a1", "video": "truth/a1.mp4"},
        {"id": "a2", "video": "truth/silent.mp4", "sound": "truth/sound.wav"},
        {"id": "a3"},
    ]
    manifest = tmp_path / "asked.jsonl"
    manifest.write_text("\n".join(map(json.dumps, rows)))
    suite, _ = folder_suite(tmp_path / "clips", manifest)
    calls: list[str] = []
    against = ItemMetric("against", lambda sample: [1.0, 1.0], requires=("sound", "ref:sound"))
    metrics = [gap(calls), loud(), against]
    summary = evaluate_suite(suite, tmp_path / "out", metrics, clips=clips)
    truth = summary["groups"]["all"]["truth"]
    assert list(truth) == ["gap", "loud"]  # a true clip against itself tells nothing
    assert truth["loud"]["value"] == pytest.approx((120 + 100) / 2 / 256, abs=0.02)
    # The second has the pictures of one file and the sound of another.
    assert truth["gap"]["value"] == pytest.approx((0 + 100) / 2, abs=5.0)
    assert truth["gap"]["n"] == 2
    told = (tmp_path / "out" / "summary.md").read_text()
    assert "of 2 of 3 items" in told
    assert f"· truth {truth['loud']['value']:.3f} n 2" in told
    measured = len(calls)
    assert evaluate_suite(suite, tmp_path / "out", metrics, clips=clips)["groups"] == summary["groups"]
    assert len(calls) == measured == 8


def test_recordings_stand_beside_the_figures_of_sound_alone(tmp_path: Path) -> None:
    sounds = {f"a{n}": Clip(None, Fraction(24), a_clip(level).audio, RATE) for n, level in enumerate((64, 128), 1)}
    clips, true = write_all(tmp_path / "clips", sounds), write_all(tmp_path / "true", {"a1": sounds["a2"]})
    items = (SuiteItem("a1", "a", "", tags=("taste",), files={"sound": true["a1"]}), SuiteItem("a2", "a", ""))
    columns = (Column("WER", "loud"), Column("of sets", "loud", pooling="sets"))
    suite = Suite("toy", "toy-1", "", items, columns=columns, dimensions={"taste": ("loud",)}, sides="audio")
    summary = evaluate_suite(suite, tmp_path / "out", [loud(), gap()], clips=clips)
    for figure in (*summary["columns"].values(), summary["dimensions"]["taste"]["proxies"]["loud"]):
        assert figure["beside"] == {"truth": {"value": pytest.approx(0.5, abs=0.01), "n": 1}}
    assert "floor" not in summary["groups"]["all"]
    told, page = ((tmp_path / "out" / name).read_text() for name in ("summary.md", "report.html"))
    assert told.count("sound alone is not compared with pictures") == 1
    assert told.count("· truth 0.500 n 1") == 4
    assert page.count("· truth 0.500 n 1") == 3


def test_what_is_found_once_is_found_anew_for_another_sample_of_the_same_id() -> None:
    calls: list[str] = []

    @once_per_sample
    def find(sample: Sample) -> str:
        calls.append(sample.prompt)
        return sample.prompt

    made, true = Sample("x", prompt="made"), Sample("x", prompt="true")
    assert [find(made), find(made), find(true)] == ["made", "made", "true"]
    assert calls == ["made", "true"]
