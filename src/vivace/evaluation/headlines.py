"""Which of a group's many figures are shown first, where not all of them are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEADLINES = (
    "av_event_f1_50ms",
    "av_event_f1_75ms",
    "av_offset_median",
    "av_offset_median_abs",
    "av_offset_mean_abs",
    "av_offset_in_window",
    "sound_kind",
    "material_seen",
    "colour",
    "count_heard",
    "count_seen",
    "one_object",
    "pan_agreement",
)
# Figures that another task adds to them.
TASK_HEADLINES = ("first_frame_psnr", "second_frame_psnr")


def headlines(group: str, conditions: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The metrics that are shown of a group: of impacts and instruments the headlines and what published networks
    measured, of other groups all that have a value.

    Args:
        conditions: condition -> metric -> its entry in summary.json. The first one's metrics are taken.
    """
    from vivace.evaluation.groups import GROUPS
    from vivace.perception.published.weights import PUBLISHED

    first = next(iter(conditions.values()), {})
    valued = [
        name
        for name in first
        if any(scores[name]["value"] is not None for scores in conditions.values() if name in scores)
    ]
    if group in GROUPS:
        return valued
    published = {name for weights in PUBLISHED.values() for name in weights.metrics}
    return [name for name in (*HEADLINES, *TASK_HEADLINES) if name in first] + [n for n in valued if n in published]
