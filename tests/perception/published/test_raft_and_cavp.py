"""RAFT and CAVP: names and shapes of the public files, the networks' laws, and the adapters with their metrics."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.perception.published.test_picture_networks import shapes
from tests.perception.published.tiny_networks import sound
from transformers.audio_utils import mel_filter_bank

from vivace.errors import VivaceError
from vivace.evaluation.embedding_scores import cosines
from vivace.evaluation.metric import Sample
from vivace.evaluation.published_pictures import flow_metrics
from vivace.evaluation.published_sync import cavp_metrics
from vivace.media import Clip
from vivace.models import cavp, raft
from vivace.models.cavp import Cavp
from vivace.models.mel import mel_filters
from vivace.models.raft import Raft
from vivace.perception.published.cavp import CavpVectors
from vivace.perception.published.raft import FlowSize, flow_input
from vivace.perception.published.weights import PUBLISHED, manifest

RNG = np.random.default_rng(0)


def tiny_raft(folder: Path) -> FlowSize:
    torch.manual_seed(0)
    state = Raft(8).state_dict()
    # Several devices' names, as the publisher's file has them.
    torch.save({f"module.{name}": state[name] for name in manifest("raft_things")}, folder / "raft.pth")
    return FlowSize(folder / "raft.pth", Raft(8))


def tiny_cavp(folder: Path) -> CavpVectors:
    torch.manual_seed(0)
    state = Cavp(2, 6).state_dict()
    content = {"epoch": 66, "state_dict": {f"module.{name}": state[name] for name in manifest("cavp")}}
    torch.save(content, folder / "cavp.ckpt")
    return CavpVectors(folder / "cavp.ckpt", Cavp(2, 6))


def a_clip(seconds: float, side: int = 40) -> Clip:
    frames = RNG.integers(0, 255, (round(seconds * 24), side, side + 8, 3), dtype=np.uint8)
    return Clip(frames, Fraction(24), sound(seconds), 16000)


def test_the_networks_have_the_public_names_and_shapes() -> None:
    with torch.device("meta"):
        flow, both = Raft(), Cavp()
    assert shapes(flow) == manifest("raft_things")
    assert shapes(both) == manifest("cavp")
    # Printed elsewhere: RAFT's 5,257,536, and SlowOnly's 32.45 million of which 2049 x 400 are classes.
    assert sum(part.numel() for part in flow.parameters()) == 5_257_536
    assert sum(part.numel() for part in both.video_encoder.parameters()) == pytest.approx(
        32.45e6 - 2049 * 400, rel=1e-3
    )


def test_what_is_looked_up_is_a_weighted_mean_of_comparisons() -> None:
    torch.manual_seed(0)
    first, second = torch.randn(2, 1, 5, 16, 18).double()
    pyramid = raft._comparisons(first, second)
    places = raft._places(first) + torch.tensor([0.25, 0.0])[None, :, None, None]
    found = raft._looked_up(pyramid, places).reshape(4, 9, 9, 16, 18)
    row, column, across, down = 7, 6, 2, -3

    def compared(level: int, y: int, x: int) -> float:
        seen = F.avg_pool2d(second, 2**level)[0, :, y, x] if level else second[0, :, y, x]
        return float(first[0, :, row, column] @ seen) / 5**0.5

    wanted = 0.75 * compared(0, row + down, column + across) + 0.25 * compared(0, row + down, column + across + 1)
    assert float(found[0, across + 4, down + 4, row, column]) == pytest.approx(wanted)
    # On the next level a place counts half: 3.5 and 3.125.
    corners = [(y, x) for y in (3, 4) for x in (3, 4)]
    shares = [0.5 * 0.875, 0.5 * 0.125, 0.5 * 0.875, 0.5 * 0.125]
    wanted = sum(share * compared(1, y, x) for share, (y, x) in zip(shares, corners, strict=True))
    assert float(found[1, 4, 4, row, column]) == pytest.approx(wanted)
    assert float(found[0, 0, 0, 0, 0]) == 0.0  # outside


def test_flow_is_enlarged_by_weighted_means_of_nine() -> None:
    flow = torch.randn(1, 2, 3, 4)
    middle = torch.full((1, 9, 8, 8, 3, 4), -50.0)
    middle[:, 4] = 50.0
    same = raft._enlarged(flow, middle.reshape(1, -1, 3, 4))
    assert torch.allclose(same, 8 * flow.repeat_interleave(8, 2).repeat_interleave(8, 3), atol=1e-5)
    beside = torch.full((1, 9, 8, 8, 3, 4), -50.0)
    beside[:, 4] = 50.0
    beside[:, 4, 0, 7] = -50.0
    beside[:, 5, 0, 7] = 50.0  # the uppermost right pixel of a cell is as the cell to its right
    moved = raft._enlarged(flow, beside.reshape(1, -1, 3, 4))
    assert torch.allclose(moved[0, :, 8, 7], 8 * flow[0, :, 1, 1], atol=1e-5)
    assert torch.allclose(moved[0, :, 9, 7], 8 * flow[0, :, 1, 0], atol=1e-5)


def test_pictures_are_halved_and_filled_at_their_edges() -> None:
    frame = RNG.integers(0, 255, (700, 1290, 3), dtype=np.uint8)
    shown = flow_input(frame)
    assert shown.shape == (3, 176, 328)  # 350 x 645 is still too long: 175 x 322
    assert torch.equal(shown[:, 0], shown[:, 1]) or torch.equal(shown[:, -1], shown[:, -2])
    assert torch.equal(shown[:, :, 0], shown[:, :, 2])
    assert flow_input(np.full((130, 128, 3), 255, np.uint8)).shape == (3, 136, 128)
    assert float(flow_input(np.full((130, 128, 3), 255, np.uint8)).min()) == 1.0


def test_motion_by_raft(tmp_path: Path) -> None:
    network = tiny_raft(tmp_path)
    (metric,) = flow_metrics(network)
    assert (metric.name,) == PUBLISHED["raft"].metrics
    assert metric.direction == "none"
    clip = a_clip(0.125, 128)
    assert clip.frames is not None
    line = metric.update(Sample("a", clip))
    pairs = [network(clip.frames[n : n + 2]) for n in range(2)]
    assert line["value"] == pytest.approx(np.mean([pair for pair in pairs if pair is not None]), rel=1e-4)
    assert metric.update(Sample("b", a_clip(1 / 24, 128))) == {"undefined": "a single picture does not move"}
    assert metric.update(Sample("c", a_clip(0.125, 100))) == {"undefined": "a side is shorter than 121 pixels"}
    with pytest.raises(VivaceError, match="another network"):
        FlowSize(tmp_path / "raft.pth", Raft(16))


def test_cavp_hears_slaneys_bands_between_its_ends() -> None:
    bank = mel_filter_bank(513, 128, 125.0, 7600.0, 16000, norm="slaney", mel_scale="slaney")
    assert torch.allclose(mel_filters(16000, 1024, 128, 125.0, 7600.0).T.double(), torch.from_numpy(bank), atol=1e-5)
    tone = 0.5 * torch.sin(2 * torch.pi * 1000.0 * torch.arange(16000) / 16000)[None]
    bands = cavp.spectrogram(tone)
    assert bands.shape == (1, 65, 128)
    middles = bank.argmax(axis=0) * 16000 / 1024
    assert middles[int(bands[0, 30].argmax())] == pytest.approx(1000.0, abs=40.0)
    assert 0.0 <= float(bands.min()) <= float(bands.max()) <= 1.0
    assert float(cavp.spectrogram(torch.zeros(1, 4000)).max()) == 0.0


def test_cavp_looks_along_time_in_its_later_half_alone() -> None:
    torch.manual_seed(0)
    network = Cavp(2, 6).eval()
    pictures = torch.rand(1, 3, 9, 32, 32)
    changed = pictures.clone()
    changed[:, :, 0] = torch.rand(3, 32, 32)
    with torch.no_grad():
        encoder = network.video_encoder
        early = [encoder.layer2(encoder.layer1(encoder.conv1(x))) for x in (pictures, changed)]
        late = [network.see(x) for x in (pictures, changed)]
    assert torch.allclose(early[0][:, :, 1:], early[1][:, :, 1:])
    assert late[0].shape == (1, 9, 6)
    # Six blocks and three, each of which sees its neighbours.
    assert not torch.allclose(late[0][:, 1], late[1][:, 1], atol=1e-6)


def test_cavp_on_clips(tmp_path: Path) -> None:
    adapter = tiny_cavp(tmp_path)
    clip = a_clip(2.5)
    found = adapter(clip)
    assert found is not None
    seen, heard = found
    assert seen.shape == heard.shape == (8, 6)  # of the two whole seconds
    (metric,) = cavp_metrics(adapter)
    assert (metric.name,) == PUBLISHED["cavp"].metrics
    line = metric.update(Sample("a", clip))
    assert line["value"] == pytest.approx(float(cosines(seen, heard).mean()), abs=1e-5)
    assert metric.update(Sample("b", a_clip(0.5))) == {"undefined": "shorter than a second"}
    # Sound that ends early is filled with silence.
    assert clip.audio is not None
    shorter = adapter(Clip(clip.frames, clip.fps, clip.audio[:, :16000], 16000))
    assert shorter is not None
    assert shorter[1].shape == (8, 6)
    assert np.allclose(shorter[1][:2], heard[:2], atol=1e-5)
    with pytest.raises(VivaceError, match="another network"):
        CavpVectors(tmp_path / "cavp.ckpt", Cavp(2, 8))
