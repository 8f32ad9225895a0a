"""Sound as pictures: waveforms and log-mel spectrograms, for looking (not for measuring)."""

from __future__ import annotations

import numpy as np

from vivace.media.clip import check_audio

PAPER = (255, 255, 255)
SIDES = ((37, 99, 235), (217, 70, 39))  # left blue, right vermilion: told apart with any colour vision
RANGE_DB = 80.0  # what lies this far below full scale is black
# Dark to light with steadily rising lightness: position, RGB.
HEAT = (
    (0.00, (8, 7, 20)), (0.20, (45, 17, 96)), (0.40, (124, 32, 122)), (0.60, (203, 62, 92)),
    (0.80, (250, 138, 72)), (0.92, (254, 205, 130)), (1.00, (255, 250, 220)),
)  # fmt: skip


def waveform_image(audio: np.ndarray, sample_rate: int, width: int = 1000, height: int = 120) -> np.ndarray:
    """The waveform over its whole length, one lane per channel, as uint8 [height, width, 3].

    Each column shows the highest and lowest sample of its stretch of time, so that no click is lost. Full lane height
    is the larger of the clip's peak and 0.1: quiet clips are enlarged, silence stays a line.

    Raises:
        VivaceError: a wrong shape or type.
    """
    check_audio(audio, sample_rate)
    image = np.full((height, width, 3), PAPER, np.uint8)
    scale = max(float(np.abs(audio).max()), 0.1)
    # Column edges; a column never shows fewer than one sample.
    edges = np.linspace(0, audio.shape[1], width + 1).astype(int).clip(0, audio.shape[1] - 1)
    lanes = np.linspace(0, height, len(audio) + 1).astype(int)
    for channel, samples in enumerate(audio):
        top, bottom = lanes[channel], lanes[channel + 1]
        middle, half = (top + bottom) / 2, (bottom - top) / 2 - 2
        high = middle - np.maximum.reduceat(samples, edges[:-1]) / scale * half
        low = middle - np.minimum.reduceat(samples, edges[:-1]) / scale * half
        rows = np.arange(top, bottom)[:, None] + 0.5
        ink = (rows >= high - 0.75) & (rows <= low + 0.75)
        image[top:bottom][ink] = SIDES[channel % 2]
    return image


def spectrogram_image(audio: np.ndarray, sample_rate: int, width: int = 1000, height: int = 128) -> np.ndarray:
    """Log-mel power of the mean of the channels, low tones at the bottom, as uint8 [height, width, 3].

    Brightness goes from 80 dB below a full-scale tone (black) to it (white), the same for every clip.

    Raises:
        VivaceError: a wrong shape or type.
    """
    check_audio(audio, sample_rate)
    mono = audio.mean(0)
    size = 2 ** round(np.log2(sample_rate * 0.032))
    window = np.hanning(size).astype(np.float32)
    # Windows keep inside the sound: one that ran out of it would show its end as a click.
    mono = np.pad(mono, (0, max(0, size - len(mono))))
    centres = np.linspace(0, audio.shape[1] - 1, width).astype(int)
    starts = (centres - size // 2).clip(0, len(mono) - size)
    bands = _mel_bands(sample_rate, size, height)
    power = np.empty((height, width), np.float32)
    for start in range(0, width, 256):  # a stretch at a time keeps long clips small in memory
        pieces = np.lib.stride_tricks.sliding_window_view(mono, size)[starts[start : start + 256]]
        spectrum = np.abs(np.fft.rfft(pieces * window)) / (window.sum() / 2)
        power[:, start : start + 256] = bands @ (spectrum.T**2).astype(np.float32)
    decibel = 10 * np.log10(power + 1e-12)
    return heat((1 + decibel / RANGE_DB).clip(0, 1))[::-1]


def heat(values: np.ndarray) -> np.ndarray:
    """Values in [0, 1] of any shape as colours, uint8 [..., 3]."""
    positions = [position for position, _ in HEAT]
    channels = [np.interp(values, positions, [colour[c] for _, colour in HEAT]) for c in range(3)]
    return np.stack(channels, -1).round().astype(np.uint8)


def mel(hertz: np.ndarray | float) -> np.ndarray:
    """Pitch on the mel scale (2595 log10(1 + f / 700))."""
    return np.asarray(2595 * np.log10(1 + np.asarray(hertz) / 700))


def _mel_bands(sample_rate: int, size: int, count: int) -> np.ndarray:
    """Each row averages the spectrum around one mel pitch, [count, size / 2 + 1]; rows sum to 1.

    A triangle narrower than the spectrum's resolution is widened to it, so that no row is empty.
    """
    hertz = np.fft.rfftfreq(size, 1 / sample_rate)
    edges = np.linspace(mel(30.0), mel(sample_rate / 2), count + 2)
    centre = 700 * (10 ** (edges[1:-1] / 2595) - 1)
    reach = np.maximum(700 * (10 ** (edges[2:] / 2595) - 1) - centre, hertz[1])
    weights = np.maximum(0, 1 - np.abs(hertz[None] - centre[:, None]) / reach[:, None])
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)
