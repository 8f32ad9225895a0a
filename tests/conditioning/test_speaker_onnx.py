"""Speaker encoders from ONNX files: small graphs written here, run by the real runtime."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from vivace.conditioning.speaker_onnx import OnnxSpeakerEncoder
from vivace.conditioning.voices import recording, speaker_vectors
from vivace.errors import VivaceError
from vivace.models.speaker import SpeakerEncoder

onnx = pytest.importorskip("onnx", reason="the package onnx writes these tests' graphs")
pytest.importorskip("onnxruntime", reason="the extra vivace[voices] is not installed")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

WEIGHTS = np.random.default_rng(0).standard_normal((8, 1, 400)).astype(np.float32)


def graph(
    path: Path,
    *,
    values: int = 6,
    rank: int = 3,
    length: int | str = "samples",
    scale: float = 1.0,
    kept: bool = False,
) -> Path:
    """|sound * filters| averaged over time: [B, N] or [B, 1, N] -> [B, values] (with `kept`, the time stays)."""
    shape = ["batch", length] if rank == 2 else ["batch", 1, length]
    nodes = [
        helper.make_node("Conv", ["wave", "filters"], ["bands"], strides=[160]),
        helper.make_node("Abs", ["bands"], ["levels"]),
        helper.make_node("ReduceMean", ["levels", "time"], ["vector"], keepdims=0),
    ]
    constants = {
        "filters": WEIGHTS[:values] * scale,
        "time": np.array([2], np.int64),
        "channel": np.array([1], np.int64),
    }
    if rank == 2:
        nodes.insert(0, helper.make_node("Unsqueeze", ["sound", "channel"], ["wave"]))
    output = helper.make_tensor_value_info("levels" if kept else "vector", TensorProto.FLOAT, None)
    made = helper.make_graph(
        nodes,
        "speaker",
        [helper.make_tensor_value_info("sound" if rank == 2 else "wave", TensorProto.FLOAT, shape)],
        [output],
        [numpy_helper.from_array(value, name) for name, value in constants.items() if name != "channel" or rank == 2],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    path.write_bytes(model.SerializeToString())
    return path


def direct(sound: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.conv1d(sound[:, None], torch.from_numpy(WEIGHTS[:6]), stride=160).abs().mean(-1)


@pytest.mark.parametrize("rank", [2, 3])
def test_a_graph_is_a_speaker_encoder(tmp_path: Path, rank: int) -> None:
    encoder = OnnxSpeakerEncoder(graph(tmp_path / "voice.onnx", rank=rank))
    assert isinstance(encoder, SpeakerEncoder)
    assert (encoder.sample_rate, encoder.dim) == (16000, 6)
    for samples in (8000, 12345):
        sound = torch.randn(2, samples) * 0.1
        torch.testing.assert_close(encoder(sound), direct(sound), atol=1e-4, rtol=1e-4)
    assert encoder.identity == OnnxSpeakerEncoder(graph(tmp_path / "again.onnx", rank=rank)).identity
    assert encoder.identity != OnnxSpeakerEncoder(graph(tmp_path / "other.onnx", rank=rank, scale=2.0)).identity


def test_recordings_of_another_rate_are_resampled(tmp_path: Path) -> None:
    encoder = OnnxSpeakerEncoder(graph(tmp_path / "voice.onnx"))
    times = np.arange(44100) / 44100
    voice = recording(np.sin(2 * np.pi * 300 * times).astype(np.float32) * 0.1, 44100)
    same = recording(np.sin(2 * np.pi * 300 * np.arange(16000) / 16000).astype(np.float32) * 0.1, 16000)
    one, other = (speaker_vectors(encoder, [sound], 6)[0] for sound in (voice, same))
    assert float(torch.nn.functional.cosine_similarity(one, other, dim=0)) > 0.99


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda path: path.write_bytes(b""), "no ONNX model"),
        (lambda path: path.write_bytes(b"not a graph"), "no ONNX model"),
        (lambda path: None, "cannot be read"),
        (lambda path: path.mkdir(), "cannot be read"),
        (lambda path: graph(path, length=16000), "exactly 16000 samples"),
        (lambda path: graph(path, kept=True), "not one vector"),
        (lambda path: graph(path, scale=0.0), "no usable vector"),
        (lambda path: graph(path, scale=float("nan")), "no usable vector"),
    ],
)
def test_what_is_no_speaker_encoder_is_refused(make: Callable[[Path], object], why: str, tmp_path: Path) -> None:
    make(tmp_path / "voice.onnx")
    with pytest.raises(VivaceError, match=why) as caught:
        OnnxSpeakerEncoder(tmp_path / "voice.onnx")
    assert "\n" not in str(caught.value)


def test_sound_that_the_graph_cannot_take_is_told(tmp_path: Path) -> None:
    encoder = OnnxSpeakerEncoder(graph(tmp_path / "voice.onnx"))
    with pytest.raises(VivaceError, match="fails"):
        encoder(torch.zeros(1, 100))


def test_without_the_runtime_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(VivaceError, match=r'pip install "vivace\[voices\]"'):
        OnnxSpeakerEncoder(graph(tmp_path / "voice.onnx"))
