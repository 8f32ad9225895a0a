"""How much memory a clip's stages need beside the weights.

Ours: instead of formulas for every layer, which would go wrong with the next change of the code, the very code runs on
tensors without contents and its live bytes are counted. Of each kind of block one is enough; what grows with their
number (the context's keys and values) is multiplied.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from vivace.models.codecs import decode_audio
from vivace.models.nava import NavaContext
from vivace.models.rotary import audio_rotation, video_rotation
from vivace.pair import AV
from vivace.pipelines.decoding import Decoding, decode_levels
from vivace.pipelines.live_bytes import FlashAttention, LiveBytes
from vivace.pipelines.parts import Part, depth, shallow
from vivace.sampling.guidance import Branch, GuidanceRule
from vivace.sampling.loop import denoise
from vivace.sampling.schedules import Table
from vivace.sampling.solvers import SolverName, solver_for, table_for

# Solvers of second order hold their history from the third step on.
_STEPS = 3
# Of a causal codec the first two latent frames are unlike all others.
_STREAMED = 4


@dataclass(frozen=True)
class Work:
    """What is to be made.

    Args:
        grid: latent frames, rows and columns, or None without pictures.
        audio_tokens: or None without sound.
        rule: which branches run. text: tokens of the "positive" and the "negative" prompt.
        clips: made at a time.
    """

    grid: tuple[int, int, int] | None
    audio_tokens: int | None
    rule: GuidanceRule
    text: Mapping[str, int]
    solver: SolverName = "unipc"
    clips: int = 1

    @classmethod
    def of(cls, plan: Any, stride: int, text: Mapping[str, int]) -> Work:
        """Of a pipeline's checked `Plan`; `stride` is the video codec's."""
        grid = (plan.timeline.latent_frames, plan.height // stride, plan.width // stride) if plan.video else None
        tokens = plan.timeline.audio_tokens if plan.audio else None
        return cls(grid, tokens, plan.rule, text, plan.preset.solver, len(plan.prompts))


@dataclass(frozen=True)
class Needs:
    """Peak bytes beside the weights, stage by stage, with what earlier stages left.

    sampling: with branches as one batch (True) or one after another. pictures: by the way of decoding.
    """

    text: int
    context: int
    sampling: dict[bool, int]
    pictures: dict[Decoding, int]
    sound: int


@contextlib.contextmanager
def weightless(cpu: bool, dtype: torch.dtype) -> Iterator[torch.device]:
    """New modules and tensors take no memory; gives the device to name. On a CPU the kernels chosen are the CPU's."""
    # Rotations are kept from call to call: an empty one must not come to a real call, nor a real one go uncounted.
    caches = (video_rotation, audio_rotation)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    for cache in caches:
        cache.cache_clear()
    try:
        with FakeTensorMode(allow_non_fake_inputs=True) if cpu else FlashAttention(), torch.inference_mode():
            yield torch.device("cpu" if cpu else "meta")
    finally:
        torch.set_default_dtype(before)
        for cache in caches:
            cache.cache_clear()


def needs_of(parts: Mapping[str, Part], work: Work, *, cpu: bool, dtype: torch.dtype) -> Needs:
    """The memory that this work needs with these parts, on a CPU or on a GPU.

    Args:
        dtype: that all parts compute in.
    """
    names = ("transformer", "vae", "audio_vae", "vocoder", "text_encoder")
    table = table_for(work.solver, _STEPS, 5.0)
    with weightless(cpu, dtype) as device:
        with torch.device(device):
            modules = {name: shallow(name, parts[name]).eval() for name in names if name in parts}
        torch.set_default_dtype(torch.float32)
        with LiveBytes(modules.values(), None if cpu else ("meta",)) as live:
            features = {name: _features(modules["text_encoder"], count, device) for name, count in work.text.items()}
            text = live.restart()
            contexts, extra = _contexts(modules["transformer"], depth(parts["transformer"]), work, features)
            del features
            context = live.restart() + sum(extra.values())
            noise = _noise(modules["transformer"].config, work, device)
            sampling = {}
            for together in (False, True):
                live.restart()
                latents = _sample(modules["transformer"], work, table, noise, contexts, together)
                copied = _copied(work, contexts, extra) if together else 0
                sampling[together] = live.restart() + sum(extra.values()) + copied
            del contexts
            pictures: dict[Decoding, int] = {"whole": 0, "streamed": 0, "tiled": 0}
            if latents.video is not None:
                pictures = {how: _pictures(live, modules["vae"], latents.video, dtype, how, cpu) for how in pictures}
            if latents.audio is not None:
                decode_audio(modules["audio_vae"], modules["vocoder"], latents.audio[:1].to(dtype)).float()
            sound = live.restart()
    return Needs(text, context, sampling, pictures, sound)


def _features(encoder: Any, count: int, device: torch.device) -> Tensor:
    """[count, text_dim]; none of them for the null text."""
    if not count:
        return torch.zeros(0, encoder.config.d_model, device=device, dtype=encoder.dtype)
    ids = torch.zeros(1, count, dtype=torch.long, device=device)
    return encoder(input_ids=ids, attention_mask=None).last_hidden_state[0]


def _key(branch: Branch) -> str:
    """Branches of one key share their context."""
    return f"{branch.text} {branch.voices and branch.text == 'positive'}"


def _contexts(
    transformer: Any, blocks: Mapping[str, int], work: Work, features: Mapping[str, Tensor]
) -> tuple[dict[str, NavaContext], dict[str, int]]:
    """Context of each branch, and per distinct context the bytes that its other blocks would add."""
    made: dict[str, NavaContext] = {}
    for branch in work.rule.needed():
        if _key(branch) not in made:
            made[_key(branch)] = transformer.encode_context([features[branch.text]] * work.clips)
    extra = {key: _other_blocks(context, blocks) for key, context in made.items()}
    return {branch.name: made[_key(branch)] for branch in work.rule.needed()}, extra


def _other_blocks(context: NavaContext, blocks: Mapping[str, int]) -> int:
    kinds = [number for number in blocks.values() if number]
    total = 0
    for number, pair in zip(kinds, context.keys_values, strict=True):
        tensors = {id(t): t for _, kv in pair.items() for t in kv}
        total += (number - 1) * sum(t.numel() * t.element_size() for t in tensors.values())
    return total


def _copied(work: Work, contexts: Mapping[str, NavaContext], extra: Mapping[str, int]) -> int:
    """Bytes that batches of several contexts add for the blocks that are not there."""
    total = 0
    for exchange in (True, False):
        group = [branch for branch in work.rule.needed() if branch.exchange == exchange]
        if len(group) > 1:
            longest = max(contexts[branch.name].length for branch in group)
            total += sum(extra[_key(branch)] * (longest + 2) // (contexts[branch.name].length + 2) for branch in group)
    return total


def _noise(config: Any, work: Work, device: torch.device) -> AV[Tensor]:
    video = audio = None
    if work.grid is not None:
        video = torch.zeros(work.clips, config.video_channels, *work.grid, device=device)
    if work.audio_tokens is not None:
        audio = torch.zeros(work.clips, work.audio_tokens, config.audio_channels, device=device)
    return AV(video, audio)


def _sample(
    transformer: Any,
    work: Work,
    table: Table,
    noise: AV[Tensor],
    contexts: Mapping[str, NavaContext],
    together: bool,
) -> AV[Tensor]:
    return denoise(
        transformer,
        noise,
        contexts,
        work.rule,
        table,
        solver_for(work.solver, table.sigmas),
        patch_size=transformer.config.patch_size,
        together=together,
    )


def _pictures(live: LiveBytes, vae: Any, latents: Tensor, dtype: torch.dtype, how: Decoding, cpu: bool) -> int:
    """Peak of decoding. The ways that work frame by frame grow evenly, so that a few frames tell of all."""
    count = latents.shape[2]
    if how == "whole" or count <= _STREAMED:
        return _decoded(live, vae, latents, dtype, how, cpu)
    before, peak = (_decoded(live, vae, latents[:, :, :n], dtype, how, cpu) for n in (_STREAMED - 1, _STREAMED))
    return peak + max(0, peak - before) * (count - _STREAMED)


def _decoded(live: LiveBytes, vae: Any, latents: Tensor, dtype: torch.dtype, how: Decoding, cpu: bool) -> int:
    # Where pictures are made is where they stay on a CPU; from elsewhere they go away one after another.
    live.restart()
    kept = []
    for number in range(len(latents)):
        for levels in decode_levels(vae, latents[number, None].to(dtype), how):
            if cpu:
                kept.append(levels.contiguous())
    return live.restart()
