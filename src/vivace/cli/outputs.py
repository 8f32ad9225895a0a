"""The files of one result: one name for all of them, no other file overwritten, all of them written or none.

A file is overwritten only where it says itself that it belongs to the same request: a clip by the record in it, a JSON
file by being that record, a contact sheet by a mark. Any other one makes the whole set take the next free name.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vivace.cli.leftovers import new_part
from vivace.errors import VivaceError

if TYPE_CHECKING:
    import numpy as np

_MARK = "vivace"


def check_folder(path: Path, what: str = "Output") -> None:
    """Refuse before any work a folder that could not be made or written after it.

    Args:
        what: how a message calls it.

    Raises:
        VivaceError: a file in its place, or one that may not be made or written there.
    """
    try:
        nearest = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
        if not nearest.is_dir():
            raise VivaceError(
                f"{what} {str(path)!r} cannot be made: {str(nearest)!r} is a file; choose another folder."
            )
        # Tried, since permissions do not tell of every file system that takes no files.
        Path(tempfile.mkdtemp(prefix=".vivace-", dir=nearest)).rmdir()
    except (OSError, ValueError) as error:
        if isinstance(error, VivaceError):
            raise
        why = (getattr(error, "strerror", None) or str(error)).lower()
        raise VivaceError(f"{what} {str(path)!r} cannot be written ({why}); choose another folder.") from None


@dataclass(frozen=True)
class Outputs:
    """A clip, its record (.json) and, where it is wanted, its contact sheet (.png), which share a name.

    Args:
        clip: path of the clip.
        with_sheet: whether there is to be a contact sheet.
    """

    clip: Path
    with_sheet: bool = False

    @property
    def record(self) -> Path:
        return self.clip.with_suffix(".json")

    @property
    def sheet(self) -> Path | None:
        return self.clip.with_suffix(".png") if self.with_sheet else None

    def paths(self) -> list[Path]:
        """All of them, the clip last: a clip that is there has its record and its sheet."""
        return [self.record, *([] if self.sheet is None else [self.sheet]), self.clip]

    def check(self) -> None:
        """Refuse before any work what could not be written after it.

        Raises:
            VivaceError: a folder in place of a file, a path that cannot be made or written.
        """
        path = self.clip
        try:
            for part in reversed(self.paths()):
                if part.is_dir():
                    what = "" if part == path else f", which goes with {path.name!r},"
                    raise VivaceError(f"Output {str(part)!r}{what} is a folder; name another file.")
            if "\0" in str(path):
                raise ValueError("it holds a NUL character")
            parent = next(folder for folder in path.absolute().parents if folder.exists())
            if not parent.is_dir():
                raise VivaceError(
                    f"Output {str(path)!r} cannot be made: {str(parent)!r} is a file; choose another path."
                )
            if not os.access(parent, os.W_OK | os.X_OK):
                raise VivaceError(f"Output {str(path)!r} may not be written in {str(parent)!r}; choose another folder.")
        except (OSError, ValueError) as error:
            if isinstance(error, VivaceError):
                raise
            raise VivaceError(f"Output {str(path)!r} is no possible path ({error}); choose another.") from None

    def free(self, ours: Callable[[Path], bool]) -> tuple[Outputs, list[str]]:
        """These, or the first of -2, -3, ... at which nothing is that is not ours; and what should be told of it.

        Args:
            ours: whether a file belongs to the same request.
        """
        path, note = free_name(self.clip, lambda path: replace(self, clip=path).paths(), ours)
        return replace(self, clip=path), note

    @contextlib.contextmanager
    def written(self) -> Iterator[Outputs]:
        """Yield the same names in a hidden folder beside; when the block ends well all that is there takes its place.

        Otherwise nothing does. Ctrl-C while they take their places waits until they have.

        Raises:
            VivaceError: the path may not be written, or the disk is full.
        """
        parent = self.clip.parent
        staging = parent / new_part()
        staged = replace(self, clip=staging / self.clip.name)
        try:
            try:
                yield staged
            except VivaceError as error:  # nobody knows the hidden folder
                raise VivaceError(str(error).replace(f"{staging.name}{os.sep}", "")) from error
            with _uninterrupted():
                _take_places(staged.paths(), self.paths())
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def free_name(
    wanted: Path, parts: Callable[[Path], list[Path]], ours: Callable[[Path], bool]
) -> tuple[Path, list[str]]:
    """`wanted`, or with -2, -3, ... the first name at which nothing is that is not ours; and what should be told of it.

    Args:
        parts: all files that will be written under a name.
        ours: whether a file that is there may be replaced.
    """

    def in_the_way(path: Path) -> Path | None:
        return next((p for p in reversed(parts(path)) if os.path.lexists(p) and not (p.is_file() and ours(p))), None)

    first, path, number = in_the_way(wanted), wanted, 2
    if first is None:
        return wanted, []
    while in_the_way(path) is not None:
        path = wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")
        number += 1
    return path, [f"{first} holds something else, so this is {path.name}."]


def check_ending(path: Path, ending: str, what: str) -> None:
    """Raises VivaceError where a path does not end as `what` (such as "a file of pictures") must, or has no name."""
    if path.name.lower() == ending:
        raise VivaceError(f"Output {str(path)!r} has no name before {ending}; give one such as 'clip{ending}'.")
    if path.suffix.lower() != ending:
        raise VivaceError(f"Output {str(path)!r} does not end in {ending}, as {what} must; rename it.")


def mark_of(request: Any) -> str:
    """What tells a sheet of one request from all others and says nothing else: the SHA-256 of the request's JSON."""
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()


def write_sheet(path: Path, picture: np.ndarray, mark: str) -> None:
    """Write a contact sheet, uint8 [H, W, 3], as PNG with its mark, whole or not at all.

    Raises:
        VivaceError: a path that cannot be written, a full disk.
    """
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    from vivace.media import replacing

    texts = PngInfo()
    texts.add_text(_MARK, mark)
    with replacing(path) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG", optimize=True, pnginfo=texts)


def sheet_mark(path: Path) -> str | None:
    """The mark of the contact sheet in a file; None where it is none."""
    from PIL import Image

    try:
        with Image.open(path, formats=["PNG"]) as image:
            mark = image.info.get(_MARK)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return mark if isinstance(mark, str) else None


def _take_places(staged: list[Path], places: list[Path]) -> None:
    """Move files, in this order; where one cannot be, take back those that replaced nothing.

    Raises:
        VivaceError: one cannot be moved.
    """
    new: list[Path] = []
    for source, place in zip(staged, places, strict=True):
        there = os.path.lexists(place)
        try:
            source.replace(place)
        except OSError as error:
            for path in new:
                with contextlib.suppress(OSError):
                    path.unlink()
            reason = error.strerror or error
            raise VivaceError(f"Output {str(place)!r} cannot be written ({reason}); choose another path.") from error
        if not there:
            new.append(place)


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back until the block has ended."""
    usual = signal.getsignal(signal.SIGINT)
    if usual is None or threading.current_thread() is not threading.main_thread():
        yield  # no handler of Python's, or none that would run here
        return
    came: list[tuple[int, Any]] = []
    signal.signal(signal.SIGINT, lambda number, frame: came.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
    if came and callable(usual):
        usual(*came[0])
