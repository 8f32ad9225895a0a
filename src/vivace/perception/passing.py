"""A vehicle that passes: when and which way, by ear (stereo level, pitch) and by eye."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.fft import next_fast_len, rfft
from scipy.signal import resample_poly

from vivace.perception.spectra import SAMPLE_RATE, at_detector_rate
from vivace.perception.thresholds import PassingThresholds, Thresholds, thresholds
from vivace.perception.tracks import coloured_tracks

SOUND_SPEED = 343.0  # m/s
_LARGEST_GAIN = 1.2
_LOW_RATE = 4000  # Hz: an engine's strong harmonics lie below 2 kHz


@dataclass(frozen=True)
class PassingHeard:
    """A passing by its sound.

    Args:
        time: seconds, at which it is in the middle by the levels of the two channels.
        direction: "left to right" or "right to left".
        pitch_time: seconds, at which the pitch falls fastest; None where no fall is clear.
        pitch_fall: how far the pitch falls, from far before to far after, in semitones; 0 where none is clear.
    """

    time: float
    direction: str
    pitch_time: float | None
    pitch_fall: float


@dataclass(frozen=True)
class PassingSeen:
    """A passing by its picture.

    Args:
        time: seconds, at which it is in the middle of the picture.
        direction: "left to right" or "right to left".
        colour: palette name.
        speed: picture widths per second.
    """

    time: float
    direction: str
    colour: str
    speed: float


def passing_heard(
    audio: np.ndarray, sample_rate: int, settings: PassingThresholds | None = None
) -> PassingHeard | None:
    """The passing in a stereo sound, or None where nothing goes from one side to the other.

    Args:
        audio: float [C, N], any rate.
        sample_rate: Hz.
        settings: thresholds other than the frozen ones (calibration only).
    """
    settings = settings or thresholds().passing
    sound = at_detector_rate(audio, sample_rate)
    crossing = _crossing(sound, settings)
    if crossing is None:
        return None
    time, speed = crossing[0] - settings.bias, crossing[1]
    fall = _fall(sound, time, settings)
    direction = "left to right" if speed > 0 else "right to left"
    if fall is None:
        return PassingHeard(time, direction, None, 0.0)
    pitch_time, metres = fall
    ratio = metres / SOUND_SPEED
    return PassingHeard(time, direction, pitch_time, 12 * float(np.log2((1 + ratio) / (1 - ratio))))


def passing_seen(frames: np.ndarray, fps: float, settings: Thresholds | None = None) -> PassingSeen | None:
    """The passing of a coloured thing across the picture, or None where none crosses it.

    Args:
        frames: uint8 [T, H, W, 3].
        fps: pictures per second.
        settings: thresholds other than the frozen ones (calibration only).
    """
    settings = settings or thresholds()
    rule = settings.passing
    unit = min(frames.shape[1:3])
    width = frames.shape[2] / unit
    best: tuple[int, PassingSeen] | None = None
    for track in coloured_tracks(frames, fps, settings.colours, settings.tracks):
        left, right = track.series("left"), track.series("right")
        # Where an edge of the picture cuts it off, its middle is not known.
        whole = (left > 1.5 / unit) & (right < width - 1.5 / unit)
        if whole.sum() < 3:
            continue
        times, middle = np.array(track.frames)[whole] / fps, (left + right)[whole] / 2 / width
        speed, start = np.polyfit(times, middle, 1)
        if abs(speed) * len(frames) / fps < rule.least_way or np.ptp(middle) < rule.least_crossing:
            continue
        direction = "left to right" if speed > 0 else "right to left"
        seen = PassingSeen(float((0.5 - start) / speed), direction, track.colour, float(abs(speed)))
        if best is None or whole.sum() > best[0]:
            best = int(whole.sum()), seen
    return None if best is None else best[1]


def _crossing(sound: np.ndarray, settings: PassingThresholds) -> tuple[float, float] | None:
    """(time in the middle, speed in half pictures per second) of a sound that goes from side to side."""
    hop = round(settings.hop * SAMPLE_RATE)
    count = sound.shape[1] // hop
    power = (sound[:, : count * hop].reshape(2, count, hop).astype(np.float64) ** 2).mean(axis=2)
    if count < 8 or float(power.max(initial=0.0)) < settings.silence:
        return None
    # A passing is heard all the time: sounds with pauses, one here and one there, do not pass.
    if (power.sum(axis=0) > settings.lasting * power.sum(axis=0).max()).mean() < settings.least_lasting:
        return None
    times = (np.arange(count) + 0.5) * settings.hop
    place = (np.arctan2(np.sqrt(power[1]), np.sqrt(power[0])) * 4 / np.pi - 1) / settings.pan_range
    # Stretches much quieter than the loudest say little about the side.
    weight = np.sqrt(power.sum(axis=0) / power.sum(axis=0).max())
    weight /= weight.sum()
    spread = float((weight * (place - (weight * place).sum()) ** 2).sum())
    speeds = np.geomspace(settings.slowest, settings.fastest, 24)
    coarse = _nearest_course(times, place, weight, np.linspace(0, times[-1], count), speeds)
    fine = coarse.moment + np.linspace(-1, 1, 41) * settings.hop
    found = _nearest_course(times, place, weight, fine, coarse.speed * np.linspace(0.88, 1.14, 9))
    # At the fastest speed looked for, it is a jump from side to side.
    passes = abs(found.gain) > settings.side and found.speed < 0.9 * settings.fastest
    if not passes or found.error > settings.unexplained * spread:
        return None
    return found.moment, math.copysign(found.speed, found.gain)


@dataclass(frozen=True)
class _Course:
    """A way to the right at constant speed, beyond the picture's edges staying there, times `gain`."""

    error: float  # weighted mean square, of what it leaves of the places
    moment: float
    speed: float
    gain: float


def _nearest_course(
    times: np.ndarray, place: np.ndarray, weight: np.ndarray, moments: np.ndarray, speeds: np.ndarray
) -> _Course:
    """The course that is nearest to the places, of those at these moments with these speeds; the gain is free.

    A negative gain is a way to the left, a small one that of a sound whose sides have been mixed.
    """
    best = _Course(math.inf, 0.0, 0.0, 0.0)
    for speed in speeds:
        course = np.clip(speed * (times[None, :] - moments[:, None]), -1, 1)
        shared, power = (course * place) @ weight, course**2 @ weight
        gain = np.clip(shared / np.maximum(power, 1e-9), -_LARGEST_GAIN, _LARGEST_GAIN)
        error = place**2 @ weight - 2 * gain * shared + gain**2 * power
        k = int(error.argmin())
        if error[k] < best.error:
            best = _Course(float(error[k]), float(moments[k]), float(speed), float(gain[k]))
    return best


def _fall(sound: np.ndarray, near: float, settings: PassingThresholds) -> tuple[float, float] | None:
    """(time, speed in m/s) at which undoing the Doppler shift of a passing leaves the sharpest harmonics.

    Looked for around the moment `near` that the levels give.
    """
    mono = resample_poly(sound.sum(axis=0), _LOW_RATE, SAMPLE_RATE).astype(np.float64)
    times = np.arange(len(mono)) / _LOW_RATE
    # The loudness of a passing is undone too: a line's width is then what the shift has done to it.
    level = np.sqrt(np.convolve(mono**2, np.hanning(_LOW_RATE // 4), mode="same")) + 1e-9
    flat = mono / level
    plain = _sharpness(flat)
    moments = near + settings.moment_step * np.arange(-settings.moments, settings.moments + 1)
    speeds = np.linspace(settings.slow, settings.fast, settings.speeds)
    score = np.array([[_undone(flat, times, float(m), float(v), settings) for v in speeds] for m in moments])
    at, which = np.unravel_index(int(score.argmax()), score.shape)
    if score[at, which] < settings.sharper * plain:
        return None
    moment = float(moments[at])
    if 0 < at < len(moments) - 1:
        low, mid, high = score[at - 1 : at + 2, which]
        moment += settings.moment_step * 0.5 * float((low - high) / min(low - 2 * mid + high, -1e-12))
    return moment, float(speeds[which])


def _undone(flat: np.ndarray, times: np.ndarray, moment: float, speed: float, settings: PassingThresholds) -> float:
    """Sharpness of the sound as it was emitted, if it passed at `moment` with `speed`."""
    since = times - moment
    arrives = times + (np.hypot(settings.distance, speed * since) - settings.distance) / SOUND_SPEED
    return _sharpness(np.interp(arrives, times, flat))


def _sharpness(sound: np.ndarray) -> float:
    """How much of the power from 80 to 1600 Hz is in narrow lines; large for a steady hum, small for noise."""
    size = next_fast_len(len(sound), real=True)
    power = np.abs(rfft(sound * np.hanning(len(sound)), size)) ** 2
    frequency = np.fft.rfftfreq(size, 1 / _LOW_RATE)
    power = power[(frequency > 80) & (frequency < 1600)]
    return float((power**2).sum() / max(float(power.sum()) ** 2, 1e-30))
