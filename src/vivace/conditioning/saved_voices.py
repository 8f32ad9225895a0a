"""Voices as files of their own: saved recordings, and speaker vectors that were made before.

A saved voice is one safetensors file that holds the speech as an encoder gets it (mono, 16 kHz, without pauses, at most
30 s, float32), so that it works with every model and gives the very vector that the original file gives. The vectors
that encoders have made of it lie beside it and can be lost without harm.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from vivace.conditioning.voice_names import SUFFIX, saved_names, voice_path, voices_folder
from vivace.errors import VivaceError
from vivace.media import replacing

FORMAT = "vivace-voice-1"
SAMPLES, EMBEDDING = "samples", "embedding"
SAMPLE_RATE = 16000
# 30 s in float32, or a vector, with much room.
MAX_BYTES = 8 * 2**20
MAX_VALUES = 65536  # of a vector
# The transformer takes a vector whose squares sum to no more than this for its null speaker.
LEAST_ENERGY = 1e-6
_VECTORS = ".vectors"


@dataclass(frozen=True, eq=False)
class VoiceFile:
    """What a voice's safetensors file holds: `samples` mono [N] at 16 kHz, or else a speaker `vector` [dim].

    source: name of the file that it was made from, where that is known; source_sha256: of its content.
    """

    samples: Tensor | None
    vector: Tensor | None
    source: str = ""
    source_sha256: str = ""

    def describe(self) -> str:
        if self.samples is not None:
            return f"{len(self.samples) / SAMPLE_RATE:.1f} s of speech"
        assert self.vector is not None
        return f"a vector of {len(self.vector)} values"


def read_voice_file(path: Path) -> VoiceFile:
    """A saved voice, or a file with one tensor [dim] or [1, dim] (or one of several named "embedding").

    Raises:
        VivaceError: missing, damaged, too large, or without a usable voice.
    """
    name = f"Voice {str(path)!r}"
    try:
        content = path.read_bytes() if path.stat().st_size <= MAX_BYTES else None
    except OSError as error:
        raise VivaceError(f"{name} cannot be read ({error.strerror}); check the path.") from None
    if content is None:
        raise VivaceError(f"{name} is larger than {MAX_BYTES >> 20} MiB; give a recording or a speaker vector.")
    try:
        tensors, notes = load(content), _metadata(content)
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError):
        raise VivaceError(f"{name} is damaged or no safetensors file; add or copy it again.") from None
    source = notes.get("source", ""), notes.get("source_sha256", "")
    if notes.get("format") == FORMAT and SAMPLES in tensors:
        return VoiceFile(_speech(tensors[SAMPLES], name), None, *source)
    if EMBEDDING not in tensors and len(tensors) != 1:
        raise VivaceError(
            f"{name} holds {len(tensors)} tensors and none is named {EMBEDDING}; give one speaker vector in a file."
        )
    found = tensors[EMBEDDING] if EMBEDDING in tensors else next(iter(tensors.values()))
    return VoiceFile(None, _vector(found, name), *source)


def _metadata(content: bytes) -> dict[str, str]:
    """Of a safetensors file that the library has read."""
    (length,) = struct.unpack("<Q", content[:8])
    notes = json.loads(content[8 : 8 + length]).get("__metadata__") or {}
    return {str(key): str(value) for key, value in notes.items()}


def _speech(samples: Tensor, name: str) -> Tensor:
    if samples.dtype != torch.float32 or samples.ndim != 1 or not len(samples) or not samples.isfinite().all():
        raise VivaceError(f"{name} is damaged; add it again.")
    return samples


def _vector(tensor: Tensor, name: str) -> Tensor:
    shape = list(tensor.shape)
    vector = tensor[0] if tensor.ndim == 2 and shape[0] == 1 else tensor
    if vector.ndim != 1 or not 1 <= len(vector) <= MAX_VALUES:
        raise VivaceError(f"{name} holds a tensor of shape {shape}, not one speaker vector; give numbers [dim].")
    if not vector.is_floating_point():
        kind = str(vector.dtype).removeprefix("torch.")
        raise VivaceError(
            f"{name} holds values of type {kind}, and a speaker vector has fractions; store it as float32."
        )
    vector = vector.float()
    if not vector.isfinite().all():
        raise VivaceError(f"{name} holds a vector with values that are not finite; make it again.")
    if float(vector.square().sum()) <= LEAST_ENERGY:
        raise VivaceError(f"{name} holds a vector of zeros, which stands for any voice; leave the voice out.")
    return vector


def save_voice(name: str, path: Path, *, replace: bool = False) -> tuple[VoiceFile, tuple[str, ...]]:
    """Keep a recording, or a speaker vector, under a name; returns it and what should be told of it.

    Raises:
        VivaceError: no possible name, one that is taken, or a file that holds no usable voice.
    """
    from vivace.conditioning.voices import Recording, read_voice

    target = voice_path(name)
    if target.exists() and not replace:
        raise VivaceError(f"Voice {name!r} is saved already; choose another name, or add --replace.")
    read = read_voice(path)
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise VivaceError(f"Voice {str(path)!r} cannot be read ({error.strerror}); check the path.") from None
    # Names of files need not be text.
    source = path.name.encode(errors="replace").decode()
    notes = {"format": FORMAT, "source": source, "source_sha256": digest}
    told: tuple[str, ...] = ()
    if isinstance(read, Recording):
        tensors, told = {SAMPLES: torch.from_numpy(read.samples.copy())}, read.notes
    else:
        tensors = {EMBEDDING: read.contiguous()}
    old = vectors_folder(target) if target.exists() else None
    with replacing(target) as temporary:
        temporary.write_bytes(save(tensors, metadata=notes))
    if old not in (None, vectors_folder(target)):
        shutil.rmtree(old, ignore_errors=True)
    return read_voice_file(target), told


def saved_voices() -> dict[str, VoiceFile | VivaceError]:
    """Every saved voice by its name; where one cannot be read, what is wrong with it."""
    found: dict[str, VoiceFile | VivaceError] = {}
    for name in saved_names():
        try:
            found[name] = read_voice_file(voice_path(name))
        except VivaceError as error:
            found[name] = error
    return found


def remove_voice(name: str) -> None:
    """Delete a saved voice and the vectors that were made of it.

    Raises:
        VivaceError: there is none of this name, or it may not be deleted.
    """
    path = voice_path(name)
    if not path.is_file():
        raise VivaceError(f"Voice {name!r} is not saved; vivace voice list shows the names.")
    try:
        cached = vectors_folder(path)
        path.unlink()
    except OSError as error:
        raise VivaceError(f"Voice {name!r} cannot be removed ({error.strerror}); check the rights.") from None
    if cached is not None:
        shutil.rmtree(cached, ignore_errors=True)


def vectors_folder(path: Path) -> Path | None:
    """Where the vectors of a saved voice are kept: under its content, so that no other content can have them.

    None for a file elsewhere, whose owner has asked for no such thing.
    """
    if path.resolve().parent != voices_folder().resolve():
        return None
    with path.open("rb") as file:
        return voices_folder() / _VECTORS / hashlib.file_digest(file, "sha256").hexdigest()


def kept_vector(folder: Path, identity: str, make: Callable[[], Tensor]) -> Tensor:
    """A speaker vector [dim] of a saved voice: as it was kept for this encoder, or made and kept.

    A kept vector that cannot be read is made anew; where none can be written, none is kept.
    """
    path = folder / f"{identity}{SUFFIX}"
    with contextlib.suppress(OSError, SafetensorError, KeyError):
        return load(path.read_bytes())[EMBEDDING]
    vector = make()
    with contextlib.suppress(VivaceError), replacing(path) as temporary:
        temporary.write_bytes(save({EMBEDDING: vector.cpu().contiguous()}))
    return vector
