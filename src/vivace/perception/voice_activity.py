"""Where somebody speaks in any sound: voiced, of changing pitch and colour. No weights, no words.

`vivace.perception.speech` recognises the world's few words; this finds speech of any language, less surely.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_closing, binary_opening

from vivace.perception.pitch import HOP, track_pitch
from vivace.perception.spectra import SAMPLE_RATE, at_detector_rate, mel_power

_STEP = HOP / SAMPLE_RATE  # 10 ms
_VOICED = 0.55  # autocorrelation at the pitch's period
_ABOVE_FLOOR = 6.0  # dB above the quiet parts
_BELOW_TOP = 40.0  # dB below the loud parts that speech may be
_PAUSE = 0.25  # seconds: shorter pauses (closures, unvoiced sounds) belong to the speech around them
_LEAST = 0.2  # seconds of a span
_CHANGE = 1.0  # nepers: how far the spectrum of voiced speech changes within 50 ms, mean over bands
_MELODY = 0.7  # semitones between the 10th and the 90th percentile of its pitch: bells and engines hold theirs
_EDGE = 0.06  # seconds of unvoiced sound around what is voiced


@dataclass(frozen=True)
class SpeechSpan:
    """A stretch of speech, seconds."""

    start: float
    end: float


def detect_voice(audio: np.ndarray, sample_rate: int) -> list[SpeechSpan]:
    """Stretches of speech in order of time.

    A stretch is voiced (a fundamental of 65 to 420 Hz) for a third of its length at least, louder than the quiet parts
    of the sound, its spectrum changes as articulation makes it change, and its pitch moves; a steady or ringing tone's
    does not.

    Args:
        audio: float [C, N] or [N], any rate. sample_rate: Hz.
    """
    sound = at_detector_rate(audio, sample_rate).mean(axis=0)
    if len(sound) < SAMPLE_RATE // 10 or not np.abs(sound).max() > 0:
        return []
    pitch = track_pitch(sound, SAMPLE_RATE)
    power = mel_power(sound[None], hop=HOP, window=400, bands=24)[0]
    count = min(len(pitch.hz), len(power))
    level = 10.0 * np.log10(power[:count].sum(axis=1) + 1e-12)
    floor, top = np.percentile(level, [10, 95])
    # Where somebody speaks all the time the quiet parts are speech too: the floor lies 30 dB below the loud parts then.
    loud = (level > min(floor + _ABOVE_FLOOR, top - 30.0 + _ABOVE_FLOOR)) & (level > top - _BELOW_TOP)
    voiced = np.isfinite(pitch.hz[:count]) & (pitch.strength[:count] > _VOICED) & loud
    joined = binary_closing(np.pad(voiced, 50), np.ones(round(_PAUSE / _STEP)))[50:-50]
    joined = binary_opening(joined, np.ones(round(_LEAST / _STEP)))
    edges = np.flatnonzero(np.diff(np.concatenate([[False], joined, [False]]).astype(np.int8)))
    change = _change(power[:count], level, top)
    spans = []
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        sung = np.flatnonzero(voiced[first:last]) + first
        if len(sung) <= (last - first) / 3 or change[sung].mean() < _CHANGE:
            continue
        low, high = np.percentile(pitch.hz[sung], [10, 90])
        if 12.0 * np.log2(high / low) > _MELODY:
            start, end = max(0.0, first * _STEP - _EDGE), min(len(sound) / SAMPLE_RATE, last * _STEP + _EDGE)
            spans.append(SpeechSpan(float(start), float(end)))
    return spans


def _change(power: np.ndarray, level: np.ndarray, top: float) -> np.ndarray:
    """How far the spectrum's shape differs from that of 50 ms before, nepers, mean over bands, [frames].

    The shape alone: loudness that dies away, as of a struck bar, is no articulation.
    """
    logs = np.log(power + 10.0 ** ((top - 60.0) / 10.0) / power.shape[1])
    shape = logs - logs.mean(axis=1, keepdims=True)
    lag = round(0.05 / _STEP)
    before = np.concatenate([np.repeat(shape[:1], lag, axis=0), shape])[: len(shape)]
    change: np.ndarray = np.abs(shape - before).mean(axis=1)
    return change
