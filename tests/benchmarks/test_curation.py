"""The benchmark of curation counts rightly, and goes through on a little footage."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks.curation import area, curve, judged, main
from benchmarks.curation_scale import tree, written

from vivace.curation.stage import Bound

UPPER, LOWER = Bound(column="x", most=2.0), Bound(column="x", least=2.0)


def test_recall_alarms_and_precision_are_counted() -> None:
    own, clean = [3.0, 4.0, 1.0, None], [0.0, 1.0, 2.0, 5.0, None]
    found = judged(UPPER, own, clean)
    assert (found["shots"], found["sound_shots"]) == (4, 5)
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


def test_it_goes_through(tmp_path: Path) -> None:
    main(["--files", "1", "--shots", "2", "--size", "64", "--faulty", "0.5", "--output", str(tmp_path / "r.md")])
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["duplicates"]["pairs"] == 2
    assert sum(row["files"] for row in found["files"]) == 2
    assert {"ingest", "split", "duplicates", "picture", "sound", "coherence"} <= set(found["seconds"])
    assert (tmp_path / "r.md").read_text().startswith("# Curation on faulty footage")


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
    }
    lines = written(found, 2).splitlines()
    assert "2.00 clips per second" in lines[0]
    assert "| ingest | 10 | 3.600 | 50% | 10,000 |" in lines
    assert lines[-1] == "| all | | | | 20,000 |"


def test_a_process_is_in_its_own_tree() -> None:
    import os

    assert os.getpid() in tree(os.getppid())
