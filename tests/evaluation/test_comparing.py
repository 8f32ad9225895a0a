import json
from pathlib import Path

import pytest
from tests.evaluation.report.runs import write_run

from vivace.errors import VivaceError
from vivace.evaluation.comparing import compare, read_subjects
from vivace.evaluation.report.comparison_report import write_comparison


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """near: sound within 10 ms of the picture; far: 120 ms; again: as near, other draws."""
    folder = tmp_path_factory.mktemp("runs")
    write_run(folder / "near", {"model": 0.01, "truth": 0.0})
    write_run(folder / "far", {"model": 0.12, "truth": 0.0}, seed=1)
    write_run(folder / "again", {"model": 0.01}, seed=2)
    return folder


def names(runs: Path, *which: str) -> list[str]:
    return [str(runs / name) for name in which]


def test_a_real_difference_holds_and_a_chance_one_does_not(runs: Path) -> None:
    found = compare(read_subjects(names(runs, "near", "far", "again")))
    better = {(entry.metric, entry.first, entry.second): entry.better for entry in found.differences}
    assert better["av_event_f1_50ms", "near", "far"] == "near"
    assert better["av_offset_mean_abs", "near", "far"] == "near"  # less is better there
    assert better["av_event_f1_50ms", "far", "again"] == "again"
    assert all(value is None for (_, one, two), value in better.items() if (one, two) == ("near", "again"))
    assert not any(name == "av_offset_median" for name, _, _ in better)  # it has no better end
    assert found.prompts == 24
    for entry in found.differences:
        assert entry.adjusted >= entry.paired.p_value
        assert entry.paired.low <= entry.paired.mean <= entry.paired.high
    mean, n = found.means["av_event_f1_50ms"]["near"]
    assert n == 24
    first = found.means["av_event_f1_50ms"]["far"][0]
    gap = next(e for e in found.differences if (e.metric, e.second) == ("av_event_f1_50ms", "far"))
    assert gap.paired.mean == pytest.approx(mean - first)
    assert found.differing == {"steps": ("0", "1", "2")}


def test_conditions_of_one_run_are_compared_and_named_by_what_differs(runs: Path) -> None:
    subjects = read_subjects([f"{runs / 'far'}@model", f"{runs / 'far'}@truth"])
    assert [subject.name for subject in subjects] == ["model", "truth"]
    found = compare(subjects, metrics=["av_event_f1_50ms"])
    (entry,) = found.differences
    assert entry.better == "truth"
    assert entry.adjusted == entry.paired.p_value  # one test alone


def test_what_was_measured_differently_is_not_ranked(runs: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "test", {"model": 0.01}, split="test")
    write_run(tmp_path / "long", {"model": 0.01}, seconds=4.0)
    write_run(tmp_path / "texts", {"model": 0.01}, prompt="another text")
    write_run(tmp_path / "versions", {"model": 0.01})
    summary = json.loads((tmp_path / "versions" / "summary.json").read_text())
    summary["groups"]["all"]["model"]["av_event_f1_50ms"]["version"] = "2"
    (tmp_path / "versions" / "summary.json").write_text(json.dumps(summary))
    for name, reason in (
        ("test", "split"), ("long", "seconds"), ("texts", "not the same text"), ("versions", "differently"),
    ):  # fmt: skip
        with pytest.raises(VivaceError, match=reason):
            compare(read_subjects([str(runs / "near"), str(tmp_path / name)]))


def test_fewer_prompts_count_where_one_run_is_longer(runs: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "short", {"model": 0.01}, count=10)
    found = compare(read_subjects([str(runs / "near"), str(tmp_path / "short")]))
    assert found.prompts == 10
    assert max(entry.paired.n for entry in found.differences) == 10


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["near"], "two or more"),
        (["near", "near"], "named twice"),
        (["near", "nowhere"], "holds no results"),
        (["near@dreams", "far"], "condition 'dreams'"),
    ],
)
def test_comparisons_that_make_no_sense_are_refused(words: list[str], reason: str, runs: Path) -> None:
    with pytest.raises(VivaceError, match=reason):
        compare(read_subjects(names(runs, *words)))


def test_unknown_metrics_and_groups_are_refused(runs: Path) -> None:
    subjects = read_subjects(names(runs, "near", "far"))
    with pytest.raises(VivaceError, match="No prompt has a value of 'beauty'"):
        compare(subjects, metrics=["beauty"])
    with pytest.raises(VivaceError, match="no prompt of the group 'dogs'"):
        compare(subjects, group="dogs")


def test_the_files_say_the_same(runs: Path, tmp_path: Path) -> None:
    found = compare(read_subjects(names(runs, "near", "far")))
    write_comparison(tmp_path, found)
    stored = json.loads((tmp_path / "comparison.json").read_text())
    assert stored["differences"][0]["better"] == "near"
    entry = found.differences[0]
    shown = f"{entry.paired.mean:+.3f} [{entry.paired.low:.3f}, {entry.paired.high:.3f}]"
    assert shown in (tmp_path / "comparison.md").read_text()
    page = (tmp_path / "comparison.html").read_text()
    assert shown in page
    assert page.count("<svg") >= 2
    assert stored["prompts_sha256"] in page
