import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import vivace
from vivace.errors import VivaceError
from vivace.models.nava import NavaTransformer
from vivace.models.nava_context import NavaContext, pad_bias
from vivace.pair import AV

TEXT_LEN = 12


def tiny(seed: int = 0, **changes: Any) -> NavaTransformer:
    """A small model of which every parameter has an influence."""
    torch.manual_seed(seed)
    config = {
        "video_channels": 4,
        "audio_channels": 8,
        "dim": 24,
        "ffn_dim": 32,
        "freq_dim": 16,
        "num_heads": 2,
        "num_double_layers": 2,
        "num_single_layers": 2,
        "text_dim": 6,
        "text_len": TEXT_LEN,
        "speaker_dim": 5,
        "rope_theta": 100.0,
    }
    model = NavaTransformer(**{**config, **changes})
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim < 2 or not parameter.any():
                parameter.add_(torch.randn_like(parameter) * 0.3)
    return model.eval()


def features(*lengths: int, dim: int = 6) -> list[Tensor]:
    return [torch.randn(n, dim, generator=torch.Generator().manual_seed(n)) for n in lengths]


def latents(batch: int = 2, seed: int = 0) -> AV[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return AV(torch.randn(batch, 4, 3, 4, 6, generator=generator), torch.randn(batch, 7, 8, generator=generator))


def both(times: Tensor) -> AV[Tensor]:
    return AV(times, times)


TIMES = torch.tensor([637.0, 20.5])


def close(a: AV[Any], b: AV[Any], atol: float = 2e-5) -> bool:
    assert (a.video is None, a.audio is None) == (b.video is None, b.audio is None)
    return all(torch.allclose(x, y, atol=atol) for (_, x), (_, y) in zip(a.items(), b.items(), strict=True))


def test_shapes_and_dtypes_are_those_of_the_latents():
    model, x = tiny(), latents()
    out = model(x, both(TIMES), model.encode_context(features(5, 3)))
    assert out.video.shape == x.video.shape
    assert out.audio.shape == x.audio.shape
    assert out.video.dtype == out.audio.dtype == torch.float32


@pytest.mark.parametrize("changes", [{}, {"split_norm_ffn": True, "num_double_final_layers": 1}, {"qk_norm": False}])
def test_without_exchange_each_modality_is_its_own_run(changes):
    model, x = tiny(**changes), latents()
    context = model.encode_context(features(5, 3))
    apart = model(x, both(TIMES), context, exchange=False)
    video = model(AV(video=x.video), AV(video=TIMES), context)
    audio = model(AV(audio=x.audio), AV(audio=TIMES), context)
    assert close(apart, AV(video.video, audio.audio))
    assert not close(apart, model(x, both(TIMES), context), atol=1e-2)


def test_each_modality_hears_the_other():
    model, x = tiny(), latents()
    context = model.encode_context(features(5, 3))
    plain = model(x, both(TIMES), context)
    assert not close(plain, model(AV(x.video, x.audio + 1), both(TIMES), context), atol=1e-2)
    other_video = model(AV(x.video + 1, x.audio), both(TIMES), context)
    assert not torch.allclose(other_video.audio, plain.audio, atol=1e-3)


@pytest.mark.parametrize("places", [False, True])
def test_samples_of_different_size_equal_their_solo_runs(places):
    model = tiny(places=places)
    video = [torch.randn(4, 3, 4, 6), torch.randn(4, 2, 6, 2), torch.randn(4, 1, 2, 2)]
    audio = [torch.randn(7, 8), torch.randn(3, 8), torch.randn(10, 8)]
    text, times = features(5, 0, 12), torch.tensor([637.0, 20.5, 1000.0])
    for exchange in (True, False):
        batch = model(AV(video, audio), both(times), model.encode_context(text), exchange=exchange)
        for i in range(3):
            solo = model(
                AV(video[i][None], audio[i][None]),
                both(times[i : i + 1]),
                model.encode_context(text[i : i + 1]),
                exchange,
            )
            assert batch.video[i].shape == video[i].shape
            assert close(AV(batch.video[i], batch.audio[i]), AV(solo.video[0], solo.audio[0]))


@torch.no_grad()
def test_only_with_places_does_a_token_know_where_it_lies():
    """Of equal latents no token differs from another by relative positions alone."""
    x = AV(video=torch.ones(1, 4, 3, 4, 6))
    for places in (False, True):
        model = tiny(places=places)
        v = model(x, AV(video=TIMES[:1]), model.encode_context(features(5))).video
        assert bool((v[..., ::2, ::2].std(dim=(2, 3, 4)) > 1e-4).all()) == places  # one latent of each patch
        sound = model(AV(audio=torch.ones(1, 30, 8)), AV(audio=TIMES[:1]), model.encode_context(features(5))).audio
        # The convolutions of the embedding see the ends; the middle is the same without places.
        assert bool((sound[:, 14:17].std(dim=1) > 0.02).any()) == places


def test_places_begin_as_nothing():
    torch.manual_seed(0)
    plain = tiny()
    config = {key: value for key, value in plain.config.items() if not key.startswith("_")}
    told = NavaTransformer(**{**config, "places": True})
    missing = told.load_state_dict(plain.state_dict(), strict=False).missing_keys
    assert all(name.startswith("place_embedding.") for name in missing)
    x, text = latents(), features(5, 3)
    out = told.eval()(x, both(TIMES), told.encode_context(text))
    assert close(out, plain(x, both(TIMES), plain.encode_context(text)), atol=0)


def test_sides_that_are_no_whole_patches_are_padded_and_cropped():
    model = tiny()
    video = torch.randn(1, 4, 2, 3, 5)
    whole = nn.functional.pad(video, (0, 1, 0, 1))
    context = model.encode_context(features(5))
    odd, even = (model(AV(video=v), AV(video=TIMES[:1]), context).video for v in (video, whole))
    assert odd.shape == video.shape
    assert torch.allclose(odd, even[..., :3, :5], atol=1e-5)


def test_timesteps_may_be_given_by_token():
    model, x = tiny(), latents()
    context = model.encode_context(features(5, 3))
    video_tokens = 3 * 2 * 3
    by_token = AV(TIMES[:, None].expand(-1, video_tokens), TIMES[:, None].expand(-1, 7))
    assert close(model(x, both(TIMES), context), model(x, by_token, context))
    first_clean = by_token.video.clone()
    first_clean[:, :6] = 0
    assert not close(model(x, AV(first_clean, TIMES), context), model(x, both(TIMES), context), atol=1e-3)
    assert close(model(x, both(TIMES[:1]), context), model(x, both(TIMES[:1].expand(2)), context))


@pytest.mark.parametrize("exchange", [True, False])
@pytest.mark.parametrize("changes", [{}, {"num_double_layers": 0}, {"num_double_final_layers": 1}])
def test_one_timestep_for_both_sides_is_two_equal_ones(changes, exchange):
    model, x = tiny(**changes), latents()
    ragged = AV([x.video[0], x.video[1, :, :2]], [x.audio[0, :4], x.audio[1]])
    context = model.encode_context(features(5, 3))
    for given in (x, ragged):
        one = model(given, both(TIMES), context, exchange)
        two = model(given, AV(TIMES, TIMES.clone()), context, exchange)
        for (_, side), (_, same) in zip(one.items(), two.items(), strict=True):
            assert all(torch.equal(a, b) for a, b in zip(side, same, strict=True))


@pytest.mark.parametrize("lengths", [(5, 3), (0, 0), (12, 4), (11, 11), (1, 0)])
def test_pads_of_the_text_are_attended_as_if_written_out(lengths):
    model, x, text = tiny(), latents(), features(*lengths)
    written_out = [nn.functional.pad(t, (0, 0, 0, TEXT_LEN - len(t))) for t in text]
    short, full = model.encode_context(text), model.encode_context(written_out)
    assert short.tokens.shape[1] == (TEXT_LEN if max(lengths) == TEXT_LEN else max(lengths) + 2)
    assert full.bias is None
    assert close(model(x, both(TIMES), short), model(x, both(TIMES), full))
    assert close(model(x, both(TIMES), short.widened(TEXT_LEN)), model(x, both(TIMES), full))


@pytest.mark.parametrize("pads", [1, 2, 3, 12, 100, 432, 511])
@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-6), (torch.bfloat16, 2e-3)])
def test_two_keys_weigh_as_much_as_all_pads(pads, dtype, near):
    bias = pad_bias(pads, 3, torch.device("cpu"))
    weights = bias.to(dtype).double().exp()
    assert weights[0, :3].tolist() == [1, 1, 1]
    assert weights[0, 3:].sum().item() == pytest.approx(pads, rel=near)


def test_contexts_can_be_joined_chosen_and_repeated():
    model, x, times = tiny(), latents(4), torch.tensor([1.0, 300.0, 600.0, 999.0])
    text = features(5, 3, 12, 0)
    whole = model.encode_context(text)
    parts = [model.encode_context(text[:2]), model.encode_context(text[2:3]), model.encode_context(text[3:])]
    expected = model(x, both(times), whole)
    assert close(expected, model(x, both(times), NavaContext.concat(parts)))
    turned = model(x.map(lambda v: v[[3, 0, 0]]), both(times[[3, 0, 0]]), whole.select([3, 0, 0]))
    assert close(turned, expected.map(lambda v: v[[3, 0, 0]]))
    assert len(whole.select([3, 0, 0])) == 3
    single = NavaContext.concat(parts).keys_values[-1]
    assert single.video is single.audio  # shared layers keep one copy


def test_hidden_pads_leave_each_sample_its_own_words():
    model, x = tiny(hide_pads=True), latents(3)
    times = torch.cat((TIMES, TIMES[:1]))
    text = features(9, 0, 4)
    context = model.encode_context(text)
    whole = model(x, both(times), context)
    for sample in range(3):
        one = x.map(lambda v: v[sample : sample + 1])  # noqa: B023 - used at once
        alone = model.encode_context([text[sample]])
        assert alone.bias is None
        wanted = whole.map(lambda v: v[sample : sample + 1])  # noqa: B023
        assert close(model(one, both(times[sample : sample + 1]), alone), wanted)
    # Chosen, joined, and widened beyond the longest text, it stays the same.
    order = [2, 0, 1]
    joined = NavaContext.concat([model.encode_context([text[2]]), context.select([0, 1]).widened(11)])
    turned = x.map(lambda v: v[order])
    wanted = whole.map(lambda v: v[order])
    assert close(model(turned, both(times[order]), joined), wanted)
    assert close(model(turned, both(times[order]), context.select(order)), wanted)
    # As long as the text is, no more pads are seen: the length of the context is of no matter.
    longer = tiny(hide_pads=True, text_len=40)
    assert close(longer(x, both(times), longer.encode_context(text)), whole)
    assert not close(tiny()(x, both(times), tiny().encode_context(text)), whole)


def test_speakers_are_written_over_their_positions():
    model, x, text = tiny(), latents(), features(5, 3)
    voices = [torch.randn(2, 5), torch.randn(1, 5)]
    spoken = model.encode_context(text, voices, [[1, 4], [0]])
    plain = model.encode_context(text)
    written = (spoken.tokens != plain.tokens).any(-1)
    assert written.nonzero().tolist() == [[0, 1], [0, 4], [1, 0]]
    assert torch.allclose(spoken.tokens[0, [1, 4]], model.speaker_embedding(voices[0]))
    assert not close(model(x, both(TIMES), spoken), model(x, both(TIMES), plain), atol=1e-3)
    silent = model.encode_context(text, [torch.zeros(2, 5), torch.zeros(1, 5)], [[1, 4], [0]])
    assert torch.equal(silent.tokens[1, 0], model.speaker_embedding.null_token[0])
    behind = model.encode_context(text, [torch.randn(1, 5), torch.zeros(0, 5)], [[9], []])  # among the pads
    assert behind.length == 10


@pytest.mark.parametrize("checkpointing", [False, True])
def test_joint_training_reaches_every_parameter(checkpointing):
    model, x = tiny(split_norm_ffn=True, num_double_final_layers=1).train(), latents()
    if checkpointing:
        model.enable_gradient_checkpointing()
    text = [t.requires_grad_() for t in features(5, 3)]
    context = model.encode_context(text, [torch.randn(1, 5), torch.zeros(1, 5)], [[1], [2]])
    out = model(x, both(TIMES), context)
    sum(side.square().mean() for _, side in out.items()).backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    # A key's bias moves all scores of a query alike, which softmax does not see; the norm after it lets it through.
    assert silent == []
    assert all(t.grad.any() for t in text)


def test_checkpointing_changes_no_gradient():
    grads = []
    for checkpointing in (False, True):
        model, x = tiny().train(), latents()
        if checkpointing:
            model.enable_gradient_checkpointing()
        out = model(x, both(TIMES), model.encode_context(features(5, 3)))
        (out.video.square().mean() + out.audio.square().mean()).backward()
        grads.append([p.grad for p in model.parameters() if p.grad is not None])
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*grads, strict=True))


def test_a_video_head_of_zeros_and_unit_scales_start_training():
    torch.manual_seed(0)
    model = NavaTransformer(dim=24, num_heads=2, ffn_dim=32, num_double_layers=1, num_single_layers=1, text_dim=6)
    assert not model.video_head.linear.weight.any()
    assert model.audio_head.linear.weight.any()
    assert not model.speaker_embedding.null_token.any()
    assert model.double_blocks[0].streams["audio"].self_attn.norm_q.weight.eq(1).all()
    assert 0.5 < model.single_blocks[0].streams["both"].modulation.std().item() * 24**0.5 < 1.5


def test_a_saved_model_comes_back_under_its_short_name(tmp_path):
    model, x = tiny(trained_with={"vae": "abc"}), latents()
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["_class_name"] == "NavaTransformer"
    assert NavaTransformer.__module__ == "vivace"
    assert vivace.NavaTransformer is NavaTransformer
    again = NavaTransformer.from_pretrained(tmp_path)
    assert again.config.trained_with == {"vae": "abc"}
    before, after = (m(x, both(TIMES), m.encode_context(features(5, 3))) for m in (model, again.eval()))
    assert torch.equal(before.video, after.video)
    assert torch.equal(before.audio, after.audio)


@pytest.mark.parametrize("how", ["weights", "autocast"])
def test_bfloat16_stays_near_float32(how):
    model, x = tiny(), latents()
    exact = model(x, both(TIMES), model.encode_context(features(5, 3)))
    if how == "weights":
        model = model.bfloat16()
    with torch.autocast("cpu", torch.bfloat16, enabled=how == "autocast"):
        near = model(x, both(TIMES), model.encode_context(features(5, 3)))
    for a, b in ((exact.video, near.video), (exact.audio, near.audio)):
        assert b.dtype == torch.float32  # that of the latents
        assert 0 < (a - b).norm() / a.norm() < 0.02


def test_rotary_base_and_audio_scale_are_configuration():
    x = latents()
    outs = []
    for changes in ({}, {"rope_theta": 10000.0}, {"audio_rope_scale": 0.5}):
        model = tiny(**changes)
        outs.append(model(x, both(TIMES), model.encode_context(features(5, 3))))
    assert not close(outs[0], outs[1], atol=1e-4)
    assert not close(outs[0], outs[2], atol=1e-4)


def test_group_offload_finds_every_weight_in_its_module(tmp_path):
    """Weights kept on disk are empty in memory until the hook of their module fires."""
    model, x = tiny(), latents()
    voices = ([torch.randn(1, 5), torch.zeros(0, 5)], [[1], []])
    expected = model(x, both(TIMES), model.encode_context(features(5, 3), *voices))
    cpu = torch.device("cpu")
    model.enable_group_offload(cpu, cpu, "block_level", num_blocks_per_group=1, offload_to_disk_path=str(tmp_path))
    out = model(x, both(TIMES), model.encode_context(features(5, 3), *voices))
    assert close(expected, out, atol=1e-6)


def test_blocks_compile_as_whole_graphs():
    model, x = tiny(), latents()
    context = model.encode_context(features(5, 3))
    with torch.no_grad():
        expected = model(x, both(TIMES), context)
        model.compile_repeated_blocks(fullgraph=True, backend="eager")
        assert close(expected, model(x, both(TIMES), context))


def test_an_adapter_starts_neutral_and_then_changes_both_modalities():
    peft = pytest.importorskip("peft")
    model, x = tiny(), latents()
    context = features(5, 3)
    with torch.no_grad():
        plain = model(x, both(TIMES), model.encode_context(context))
        model.add_adapter(peft.LoraConfig(r=2, lora_alpha=2, target_modules=["q", "k", "v", "o"]))
        assert close(plain, model(x, both(TIMES), model.encode_context(context)))
        trained = [p for name, p in model.named_parameters() if "audio" in name and "lora_B" in name]
        for parameter in trained:
            nn.init.normal_(parameter)
        changed = model(x, both(TIMES), model.encode_context(context))
    assert trained
    assert not torch.allclose(changed.audio, plain.audio, atol=1e-3)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda m: m.encode_context([]), "No text"),
        (lambda m: m.encode_context(features(TEXT_LEN + 1)), "shorten it to at most 12"),
        (lambda m: m.encode_context(features(3, dim=5)), r"reads \[tokens, 6\]"),
        (lambda m: m.encode_context(features(3), [torch.zeros(2, 5)], [[1]]), "2 speakers for 1 positions"),
        (lambda m: m.encode_context(features(3), [torch.zeros(1, 5)], [[12]]), "from 0 to 11"),
        (lambda m: m.encode_context(features(3), [torch.zeros(1, 4)], [[1]]), "must have 5 values"),
        (lambda m: m.encode_context(features(3, 4), [torch.zeros(1, 5)], [[1]]), "do not make one batch"),
        (lambda m: m(AV(), AV(), m.encode_context(features(3))), "Neither video nor audio"),
        (lambda m: m(latents(), both(TIMES), m.encode_context(features(3))), "1 contexts"),
        (lambda m: m(latents(), AV(TIMES), m.encode_context(features(3, 4))), "audio latents have no timesteps"),
        (lambda m: m(latents(), both(torch.ones(3)), m.encode_context(features(3, 4))), "do not fit"),
        (lambda m: m(latents(), both(torch.ones(2, 5)), m.encode_context(features(3, 4))), "do not match"),
        (
            lambda m: m(AV(torch.ones(1, 3, 2, 4, 4)), both(TIMES[:1]), m.encode_context(features(3))),
            "takes .4, T, H, W",
        ),
        (lambda m: m(AV(audio=[torch.ones(0, 8)]), both(TIMES[:1]), m.encode_context(features(3))), "none of them 0"),
    ],
)
def test_bad_input_is_named(call, named):
    with pytest.raises(VivaceError, match=named):
        call(tiny())


def test_speakers_need_a_model_with_speakers():
    with pytest.raises(VivaceError, match="without speaker layers"):
        tiny(speaker_dim=None).encode_context(features(3), [torch.zeros(1, 5)], [[1]])


def test_heads_must_have_an_even_width():
    with pytest.raises(VivaceError, match="even width"):
        tiny(dim=27, num_heads=3)


def test_speakers_are_bound_to_their_places_only_where_they_keep_the_text() -> None:
    torch.manual_seed(0)
    text, speakers = torch.randn(12, 6), torch.randn(2, 5)
    latents, timesteps = AV(audio=torch.randn(1, 7, 8)), AV(audio=torch.tensor([400.0]))
    for keeps in (False, True):
        model = tiny(speakers_keep_text=keeps).eval()
        contexts = [model.encode_context([text], [order], [[2, 7]]) for order in (speakers, speakers.flip(0))]
        one, other = (model(latents, timesteps, context).audio for context in contexts)
        # Cross-attention has no positions: what replaces the text may stand anywhere.
        assert torch.allclose(one, other, atol=1e-5) != keeps
