"""Sync-C, Sync-D and offset from the vectors that SyncNet gives for lips and sound: arithmetic only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SHIFTS = 15  # frames of 40 ms to either side


@dataclass(frozen=True)
class LipSync:
    """confidence: Sync-C (LSE-C), the median of the mean distances over the shifts minus their least.

    distance: Sync-D (LSE-D), the least mean distance. offset: frames of 1/25 s; positive where the sound is late.
    mean_distance: over all shifts, which a wrapper of Verse-Bench gives for Sync-D.
    """

    confidence: float
    distance: float
    offset: int
    mean_distance: float


def mean_distances(lips: np.ndarray, sound: np.ndarray, shifts: int = SHIFTS) -> np.ndarray:
    """Mean Euclidean distance of lips[i] and sound[i + s] for s = -shifts .. shifts, [2 shifts + 1].

    Beyond the ends the sound is a vector of zeros, and 1e-6 is added to each difference, as the published code does.

    Args:
        lips, sound: [windows, D].
    """
    padded = np.pad(sound, ((shifts, shifts), (0, 0)))
    count = len(lips)
    return np.array([np.linalg.norm(lips - padded[s : s + count] + 1e-6, axis=1).mean() for s in range(2 * shifts + 1)])


def lip_sync(lips: np.ndarray, sound: np.ndarray, shifts: int = SHIFTS) -> LipSync:
    """The figures of one face track, from the vectors of all its windows.

    Sync-D is the minimum over the shifts. Verse-Bench's wrapper returns all 31 mean distances, and averaging these
    gives about 13 where the minimum is about 8 (MOVA issue 40).
    """
    return from_distances(mean_distances(lips, sound, shifts))


def from_distances(distances: np.ndarray) -> LipSync:
    """The figures from the mean distances over the shifts, which are centred on 0."""
    best = int(np.argmin(distances))
    # The lower middle value, as PyTorch takes the median; of an odd number of shifts it is the median.
    middle = float(np.sort(distances)[(len(distances) - 1) // 2])
    least = float(distances[best])
    return LipSync(middle - least, least, best - len(distances) // 2, float(np.mean(distances)))
