"""The benchmark of curation counts rightly, and goes through on a little footage."""

from __future__ import annotations

import json

import pytest
from benchmarks.curation.__main__ import main
from benchmarks.curation.counting import Table, area, covered, curve, judged, word_errors
from benchmarks.curation.kinds import balance
from benchmarks.curation.people import OUTCOMES, SLIPS
from benchmarks.curation.shots import Shot
from benchmarks.curation_scale import tree, written

from vivace.curation.clip import Clip
from vivace.curation.stage import Bound

UPPER, LOWER = Bound(column="x", most=2.0), Bound(column="x", least=2.0)


def test_recall_alarms_and_precision_are_counted() -> None:
    own, clean = [3.0, 4.0, 1.0, None], [0.0, 1.0, 2.0, 5.0, None]
    found = judged(UPPER, own, clean)
    assert (found["shots"], found["sound shots"]) == (4, 5)
    assert found["recall"] == 0.5
    assert found["alarms"] == 0.2
    assert found["precision"] == pytest.approx(2 / 3)
    assert judged(UPPER, [1.0], [1.0])["precision"] is None


def test_the_area_is_the_chance_of_the_right_order() -> None:
    assert area(UPPER, [3.0, 4.0], [1.0, 2.0]) == 1.0
    assert area(LOWER, [3.0, 4.0], [1.0, 2.0]) == 0.0
    assert area(UPPER, [1.0, 3.0], [2.0]) == 0.5
    assert area(UPPER, [None], [1.0]) == 0.0
    assert area(UPPER, [None], [None]) == 0.5
    assert area(UPPER, [], [1.0]) is None


def test_a_curve_runs_from_all_to_nothing_and_holds_the_bound() -> None:
    points = curve(UPPER, [3.0, 4.0, 5.0], [0.0, 1.0, 4.5])
    assert [point["threshold"] for point in points] == sorted(point["threshold"] for point in points)
    assert {"threshold": 2.0, "recall": 1.0, "alarms": pytest.approx(1 / 3)} in points
    assert points[-1]["recall"] == 0.0
    recalls = [point["recall"] for point in points]
    assert recalls == sorted(recalls, reverse=True)


def test_word_errors_are_the_fewest_changes() -> None:
    assert word_errors(["one", "two", "three"], ["one", "two", "three"]) == 0
    assert word_errors(["one", "two", "three"], ["two", "three", "four"]) == 2
    assert word_errors([], ["one"]) == word_errors(["one"], []) == 1


def test_covered_seconds_are_those_of_both() -> None:
    assert covered([[0.0, 1.0], [2.0, 3.0]], [[0.5, 2.25]]) == pytest.approx(0.75)
    assert covered([], [[0.0, 1.0]]) == 0.0


def test_a_table_has_its_rows_and_curves() -> None:
    table = Table("x", "Told.", [{"a": 1, "b": 0.5}, {"a": 2, "b": None}], {"c": [{"threshold": 0.1, "recall": 1.0}]})
    lines = table.markdown()
    assert "| a | b |" in lines
    assert "| 2 |  |" in lines
    assert "- c (recall): 0.1: 1" in lines
    assert "Nothing of it is in this footage." in Table("x", "Told.", []).markdown()


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Table]:
    """The tables of a run on a little footage."""
    folder = tmp_path_factory.mktemp("curation")
    little = ["--files", "3", "--shots", "2", "--size", "96", "--faulty", "0.3", "--people", "2"]
    main([*little, "--output", str(folder / "r.md")])
    assert (folder / "r.md").read_text().startswith("# Curation on faulty footage")
    return {one["stage"]: Table(**one) for one in json.loads((folder / "r.json").read_text())["tables"]}


def test_every_stage_has_a_table(tables: dict[str, Table]) -> None:
    assert list(tables) == [
        *("ingest", "split", "picture", "marks", "sound", "coherence", "duplicates", "speech", "captions", "subjects"),
        *("clarity", "labels", "balance", "pairs"),
    ]
    assert all(tables[name].rows for name in ("ingest", "split", "marks", "duplicates", "clarity", "labels", "pairs"))


def test_copies_and_broken_files_are_counted(tables: dict[str, Table]) -> None:
    assert {row["file"]: row["files"] for row in tables["ingest"].rows} == {"whole": 4, "truncated": 1}
    assert [(row["copy"], row["pairs"], row["found"]) for row in tables["duplicates"].rows] == [("duplicate", 2, 2)]
    recalls = [point["recall"] for point in tables["duplicates"].curves["share of the picture's bits that may differ"]]
    assert recalls == sorted(recalls)


def test_answers_come_to_one_of_four_ends(tables: dict[str, Table]) -> None:
    rows = {row["answer"]: row for row in tables["captions"].rows}
    assert list(rows) == [name for name, _ in SLIPS]
    for row in rows.values():
        assert sum(row[end] for end in OUTCOMES) == row["asked"] > 0
    assert rows["as asked"]["right at once"] == rows["as asked"]["asked"]
    assert rows["in a code fence"]["repaired"] == rows["in a code fence"]["asked"]
    for name in ("a refusal", "nothing", "not finished", "without a narration"):
        assert rows[name]["rejected"] == rows[name]["asked"]
    assert rows["other words"]["wrongly accepted"] == rows["other words"]["asked"]


def test_levels_fall_with_blur_in_the_table(tables: dict[str, Table]) -> None:
    levels = [row["median level"] for row in tables["clarity"].rows]
    assert levels == sorted(levels, reverse=True)


def test_balance_makes_the_largest_share_smaller() -> None:
    sizes = {"A/a/a": 16, "B/b/b": 4, "C/c/c": 1}
    found = []
    for name, count in sizes.items():
        for n in range(count):
            clip = Clip(f"{name}{n}", "x").with_columns("labels", label=name, speaking=False)
            clip = clip.with_columns("coherence", kind="strong")
            found.append((Shot(clip, "", {}, 0.0), clip))
    table = balance(found)
    assert {row["label"]: row["before"] for row in table.rows} == sizes
    assert [point["largest share"] for point in table.curves["temper"]] == sorted(
        point["largest share"] for point in table.curves["temper"]
    )
    assert table.curves["temper"][0]["largest share"] == pytest.approx(1 / 3)
    assert {point["rarest label kept"] for point in table.curves["temper"]} == {1.0}


def test_a_hundred_million_clips_are_in_proportion() -> None:
    found = {
        "files": 10,
        "clips": 100,
        "kept": 50,
        "seconds": 50.0,
        "main_bytes": 2**20,
        "main_bytes_at_half": 2**20,
        "worker_bytes": 2**21,
        "ledger_bytes": 100 * 1024,
        "shard_bytes": 50 * 2048,
        "stage_seconds": {"ingest": 3.6, "picture": 0.36, "pairs": None},
        "came": {"ingest": 10, "picture": 100, "pairs": 0},
        "jobs_by_node": {},
    }
    lines = written(found, 2).splitlines()
    assert "2.00 clips per second" in lines[0]
    assert "| ingest | 10 | 3.600 | 50% | 10,000 |" in lines
    assert lines[-1] == "| all | | | | 20,000 |"


def test_a_process_is_in_its_own_tree() -> None:
    import os

    assert os.getpid() in tree(os.getppid())
