"""Scenes that are as the prompt says reach the best value; their counterparts do not."""

from functools import lru_cache

import pytest

from vivace.errors import VivaceError
from vivace.evaluation.groups import GROUPS, group_items, groups_of, metrics_of, senses
from vivace.evaluation.metric import Sample
from vivace.evaluation.prompts import WorldItem, true_clip
from vivace.evaluation.references import true_times
from vivace.perception.percept import Percept, percept_from_json, percept_to_json
from vivace.pipelines.capabilities import Capabilities
from vivace.world import is_unseen_combination


@lru_cache(maxsize=8)
def seen(group: str) -> list[tuple[WorldItem, Percept]]:
    items = group_items("val", [group], 4, height=96, width=96)
    return [(item, percept_from_json(percept_to_json(senses(group)(true_clip(item))))) for item in items]


def scores(group: str, pairs: list[tuple[WorldItem, Percept]]) -> dict[str, float | None]:
    metrics = metrics_of(group)
    for item, percept in pairs:
        for metric in metrics:
            metric.update(Sample(item.id, None, item.prompt, item.expected, true_times(item), percept))
    return {metric.name: metric.compute().value for metric in metrics}


@pytest.mark.parametrize(
    ("group", "right"),
    [
        ("silence", ("silence_kept",)),
        ("ambience", ("ambience",)),
        ("vehicle", ("passing_seen", "passing_heard", "directions_agree", "vehicle_colour")),
        ("shots", ("cut_count",)),
    ],
)
def test_true_clips_are_as_their_prompts_say(group: str, right: tuple[str, ...]) -> None:
    value = scores(group, seen(group))
    for name in right:
        assert value[name] in (1.0, None), name
    if group == "vehicle":
        assert value["passing_offset"] is not None
        assert value["passing_offset"] < 60
    if group == "shots":
        assert value["cut_time_error"] == pytest.approx(0, abs=1)
        assert value["shot_sounds"] is not None
        assert value["shot_sounds"] > 0.6


def test_a_clip_of_another_kind_is_wrong() -> None:
    ambience = [percept for _, percept in seen("ambience")]
    silent = scores("silence", [(item, p) for (item, _), p in zip(seen("silence"), ambience, strict=True)])
    assert silent["silence_kept"] == 0
    passing = scores("vehicle", [(item, p) for (item, _), p in zip(seen("vehicle"), ambience, strict=True)])
    assert passing["passing_seen"] == passing["passing_heard"] == 0
    cut = scores("shots", [(item, p) for (item, _), p in zip(seen("shots"), ambience, strict=True)])
    assert cut["cut_count"] == 0


def test_groups_are_reproducible_and_longer_ones_extend_shorter() -> None:
    short, long = (group_items("test", GROUPS, count) for count in (2, 4))
    assert {item.id: item.prompt for item in short}.items() <= {item.id: item.prompt for item in long}.items()
    assert len({item.id for item in long}) == len(long)
    for item in long:
        if item.group in ("talk-seen", "talk-unseen"):
            assert item.scene is not None
            assert is_unseen_combination(item.scene) == (item.group == "talk-unseen")
    assert {item.group for item in long} == set(GROUPS)
    assert not [item for item in group_items("test", GROUPS, 2, hand=False) if item.scene is None]


def test_a_model_has_the_groups_that_its_vocabulary_names() -> None:
    assert groups_of(Capabilities()) == ()
    assert groups_of(Capabilities(vocabulary=("ball", "drum"))) == ()
    assert groups_of(Capabilities(vocabulary=("ball", "rain"))) == ("ambience", "scene-hand")
    talking = groups_of(Capabilities(vocabulary=("man", "woman")))
    assert set(talking) == {"talk-seen", "talk-unseen", "talk-effect", "talk-hand"}
    assert groups_of(Capabilities(vocabulary=("man",), most_spans=0)) == ()


def test_an_unknown_group_is_refused() -> None:
    with pytest.raises(VivaceError, match="unknown"):
        group_items("val", ["dogs"], 2)
