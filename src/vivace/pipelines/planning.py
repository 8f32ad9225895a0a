"""From a model's folder and a request to a memory plan, before any weight is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vivace.errors import VivaceError
from vivace.pipelines.alive import AlivePipeline
from vivace.pipelines.clip_pipeline import ClipPipeline
from vivace.pipelines.clip_plan import ClipPlan
from vivace.pipelines.footprint import Needs, Work, needs_of, weightless
from vivace.pipelines.footprint_extras import adapter_size, with_adapters
from vivace.pipelines.memory import (
    Choice,
    Peaks,
    Strategy,
    choose,
    gigabytes,
    least,
    limited,
    memory_here,
    weights_on_host,
)
from vivace.pipelines.nava import NavaPipeline
from vivace.pipelines.parts import Part, parts_in, shallow

# A model is computed with in float32 unless its transformer is larger than this, then in bfloat16 where there is a GPU:
# a rule of the model and the device, never of the memory, so that every plan makes the same clip.
LARGE = 10**9
_PATIENCE = 3  # halvings in search of the nearest possible request
_PIPELINES: dict[str, Any] = {kind.__name__: kind for kind in (NavaPipeline, AlivePipeline)}


def compute_dtype(parts: Mapping[str, Part], device: str) -> Any:
    import torch

    return torch.bfloat16 if device != "cpu" and parts["transformer"].values > LARGE else torch.float32


def skeleton(folder: Path, parts: Mapping[str, Part]) -> ClipPipeline:
    """A pipeline that checks requests like the real one and has no weights.

    Raises:
        VivaceError: a model for whose transformer there are no memory plans.
    """
    import torch

    from vivace.pipelines.folder import read_index

    index = read_index(folder)
    kind = _PIPELINES.get(index["_class_name"])
    if kind is None:
        raise VivaceError(
            f"Memory plans are made for {' and '.join(_PIPELINES)} and {str(folder)!r} is for {index['_class_name']}; "
            "leave --memory out, or take a machine with ten times the memory of its weights."
        )
    with weightless(False, torch.float32) as device, torch.device(device):
        modules = {name: shallow(name, part) for name, part in parts.items()}
    pipeline: ClipPipeline = kind(**modules, tokenizer=None, scheduler=None, capabilities=index.get("capabilities"))
    return pipeline


@dataclass(frozen=True)
class Forecast:
    """What a request would need here. choice: None where no plan fits; smallest: the plan that needs the least.

    weights: bytes of host memory that reading the parts takes, whatever is made with them.
    beside: what of it step cache, adapters and voices take, as `Needs` has it.
    """

    choice: Choice | None
    smallest: Choice
    limit: Peaks
    device: str
    weights: int
    beside: Mapping[str, int] = field(default_factory=dict)


def forecast(
    parts: Mapping[str, Part],
    plan: ClipPlan,
    stride: int,
    text: Mapping[str, int],
    memory: int | Strategy | None,
    adapters: Sequence[Path] = (),
) -> Forecast:
    """Which memory plan fits a checked request.

    Args:
        stride: of the video codec. text: tokens of the "positive" and the "negative" prompt.
        memory: most bytes of the GPU (of the host, without one), the only strategy to take, or None for no limit.
        adapters: LoRA files.

    Raises:
        VivaceError: an adapter's file that cannot be read.
    """
    device = device_here()
    dtype = compute_dtype(parts, device)
    size = memory if isinstance(memory, int) else None
    limit = limited(memory_here(device), device, size)
    sizes = tuple(adapter_size(path, parts["transformer"]) for path in adapters)
    work = replace(Work.of(plan, stride, text), adapters=sizes)
    parts = with_adapters(parts, sizes)
    needs: dict[str, Needs] = {device: needs_of(parts, work, cpu=device == "cpu", dtype=dtype)}
    strategy = memory if isinstance(memory, str) else None
    choice = choose(parts, needs, device, limit, dtype.itemsize, strategy)
    if choice is None and strategy is None and device != "cpu" and size is None:
        needs["cpu"] = needs_of(parts, work, cpu=True, dtype=dtype)
        choice = choose(parts, needs, device, limit, dtype.itemsize)
    smallest, weights = least(parts, needs, device, dtype.itemsize), weights_on_host(parts, dtype.itemsize)
    return Forecast(choice, smallest, limit, device, weights, needs[device].beside)


def device_here() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def refusal(found: Forecast, plan: ClipPlan, shorter: Callable[[float], Forecast | None]) -> VivaceError:
    """The sentence for a request that no plan fits, with the longest clip of this size that one does.

    Args:
        shorter: the forecast for another length in seconds, or None for a length that the model cannot make.
    """
    kind = "memory" if found.device == "cpu" else "GPU memory"
    peaks = found.smallest.peaks
    needed, there = (peaks.host, found.limit.host) if found.device == "cpu" else (peaks.device, found.limit.device)
    if needed <= there:
        kind, needed, there = "host memory", peaks.host, found.limit.host
    too_heavy = found.weights > found.limit.host  # for any clip, so that none is searched for
    possible, impossible = 0.0, float(plan.timeline.seconds)
    for _ in range(0 if too_heavy else _PATIENCE):
        tried = round((possible + impossible) / 2, 1)
        result = shorter(tried) if 0 < tried < impossible else None
        if result is not None and result.choice is not None:
            possible = tried
        else:
            impossible = tried
    remedy = f"up to {possible:g} s are possible at this size" if possible else "use a smaller model or size"
    if too_heavy:
        remedy = f"{gigabytes(found.weights)} of it are for the weights: use a smaller model or another machine"
    return VivaceError(
        f"This clip needs at least {gigabytes(needed)} of {kind} and {gigabytes(there)} may be used; {remedy}."
    )


def parts_and_skeleton(folder: Path) -> tuple[dict[str, Part], ClipPipeline]:
    """What a folder's configurations say, and the pipeline that checks requests by it."""
    parts = parts_in(folder)
    return parts, skeleton(folder, parts)


def text_tokens(plan: ClipPlan, tokenizer: Any, most: int) -> dict[str, int]:
    """Tokens of the longest prompt and of the negative one; the most there can be without a tokenizer."""
    from vivace.conditioning.text import tokenize

    if tokenizer is None:
        return {"positive": most, "negative": most if plan.negative else 0}
    longest = max(len(tokenize(tokenizer, prompt, most)) for prompt in plan.prompts)
    negative = len(tokenize(tokenizer, plan.negative, most, "The negative prompt")) if plan.negative else 0
    return {"positive": longest, "negative": negative}
