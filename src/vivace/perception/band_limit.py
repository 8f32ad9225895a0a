"""Where a sound's spectrum ends: the mark of a low rate, a telephone or a lossy codec."""

from __future__ import annotations

import numpy as np
from scipy.signal import welch

DROP = 30.0  # dB by which everything above the limit lies below what is just under it
TRANSITION = 300.0  # Hz that the fall may take
UNDER = 1000.0  # Hz under the limit whose level is the reference
LOWEST = 1000.0  # Hz: a limit further down is the sound's own nature
_BIN = 50.0  # Hz
_INAUDIBLE = -110.0  # dBFS in one bin: below it there is nothing that could end


def band_limit(audio: np.ndarray, sample_rate: int) -> float | None:
    """The frequency in Hz above which a sound ends abruptly, half its rate where it does not; None for silence.

    The limit is the lowest frequency from 1 kHz on above which, 300 Hz later, everything lies 30 dB below the median of
    the 1 kHz under it. A spectrum that falls evenly has no such place. Ours: what published pipelines use (the highest
    frequency above a level) mistakes a dull sound for a cut one.

    Args:
        audio: float [C, N] or [N]; sample_rate: Hz.
    """
    sound = np.atleast_2d(np.asarray(audio, dtype=np.float64)).mean(axis=0)
    half = sample_rate / 2.0
    size = int(min(len(sound), 2 ** round(np.log2(sample_rate / _BIN))))
    if size < 64 or not np.abs(sound).max() > 0:
        return None
    frequencies, power = welch(sound, sample_rate, nperseg=size, scaling="spectrum", detrend=False)
    level = 10.0 * np.log10(np.maximum(power, 1e-20))
    if level.max() < _INAUDIBLE:
        return None
    step = frequencies[1]
    under, gap = max(1, round(UNDER / step)), max(1, round(TRANSITION / step))
    # The loudest of all that lies at or above each bin.
    above = np.maximum.accumulate(level[::-1])[::-1]
    for k in range(round(LOWEST / step), len(level) - gap):
        reference = float(np.median(level[max(0, k - under) : k]))
        if reference > _INAUDIBLE and above[k + gap] < reference - DROP:
            # Where the fall passes half of its depth.
            return float(frequencies[k + int(np.argmax(level[k : k + gap + 1] < reference - DROP / 2.0))])
    return half
