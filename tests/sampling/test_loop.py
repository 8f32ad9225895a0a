import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tests.tiny import tiny_transformer
from torch import Tensor

from vivace.models.nava import NavaTransformer
from vivace.models.nava_context import NavaContext
from vivace.models.nava_names import config_from_official, from_official
from vivace.pair import AV
from vivace.sampling.flow import add_noise
from vivace.sampling.guidance import CONDITIONAL, GuidanceRule, nava_rule
from vivace.sampling.loop import GIVEN_POLICIES, Given, SamplingCancelledError, Step, denoise
from vivace.sampling.noise import batch_noise
from vivace.sampling.schedules import Table, euler_table, sound_ahead, unipc_table
from vivace.sampling.solvers import EulerSolver, SolverName, UniPCSolver, solver_for, table_for

GOLDEN = Path(str(files("vivace.evaluation"))) / "golden" / "nava"
PLAIN = GuidanceRule((CONDITIONAL,), AV({"conditional": 1.0}, {"conditional": 1.0}))


@pytest.fixture(scope="module")
def model() -> NavaTransformer:
    return tiny_transformer()


def _noise(seeds: list[int]) -> AV[Tensor]:
    return AV(batch_noise(seeds, "video", (4, 3, 4, 4)), batch_noise(seeds, "audio", (7, 128)))


def _contexts(model: NavaTransformer, count: int) -> dict[str, NavaContext]:
    texts = [torch.randn(5 + k, 16, generator=torch.Generator().manual_seed(k)) for k in range(count)]
    with torch.no_grad():
        positive, negative = model.encode_context(texts), model.encode_context([torch.zeros(0, 16)] * count)
    return {"conditional": positive, "masked": positive, "unconditional": negative, "timbre_free": positive}


def _run(
    model: NavaTransformer, seeds: list[int], rule: GuidanceRule, name: Any = "unipc", **options: Any
) -> AV[Tensor]:
    table = table_for(name, 3, 5.0)
    return denoise(
        model, _noise(seeds), _contexts(model, len(seeds)), rule, table, solver_for(name, table.sigmas), **options
    )


def _close(a: AV[Tensor], b: AV[Tensor], tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(a.video, b.video, atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(a.audio, b.audio, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("name", ["euler", "unipc"])
def test_branches_as_one_batch_or_one_by_one_agree(model: NavaTransformer, name: str) -> None:
    rule = nava_rule(AV(3.0, 2.0), AV(1.5, 1.0)).reduced(video=True, audio=True, voices=False)
    _close(_run(model, [1, 2], rule, name, together=True), _run(model, [1, 2], rule, name, together=False))


def test_a_clip_does_not_depend_on_its_batch(model: NavaTransformer) -> None:
    rule = nava_rule(AV(3.0, 2.0)).reduced(video=True, audio=True, voices=False)
    together = _run(model, [1, 2], rule)
    _close(together.map(lambda x: x[:1]), _run(model, [1], rule))


def test_one_modality_alone_needs_no_other(model: NavaTransformer) -> None:
    table = euler_table(2)
    for noise in (AV(_noise([1]).video, None), AV(None, _noise([1]).audio)):
        rule = PLAIN.reduced(video=noise.video is not None, audio=noise.audio is not None, voices=False)
        out = denoise(model, noise, _contexts(model, 1), rule, table, EulerSolver(table.sigmas))
        assert [modality for modality, _ in out.items()] == [modality for modality, _ in noise.items()]


def test_neutral_guidance_is_the_plain_model(model: NavaTransformer) -> None:
    _close(_run(model, [4], nava_rule(AV(1.0, 1.0), AV(0.0, 0.0))), _run(model, [4], PLAIN))


def _evaluations(model: NavaTransformer, run: Any) -> tuple[AV[Tensor], int]:
    """A run's latents, and how many clips went through the last block."""
    clips = 0

    def count(block: Any, args: tuple[Any, ...], out: AV[Tensor]) -> None:
        nonlocal clips
        clips += len(out.audio)  # type: ignore[arg-type]

    hook = model.blocks()[-1].register_forward_hook(count)
    try:
        return run(), clips
    finally:
        hook.remove()


@pytest.mark.parametrize("together", [True, False])
def test_a_cache_that_is_never_used_changes_no_bit_and_a_full_one_keeps_first_and_last_step(
    model: NavaTransformer, together: bool
) -> None:
    rule = nava_rule(AV(3.0, 2.0), AV(1.5, 1.0)).reduced(video=True, audio=True, voices=False)

    def run(cache: float) -> tuple[AV[Tensor], int]:
        return _evaluations(model, lambda: _run(model, [1], rule, together=together, cache=cache))

    (plain, every), (unused, same), (full, few) = run(0.0), run(1e-9), run(1e9)
    assert (every, same, few) == (9, 9, 6)  # three branches at three steps, and at two
    _close(plain, unused, 0)
    for side, exact in plain.items():
        assert not torch.equal(full.get(side), exact)  # type: ignore[arg-type]


def test_a_cached_clip_does_not_depend_on_its_batch_or_on_how_branches_are_run(model: NavaTransformer) -> None:
    rule = nava_rule(AV(3.0, 2.0), AV(1.5, 1.0)).reduced(video=True, audio=True, voices=False)
    alone, _ = _evaluations(model, lambda: _run(model, [2], rule, cache=1e9))
    for together in (True, False):
        pair, clips = _evaluations(model, lambda t=together: _run(model, [2, 1], rule, cache=1e9, together=t))
        assert clips == 12
        _close(pair.map(lambda x: x[:1]), alone)


def _first_frame(count: int) -> tuple[Tensor, AV[Given]]:
    clean = torch.zeros(count, 4, 3, 4, 4)
    clean[:, :, 0] = torch.randn(count, 4, 4, 4, generator=torch.Generator().manual_seed(9))
    known = torch.zeros(1, 1, 3, 1, 1, dtype=torch.bool)
    known[:, :, 0] = True
    return clean, AV(video=Given(clean, known))


@pytest.mark.parametrize("policy", GIVEN_POLICIES)
def test_a_given_first_frame_guides_the_rest_and_is_kept_as_the_policy_says(
    model: NavaTransformer, policy: Any
) -> None:
    clean, given = _first_frame(1)
    out = _run(model, [1], PLAIN, given=given, policy=policy)
    free = _run(model, [1], PLAIN)
    assert out.video is not None
    assert free.video is not None
    assert torch.equal(out.video[:, :, 0], clean[:, :, 0]) == (policy != "overwritten")
    assert not torch.allclose(out.video[:, :, 1:], free.video[:, :, 1:], atol=1e-3)


@pytest.mark.parametrize("policy", GIVEN_POLICIES)
def test_what_the_network_is_shown_of_a_given_part(policy: Any) -> None:
    clean, given = _first_frame(1)
    noise = _noise([1])
    table = euler_table(3)
    seen: list[tuple[AV[Tensor], AV[Tensor]]] = []

    def network(latents: AV[Tensor], timesteps: AV[Tensor], context: Any, exchange: bool = True) -> AV[Tensor]:
        seen.append((latents, timesteps))
        return latents.map(torch.ones_like)

    denoise(network, noise, {"conditional": None}, PLAIN, table, EulerSolver(table.sigmas), given=given, policy=policy)
    for index, (latents, timesteps) in enumerate(seen):
        assert latents.video is not None
        assert timesteps.video is not None
        assert timesteps.audio is not None
        now = float(table.timesteps[index])
        assert timesteps.audio.tolist() == [now]
        if policy == "noised":
            assert noise.video is not None
            expected = add_noise(clean, noise.video, torch.tensor(float(table.sigmas[index])))
            torch.testing.assert_close(latents.video[:, :, 0], expected[:, :, 0])
            assert timesteps.video.tolist() == [now]
        else:
            assert torch.equal(latents.video[:, :, 0], clean[:, :, 0])
            # 3 frames of 2x2 patches: the first four tokens are clean.
            assert timesteps.video.tolist() == [[0.0] * 4 + [now] * 8]


def test_a_modality_given_wholly_comes_back_untouched(model: NavaTransformer) -> None:
    video = torch.randn(1, 4, 3, 4, 4)
    out = _run(model, [1], PLAIN, given=AV(video=Given(video, torch.ones(1, 1, 1, 1, 1, dtype=torch.bool))))
    assert out.video is not None
    assert torch.equal(out.video, video)
    assert out.audio is not None
    assert not torch.allclose(out.audio, _run(model, [1], PLAIN).audio, atol=1e-4)  # type: ignore[arg-type]


def test_a_modality_given_wholly_is_shown_at_timestep_zero_and_never_stepped() -> None:
    noise = _noise([1])
    assert noise.video is not None
    table = euler_table(3)
    rule = GuidanceRule((CONDITIONAL,), AV(None, {"conditional": 1.0}))  # the given side has no weights
    clean = torch.randn_like(noise.video)
    seen: list[AV[Tensor]] = []

    def network(latents: AV[Tensor], timesteps: AV[Tensor], context: Any, exchange: bool = True) -> AV[Tensor]:
        assert latents.video is not None
        assert torch.equal(latents.video, clean)
        seen.append(timesteps)
        return latents.map(torch.ones_like)

    given = AV(video=Given(clean, torch.ones(1, 1, 1, 1, 1, dtype=torch.bool)))
    for policy in ("held", "overwritten"):
        solver = EulerSolver(table.sigmas)
        out = denoise(network, noise, {"conditional": None}, rule, table, solver, given=given, policy=policy)
        assert torch.equal(out.video, clean)  # type: ignore[arg-type]
        torch.testing.assert_close(out.audio, noise.audio - 1.0)  # type: ignore[operator]
    assert all(not times.video.any() for times in seen)  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["euler", "unipc"])
def test_sound_ahead_is_told_and_stepped_by_its_own_levels(name: SolverName) -> None:
    noise, table = _noise([1, 2]), table_for(name, 6, 3.0)
    sound = sound_ahead(table, 4.0)
    seen: list[AV[Tensor]] = []

    def network(latents: AV[Tensor], timesteps: AV[Tensor], context: Any, exchange: bool = True) -> AV[Tensor]:
        """The velocity of a path from each side's own noise to 0.5, wherever on it the latents are."""
        seen.append(timesteps)
        sigmas = AV(float(table.sigmas[len(seen) - 1]), float(sound.sigmas[len(seen) - 1]))
        return latents.map(lambda x, sigma: (x - 0.5) / sigma, sigmas)

    solver = solver_for(name, table.sigmas, sound.sigmas)
    out = denoise(network, noise, {"conditional": None}, PLAIN, table, solver, sound=sound)
    for _, side in out.items():
        torch.testing.assert_close(side, torch.full_like(side, 0.5))
    assert [float(times.video[0]) for times in seen] == table.timesteps.tolist()  # type: ignore[index]
    assert [float(times.audio[0]) for times in seen] == sound.timesteps.tolist()  # type: ignore[index]


def test_sound_ahead_by_nothing_is_sound_beside(model: NavaTransformer) -> None:
    table = table_for("unipc", 4, 3.0)
    same = sound_ahead(table, 1.0)
    solver = solver_for("unipc", table.sigmas, same.sigmas)
    out = denoise(model, _noise([1]), _contexts(model, 1), PLAIN, table, solver, sound=same)
    plain = denoise(model, _noise([1]), _contexts(model, 1), PLAIN, table, solver_for("unipc", table.sigmas))
    _close(out, plain, 0)


def test_a_callback_sees_every_step_may_replace_and_may_stop(model: NavaTransformer) -> None:
    steps: list[Step] = []
    out = _run(model, [1], PLAIN, on_step=steps.append)
    assert [step.index for step in steps] == [0, 1, 2]
    _close(steps[-1].latents, out, 0)

    zeros = _run(
        model, [1], PLAIN, on_step=lambda step: step.latents.map(torch.zeros_like) if step.index == 2 else None
    )
    assert zeros.video is not None
    assert not zeros.video.any()

    def stop(step: Step) -> None:
        if step.index == 1:
            raise SamplingCancelledError

    with pytest.raises(SamplingCancelledError):
        _run(model, [1], PLAIN, on_step=stop)


def _golden_model() -> NavaTransformer:
    config = config_from_official(json.loads((GOLDEN / "config_A.json").read_text()))
    model = NavaTransformer(**config)
    state = {name: tensor.float() for name, tensor in load_file(GOLDEN / "weights_A.safetensors").items()}
    model.load_state_dict(from_official(state, config))
    return model.eval()


@pytest.mark.parametrize(
    "case",
    ["sampler_euler_ti2av_spk", "sampler_unipc_t2av", "sampler_unipc_ti2av_spk", "sampler_unipc_t2av_spk_noalign"],
)
def test_the_loop_follows_the_published_sampler(case: str) -> None:
    with safe_open(GOLDEN / f"{case}.safetensors", "pt") as file:
        tensors, meta = {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118
    model = _golden_model()
    text, negative = [tensors["in.text_pos"]], [tensors["in.text_neg_video"]]
    positions = json.loads(meta["spk_pos"]) if "in.spk_embed" in tensors else None
    with torch.no_grad():
        bare = model.encode_context(text)
        spoken = model.encode_context(text, [tensors["in.spk_embed"]], positions) if positions else bare
        contexts = {"conditional": spoken, "masked": bare, "timbre_free": bare}
        contexts["unconditional"] = model.encode_context(negative)
    first = tensors["in.first_frame"]
    frames = tensors["in.video_noise"].shape[0] // (first.shape[1] * first.shape[2])
    video = tensors["in.video_noise"].reshape(1, frames, *first.shape[1:]).movedim(-1, 1)
    clean = torch.zeros_like(video)
    clean[:, :, 0] = first.movedim(-1, 1)
    known = torch.zeros(1, 1, frames, 1, 1, dtype=torch.bool)
    known[:, :, 0] = True
    align = AV(3.0, 2.0) if meta.get("align_3d_cfg", "True") == "True" else None
    rule = nava_rule(AV(3.0, 2.0), align, 3.0 if positions else None, official=True)
    steps = len(tensors["in.timesteps"])
    table: Table = euler_table(steps) if "euler" in case else unipc_table(steps)
    solver = EulerSolver(table.sigmas) if "euler" in case else UniPCSolver(table.sigmas)

    def compare(step: Step) -> None:
        assert step.latents.video is not None
        assert step.latents.audio is not None
        flat = step.latents.video[0].movedim(0, -1).reshape(-1, first.shape[-1])
        torch.testing.assert_close(flat, tensors[f"after_step{step.index}.video"], atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(
            step.latents.audio[0], tensors[f"after_step{step.index}.audio"], atol=1e-3, rtol=1e-3
        )

    noise = AV(video, tensors["in.audio_noise"][None])
    with_image = "ti2av" in case
    given: AV[Given] = AV(video=Given(clean, known)) if with_image else AV()
    denoise(model, noise, contexts, rule, table, solver, given=given, policy="overwritten", on_step=compare)
