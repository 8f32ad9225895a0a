"""Speech: a formant synthesiser (after Klatt 1980) that filters in short overlapping frames.

A glottal pulse train and noise excite a cascade of five resonances; frication noise has a band of its own. Filtering is
done by multiplying the spectra of overlapping frames, so that a second of speech takes some milliseconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.signal import resample_poly

from vivace.world.articulation import TRACK_RATE, Movements, Utterance, movements, utterance
from vivace.world.voices import Voice

SPEECH_RATE = 16000  # Hz; the voice has nothing above half of it, whatever the clip's own rate
LOUDNESS = 0.16  # RMS of an utterance's voiced part
_HOP = 64  # samples: 4 ms
_FRAME = 4 * _HOP
_FFT = next_fast_len(_FRAME + 320, real=True)  # room for 20 ms of ringing
_BANDWIDTHS = (75.0, 95.0, 140.0, 220.0, 300.0)
_HIGH_FORMANTS = (3550.0, 4550.0)
_FADE = 0.004  # seconds at the ends of an utterance's sound


@dataclass(frozen=True)
class Spoken:
    """An utterance's sound.

    sound: float64 [N] at the rate asked for; `start` is the time of its first sample from the utterance's start, in
    seconds (negative: breath and lips begin before the first phone).
    """

    sound: np.ndarray
    start: float
    utterance: Utterance
    movements: Movements


def speak(words: tuple[str, ...], voice: Voice, seed: int, rate: int = SPEECH_RATE) -> Spoken:
    """The words in this voice; `seed` decides the noise alone, never timing or pitch.

    Raises:
        VivaceError: no words, or one that the world cannot speak.
    """
    timed = utterance(words, voice)
    moved = movements(timed, voice)
    sound = _synthesise(moved, voice, np.random.default_rng([303, seed]))
    if rate != SPEECH_RATE:
        common = math.gcd(rate, SPEECH_RATE)
        sound = resample_poly(sound, rate // common, SPEECH_RATE // common)
    return Spoken(sound, moved.start, timed, moved)


def _synthesise(moved: Movements, voice: Voice, rng: np.random.Generator) -> np.ndarray:
    """Sound at `SPEECH_RATE` from the first movement to the last, [N]."""
    samples = math.floor((len(moved.voicing) - 1) / TRACK_RATE * SPEECH_RATE)
    places = np.arange(samples) * (TRACK_RATE / SPEECH_RATE)
    index = np.arange(len(moved.voicing))

    def at_samples(track: np.ndarray) -> np.ndarray:
        return np.interp(places, index, track)

    pitch = voice.pitch * 2 ** (at_samples(moved.semitones) / 12)
    # Slow irregularity, as of any living voice.
    wander = np.interp(places, index[::40], rng.standard_normal(len(index[::40])))
    phase = np.cumsum(pitch * (1 + 0.002 * wander)) / SPEECH_RATE
    pulses, puff = _glottis(phase, pitch)
    hiss = rng.standard_normal(samples)
    voiced = at_samples(moved.voicing) * (pulses + (0.02 + 0.16 * voice.breath) * (0.4 + 0.6 * puff) * hiss)
    source = voiced + 0.5 * at_samples(moved.aspiration) * hiss
    noise = at_samples(moved.frication) * rng.standard_normal(samples)
    sound = _filtered(source, noise, moved, voice)
    strength = np.sqrt(np.mean(sound[at_samples(moved.voicing) > 0.3] ** 2))
    fade = np.minimum(np.minimum(np.arange(samples), np.arange(samples)[::-1]) / (_FADE * SPEECH_RATE), 1.0)
    return sound * fade * (LOUDNESS / max(float(strength), 1e-9))


def _glottis(phase: np.ndarray, pitch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The glottal flow's derivative, of equal power at every pitch, and how open the glottis is, each [N].

    The derivative is the difference of the flow from sample to sample, which keeps aliasing low.
    """
    cycle = phase % 1.0
    flow = np.where(cycle < 0.58, 0.5 - 0.5 * np.cos(math.pi * cycle / 0.58), np.maximum(1 - (cycle - 0.58) / 0.14, 0))
    return np.diff(flow, prepend=0.0) * np.sqrt(SPEECH_RATE / pitch) * 1.6, flow


def _filtered(source: np.ndarray, noise: np.ndarray, moved: Movements, voice: Voice) -> np.ndarray:
    """The two sources through tract and frication band, [N]."""
    samples = len(source)
    count = math.ceil(samples / _HOP) + 3
    # A squared sine window, its overlapping copies sum to a constant.
    window = np.sin(math.pi * (np.arange(_FRAME) + 0.5) / _FRAME) ** 2 / 2
    centres = (np.arange(count) - 1) * _HOP / SPEECH_RATE * TRACK_RATE
    at = np.clip(np.round(centres).astype(int), 0, len(moved.voicing) - 1)

    def framed(sound: np.ndarray) -> np.ndarray:
        padded = np.pad(sound, (3 * _HOP, _FRAME + _HOP)).astype(np.float32)
        frames = np.lib.stride_tricks.sliding_window_view(padded, _FRAME)[::_HOP][:count]
        return rfft(frames * window.astype(np.float32), _FFT, axis=1)

    spectra = framed(source) * _tract(moved, at, voice)
    if noise.any():
        spectra += framed(noise) * _frication(moved, at)
    frames = irfft(spectra, _FFT, axis=1)
    blocks = math.ceil(_FFT / _HOP)
    frames = np.pad(frames, ((0, 0), (0, blocks * _HOP - _FFT))).reshape(count, blocks, _HOP)
    out = np.zeros((count + blocks, _HOP))
    for block in range(blocks):
        out[block : block + count] += frames[:, block]
    return out.reshape(-1)[3 * _HOP : 3 * _HOP + samples]


def _tract(moved: Movements, at: np.ndarray, voice: Voice) -> np.ndarray:
    """The vocal tract's response in each frame, complex64 [frames, bins]."""
    frequencies = np.arange(_FFT // 2 + 1) * (SPEECH_RATE / _FFT)
    delay = np.exp(-2j * math.pi * np.arange(_FFT // 2 + 1) / _FFT)
    # What does not move: high formants, the tilt of the voice, and no sound at 0 Hz.
    still = np.ones(len(frequencies), dtype=np.complex128)
    for formant, bandwidth in zip(_HIGH_FORMANTS, _BANDWIDTHS[3:], strict=True):
        hertz = min(formant * voice.tract, 0.46 * SPEECH_RATE)
        radius = math.exp(-math.pi * bandwidth * voice.tract / SPEECH_RATE)
        cosine = 2 * radius * math.cos(2 * math.pi * hertz / SPEECH_RATE)
        still *= (1 - cosine + radius**2) / (1 - cosine * delay + radius**2 * delay**2)
    tilt = 2000 * 2.0 ** (0.9 * voice.brightness - 0.6 * voice.breath)
    still /= np.sqrt(1 + (frequencies / tilt) ** 2) * np.sqrt(1 + (60 / np.maximum(frequencies, 1)) ** 4)
    below = np.ones((len(at), len(frequencies)), dtype=np.complex64)
    gain = np.ones(len(at))
    for k, bandwidth in enumerate(_BANDWIDTHS[:3]):
        radius = math.exp(-math.pi * bandwidth / SPEECH_RATE)
        cosine = 2 * radius * np.cos(2 * math.pi * moved.formants[at, k] / SPEECH_RATE)
        gain *= 1 - cosine + radius**2
        steady = (1 + radius**2 * delay**2).astype(np.complex64)
        below *= steady - cosine[:, None].astype(np.float32) * delay.astype(np.complex64)
    response = (gain[:, None] * still).astype(np.complex64) / below
    nasal = np.flatnonzero(moved.nasal[at] > 0.01)
    if len(nasal):
        frames = at[nasal]
        # An antiresonance, and less of everything above it than an open mouth lets out.
        notch = np.exp(-(((frequencies - moved.zero[frames, None]) / 260) ** 2))
        damped = 1 - moved.nasal[frames, None] * (0.9 * notch + 0.45 * (frequencies > 500) * (1 - notch))
        response[nasal] *= damped.astype(np.float32)
    return response


def _frication(moved: Movements, at: np.ndarray) -> np.ndarray:
    """The gain of the frication's band in each frame, float32 [frames, bins]; equal power whatever its width."""
    frequencies = np.arange(_FFT // 2 + 1) * (SPEECH_RATE / _FFT)
    centre, width = moved.noise[at, 0:1], moved.noise[at, 1:2]
    centre = np.minimum(centre, 0.44 * SPEECH_RATE)
    band = np.exp(-0.5 * ((frequencies - centre) / width) ** 2) + 0.006
    return (band / np.sqrt(np.mean(band**2, axis=1, keepdims=True))).astype(np.float32)
