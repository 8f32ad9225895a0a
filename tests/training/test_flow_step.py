import numpy as np
import pytest
import torch
from tests.tiny import tiny_text_encoder, tiny_transformer
from transformers import ByT5Tokenizer

from vivace.pair import AV
from vivace.sampling.flow import Times
from vivace.training.flow_step import TimeSettings, draw_noise, draw_times, encode_captions, flow_errors
from vivace.training.tasks import Task

CLEAN = AV(torch.randn(2, 4, 3, 4, 4), torch.randn(2, 9, 128))
NOISE = AV(torch.randn(2, 4, 3, 4, 4), torch.randn(2, 9, 128))
TIMES = AV.of(Times(torch.tensor([0.3, 0.8]), torch.tensor([300.0, 800.0]), torch.ones(2)))
CAPTIONS = ["a ball", "a drum, twice"]


@pytest.fixture(scope="module")
def parts():
    return tiny_transformer(text_len=64), tiny_text_encoder(), ByT5Tokenizer()


def errors(parts, task, exchange=True, dropped=(False, False), clean=CLEAN, noise=NOISE):
    context = encode_captions(*parts, CAPTIONS, dropped)
    return flow_errors(parts[0], clean, noise, TIMES, task, context, exchange)


def task(**states):
    """How many positions of each side are known."""
    return Task(name="t", probability=1.0, **states).known(CLEAN, 24.0, np.random.default_rng(0))


def test_the_error_is_that_of_the_velocity(parts):
    context = encode_captions(*parts, CAPTIONS, [False, False])
    level = {5: TIMES.video.sigmas.view(2, 1, 1, 1, 1), 3: TIMES.video.sigmas.view(2, 1, 1)}
    noisy = CLEAN.map(lambda x, n: (1 - level[x.ndim]) * x + level[x.ndim] * n, NOISE)
    output = parts[0](noisy, AV.of(TIMES.video.timesteps), context)
    expected = output.map(lambda v, x, n: (v - (n - x)).square().flatten(1).mean(1), CLEAN, NOISE)
    for modality, error in errors(parts, task()).items():
        assert torch.allclose(error, expected.get(modality), atol=1e-6)


def test_given_and_absent_sides_carry_no_loss(parts):
    assert errors(parts, task(audio="given")).audio is None
    assert errors(parts, task(video="given")).video is None
    assert errors(parts, task(video="absent")).video is None
    only = errors(parts, task(audio="absent")).video
    # Alone and without exchange are the same thing to the picture; the sound beside it is another.
    assert torch.allclose(only, errors(parts, task(), exchange=False).video, atol=1e-5)
    assert not torch.allclose(only, errors(parts, task()).video, atol=1e-5)


def test_the_first_frame_is_seen_clean_and_not_judged(parts):
    base = errors(parts, task(video="first-frame"))
    other_noise = AV(NOISE.video.clone(), NOISE.audio)
    other_noise.video[:, :, 0] += 5.0
    assert torch.equal(errors(parts, task(video="first-frame"), noise=other_noise).video, base.video)
    other_clean = AV(CLEAN.video.clone(), CLEAN.audio)
    other_clean.video[:, :, 0] += 1.0
    assert not torch.equal(errors(parts, task(video="first-frame"), clean=other_clean).audio, base.audio)


def test_a_beginning_is_seen_clean_and_not_judged(parts):
    begun = AV(2, 3)
    base = errors(parts, begun)
    changed = NOISE.map(torch.clone)
    changed.video[:, :, :2] += 5.0
    changed.audio[:, :3] += 5.0
    other = errors(parts, begun, noise=changed)
    assert torch.equal(other.video, base.video)
    assert torch.equal(other.audio, base.audio)
    shown = CLEAN.map(torch.clone)
    shown.audio[:, :3] += 1.0
    assert not torch.equal(errors(parts, begun, clean=shown).video, base.video)


def test_a_dropped_caption_is_no_caption(parts):
    both = errors(parts, task(), dropped=(True, True))
    null = flow_errors(parts[0], CLEAN, NOISE, TIMES, task(), parts[0].encode_context([torch.zeros(0, 16)] * 2), True)
    assert torch.allclose(both.video, null.video, atol=1e-6)
    one = errors(parts, task(), dropped=(True, False))
    assert torch.allclose(one.video[0], both.video[0], atol=1e-5)
    assert torch.allclose(one.video[1], errors(parts, task()).video[1], atol=1e-5)


def test_gradients_reach_the_text_encoder(parts):
    transformer, text_encoder, tokenizer = parts
    context = encode_captions(transformer, text_encoder, tokenizer, CAPTIONS, [False, False])
    total = sum(e.sum() for _, e in flow_errors(transformer, CLEAN, NOISE, TIMES, task(), context, True).items())
    (gradient,) = torch.autograd.grad(total, [text_encoder.shared.weight])
    assert gradient.abs().sum() > 0


def test_voices_reach_the_context_and_go_with_a_dropped_text():
    transformer, text_encoder, tokenizer = (
        tiny_transformer(text_len=64, speaker_dim=6),
        tiny_text_encoder(),
        ByT5Tokenizer(),
    )
    captions = ["she says <S>hello<E>", "he says <S>no<E>"]
    voices = [torch.randn(1, 6), torch.randn(1, 6)]
    spoken = encode_captions(transformer, text_encoder, tokenizer, captions, [False, False], voices)
    mute = encode_captions(transformer, text_encoder, tokenizer, captions, [False, False])
    assert not torch.allclose(spoken.tokens, mute.tokens)
    dropped = encode_captions(transformer, text_encoder, tokenizer, captions, [True, True], voices)
    nothing = encode_captions(transformer, text_encoder, tokenizer, captions, [True, True])
    assert torch.allclose(dropped.tokens, nothing.tokens)


@pytest.mark.parametrize("kind", ["table", "logit-normal"])
def test_times_are_shared_unless_independent(kind):
    shared = draw_times(TimeSettings(kind=kind), 64, 1, 2)
    assert torch.equal(shared.video.sigmas, shared.audio.sigmas)
    apart = draw_times(TimeSettings(kind=kind, independent=True), 64, 1, 2)
    assert torch.equal(apart.video.sigmas, shared.video.sigmas)
    assert not torch.equal(apart.audio.sigmas, apart.video.sigmas)
    assert torch.equal(draw_times(TimeSettings(kind=kind), 64, 1, 2).video.sigmas, shared.video.sigmas)
    assert not torch.equal(draw_times(TimeSettings(kind=kind), 64, 1, 3).video.sigmas, shared.video.sigmas)
    assert torch.allclose(shared.video.timesteps, shared.video.sigmas * 1000, atol=1e-3)


@pytest.mark.parametrize("kind", ["table", "logit-normal"])
def test_sound_leads_where_both_sides_are_generated(kind: str) -> None:
    settings = TimeSettings(kind=kind, sound_lead=5.0)  # type: ignore[arg-type]
    led, alone = draw_times(settings, 64, 1, 2), draw_times(settings, 64, 1, 2, both=False)
    together = draw_times(TimeSettings(kind=kind), 64, 1, 2)  # type: ignore[arg-type]
    assert torch.equal(led.video.sigmas, together.video.sigmas)
    assert torch.equal(alone.audio.sigmas, together.audio.sigmas)
    odds = led.map(lambda t: t.sigmas.double() / (1 - t.sigmas.double()))
    inside = led.video.sigmas < 0.999
    torch.testing.assert_close(
        (odds.video / odds.audio)[inside], torch.full((int(inside.sum()),), 5.0).double(), rtol=1e-3, atol=0
    )
    torch.testing.assert_close(led.audio.timesteps, 1000 * led.audio.sigmas)
    with pytest.raises(ValueError, match="sound_lead"):
        TimeSettings(kind=kind, independent=True, sound_lead=5.0)  # type: ignore[arg-type]


def test_a_bell_weighs_the_table_and_nothing_weighs_the_logit_normal():
    table = draw_times(TimeSettings(kind="table"), 4096, 0, 0).video
    assert 0.9 < float(table.weights.mean()) < 1.1
    assert float(table.weights.std()) > 0.1
    assert torch.equal(draw_times(TimeSettings(kind="logit-normal"), 8, 0, 0).video.weights, torch.ones(8))


def test_noise_is_standard_normal_and_differs_between_steps_and_sides():
    like = AV(torch.zeros(4, 16, 8, 8, 8), torch.zeros(4, 16, 128))
    noise = draw_noise(like, 0, 1)
    assert abs(float(noise.video.mean())) < 0.02
    assert abs(float(noise.video.std()) - 1) < 0.02
    assert torch.equal(noise.video, draw_noise(like, 0, 1).video)
    assert not torch.equal(noise.video, draw_noise(like, 0, 2).video)
    assert not np.array_equal(noise.video.flatten()[:100], noise.audio.flatten()[:100])
