"""What n does to a metric of whole sets, on sets whose distance without end is known."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from vivace.errors import VivaceError
from vivace.evaluation.comparing import compare, read_subjects
from vivace.evaluation.growing_sets import SUBSETS, UNBIASED
from vivace.evaluation.grown import grown_lines, without_end
from vivace.evaluation.metric import Result, Sample
from vivace.evaluation.report.comparison_report import write_comparison
from vivace.evaluation.set_metric import Features, SetMetric
from vivace.evaluation.set_values import SET_VALUES
from vivace.evaluation.suites.run import evaluate_suite
from vivace.evaluation.suites.suite import Suite, SuiteItem
from vivace.media import Clip, write_clip

SIZE = 6
# Two Gaussians in six dimensions, in each 0.5 apart and with deviations of 1 and 1.5: 6 (0.5² + 0.5²).
APART = 3.0


def gaussians(count: int, seed: int, size: int = SIZE, rows: int = 1) -> dict[str, Features]:
    rng = np.random.default_rng(seed)
    return {
        f"{n:04d}": {
            "generated": rng.normal(0.5, 1.5, (rows, size)),
            "reference": rng.normal(0.0, 1.0, (rows, size)),
        }
        for n in range(count)
    }


def measured(name: str, features: dict[str, Features]) -> Result:
    value = SET_VALUES[name]
    metric = SetMetric(name, lambda sample: {}, value.of, least=value.least, draws=0, over_n=value.over_n)
    for sample, found in features.items():
        metric.add(sample, found)
    return metric.compute()


def test_the_distance_without_end_is_that_of_the_gaussians() -> None:
    results = [measured("fd_vggish", gaussians(240, seed)) for seed in range(12)]
    curves = [[point["value"] for point in (result.by_n or {})["points"]] for result in results]
    assert [point["n"] for point in (results[0].by_n or {})["points"]] == [60, 120, 180, 240]
    assert [curve[3] for curve in curves] == pytest.approx([result.value for result in results])
    bias = np.mean(curves, axis=0) - APART
    assert bias[0] > bias[1] > bias[2] > bias[3] > 0.15
    assert bias[0] == pytest.approx(4 * bias[3], rel=0.35)  # it goes like 1/n
    ends = [(result.by_n or {})["inf"]["value"] for result in results]
    assert np.mean(ends) == pytest.approx(APART, abs=0.12)
    again = measured("fd_vggish", dict(reversed(gaussians(240, 0).items())))
    assert again == results[0]


def test_where_a_set_is_smaller_than_its_vectors_there_is_no_end() -> None:
    found = measured("fd_vggish", gaussians(100, 0, size=64)).by_n
    assert found is not None
    assert (found["inf"]["name"], found["inf"]["value"]) == ("fd_vggish_inf", None)
    assert "from n 65 on" in found["inf"]["reason"]
    assert [point["subsets"] for point in found["points"]] == [SUBSETS] * 3 + [1]
    # The upper three sizes are enough, and so are several rows of each sample.
    assert (measured("fd_vggish", gaussians(140, 0, size=64)).by_n or {})["inf"]["value"] is not None
    assert (measured("fd_vggish", gaussians(100, 0, size=64, rows=2)).by_n or {})["inf"]["value"] is not None
    assert "too few samples" not in without_end(found)


def test_a_kernel_distance_needs_no_end() -> None:
    found = measured("kvd_videogpt", gaussians(200, 1)).by_n
    assert found is not None
    assert found["inf"] == {"name": "kvd_videogpt_inf", "value": None, "reason": UNBIASED}
    values = [point["value"] for point in found["points"]]
    assert values[0] == pytest.approx(values[3], rel=0.1)


def test_the_inception_score_without_end_is_the_number_of_classes() -> None:
    def classes(count: int, seed: int) -> dict[str, Features]:
        rng = np.random.default_rng(seed)
        return {f"{n:04d}": {"logits": 30.0 * np.eye(4)[rng.integers(4)]} for n in range(count)}

    results = [measured("is_panns", classes(400, seed)) for seed in range(4)]
    for result in results:
        assert result.value is not None
        assert result.value < 4.0  # four classes, one for each clip and equally often
    values = [float(result.value or 0) for result in results]
    ends = [(result.by_n or {})["inf"]["value"] for result in results]
    assert abs(np.mean(ends) - 4.0) < 0.5 * abs(np.mean(values) - 4.0)
    few = measured("is_panns", classes(60, 0)).by_n
    assert few is not None
    assert few["inf"]["value"] is None


def test_too_small_subsets_are_left_out() -> None:
    found = measured("is_panns", {f"{n}": {"logits": np.eye(4)[n % 4]} for n in range(12)})
    assert found.value is not None
    assert [point["n"] for point in (found.by_n or {})["points"]] == [12]
    assert grown_lines({"model": {"is_panns": found.to_json()}}) == []  # one size is no curve
    assert measured("fd_vggish", gaussians(1, 0)).by_n is None


def test_the_table_names_value_and_end() -> None:
    result = measured("fd_vggish", gaussians(240, 0))
    lines = grown_lines({"model": {"fd_vggish": {**result.to_json(), "version": "1, unverified"}}})
    (row,) = [line for line in lines if line.startswith("| fd_vggish (unverified) | model |")]
    assert f"{result.value:.3f} n 240" in row
    assert f"fd_vggish_inf {(result.by_n or {})['inf']['value']:.3f}" in row


def run(folder: Path, clip: Path, count: int, lost: int = 0) -> Path:
    """A run of `count` clips whose features are drawn, and of the first `lost` of which there are none."""
    value = SET_VALUES["fd_vggish"]

    def features(sample: Sample) -> Features:
        if int(sample.id) < lost:
            raise VivaceError("no features of this one.")
        rng = np.random.default_rng([int(sample.id), lost])
        return {"generated": rng.normal(0.5, 1.0, 2), "reference": rng.normal(size=2)}

    metrics = [
        SetMetric(name, features, value.of, requires=("pictures",), over_n=value.over_n)
        for name in ("fd_vggish", "fd_of_ours")
    ]
    items = tuple(SuiteItem(f"{n:02d}", "clips", "") for n in range(count))
    evaluate_suite(Suite("toy", "toy-1", "", items), folder, metrics, clips={item.id: clip for item in items})
    return folder


def test_reports_show_the_curve_and_sets_of_other_n_are_not_ranked(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    write_clip(clip, Clip(np.full((2, 32, 32, 3), 90, np.uint8), Fraction(24), None, 16000))
    whole, part = run(tmp_path / "whole", clip, 16), run(tmp_path / "part", clip, 16, lost=4)
    told, page = ((whole / name).read_text() for name in ("summary.md", "report.html"))
    assert "## Sets over growing n" in told
    assert "fd_vggish_inf" in told
    assert "<h2>Sets over growing n</h2>" in page
    assert "1/n; at 0 without end" in page
    assert "n without end" in page  # the mark at 0
    names = [str(whole), str(part)]
    found = compare(read_subjects(names))
    assert {name: n for name, (_, n) in found.means["fd_vggish"].items()} == {"whole": 12, "part": 12}
    assert found.differences[0].paired.n == 12
    # Of the other nothing can be tested, and the summaries' values are of 16 and 12.
    assert found.unpaired == ("fd_of_ours",)
    assert found.sizes == {name: {"whole": 16, "part": 12} for name in ("fd_vggish", "fd_of_ours")}
    write_comparison(tmp_path / "out", found)
    for name in ("comparison.md", "comparison.html"):
        assert "whole n 16, part n 12" in (tmp_path / "out" / name).read_text()
    with pytest.raises(VivaceError, match=r"sets of other sizes \(whole n 16, part n 12\)"):
        compare(read_subjects(names), metrics=["fd_of_ours"])
    assert compare(read_subjects([str(whole), str(run(tmp_path / "again", clip, 16))])).sizes == {}
