"""The world's speed is told for every kind of scene."""

from pathlib import Path

import pytest
from benchmarks.world_speed import main

from vivace.world.scene import ALL_KINDS


def test_every_kind_is_timed_and_its_parts_make_up_the_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--clips", "1", "--size", "32", "--seconds", "1.5", "--output", str(tmp_path / "speed.md")])
    told = (tmp_path / "speed.md").read_text()
    assert told == capsys.readouterr().out.removesuffix("\n")
    rows = [line.strip("| ").split(" | ") for line in told.splitlines() if line.startswith("| ")][1:]
    assert [row[0] for row in rows] == list(ALL_KINDS)
    for _, scene, pictures, sound, whole, _ in rows:
        assert abs(int(scene) + int(pictures) + int(sound) - int(whole)) <= 2  # rounded one by one
        assert int(whole) > 0
