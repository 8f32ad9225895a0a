"""How many devices make a clip: what may be typed, and what stands in the record of one that takes shortcuts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vivace.cli.devices import joined, parse_devices
from vivace.cli.main import main
from vivace.errors import VivaceError


@pytest.mark.parametrize(("typed", "meant"), [("1", (1, 1)), ("4", (4, 1)), (" 4x2", (4, 2)), ("1X3", (1, 3))])
def test_devices_for_the_sequence_and_for_the_branches(typed: str, meant: tuple[int, int]) -> None:
    assert parse_devices(typed) == meant


@pytest.mark.parametrize("typed", ["", "0", "2x0", "-2", "two", "2x2x2", "2.5", "99999"])
def test_anything_else_is_refused(typed: str) -> None:
    with pytest.raises(VivaceError, match="give numbers such as 4 or 4x2"):
        parse_devices(typed)


def test_alone_unless_started_as_one_of_several() -> None:
    for devices in (None, "1", "1x1"):
        with joined(devices) as crew:
            assert crew is None


def test_more_devices_than_processes_are_refused_with_how_to_start_them(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["generate", "a drum", "--model", str(model_folder), "--output", str(tmp_path / "clip.mp4")]
    assert main([*words, "--devices", "2x2"]) == 2
    said = capsys.readouterr().err
    assert "asks for 4 devices where 1 process is running; start it as: torchrun --nproc-per-node 4" in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_cache_is_an_option_of_a_clip_and_stands_in_its_record(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = tmp_path / "clip.mp4"
    words = ["generate", "a drum", "--model", str(model_folder), "--output", str(clip), "--seed", "1", "--steps", "5"]
    assert main([*words, "--cache", "0.5", "--json"]) == 0
    record = json.loads(clip.with_suffix(".json").read_text())
    assert record["request"]["cache"] == record["settings"]["cache"] == 0.5
    assert record["devices"] is None
    assert record["compiled"] is False
    capsys.readouterr()
    assert main(["rerun", str(clip)]) == 0
    assert "the same latents, bit for bit" in capsys.readouterr().out
    for wrong in ("-0.1", "1.5", "nan"):
        assert main([*words, "--cache", wrong]) == 2
        assert "is no number from 0 to 1" in capsys.readouterr().err
