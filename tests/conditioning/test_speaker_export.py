"""Speaker networks to ONNX files, compared with the networks themselves."""

import math
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from vivace.conditioning.speaker_export import ConvolvedSpectrogram, export_speaker, without_complex
from vivace.conditioning.speaker_onnx import OnnxSpeakerEncoder
from vivace.errors import VivaceError


class Spectrogram(nn.Module):
    """With the attributes and the numbers of torchaudio's, which is not installed here."""

    window: Tensor

    def __init__(
        self,
        n_fft: int = 512,
        win_length: int = 400,
        hop_length: int = 160,
        pad: int = 0,
        power: float | None = 2.0,
        normalized: bool | str = False,
        center: bool = True,
        pad_mode: str = "reflect",
        onesided: bool = True,
    ) -> None:
        super().__init__()
        self.n_fft, self.win_length, self.hop_length, self.pad, self.power = n_fft, win_length, hop_length, pad, power
        self.normalized, self.center, self.pad_mode, self.onesided = normalized, center, pad_mode, onesided
        self.register_buffer("window", torch.hamming_window(win_length))

    def forward(self, waveform: Tensor) -> Tensor:
        flat = functional.pad(waveform.reshape(-1, waveform.shape[-1]), (self.pad, self.pad))
        made = torch.stft(
            flat,
            self.n_fft,
            self.hop_length,
            self.win_length,
            self.window,
            center=self.center,
            pad_mode=self.pad_mode,
            normalized=self.normalized == "frame_length",
            return_complex=True,
        )
        if self.normalized in (True, "window"):
            made = made / self.window.square().sum().sqrt()
        assert self.power is not None
        return made.abs().pow(self.power).reshape(*waveform.shape[:-1], *made.shape[-2:])


class Network(nn.Module):
    """Of the kind of the published one: emphasis, logarithmic bands without their mean, convolutions, statistics."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.features = nn.Sequential(Spectrogram())
        self.register_buffer("bands", torch.rand(20, 257))
        self.layers = nn.Sequential(nn.Conv1d(20, 24, 3, padding="same"), nn.BatchNorm1d(24), nn.GELU())
        self.last = nn.Linear(48, 6)

    def forward(self, waveform: Tensor) -> Tensor:
        sharp = functional.pad(waveform[:, None], (1, 0), mode="reflect")
        sharp = functional.conv1d(sharp, torch.tensor([[[-0.97, 1.0]]])).squeeze(1)
        bands = (torch.matmul(self.bands, self.features(sharp)) + 1e-6).log()  # type: ignore[arg-type]
        found = self.layers(bands - bands.mean(-1, keepdim=True))
        vector: Tensor = self.last(torch.cat((found.mean(-1), found.std(-1)), dim=1))
        return vector


class Timed(nn.Module):
    """Its vector holds the length, which becomes a constant when it is traced."""

    def forward(self, waveform: Tensor) -> Tensor:
        return torch.stack((waveform.abs().mean(-1), torch.full((1,), float(waveform.shape[-1]) / 48000)), dim=1)


class Wide(nn.Module):
    def forward(self, waveform: Tensor) -> Tensor:
        return waveform[:, None].abs()


class Phases(nn.Module):
    """What ONNX has no numbers for, and no spectrogram that could be exchanged."""

    def forward(self, waveform: Tensor) -> Tensor:
        return torch.fft.rfft(waveform).angle()[:, :5]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"power": 1.0},
        {"win_length": 399, "n_fft": 512, "hop_length": 100},
        {"center": False, "pad": 7},
        {"normalized": True},
        {"normalized": "frame_length", "pad_mode": "constant"},
    ],
)
def test_convolutions_give_the_spectrogram(settings: dict[str, object]) -> None:
    source = Spectrogram(**settings)  # type: ignore[arg-type]
    sound = torch.randn(2, 3, 2345, generator=torch.Generator().manual_seed(0))
    expected = source(sound)
    found = ConvolvedSpectrogram(source)(sound)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, atol=1e-4 * float(expected.max()), rtol=1e-4)


@pytest.mark.parametrize("settings", [{"power": None}, {"onesided": False}])
def test_what_is_no_power_spectrogram_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(VivaceError, match="cannot be exported"):
        without_complex(nn.Sequential(Spectrogram(**settings)))  # type: ignore[arg-type]


def test_a_network_and_its_file_give_the_same_vectors(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="the package onnx is not installed")
    pytest.importorskip("onnxruntime", reason="the extra vivace[voices] is not installed")
    network = Network()
    assert export_speaker(network, tmp_path / "speaker.onnx") > 0.9999
    assert isinstance(network.features[0], Spectrogram)  # as it was
    assert network.training
    assert [path.name for path in tmp_path.iterdir()] == ["speaker.onnx"]
    encoder = OnnxSpeakerEncoder(tmp_path / "speaker.onnx")
    assert encoder.dim == 6
    sound = torch.sin(2 * math.pi * 220 * torch.arange(12345) / 16000).repeat(2, 1) * torch.tensor([[0.1], [0.3]])
    with torch.no_grad():
        torch.testing.assert_close(encoder(sound), network.eval()(sound), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("network", "why"),
    [(Timed(), "other vectors"), (Wide(), "not one vector"), (Phases(), "cannot be exported")],
)
def test_a_file_that_would_be_wrong_is_not_written(network: nn.Module, why: str, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="the package onnx is not installed")
    pytest.importorskip("onnxruntime", reason="the extra vivace[voices] is not installed")
    with pytest.raises(VivaceError, match=why) as caught:
        export_speaker(network, tmp_path / "speaker.onnx")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_without_the_package_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(VivaceError, match="pip install onnx"):
        export_speaker(Network(), tmp_path / "speaker.onnx")
