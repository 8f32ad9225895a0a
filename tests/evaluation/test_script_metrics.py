"""Events and paths against the script: values counted by hand."""

import numpy as np
import pytest

from vivace.evaluation.metric import ItemMetric, Sample
from vivace.evaluation.script_metrics import Path, ScriptEvent, order_agreement, path_errors, script_metrics
from vivace.perception.onsets import Onset
from vivace.perception.percept import Heard, Impact, Percept, Seen

SCRIPT = [ScriptEvent(0.3, "drum", -0.5), ScriptEvent(0.8, "bell", 0.5), ScriptEvent(1.4, "drum", -0.5)]


def metric(name: str) -> ItemMetric:
    return next(one for one in script_metrics() if one.name == name)


def value(name: str, sample: Sample) -> float | None:
    found: float | None = metric(name).update(sample).get("value")
    return found


def sample(heard: list[tuple[float, str]], seen: list[float], script: list[ScriptEvent] | None = SCRIPT) -> Sample:
    onsets = tuple(Onset(time, 1.0, 0.0, -20.0) for time, _ in heard)
    sound = Heard(onsets, tuple(kind for _, kind in heard), "drum")
    pictures = Seen(tuple(Impact(time, 0.0, 0.5, 1.0, 0) for time in seen), (), False, "wood")
    return Sample("a", refs={} if script is None else {"events": script}, seen=Percept(pictures, sound))


def test_a_sound_counts_only_for_an_event_of_its_kind() -> None:
    # The bell is heard as a drum, the second drum 40 ms late: one of 3 + 3 at 25 ms, two at 50 ms.
    found = sample([(0.31, "drum"), (0.8, "drum"), (1.44, "drum")], [0.3])
    assert value("script_heard_f1_25ms", found) == pytest.approx(2 * 1 / 6)
    assert value("script_heard_f1_50ms", found) == pytest.approx(2 * 2 / 6)
    assert value("script_heard_f1_100ms", found) == pytest.approx(2 * 2 / 6)
    assert value("script_seen_f1_25ms", found) == pytest.approx(2 * 1 / 4)


def test_what_a_silent_scene_shows_is_not_to_be_heard() -> None:
    silent = [ScriptEvent(0.3, "drum", 0.0, heard=False)]
    quiet = sample([], [0.3], silent)
    assert "undefined" in metric("script_heard_f1_50ms").update(quiet)
    assert value("script_seen_f1_50ms", quiet) == 1.0
    rain = metric("script_heard_f1_50ms").update(sample([(0.3, "drum")], [], []))
    assert rain == {"undefined": "the script has no event that is heard"}


def test_without_a_script_that_binds_there_is_no_value() -> None:
    for one in script_metrics():
        assert one.update(sample([(0.3, "drum")], [0.3], None)) == {"undefined": "no events is given"}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([(0.1, -0.8, None), (0.2, 0.0, None), (0.3, 0.8, None)], (3, 3)),
        ([(0.1, 0.8, None), (0.2, 0.0, None), (0.3, -0.8, None)], (-3, 3)),
        # Left, right, middle: one of three pairs the wrong way round.
        ([(0.1, -0.8, None), (0.2, 0.8, None), (0.3, 0.0, None)], (1, 3)),
        ([(0.1, -0.8, None)], None),
    ],
)
def test_order_is_kendalls_tau_of_what_is_told_apart_by_place(
    found: list[tuple[float, float, str | None]], expected: tuple[int, int] | None
) -> None:
    true = [ScriptEvent(time, "xylophone", x) for time, x in ((0.1, -0.8), (0.5, 0.0), (0.9, 0.8))]
    assert order_agreement(true, found) == expected


def test_events_that_are_alike_have_no_order_and_kinds_have_one() -> None:
    alike = [ScriptEvent(0.1, "drum", 0.0), ScriptEvent(0.5, "drum", 0.1)]
    assert order_agreement(alike, [(0.1, 0.0, "drum"), (0.5, 0.0, "drum")]) is None
    kinds = [ScriptEvent(0.1, "drum", 0.0), ScriptEvent(0.5, "bell", 0.0)]
    assert order_agreement(kinds, [(0.1, 0.0, "bell"), (0.5, 0.0, "drum")]) == (-1, 1)
    assert order_agreement(kinds, [(0.3, 0.0, "drum"), (0.4, 0.0, "bell")]) == (1, 1)


def test_path_errors_are_root_mean_squares_of_the_nearest_track() -> None:
    still = np.zeros((4, 2))
    paths = [Path(0, still), Path(0, still + 1.0)]
    # Two pictures of a track that is 3 to the right and 4 down of nothing but the first path; one of them unseen.
    gap = np.array([[0.03, 0.04], [0.0, 0.0], [np.nan, np.nan]])
    errors, followed = path_errors(paths, [Path(1, gap)])
    assert errors == [pytest.approx(np.sqrt(0.05**2 / 2))]
    assert followed == 2 / 8
    assert path_errors(paths, []) == ([], 0.0)
