"""The world benchmark keeps its clips, the true ones too, and measures both by published metrics."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from vivace.errors import VivaceError
from vivace.evaluation.groups import group_items
from vivace.evaluation.kept_clips import KeptClips
from vivace.evaluation.ledger import Run
from vivace.evaluation.metric import ItemMetric, Sample
from vivace.evaluation.prompts import WorldItem, true_clip, world_items
from vivace.evaluation.published import Skipped
from vivace.evaluation.results import read_results
from vivace.evaluation.set_metric import SetMetric
from vivace.evaluation.suites.ledger import SuiteMetric
from vivace.evaluation.summary import TRUTH
from vivace.evaluation.world import evaluate_world
from vivace.evaluation.world_published import Published, measure_published
from vivace.media import Clip, read_clip

RUN = Run(model="quiet", model_hash="0" * 64, split="val", settings={"steps": 1})
SKIPPED = Skipped("clap_score", "clap", "a folder", "a source", "Apache-2.0", "The weights of 'clap' are not named.")


class Quiet:
    """Makes the true clip with half of its loudness, and counts what it made."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self, items: Sequence[WorldItem]) -> list[Clip]:
        self.made += len(items)
        clips = [true_clip(item) for item in items]
        return [Clip(c.frames, c.fps, None if c.audio is None else 0.5 * c.audio, c.sample_rate) for c in clips]


def energy(clip: Clip) -> float:
    assert clip.audio is not None
    return float(np.sqrt((clip.audio**2).mean()))


def metrics() -> list[SuiteMetric]:
    def loud(sample: Sample) -> list[float]:
        assert sample.clip is not None
        return [energy(sample.clip), 1.0]

    def share(sample: Sample) -> list[float]:
        assert sample.clip is not None
        return [energy(sample.clip) / energy(sample.refs["sound"]), 1.0]

    def pictures(sample: Sample) -> dict[str, np.ndarray]:
        assert sample.clip is not None
        assert sample.clip.frames is not None
        assert sample.refs["video"].frames is not None
        sides = {"generated": sample.clip.frames, "reference": sample.refs["video"].frames}
        return {name: frames.mean((0, 1, 2)) for name, frames in sides.items()}

    def distance(rows: dict[str, np.ndarray]) -> float:
        return float(np.abs(rows["generated"].mean(0) - rows["reference"].mean(0)).max())

    return [
        ItemMetric("loud", loud, requires=("sound",), version="1, unverified"),
        ItemMetric("share", share, requires=("sound", "ref:sound"), version="1, unverified"),
        SetMetric("distance", pictures, distance, requires=("pictures", "ref:video"), version="1, unverified"),
    ]


@pytest.fixture(scope="module")
def items() -> list[WorldItem]:
    return world_items("val", 4, seconds=1.0, height=64, width=64, hand=False, camera=False)


def test_weights_named_later_measure_what_is_made_anew_once(items: list[WorldItem], tmp_path: Path) -> None:
    quiet = Quiet()
    first = evaluate_world({"model": quiet}, items, tmp_path, RUN)
    assert "skipped" not in (tmp_path / "summary.md").read_text()
    lines = (tmp_path / "items.jsonl").read_text()
    clips = KeptClips(tmp_path)
    assert clips.find(TRUTH, items[0]) is None
    published = Published(metrics(), [SKIPPED])
    published.metrics[0].weights = "ef" * 32
    second = evaluate_world({"model": quiet}, items, tmp_path, RUN, clips=clips, published=published)
    assert quiet.made == 2 * len(items)
    assert (tmp_path / "items.jsonl").read_text() == lines
    evaluate_world({"model": quiet}, items, tmp_path, RUN, clips=clips, published=published)
    assert quiet.made == 2 * len(items)
    for item in items:
        path = clips.find(TRUTH, item)
        assert path is not None
        assert energy(read_clip(path)) == pytest.approx(energy(true_clip(item)), rel=0.1)
    made, true = (second["groups"]["all"][name] for name in ("model", "truth"))
    assert made["loud"]["value"] == pytest.approx(0.5 * true["loud"]["value"], rel=0.05)
    assert made["share"]["value"] == pytest.approx(0.5, rel=0.05)
    assert (made["share"]["n"], made["share"]["version"]) == (4, "1, unverified")
    assert made["distance"]["value"] < 3
    assert true["share"]["reasons"] == {"no sound is given": 4}
    assert second["groups"]["seen"]["model"]["loud"]["n"] == 2
    without = {name: score for name, score in made.items() if name not in ("loud", "share", "distance")}
    assert without == first["groups"]["all"]["model"]
    assert second["skipped"] == [SKIPPED.to_json()]
    assert second["weights"] == {"loud": "ef" * 32}
    assert len(second["prompts_sha256"]) == 64
    assert second["seeds"]["different"] == len({item.seed for item in items})


def test_reports_and_comparisons_see_them(items: list[WorldItem], tmp_path: Path) -> None:
    published = Published(metrics(), [SKIPPED])
    evaluate_world({"model": Quiet()}, items, tmp_path, RUN, clips=KeptClips(tmp_path), published=published)
    told = (tmp_path / "summary.md").read_text()
    assert "| loud ↑ [1, unverified] |" in told
    assert "- clap_score: The weights of 'clap' are not named." in told
    page = (tmp_path / "report.html").read_text()
    assert "loud (unverified)" in page
    assert "1 metrics skipped" in page
    values = read_results(tmp_path).values("model")
    assert set(values["share"]) == {item.id for item in items}
    row = json.loads((tmp_path / "published" / "model" / "items.jsonl").read_text().splitlines()[0])
    assert values["share"][row["id"]] == row["metrics"]["share"]["value"]


def test_the_device_reaches_the_networks_and_is_told(items: list[WorldItem], tmp_path: Path) -> None:
    class Network:
        device = "cpu"

        def to(self, device: str) -> None:
            self.device = device

    network = Network()
    there = ItemMetric("there", lambda sample: [float(network.device == "cuda:1"), 1.0], requires=(), network=network)
    published = Published([there, *metrics()], device="cuda:1")
    summary = evaluate_world({"model": Quiet()}, items, tmp_path, RUN, clips=KeptClips(tmp_path), published=published)
    assert summary["devices"] == {"there": ["cuda:1"]}
    assert summary["groups"]["all"]["model"]["there"]["value"] == 1.0


def test_words_that_should_be_said_are_a_reference(tmp_path: Path) -> None:
    items = group_items("val", ["talk-seen"], 2, seconds=1.0, height=64, width=64)
    said = ItemMetric("said", lambda sample: [float(len(sample.refs["said"].split())), 1.0], requires=("ref:said",))
    clips = KeptClips(tmp_path)
    for item in items:
        clips.keep(TRUTH, item, true_clip(item))
    clips.keep("model", items[0], true_clip(items[0]))
    found = measure_published(tmp_path, items, ["model"], clips, [said])
    words = [sum(len(span["words"].split()) for span in item.expected["spans"]) for item in items]
    ids = {item.id for item in items}
    assert found[TRUTH].results(ids)["said"].value == pytest.approx(np.mean(words))
    made = found["model"].results(ids)["said"]
    assert (made.value, made.reasons) == (words[0], {"the clip is missing": 1})


def test_the_caption_without_marks_is_the_text_of_the_sound(tmp_path: Path) -> None:
    (item,) = group_items("val", ["talk-seen"], 2, seconds=1.0, height=64, width=64)[:1]
    assert "<S>" in item.prompt
    heard: list[str] = []
    metric = ItemMetric(
        "asked", lambda sample: heard.append(sample.refs["audio_prompt"]) or [1.0, 1.0], requires=("ref:audio_prompt",)
    )
    clips = KeptClips(tmp_path)
    clips.keep(TRUTH, item, true_clip(item))
    clips.keep("model", item, true_clip(item))
    found = measure_published(tmp_path, [item], ["model"], clips, [metric])
    assert heard == [item.prompt.replace("<S>", "").replace("<E>", "")] * 2
    assert found["model"].results({item.id})["asked"].n == 1


def test_sound_alone_is_kept_too(items: list[WorldItem], tmp_path: Path) -> None:
    clips, true = KeptClips(tmp_path), true_clip(items[0])
    clips.keep("with alignment", items[0], Clip(None, true.fps, true.audio, true.sample_rate))
    path = clips.find("with alignment", items[0])
    assert path == tmp_path / "clips" / "with-alignment" / f"{items[0].id}.wav"


def test_published_metrics_need_the_clips(items: list[WorldItem], tmp_path: Path) -> None:
    with pytest.raises(VivaceError, match="keep them"):
        evaluate_world({"model": Quiet()}, items, tmp_path, RUN, published=Published(metrics()))
    assert not list(tmp_path.iterdir())
