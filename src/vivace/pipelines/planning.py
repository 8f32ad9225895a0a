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
from vivace.pipelines.footprint import Needs, Told, Work, needs_of, weightless
from vivace.pipelines.footprint_extras import adapter_size, with_adapters
from vivace.pipelines.memory import (
    LIBRARIES,
    Choice,
    Peaks,
    Strategy,
    check_strategy,
    choose,
    enough,
    gigabytes,
    least,
    limited,
    memory_here,
    parse_bytes,
    weight_bytes,
)
from vivace.pipelines.nava import NavaPipeline
from vivace.pipelines.parts import Part, parts_in, shallow

# A model is computed with in float32 unless its transformer is larger than this, then in bfloat16 where there is a GPU:
# a rule of the model and the device, never of the memory, so that every plan makes the same clip.
LARGE = 10**9
_PATIENCE = 3  # halvings in search of the nearest possible request
_SHARES = (0.75, 0.5, 0.25)  # of its width and height, where no length is possible
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

    limit: what may be used; here: what is free on this machine, whatever the user's limit.
    weights: bytes of all weights, which are in host memory first, whatever is made with them.
    beside: what of it step cache, adapters and voices take, as `Needs` has it.
    """

    choice: Choice | None
    smallest: Choice
    limit: Peaks
    here: Peaks
    device: str
    weights: int
    beside: Mapping[str, int] = field(default_factory=dict)


# The forecast of the same request in other seconds (None: the same) and at another share of its width and height, with
# what it is checked as; None for a request that the model cannot make.
Again = Callable[[float | None, float], tuple[Forecast, ClipPlan] | None]


def check_weights(parts: Mapping[str, Part], memory: int | Strategy | None) -> None:
    """Before anything is forecast, which takes a while for a large model.

    Raises:
        VivaceError: weights that are larger than the memory of this machine, whatever is made with them.
    """
    device = device_here()
    check_strategy(memory, device)
    here = memory_here(device)
    limit = limited(here, device, memory if isinstance(memory, int) else None)
    weights = weight_bytes(parts, compute_dtype(parts, device).itemsize)
    if weights + LIBRARIES > here.host:
        raise VivaceError(
            f"This model needs {gigabytes(weights)} of host memory for its weights and {gigabytes(LIBRARIES)} for "
            f"libraries, and {gigabytes(limit.host)} may be used; use a smaller model or another machine."
        )


def forecast(
    parts: Mapping[str, Part],
    plan: ClipPlan,
    stride: int,
    text: Mapping[str, int],
    memory: int | Strategy | None,
    adapters: Sequence[Path] = (),
    told: Told | None = None,
) -> Forecast:
    """Which memory plan fits a checked request.

    Args:
        stride: of the video codec. text: tokens of the "positive" and the "negative" prompt.
        memory: most bytes of the GPU (of the host, without one), the only strategy to take, or None for no limit.
        adapters: LoRA files. told: of how far it is.

    Raises:
        VivaceError: an adapter's file that cannot be read, or a plan that needs a GPU where there is none.
    """
    device = device_here()
    check_strategy(memory, device)
    dtype = compute_dtype(parts, device)
    size = memory if isinstance(memory, int) else None
    here = memory_here(device)
    limit = limited(here, device, size)
    sizes = tuple(adapter_size(path, parts["transformer"]) for path in adapters)
    work = replace(Work.of(plan, stride, text), adapters=sizes)
    parts = with_adapters(parts, sizes)
    needs: dict[str, Needs] = {device: needs_of(parts, work, cpu=device == "cpu", dtype=dtype, told=told)}
    strategy = memory if isinstance(memory, str) else None
    choice = choose(parts, needs, device, limit, dtype.itemsize, strategy)
    if choice is None and strategy is None and device != "cpu" and size is None:
        needs["cpu"] = needs_of(parts, work, cpu=True, dtype=dtype, told=told)
        choice = choose(parts, needs, device, limit, dtype.itemsize)
    smallest, weights = least(parts, needs, device, dtype.itemsize), weight_bytes(parts, dtype.itemsize)
    return Forecast(choice, smallest, limit, here, device, weights, needs[device].beside)


def device_here() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def refusal(found: Forecast, plan: ClipPlan, again: Again) -> VivaceError:
    """The sentence for a request that no plan fits, with the nearest ones that some plan does fit."""
    peaks, limit, here = found.smallest.peaks, found.limit, found.here
    if peaks.fits(limit):  # one plan was asked for, and another one fits
        return VivaceError(
            f"This clip does not fit by the plan that was asked for; use --memory auto, which has others "
            f"(the smallest takes {gigabytes(peaks.device)} of GPU memory)."
        )
    kind, needed, there, free = "GPU memory", peaks.device, limit.device, here.device
    if found.device == "cpu" or needed <= there:
        kind = "memory" if found.device == "cpu" else "host memory"
        kind += f" (with {gigabytes(found.weights)} of weights and {gigabytes(LIBRARIES)} of libraries)"
        needed, there, free = peaks.host, limit.host, here.host
    raised = enough(needed)
    remedies = []
    if there != free and parse_bytes(raised) <= free:  # whoever set the limit can raise it
        remedies = [f"give --memory {raised}"]
    too_heavy = found.weights + LIBRARIES > limit.host  # for any clip, so that none is searched for
    remedies += ["use a smaller model"] if too_heavy else _nearest(plan, again)
    if too_heavy and len(remedies) == 1:
        remedies = [f"{gigabytes(free)} are free here, so use a smaller model or another machine"]
    remedy = " or ".join(remedies) or "use a smaller model or size"
    return VivaceError(
        f"This clip needs at least {gigabytes(needed)} of {kind} and {gigabytes(there)} may be used; {remedy}."
    )


def _nearest(plan: ClipPlan, again: Again) -> list[str]:
    """The longest clip of this size that fits, or else the largest size of this length."""
    possible, impossible = 0.0, float(plan.timeline.seconds)
    for _ in range(_PATIENCE):
        tried = round((possible + impossible) / 2, 1)
        result = again(tried, 1.0) if 0 < tried < impossible else None
        if result is not None and result[0].choice is not None:
            possible = tried
        else:
            impossible = tried
    if possible:
        return [f"ask for up to {possible:g} s at this size"]
    for share in _SHARES if plan.video else ():
        result = again(None, share)
        if result is not None and result[0].choice is not None:
            return [f"ask for --size {result[1].width}x{result[1].height}"]
    return []


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
    negative = len(tokenize(tokenizer, plan.negative, most, plan.negative_called)) if plan.negative else 0
    return {"positive": longest, "negative": negative}
