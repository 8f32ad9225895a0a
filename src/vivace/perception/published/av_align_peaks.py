"""The peaks of sound and motion of which the published AV-Align is made: librosa's onsets and Farneback's flow.

Both libraries are the user's own: `pip install "vivace[eval-video]"`.
"""

from __future__ import annotations

from importlib.util import find_spec
from itertools import pairwise

import numpy as np

PACKAGES = {"librosa": "librosa", "cv2": "opencv-python-headless"}  # as imported, as installed
RATE = 22_050  # Hz, to which librosa brings sound by default
MOVA_RATE, MOVA_HOP = 44_100, 1_411  # 32 ms
_FARNEBACK = {
    "pyr_scale": 0.5,
    "levels": 3,
    "winsize": 15,
    "iterations": 3,
    "poly_n": 5,
    "poly_sigma": 1.2,
    "flags": 0,
}


def packages_lacking() -> list[str]:
    """Which of the packages are not installed."""
    return [package for module, package in PACKAGES.items() if find_spec(module) is None]


def sound_peaks(audio: np.ndarray, sample_rate: int, rate: int = RATE, hop: int = 512) -> list[float]:
    """Seconds of librosa's onsets, by its own settings.

    Args:
        audio: float [C, N]; heard as the mean of its channels, brought to `rate`. hop: samples between its spectra.
    """
    import librosa

    mono = librosa.resample(np.asarray(audio, np.float32).mean(axis=0), orig_sr=sample_rate, target_sr=rate)
    strength = librosa.onset.onset_strength(y=mono, sr=rate, hop_length=hop)
    frames = librosa.onset.onset_detect(onset_envelope=strength, sr=rate, hop_length=hop)
    return [float(time) for time in librosa.frames_to_time(frames, sr=rate, hop_length=hop)]


def flow_sizes(frames: np.ndarray) -> list[float]:
    """The mean length of Farneback's flow of each step, in pixels of the pictures as they are.

    Args:
        frames: uint8 [T, H, W, 3].
    """
    import cv2

    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    sizes = []
    for before, after in pairwise(grey):
        flow = cv2.calcOpticalFlowFarneback(before, after, None, **_FARNEBACK)
        sizes.append(float(np.linalg.norm(flow, axis=-1).mean()))
    return sizes
