"""What the calibration scripts count and write."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.calibrate_measures import (
    FAULTS,
    MATERIAL,
    OUTPUT,
    SETS,
    Kept,
    calibrate,
    due_metrics,
    items_of,
    measured,
    rows_of,
)
from benchmarks.calibrate_measures import markdown as report_of_measures
from benchmarks.detector_table.__main__ import markdown as report_of_detectors
from benchmarks.detector_table.conditions import SOUNDS, degraded_sound
from benchmarks.detector_table.tally import Tally, Values

from vivace.errors import VivaceError
from vivace.evaluation.calibration import FLOOR, LEAST_CLIPS, SHIFTS, SILENCE, STILL, TRUTH, shift_name
from vivace.evaluation.clip_figures import every_figure
from vivace.evaluation.groups import GROUPS, metrics_of
from vivace.evaluation.metric import ItemMetric
from vivace.evaluation.shift_verdicts import is_blind, shipped_verdicts, verdicts_of_rows


def test_events_are_counted_one_to_one() -> None:
    tally = Tally()
    tally.add_times([0.5, 1.0, 1.5], [0.51, 1.2, 1.49, 1.51], 0.05)
    row = tally.row()
    assert (row["precision"], row["recall"]) == (0.5, pytest.approx(2 / 3))
    assert (row["true"], row["found"]) == (3, 4)
    assert abs(row["bias_ms"] or 0.0) <= 10.0
    assert row["mae_ms"] == pytest.approx(10.0)
    assert Tally().row()["precision"] is None


def test_stretches_are_counted_step_by_step() -> None:
    tally = Tally()
    tally.add_steps(np.array([1, 1, 0, 0], bool), np.array([0, 1, 1, 0], bool))
    assert (tally.row()["precision"], tally.row()["recall"]) == (0.5, 0.5)


def test_amounts_are_compared_with_what_was_put_in() -> None:
    values = Values("Hz")
    for true, found in ((100.0, 110.0), (200.0, 190.0), (300.0, 330.0), (400.0, None)):
        values.add(true, found)
    row = values.row()
    assert (row["bias"], row["mae"]) == (pytest.approx(10.0), pytest.approx(50 / 3))
    assert (row["rank_correlation"], row["values"], row["missing"]) == (pytest.approx(1.0), 3, 1)
    assert Values("").row()["bias"] is None


def test_noise_has_the_strength_that_its_name_says() -> None:
    tone = np.sin(np.arange(32000) * 0.1)[None].astype(np.float32) * 0.1
    for condition, ratio in (("20 dB noise", 20.0), ("6 dB noise", 6.0)):
        noise = degraded_sound("a", tone, 16000, condition) - tone
        assert 10 * np.log10((tone**2).mean() / (noise**2).mean()) == pytest.approx(ratio, abs=0.3)
    assert degraded_sound("a", tone, 16000, "clean") is tone
    for condition in SOUNDS:
        found = [degraded_sound(name, tone, 16000, condition) for name in ("a", "a")]
        assert np.array_equal(*found)


def test_the_table_says_what_there_is() -> None:
    row: dict[str, Any] = {
        "detector": "cuts",
        "condition": "dark",
        "clips": 4,
        "kind": "events",
        **Tally(3, 4, 3, [1.0, -2.0, 4.0]).row(),
    }
    values = Values("LU", [1.0, 2.0, 3.0], [1.5, 2.5, 3.5])
    amount: dict[str, Any] = {"detector": "loudness", "condition": "quiet", "kind": "values", **values.row()}
    text = report_of_detectors([row, amount, {**row, **Tally().row()}], "python -m benchmarks.detector_table --clips 4")
    assert "| loudness | quiet | LU | 0.500 | 0.500 | 1.00 | 3 | 0 |" in text
    assert "| cuts | dark | 0.750 | 1.000 | 3 | 4 | 1.0 | 2.3 | 4 |" in text
    assert "| cuts | dark | - | - | 0 | 0 | - | - | 4 |" in text
    assert "| sound onsets | drum | 1.000 | 1.000 |" in text  # of the calibration that the thresholds come from


def test_a_measure_that_finds_no_shift_is_marked() -> None:
    treatments = [TRUTH, "codecs", *map(shift_name, SHIFTS), *FAULTS, FLOOR, SILENCE, STILL]
    clips = [f"clip {n}" for n in range(8)]

    def measure(name: str, *sides: str) -> ItemMetric:
        return ItemMetric(name, lambda sample: [0.0, 1.0], requires=sides)

    def values(change: float) -> dict[str, dict[str, float | None]]:
        late = {shift_name(ms) for ms in SHIFTS}
        found: dict[str, dict[str, float | None]] = {
            treatment: {clip: 0.9 - n / 100 - (change if treatment in late else 0.0) for n, clip in enumerate(clips)}
            for treatment in treatments
        }
        return found | {SILENCE: dict.fromkeys(clips)}

    metrics = [measure("sharp", "pictures", "sound"), measure("blind", "pictures", "sound"), measure("one", "sound")]
    rows = rows_of("impacts", metrics, {"sharp": values(0.5), "blind": values(0.0), "one": values(0.0)})
    told = {"command": "python x", "clips": 8, "model": "nano-nava"}
    text = report_of_measures(rows, told)
    assert "| blind ↑ | **no** |" in text
    assert "| sharp ↑ | yes |" in text
    assert text.count("| one ↑ |") == 1  # not among the measures of synchrony
    assert "--clips 64" in text


def test_a_clip_that_was_measured_is_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def measure(job: Any) -> dict[str, Any]:
        asked.append(job[1].id)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return {"sharp": {TRUTH: {job[1].id: 0.5, "none": None}}}

    monkeypatch.setattr("benchmarks.calibrate_measures.measure_one", measure)
    by = {"codecs": "a", "perception": "1"}
    with pytest.raises(KeyboardInterrupt):
        measured("silence", 4, 1, Kept(tmp_path, by))
    with (tmp_path / "clips.jsonl").open("a") as file:
        file.write('{"key": "cut')  # a line that a crash has cut off
    found = measured("silence", 4, 1, Kept(tmp_path, by))
    names = [item.id for item in items_of("silence", 4)]
    assert asked == [*names[:3], *names[2:]]
    assert found["sharp"][TRUTH] == {**dict.fromkeys(names, 0.5), "none": None}
    # Through other codecs all is measured anew; with more clips only what is new, and the last, whose neighbour is.
    asked.clear()
    measured("silence", 2, 1, Kept(tmp_path, {**by, "codecs": "b"}))
    assert asked == names[:2]
    asked.clear()
    measured("silence", 2, 1, Kept(tmp_path, by))
    assert asked == names[1:2]


def test_every_weight_free_measure_of_the_benchmark_has_a_row_in_the_committed_calibration() -> None:
    rows = json.loads((OUTPUT / "calibration.json").read_text(encoding="utf-8"))["rows"]
    measured = {row["measure"] for row in rows if row["means"][TRUTH][0] is not None}
    every = {metric.name for group in ("seen", "camera", *GROUPS) for metric in metrics_of(group)}
    every |= {metric.name for metric in every_figure()} | set(SETS)
    assert not every - measured
    assert all(row["means"][TRUTH][1] >= LEAST_CLIPS for row in rows if row["tells_200_ms"] in ("yes", "no"))


def test_the_verdicts_that_reports_use_are_those_of_the_committed_calibration() -> None:
    rows = json.loads((OUTPUT / "calibration.json").read_text(encoding="utf-8"))["rows"]
    assert shipped_verdicts() == verdicts_of_rows(rows)
    assert {row["material"] for row in rows} == set(MATERIAL)
    assert is_blind("env_sync_c", "all")
    assert not is_blind("av_event_f1_50ms", "all")


def test_measures_are_added_to_a_report_that_lacks_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(job: Any) -> dict[str, Any]:
        return {metric.name: {TRUTH: {job[1].id: 0.5}} for metric in due_metrics(job[0])}

    monkeypatch.setattr("benchmarks.calibrate_measures.measure_one", measure)
    asked = argparse.Namespace(
        clips=2, processes=1, model="", material=["silence"], add=False, output=tmp_path, work=tmp_path / "work"
    )
    calibrate(asked)
    whole = json.loads((tmp_path / "calibration.json").read_text())
    kept = [row for row in whole["rows"] if row["measure"] != "silence_kept"]
    (tmp_path / "calibration.json").write_text(json.dumps(whole | {"rows": kept}))
    asked.clips, asked.add = 3, True
    calibrate(asked)
    added = json.loads((tmp_path / "calibration.json").read_text())
    rows = {row["measure"]: row["clips"] for row in added["rows"]}
    assert rows == {**{row["measure"]: 2 for row in kept}, "silence_kept": 3}
    assert (added["clips"], len(added["added"])) == (2, 1)
    assert "| silence_kept ↑ [3] |" in (tmp_path / "calibration.md").read_text()
    asked.output = tmp_path / "none"
    with pytest.raises(VivaceError, match="no report"):
        calibrate(asked)
