"""The picture of the recorded trainings' held-out errors."""

from pathlib import Path

import pytest
from benchmarks.stage_losses import RUNS, TRAINING, main, row_of

from vivace.errors import VivaceError
from vivace.media import read_image


def test_a_row_has_the_errors_of_its_run_and_the_ends_of_its_stages() -> None:
    row = row_of(TRAINING / "joint-before-pictures")
    assert [panel is not None for panel in row] == [True] * 4
    both = row[0]
    assert both is not None
    assert both.marks == [700, 800]
    assert [len(line) for line in both.lines.values()] == [6, 6]
    assert row_of(TRAINING / "joint-before-watching")[3] is None  # it was not watched on sound for pictures


def test_every_recorded_run_is_drawn(tmp_path: Path) -> None:
    main(["--output", str(tmp_path / "all.png")])
    main(["--output", str(tmp_path / "one.png"), RUNS[0]])
    many, one = (read_image(tmp_path / name) for name in ("all.png", "one.png"))
    assert many.shape[1] == one.shape[1]
    assert many.shape[0] > 5 * one.shape[0]
    with pytest.raises(VivaceError):
        main(["--output", str(tmp_path / "none.png"), "joint-of-nobody"])
