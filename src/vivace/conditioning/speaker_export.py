"""A speaker network of PyTorch, such as the published ReDimNet-M, as an ONNX file that `speaker_onnx` runs.

Such networks begin with torchaudio's spectrogram, whose complex numbers PyTorch's exporter refuses. It is exchanged for
two convolutions that give the same powers.
"""

from __future__ import annotations

import copy
import importlib.util
import math
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from vivace.conditioning.speaker_onnx import SAMPLE_RATE, OnnxSpeakerEncoder
from vivace.errors import VivaceError
from vivace.media import replacing

OPSET = 17
EXPORTED_SECONDS = 3.0
# Others than the one that is exported, so that a length which has become a constant is seen.
COMPARED_SECONDS = (1.0, 3.0, 7.3)
LEAST_COSINE = 0.999


def export_speaker(network: nn.Module, path: str | Path, sample_rate: int = SAMPLE_RATE) -> float:
    """Write a network as an ONNX file and compare the two at several lengths; the network stays as it is.

    Args:
        network: from sound [B, N] to vectors [B, dim].
        sample_rate: of the sound that it was trained on (Hz).

    Returns:
        The least cosine between the vectors of both.

    Raises:
        VivaceError: a package is missing, or a network that gives no vectors, cannot be exported, or gives other
            vectors as a file. No file is written then.
    """
    if importlib.util.find_spec("onnx") is None:
        raise VivaceError("Exporting a speaker encoder needs the package onnx; install it by pip install onnx.")
    made = without_complex(network)
    sound = _noise(EXPORTED_SECONDS, sample_rate)
    with torch.no_grad():
        shape = list(made(sound).shape)
    if len(shape) != 2 or shape[0] != 1:
        raise VivaceError(f"The network gives {shape} for one sound, not one vector [1, dim]; name a speaker encoder.")
    original = copy.deepcopy(network).cpu().float().eval()
    with replacing(Path(path)) as temporary:
        try:
            # What the exporter warns of is what is compared below.
            with warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")
                torch.onnx.export(
                    made,
                    (sound,),
                    str(temporary),
                    input_names=["waveform"],
                    output_names=["vector"],
                    dynamic_axes={"waveform": {0: "batch", 1: "samples"}, "vector": {0: "batch"}},
                    opset_version=OPSET,
                    dynamo=False,  # the other exporter needs one more package, and stores weights in a second file
                )
        except Exception as error:  # The exporter raises as many kinds as there are operators.
            reason = " ".join(str(error).split())[:200].rstrip(".;")
            raise VivaceError(f"The network cannot be exported ({reason}); rewrite that part of it.") from None
        encoder = OnnxSpeakerEncoder(temporary, sample_rate)
        cosines = [_cosine(original, encoder, _noise(seconds, sample_rate)) for seconds in COMPARED_SECONDS]
        if not min(cosines) >= LEAST_COSINE:
            found = ", ".join(
                f"{cosine:.4f} at {seconds:g} s" for cosine, seconds in zip(cosines, COMPARED_SECONDS, strict=True)
            )
            raise VivaceError(f"The exported network gives other vectors (cosines {found}); export it by hand.")
    return min(cosines)


def _noise(seconds: float, sample_rate: int) -> Tensor:
    """[1, N], the same every time, with something of a syllable's rise and fall"""
    generator = torch.Generator().manual_seed(0)
    times = torch.arange(int(seconds * sample_rate)) / sample_rate
    return (0.1 * torch.randn(len(times), generator=generator) * (1.1 - torch.cos(8 * math.pi * times)))[None]


def _cosine(network: nn.Module, encoder: OnnxSpeakerEncoder, sound: Tensor) -> float:
    with torch.no_grad():
        return float(functional.cosine_similarity(network(sound), encoder(sound))[0])


def without_complex(network: nn.Module) -> nn.Module:
    """A copy, on the CPU in float32 and for inference, in which every spectrogram of torchaudio's is convolutions.

    Raises:
        VivaceError: a spectrogram of phases, or of both sides.
    """
    made = copy.deepcopy(network).cpu().float().eval()
    for name, module in list(made.named_modules()):
        # By its name: torchaudio need not be installed where a network has none.
        if name and type(module).__name__ == "Spectrogram":
            parent, _, child = name.rpartition(".")
            setattr(made.get_submodule(parent), child, ConvolvedSpectrogram(module))
    return made


class ConvolvedSpectrogram(nn.Module):
    """`torchaudio.transforms.Spectrogram` as convolutions with windowed cosines and sines.

    Source: the discrete Fourier transform, written out. Ours: its numbers differ from the fast one's in rounding.

    Args:
        source: the module that it stands for.

    Raises:
        VivaceError: it gives complex numbers, or both sides of the spectrum.
    """

    basis: Tensor

    def __init__(self, source: Any) -> None:
        super().__init__()
        if source.power is None or not source.onesided:
            raise VivaceError("A spectrogram of complex numbers or of both sides cannot be exported; use its powers.")
        self.size, self.hop, self.power = int(source.n_fft), int(source.hop_length), float(source.power)
        self.edge = int(source.pad)
        self.centred, self.mode = bool(source.center), str(source.pad_mode)
        window = source.window.detach().double().cpu()
        # Shorter windows stand in the middle of the frame, as torch.stft puts them.
        left = (self.size - len(window)) // 2
        framed = functional.pad(window, (left, self.size - len(window) - left))
        if source.normalized == "frame_length":
            framed = framed / self.size**0.5
        elif source.normalized:
            framed = framed / window.square().sum().sqrt()
        turns = torch.outer(torch.arange(self.size // 2 + 1), torch.arange(self.size)) % self.size
        angles = 2 * math.pi * turns.double() / self.size
        basis = torch.cat((angles.cos(), angles.sin())) * framed
        self.register_buffer("basis", basis[:, None].float())  # [2 * bins, 1, n_fft]

    def forward(self, waveform: Tensor) -> Tensor:
        """[..., N] -> [..., n_fft // 2 + 1, frames]"""
        sound = functional.pad(waveform.reshape(-1, 1, waveform.shape[-1]), (self.edge, self.edge))
        if self.centred:
            sound = functional.pad(sound, (self.size // 2, self.size // 2), mode=self.mode)
        real, imaginary = functional.conv1d(sound, self.basis, stride=self.hop).chunk(2, dim=1)
        squares = real.square() + imaginary.square()
        found = squares if self.power == 2.0 else squares.pow(self.power / 2)
        return found.reshape(*waveform.shape[:-1], self.size // 2 + 1, found.shape[-1])
