"""A music bed: tones that are held or follow one another under everything else."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import maximum_filter1d, median_filter

from vivace.perception.spectra import SAMPLE_RATE, at_detector_rate

FRAME, HOP = 4096, 1024  # samples: lines 4 Hz apart, 64 ms
_LOWEST, _HIGHEST = 120.0, 4000.0  # Hz
_ABOVE = 12.0  # dB by which a line stands out of its surroundings
_RANGE = 45.0  # dB below the clip's loudest line that still counts
_HELD = 4  # frames (0.26 s) that a line stays in its place
_STEADY = 3.0  # dB that a held line changes from frame to frame at most; a struck bar dies away faster
LINES = 2


def tonal_share(audio: np.ndarray, sample_rate: int) -> float:
    """Share of the time in which two or more steady lines stand in the spectrum, 0 to 1.

    Speech moves its harmonics, struck things let theirs die away, noise has none; chords and held notes keep several.

    Args:
        audio: float [C, N] or [N], any rate.

    Source: ours.
    """
    sound = at_detector_rate(audio, sample_rate).mean(axis=0)
    if len(sound) < FRAME or not np.abs(sound).max() > 0:
        return 0.0
    frames = np.lib.stride_tricks.sliding_window_view(sound, FRAME)[::HOP] * np.hanning(FRAME).astype(np.float32)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    hertz = np.fft.rfftfreq(FRAME, 1 / SAMPLE_RATE)
    level = 10.0 * np.log10(power[:, (hertz > _LOWEST) & (hertz < _HIGHEST)] + 1e-12)
    peak = (maximum_filter1d(level, 5, axis=1) == level) & (level > median_filter(level, (1, 31)) + _ABOVE)
    peak &= level > level.max() - _RANGE
    # A line may wander by one place; its level must hold.
    near = maximum_filter1d(peak.astype(np.uint8), 3, axis=1)
    steady = np.ones_like(peak)
    steady[1:] = np.abs(np.diff(maximum_filter1d(level, 3, axis=1), axis=0)) < _STEADY
    run = np.zeros(level.shape, dtype=np.int32)
    held = np.zeros(level.shape, dtype=bool)
    for n in range(len(level)):
        run[n] = np.where(near[n] & steady[n], (run[n - 1] if n else 0) + 1, 0)
        reached = run[n] >= _HELD
        for back in range(_HELD):
            held[n - back] |= reached
    return float(((held & peak).sum(axis=1) >= LINES).mean())
