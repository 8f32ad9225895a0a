"""Whether the object is the same on both sides of a cut: on true clips, on spliced ones, and on made-up findings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from vivace.evaluation.across_cuts import cut_metrics
from vivace.evaluation.groups import group_items
from vivace.evaluation.metric import Sample
from vivace.evaluation.prompts import WorldItem, true_clip
from vivace.perception.camera import CameraMotion
from vivace.perception.onsets import Onset
from vivace.perception.percept import Heard, Percept, Seen, percept_from_json, percept_to_json
from vivace.perception.scenery import Scenery, ShotSeen
from vivace.perception.senses import perceive_scene
from vivace.world.scene import Shot

KEPT = {"shots": [{"kind": "impacts"}, {"kind": "impacts", "same_object": True}]}
OTHER = {"shots": [{"kind": "impacts"}, {"kind": "bell"}]}
OPEN = {"shots": [{"kind": "bell", "colours": ["red"]}, {"kind": "bell"}]}


@pytest.fixture(scope="module")
def items() -> list[WorldItem]:
    """True clips of two shots: three in which the prompt keeps the object, and three in which it names another."""
    drawn = group_items("val", ["shots"], 24, hand=False, height=96, width=96)
    drawn = [item for item in drawn if len(item.expected["shots"]) == 2]
    kept = [item for item in drawn if item.expected["shots"][1].get("same_object")]
    other = [item for item in drawn if item.expected["shots"][0]["kind"] != item.expected["shots"][1]["kind"]]
    return [*kept[:3], *other[:3]]


def scores(pairs: Iterable[tuple[Percept, Any]]) -> dict[str, float | None]:
    metrics = cut_metrics()
    for number, (percept, expected) in enumerate(pairs):
        for metric in metrics:
            metric.update(Sample(str(number), expected=expected, seen=percept))
    return {metric.name: metric.compute().value for metric in metrics}


def test_true_clips_keep_and_change_the_object_as_their_prompts_say(items: list[WorldItem]) -> None:
    percepts = [percept_from_json(percept_to_json(perceive_scene(true_clip(item)))) for item in items]
    assert scores((p, item.expected) for p, item in zip(percepts, items, strict=True)) == {
        "same_object_kept": 1.0,
        "other_object_shown": 1.0,
    }
    # The same clips, of which the opposite was asked for.
    kept, other = percepts[:3], percepts[3:]
    assert scores([*((p, OTHER) for p in kept), *((p, KEPT) for p in other)]) == {
        "same_object_kept": 0.0,
        "other_object_shown": 0.0,
    }


def test_another_object_in_the_second_half_is_not_the_same(items: list[WorldItem]) -> None:
    pairs = []
    for item, other in zip(items[:3], items[3:], strict=True):
        assert item.scene is not None
        assert other.scene is not None
        first, second = item.scene.shots
        # Of the other clip's two objects, which differ in kind, one is none of this clip's.
        strange = next(shot.scene for shot in other.scene.shots if shot.scene.kind != first.scene.kind)
        spliced = replace(item.scene, shots=(first, Shot(second.start, strange)))
        percept = perceive_scene(true_clip(replace(item, scene=spliced)))
        assert percept.video is not None
        assert percept.video.scenery is not None
        assert len(percept.video.scenery.cuts) == 1  # it is not wrong for want of a cut
        pairs.append((percept, item.expected))
    assert scores(pairs)["same_object_kept"] == 0.0


def found(*shots: tuple[tuple[str, ...], bool | None, str | None]) -> Percept:
    """Shots of a second each, by colours, whether something falls, and what is heard."""
    seen = tuple(ShotSeen(float(start), colours, falls) for start, (colours, falls, _) in enumerate(shots))
    heard = [(start + 0.5, sound) for start, (_, _, sound) in enumerate(shots) if sound is not None]
    scenery = Scenery(seen, CameraMotion("still", 0.0, 0.0), None)
    return Percept(
        Seen((), (), False, None, scenery=scenery),
        Heard(tuple(Onset(time, 1.0, 0.0, -20.0) for time, _ in heard), tuple(sound for _, sound in heard), None),
    )


BALL = (("red",), True, "ball on wood")


@pytest.mark.parametrize(
    ("after", "kept"),
    [
        (BALL, 1.0),
        ((("red",), True, "ball on stone"), 1.0),  # another floor under the same ball
        ((("blue",), True, "ball on wood"), 0.0),
        ((("red",), False, "ball on wood"), 0.0),  # what stands is no ball
        ((("red",), True, "drum"), 0.0),
        (((), False, "ball on wood"), 0.0),  # nothing is seen
        ((("red",), True, None), 0.0),  # nothing is heard
    ],
)
def test_colour_movement_and_sound_tell_an_object(after: tuple[tuple[str, ...], bool, str | None], kept: float) -> None:
    assert scores([(found(BALL, after), KEPT)]) == {"same_object_kept": kept, "other_object_shown": None}


def test_nothing_is_no_other_object_and_a_missing_cut_is_wrong() -> None:
    assert scores([(found(BALL, ((), False, None)), OTHER)])["other_object_shown"] == 0.0
    assert scores([(found(BALL, (("red",), False, "bell")), OTHER)])["other_object_shown"] == 1.0
    assert scores([(found(BALL), OTHER), (found(BALL), KEPT)]) == {"same_object_kept": 0.0, "other_object_shown": 0.0}


def test_what_the_prompt_leaves_open_is_not_judged() -> None:
    assert scores([(found(BALL, BALL), OPEN)]) == {"same_object_kept": None, "other_object_shown": None}
    two_colours = {"shots": [{"kind": "bell", "colours": ["red"]}, {"kind": "bell", "colours": ["blue"]}]}
    assert scores([(found(BALL, BALL), two_colours)])["other_object_shown"] == 0.0


def test_each_cut_of_three_shots_is_judged_by_itself() -> None:
    three = {"shots": [*KEPT["shots"], {"kind": "bell"}]}
    percept = found(BALL, BALL, (("red",), False, "bell"))
    assert scores([(percept, three)]) == {"same_object_kept": 1.0, "other_object_shown": 1.0}
    percept = found(BALL, (("blue",), True, "ball on wood"), (("red",), False, "bell"))
    assert scores([(percept, three)]) == {"same_object_kept": 0.0, "other_object_shown": 1.0}


def test_findings_of_before_tell_the_object_by_colour_and_sound() -> None:
    """Findings are kept on disk, and those of older versions do not say whether something falls."""
    stored = percept_to_json(found(BALL, BALL))
    for shot in stored["video"]["scenery"]["shots"]:
        del shot["falls"]
    assert scores([(percept_from_json(stored), KEPT)])["same_object_kept"] == 1.0
