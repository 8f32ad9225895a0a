"""The denoising loop over the pair: branches, guidance, solver step, parts that are given.

A task is the state of each modality, not a mode: latents that are absent are None, and what is known of the others is
`Given`. How a known part is shown to the network is a policy:

- "held": clean, at timestep 0, and clean in the result (models trained with separate timesteps: ours).
- "overwritten": clean, at timestep 0, written before every evaluation but not after the last step (the published
  program: its first frame ends with one step's error).
- "noised": noised to the current level, at the current timestep, clean in the result (weights that never saw two
  timesteps in one clip).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from vivace.models.reuse import BlockMemory
from vivace.pair import AV, Modality
from vivace.sampling.flow import add_noise
from vivace.sampling.guidance import Branch, Guidance, Moment
from vivace.sampling.guidance_shaping import Shaping
from vivace.sampling.schedules import Table
from vivace.sampling.solvers import Solver

GivenPolicy = Literal["held", "overwritten", "noised"]
GIVEN_POLICIES: tuple[GivenPolicy, ...] = ("held", "overwritten", "noised")


class SamplingCancelledError(Exception):
    """A callback stopped the loop; latents half denoised are no clip, so nothing is returned."""


class Network(Protocol):
    """What predicts the velocity (NavaTransformer). `memory` is passed only where blocks may be left out."""

    def __call__(
        self,
        latents: AV[Tensor],
        timesteps: AV[Tensor],
        context: Any,
        exchange: bool = True,
        memory: BlockMemory | None = None,
    ) -> AV[Tensor]: ...


class Devices(Protocol):
    """Several devices that make one clip, each running this loop (`vivace.pipelines.parallel`)."""

    def own(self, branches: Sequence[Branch]) -> tuple[Branch, ...]:
        """Those of a rule's branches that this device evaluates."""

    def gathered(
        self, predictions: Mapping[str, AV[Tensor]], branches: Sequence[Branch], like: AV[Tensor]
    ) -> dict[str, AV[Tensor]]:
        """The predictions of all branches, each of the shape and dtype of `like`, from those of this device's own."""

    def agreed(self, value: float) -> float:
        """One of the devices' values, the same on all that share a sequence."""


@dataclass(frozen=True)
class Given:
    """The known part of one modality.

    clean: latents of the full shape; only the known places are read.
    known: bool, broadcastable to the latents.
    """

    clean: Tensor
    known: Tensor


@dataclass(frozen=True)
class Step:
    """What a callback sees after each step: index from 0, how many there are, the timestep, the latents now."""

    index: int
    steps: int
    timestep: float
    latents: AV[Tensor]


@torch.no_grad()
def denoise(
    network: Network,
    noise: AV[Tensor],
    contexts: Mapping[str, Any],
    rule: Guidance,
    table: Table,
    solver: Solver,
    *,
    sound: Table | None = None,
    given: AV[Given] | None = None,
    policy: GivenPolicy = "held",
    patch_size: Sequence[int] = (1, 2, 2),
    together: bool = True,
    cache: float = 0.0,
    devices: Devices | None = None,
    shaping: Shaping | None = None,
    on_step: Callable[[Step], AV[Tensor] | None] | None = None,
) -> AV[Tensor]:
    """Noise to latents.

    Args:
        noise: video [B, C, T, H, W] and audio [B, L, C], float32; an absent side is not generated.
        contexts: per branch name what `encode_context` gave for its text and voices.
        rule: which branches run and how they are mixed, at every step alike or by a schedule.
        table, solver: of the same noise levels; the solver is fresh.
        sound: the noise levels of the sound where they are not the picture's (`sound_ahead`), as many; schedules of
            guidance go by `table`.
        given: what is known of each side.
        patch_size: of the network's video tokens (t, h, w).
        together: evaluate branches that differ only in their context as one batch; otherwise one after another, which
            needs less memory and gives the same numbers up to rounding.
        cache: leave the network's blocks out while their input has changed by less than this (`BlockMemory`), clip by
            clip, so that a clip does not depend on its neighbours; 0 never. First and last step are always evaluated.
        devices: those that share the work; `contexts` then needs this one's own branches only.
        shaping: limits how far guidance departs from the plain prediction.
        on_step: called after each step; may return other latents to go on with, or raise `SamplingCancelledError`.

    Returns:
        Latents in float32, of the noise's shapes.
    """
    given = given or AV()
    # A side that is known to its end is shown, never stepped: it costs no guidance branch and comes back as it is.
    moving = frozenset(m for m, _ in noise.items() if not _is_whole(given.get(m)))
    latents = noise.map(lambda x: x.float())
    clips = len(next(iter(noise.items()))[1])
    tables = (table, sound or table)
    known_groups: dict[tuple[Branch, ...], list[_Group]] = {}

    def groups_of(branches: tuple[Branch, ...]) -> list[_Group]:
        if branches not in known_groups:
            groups = _grouped(branches if devices is None else devices.own(branches), contexts, together)
            if cache > 0:
                groups = _by_clip(groups, clips, cache, None if devices is None else devices.agreed)
            known_groups[branches] = groups
        return known_groups[branches]

    for index in range(table.steps):
        sigmas = AV(*(float(side.sigmas[index]) for side in tables))
        active = rule.at(Moment(index, table.steps, float(table.sigmas[index])))
        branches = active.needed(plain=shaping is not None)
        latents = _with_given(latents, noise, given, policy, sigmas)
        now = AV(*(float(side.timesteps[index]) for side in tables))
        times = _times(latents, given, policy, now, patch_size, moving)
        predictions = _predictions(network, groups_of(branches), latents, times, last=index == table.steps - 1)
        if devices is not None:
            predictions = devices.gathered(predictions, branches, latents)
        velocity = active.combine(predictions)
        if shaping is not None:
            velocity = shaping.shaped(velocity, predictions[active.branches[0].name], latents, sigmas)
        velocity = _only(moving, velocity)
        stepped = solver.step(velocity, _only(moving, latents), index)
        latents = AV(*(stepped.get(m) if m in moving else latents.get(m) for m in _SIDES))
        if on_step is not None:
            # A caller sees what it would get: the known part in its final form.
            shown = latents if policy == "overwritten" else _with_given(latents, noise, given, "held", _CLEAN)
            replaced = on_step(Step(index, table.steps, float(table.timesteps[index]), shown))
            latents = latents if replaced is None else replaced
    if policy == "overwritten":
        given = AV(*(None if m in moving else given.get(m) for m in _SIDES))
    return _with_given(latents, noise, given, "held", _CLEAN)


def _is_whole(part: Given | None) -> bool:
    return part is not None and bool(part.known.all())


def _only(sides: frozenset[Modality], pair: AV[Tensor]) -> AV[Tensor]:
    return AV(*(pair.get(m) if m in sides else None for m in _SIDES))


_SIDES: tuple[Modality, Modality] = ("video", "audio")
_CLEAN = AV(0.0, 0.0)


class _Group(NamedTuple):
    """Branches that are evaluated as one batch, of all clips or of some."""

    names: tuple[str, ...]
    context: Any
    exchange: bool
    clips: slice = slice(None)
    memory: BlockMemory | None = None


def _grouped(branches: Sequence[Branch], contexts: Mapping[str, Any], together: bool) -> list[_Group]:
    if not together:
        return [_Group((b.name,), contexts[b.name], b.exchange) for b in branches]
    groups = []
    for exchange in (True, False):
        names = tuple(b.name for b in branches if b.exchange == exchange)
        if names:
            parts = [contexts[name] for name in names]
            groups.append(_Group(names, parts[0] if len(parts) == 1 else type(parts[0]).concat(parts), exchange))
    return groups


def _by_clip(
    groups: Sequence[_Group], clips: int, cache: float, agree: Callable[[float], float] | None
) -> list[_Group]:
    """The same evaluations with a memory for each clip."""
    split = []
    for group in groups:
        for clip in range(clips):
            rows = [branch * clips + clip for branch in range(len(group.names))]
            context = group.context if clips == 1 else group.context.select(rows)
            own = slice(clip, clip + 1)
            split.append(group._replace(context=context, clips=own, memory=BlockMemory(cache, agree)))
    return split


def _predictions(
    network: Network, groups: Sequence[_Group], latents: AV[Tensor], times: AV[Tensor], last: bool
) -> dict[str, AV[Tensor]]:
    parts: dict[str, list[AV[Tensor]]] = {}
    for group in groups:
        if group.memory is not None:
            group.memory.obliged = last
        for name, prediction in _evaluate(network, group, latents, times).items():
            parts.setdefault(name, []).append(prediction)
    return {name: _joined(clips) for name, clips in parts.items()}


def _joined(clips: Sequence[AV[Tensor]]) -> AV[Tensor]:
    return clips[0] if len(clips) == 1 else clips[0].map(lambda *parts: torch.cat(parts), *clips[1:])


def _evaluate(network: Network, group: _Group, latents: AV[Tensor], times: AV[Tensor]) -> dict[str, AV[Tensor]]:
    count = len(group.names)
    options: dict[str, Any] = {} if group.memory is None else {"memory": group.memory}

    def repeated(x: Tensor) -> Tensor:
        own = x[group.clips]
        return own if count == 1 else own.repeat(count, *(1 for _ in x.shape[1:]))

    video = times.video
    told = AV.of(repeated(video)) if video is not None and video is times.audio else times.map(repeated)
    out = network(latents.map(repeated), told, group.context, exchange=group.exchange, **options)
    parts = {modality: side.chunk(count) for modality, side in out.items()}
    return {
        name: AV(**{modality: chunks[k] for modality, chunks in parts.items()}) for k, name in enumerate(group.names)
    }


def _with_given(
    latents: AV[Tensor], noise: AV[Tensor], given: AV[Given], policy: GivenPolicy, sigmas: AV[float]
) -> AV[Tensor]:
    def written(modality: Modality) -> Tensor | None:
        x, part, start = latents.get(modality), given.get(modality), noise.get(modality)
        sigma = sigmas.get(modality)
        if x is None or part is None or start is None or sigma is None:
            return x
        shown = part.clean.to(x)
        if policy == "noised":
            shown = add_noise(shown, start.to(x), torch.tensor(sigma, device=x.device))
        return torch.where(part.known.to(x.device), shown, x)

    return AV(written("video"), written("audio"))


def _times(
    latents: AV[Tensor],
    given: AV[Given],
    policy: GivenPolicy,
    timesteps: AV[float],
    patch_size: Sequence[int],
    moving: frozenset[Modality],
) -> AV[Tensor]:
    """`_timesteps` of both sides: one tensor where nothing sets them apart, by which a network can tell."""
    video, audio = (_timesteps(m, latents, given, policy, timesteps, patch_size, m in moving) for m in _SIDES)
    if video is None or audio is None or len(moving) < 2:
        return AV(video, audio)
    one = timesteps.video == timesteps.audio and video.ndim == audio.ndim == 1
    return AV(video, video if one else audio)


def _timesteps(
    modality: Modality,
    latents: AV[Tensor],
    given: AV[Given],
    policy: GivenPolicy,
    timesteps: AV[float],
    patch_size: Sequence[int],
    moving: bool,
) -> Tensor | None:
    """[B] where nothing is known, else one per token with 0 at known tokens. [B, tokens]"""
    x, part, timestep = latents.get(modality), given.get(modality), timesteps.get(modality)
    if x is None or timestep is None:
        return None
    if part is None or policy == "noised":
        return torch.full((len(x),), timestep, device=x.device)
    if not moving:
        return torch.zeros(len(x), device=x.device)
    known = part.known.to(x.device).expand(x.shape)
    # A token is known where its whole patch is; known parts are made of whole patches, so one corner tells.
    tokens = known[:, 0, :: patch_size[0], :: patch_size[1], :: patch_size[2]] if modality == "video" else known[..., 0]
    return torch.where(tokens.flatten(1), 0.0, timestep)
