"""How much memory a clip's stages need beside the weights.

Ours: instead of formulas for every layer, which would go wrong with the next change of the code, the very code runs on
tensors without contents and its live bytes are counted. Of each kind of block one is enough; what grows with their
number (the context's keys and values) is multiplied.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from vivace.conditioning.prompts import speech_spans
from vivace.conditioning.voices import Recording
from vivace.models.codecs import decode_audio, encode_video
from vivace.models.mel import mel_filters
from vivace.models.places import audio_places, video_places
from vivace.models.rotary import audio_rotation, video_rotation
from vivace.pair import AV
from vivace.pipelines.decoding import Decoding, decode_levels
from vivace.pipelines.footprint_contexts import context_of, length_of, tensors_by_kind
from vivace.pipelines.footprint_extras import AdapterSize, cache_bytes, inject
from vivace.pipelines.footprint_repeats import run_once
from vivace.pipelines.live_bytes import FlashAttention, LiveBytes
from vivace.pipelines.parts import Part, depth, shallow
from vivace.sampling.guidance import Branch, Guidance
from vivace.sampling.guidance_shaping import Shaping
from vivace.sampling.loop import denoise
from vivace.sampling.schedules import Table
from vivace.sampling.solvers import SolverName, solver_for, table_for

# Solvers of second order hold their history from the third step on.
_STEPS = 3
# Of a causal codec the first two latent frames are unlike all others.
_STREAMED = 4
# Called with how many of how many stages are done.
Told = Callable[[int, int], None]
_STAGES = 8  # text, context, sampling in two ways, decoding in three, sound


@dataclass(frozen=True)
class Work:
    """What is to be made.

    Args:
        grid: latent frames, rows and columns, or None without pictures.
        audio_tokens: or None without sound.
        rule: which branches run. text: tokens of the "positive" and the "negative" prompt.
        clips: made at a time.
        shaping: of guidance. spoken: whether some of the prompt is said. references: pictures shown of each clip.
        cache: threshold of the step cache. adapters: on the transformer.
        speakers: voices of each clip, in most; heard: seconds of the longest recording of one.
    """

    grid: tuple[int, int, int] | None
    audio_tokens: int | None
    rule: Guidance
    text: Mapping[str, int]
    solver: SolverName = "unipc"
    clips: int = 1
    shaping: Shaping | None = None
    spoken: bool = False
    references: int = 0
    cache: float = 0.0
    adapters: tuple[AdapterSize, ...] = ()
    speakers: int = 0
    heard: float = 0.0

    @classmethod
    def of(cls, plan: Any, stride: int, text: Mapping[str, int]) -> Work:
        """Of a pipeline's checked `Plan`; `stride` is the video codec's."""
        grid = (plan.timeline.latent_frames, plan.height // stride, plan.width // stride) if plan.video else None
        tokens = plan.timeline.audio_tokens if plan.audio else None
        spoken = any(speech_spans(prompt) for prompt in plan.prompts)
        references = max(map(len, getattr(plan, "references", None) or [[]]))
        clips, solver = len(plan.prompts), plan.preset.solver
        voices = getattr(plan, "voices", None) or [[]]
        return cls(
            grid,
            tokens,
            plan.rule,
            text,
            solver,
            clips,
            plan.shaping,
            spoken,
            references,
            cache=plan.preset.cache,
            speakers=max(sum(voice is not None for voice in row) for row in voices),
            heard=max((voice.seconds for row in voices for voice in row if isinstance(voice, Recording)), default=0.0),
        )

    def branches(self) -> tuple[Branch, ...]:
        """Those that some step evaluates."""
        return self.rule.needed(plain=self.shaping is not None)


@dataclass(frozen=True)
class Needs:
    """Peak bytes beside the weights, stage by stage, with what earlier stages left.

    pictured: of making latents of reference pictures, where there are any, while the transformer waits for them.
    sampling: with branches as one batch (True) or one after another. pictures: by the way of decoding.
    beside: what of it the step cache keeps, adapters weigh and hearing voices takes, where there are any.
    """

    text: int
    context: int
    sampling: dict[bool, int]
    pictures: dict[Decoding, int]
    sound: int
    beside: Mapping[str, int] = field(default_factory=dict)
    pictured: int = 0


@contextlib.contextmanager
def weightless(cpu: bool, dtype: torch.dtype) -> Iterator[torch.device]:
    """New modules and tensors take no memory; gives the device to name. On a CPU the kernels chosen are the CPU's."""
    # These tables are kept from call to call: an empty one must not come to a real call, nor a real one go uncounted.
    caches = (video_rotation, audio_rotation, video_places, audio_places, mel_filters)
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


def needs_of(
    parts: Mapping[str, Part], work: Work, *, cpu: bool, dtype: torch.dtype, told: Told | None = None
) -> Needs:
    """The memory that this work needs with these parts, on a CPU or on a GPU.

    Args:
        dtype: that all parts compute in. told: of how far it is.
    """
    done = 0

    def tell() -> None:
        nonlocal done
        done += 1
        if told is not None:
            told(done, _STAGES)

    names = (
        "transformer",
        "vae",
        "audio_vae",
        "vocoder",
        "text_encoder",
        *(("speaker_encoder",) if work.heard else ()),
    )
    table = table_for(work.solver, _STEPS, 5.0)
    with weightless(cpu, dtype) as device:
        with torch.device(device):
            modules = {name: shallow(name, parts[name]).eval() for name in names if name in parts}
            inject(modules["transformer"], work.adapters)
        torch.set_default_dtype(torch.float32)
        with LiveBytes(modules.values(), None if cpu else ("meta",)) as live:
            features = {name: _features(modules["text_encoder"], count, device) for name, count in work.text.items()}
            run_once(modules["vae"], live)
            text = live.restart()
            tell()
            hearing = _hearing(modules.get("speaker_encoder"), work.heard, live, device)
            pictured = _pictured(modules["vae"], work, live, dtype, device)
            contexts, extra = _contexts(modules["transformer"], depth(parts["transformer"]), work, features)
            del features
            context = live.restart() + sum(extra.values())
            tell()
            noise = _noise(modules["transformer"].config, work, device)
            sampling = {}
            for together in (False, True):
                live.restart()
                latents = _sample(modules["transformer"], work, table, noise, contexts, together)
                copied = _copied(work, contexts, extra) if together else 0
                sampling[together] = live.restart() + sum(extra.values()) + copied
                tell()
            del contexts
            pictures: dict[Decoding, int] = {"whole": 0, "streamed": 0, "tiled": 0}
            for how in pictures:
                if latents.video is not None:
                    pictures[how] = _pictures(live, modules["vae"], latents.video, dtype, how, cpu)
                tell()
            if latents.audio is not None:
                decode_audio(modules["audio_vae"], modules["vocoder"], latents.audio[:1].to(dtype)).float()
            sound = live.restart()
            tell()
        kept = cache_bytes(modules["transformer"].config, work.grid, work.audio_tokens, dtype.itemsize)
    beside = {
        "step cache": kept * work.clips * len(work.branches()) if work.cache else 0,
        "adapters": sum(size.values for size in work.adapters) * dtype.itemsize,
        "voices": hearing,
    }
    named = {name: count for name, count in beside.items() if count}
    return Needs(max(text, hearing), context, sampling, pictures, sound, named, pictured)


def _hearing(encoder: Any, seconds: float, live: LiveBytes, device: torch.device) -> int:
    """Peak of making a speaker's vector of a recording, with what is alive already."""
    if encoder is None:
        return 0
    encoder(torch.zeros(1, round(seconds * encoder.sample_rate), device=device))
    return live.restart()


def _pictured(vae: Any, work: Work, live: LiveBytes, dtype: torch.dtype, device: torch.device) -> int:
    """Peak of encoding a reference, one after another, with what is alive already."""
    if not work.references or work.grid is None:
        return 0
    height, width = (side * int(vae.config.scale_factor_spatial) for side in work.grid[1:])
    encode_video(vae, torch.zeros(1, 3, 1, height, width, dtype=dtype, device=device))
    return live.restart()


def _features(encoder: Any, count: int, device: torch.device) -> Tensor:
    """[count, text_dim]; none of them for the null text."""
    if not count:
        return torch.zeros(0, encoder.config.d_model, device=device, dtype=encoder.dtype)
    ids = torch.zeros(1, count, dtype=torch.long, device=device)
    return encoder(input_ids=ids, attention_mask=None).last_hidden_state[0]


def _key(branch: Branch) -> str:
    """Branches of one key share their context."""
    return f"{branch.text} {branch.voices and branch.text == 'positive'} {branch.references}"


def _contexts(
    transformer: Any, blocks: Mapping[str, int], work: Work, features: Mapping[str, Tensor]
) -> tuple[dict[str, Any], dict[str, int]]:
    """Context of each branch, and per distinct context the bytes that its other blocks would add."""
    made: dict[str, Any] = {}
    for branch in work.branches():
        if _key(branch) not in made:
            words = [features[branch.text]] * work.clips
            made[_key(branch)] = context_of(
                transformer,
                words,
                spoken=work.spoken and branch.text == "positive",
                grid=work.grid,
                audio_tokens=work.audio_tokens,
                references=work.references if branch.references else 0,
                speakers=work.speakers if branch.voices and branch.text == "positive" else 0,
            )
    extra = {key: _other_blocks(context, blocks) for key, context in made.items()}
    return {branch.name: made[_key(branch)] for branch in work.branches()}, extra


def _other_blocks(context: Any, blocks: Mapping[str, int]) -> int:
    total = 0
    for kind, tensors in tensors_by_kind(context, [name for name, number in blocks.items() if number]).items():
        distinct = {id(t): t for t in tensors}
        total += (blocks[kind] - 1) * sum(t.numel() * t.element_size() for t in distinct.values())
    return total


def _copied(work: Work, contexts: Mapping[str, Any], extra: Mapping[str, int]) -> int:
    """Bytes that batches of several contexts add for the blocks that are not there."""
    total = 0
    for exchange in (True, False):
        group = [branch for branch in work.branches() if branch.exchange == exchange]
        if len(group) > 1:
            lengths = {branch.name: length_of(contexts[branch.name]) for branch in group}
            longest = max(lengths.values())
            total += sum(extra[_key(branch)] * longest // lengths[branch.name] for branch in group)
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
    contexts: Mapping[str, Any],
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
        cache=work.cache,
        shaping=work.shaping,
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
