"""Verdicts by dimension: anchors that the calibration gives, and what a figure with its interval says."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from vivace.evaluation.metric import ItemMetric
from vivace.evaluation.proxy_verdicts import anchors, anchors_from, told, verdict_of, verdict_of_dimension
from vivace.evaluation.suites.run import evaluate_suite
from vivace.evaluation.suites.suite import Suite, SuiteItem
from vivace.media import Clip, write_clip

CALIBRATION = Path(__file__).parents[2] / "docs" / "results" / "calibration.json"


def entry(value: float | None, low: float | None = None, high: float | None = None) -> dict[str, float | None]:
    return {"value": value, "ci_low": low, "ci_high": high}


def test_the_anchors_are_those_of_the_committed_calibration() -> None:
    rows = json.loads(CALIBRATION.read_text(encoding="utf-8"))["rows"]
    assert anchors_from(rows) == anchors()


def test_the_less_telling_material_counts() -> None:
    rows = [
        {"material": "impacts", "measure": name, "means": {"truth": [0.2, 9], anchor.damage: [0.9, 9]}}
        for name, anchor in anchors().items()
    ]
    rows += [
        {**row, "material": "talk", "means": {k: [v[0] - 0.1, 9] for k, v in row["means"].items()}} for row in rows
    ]
    found = anchors_from(rows)["picture_frozen"]
    assert (found.truth, found.damaged) == (0.2, 0.8)


@pytest.mark.parametrize("proxy", sorted(anchors()))
def test_truth_is_good_damage_fails_and_the_middle_is_unsure(proxy: str) -> None:
    anchor = anchors()[proxy]
    middle = (anchor.truth + anchor.damaged) / 2
    assert verdict_of(proxy, entry(anchor.truth)) == "good"
    assert verdict_of(proxy, entry(anchor.damaged)) == "fails"
    assert verdict_of(proxy, entry(middle)) == "unsure"
    assert verdict_of(proxy, entry(anchor.truth, anchor.damaged, anchor.truth)) == "unsure"  # the interval says nothing
    beyond = anchor.truth + (anchor.truth - anchor.damaged)
    assert verdict_of(proxy, entry(beyond, *sorted((anchor.truth, beyond)))) == "good"


def test_what_is_not_measured_or_has_no_anchors_says_nothing() -> None:
    assert verdict_of("picture_frozen", {"status": "skipped"}) is None
    assert verdict_of("picture_frozen", entry(None)) is None
    assert verdict_of("musiq", entry(60.0)) is None


def test_one_proxy_that_fails_is_enough_and_all_must_be_good() -> None:
    known = anchors()
    good, bad = entry(known["picture_frozen"].truth), entry(known["picture_flicker"].damaged)
    assert verdict_of_dimension({"picture_frozen": good, "picture_flicker": bad}) == "fails"
    assert verdict_of_dimension({"picture_frozen": good, "musiq": {"status": "skipped"}}) == "good"
    assert verdict_of_dimension({"musiq": entry(60.0)}) is None
    dimensions = {
        "motion_smoothness": {"proxies": {"picture_frozen": good, "picture_flicker": bad}},
        "cleanliness": {"proxies": {"sound_clipped": entry(known["sound_clipped"].truth)}},
        "physics": {"proxies": {}},
    }
    assert told(dimensions) == "fails: motion_smoothness; good: cleanliness; 1 without a verdict"


def test_a_report_shows_which_capability_fails(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", Clip(np.zeros((2, 16, 16, 3), np.uint8), Fraction(24), None, 16000))
    items = tuple(SuiteItem(name, "g", "", tags=("motion_smoothness", "physics")) for name in "abc")
    dimensions = {"motion_smoothness": ("picture_frozen",), "physics": ()}
    metric = ItemMetric("picture_frozen", lambda sample: [0.9, 1.0], requires=(), direction="lower")
    suite = Suite("toy", "toy", "A toy.", items, dimensions=dimensions)
    evaluate_suite(suite, tmp_path / "out", [metric], clips=dict.fromkeys("abc", tmp_path / "clip.mp4"))
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "fails: motion_smoothness; 1 without a verdict." in page
    assert ">fails</td>" in page
