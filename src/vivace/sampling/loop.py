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

from vivace.pair import AV, Modality
from vivace.sampling.flow import add_noise
from vivace.sampling.guidance import Branch, GuidanceRule
from vivace.sampling.schedules import Table
from vivace.sampling.solvers import Solver

GivenPolicy = Literal["held", "overwritten", "noised"]
GIVEN_POLICIES: tuple[GivenPolicy, ...] = ("held", "overwritten", "noised")


class SamplingCancelledError(Exception):
    """A callback stopped the loop; latents half denoised are no clip, so nothing is returned."""


class Network(Protocol):
    """What predicts the velocity (NavaTransformer)."""

    def __call__(
        self, latents: AV[Tensor], timesteps: AV[Tensor], context: Any, exchange: bool = True
    ) -> AV[Tensor]: ...


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
    rule: GuidanceRule,
    table: Table,
    solver: Solver,
    *,
    given: AV[Given] | None = None,
    policy: GivenPolicy = "held",
    patch_size: Sequence[int] = (1, 2, 2),
    together: bool = True,
    on_step: Callable[[Step], AV[Tensor] | None] | None = None,
) -> AV[Tensor]:
    """Noise to latents.

    Args:
        noise: video [B, C, T, H, W] and audio [B, L, C], float32; an absent side is not generated.
        contexts: per branch name what `encode_context` gave for its text and voices.
        rule: which branches run and how they are mixed.
        table, solver: of the same noise levels; the solver is fresh.
        given: what is known of each side.
        patch_size: of the network's video tokens (t, h, w).
        together: evaluate branches that differ only in their context as one batch; otherwise one after another, which
            needs less memory and gives the same numbers up to rounding.
        on_step: called after each step; may return other latents to go on with, or raise `SamplingCancelledError`.

    Returns:
        Latents in float32, of the noise's shapes.
    """
    given = given or AV()
    # A side that is known to its end is shown, never stepped: it costs no guidance branch and comes back as it is.
    moving = frozenset(m for m, _ in noise.items() if not _is_whole(given.get(m)))
    latents = noise.map(lambda x: x.float())
    groups = _grouped(rule.needed(), contexts, together)
    for index in range(table.steps):
        latents = _with_given(latents, noise, given, policy, float(table.sigmas[index]))
        times = AV(*(_timesteps(m, latents, given, policy, float(table.timesteps[index]), patch_size) for m in _SIDES))
        predictions: dict[str, AV[Tensor]] = {}
        for group in groups:
            predictions.update(_evaluate(network, group, latents, times))
        velocity = _only(moving, rule.combine(predictions))
        stepped = solver.step(velocity, _only(moving, latents), index)
        latents = AV(*(stepped.get(m) if m in moving else latents.get(m) for m in _SIDES))
        if on_step is not None:
            # A caller sees what it would get: the known part in its final form.
            shown = latents if policy == "overwritten" else _with_given(latents, noise, given, "held", 0.0)
            replaced = on_step(Step(index, table.steps, float(table.timesteps[index]), shown))
            latents = latents if replaced is None else replaced
    if policy == "overwritten":
        given = AV(*(None if m in moving else given.get(m) for m in _SIDES))
    return _with_given(latents, noise, given, "held", 0.0)


def _is_whole(part: Given | None) -> bool:
    return part is not None and bool(part.known.all())


def _only(sides: frozenset[Modality], pair: AV[Tensor]) -> AV[Tensor]:
    return AV(*(pair.get(m) if m in sides else None for m in _SIDES))


_SIDES: tuple[Modality, Modality] = ("video", "audio")


class _Group(NamedTuple):
    """Branches that are evaluated as one batch."""

    names: tuple[str, ...]
    context: Any
    exchange: bool


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


def _evaluate(network: Network, group: _Group, latents: AV[Tensor], times: AV[Tensor]) -> dict[str, AV[Tensor]]:
    count = len(group.names)
    if count == 1:
        return {group.names[0]: network(latents, times, group.context, exchange=group.exchange)}

    def repeated(x: Tensor) -> Tensor:
        return x.repeat(count, *(1 for _ in x.shape[1:]))

    out = network(latents.map(repeated), times.map(repeated), group.context, exchange=group.exchange)
    parts = {modality: side.chunk(count) for modality, side in out.items()}
    return {
        name: AV(**{modality: chunks[k] for modality, chunks in parts.items()}) for k, name in enumerate(group.names)
    }


def _with_given(
    latents: AV[Tensor], noise: AV[Tensor], given: AV[Given], policy: GivenPolicy, sigma: float
) -> AV[Tensor]:
    def written(modality: Modality) -> Tensor | None:
        x, part, start = latents.get(modality), given.get(modality), noise.get(modality)
        if x is None or part is None or start is None:
            return x
        shown = part.clean.to(x)
        if policy == "noised":
            shown = add_noise(shown, start.to(x), torch.tensor(sigma, device=x.device))
        return torch.where(part.known.to(x.device), shown, x)

    return AV(written("video"), written("audio"))


def _timesteps(
    modality: Modality,
    latents: AV[Tensor],
    given: AV[Given],
    policy: GivenPolicy,
    timestep: float,
    patch_size: Sequence[int],
) -> Tensor | None:
    """[B] where nothing is known, else one per token with 0 at known tokens. [B, tokens]"""
    x, part = latents.get(modality), given.get(modality)
    if x is None:
        return None
    if part is None or policy == "noised":
        return torch.full((len(x),), timestep, device=x.device)
    if _is_whole(part):
        return torch.zeros(len(x), device=x.device)
    known = part.known.to(x.device).expand(x.shape)
    # A token is known where its whole patch is; known parts are made of whole patches, so one corner tells.
    tokens = known[:, 0, :: patch_size[0], :: patch_size[1], :: patch_size[2]] if modality == "video" else known[..., 0]
    return torch.where(tokens.flatten(1), 0.0, timestep)
