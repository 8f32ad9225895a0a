"""Speaker encoders from an ONNX file, such as the published ReDimNet-M: 16 kHz sound to a vector of 192 values.

The graph takes a waveform [B, N] (or [B, 1, N]) in [-1, 1] of any length and gives [B, dim]; how to export one is in
docs/voices.md.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vivace.errors import VivaceError

SAMPLE_RATE = 16000
MAX_BYTES = 2**31  # what one protobuf file can hold


class OnnxSpeakerEncoder:
    """A `vivace.models.speaker.SpeakerEncoder` that onnxruntime runs on the CPU.

    Args:
        path: the .onnx file.
        sample_rate: of the sound that the network was trained on (Hz).

    Raises:
        VivaceError: onnxruntime is not installed, no such file, or a graph that is no speaker encoder.
    """

    def __init__(self, path: str | Path, sample_rate: int = SAMPLE_RATE) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise VivaceError(
                f"Speaker encoder {str(path)!r} needs the package onnxruntime; install it by "
                'pip install "vivace[voices]".'
            ) from None
        self.path, self._rate = Path(path), sample_rate
        self._what = f"Speaker encoder {str(path)!r}"
        try:
            if self.path.stat().st_size > MAX_BYTES:
                raise VivaceError(f"{self._what} is larger than 2 GiB; name a speaker encoder.")
            content = self.path.read_bytes()
        except OSError as error:
            raise VivaceError(f"{self._what} cannot be read ({error.strerror}); check the path.") from None
        self._sha256 = hashlib.sha256(content).hexdigest()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 4
        try:
            self._session: Any = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's kinds of error have no parent of their own.
            raise VivaceError(f"{self._what} is no ONNX model that runs ({_line(error)}); export it again.") from None
        inputs = self._session.get_inputs()
        rank = len(inputs[0].shape) if len(inputs) == 1 and inputs[0].type == "tensor(float)" else 0
        if rank not in (2, 3):
            raise VivaceError(f"{self._what} does not take one float32 waveform [B, N]; export it so.")
        self._input, self._rank = inputs[0].name, rank
        if isinstance(inputs[0].shape[-1], int):
            raise VivaceError(
                f"{self._what} takes exactly {inputs[0].shape[-1]} samples; export it with a length that may change."
            )
        # Exported graphs often do not say how wide their output is, so it is asked with a second of faint noise.
        noise = 0.01 * np.random.default_rng(0).standard_normal((1, sample_rate)).astype(np.float32)
        self._dim = int(self._run(noise).shape[1])

    @property
    def sample_rate(self) -> int:
        return self._rate

    @property
    def dim(self) -> int:
        return self._dim

    @property
    def identity(self) -> str:
        """SHA-256 of the file."""
        return self._sha256

    def __call__(self, waveform: Tensor) -> Tensor:
        """Mono sound [B, N] to speaker vectors [B, dim]; each by itself, since exported graphs often take one only.

        Raises:
            VivaceError: the graph fails, or gives what is no vector.
        """
        rows = waveform.detach().float().cpu().numpy()
        found = np.concatenate([self._run(row[None]) for row in rows])
        return torch.from_numpy(found).to(waveform.device)

    def _run(self, sound: np.ndarray) -> np.ndarray:
        """[1, N] -> [1, dim]"""
        fed = np.ascontiguousarray(sound if self._rank == 2 else sound[:, None])
        try:
            found = np.asarray(self._session.run(None, {self._input: fed})[0], dtype=np.float32)
        except Exception as error:  # as above
            raise VivaceError(f"{self._what} fails ({_line(error)}); export it again.") from None
        if found.ndim < 1 or found.size < 2 or found.shape[0] != 1 or found.size != max(found.shape):
            raise VivaceError(f"{self._what} gives {list(found.shape)}, not one vector [1, dim]; export it again.")
        vector = found.reshape(1, -1)
        if not np.isfinite(vector).all() or not vector.any():
            raise VivaceError(f"{self._what} gives no usable vector; export it again.")
        return vector


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200].rstrip(".;")
