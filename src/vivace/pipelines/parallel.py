"""One clip made by several devices, applied to a pipeline from outside.

Two axes, alone or together. *Context parallel* (Ulysses, arXiv 2309.14509): every device holds a share of the tokens
in all layers; in self-attention they exchange tokens for heads, so that each attends over whole sequences with some of
the heads. *Branch parallel*: every device evaluates some of the branches of guidance.

All devices run the same program with the same arguments. Noise is drawn on each from the seeds, bit for bit the same;
what all need (predictions, tokens after the last block) is gathered, so all end with the same latents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from vivace.errors import VivaceError
from vivace.models.attention import AttentionProcessor
from vivace.models.layers import Modulation
from vivace.models.nava import NavaTransformer
from vivace.models.nava_blocks import AttentionGroup, Block
from vivace.pair import AV, Modality
from vivace.sampling.guidance import Branch

if TYPE_CHECKING:
    from vivace.pipelines.nava import NavaPipeline

T = TypeVar("T")


def context_parallel(pipeline: NavaPipeline, group: dist.ProcessGroup) -> None:
    """Share each sequence among the processes of a group from now on; every one of them must call this.

    Raises:
        VivaceError: a number of processes that does not divide the model's heads, a pipeline that is parallel already,
            or compiled blocks.
    """
    _check_fresh(pipeline, "context")
    ContextParallel(pipeline.transformer, group)
    pipeline.devices = Devices(group, pipeline.devices.branches if pipeline.devices else None)


def branch_parallel(pipeline: NavaPipeline, group: dist.ProcessGroup) -> None:
    """Share the branches of guidance among the processes of a group from now on; every one of them must call this.

    Raises:
        VivaceError: a pipeline that is parallel already, or compiled blocks.
    """
    _check_fresh(pipeline, "branches")
    pipeline.devices = Devices(pipeline.devices.context if pipeline.devices else None, group)


def spread(pipeline: NavaPipeline, context: int, branches: int) -> None:
    """Both at once over all processes, of which there must be context * branches; those of a context are neighbours.

    Raises:
        VivaceError: another number of processes, or as `context_parallel`.
    """
    check_heads(pipeline.transformer.config.num_heads, context)
    rank, layout = dist.get_rank(), rows_and_columns(dist.get_world_size(), context, branches)
    # Every process takes part in making every group.
    made = [[(ranks, dist.new_group(ranks)) for ranks in groups] for groups in layout]
    mine = [next(group for ranks, group in groups if rank in ranks) for groups in made]
    if context > 1:
        context_parallel(pipeline, mine[0])
    if branches > 1:
        branch_parallel(pipeline, mine[1])


def rows_and_columns(world: int, context: int, branches: int) -> tuple[list[list[int]], list[list[int]]]:
    """The ranks that share each sequence, and those that share the branches of each of its parts.

    Raises:
        VivaceError: numbers that do not make up all processes.
    """
    if context < 1 or branches < 1 or context * branches != world:
        raise VivaceError(
            f"{context} x {branches} processes were asked for and {world} are running; make both the same number."
        )
    rows = [[branch * context + place for place in range(context)] for branch in range(branches)]
    return rows, [list(column) for column in zip(*rows, strict=True)]


def check_heads(heads: int, degree: int) -> None:
    """Raises VivaceError unless the attention heads can be dealt out evenly to `degree` devices."""
    if heads % degree:
        able = [str(n) for n in range(1, heads + 1) if heads % n == 0]
        raise VivaceError(
            f"{degree} devices cannot share the context of {heads} attention heads evenly; use {' or '.join(able)}."
        )


class Devices:
    """The groups of processes that this one belongs to (`vivace.sampling.loop.Devices`).

    Args:
        context: those with which it shares each sequence. branches: those with which it shares the branches.
    """

    def __init__(self, context: dist.ProcessGroup | None, branches: dist.ProcessGroup | None) -> None:
        self.context = context
        self.branches = branches

    def counts(self) -> dict[str, int]:
        """How many devices there are along each axis, as it stands in a clip's record."""
        return {"context": _size(self.context), "branches": _size(self.branches)}

    def own(self, branches: Sequence[Branch]) -> tuple[Branch, ...]:
        """Every n-th of the branches.

        Raises:
            VivaceError: fewer branches than devices.
        """
        if self.branches is None:
            return tuple(branches)
        count = self.branches.size()
        if len(branches) < count:
            raise VivaceError(
                f"{count} devices cannot share {len(branches)} guidance branches; use at most {len(branches)} for them."
            )
        return tuple(branches[self.branches.rank() :: count])

    def gathered(
        self, predictions: Mapping[str, AV[Tensor]], branches: Sequence[Branch], like: AV[Tensor]
    ) -> dict[str, AV[Tensor]]:
        """The predictions of all branches from those of `own`; the same on all devices."""
        if self.branches is None:
            return dict(predictions)
        group, count = self.branches, self.branches.size()
        complete: dict[str, AV[Tensor]] = {}
        for number, branch in enumerate(branches):
            found = predictions.get(branch.name)
            pair = like.map(torch.empty_like) if found is None else found.map(lambda x: x.contiguous())
            for _, side in pair.items():
                dist.broadcast(side, group=group, group_src=number % count)
            complete[branch.name] = pair
        return complete

    def agreed(self, value: float) -> float:
        """The value of the first of those that share a sequence: they must leave out the same blocks."""
        return value if self.context is None else same(value, self.context)


def same(value: T, group: dist.ProcessGroup | None = None) -> T:
    """The first process's value, on every process of a group (of all)."""
    box = [value]
    dist.broadcast_object_list(box, group=dist.group.WORLD if group is None else group, group_src=0)
    return box[0]


def _size(group: dist.ProcessGroup | None) -> int:
    return 1 if group is None else group.size()


def _check_fresh(pipeline: NavaPipeline, axis: str) -> None:
    if pipeline.devices is not None and getattr(pipeline.devices, axis) is not None:
        raise VivaceError("The pipeline is spread over devices already; load it anew to spread it otherwise.")
    if pipeline.compiled:
        raise VivaceError("Compiled blocks cannot be spread over devices; leave one of the two out.")


class ContextParallel:
    """Hooks that give each block this process's share of the tokens, and gather them after the last one.

    Video and audio are shared separately, each padded with tokens that no attention sees to a multiple of the number of
    processes, so that every one holds part of both and of their own layers' work. Embeddings and heads, which are
    small, see all tokens on every process.

    Raises:
        VivaceError: a number of processes that does not divide the heads.
    """

    def __init__(self, transformer: NavaTransformer, group: dist.ProcessGroup) -> None:
        check_heads(transformer.config.num_heads, group.size())
        self.group = group
        self._lengths: dict[Modality, int] = {}
        self._time: AV[Modulation] = AV()
        self._groups: list[AttentionGroup] = []
        blocks = transformer.blocks()
        for number, block in enumerate(blocks):
            attend: Any = block.attend
            attend.set_processor(Ulysses(attend.processor, group))
            block.register_forward_pre_hook(self._share if number == 0 else self._carry_on)
        blocks[-1].register_forward_hook(self._gather)

    def _share(self, block: Block, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """What the first block gets of the whole."""
        x, time, groups, context, bias = cast(
            "tuple[AV[Tensor], AV[Modulation], Sequence[AttentionGroup], Any, Tensor | None]", args
        )
        if torch.is_grad_enabled() and any(side.requires_grad for _, side in x.items()):
            raise RuntimeError("context parallelism here is for inference; use torch.no_grad()")
        self._lengths = {modality: side.shape[1] for modality, side in x.items()}
        self._time = time.map(self._own_time)
        self._groups = [self._own_group(g) for g in groups]
        return x.map(lambda side: self._own(side, 1).contiguous()), self._time, self._groups, context, bias

    def _carry_on(self, block: Block, args: tuple[Any, ...]) -> tuple[Any, ...]:
        x, _, _, context, bias = args
        return x, self._time, self._groups, context, bias

    def _gather(self, block: Block, args: tuple[Any, ...], out: AV[Tensor]) -> AV[Tensor]:
        """All tokens of each modality, without the padding."""

        def whole(side: Tensor, length: int) -> Tensor:
            parts = [torch.empty_like(side, memory_format=torch.contiguous_format) for _ in range(self.group.size())]
            dist.all_gather(parts, side.contiguous(), group=self.group)
            return torch.cat(parts, dim=1)[:, :length]

        return out.map(whole, AV(**self._lengths))

    def _padded(self, x: Tensor, dim: int, value: float = 0.0) -> Tensor:
        """With `value` after the end of an axis (counted from the front) up to a multiple of the processes."""
        missing = -x.shape[dim] % self.group.size()
        return F.pad(x, (0, 0) * (x.ndim - 1 - dim) + (0, missing), value=value) if missing else x

    def _own(self, x: Tensor, dim: int) -> Tensor:
        return self._padded(x, dim).chunk(self.group.size(), dim)[self.group.rank()]

    def _own_time(self, time: Modulation) -> Modulation:
        return time if time.index is None else Modulation(time.values, self._own(time.index, 1))

    def _own_group(self, group: AttentionGroup) -> AttentionGroup:
        """The rotation of this process's tokens, and the bias of all keys in the order in which attention gets them:
        the first process's video and audio, then the second's."""
        lengths = [self._lengths[modality] for modality in group.modalities]
        place = group.rotation.ndim - 3
        turns = [self._own(part, place) for part in group.rotation.split(lengths, place)]
        bias = None
        if group.bias is not None or any(length % self.group.size() for length in lengths):
            shown = group.rotation.new_zeros(1, sum(lengths)) if group.bias is None else group.bias
            sides = [self._padded(part, 1, -torch.inf).chunk(self.group.size(), 1) for part in shown.split(lengths, 1)]
            bias = torch.cat([part for shares in zip(*sides, strict=True) for part in shares], dim=1)
        return AttentionGroup(group.modalities, torch.cat(turns, place), bias)


class Ulysses(AttentionProcessor):
    """Attention over tokens of which each process of a group holds as many as every other."""

    def __init__(self, before: AttentionProcessor, group: dist.ProcessGroup) -> None:
        self._attention_backend = before._attention_backend
        self.group = group

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
        """[batch, own tokens, heads, head_dim] to the same; bias [batch or 1, tokens of all in the group's order]."""
        query, key, value = self._tokens_for_heads(torch.stack((query, key, value)))
        return self._heads_for_tokens(super().__call__(query, key, value, bias))

    def _tokens_for_heads(self, x: Tensor) -> Tensor:
        """[3, batch, own tokens, all heads, head_dim] to [3, batch, all tokens, own heads, head_dim]."""
        to_each = x.unflatten(3, (self.group.size(), -1)).movedim(3, 0).contiguous()
        from_each = torch.empty_like(to_each)
        dist.all_to_all_single(from_each, to_each, group=self.group)
        return from_each.movedim(0, 2).flatten(2, 3)

    def _heads_for_tokens(self, x: Tensor) -> Tensor:
        """[batch, all tokens, own heads, head_dim] to [batch, own tokens, all heads, head_dim]."""
        to_each = x.unflatten(1, (self.group.size(), -1)).movedim(1, 0).contiguous()
        from_each = torch.empty_like(to_each)
        dist.all_to_all_single(from_each, to_each, group=self.group)
        return from_each.movedim(0, 2).flatten(2, 3)
