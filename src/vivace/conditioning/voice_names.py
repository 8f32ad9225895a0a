"""Where saved voices lie, and which file a voice's name stands for. No torch here: every command asks this."""

from __future__ import annotations

import os
import re
from pathlib import Path

from vivace.errors import VivaceError

SUFFIX = ".safetensors"
HOME, DATA_HOME = "VIVACE_HOME", "XDG_DATA_HOME"
# Letters and digits of any script, hyphens and underscores: no path, no hidden file, no extension.
_NAME = re.compile(r"[^\W_][\w-]{0,63}")
RESERVED = ("none", "null")  # what "any voice" is called where a voice may be named


def vivace_home() -> Path:
    """The folder of what a user keeps: $VIVACE_HOME, or vivace under $XDG_DATA_HOME or ~/.local/share.

    Raises:
        VivaceError: the variable names no absolute path, or there is no home folder.
    """
    own = os.environ.get(HOME, "")
    if own:
        folder = Path(own)
        if not folder.is_absolute():
            raise VivaceError(f"{HOME} is {own!r}, which is no absolute path; set it to one.")
        return folder
    # A relative path is invalid by the XDG base directory specification and is to be ignored.
    data = Path(os.environ.get(DATA_HOME, ""))
    try:
        return (data if data.is_absolute() else Path.home() / ".local" / "share") / "vivace"
    except RuntimeError:
        raise VivaceError(f"No home folder is known for saved voices; set {HOME} to a folder.") from None


def voices_folder() -> Path:
    return vivace_home() / "voices"


def check_voice_name(name: str) -> str:
    """The name itself.

    Raises:
        VivaceError: a path, an extension, a reserved word, or something else that is no name.
    """
    if not is_voice_name(name):
        raise VivaceError(
            f"Voice name {name[:80]!r} is not possible; use up to 64 letters, digits, hyphens and underscores, "
            f"and not {' or '.join(RESERVED)}."
        )
    return name


def is_voice_name(text: str) -> bool:
    # File systems count bytes.
    return _NAME.fullmatch(text) is not None and len(text.encode()) <= 128 and text.lower() not in RESERVED


def voice_path(name: str) -> Path:
    """Where a voice of this name lies or would lie.

    Raises:
        VivaceError: as `check_voice_name`.
    """
    return voices_folder() / f"{check_voice_name(name)}{SUFFIX}"


def saved_names() -> list[str]:
    """The names of all saved voices, sorted."""
    try:
        return sorted(path.stem for path in voices_folder().glob(f"*{SUFFIX}") if is_voice_name(path.stem))
    except OSError as error:
        raise VivaceError(f"Saved voices in {str(voices_folder())!r} cannot be read ({error.strerror}).") from None


def located_voice(text: str | Path, folder: Path = Path()) -> Path:
    """The file that a voice stands for: one at this path (from `folder` on), or else the saved voice of this name.

    What is there under a path goes before a saved voice of the same name.

    Raises:
        VivaceError: a name of neither.
    """
    path = folder / text
    if isinstance(text, Path) or not is_voice_name(text) or path.exists():
        return path
    saved = voice_path(text)
    if saved.is_file():
        return saved
    names = ", ".join(saved_names()[:20])
    known = f"saved are {names}" if names else "none is saved"
    raise VivaceError(
        f"Voice {text!r} is neither a file nor a saved voice ({known}); check its name, or add it by vivace voice add."
    )
