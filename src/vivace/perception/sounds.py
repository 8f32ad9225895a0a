"""What kind of thing sounds: a linear classifier over the spectrum that an event adds, fitted on the world's clips.

Blind of the prompt. Its weights are in sounds.safetensors, made by `benchmarks/calibrate_perception.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
from safetensors.numpy import load

from vivace.perception.spectra import N_FFT, SAMPLE_RATE, at_detector_rate, mel_power
from vivace.world.palette import FLOORS

KINDS: tuple[str, ...] = (*(f"ball on {floor}" for floor in FLOORS), "drum", "bell", "woodblock", "xylophone")
HOP = 80  # 5 ms
BANDS = 40
# Begin and end of the slices after an onset, in hops: fine where sounds differ most, none beyond 0.15 s.
SLICES: tuple[tuple[int, int], ...] = ((1, 4), (4, 8), (8, 13), (13, 20), (20, 30))
_BEFORE = 5  # hops before the onset that hold what rings already
_RANGE = 1e-3  # 30 dB below the patch's loudest band nothing is told apart


@dataclass(frozen=True)
class SoundKind:
    """The kind of one event or one clip.

    Args:
        name: one of `KINDS`.
        log_odds: log-probability of each of `KINDS`.
    """

    name: str
    log_odds: tuple[float, ...]

    @property
    def is_ball(self) -> bool:
        return self.name.startswith("ball on ")


def patches(audio: np.ndarray, sample_rate: int, times: Sequence[float]) -> np.ndarray:
    """What each event adds to the spectrum, [events, slices * bands], in nepers below its loudest band.

    Args:
        audio: float [C, N], any rate.
        times: onsets, seconds.
    """
    power = mel_power(at_detector_rate(audio, sample_rate), hop=HOP, window=N_FFT, bands=BANDS).sum(axis=0)
    reach = SLICES[-1][1]
    power = np.pad(power, ((_BEFORE + 2, reach + 1), (0, 0)))
    rows = []
    for time in times:
        start = round(time * SAMPLE_RATE / HOP) + _BEFORE + 2
        before = power[start - _BEFORE - 2 : start - _BEFORE].mean(axis=0)
        after = np.stack([power[start + a : start + b].mean(axis=0) for a, b in SLICES])
        added = np.maximum(after - before, 0.0)
        rows.append(np.log(added / max(float(added.max()), 1e-20) + _RANGE).ravel())
    return np.array(rows, dtype=np.float32).reshape(len(rows), len(SLICES) * BANDS)


@lru_cache(maxsize=1)
def _weights() -> dict[str, np.ndarray]:
    return load((files("vivace.perception") / "sounds.safetensors").read_bytes())


def classify(audio: np.ndarray, sample_rate: int, times: Sequence[float]) -> list[SoundKind]:
    """The kind of each event.

    Args:
        audio: float [C, N], any rate.
        times: onsets, seconds.
    """
    if not len(times):
        return []
    weights = _weights()
    features = (patches(audio, sample_rate, times) - weights["mean"]) / weights["scale"]
    return [_kind(row) for row in features @ weights["weight"] + weights["bias"]]


def clip_kind(events: Sequence[SoundKind]) -> SoundKind | None:
    """The kind of a clip by all its events together; None where nothing sounds."""
    if not events:
        return None
    return _kind(np.mean([event.log_odds for event in events], axis=0))


def _kind(logits: np.ndarray) -> SoundKind:
    logits = logits - np.logaddexp.reduce(logits)
    return SoundKind(KINDS[int(logits.argmax())], tuple(round(float(v), 4) for v in logits))
