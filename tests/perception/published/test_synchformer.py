"""Synchformer: names and shapes of the public file, its attention, and the adapter with its metrics end to end."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.perception.published.tiny_networks import sound

from vivace.errors import VivaceError
from vivace.evaluation.desync import desync
from vivace.evaluation.metric import Sample
from vivace.evaluation.published_sync import TOO_SHORT, desync_metrics
from vivace.media import Clip
from vivace.models import synchformer
from vivace.models.synchformer import Synchformer
from vivace.perception.published.synchformer import OffsetLogits
from vivace.perception.published.weights import PUBLISHED, manifest

UNUSED = "vfeat_extractor.patch_embed."


def small() -> Synchformer:
    return Synchformer(dim=8, heads=2, layers=1, sync_heads=2, sync_layers=1)


def tiny_synchformer(folder: Path) -> OffsetLogits:
    torch.manual_seed(0)
    state = small().state_dict()
    names = {synchformer.own_name(name): name for name in manifest("synchformer")}
    tensors = {names[own]: tensor for own, tensor in state.items()}
    torch.save({**tensors, f"{UNUSED}proj.weight": torch.ones(2)}, folder / "sync.pth")
    return OffsetLogits(folder / "sync.pth", small())


def a_clip(seconds: float) -> Clip:
    frames = np.random.default_rng(0).integers(0, 255, (round(seconds * 25), 16, 20, 3), dtype=np.uint8)
    return Clip(frames, Fraction(25), sound(seconds), 16000)


def test_the_network_has_the_public_names_and_shapes() -> None:
    with torch.device("meta"):
        own = {name: tuple(tensor.shape) for name, tensor in Synchformer().state_dict().items()}
    kept = {name: shape for name, shape in manifest("synchformer").items() if not name.startswith(UNUSED)}
    assert {synchformer.own_name(name): shape for name, shape in kept.items()} == own


def test_divided_attention_looks_along_time_or_space() -> None:
    torch.manual_seed(0)
    layer = synchformer._Divided(8, 2).eval()
    x = torch.randn(1, 1 + 8 * 4, 8)
    changed = x.clone()
    changed[0, 1 + 2 * 4 + 3] += torch.randn(8)  # the third time, the fourth place
    for time in (True, False):
        with torch.no_grad():
            moved = (layer.over(changed, time=time) - layer.over(x, time=time)).abs().sum(-1)[0] > 1e-6
        patches = moved[1:].reshape(8, 4)
        assert moved[0]
        assert patches[:, 3].all() if time else patches[2].all()
        assert int(patches.sum()) == (8 if time else 4)


def test_the_spectrogram_is_filled_to_66_frames() -> None:
    tone = torch.sin(2 * torch.pi * 3000 * torch.arange(10240) / 16000)[None]
    bands = synchformer.spectrogram(tone)
    assert bands.shape == (1, 128, 66)
    assert float(bands[0, 0, 65]) == pytest.approx(4.2677393 / (2 * 4.5689974))
    corners = 700 * np.expm1(np.linspace(0, 1127 * np.log1p(8000 / 700), 130) / 1127)
    assert int(bands[0, :, 30].argmax()) == pytest.approx(int(np.abs(corners[1:-1] - 3000).argmin()), abs=1)


def test_synchformer_on_clips(tmp_path: Path) -> None:
    adapter = tiny_synchformer(tmp_path)
    clip = a_clip(5.2)
    seen, heard = adapter.segments(clip, batch=4)
    # 130 pictures hold 15 segments of 16, 8 apart; 83,200 samples 15 of 10,240.
    assert (seen.shape, heard.shape) == ((15, 8, 8), (15, 6, 8))
    other = adapter.segments(clip, batch=15)
    assert seen == pytest.approx(other[0], abs=1e-5)
    logits = adapter.logits(seen, heard, [0, 1])
    assert logits.shape == (2, 21)
    metrics = desync_metrics(adapter)
    assert tuple(metric.name for metric in metrics) == PUBLISHED["synchformer"].metrics
    lines = {metric.name: metric.update(Sample("a", clip)) for metric in metrics}
    assert lines["desync"]["value"] == pytest.approx(desync(logits))
    assert lines["desync_javisbench"]["value"] == pytest.approx(desync(logits))
    assert abs(lines["av_a_signed"]["value"]) <= lines["desync"]["value"] + 1e-9
    assert metrics[0].update(Sample("b", a_clip(0.5))) == {"undefined": TOO_SHORT}
    with pytest.raises(VivaceError, match="another network"):
        OffsetLogits(tmp_path / "sync.pth", Synchformer(dim=16, heads=2, layers=1, sync_heads=2, sync_layers=1))
