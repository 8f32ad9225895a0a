"""The benchmark of what curation is worth: equal sets, units that go on where they were stopped, a true comparison."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from benchmarks.curation_training.__main__ import main
from benchmarks.curation_training.comparison import compared, difference, markdown
from benchmarks.curation_training.sets import ARMS, HELD_OUT, shot_of
from benchmarks.curation_training.unit import FIGURES, prompts

from vivace.curation.clip import Clip
from vivace.data.shards import ShardReader


def test_it_goes_on_where_it_was_stopped_and_compares_equal_sets(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    words = ["run", "--folder", str(folder), "--model", str(model_folder), "--files", "2", "--held-out", "1"]
    words += ["--size", "64", "--seconds", "0.8", "--seeds", "1", "--width", "16", "--steps", "2", "--batch", "2"]
    words += ["--prompts", "2", "--sampling", "1", "--workers", "1", "--threads", "1", "--precision", "fp32"]
    assert main([*words, "--minutes", "0.02"]) == 3
    assert compared(folder)["rows"] == []
    assert main(words) == 0
    assert main([*words, "--faulty", "0.4"]) == 2
    assert main([*words, "--steps", "3"]) == 2
    first = {path: path.read_bytes() for path in folder.glob("runs/*/result.json")}
    assert len(first) == len(ARMS)
    assert main(words) == 0
    assert {path: path.read_bytes() for path in folder.glob("runs/*/result.json")} == first
    readers = {name: ShardReader(folder / "latents" / name / "train", "latents") for name in (*ARMS, HELD_OUT)}
    assert len(readers["raw"]) == len(readers["curated"]) > 0
    assert not set(readers[HELD_OUT].ids) & {name for arm in ARMS for name in readers[arm].ids}
    found = compared(folder)
    assert found["sets"]["faults"][HELD_OUT] == {"none": len(readers[HELD_OUT])}
    assert sum(found["sets"]["kinds"]["raw"].values()) == len(readers["raw"])
    assert found["sets"]["left"]["curated"] < found["sets"]["left"]["raw"]
    assert found["seeds"] == [0]
    assert [row["figure"] for row in found["rows"]] == list(FIGURES)
    errors = found["rows"][0]
    assert errors["items"] == len(readers[HELD_OUT])
    assert errors["difference"][0] == pytest.approx(errors["curated"][0] - errors["raw"][0])
    capsys.readouterr()
    assert main(["table", "--folder", str(folder), "--output", str(tmp_path / "table.md")]) == 0
    assert capsys.readouterr().out.count("\n| ") == 1 + len(FIGURES)
    assert json.loads((tmp_path / "table.json").read_text()) == found


def test_the_difference_is_of_the_same_seeds_and_items() -> None:
    rng = np.random.default_rng(1)
    # Items differ far more from one another than the arms do.
    raw = rng.uniform(0, 10, (3, 40))
    curated = raw - 0.1 + 0.01 * rng.standard_normal(raw.shape)
    found = difference({"raw": with_ones(raw), "curated": with_ones(curated)})
    mean, low, high = found["difference"]
    assert low < mean < high < 0
    assert mean == pytest.approx(-0.1, abs=0.01)
    assert found["raw"][2] - found["raw"][1] > 10 * (high - low)
    again = difference({"raw": with_ones(raw), "curated": with_ones(raw)})
    assert again["difference"] == [0.0, 0.0, 0.0]


def with_ones(values: np.ndarray) -> list[list[list[float]]]:
    return np.stack([values, np.ones_like(values)], axis=-1).tolist()


def test_what_cannot_be_counted_counts_nothing() -> None:
    raw, curated = [[[1.0, 2.0], [0.0, 0.0]]], [[[0.0, 0.0], [0.0, 0.0]]]
    found = difference({"raw": raw, "curated": curated})
    assert (found["raw"][0], found["curated"][0], found["difference"][0]) == (0.5, None, None)
    assert found["counted"] == {"raw": 1, "curated": 0}
    row = {"figure": "x", "lower_is_better": False, **found}
    told = markdown({"sets": None, "seeds": [0], "steps": 1, "seen": 1, "parameters": 1, "rows": [row]})
    assert "| x | higher | 0.5000 [0.5000, 0.5000] | none | none | 2 | 1, 0 |" in told


def test_prompts_state_what_their_words_say() -> None:
    for text, stated in prompts(8, 2.0):
        assert text.startswith("Visual: ")
        for colour in stated.get("colours", ()):
            assert colour in text.lower()


def test_a_clip_is_of_the_shot_it_mostly_shows() -> None:
    shots = [{"start": 0.0, "end": 3.0}, {"start": 3.0, "end": 6.0}]
    assert shot_of(Clip("a", "f", 1.0, 2.5), {"f": shots}) is shots[0]
    assert shot_of(Clip("a", "f", 2.5, 2.5), {"f": shots}) is shots[1]
