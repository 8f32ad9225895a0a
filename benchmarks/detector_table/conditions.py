"""Degraded true clips: the conditions under which detectors are tried."""

from __future__ import annotations

import zlib

import numpy as np

from vivace.world.footage_faults import faulty_picture, faulty_sound

PICTURES = ("clean", "noisy", "blurred", "blocky", "dark")
SOUNDS = ("clean", "20 dB noise", "6 dB noise", "hissing", "dull", "clipped")


def drawn(*words: str) -> np.random.Generator:
    """A generator of its own for each clip and condition."""
    return np.random.default_rng([zlib.crc32(word.encode()) for word in words])


def degraded_sound(name: str, audio: np.ndarray, rate: int, condition: str) -> np.ndarray:
    """The sound in one of `SOUNDS`; noise is white, measured against the root mean square of the whole sound."""
    rng = drawn(name, condition)
    if condition == "clean":
        return audio
    if condition.endswith("dB noise"):
        level = float(np.sqrt((audio**2).mean())) * 10.0 ** (-float(condition.split()[0]) / 20.0)
        noisy: np.ndarray = (audio + rng.normal(0.0, level, audio.shape)).clip(-1, 1).astype(np.float32)
        return noisy
    return faulty_sound(rng, audio, rate, condition)


def degraded_pictures(name: str, frames: np.ndarray, condition: str) -> np.ndarray:
    return frames if condition == "clean" else faulty_picture(drawn(name, condition), frames, condition)
