import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from vivace.errors import VivaceError
from vivace.evaluation.metric import ItemMetric, Sample, Undefined
from vivace.evaluation.quality_metrics import clip_metrics
from vivace.evaluation.set_metric import Features, SetMetric
from vivace.evaluation.suites.folder import clips_of, folder_suite, with_files
from vivace.evaluation.suites.run import ModelRun, evaluate_suite
from vivace.evaluation.suites.suite import Column, Suite, SuiteItem
from vivace.media import Clip, write_clip


def a_clip(seed: int, frames: int = 12, sound: bool = True) -> Clip:
    rng = np.random.default_rng(seed)
    pictures = np.full((frames, 32, 32, 3), 90, np.uint8)
    for n in range(frames):
        pictures[n, 8:16, n : n + 8] = rng.integers(150, 250)
    audio = (rng.normal(size=(2, frames * 16000 // 24)) * 0.1).clip(-1, 1).astype(np.float32)
    return Clip(pictures, Fraction(24), audio if sound else None, 16000)


def a_suite(count: int = 4, **fields: object) -> Suite:
    items = tuple(
        SuiteItem(f"{'ab'[n % 2]}/{n}", "ab"[n % 2], f"prompt {n}", seed=n, tags=("motion",) if n % 2 else ())
        for n in range(count)
    )
    return Suite("toy", "toy-1", "A toy.", items, **fields)  # type: ignore[arg-type]


def loud(version: str = "1") -> ItemMetric:
    def measure(sample: Sample) -> list[float]:
        assert sample.clip is not None
        assert sample.clip.audio is not None
        return [float(np.abs(sample.clip.audio).max()), 1.0]

    return ItemMetric("peak", measure, requires=("sound",), version=version)


def said() -> ItemMetric:
    return ItemMetric("said", lambda sample: [float(len(sample.refs["said"])), 1.0], requires=("ref:said",))


def faces() -> ItemMetric:
    return ItemMetric(
        "faces", lambda sample: [float(len(sample.refs["face_tracks"])), 1.0], requires=("ref:face_tracks",)
    )


class Maker:
    """Makes clips of items, counts what it made, and refuses some."""

    def __init__(self, refused: Sequence[str] = ()) -> None:
        self.made: list[str] = []
        self.refused = refused

    def __call__(self, items: Sequence[SuiteItem]) -> list[Clip]:
        if any(item.id in self.refused for item in items):
            raise VivaceError("The prompt is too long; shorten it.")
        self.made += [item.id for item in items]
        return [a_clip(item.seed) for item in items]

    def run(self) -> ModelRun:
        return ModelRun(self, "toy model", "0" * 64, {"seconds": 0.5}, batch=3)


def lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "items.jsonl").read_text().splitlines()]


def test_what_is_missing_is_made_once_and_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    maker = Maker()
    first = evaluate_suite(a_suite(3), tmp_path, [loud()], model=maker.run())
    assert sorted(maker.made) == ["a/0", "a/2", "b/1"]
    assert (tmp_path / "clips" / "a" / "2.mp4").is_file()
    with (tmp_path / "items.jsonl").open("a") as file:
        file.write('{"id": "cut off by a cra')
    again = evaluate_suite(a_suite(4), tmp_path, [loud()], model=maker.run())
    assert maker.made[3:] == ["b/3"]
    assert len(lines(tmp_path)) == 4
    assert first["groups"]["a"] == again["groups"]["a"]
    assert again["groups"]["all"]["model"]["peak"]["n"] == 4


def test_a_metric_that_is_new_or_of_a_new_version_is_measured_alone(tmp_path: Path) -> None:
    maker = Maker()
    evaluate_suite(a_suite(2), tmp_path, [loud()], model=maker.run())
    evaluate_suite(a_suite(2), tmp_path, [loud(), *clip_metrics()], model=maker.run())
    assert "peak" not in lines(tmp_path)[2]["metrics"]  # type: ignore[operator]
    evaluate_suite(a_suite(2), tmp_path, [loud("2")], model=maker.run())
    assert [list(row["metrics"]) for row in lines(tmp_path)[4:]] == [["peak"], ["peak"]]  # type: ignore[call-overload]
    evaluate_suite(a_suite(2), tmp_path, [loud("2")], model=maker.run())
    assert len(lines(tmp_path)) == 6


def test_missing_clips_end_the_run_unless_they_are_allowed(tmp_path: Path) -> None:
    maker = Maker(refused=["b/1"])
    with pytest.raises(VivaceError, match=r"1 of 4 clips are missing \(b/1; .*too long.*--allow-missing"):
        evaluate_suite(a_suite(), tmp_path, [loud()], model=maker.run())
    assert sorted(maker.made) == ["a/0", "a/2", "b/3"]  # one refused prompt takes no other with it
    summary = evaluate_suite(a_suite(), tmp_path, [loud()], model=maker.run(), allow_missing=True)
    peak = summary["groups"]["all"]["model"]["peak"]
    assert (peak["n"], peak["reasons"]) == (3, {"the clip is missing": 1})
    assert summary["counted"]["failed"] == {"b/1": "The prompt is too long; shorten it."}
    assert "too long" in (tmp_path / "summary.md").read_text()


def test_another_run_is_refused(tmp_path: Path) -> None:
    evaluate_suite(a_suite(2), tmp_path, [loud()], model=Maker().run())
    other = ModelRun(Maker(), "toy model", "1" * 64, {"seconds": 0.5})
    with pytest.raises(VivaceError, match="another run"):
        evaluate_suite(a_suite(2), tmp_path, [loud()], model=other)


def test_a_changed_file_is_measured_anew(tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    write_clip(clips / "x.mp4", a_clip(0))
    suite, found = folder_suite(clips)
    one = evaluate_suite(suite, tmp_path / "out", [loud()], clips=found)
    write_clip(clips / "x.mp4", a_clip(1))
    two = evaluate_suite(suite, tmp_path / "out", [loud()], clips=found)
    values = [summary["groups"]["all"]["clips"]["peak"]["value"] for summary in (one, two)]
    assert values[0] != values[1]
    assert len(lines(tmp_path / "out")) == 2


def test_odd_clips_are_counted_and_never_dropped(tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    write_clip(clips / "whole.mp4", a_clip(0))
    write_clip(clips / "mute.mp4", a_clip(1, sound=False))
    write_clip(clips / "one.mp4", a_clip(2, frames=1))
    sound = a_clip(3)
    write_clip(clips / "sound.wav", Clip(None, sound.fps, sound.audio, sound.sample_rate))
    (clips / "broken.mp4").write_bytes(b"no clip at all")
    suite, found = folder_suite(clips)
    summary = evaluate_suite(suite, tmp_path / "out", clip_metrics(), clips=found)
    assert list(summary["counted"]["unreadable"]) == ["broken"]
    scores = summary["groups"]["all"]["clips"]
    assert all(score["n"] + score["n_undefined"] == 5 for score in scores.values())
    assert scores["sound_loudness"]["reasons"]["no sound"] == 1
    assert scores["picture_sharpness"]["reasons"]["no picture"] == 1
    assert scores["picture_brightness"]["n"] == 3
    text = (tmp_path / "out" / "items.jsonl").read_text()
    assert "NaN" not in text
    assert "Infinity" not in text


def test_columns_pool_items_or_sets_and_name_what_cannot_be_measured(tmp_path: Path) -> None:
    columns = (
        Column("PEAK", "peak"),
        Column("peak of sets", "peak", pooling="sets", twin="PEAK"),
        Column("peak of b", "peak", groups=("b",)),
        Column("AS", None),
    )
    suite = a_suite(5, columns=columns, dimensions={"motion": ("peak",), "taste": ()})
    summary = evaluate_suite(suite, tmp_path, [loud()], model=Maker().run())
    peaks = {row["id"]: row["metrics"]["peak"]["record"][0] for row in lines(tmp_path)}  # type: ignore[index]
    means = [np.mean([peak for name, peak in peaks.items() if str(name).startswith(part)]) for part in "ab"]
    assert summary["columns"]["PEAK"]["value"] == pytest.approx(np.mean(list(peaks.values())))
    assert summary["columns"]["peak of sets"]["value"] == pytest.approx(np.mean(means))
    assert summary["columns"]["peak of b"]["value"] == pytest.approx(means[1])
    assert summary["columns"]["AS"]["status"] == "skipped"
    assert summary["columns"]["AS"]["value"] is None
    assert summary["dimensions"]["motion"]["n_prompts"] == 2
    assert summary["dimensions"]["motion"]["proxies"]["peak"]["value"] == pytest.approx(means[1])
    assert summary["dimensions"]["taste"]["judged"] == "human only"


def test_a_manifest_says_what_was_asked_for(tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    write_clip(clips / "x.mp4", a_clip(0))
    manifest = tmp_path / "asked.jsonl"
    manifest.write_text('{"id": "x", "said": "two blue"}\n\n{"id": "y", "clip": "x.mp4", "group": "more"}\n')
    suite, found = folder_suite(clips, manifest)
    summary = evaluate_suite(suite, tmp_path / "out", [said()], clips=found)
    score = summary["groups"]["all"]["clips"]["said"]
    assert (score["value"], score["n"], score["reasons"]) == (8.0, 1, {"no said is given": 1})
    for bad, problem in (
        ('{"id": "x"}\n{"id": "x"}', "twice"),
        ('{"said": "two"}', "no id"),
        ('{"id": "x", "speech": "two"}', "unknown key 'speech'"),
        ('{"id": "x", "said": 2}', "no text"),
        ("{", "no JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("", "no items"),
    ):
        manifest.write_text(bad)
        with pytest.raises(VivaceError, match=problem):
            folder_suite(clips, manifest)


def test_face_tracks_may_come_later(tmp_path: Path) -> None:
    clips, tracks = tmp_path / "clips", tmp_path / "faces"
    clips.mkdir()
    write_clip(clips / "x.mp4", a_clip(0))
    suite, found = folder_suite(clips)
    without = evaluate_suite(suite, tmp_path / "out", [faces()], clips=found)
    assert without["groups"]["all"]["clips"]["faces"]["n"] == 0
    tracks.mkdir()
    (tracks / "x.json").write_text(json.dumps([{"first": 0, "boxes": [[1, 2, 9, 12]] * 12}]))
    later = evaluate_suite(with_files(suite, "face_tracks", tracks), tmp_path / "out", [faces()], clips=found)
    assert later["groups"]["all"]["clips"]["faces"]["value"] == 1.0
    (tracks / "x.json").write_text('[{"first": 0, "boxes": [1, 2]}]')
    with pytest.raises(VivaceError, match="four numbers"):
        with_files(suite, "face_tracks", tracks).items[0].read("face_tracks")


def test_clips_are_found_by_their_items(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for name in ("a/0.mp4", "a/0.wav", "a/2.wav"):
        (tmp_path / name).touch()
    assert {name: path.suffix for name, path in clips_of(a_suite(), tmp_path).items()} == {"a/0": ".mp4", "a/2": ".wav"}
    (tmp_path / "empty").mkdir()
    with pytest.raises(VivaceError, match="name clips by their items"):
        clips_of(a_suite(), tmp_path / "empty")
    with pytest.raises(VivaceError, match="no folder"):
        clips_of(a_suite(), tmp_path / "nowhere")


def a_set_metric(calls: list[str], version: str = "1") -> SetMetric:
    def features(sample: Sample) -> Features | Undefined:
        calls.append(sample.id)
        if sample.id == "b/3":
            return Undefined("nothing to be seen")
        assert sample.clip is not None
        assert sample.clip.frames is not None
        return {"made": sample.clip.frames.mean(axis=(1, 2))[:2]}

    return SetMetric("spread", features, lambda rows: float(rows["made"].std()), version=version)


def test_a_metric_of_sets_keeps_its_features_and_goes_on(tmp_path: Path) -> None:
    calls: list[str] = []
    first = evaluate_suite(a_suite(4), tmp_path, [loud(), a_set_metric(calls)], model=Maker().run())
    assert sorted(calls) == ["a/0", "a/2", "b/1", "b/3"]
    spread = first["groups"]["all"]["model"]["spread"]
    assert (spread["n"], spread["reasons"]) == (3, {"nothing to be seen": 1})
    # Of one clip alone there is no set.
    assert first["groups"]["b"]["model"]["spread"]["value"] is None
    assert (tmp_path / "features" / "spread" / "a" / "2.safetensors").is_file()
    entry = lines(tmp_path)[0]["metrics"]["spread"]  # type: ignore[index]
    assert entry == {"features": "features/spread/a/0.safetensors", "version": "1"}
    again = evaluate_suite(a_suite(4), tmp_path, [loud(), a_set_metric(calls)], model=Maker().run())
    assert again["groups"] == first["groups"]
    assert len(calls) == 4
    (tmp_path / "features" / "spread" / "a" / "2.safetensors").unlink()
    mended = evaluate_suite(a_suite(4), tmp_path, [loud(), a_set_metric(calls)], model=Maker().run())
    assert calls[4:] == ["a/2"]
    assert mended["groups"] == first["groups"]
    assert "spread" in (tmp_path / "summary.md").read_text()
