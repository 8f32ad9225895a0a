"""The refiner's network: the video side of an Alive transformer that reads finished sound."""

from typing import Any

import pytest
import torch
from tests.tiny import tiny_alive_transformer
from torch import Tensor

from vivace.errors import VivaceError
from vivace.models.alive import AliveTransformer
from vivace.models.alive_context import ClipConditions
from vivace.models.alive_sizes import SIZES
from vivace.models.refiner import AliveRefinerTransformer, RefinerContext, heard_by
from vivace.pair import AV
from vivace.timeline import Timeline

TIMELINE = Timeline(frames=9)
TIMES = AV(torch.from_numpy(TIMELINE.latent_frame_times()), torch.from_numpy(TIMELINE.audio_token_times()))


def _features(count: int, seed: int = 3) -> Tensor:
    return torch.randn(count, 16, generator=torch.Generator().manual_seed(seed))


def _latents(batch: int = 2, seed: int = 5, rows: int = 6) -> AV[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = AV((batch, 4, TIMELINE.latent_frames, rows, 8), (batch, TIMELINE.audio_tokens, 128))
    return shapes.map(lambda shape: torch.randn(shape, generator=generator))


def _context(refiner: AliveRefinerTransformer, base: AliveTransformer, audio: Tensor | None) -> RefinerContext:
    text, speech = [_features(5), _features(3, 4)], [_features(2, 6), _features(0)]
    sound = None if audio is None else heard_by(base, text, speech, audio)
    return refiner.encode_context(text, sound, TIMES)


@torch.no_grad()
def test_at_first_it_is_the_base_with_clean_sound_that_no_picture_reaches() -> None:
    base = tiny_alive_transformer(num_dual_layers=2, num_single_layers=2, num_audio_layers=3)
    for fusion in base.exchange.fusions:  # the sound takes nothing on from the picture
        fusion.adjust_audio.gate_out.weight.zero_()
        fusion.adjust_audio.gate_out.bias.zero_()
    refiner = AliveRefinerTransformer.of(base).eval()
    latents = _latents()
    text, speech = [_features(5), _features(3, 4)], [_features(2, 6), _features(0)]
    joint = base.encode_context(text, speech, clip=ClipConditions(TIMES))
    for exchange in (True, False):
        wanted = base(latents, AV(torch.tensor([700.0, 100.0]), torch.zeros(2)), joint, exchange=exchange).video
        context = _context(refiner, base, latents.audio)
        found = refiner(AV(latents.video, None), AV(torch.tensor([700.0, 100.0]), None), context, exchange=exchange)
        torch.testing.assert_close(found.video, wanted, atol=1e-5, rtol=1e-5)
        assert found.audio is None


@torch.no_grad()
def test_the_head_begins_anew_where_the_base_has_skips() -> None:
    base = tiny_alive_transformer(gaussian_skip=True)
    refiner = AliveRefinerTransformer.of(base).eval()
    latents = AV(_latents().video, None)
    found = refiner(latents, AV(torch.tensor([700.0]), None), _context(refiner, base, _latents().audio))
    assert not found.video.any()
    theirs = base.state_dict()
    changed = {name for name, value in refiner.state_dict().items() if not torch.equal(value, theirs[name])}
    assert changed <= {"video.head.linear.weight", "video.head.linear.bias"}
    assert changed


@torch.no_grad()
def test_windows_change_what_is_seen_and_one_over_everything_does_not() -> None:
    base = tiny_alive_transformer(num_single_layers=2)
    latents, times = AV(_latents().video, None), AV(torch.tensor([500.0]), None)
    # 3 x 3 x 4 tokens
    full, covering, small = (
        AliveRefinerTransformer.of(base, window=window).eval() for window in (None, (3, 3, 4), (2, 2, 2))
    )
    context = _context(full, base, _latents().audio)
    plain, same, other = (model(latents, times, context).video for model in (full, covering, small))
    assert torch.equal(plain, same)
    assert not torch.allclose(plain, other, atol=1e-4)
    changed = AV(latents.video.clone(), None)
    changed.video[:, :, 0, :2, :2] += 1  # one token, which in one shifted and two plain layers reaches the far corner
    alone = AliveRefinerTransformer.of(tiny_alive_transformer(num_single_layers=0), window=(1, 1, 1)).eval()
    context = _context(alone, base, None)
    moved = (alone(changed, times, context).video - alone(latents, times, context).video).abs().amax((0, 1))
    assert moved[0, :2, :2].max() > 1e-3
    moved[0, :2, :2] = 0
    assert moved.max() < 1e-6


@torch.no_grad()
def test_sound_matters_unless_it_is_absent_or_switched_off() -> None:
    base = tiny_alive_transformer()
    refiner = AliveRefinerTransformer.of(base).eval()
    latents, times = AV(_latents().video, None), AV(torch.tensor([500.0]), None)
    one, two, none = (_context(refiner, base, audio) for audio in (_latents().audio, _latents(seed=6).audio, None))
    a, b, silent = (refiner(latents, times, context).video for context in (one, two, none))
    assert not torch.allclose(a, b, atol=1e-4)
    assert torch.equal(refiner(latents, times, one, exchange=False).video, silent)


@torch.no_grad()
def test_contexts_of_a_batch_are_those_alone() -> None:
    base = tiny_alive_transformer()
    refiner = AliveRefinerTransformer.of(base, window=(2, 2, 2)).eval()
    latents, audio = _latents(), _latents().audio
    times = AV(torch.tensor([500.0]), None)
    parts = []
    for k, words in enumerate((5, 2)):
        text = [_features(words, k)]
        sound = heard_by(base, text, [_features(1)], audio[k : k + 1])
        parts.append(refiner.encode_context(text, sound, TIMES))
    both = RefinerContext.concat(parts)
    assert len(both) == 2
    together = refiner(AV(latents.video, None), times, both).video
    for k, part in enumerate(parts):
        own = AV(latents.video[k : k + 1], None)
        torch.testing.assert_close(refiner(own, times, part).video, together[k : k + 1], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(refiner(own, times, both.select([k])).video, together[k : k + 1], atol=1e-5, rtol=0)


def test_the_audio_tower_is_not_part_of_it_and_gets_no_gradient() -> None:
    base = tiny_alive_transformer()
    refiner = AliveRefinerTransformer.of(base)
    assert not any("audio" in name or "see" in name.split(".") for name, _ in refiner.named_parameters())
    context = _context(refiner, base, _latents().audio)
    refiner(AV(_latents().video, None), AV(torch.tensor([500.0]), None), context).video.square().mean().backward()
    assert all(parameter.grad is None for parameter in base.parameters())
    without = [name for name, parameter in refiner.named_parameters() if parameter.grad is None]
    assert not without
    refiner.enable_gradient_checkpointing()
    kept = {name: parameter.grad.clone() for name, parameter in refiner.named_parameters()}
    refiner.zero_grad()
    context = _context(refiner, base, _latents().audio)
    refiner(AV(_latents().video, None), AV(torch.tensor([500.0]), None), context).video.square().mean().backward()
    for name, parameter in refiner.named_parameters():
        torch.testing.assert_close(parameter.grad, kept[name])


def test_the_nano_refiner_s_own_weights_take_less_than_ten_megabytes() -> None:
    with torch.device("meta"):
        of_the_base = dict.fromkeys(
            ("audio_heads", "num_audio_layers", "audio_positions", "gaussian_skip", "still_skip")
        )
        config = {**SIZES["nano"], "num_single_layers": 2, **of_the_base}
        refiner = AliveRefinerTransformer(**{k: v for k, v in config.items() if v is not None})
    assert 2 * sum(x.numel() for x in refiner.parameters()) < 10_000_000  # stored in bfloat16


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"num_single_layers": 5}, "no weights"),
        ({"dim": 48}, "no weights"),
        ({"num_dual_layers": 1}, "2 dual-stream blocks"),
        ({"audio_heads": 2}, "'audio_heads' is no part"),
        ({"window": (0, 1, 1)}, "Window"),
    ],
)
def test_a_refiner_that_its_base_cannot_begin_is_refused(changes: Any, complaint: str) -> None:
    with pytest.raises(VivaceError, match=complaint):
        AliveRefinerTransformer.of(tiny_alive_transformer(num_dual_layers=2), **changes)


def test_inputs_that_do_not_go_together_are_refused() -> None:
    base = tiny_alive_transformer()
    refiner = AliveRefinerTransformer.of(base)
    latents, times = _latents(), AV(torch.tensor([500.0]), None)
    context = _context(refiner, base, latents.audio)
    longer = AV(torch.randn(2, 4, 5, 6, 8), None)
    for video, steps, complaint in (
        (latents, times, "alone"),
        (AV(None, latents.audio), times, "alone"),
        (AV(latents.video, None), AV(torch.zeros(2, 36), None), "one per sample"),
        (AV(latents.video[:1], None), times, "do not match"),
        (longer, times, "5 and 11 places and times for 3 and 11"),
    ):
        with pytest.raises(VivaceError, match=complaint):
            refiner(video, steps, context)
