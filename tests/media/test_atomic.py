"""Files and folders are whole or absent, whatever fails and whenever the process is killed."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError
from safetensors.numpy import save_file
from tests.media.small_disk import small_disk

from vivace.errors import VivaceError
from vivace.media.atomic import refusals_told, replacing, replacing_folder, sweep

LARGE = {"a": np.zeros(10_000, np.uint8)}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def model(folder: Path, content: str) -> Path:
    """A folder of two files that belong together."""
    folder.mkdir()
    for name in ("config", "weights"):
        (folder / name).write_text(content)
    return folder


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_disk_that_safetensors_fills_is_told_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("old")
    with small_disk(4096), pytest.raises(VivaceError) as caught, replacing(tmp_path / "x") as temporary:
        save_file(LARGE, temporary)
    assert str(caught.value) == (
        f"Output {str(tmp_path / 'x')!r} cannot be written: a file would be larger than this system allows; "
        "raise that limit or choose another disk."
    )
    assert contents(tmp_path) == {"x": "old"}


@pytest.mark.parametrize(
    "told",
    [
        "Error while serializing: I/O error: No space left on device (os error 28)",
        'Error while serializing: IoError(Os { code: 28, kind: StorageFull, message: "No space left on device" })',
    ],
)
def test_every_release_of_safetensors_is_understood(told: str) -> None:
    with (
        pytest.raises(VivaceError, match=r"^Output 'x' cannot be written: the disk is full; .+\.$"),
        refusals_told("x"),
    ):
        raise SafetensorError(told)


def test_what_the_system_did_not_refuse_is_no_bad_output() -> None:
    with pytest.raises(SafetensorError), refusals_told("x"):
        raise SafetensorError("Error while deserializing header: header too small")


def test_a_folder_is_replaced_with_all_that_it_held(tmp_path: Path) -> None:
    (model(tmp_path / "model", "old") / "more").touch()
    for place in (tmp_path / "model", tmp_path / "new" / "model"):
        with replacing_folder(place) as temporary:
            (temporary / "config").write_text("new")
        assert contents(place) == {"config": "new"}
        assert [name for name in names(place.parent) if name.startswith(".")] == []


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), RuntimeError("bad")])
def test_a_folder_that_fails_leaves_the_old_one(tmp_path: Path, error: BaseException) -> None:
    place = model(tmp_path / "model", "old")

    def failing() -> None:
        with replacing_folder(place) as temporary:
            (temporary / "config").write_text("new")
            raise error

    with pytest.raises(VivaceError if isinstance(error, OSError) else type(error)):
        failing()
    assert names(tmp_path) == ["model"]
    assert contents(place) == {"config": "old", "weights": "old"}


def test_a_file_is_no_folder_to_replace(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(VivaceError, match="notes' is a file; name a folder"), replacing_folder(tmp_path / "notes"):
        pass
    assert contents(tmp_path) == {"notes": "mine"}


def test_what_a_link_leads_to_is_replaced(tmp_path: Path) -> None:
    place = model(tmp_path / "model", "old")
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "latest"
    link.symlink_to(place)
    with replacing_folder(link) as temporary:
        (temporary / "config").write_text("new")
    assert link.is_symlink()
    assert contents(place) == {"config": "new"}
    assert names(tmp_path) == ["links", "model"]


KILLED = """
import os, shutil, sys
from pathlib import Path
from vivace.media.atomic import replacing_folder

left = int(sys.argv[2])

def or_die(call):
    def counted(*arguments, **options):
        global left
        left -= 1
        if left < 0:
            os._exit(9)
        return call(*arguments, **options)
    return counted

with replacing_folder(sys.argv[1]) as temporary:
    for name in ("config", "weights"):
        (temporary / name).write_text("new")
    Path.rename, shutil.rmtree = or_die(Path.rename), or_die(shutil.rmtree)
"""


@pytest.mark.parametrize(("calls", "whole"), [(0, "old"), (1, "old"), (2, "new"), (3, "new")])
def test_a_kill_at_any_moment_leaves_one_whole_folder(tmp_path: Path, calls: int, whole: str) -> None:
    """Of the calls that put the old folder aside, the new one in its place and the old one away."""
    place = model(tmp_path / "model", "old")
    done = subprocess.run([sys.executable, "-c", KILLED, str(place), str(calls)], check=False)
    assert done.returncode == 9
    sweep(tmp_path)
    assert names(tmp_path) == ["model"]
    assert contents(place) == {"config": whole, "weights": whole}


def test_what_was_put_aside_comes_back_where_the_next_attempt_fails_too(tmp_path: Path) -> None:
    model(tmp_path / ".before-model", "old")
    model(tmp_path / ".writing-model", "half")
    with pytest.raises(VivaceError), replacing_folder(tmp_path / "model"):
        raise VivaceError("No such base.")
    assert names(tmp_path) == ["model"]
    assert contents(tmp_path / "model") == {"config": "old", "weights": "old"}


def test_sweeping_takes_only_what_is_unfinished(tmp_path: Path) -> None:
    for name in (".writing-step-3", ".writing-00000007", "step-2"):
        model(tmp_path / name, "x")
    for name in (".vivace-1-a.part", ".vivace-notes", "thesis.part"):
        (tmp_path / name).touch()
    sweep(tmp_path)
    assert names(tmp_path) == [".vivace-notes", "step-2", "thesis.part"]
    sweep(tmp_path / "nowhere")
    assert not os.path.lexists(tmp_path / "nowhere")
