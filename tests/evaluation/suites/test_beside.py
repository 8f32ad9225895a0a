"""What a suite's figures are held against: the floor of swapped sound, and true clips where they are given."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vivace.cli.main import main
from vivace.errors import VivaceError
from vivace.evaluation.av_align import av_align_metrics
from vivace.evaluation.comparing import compare, read_subjects
from vivace.evaluation.metric import ItemMetric, Sample, once_per_sample
from vivace.evaluation.prompts import true_clip, world_items
from vivace.evaluation.report.comparison_report import write_comparison
from vivace.evaluation.seeds import seeded
from vivace.evaluation.suites.beside import ALONE, partners
from vivace.evaluation.suites.folder import folder_suite
from vivace.evaluation.suites.making import ModelRun
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


def with_truth(folder: Path, levels: dict[str, int]) -> tuple[Suite, dict[str, Path]]:
    """Clips of one brightness whose true ones are a third brighter, and whose sounds belong to them."""
    clips = write_all(folder / "clips", {name: a_clip(level) for name, level in levels.items()})
    true = write_all(folder / "true", {name: a_clip(level * 4 // 3) for name, level in levels.items()})
    items = tuple(SuiteItem(name, name[0], f"prompt {name}", files={"video": true[name]}) for name in levels)
    return Suite("toy", "toy-1", "A toy.", items), clips


def test_a_run_is_compared_with_its_truth_and_its_floor(tmp_path: Path) -> None:
    suite, clips = with_truth(tmp_path, {f"a{n}": 15 * n for n in range(1, 7)})
    out = tmp_path / "out"
    evaluate_suite(suite, out, [loud(), gap()], clips=clips)
    found = compare(read_subjects([str(out), f"{out}@truth"]), metrics=["loud"])
    (entry,) = found.differences
    assert (entry.first, entry.second, entry.paired.n) == ("clips", "truth", 6)
    assert entry.paired.mean == pytest.approx(-np.mean([15 * n / 3 / 256 for n in range(1, 7)]), abs=0.01)
    assert entry.better == "truth"
    (floor,) = compare(read_subjects([str(out), f"{out}@floor"]), metrics=["gap"]).differences
    assert floor.paired.mean < -15
    assert floor.better == "clips"
    # The page shows nothing of the made clips as if it were true.
    write_comparison(tmp_path / "comparison", found)
    assert "<h4>truth" not in (tmp_path / "comparison" / "comparison.html").read_text()


def test_a_condition_that_a_run_lacks_is_told_with_its_reason(tmp_path: Path) -> None:
    clips = write_all(tmp_path / "clips", {"a1": a_clip(64), "a2": a_clip(128)})
    out = tmp_path / "out"
    evaluate_suite(a_suite("a1", "a2"), out, [gap()], clips=clips)
    for condition, reason in (
        ("truth", "no true clips are given"), ("ceiling", "not put through codecs"), ("dreams", "'dreams'; use one of"),
    ):  # fmt: skip
        with pytest.raises(VivaceError, match=reason) as error:
            read_subjects([str(out), f"{out}@{condition}"])
        assert "use one of clips, floor" in str(error.value)


def test_the_console_shows_floor_and_truth_beside_the_clips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    write_all(tmp_path / "clips", {f"a{n}": a_clip(60 * n) for n in (1, 2)})
    write_all(tmp_path / "true", {f"a{n}": a_clip(80 * n) for n in (1, 2)})
    manifest = tmp_path / "asked.jsonl"
    manifest.write_text("\n".join(json.dumps({"id": f"a{n}", "video": f"true/a{n}.mp4"}) for n in (1, 2)))
    out = tmp_path / "out"
    command = ["evaluate", "clips", "--clips", str(tmp_path / "clips"), "--manifest", str(manifest)]
    assert main([*command, "--output", str(out)]) == 0
    told = capsys.readouterr().out
    scores = json.loads((out / "summary.json").read_text())["groups"]["all"]
    (loudest,) = [line for line in told.splitlines() if "sound_true_peak " in line]
    assert f"· truth {scores['truth']['sound_true_peak']['value']:.3f} n 2" in loudest
    assert "· floor" not in loudest
    both = [
        name for name, score in scores["floor"].items() if None not in (score["value"], scores["truth"][name]["value"])
    ]
    assert both
    for name in both:
        (line,) = [line for line in told.splitlines() if f" {name} " in line]
        assert f"· truth {scores['truth'][name]['value']:.3f}" in line
        assert f"· floor {scores['floor'][name]['value']:.3f}" in line


def test_seeds_of_a_prompt_share_its_truth(tmp_path: Path) -> None:
    suite, _ = with_truth(tmp_path, {"a1": 45, "a2": 60})
    made: list[str] = []

    def make(items: Any) -> list[Clip]:
        made.extend(item.id for item in items)
        return [a_clip(40 + 20 * item.seed) for item in items]

    model = ModelRun(make, "toy model", "0" * 64, {"seconds": 0.5})
    out = tmp_path / "out"
    evaluate_suite(suite, out, [loud()], model=model)
    suite = replace(suite, items=seeded(suite.items, 3))
    summary = evaluate_suite(suite, out, [loud()], model=model)
    assert made == [item.id for item in suite.items]  # each once, the first ones by the run before
    assert (out / "clips" / "a2~seed2.mp4").is_file()
    scores = summary["groups"]["all"]
    assert (scores["model"]["loud"]["n"], scores["model"]["loud"]["seeds"]) == (2, 3)
    assert scores["model"]["loud"]["value"] == pytest.approx(60 / 256, abs=0.01)
    assert (scores["truth"]["loud"]["n"], "seeds" in scores["truth"]["loud"]) == (2, False)
    assert (summary["n_items"], summary["n_clips"], summary["seeds"]["each_prompt"]) == (2, 6, 3)
    told = (out / "summary.md").read_text()
    assert "Items 2 x 3:" in told
    assert "n 2 x 3 · truth" in told
    (entry,) = compare(read_subjects([str(out), f"{out}@truth"]), metrics=["loud"]).differences
    assert entry.paired.n == 2
    assert entry.paired.mean == pytest.approx((60 - (60 + 80) / 2) / 256, abs=0.01)
