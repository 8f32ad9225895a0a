"""Which memory plan a request gets; heavy libraries are imported where a plan is really made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vivace.cli.options import Request
from vivace.errors import VivaceError

if TYPE_CHECKING:
    from vivace.pipelines.clip_plan import ClipPlan
    from vivace.pipelines.memory import Placement, Strategy
    from vivace.pipelines.parts import Part
    from vivace.pipelines.planning import Forecast

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
    found, plan, again = foresee(folder, parts, request, given, memory)
    if found.choice is None:
        from vivace.pipelines.planning import refusal

        raise refusal(found, plan, again)
    return found.choice.placement


def foresee(
    folder: Path, parts: dict[str, Part], request: Request, given: dict[str, Any], memory: int | Strategy | None
) -> tuple[Forecast, ClipPlan, Any]:
    """The forecast of a request, its checked plan, and a function that forecasts another length (None: impossible)."""
    from vivace.pipelines.planning import forecast, skeleton, text_tokens

    pipeline = skeleton(folder, parts)
    stride, most = int(pipeline.vae.config.scale_factor_spatial), int(pipeline.transformer.config.text_len)

    adapters = [lora.file.check("lora") for lora in request.loras]

    def ahead(asked: Request) -> tuple[Forecast, ClipPlan]:
        plan = pipeline.plan(**asked.plan_arguments(), **given)
        return forecast(parts, plan, stride, text_tokens(plan, None, most), memory, adapters), plan

    def again(seconds: float) -> Forecast | None:
        try:
            return ahead(replace(request, seconds=seconds))[0]
        except VivaceError:
            return None

    return *ahead(request), again


def _is_small(parts: dict[str, Part]) -> bool:
    from vivace.pipelines.memory import memory_here
    from vivace.pipelines.planning import device_here

    here, values = memory_here(device_here()), sum(part.values for part in parts.values())
    return values * 4 < SMALL * (here.device or here.host)
