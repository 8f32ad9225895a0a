"""What a rater's page is told: texts, questions, clips under random names; never a system, nor what is a control."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from vivace.evaluation.study.design import Design, Pair
from vivace.evaluation.study.store import Session


def told_to_page(
    design: Design, session: Session, pairs: Mapping[str, Pair], done: Collection[str] = ()
) -> dict[str, Any]:
    """The page's study: `title`, `rater`, `axes`, and `tasks` in their order.

    Args:
        pairs: by id. done: ids of those that were judged.
    """
    tasks = []
    for task in session.tasks:
        pair = pairs[task.pair]
        sides = (pair.first_clip, pair.second_clip)
        left, right = sides if task.left == "first" else sides[::-1]
        tasks.append(
            {
                "pair": pair.id,
                "prompt": pair.prompt,
                "left": f"clips/{left}",
                "right": f"clips/{right}",
                "axes": [axis.name for axis in design.asked(pair)],
                "done": pair.id in done,
            }
        )
    axes = [{"name": axis.name, "question": axis.question} for axis in design.axes]
    return {"title": design.title, "rater": session.rater, "axes": axes, "tasks": tasks}
