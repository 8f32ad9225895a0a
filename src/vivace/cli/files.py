"""Files that a user gives: by path and by content, so that a record says what they were."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vivace.errors import VivaceError
from vivace.pipelines.lora_files import settings_of, weights_of
from vivace.sampling.settings_checks import is_number

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SCALE = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
MAX_SCALE = 100.0


@dataclass(frozen=True)
class GivenFile:
    """A file as it was when it was named: its full path and the SHA-256 of its content."""

    path: str
    sha256: str

    @classmethod
    def named(cls, option: str, value: Any) -> GivenFile:
        """From a path (hashed now), or from what `to_json` gave (not looked at, so that old records can be read).

        Raises:
            VivaceError: neither of them, or a path at which there is no readable file.
        """
        if isinstance(value, GivenFile):
            return value
        if isinstance(value, Mapping):
            path, sha256 = value.get("path"), value.get("sha256")
            if set(value) == {"path", "sha256"} and isinstance(path, str) and isinstance(sha256, str):
                if not _SHA256.fullmatch(sha256):
                    raise VivaceError(f"{option} has the SHA-256 {sha256!r}, which is none; give the path alone.")
                return cls(path, sha256)
        if not isinstance(value, (str, Path)) or not str(value):
            raise VivaceError(f"{option} {value!r} is no path; name a file.")
        return cls(str(_resolved(option, value)), _hash(option, Path(value)))

    def check(self, option: str) -> Path:
        """The path, if the file is still what it was.

        Raises:
            VivaceError: it is gone or has changed.
        """
        if _hash(option, Path(self.path)) != self.sha256:
            raise VivaceError(f"File {self.path!r} ({option}) has changed since; put back the one that was given.")
        return Path(self.path)

    def to_json(self) -> dict[str, str]:
        return {"path": self.path, "sha256": self.sha256}


@dataclass(frozen=True)
class GivenLora:
    """A LoRA file, the weight that it acts with, and PEFT's settings beside it, which decide what it does as well."""

    file: GivenFile
    scale: float = 1.0
    settings: GivenFile | None = None

    @classmethod
    def named(cls, value: Any) -> GivenLora:
        """From "FILE" or "FILE:SCALE", where FILE may be a folder of PEFT's, or from what `to_json` gave.

        Raises:
            VivaceError: neither of them, no such file, or a scale out of range.
        """
        if isinstance(value, GivenLora):
            return value
        scale: Any = 1.0
        settings: Any = None
        if isinstance(value, Mapping):
            scale, settings = value.get("scale", 1.0), value.get("settings")
            value = {name: entry for name, entry in value.items() if name not in ("scale", "settings")}
        elif isinstance(value, str):
            path, colon, number = value.rpartition(":")
            # A file may have a colon in its name; what is there goes before what it might mean.
            if colon and not Path(value).exists():
                if _SCALE.fullmatch(number):
                    value, scale = path, float(number)
                elif Path(path).exists():
                    raise VivaceError(f"lora scale {number!r} of {path!r} is no number; give one such as 0.8.")
        if not is_number(scale) or not -MAX_SCALE <= scale <= MAX_SCALE:
            raise VivaceError(f"lora scale {scale!r} is out of range; give a number from -100 to 100, such as 0.8.")
        if isinstance(value, (str, Path)) and str(value):
            file = GivenFile.named("lora", weights_of(Path(value)))
            settings = settings_of(Path(file.path))
        else:
            file = GivenFile.named("lora", value)
        return cls(file, float(scale), None if settings is None else GivenFile.named("lora", settings))

    def check(self) -> Path:
        """The path of the weights, if all that is given is still what it was.

        Raises:
            VivaceError: a file is gone or has changed.
        """
        if self.settings is not None:
            self.settings.check("lora")
        return self.file.check("lora")

    def to_json(self) -> dict[str, Any]:
        settings = {} if self.settings is None else {"settings": self.settings.to_json()}
        return {**self.file.to_json(), "scale": self.scale, **settings}


def _resolved(option: str, value: str | Path) -> Path:
    """The full path; of a link its own name, since what it leads to (in a hub's cache) may have another ending."""
    try:
        path = Path(value)
        return path.parent.resolve() / path.name if path.is_symlink() else path.resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise VivaceError(f"{option} {_short(value)} is no possible path ({error}); name a file.") from None


def _hash(option: str, path: Path) -> str:
    try:
        if not path.is_file():
            problem = "is no file" if path.exists() else "does not exist"
            raise VivaceError(f"File {_short(path)} ({option}) {problem}; check the path.")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        if isinstance(error, VivaceError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise VivaceError(f"File {_short(path)} ({option}) cannot be read ({reason}); check the path.") from None


def _short(path: str | Path) -> str:
    text = str(path)
    return repr(text if len(text) <= 200 else f"{text[:200]}...")
