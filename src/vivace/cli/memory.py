"""Which memory plan a request gets; heavy libraries are imported where a plan is really made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vivace.cli.options import Request
from vivace.errors import VivaceError

if TYPE_CHECKING:
    from vivace.pipelines.clip_plan import ClipPlan
    from vivace.pipelines.footprint import Told
    from vivace.pipelines.memory import Placement, Strategy
    from vivace.pipelines.parts import Part
    from vivace.pipelines.planning import Again, Forecast

# A model whose weights take less than this share of the free memory needs no plan.
SMALL = 0.1


def parse_memory(text: str) -> int | Strategy | None:
    """ "auto" -> None; otherwise `vivace.pipelines.memory.parse_memory`, which raises VivaceError for anything else."""
    if text.strip() == "auto":
        return None
    from vivace.pipelines.memory import parse_memory as parse

    return parse(text)


def placement_for(
    folder: Path, request: Request, given: dict[str, Any], memory: int | Strategy | None
) -> Placement | None:
    """The plan for a request, or None for a small model with nothing asked for.

    Raises:
        VivaceError: a request that is out of range, or that fits no plan.
    """
    from vivace.pipelines.parts import parts_in

    parts = parts_in(folder)
    if memory is None and _is_small(parts):
        return None
    from vivace.pipelines.planning import check_weights, refusal

    check_weights(parts, memory)
    found, plan, again = foresee(folder, parts, request, given, memory)
    if found.choice is None:
        raise refusal(found, plan, again)
    return found.choice.placement


def foresee(
    folder: Path,
    parts: dict[str, Part],
    request: Request,
    given: dict[str, Any],
    memory: int | Strategy | None,
    told: Told | None = None,
) -> tuple[Forecast, ClipPlan, Again]:
    """The forecast of a request, its checked plan, and the function that forecasts others near it.

    Args:
        told: of how far a forecast is.

    Raises:
        VivaceError: a request that is out of range, or a plan that this machine cannot follow.
    """
    from vivace.pipelines.planning import forecast, skeleton, text_tokens

    pipeline = skeleton(folder, parts)
    stride, most = int(pipeline.vae.config.scale_factor_spatial), int(pipeline.transformer.config.text_len)

    adapters = [lora.check() for lora in request.loras]

    def ahead(asked: Request) -> tuple[Forecast, ClipPlan]:
        plan = pipeline.plan(**asked.plan_arguments(), **given)
        return forecast(parts, plan, stride, text_tokens(plan, None, most), memory, adapters, told), plan

    found, checked = ahead(request)

    def again(seconds: float | None, share: float) -> tuple[Forecast, ClipPlan] | None:
        sides = (checked.width, checked.height)
        width, height = (int(side * share) // pipeline.size_multiple * pipeline.size_multiple for side in sides)
        try:
            return ahead(
                replace(
                    request,
                    seconds=request.seconds if seconds is None else seconds,
                    size=request.size if share == 1 else (width, height),
                )
            )
        except VivaceError:
            return None

    return found, checked, again


def _is_small(parts: dict[str, Part]) -> bool:
    from vivace.pipelines.memory import memory_here
    from vivace.pipelines.planning import device_here

    here, values = memory_here(device_here()), sum(part.values for part in parts.values())
    return values * 4 < SMALL * (here.device or here.host)
