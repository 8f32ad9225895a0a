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
# Of the many figures of a clip itself, in every group.
CLIP_HEADLINES = (
    "env_sync_c",
    "env_sync_offset_abs",
    "av_align_own_code",
    "sound_loudness",
    "sound_clipped",
    "picture_frozen",
    "swap_auc",
    "signal_kernel_sound",
    "signal_kernel_pictures",
)
_OF_SETS = {"swap_auc", "swap_d_prime"} | {
    f"signal_{kind}_{side}" for kind in ("frechet", "kernel") for side in ("sound", "pictures")
}


def headlines(group: str, conditions: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The metrics that are shown of a group: of impacts and instruments the headlines and what published networks
    measured, of other groups all that have a value, and of each a few figures of the clips themselves.

    Args:
        conditions: condition -> metric -> its entry in summary.json. The first one's metrics are taken.
    """
    from vivace.evaluation.clip_figures import every_figure
    from vivace.evaluation.groups import GROUPS
    from vivace.perception.published.weights import PUBLISHED

    first = next(iter(conditions.values()), {})
    valued = [
        name
        for name in first
        if any(scores[name]["value"] is not None for scores in conditions.values() if name in scores)
    ]
    of_clips = {metric.name for metric in every_figure()} | _OF_SETS
    few = [name for name in CLIP_HEADLINES if name in valued]
    if group in GROUPS:
        return [name for name in valued if name not in of_clips] + few
    published = {name for weights in PUBLISHED.values() for name in weights.metrics}
    return (
        [name for name in (*HEADLINES, *TASK_HEADLINES) if name in first] + few + [n for n in valued if n in published]
    )
