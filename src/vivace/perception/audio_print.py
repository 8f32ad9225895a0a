"""A fingerprint of sound that stays nearly the same when it is re-encoded, resampled, trimmed or made louder."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter1d

from vivace.perception.spectra import at_detector_rate, mel_power

HOP = 512  # 32 ms
FINE = 128  # 8 ms, at which power is measured
SMOOTH = 32  # of these, 256 ms: long against the shift of a trimmed copy, of half a hop at most
LAG = 4  # frames, 128 ms, between the powers that are compared
BANDS = 17
_FLOOR = 1e-4  # of the loudest band's power: what lies below is not heard
_LEAST_RISE = 0.03  # nepers; what changes less is silence, its noise or a tone that is held
_LEAST_WORDS = 12
_SILENCE = 1e-7
_SCRAMBLE = 2654435761  # odd, so that no two numbers below 2**32 become one (Knuth's multiplicative hashing)


def audio_print(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Words of 16 bits, one for each 32 ms, uint16 [frames]: whether the power rises from band to band faster than
    128 ms before. A word is 0 where nothing changes; there are none for silence.

    Args:
        audio: float [C, N] or [N], any rate.

    Source: Haitsma and Kalker, "A highly robust audio fingerprinting system", 2002; fewer bands and frames, and the
    zeros (ours), without which clips with pauses are alike by their pauses.
    """
    sound = at_detector_rate(audio, sample_rate).mean(axis=0, keepdims=True)
    power = mel_power(sound, hop=FINE, window=512, bands=BANDS, low=200.0, high=4000.0)[0]
    power = uniform_filter1d(power, SMOOTH, axis=0, mode="constant")[:: HOP // FINE]
    if not len(power) or power.max() < _SILENCE:
        return np.zeros(0, dtype=np.uint16)
    step = np.diff(np.log(power + _FLOOR * power.max()), axis=1)
    bits = step[LAG:] - step[:-LAG] > _LEAST_RISE
    words: np.ndarray = bits @ (1 << np.arange(BANDS - 1))
    return words.astype(np.uint16)


def print_distance(first: np.ndarray, second: np.ndarray, farthest: int = 32) -> float | None:
    """How far two prints are apart at the best shift of up to `farthest` frames: 0 for the same, about 0.5 for sounds
    that have nothing in common; None where too little sounds.

    It is half of the share of bits that differ, over the share that would differ by chance between prints with as many
    ones: steady sounds have few. Frames count in which one of the two changes; at least twelve, and half of those of
    the sparser sound, must meet.
    """
    best: float | None = None
    least = max(_LEAST_WORDS, min(_changing(first), _changing(second)) // 2)
    for shift in range(-farthest, farthest + 1):
        a, b = first[max(0, shift) :], second[max(0, -shift) :]
        count = min(len(a), len(b))
        a, b = a[:count], b[:count]
        if min(_changing(a), _changing(b)) < least:
            continue
        heard = (a != 0) | (b != 0)
        differing, *ones = (float(np.bitwise_count(words[heard]).mean()) / (BANDS - 1) for words in (a ^ b, a, b))
        by_chance = ones[0] * (1.0 - ones[1]) + ones[1] * (1.0 - ones[0])
        found = min(0.5 * differing / by_chance, 1.0) if by_chance else 0.0
        best = found if best is None else min(best, found)
    return best


def print_keys(words: np.ndarray, count: int = 16) -> list[int]:
    """Numbers below 2**32 by which prints can be looked up: copies share some, also where one is trimmed.

    Each is two neighbouring words, both changing. Of all, those `count` are chosen that are smallest once scrambled,
    which are mostly the same ones in a copy, wherever they stand.
    """
    words = words.astype(np.uint64)
    pairs = np.unique(((words[:-1] << np.uint64(16)) | words[1:])[(words[:-1] != 0) & (words[1:] != 0)])
    scrambled = (pairs * np.uint64(_SCRAMBLE)) % np.uint64(1 << 32)
    return [int(key) for key in pairs[np.argsort(scrambled, kind="stable")[:count]]]


def _changing(words: np.ndarray) -> int:
    return int((words != 0).sum())
