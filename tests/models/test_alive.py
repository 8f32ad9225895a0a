import json
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import pytest
import torch
from peft import LoraConfig
from torch import Tensor

import vivace
from vivace.errors import VivaceError
from vivace.models.alive import AliveTransformer
from vivace.models.alive_audio import pairing
from vivace.models.alive_context import AliveContext, ClipConditions
from vivace.models.alive_time import estimated_clean
from vivace.pair import AV
from vivace.timeline import Timeline

TIMES = torch.tensor([637.0, 20.5])
LENGTH = Timeline(frames=9)  # 3 latent frames, 11 audio tokens


def tiny(silent: bool = False, **changes: Any) -> AliveTransformer:
    """A small model; unless it is to start silently, every parameter has an influence."""
    torch.manual_seed(0)
    config: dict[str, Any] = {
        "video_channels": 4,
        "audio_channels": 8,
        "dim": 24,
        "num_heads": 2,
        "num_dual_layers": 2,
        "num_single_layers": 2,
        "audio_dim": 16,
        "audio_heads": 2,
        "num_audio_layers": 5,
        "exchange_dim": 16,
        "exchange_heads": 2,
        "adjust_rank": 4,
        "text_dims": (6,),
        "text_len": 12,
        "freq_dim": 16,
        "rope_theta": 100.0,
        "learned_positions": (2, 2, 2),
        "audio_positions": 4,
    }
    model = AliveTransformer(**(config | changes)).eval()
    if not silent:
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim < 2 or not parameter.any():
                    parameter.add_(torch.randn_like(parameter) * 0.3)
    return model


def features(*lengths: int, dim: int = 6, seed: int = 0) -> list[Tensor]:
    return [torch.randn(n, dim, generator=torch.Generator().manual_seed(100 * seed + n)) for n in lengths]


def latents(timeline: Timeline = LENGTH, batch: int = 2, size: tuple[int, int] = (4, 6), seed: int = 0) -> AV[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    video = torch.randn(batch, 4, timeline.latent_frames, *size, generator=generator)
    return AV(video, torch.randn(batch, timeline.audio_tokens, 8, generator=generator))


def clip(timeline: Timeline = LENGTH, **conditions: Any) -> ClipConditions:
    times = AV(torch.from_numpy(timeline.latent_frame_times()), torch.from_numpy(timeline.audio_token_times()))
    return ClipConditions(times, **conditions)


def context(model: AliveTransformer, *lengths: int, timeline: Timeline = LENGTH, **conditions: Any) -> AliveContext:
    lengths = lengths or (5, 3)
    speech = features(*(n // 2 for n in lengths), seed=1)
    return model.encode_context(features(*lengths), speech, clip=clip(timeline, **conditions))


def both(times: Tensor) -> AV[Tensor]:
    return AV(times, times)


def close(a: AV[Any], b: AV[Any], atol: float = 2e-5) -> bool:
    assert (a.video is None, a.audio is None) == (b.video is None, b.audio is None)
    return all(torch.allclose(x, y, atol=atol) for (_, x), (_, y) in zip(a.items(), b.items(), strict=True))


@pytest.fixture(autouse=True)
def _no_gradients(request: pytest.FixtureRequest) -> Iterator[None]:
    with torch.set_grad_enabled("trains" in request.node.name):
        yield


def test_shapes_and_dtypes_are_those_of_the_latents() -> None:
    model, x = tiny(), latents()
    out = model(x, both(TIMES), context(model))
    assert out.map(lambda v: v.shape) == x.map(lambda v: v.shape)
    assert out.video.dtype == out.audio.dtype == torch.float32


def test_the_joint_model_starts_as_the_two_separate_towers_bit_for_bit() -> None:
    model, x = tiny(silent=True), latents()
    # Towers that have learned something, with an exchange as it is initialised.
    for tower in (model.video, model.audio):
        for parameter in tower.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    text = context(model)
    joint = model(x, both(TIMES), text)
    assert joint.video.abs().min() > 0
    assert torch.equal(joint.video, model(AV(video=x.video), AV(video=TIMES), text).video)
    assert torch.equal(joint.audio, model(AV(audio=x.audio), AV(audio=TIMES), text).audio)


def test_without_exchange_each_prediction_is_independent_of_the_other_side() -> None:
    model, x = tiny(), latents()
    text, other = context(model), latents(seed=1)
    apart = model(x, both(TIMES), text, exchange=False)
    assert torch.equal(apart.audio, model(AV(other.video, x.audio), both(TIMES), text, exchange=False).audio)
    assert torch.equal(apart.video, model(AV(x.video, other.audio), both(TIMES), text, exchange=False).video)
    assert close(
        apart,
        AV(
            model(AV(video=x.video), AV(video=TIMES), text).video, model(AV(audio=x.audio), AV(audio=TIMES), text).audio
        ),
    )


def test_each_side_hears_the_other_and_its_timestep() -> None:
    model, x = tiny(), latents()
    text, other = context(model), latents(seed=1)
    joint = model(x, both(TIMES), text)
    assert not torch.allclose(joint.audio, model(AV(other.video, x.audio), both(TIMES), text).audio, atol=1e-3)
    assert not torch.allclose(joint.video, model(AV(x.video, other.audio), both(TIMES), text).video, atol=1e-3)
    clean_audio = model(x, AV(TIMES, torch.zeros(2)), text)
    assert not torch.allclose(joint.video, clean_audio.video, atol=1e-3)


def test_in_a_fusion_both_sides_read_each_other_as_they_were_before() -> None:
    model, x = tiny(), latents()
    fusion, seen = model.exchange.fusions[0], {}
    for name in ("hear", "see"):
        fusion.get_submodule(name).register_forward_hook(
            lambda _, given, found, name=name: seen.update({name: (*given[:2], found)})
        )
    fusion.register_forward_hook(lambda _, given, found: seen.update(before=given, after=found))
    model(x, both(TIMES), context(model))
    video, audio, _, times, now = seen["before"]
    assert seen["hear"][:2] == (video, audio)  # the very same tensors
    assert seen["see"][:2] == (audio, video)
    adjusted = (
        fusion.adjust_video(video, seen["hear"][2], times[0], now.audio),
        fusion.adjust_audio(audio, seen["see"][2], times[1], now.video),
    )
    for after, wanted, before in zip(seen["after"], adjusted, (video, audio), strict=True):
        assert torch.equal(after, wanted)
        assert not torch.allclose(after, before, atol=1e-3)


def test_sound_is_finished_before_the_single_stream_blocks() -> None:
    model, x = tiny(), latents()
    text = context(model)
    before = model(x, both(TIMES), text)
    for module in (model.video.single_blocks, model.exchange.hear, model.video.head, model.exchange.estimate_embedding):
        for parameter in module.parameters():
            parameter.normal_()
    after = model(x, both(TIMES), text)
    assert torch.equal(before.audio, after.audio)
    assert not torch.allclose(before.video, after.video, atol=1e-3)


def test_a_clean_sound_is_its_own_estimate() -> None:
    sound, velocity = torch.randn(2, 5, 8), torch.randn(2, 5, 8) * 1e6
    assert torch.equal(estimated_clean(sound, velocity, torch.zeros(2)), sound)
    by_token = torch.tensor([[0.0, 500.0, 0.0, 1000.0, 0.0]]).expand(2, 5)
    estimate = estimated_clean(sound, velocity, by_token)
    assert torch.equal(estimate[:, ::2], sound[:, ::2])
    torch.testing.assert_close(estimate[:, 1], sound[:, 1] - 0.5 * velocity[:, 1])
    # The single-stream blocks then see the sound itself: what the audio head says no longer matters to the picture.
    model, x = tiny(), latents()
    text = context(model)
    given = AV(TIMES, torch.zeros(2))
    before = model(x, given, text)
    model.audio.head.linear.weight.normal_()
    after = model(x, given, text)
    assert torch.equal(before.video, after.video)
    assert not torch.allclose(before.audio, after.audio, atol=1e-3)


@torch.no_grad()
def test_the_skips_answer_alone_at_first_and_the_picture_hears_their_estimate() -> None:
    model, x = tiny(silent=True, gaussian_skip=True), latents()
    torch.manual_seed(1)
    model.skips.video.fit([torch.randn(400, 1, 16) @ torch.randn(16, 16)])
    model.skips.audio.fit([torch.randn(400, 1, 8) @ torch.randn(8, 8)])
    out = model(x, both(TIMES), context(model))
    told = model.skips(x, both(TIMES))
    assert torch.allclose(out.audio, told.audio, atol=1e-5)
    assert torch.allclose(model.skips.tokens(out.video).flatten(1, 2), told.video, atol=1e-5)
    heard = []
    model.exchange.embedded = lambda estimate, embed=model.exchange.embedded: heard.append(estimate) or embed(estimate)
    model(x, both(TIMES), context(model))
    assert torch.allclose(heard[0], estimated_clean(x.audio, told.audio, TIMES), atol=1e-5)


@pytest.mark.parametrize("flows", [False, True])
def test_what_the_picture_trains_of_the_sound_is_a_setting(flows: bool) -> None:
    model, x = tiny(estimate_gradient=flows), latents()
    model(x, both(TIMES), context(model)).video.square().mean().backward()
    reached = model.audio.head.linear.weight.grad is not None
    assert reached == flows
    assert model.audio.blocks[0].stream.self_attn.q.weight.grad is not None  # through the fusions


@pytest.mark.parametrize("checkpointing", [False, True])
def test_joint_loss_trains_every_parameter(checkpointing: bool) -> None:
    model, x = tiny(text_dims=(6, 7), estimate_gradient=True).train(), latents()
    if checkpointing:
        model.enable_gradient_checkpointing()
    text = model.encode_context(
        features(5, 3),
        features(2, 4, seed=1),
        more_text=[features(4, 2, dim=7)],
        clip=clip(references=torch.randn(2, 1, 4, 4, 4)),
    )
    out = model(x, both(TIMES), text)
    sum(side.square().mean() for _, side in out.items()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_sound_alone_needs_no_video_tensor_and_picture_alone_no_sound() -> None:
    model, x = tiny(), latents()
    text = context(model).with_clip(ClipConditions())  # not even times
    for parameter in (*model.video.dual_blocks.parameters(), *model.exchange.parameters()):
        parameter.fill_(float("nan"))
    out = model(AV(audio=x.audio), AV(audio=TIMES), text)
    assert out.video is None
    assert torch.isfinite(out.audio).all()
    model = tiny()
    for parameter in (*model.audio.blocks.parameters(), *model.exchange.parameters()):
        parameter.fill_(float("nan"))
    out = model(AV(video=x.video), AV(video=TIMES), text)
    assert out.audio is None
    assert torch.isfinite(out.video).all()


@pytest.mark.parametrize(
    ("frames", "fps", "size"), [(1, 24, (4, 6)), (5, 30, (2, 8)), (13, 16, (6, 2)), (21, Fraction(30000, 1001), (3, 5))]
)
def test_other_lengths_rates_sizes_and_aspects_need_no_new_weights(frames: int, fps: Any, size: Any) -> None:
    model, timeline = tiny(), Timeline(frames=frames, fps=fps)
    x = latents(timeline, size=size)
    out = model(x, both(TIMES), context(model, timeline=timeline))
    assert out.map(lambda v: v.shape) == x.map(lambda v: v.shape)
    assert all(torch.isfinite(v).all() for _, v in out.items())


def test_the_towers_meet_in_seconds_so_a_common_shift_of_time_changes_nothing() -> None:
    model, x = tiny(), latents()
    text = context(model)
    plain = model(x, both(TIMES), text)
    times = text.clip.times
    shifted = text.with_clip(ClipConditions(times.map(lambda t: t + 3.7)))
    apart = text.with_clip(ClipConditions(AV(times.video + 3.7, times.audio)))
    assert close(plain, model(x, both(TIMES), shifted), atol=1e-4)
    assert not close(plain, model(x, both(TIMES), apart), atol=1e-3)


def test_timesteps_may_be_given_by_token() -> None:
    model, x = tiny(), latents()
    text = context(model)
    by_token = AV(TIMES[:, None].expand(-1, 18), TIMES[:, None].expand(-1, LENGTH.audio_tokens))
    plain = model(x, both(TIMES), text)
    assert close(plain, model(x, by_token, text))
    first = by_token.video.clone()
    first[:, :6] = 0
    assert not close(plain, model(x, AV(first, TIMES), text), atol=1e-3)
    assert close(model(x, both(TIMES[:1]), text), model(x, both(TIMES[:1].expand(2)), text))


def test_a_condition_is_read_where_its_mask_says_so() -> None:
    model, x = tiny(), latents()
    shown, mask = torch.randn_like(x.video), torch.zeros(1, 4, 3, 1, 1)
    mask[:, :, 0] = 1
    with_picture = model(x, both(TIMES), context(model, condition=shown, mask=mask))
    assert not close(with_picture, model(x, both(TIMES), context(model)), atol=1e-3)
    elsewhere = shown.clone()
    elsewhere[:, :, 1:] = 99.0
    assert close(with_picture, model(x, both(TIMES), context(model, condition=elsewhere, mask=mask)), atol=0)
    # Where nothing is given stands a black picture.
    black = tiny(blank=(0.5,) * 4)
    written = black(x, both(TIMES), context(black, condition=torch.full_like(shown, 0.5), mask=mask))
    assert not close(written, black(x, both(TIMES), context(black)), atol=1e-3)
    assert not close(black(x, both(TIMES), context(black)), model(x, both(TIMES), context(model)), atol=1e-3)


def test_references_are_seen_by_the_picture_and_told_apart() -> None:
    model, x = tiny(), latents()
    pictures = torch.randn(2, 2, 4, 4, 4)
    plain = model(x, both(TIMES), context(model))
    two = model(x, both(TIMES), context(model, references=pictures))
    assert two.video.shape == x.video.shape
    assert not close(two, plain, atol=1e-3)
    swapped = model(x, both(TIMES), context(model, references=pictures.flip(1)))
    assert not close(two, swapped, atol=1e-4)
    none = torch.zeros(2, 2, dtype=torch.bool)
    assert close(plain, model(x, both(TIMES), context(model, references=pictures, given=none)))
    one = torch.tensor([[True, False], [True, False]])
    first = model(x, both(TIMES), context(model, references=pictures[:, :1]))
    assert close(first, model(x, both(TIMES), context(model, references=pictures, given=one)))


def test_references_are_no_moments_of_the_clip_and_take_no_part_in_the_exchange() -> None:
    model, x = tiny(), latents()
    pictures = torch.randn(2, 2, 4, 4, 4)
    seen, unseen = (model(x, both(TIMES), context(model, references=r)).audio for r in (pictures, None))
    assert not torch.allclose(seen, unseen, atol=1e-4)  # by way of the picture, which attends to them
    for block in model.video.dual_blocks:
        for parameter in block.video.self_attn.o.parameters():
            parameter.zero_()
    seen, unseen = (model(x, both(TIMES), context(model, references=r)).audio for r in (pictures, None))
    torch.testing.assert_close(seen, unseen, atol=1e-6, rtol=1e-5)


def test_adapters_can_be_added_and_switched_off() -> None:
    model, x = tiny(), latents()
    plain = model(x, both(TIMES), context(model))
    model.add_adapter(LoraConfig(r=2, target_modules=["q", "v"], init_lora_weights=False))
    assert not close(plain, model(x, both(TIMES), context(model)), atol=1e-4)
    model.disable_adapters()
    assert close(plain, model(x, both(TIMES), context(model)), atol=0)


def test_samples_of_a_batch_are_as_if_alone() -> None:
    model, x = tiny(), latents(batch=3)
    times, lengths = torch.tensor([637.0, 20.5, 1000.0]), (5, 0, 12)
    batch = model(x, both(times), context(model, *lengths))
    for k in range(3):
        solo = model(x.map(lambda v, k=k: v[k : k + 1]), both(times[k : k + 1]), context(model, lengths[k]))
        assert close(batch.map(lambda v, k=k: v[k : k + 1]), solo)


def test_contexts_can_be_joined_chosen_and_repeated() -> None:
    model, x = tiny(), latents(batch=4)
    times = torch.tensor([1.0, 300.0, 600.0, 999.0])
    pictures, mask = torch.randn(4, 1, 4, 4, 4), torch.zeros(1, 4, 3, 1, 1)
    mask[:, :, 0] = 1
    condition = torch.randn(1, 4, 3, 4, 6)
    text, said = features(5, 3, 12, 0), features(2, 1, 6, 0, seed=1)
    given = torch.tensor([[True], [True], [False], [False]])
    whole_mask = mask.expand(4, -1, -1, -1, -1).clone()
    whole_mask[2:] = 0
    whole = model.encode_context(
        text,
        said,
        clip=clip(condition=condition.expand(4, -1, -1, -1, -1), mask=whole_mask, references=pictures, given=given),
    )
    first = clip(condition=condition, mask=mask, references=pictures[:2])
    parts = [
        model.encode_context(text[:2], said[:2], clip=first),
        model.encode_context(text[2:], said[2:], clip=clip()),
    ]
    expected = model(x, both(times), whole)
    assert close(expected, model(x, both(times), AliveContext.concat(parts)))
    turned = model(x.map(lambda v: v[[3, 0, 0]]), both(times[[3, 0, 0]]), whole.select([3, 0, 0]))
    assert close(turned, expected.map(lambda v: v[[3, 0, 0]]))
    assert close(model(x.map(lambda v: v[:2]), both(times[:2]), parts[0].select([0, 1])), expected.map(lambda v: v[:2]))


def test_which_audio_blocks_run_in_which_stage_is_a_setting() -> None:
    assert pairing(32, 16) == (2,) * 16
    assert pairing(5, 2) == (3, 2)
    assert pairing(32, 16, [1] * 16) == (1,) * 16
    for wrong in ([1], [4, 4], [-1, 2]):
        with pytest.raises(VivaceError, match="audio_per_stage"):
            pairing(5, 2, wrong)
    x = latents()
    outputs = [model(x, both(TIMES), context(model)) for model in (tiny(), tiny(audio_per_stage=(1, 1)))]
    assert not close(*outputs, atol=1e-3)
    alone = [
        model(AV(audio=x.audio), AV(audio=TIMES), context(model)) for model in (tiny(), tiny(audio_per_stage=(1, 1)))
    ]
    assert close(*alone, atol=0)


def test_a_saved_model_comes_back_under_its_short_name(tmp_path: Any) -> None:
    model, x = tiny(trained_with={"vae": "abc"}), latents()
    model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["_class_name"] == "AliveTransformer"
    assert AliveTransformer.__module__ == "vivace"
    assert vivace.AliveTransformer is AliveTransformer
    again = AliveTransformer.from_pretrained(tmp_path).eval()
    kept, back = model.state_dict(), again.state_dict()
    assert kept.keys() == back.keys()
    assert all(torch.equal(kept[name], back[name]) for name in kept)
    # Where the weights lie in memory may change the last bit of a product.
    before, after = (m(x, both(TIMES), context(m)) for m in (model, again))
    assert close(before, after, atol=5e-6)


@pytest.mark.parametrize("how", ["weights", "autocast"])
def test_bfloat16_stays_near_float32(how: str) -> None:
    model, x = tiny(), latents()
    exact = model(x, both(TIMES), context(model))
    if how == "weights":
        model = model.bfloat16()
    with torch.autocast("cpu", torch.bfloat16, enabled=how == "autocast"):
        near = model(x, both(TIMES), context(model, references=None))
    for a, b in ((exact.video, near.video), (exact.audio, near.audio)):
        assert b.dtype == torch.float32
        assert 0 < (a - b).norm() / a.norm() < 0.03


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"latents": AV()}, "Neither video nor audio"),
        ({"latents": AV(torch.zeros(2, 5, 3, 4, 6), None)}, "video latents have shape"),
        ({"latents": AV(None, torch.zeros(2, 0, 8))}, "audio latents have shape"),
        ({"timesteps": AV(TIMES, None)}, "no timesteps"),
        ({"timesteps": AV(TIMES, torch.zeros(2, 3))}, "one per sample or one per token"),
        ({"latents": latents(batch=3)}, "do not match 2 contexts"),
        ({"latents": latents(Timeline(frames=13))}, "meet by their times"),
    ],
)
def test_inputs_that_do_not_go_together_are_refused(change: dict[str, Any], complaint: str) -> None:
    model = tiny()
    arguments = {"latents": latents(), "timesteps": both(TIMES), "context": context(model), **change}
    with pytest.raises(VivaceError, match=complaint) as caught:
        model(**arguments)
    assert "\n" not in str(caught.value)


def test_texts_that_do_not_fit_are_refused() -> None:
    model = tiny()
    for arguments, complaint in (
        (([],), "No text"),
        ((features(13),), "13 tokens"),
        ((features(5, dim=7),), r"\[tokens, 6\]"),
        ((features(5), features(5, 3)), "one of each"),
    ):
        with pytest.raises(VivaceError, match=complaint):
            model.encode_context(*arguments)
    with pytest.raises(VivaceError, match="Text of 2 encoders"):
        model.encode_context(features(5), more_text=[features(5)])
    with pytest.raises(VivaceError, match="heads of even width"):
        tiny(audio_dim=18)
    with pytest.raises(VivaceError, match="blank has 3"):
        tiny(blank=(0.0,) * 3)
