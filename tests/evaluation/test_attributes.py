from typing import Any

import pytest

from vivace.evaluation.attributes import attribute_metrics, melody_fits, rhythm_fits
from vivace.evaluation.metric import Sample
from vivace.perception.onsets import Onset
from vivace.perception.percept import Heard, Impact, Percept, Seen, Thing
from vivace.world.rhythm import RHYTHMS


def judged(
    expected: dict[str, Any], colours: tuple[str, ...], events: int, kind: str | None, floor: str
) -> dict[str, Any]:
    things = tuple(Thing(colour, True, 0.3 - 0.6 * n, 0.0, 0.02) for n, colour in enumerate(colours))
    times = [0.3 + 0.4 * n for n in range(events)]
    seen = Seen(tuple(Impact(time, 0.3, 0.5, 2.0, 0) for time in times), things, False, floor)
    heard = Heard(tuple(Onset(time, 2.0, 0.3, -9.0) for time in times), (kind or "",) * events, kind)
    sample = Sample(id="one", expected=expected, seen=Percept(seen, heard))
    return {metric.name: metric.update(sample).get("record") for metric in attribute_metrics()}


RIGHT, WRONG = [1.0, 1.0], [0.0, 1.0]
BALL = {"kind": "impacts", "objects": 1, "colours": ["red"], "floor": "wood", "count": 3, "position": "right"}


def test_a_right_clip_is_right_in_everything_stated() -> None:
    found = judged(BALL, ("red",), 3, "ball on wood", "wood")
    for name in (
        "sound_kind",
        "material_heard",
        "material_seen",
        "colour",
        "count_seen",
        "count_heard",
        "hit_seen",
        "hit_heard",
        "one_object",
        "side_seen",
    ):
        assert found[name] == RIGHT
    assert found["two_objects"] is None
    assert found["rhythm_heard"] is None


def test_each_fault_is_found_by_its_metric() -> None:
    assert judged(BALL, ("red",), 3, "ball on metal", "wood")["sound_kind"] == WRONG
    assert judged(BALL, ("red",), 3, "drum", "wood")["material_heard"] == WRONG
    assert judged(BALL, ("red",), 3, "ball on wood", "stone")["material_seen"] == WRONG
    assert judged(BALL, ("blue",), 3, "ball on wood", "wood")["colour"] == WRONG
    assert judged(BALL, ("red",), 4, "ball on wood", "wood")["count_heard"] == WRONG
    assert judged(BALL, ("red", "blue"), 3, "ball on wood", "wood")["one_object"] == WRONG
    nothing = judged(BALL, (), 0, None, "wood")
    assert nothing["sound_kind"] == nothing["hit_seen"] == nothing["hit_heard"] == WRONG


def test_what_is_not_stated_is_free() -> None:
    found = judged({"kind": "impacts", "objects": 1}, ("green",), 2, "ball on glass", "glass")
    assert found["sound_kind"] == RIGHT
    assert found["colour"] is None
    assert found["count_seen"] is None
    assert judged({"kind": "impacts"}, ("green",), 2, "bell", "glass")["sound_kind"] == WRONG


def test_two_balls_of_a_stated_number_each() -> None:
    expected = {"kind": "impacts", "objects": 2, "count_each": 2, "colours": ["red", "blue"]}
    found = judged(expected, ("blue", "red"), 4, "ball on wood", "wood")
    assert found["count_heard"] == found["two_objects"] == found["colour"] == RIGHT
    assert judged(expected, ("red", "red"), 4, "ball on wood", "wood")["colour"] == WRONG


@pytest.mark.parametrize(("name", "count"), [(name, count) for name, counts in RHYTHMS.items() for count in counts])
def test_a_rhythm_fits_itself_and_not_an_even_one(name: str, count: int) -> None:
    times = [0.2]
    for gap in RHYTHMS[name][count]:
        times.append(times[-1] + 0.2 * gap)
    assert rhythm_fits(times, name)
    assert not rhythm_fits(times, "even")
    assert rhythm_fits([0.2 * n for n in range(count)], "even")
    assert not rhythm_fits([0.2 * n for n in range(count)], name)
    assert not rhythm_fits(times[:-1], "two quick then one" if count != 4 else "two pairs")


def test_melodies_go_their_way() -> None:
    assert melody_fits([-0.5, -0.2, 0.1], "up")
    assert not melody_fits([-0.5, -0.2, 0.1], "down")
    assert melody_fits([0.4, 0.0], "down")
    assert melody_fits([0.31, 0.33, 0.3], "same")
    assert not melody_fits([0.1, 0.5], "same")
    assert not melody_fits([], "up")
