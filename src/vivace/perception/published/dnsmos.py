"""DNSMOS (Reddy et al. 2021, 2022): how good people would find a speech recording, 1 to 5, by its public ONNX graphs.

What is ours is what goes in and comes out: windows of 9.01 s each second, mel bands for P.808, and the published
polynomials that bring P.835's three outputs to the scale of the raters.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vivace.errors import VivaceError
from vivace.models.mel import mel_filters
from vivace.perception.published.resampling import mono_at
from vivace.perception.published.weights import PUBLISHED, MissingWeightsError

RATE = 16000
WINDOW, HOP = 144160, RATE  # 9.01 s each second
P835_FILE, P808_FILE = "sig_bak_ovr.onnx", "model_v8.onnx"
_FFT, _STEP, _BANDS, _FRAMES = 321, 160, 120, 900
_FLOOR, _RANGE = 1e-10, 80.0  # dB below the loudest
# Highest power first: of the published script, for clips of any speaker.
_TO_SCALE = {
    "sig": (-0.08397278, 1.22083953, 0.0052439),
    "bak": (-0.13166888, 1.60915514, -0.39604546),
    "ovrl": (-0.06766283, 1.11546468, 0.04602535),
}


class Dnsmos:
    """The two graphs of a folder: P.835 (speech, background, overall) and P.808 (overall).

    Args:
        path: folder with sig_bak_ovr.onnx and model_v8.onnx.

    Raises:
        MissingWeightsError: the package onnxruntime is not installed.
        VivaceError: a graph is missing or is another one.
    """

    device = torch.device("cpu")

    def __init__(self, path: Path) -> None:
        try:
            runtime = importlib.import_module("onnxruntime")
        except ImportError:
            raise MissingWeightsError(
                PUBLISHED["dnsmos"], 'are of use only with the package onnxruntime (pip install "vivace[voices]")'
            ) from None
        self._p835 = _session(runtime, path / P835_FILE, (WINDOW,), 3)
        self._p808 = _session(runtime, path / P808_FILE, (_FRAMES, _BANDS), 1)

    def to(self, device: str) -> None:
        """The graphs are small and stay on the CPU."""

    def __call__(self, audio: np.ndarray, sample_rate: int) -> dict[str, float]:
        """`sig`, `bak`, `ovrl` and `p808` of a sound [C, N]: the means over its windows.

        A sound shorter than a window is repeated, doubled in length each time, as published.

        Raises:
            VivaceError: a sound without samples.
        """
        sound = mono_at(audio, sample_rate, RATE)
        if not len(sound):
            raise VivaceError("A sound without samples has no quality; give one that lasts.")
        while len(sound) < WINDOW:
            sound = np.concatenate([sound, sound])
        # The published count, which leaves out a last window that would fit by a part of a second.
        count = int(len(sound) // RATE - WINDOW / RATE) + 1
        windows = [sound[n * HOP : n * HOP + WINDOW] for n in range(count)]
        raw = np.stack([_run(self._p835, window)[0] for window in windows]).astype(np.float64)
        found = {
            name: float(np.polyval(factors, raw[:, n]).mean()) for n, (name, factors) in enumerate(_TO_SCALE.items())
        }
        found["p808"] = float(np.mean([_run(self._p808, mel_bands(window))[0, 0] for window in windows]))
        return found


def mel_bands(window: np.ndarray) -> np.ndarray:
    """What P.808 sees of a window [144160], [900, 120]: 120 mel bands in decibels below the loudest, (dB + 40) / 40.

    The last 10 ms are left out, and the transform has 321 samples, as published.
    """
    sound = torch.from_numpy(np.asarray(window[:-_STEP], dtype=np.float32))
    spectrum = torch.stft(
        sound, _FFT, _STEP, window=torch.hann_window(_FFT), center=True, pad_mode="constant", return_complex=True
    )
    power = (_filters() @ spectrum.abs().square()).clamp(min=_FLOOR)
    decibels = 10.0 * torch.log10(power / power.max())
    return np.asarray(((decibels.clamp(min=-_RANGE) + 40.0) / 40.0).T.numpy())


def _filters() -> torch.Tensor:
    """[120, 161]; an odd transform's highest bin lies half a bin below 8 kHz."""
    # Triangles over a transform of 642 have a bin for each half bin of 321; every second one is wanted.
    return mel_filters(RATE, 2 * _FFT, _BANDS)[:, : _FFT + 1 : 2]


def _session(runtime: Any, path: Path, shape: tuple[int, ...], outputs: int) -> Any:
    if not path.is_file():
        raise VivaceError(f"Folder {str(path.parent)!r} lacks {path.name}; give DNSMOS's own folder.")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4
    try:
        session = runtime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
        found = _run(session, np.zeros(shape, np.float32))
    except Exception as error:  # onnxruntime's kinds of error have no parent of their own.
        reason = " ".join(str(error).split())[:120]
        raise VivaceError(f"Graph {str(path)!r} does not run as DNSMOS's ({reason}); give the public file.") from None
    if found.shape != (1, outputs):
        raise VivaceError(f"Graph {str(path)!r} gives {found.shape}, not {outputs} figures; give the public file.")
    return session


def _run(session: Any, values: np.ndarray) -> np.ndarray:
    given = {session.get_inputs()[0].name: np.asarray(values, dtype=np.float32)[None]}
    return np.asarray(session.run(None, given)[0])
