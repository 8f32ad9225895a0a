"""PANNs, PaSST, VGGish and DNSMOS: names and shapes of the public files, their inputs, and the adapters end to end."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from tests.perception.published.tiny_networks import sound

from vivace.errors import VivaceError
from vivace.models import panns, passt, vggish
from vivace.models.htk_mel import htk_filters
from vivace.models.panns import Cnn14
from vivace.models.passt import Passt
from vivace.models.vggish import VGGish
from vivace.perception.published import dnsmos
from vivace.perception.published.dnsmos import Dnsmos
from vivace.perception.published.sound_classes import PannsClasses, PasstClasses, VggishVectors
from vivace.perception.published.weights import manifest


def shapes(model: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def public(model: torch.nn.Module, name: str) -> dict[str, torch.Tensor]:
    """A tiny network's tensors under the names of the public file."""
    state = model.state_dict()
    return {key: state[panns.own_name(key)] for key in manifest(name) if panns.own_name(key) in state}


def tiny_panns(folder: Path) -> PannsClasses:
    torch.manual_seed(0)
    torch.save({"model": public(Cnn14(0.03), "panns_cnn14_16k")}, folder / "panns.pth")
    return PannsClasses(folder / "panns.pth", Cnn14(0.03))


def tiny_passt(folder: Path) -> PasstClasses:
    torch.manual_seed(0)
    state = Passt(8, 1, 2).state_dict()
    torch.save({**state, "head_dist.weight": torch.ones(527, 8), "head_dist.bias": torch.ones(527)}, folder / "p.pt")
    return PasstClasses(folder / "p.pt", Passt(8, 1, 2))


def tiny_vggish(folder: Path) -> VggishVectors:
    torch.manual_seed(0)
    torch.save(VGGish(0.01).state_dict(), folder / "v.pth")
    return VggishVectors(folder / "v.pth", VGGish(0.01))


def dnsmos_folder(folder: Path, outputs: int = 3) -> Path:
    """Graphs with DNSMOS's inputs and outputs: means of what they are given, one constant beside the other."""
    for name, shape, count in ((dnsmos.P835_FILE, [1, 144160], outputs), (dnsmos.P808_FILE, [1, 900, 120], 1)):
        nodes = [
            helper.make_node("ReduceMean", ["input_1"], ["mean"], axes=list(range(1, len(shape))), keepdims=0),
            helper.make_node("Reshape", ["mean", "column"], ["one"]),
            helper.make_node("Add", ["one", "offsets"], ["out"]),
        ]
        graph = helper.make_graph(
            nodes,
            name,
            [helper.make_tensor_value_info("input_1", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, count])],
            [
                helper.make_tensor("column", TensorProto.INT64, [2], [1, 1]),
                helper.make_tensor("offsets", TensorProto.FLOAT, [1, count], [2.0 + n for n in range(count)]),
            ],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
        model.ir_version = 9
        onnx.save(model, folder / name)
    return folder


def test_the_networks_have_the_public_names_and_shapes() -> None:
    with torch.device("meta"):
        own = shapes(Cnn14()), shapes(Passt()), shapes(VGGish())
    assert {panns.own_name(name): shape for name, shape in manifest("panns_cnn14_16k").items()} == own[0]
    kept = {name: shape for name, shape in manifest("passt_s").items() if not name.startswith("head_dist.")}
    assert kept == own[1]
    assert manifest("vggish") == own[2]


def test_htk_triangles_meet_where_the_next_one_peaks() -> None:
    filters = htk_filters(16000, 4096, 10, 125.0, 7500.0)
    assert float(filters.max()) <= 1.0
    # On HTK's scale the corners are evenly spaced: between the first and the last peak the triangles add up to 1.
    inside = filters[:, int(filters.argmax(1)[0]) + 1 : int(filters.argmax(1)[-1])]
    assert inside.sum(0) == pytest.approx(torch.ones(inside.shape[1]), abs=1e-5)
    peaks = filters.argmax(1) * 16000 / 4096
    mel = 1127 * torch.log1p(peaks / 700)
    assert mel.diff() == pytest.approx(mel.diff().mean().repeat(9), abs=4.0)
    # Straight over Hz, a triangle's value half way down its side is one half.
    over_hertz = htk_filters(16000, 4096, 10, 125.0, 7500.0, straight_in_mel=False)[9]
    top, end = int(over_hertz.argmax()), int(7500 / 16000 * 4096)
    assert float(over_hertz[(top + end) // 2]) == pytest.approx(0.5, abs=0.01)


def test_panns(tmp_path: Path) -> None:
    adapter = tiny_panns(tmp_path)
    found = adapter(sound(1.0), 16000)
    assert found.logits.shape == (527,)
    assert (found.vector >= 0).all()
    # A constant is no sound: it is taken off.
    assert adapter(sound(1.0) + 0.3, 16000).logits == pytest.approx(found.logits, abs=1e-3)
    assert np.isfinite(adapter(sound(0.01), 16000).logits).all()
    with pytest.raises(VivaceError, match="another network"):
        PannsClasses(tmp_path / "panns.pth", Cnn14(0.05))


def test_cnn14_hears_by_its_own_filters() -> None:
    torch.manual_seed(0)
    model = Cnn14(0.03).eval()
    with torch.no_grad():
        n, k = torch.arange(panns.FFT) / panns.FFT, torch.arange(panns.FFT // 2 + 1)[:, None]
        window = torch.hann_window(panns.FFT)
        model.real.weight[:, 0] = window * torch.cos(2 * torch.pi * k * n)
        model.imaginary.weight[:, 0] = -window * torch.sin(2 * torch.pi * k * n)
        wave = torch.randn(1, 8000)
        padded = torch.nn.functional.pad(wave[:, None], (256, 256), mode="reflect")
        power = model.real(padded) ** 2 + model.imaginary(padded) ** 2
        due = torch.stft(wave, panns.FFT, panns.HOP, window=window, return_complex=True).abs() ** 2
    assert power == pytest.approx(due, rel=1e-3, abs=1e-2)


def test_passt_hears_ten_seconds(tmp_path: Path) -> None:
    adapter = tiny_passt(tmp_path)
    found = adapter(sound(1.0, 32000), 32000)
    assert (found.logits.shape, found.vector.shape) == ((527,), (8,))
    long = sound(11.0, 32000)
    long -= long[:, :320000].mean()  # so that the mean over all takes off the same
    later = long.copy()
    later[:, 320000:] = 0.0
    assert adapter(later - later.mean(), 32000).vector == pytest.approx(adapter(later, 32000).vector, abs=1e-5)
    assert passt.spectrogram(torch.randn(1, 320000)).shape == (1, 128, 1000)
    tone = torch.sin(2 * torch.pi * 4000 * torch.arange(32000) / 32000)[None]
    corners = np.linspace(0, 1127 * np.log1p(15000 / 700), 130)
    place = np.abs(corners[1:-1] - 1127 * np.log1p(4000 / 700)).argmin()
    assert int(passt.spectrogram(tone)[0, :, 50].argmax()) == pytest.approx(int(place), abs=1)


def test_verse_bench_averages_windows(tmp_path: Path) -> None:
    adapter = tiny_passt(tmp_path)
    quiet = sound(16.0, 32000)
    found = adapter.over_windows(quiet, 32000)
    assert adapter.over_windows(0.3 * quiet, 32000) == pytest.approx(found, abs=1e-4)
    mono = torch.from_numpy(quiet.mean(0))
    mono = mono / mono.abs().max() * 10 ** (-1 / 20)
    parts = [passt.ten_seconds(mono[start:]) for start in (0, 160000, 320000)]
    with torch.no_grad():
        due = torch.cat([adapter.model(passt.spectrogram(part[None]))[0] for part in parts]).mean(0)
    assert found == pytest.approx(due.numpy(), abs=1e-4)
    short = adapter.over_windows(quiet[:, :32000], 32000)
    assert short.shape == (527,)


def test_vggish(tmp_path: Path) -> None:
    adapter = tiny_vggish(tmp_path)
    vectors = adapter(sound(2.5), 16000)
    assert vectors.shape == (2, 128)
    assert adapter(sound(0.1), 16000).shape == (1, 128)
    wave = torch.randn(vggish.SHORTEST)
    window = vggish.examples(wave)
    assert window.shape == (1, 96, 64)
    # By hand: the magnitude of the third frame, through the first triangle that has a bin.
    frame = np.abs(np.fft.rfft(wave[320:720].numpy() * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)), 512))
    mel = 1127 * np.log1p(np.arange(257) * 16000 / 512 / 700)
    edges = np.linspace(1127 * np.log1p(125 / 700), 1127 * np.log1p(7500 / 700), 66)
    triangle = np.maximum(
        0, np.minimum((mel - edges[9]) / (edges[10] - edges[9]), (edges[11] - mel) / (edges[11] - edges[10]))
    )
    assert float(window[0, 2, 9]) == pytest.approx(float(np.log(frame @ triangle + 0.01)), abs=1e-4)


def test_dnsmos(tmp_path: Path) -> None:
    adapter = Dnsmos(dnsmos_folder(tmp_path))
    found = adapter(sound(10.6), 16000)
    mono = sound(10.6).mean(0)
    # The published count: of 10.6 s one window, although two would fit by their starts.
    raw = float(mono[:144160].mean())
    assert found["sig"] == pytest.approx(np.polyval([-0.08397278, 1.22083953, 0.0052439], raw + 2.0), abs=1e-5)
    assert found["bak"] == pytest.approx(np.polyval([-0.13166888, 1.60915514, -0.39604546], raw + 3.0), abs=1e-5)
    assert found["ovrl"] == pytest.approx(np.polyval([-0.06766283, 1.11546468, 0.04602535], raw + 4.0), abs=1e-5)
    assert found["p808"] == pytest.approx(2.0 + float(dnsmos.mel_bands(mono[:144160]).mean()), abs=1e-4)
    short = sound(5.0)
    doubled = np.concatenate([short, short], axis=1)
    assert adapter(short, 16000) == pytest.approx(adapter(doubled, 16000))
    with pytest.raises(VivaceError, match="without samples"):
        adapter(np.zeros((1, 0), np.float32), 16000)


def test_dnsmos_bands_show_a_tone_where_it_is() -> None:
    n = np.arange(dnsmos.WINDOW)
    bands = dnsmos.mel_bands(np.sin(2 * np.pi * 500 * n / 16000))
    assert bands.shape == (900, 120)
    # Slaney's scale is straight below 1 kHz: 15 mel at 1000 Hz and 45.245 at 8000 Hz.
    assert int(bands[400].argmax()) == pytest.approx(7.5 / (45.245 / 121) - 1, abs=1)
    assert float(bands.max()) == pytest.approx(1.0)
    assert float(bands.min()) == pytest.approx(-1.0)


def test_other_graphs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(VivaceError, match=r"lacks sig_bak_ovr\.onnx"):
        Dnsmos(tmp_path)
    dnsmos_folder(tmp_path, outputs=2)
    with pytest.raises(VivaceError, match="not 3 figures"):
        Dnsmos(tmp_path)
    (tmp_path / dnsmos.P835_FILE).write_bytes(b"nothing")
    with pytest.raises(VivaceError, match="does not run"):
        Dnsmos(tmp_path)
