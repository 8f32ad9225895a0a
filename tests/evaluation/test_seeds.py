"""Several seeds of a prompt count as one prompt."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from vivace.evaluation.comparing import compare, read_subjects
from vivace.evaluation.kept_clips import KeptClips
from vivace.evaluation.ledger import Run
from vivace.evaluation.metric import ItemMetric, Sample, Undefined
from vivace.evaluation.prompts import WorldItem, true_clip, world_items
from vivace.evaluation.results import read_results
from vivace.evaluation.seeds import by_prompt, is_first, prompt_of, rounds_of, seeded, side_by_side, told_n
from vivace.evaluation.set_difference import set_difference
from vivace.evaluation.set_metric import OTHER_SEED, Features, SetMetric, stacked
from vivace.evaluation.set_values import SET_VALUES
from vivace.evaluation.suites.beside import partners
from vivace.evaluation.suites.suite import SuiteItem
from vivace.evaluation.summary import FLOOR, TRUTH
from vivace.evaluation.world import _partners, evaluate_world
from vivace.evaluation.world_published import Published
from vivace.media import Clip

RUN = Run(model="dim", model_hash="0" * 64, split="val", settings={"steps": 1})


def test_clips_are_called_by_prompt_and_seed() -> None:
    items = [WorldItem("a", "seen", "one", {}, 7), WorldItem("b", "seen", "two", {}, 0)]
    made = seeded(items, 3)
    assert [(item.id, item.seed) for item in made] == [
        ("a", 7), ("b", 0), ("a~seed8", 8), ("b~seed1", 1), ("a~seed9", 9), ("b~seed2", 2),
    ]  # fmt: skip
    assert seeded(items, 1) == tuple(items)
    assert [prompt_of(item.id) for item in made] == ["a", "b"] * 3
    assert [is_first(item.id) for item in made] == [True, True, False, False, False, False]
    assert rounds_of(item.id for item in made) == {item.id: n // 2 for n, item in enumerate(made)}
    assert by_prompt({"a~seed10": 3, "a~seed9": 2, "a": 1}) == {"a": [1, 2, 3]}


def shares() -> ItemMetric:
    return ItemMetric("share", lambda sample: [0.0, 1.0])


def test_a_prompt_counts_by_the_mean_over_its_seeds() -> None:
    rng = np.random.default_rng(0)
    clips = {f"p{n}{end}": float(rng.normal(n)) for n in range(12) for end in ("", "~seed1", "~seed2")}
    metric, means = shares(), shares()
    for name, value in clips.items():
        metric.add(name, [value, 1.0])
    for prompt, values in by_prompt(clips).items():
        means.add(prompt, [float(np.mean(values)), 1.0])
    found, due = metric.compute(), means.compute()
    # The interval is that of twelve prompts, not of 36 clips.
    assert (found.value, found.ci_low, found.ci_high) == pytest.approx((due.value, due.ci_low, due.ci_high))
    assert (found.n, found.seeds, found.clips) == (12, 3, 36)
    assert told_n(found.to_json()) == "12 x 3"
    assert told_n(due.to_json()) == "12"
    assert "seeds" not in due.to_json()


def test_clips_without_a_value_are_counted_one_by_one() -> None:
    metric = shares()
    for name, outcome in {
        "a": [1.0, 1.0], "a~seed1": Undefined("no sound"), "b": [0.0, 1.0], "b~seed1": [0.5, 1.0],
        "c": Undefined("no sound"), "c~seed1": Undefined("no picture"),
    }.items():  # fmt: skip
        metric.add(name, outcome)  # type: ignore[arg-type]
    found = metric.compute()
    assert found.value == pytest.approx((1.0 + 0.25) / 2)
    assert (found.n, found.clips, found.n_undefined) == (2, 3, 3)
    assert found.reasons == {"no sound": 2, "no picture": 1}
    assert told_n(found.to_json()) == "2 x 2 (3 clips)"


def test_a_median_takes_the_values_of_all_seeds() -> None:
    metric = ItemMetric("late", lambda sample: [0.0], statistic="median")
    for name, values in {"a": [1.0, 2.0], "a~seed1": [9.0], "b": [4.0], "b~seed1": [5.0]}.items():
        metric.add(name, values)
    found = metric.compute()
    assert (found.value, found.n) == (4.0, 2)


def rows(seed: int, count: int, shift: float = 0.0) -> dict[str, Features]:
    made, true = np.random.default_rng(seed), np.random.default_rng(99)
    return {
        f"{n:03d}": {"generated": made.normal(shift, 1.0, 3), "reference": true.normal(size=3)} for n in range(count)
    }


def test_a_set_has_one_clip_a_prompt_and_its_value_is_the_mean_over_seeds() -> None:
    value = SET_VALUES["fd_vggish"]
    sets = [rows(seed, 20) for seed in range(3)]
    metric = SetMetric("fd", lambda sample: {}, value.of, over_n=value.over_n)
    for k, found in enumerate(sets):
        for name, features in found.items():
            metric.add(f"{name}~seed{k}" if k else name, features)
    result = metric.compute()
    each = [value.of(stacked(list(found.values()))) for found in sets]
    assert result.value == pytest.approx(np.mean(each))
    assert (result.n, result.seeds, result.clips, result.n_undefined) == (20, 3, 60, 0)
    assert result.by_n is not None
    assert result.by_n["points"][-1]["value"] == pytest.approx(np.mean(each))
    # A prompt without a clip of each seed is left out and counted.
    metric.add("more", sets[0]["000"])
    without = metric.compute()
    assert (without.value, without.n, without.reasons) == (pytest.approx(np.mean(each)), 20, {OTHER_SEED: 1})


def test_sets_of_several_seeds_are_compared_prompt_by_prompt() -> None:
    value = SET_VALUES["fd_vggish"]

    def both(shift: float) -> dict[str, Features]:
        one, two = rows(1, 24, shift), rows(2, 24, shift)
        return {name: side_by_side([one[name], two[name]]) for name in one}

    found = set_difference(value, both(0.0), both(1.0))
    assert found.n == 24
    assert found.mean == pytest.approx(-3.0, abs=1.2)  # one apart in each of three dimensions
    assert found.p_value < 0.01


class Dim:
    """Makes the true clip with a sound whose loudness is that of its seed, and counts what it makes."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def __call__(self, items: Sequence[WorldItem]) -> list[Clip]:
        self.made += [item.id for item in items]
        clips = [(true_clip(item), item.seed) for item in items]
        return [
            Clip(c.frames, c.fps, None if c.audio is None else c.audio / 2**seed, c.sample_rate) for c, seed in clips
        ]


def test_the_world_benchmark_with_seeds_extends_one_without(tmp_path: Path) -> None:
    items = world_items("val", 4, seconds=1.0, height=64, width=64, hand=False, camera=False)
    dim = Dim()

    def share(sample: Sample) -> list[float]:
        loud = [float(np.abs(clip.audio).max()) for clip in (sample.clip, sample.refs["sound"])]  # type: ignore[union-attr, arg-type]
        return [loud[0] / loud[1], 1.0]

    published = Published([ItemMetric("share", share, requires=("sound", "ref:sound"))])

    clips = KeptClips(tmp_path)
    once, twice = (
        evaluate_world({"model": dim}, seeded(items, seeds), tmp_path, RUN, clips=clips, published=published)
        for seeds in (1, 2)
    )
    assert sorted(dim.made) == sorted(item.id for item in seeded(items, 2))
    scores = twice["groups"]["all"]
    assert (scores["model"]["share"]["n"], scores["model"]["share"]["seeds"]) == (4, 2)
    # Against the true clip of the prompt: a mean of 1 and 1/2, or of 1/2 and 1/4, by the prompt's seed.
    due = np.mean([0.75 / 2**item.seed for item in items])
    assert scores["model"]["share"]["value"] == pytest.approx(due, rel=0.1)
    # What is true of a prompt is told once.
    assert twice["groups"]["all"][TRUTH] == once["groups"]["all"][TRUTH]
    assert len(list((tmp_path / "clips" / TRUTH).iterdir())) == 4
    assert 0 < scores[FLOOR]["sound_loudness"]["n"] <= 4
    assert (twice["seeds"]["each_prompt"], twice["prompts_sha256"]) == (2, once["prompts_sha256"])
    assert "n 4 x 2" in (tmp_path / "summary.md").read_text()
    page = (tmp_path / "report.html").read_text()
    assert "n 4 x 2" in page
    assert "n is prompts x seeds" in page
    # By prompt, whatever the seeds.
    values = read_results(tmp_path).values("model")["share"]
    assert set(values) == {item.id for item in items}
    assert values[items[0].id] == pytest.approx(0.75 / 2 ** items[0].seed, rel=0.1)
    single = tmp_path / "single"
    evaluate_world({"model": Dim()}, items, single, RUN, clips=KeptClips(single), published=published)
    found = compare(read_subjects([str(tmp_path), str(single)]), metrics=["share"])
    assert found.prompts == 4
    assert found.differences[0].paired.n == 4
    assert found.differences[0].paired.mean == pytest.approx(np.mean([-0.25 / 2**item.seed for item in items]), rel=0.1)


def test_a_picture_never_gets_the_sound_of_its_own_prompt(tmp_path: Path) -> None:
    items = seeded([SuiteItem(f"{part}{n}", part, "") for part in "xy" for n in range(2)], 3)
    found = partners(items, {item.id: tmp_path for item in items})
    assert len(found) == 12
    assert all(prompt_of(own) != prompt_of(other) for own, other in found.items())
    world = seeded([WorldItem(str(n), "seen", "", {"kind": "bell"}, n) for n in range(3)], 2)
    others = _partners(world, {item.id: None for item in world})
    assert len(others) == 6
    assert all(prompt_of(own) != prompt_of(other) for own, other in others.items())
    alone = seeded(world[:1], 4)
    assert _partners(alone, {item.id: None for item in alone}) == {}


def test_a_line_of_the_ledger_tells_prompt_and_seed(tmp_path: Path) -> None:
    items = world_items("val", 2, seconds=1.0, height=32, width=32, hand=False, camera=False)
    evaluate_world({"model": Dim()}, seeded(items, 2), tmp_path, RUN)
    lines = [json.loads(line) for line in (tmp_path / "items.jsonl").read_text().splitlines()]
    made = {line["id"]: line["seed"] for line in lines if line["condition"] == "model"}
    assert made == {item.id: item.seed for item in seeded(items, 2)}
    assert {line["id"] for line in lines if line["condition"] == TRUTH} == {item.id for item in items}
