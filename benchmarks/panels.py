"""Small multiples as a picture: many little charts with intervals, on a page that needs no browser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vivace.evaluation.report.charts import Point, Scale, spanning

WIDTH, HEIGHT = 300, 210  # of a panel, pixels
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 28, 26
HEAD, FOOT = 44, 26
FINER = 2  # drawn so many times larger, then reduced, which smooths the lines
INK, SOFT, GRID, PAPER = (32, 33, 36), (110, 113, 118), (228, 230, 233), (255, 255, 255)
# Told apart by colour-blind readers too (Okabe and Ito).
COLOURS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167))


@dataclass(frozen=True)
class Panel:
    """One little chart.

    Args:
        title: what is drawn upwards. lines: by name, each with its points in order.
        reference: a value that is drawn as a dashed line, such as that of true clips.
        marks: places across at which something changes.
    """

    title: str
    lines: Mapping[str, Sequence[Point]]
    reference: float | None = None
    marks: Sequence[float] = field(default=())


def draw_panels(heading: str, rows: Sequence[Sequence[Panel | None]], foot: str = "") -> np.ndarray:
    """The panels in their rows, uint8 [H, W, 3]. None leaves a place empty."""
    columns = max(len(row) for row in rows)
    size = (columns * WIDTH * FINER, (HEAD + len(rows) * HEIGHT + FOOT) * FINER)
    page = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(page, "RGBA")
    draw.text((12 * FINER, 12 * FINER), heading, INK, _font(16))
    for number, row in enumerate(rows):
        for place, panel in enumerate(row):
            if panel is not None:
                _draw_panel(draw, panel, place * WIDTH, HEAD + number * HEIGHT)
    draw.text((12 * FINER, (HEAD + len(rows) * HEIGHT + 4) * FINER), foot, SOFT, _font(11))
    return np.asarray(page.resize((size[0] // FINER, size[1] // FINER), Image.Resampling.LANCZOS)).copy()


def _draw_panel(draw: ImageDraw.ImageDraw, panel: Panel, left: int, top: int) -> None:
    points = [point for line in panel.lines.values() for point in line]
    ends = [end for point in points for end in _ends(point)] + ([] if panel.reference is None else [panel.reference])
    across = spanning(
        [point.at for point in points] + list(panel.marks),
        (left + LEFT) * FINER,
        (left + WIDTH - RIGHT) * FINER,
        zero=False,
    )
    up = spanning(ends, (top + HEIGHT - BOTTOM) * FINER, (top + TOP) * FINER, zero=False)
    draw.text(((left + 12) * FINER, (top + 6) * FINER), panel.title, INK, _font(12))
    for tick in up.ticks:
        draw.line((across.left, up(tick), across.right, up(tick)), GRID, FINER)
        draw.text((across.left - 6 * FINER, up(tick)), f"{tick:g}", SOFT, _font(10), anchor="rm")
    for tick in across.ticks:
        draw.text((across(tick), up.left + 4 * FINER), f"{tick:g}", SOFT, _font(10), anchor="ma")
    for mark in panel.marks:
        draw.line((across(mark), up.left, across(mark), up.right), GRID, 2 * FINER)
    if panel.reference is not None:
        _dashed(draw, across, up(panel.reference))
    named = len(panel.lines) > 1
    for number, (name, line) in enumerate(panel.lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        _draw_line(draw, line, across, up, colour)
        if named:
            draw.text(
                (across.right - 2 * FINER, (top + TOP + 12 * number) * FINER), name, colour, _font(10), anchor="ra"
            )


def _draw_line(
    draw: ImageDraw.ImageDraw, line: Sequence[Point], across: Scale, up: Scale, colour: tuple[int, int, int]
) -> None:
    banded = [point for point in line if point.estimate.low is not None and point.estimate.high is not None]
    if len(banded) > 1:
        upper = [(across(point.at), up(_ends(point)[2])) for point in banded]
        lower = [(across(point.at), up(_ends(point)[1])) for point in reversed(banded)]
        draw.polygon(upper + lower, (*colour, 45))
    places = [(across(point.at), up(point.estimate.value)) for point in line]
    if len(places) > 1:
        draw.line(places, colour, 2 * FINER)
    for point, (x, y) in zip(line, places, strict=True):
        if len(banded) == 1 and point in banded:
            draw.line((x, up(_ends(point)[1]), x, up(_ends(point)[2])), colour, FINER)
        draw.ellipse((x - 3 * FINER, y - 3 * FINER, x + 3 * FINER, y + 3 * FINER), colour)


def _dashed(draw: ImageDraw.ImageDraw, across: Scale, y: float) -> None:
    step = 8 * FINER
    for start in range(round(across.left), round(across.right), step):
        draw.line((start, y, min(start + step // 2, across.right), y), SOFT, FINER)


def _ends(point: Point) -> list[float]:
    """Value, and the ends of the interval where it has one."""
    estimate = point.estimate
    return [end for end in (estimate.value, estimate.low, estimate.high) if end is not None]


def _font(size: int) -> Any:
    return ImageFont.load_default(size * FINER)
