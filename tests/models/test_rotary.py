import math

import pytest
import torch
from torch import Tensor

from vivace.models.rotary import (
    as_rotation,
    audio_angles,
    audio_rotation,
    axis_channels,
    rotate,
    stack_rotations,
    time_rotation,
    video_angles,
    video_rotation,
)
from vivace.timeline import Timeline

CPU = torch.device("cpu")


@pytest.mark.parametrize(("head_dim", "channels"), [(128, (44, 42, 42)), (64, (24, 20, 20)), (32, (12, 10, 10))])
def test_channels_of_a_head_are_split_between_the_axes(head_dim, channels):
    assert axis_channels(head_dim) == channels


def test_video_angles_follow_the_plain_formula():
    grid, head_dim, theta = (3, 2, 4), 32, 50.0
    angles = video_angles(grid, head_dim, theta)
    for token, (t, y, x) in enumerate((t, y, x) for t in range(3) for y in range(2) for x in range(4)):
        expected = []
        for position, channels in zip((t, y, x), axis_channels(head_dim), strict=True):
            expected += [position * theta ** (-2 * i / channels) for i in range(channels // 2)]
        assert angles[token].tolist() == pytest.approx(expected, abs=1e-12)


def test_sound_sits_at_the_position_of_its_picture():
    """25 audio tokens at scale 0.24 are 6 latent frames: the time channels agree, the others do not turn."""
    head_dim = 64
    half = axis_channels(head_dim)[0] // 2
    video, audio = video_angles((7, 1, 1), head_dim), audio_angles(26, head_dim, 0.24)
    assert torch.allclose(video[6, :half], audio[25, :half])
    assert not audio[:, half:].any()


def test_scores_do_not_change_when_both_streams_move_in_time():
    """Six latent frames are 25 audio tokens: scores between picture and sound depend on their distance only."""
    torch.manual_seed(0)
    head_dim, frames, tokens = 32, 4, 9
    query, key = torch.randn(1, frames, 1, head_dim), torch.randn(1, tokens, 1, head_dim)
    video = as_rotation(video_angles((frames + 6, 1, 1), head_dim))
    audio = as_rotation(audio_angles(tokens + 25, head_dim, 0.24))

    def scores(frame, token):
        q = rotate(query, video[frame : frame + frames])[:, :, 0]
        return q @ rotate(key, audio[token : token + tokens])[:, :, 0].transpose(1, 2)

    assert torch.allclose(scores(0, 0), scores(6, 25), atol=1e-5)
    assert not torch.allclose(scores(0, 0), scores(6, 0), atol=1e-1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_rotation_turns_adjacent_pairs_and_keeps_the_dtype(dtype):
    torch.manual_seed(0)
    x = torch.randn(2, 5, 3, 8).to(dtype)
    angles = torch.rand(5, 4, dtype=torch.float64) * 6
    turned = rotate(x, as_rotation(angles))
    assert turned.dtype == dtype
    a, b = x.double()[..., 0::2], x.double()[..., 1::2]
    cos, sin = angles.cos()[:, None], angles.sin()[:, None]
    expected = torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2)
    assert torch.allclose(turned.double(), expected, atol=1e-2 if dtype == torch.bfloat16 else 1e-6)


def test_rotation_of_a_batch_may_differ_by_sample():
    x = torch.randn(2, 6, 1, 12)
    tables = [video_rotation((1, 2, 3), 12, 100.0, CPU), video_rotation((1, 3, 2), 12, 100.0, CPU)]
    turned = rotate(x, stack_rotations(tables))
    for sample, table in enumerate(tables):
        assert torch.allclose(turned[sample : sample + 1], rotate(x[sample : sample + 1], table), atol=1e-6)
    assert stack_rotations([tables[0], tables[0]]) is tables[0]


def test_a_table_made_for_inference_serves_training():
    with torch.inference_mode():
        table = audio_rotation(11, 8, 0.24, 77.0, CPU)
    x = torch.randn(1, 11, 1, 8, requires_grad=True)
    rotate(x, table).square().sum().backward()
    assert torch.allclose(x.grad, 2 * x, atol=1e-5)  # turning keeps lengths
    assert audio_rotation(11, 8, 0.24, 77.0, CPU) is table
    assert math.isclose(table[0, :, 0].sum().item(), 4)


# Width of a head and base of the published kind, and those of nano-alive.
CLOCKS = [(64, 10000.0), (32, 1000.0)]


def _logits(query_times: Tensor, key_times: Tensor, width: int = 64, theta: float = 10000.0) -> Tensor:
    """Attention scores of all-ones queries and keys, which have equal energy in every pair of channels."""
    ones = [torch.ones(1, len(times), 1, width) for times in (query_times, key_times)]
    turned = [
        rotate(x, time_rotation(times.double() * 25, width, theta))[0, :, 0].double()
        for x, times in zip(ones, (query_times, key_times), strict=True)
    ]
    return turned[0] @ turned[1].T


def test_scores_by_physical_time_are_invariant_to_a_common_shift() -> None:
    video, audio = torch.rand(9) * 10, torch.rand(20) * 10
    torch.testing.assert_close(_logits(video, audio), _logits(video + 5.3, audio + 5.3), atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize(("width", "theta"), CLOCKS)
@pytest.mark.parametrize("fps", [16, 24, 30, 25])
def test_every_latent_frame_looks_most_at_the_audio_token_nearest_in_time(fps: int, width: int, theta: float) -> None:
    timeline = Timeline.covering(10, fps)
    video, audio = (torch.from_numpy(x) for x in (timeline.latent_frame_times(), timeline.audio_token_times()))
    distance = (video[:, None] - audio[None]).abs()
    peak = _logits(video, audio, width, theta).argmax(dim=1)
    chosen = distance.gather(1, peak[:, None])[:, 0]
    torch.testing.assert_close(chosen, distance.amin(dim=1), atol=1e-6, rtol=0)  # ties may fall either way


@pytest.mark.parametrize(("width", "theta"), CLOCKS)
def test_scores_depend_on_the_seconds_between_picture_and_sound_at_every_rate(width: int, theta: float) -> None:
    counts = set()
    for fps in (16, 24, 30):
        timeline = Timeline.covering(4, fps)
        video, audio = (torch.from_numpy(x) for x in (timeline.latent_frame_times(), timeline.audio_token_times()))
        apart = (video[:, None] - audio[None]).flatten()
        expected = _logits(apart, torch.zeros(1), width, theta).view(len(video), len(audio))
        torch.testing.assert_close(_logits(video, audio, width, theta), expected, atol=1e-3, rtol=1e-4)
        counts.add(len(video))
    assert len(counts) == 3  # other places in their sequences, which must not matter


def test_a_grid_may_begin_later() -> None:
    whole = video_angles((5, 2, 3), 48)
    torch.testing.assert_close(video_angles((2, 2, 3), 48, start=3), whole[3 * 6 :])
