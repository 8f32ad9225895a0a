"""Where somebody speaks in a recording: its pauses, and the steady noise that may lie under all of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PAUSE_DB = 35.0  # what lies this far below the loud parts is a pause
LOUD_SECONDS = 0.5  # of a long recording; a click or a pop is shorter
LOUD_SHARE = 0.05  # of a short one
BLOCK_SECONDS = 0.02
# Percentiles of the level of what is no pause, and how near to each other (dB) they lie where one noise is under all of
# it, or fills most of it: 0.6 and 0.5 in a hiss. In the world's voices they are 3.9 and 2.9 apart at the least, and
# mostly five times as far.
_ONE_NOISE = ((0.02, 0.3, 3.0), (0.1, 0.6, 2.0))
# A noise ends here: no block of it, and few of speech, lie between.
ABOVE_NOISE_DB = 6.0
# Below this speech and noise cannot be told apart by their level.
LEAST_CONTRAST_DB = 2 * ABOVE_NOISE_DB
# A sound that is this even all the way is no noise beside a voice.
EVEN_DB = 3.0
_REACH = 4  # blocks around speech that are kept, where consonants are quiet


@dataclass(frozen=True, eq=False)
class Speech:
    """What of a recording is spoken.

    Args:
        samples: the stretches of speech, put together, [M].
        contrast: how far (dB) below the loud parts a steady noise lies that is no pause by its level; None without one.
    """

    samples: np.ndarray
    contrast: float | None

    @property
    def drowned(self) -> bool:
        """Whether the noise is so loud that it could not be cut out of the pauses."""
        return self.contrast is not None and self.contrast < LEAST_CONTRAST_DB


def find_speech(sound: np.ndarray, sample_rate: int) -> Speech:
    """The stretches within 35 dB of the loud parts and above any steady noise, with 80 ms around them. [N]

    What is loud says the loudest half second, or twentieth of a recording shorter than 10 s: where there is little
    speech in a long hiss, the hiss is no measure of it.
    """
    block = max(1, round(BLOCK_SECONDS * sample_rate))
    count = -(-len(sound) // block)
    padded = np.pad(sound, (0, count * block - len(sound)))
    level = (padded.reshape(count, block).astype(np.float64) ** 2).mean(axis=1)
    loudest = float(np.quantile(level, 1 - min(LOUD_SHARE, LOUD_SECONDS / BLOCK_SECONDS / count)))
    least = loudest * 10 ** (-PAUSE_DB / 10)
    contrast = None
    if noise := _steady_noise(level[level > least], loudest):
        contrast = 10 * float(np.log10(loudest / noise))
        if contrast >= LEAST_CONTRAST_DB:
            least = max(least, noise * 10 ** (ABOVE_NOISE_DB / 10))
    loud = level > least
    kept = np.convolve(loud, np.ones(2 * _REACH + 1), "same") > 0 if count > 2 * _REACH else loud
    return Speech(padded[np.repeat(kept, block)][: len(sound)] if kept.any() else sound[:0], contrast)


def _steady_noise(level: np.ndarray, loudest: float) -> float | None:
    """The power of a noise that is the quietest of these blocks [N]; None where they are of many levels, or of one."""
    if not len(level):
        return None
    steady = any(
        np.quantile(level, high) < np.quantile(level, low) * 10 ** (near / 10) for low, high, near in _ONE_NOISE
    )
    noise = float(np.quantile(level, 0.3))
    return noise if steady and noise < loudest * 10 ** (-EVEN_DB / 10) else None
