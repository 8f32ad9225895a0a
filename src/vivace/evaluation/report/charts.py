"""Figures as inline SVG; their colours come from the page's style, so they follow light and dark."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH = 980
_LABEL, _TEXT = 215, 255  # room for names on the left and numbers on the right
_LANE, _ROW_GAP = 17, 9


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval (None where there is none) and how many it was made of.

    Args:
        said: n in words, where the number alone does not tell it.
    """

    value: float
    low: float | None
    high: float | None
    n: int
    said: str = ""

    def text(self, places: int = 3) -> str:
        shown = f"{self.value:.{places}f}"
        if self.low is not None and self.high is not None:
            shown += f" [{self.low:.{places}f}, {self.high:.{places}f}]"
        return f"{shown} · n {self.said or self.n}"


@dataclass(frozen=True)
class Scale:
    """From values to places on the page."""

    low: float
    high: float
    left: float
    right: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.left + min(max(share, 0.0), 1.0) * (self.right - self.left)

    @property
    def ticks(self) -> list[float]:
        return [tick for tick in _round_steps(self.low, self.high) if self.low - 1e-9 <= tick <= self.high + 1e-9]


def spanning(values: Iterable[float], left: float, right: float, *, zero: bool = True) -> Scale:
    """A scale that holds all values (and 0), with round ends."""
    found = [value for value in values if math.isfinite(value)] + ([0.0] if zero else [])
    low, high = min(found, default=0.0), max(found, default=1.0)
    if high - low < 1e-9:
        low, high = low - (0.0 if zero and low >= 0 else 0.5), high + 1.0
    steps = _round_steps(low, high)
    return Scale(min(steps[0], low), max(steps[-1], high), left, right)


def interval_bars(
    rows: Sequence[tuple[str, Mapping[str, Estimate]]], colours: Mapping[str, str], *, places: int = 3
) -> str:
    """A bar with its interval for every condition of every metric, on one scale.

    Args:
        rows: (metric, condition -> estimate). colours: condition -> class of its colour; "ref" draws a mark, no bar.
    """
    values = [end for _, row in rows for entry in row.values() for end in (entry.value, *_ends(entry))]
    scale = spanning(values, _LABEL, WIDTH - _TEXT)
    height = 24 + sum(_LANE * len(row) + _ROW_GAP for _, row in rows)
    parts = [_axis(scale, 20, height)]
    y = 24.0
    for metric, row in rows:
        parts.append(f'<text x="{_LABEL - 12}" y="{y + 12}" text-anchor="end">{escape(metric)}</text>')
        for condition, entry in row.items():
            parts.append(_bar(scale, condition, colours[condition], entry, y, places))
            y += _LANE
        y += _ROW_GAP
    return _figure(height, parts)


def _bar(scale: Scale, condition: str, colour: str, entry: Estimate, y: float, places: int) -> str:
    middle, end, zero = y + _LANE / 2, scale(entry.value), scale(0.0)
    if colour == "ref":
        shape = f'<circle class="fill" cx="{end:.1f}" cy="{middle}" r="3.6"/>'
    else:
        shape = (
            f'<rect class="fill" x="{min(zero, end):.1f}" y="{y + 3}" width="{max(abs(end - zero), 1.5):.1f}" '
            f'height="{_LANE - 6}" rx="2"/>'
        )
    text = f"{condition}: {entry.text(places)}"
    said = f"{condition} {entry.text(places)}" if colour == "ref" else entry.text(places)  # marks are alike
    return (
        f'<g class="{colour}" data-of="{escape(condition)}"><title>{escape(text)}</title>{shape}'
        f"{_whisker(scale, entry, middle)}"
        f'<text class="soft number" x="{WIDTH - _TEXT + 14}" y="{middle + 4}">{escape(said)}</text></g>'
    )


@dataclass(frozen=True)
class ForestRow:
    """A paired difference: its name, the difference, what is said behind it, and whether it holds after correction."""

    label: str
    difference: Estimate
    said: str
    certain: bool


def forest(rows: Sequence[ForestRow], *, places: int = 3) -> str:
    """Differences around 0; those that hold are filled, the others hollow."""
    values = [end for row in rows for end in (row.difference.value, *_ends(row.difference))]
    reach = max((abs(value) for value in values if math.isfinite(value)), default=1.0) or 1.0
    scale = spanning((-reach, reach), _LABEL + 40, WIDTH - _TEXT - 90)
    height = 30 + 24 * len(rows)
    parts = [_axis(scale, 20, height)]
    parts.append(f'<line class="zero" x1="{scale(0):.1f}" x2="{scale(0):.1f}" y1="20" y2="{height - 4}"/>')
    for number, row in enumerate(rows):
        y = 38 + 24 * number
        x = scale(row.difference.value)
        mark = "fill" if row.certain else "stroke"
        parts.append(
            f'<g class="c0"><title>{escape(f"{row.label}: {row.difference.text(places)}, {row.said}")}</title>'
            f'<text x="{_LABEL + 28}" y="{y + 4}" text-anchor="end">{escape(row.label)}</text>'
            f"{_whisker(scale, row.difference, y)}"
            f'<rect class="{mark}" x="{x - 4:.1f}" y="{y - 4}" width="8" height="8" rx="1.5"/>'
            f'<text class="soft number" x="{WIDTH - _TEXT - 78}" y="{y + 4}">'
            f"{escape(row.difference.text(places))} · {escape(row.said)}</text></g>"
        )
    return _figure(height, parts)


@dataclass(frozen=True)
class Point:
    """A place on a curve."""

    at: float
    estimate: Estimate


def curves(
    title: str, lines: Mapping[str, Sequence[Point]], colours: Mapping[str, str], unit: str, *, places: int = 2
) -> str:
    """Lines over one axis with the band of their intervals; half the width of a page."""
    width, height, left, right, top, bottom = 470, 250, 56, 12, 30, 40
    points = [point for line in lines.values() for point in line]
    across = spanning([point.at for point in points], left, width - right, zero=False)
    up = spanning([end for p in points for end in (p.estimate.value, *_ends(p.estimate))], height - bottom, top)
    parts = [f'<text x="{left}" y="16">{escape(title)}</text>']
    for tick in up.ticks:
        parts.append(f'<line class="grid" x1="{left}" x2="{width - right}" y1="{up(tick):.1f}" y2="{up(tick):.1f}"/>')
        parts.append(f'<text class="soft" x="{left - 8}" y="{up(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for tick in across.ticks:
        parts.append(
            f'<text class="soft" x="{across(tick):.1f}" y="{height - 22}" text-anchor="middle">{tick:g}</text>'
        )
    parts.append(f'<text class="soft" x="{width - right}" y="{height - 6}" text-anchor="end">{escape(unit)}</text>')
    for name, line in lines.items():
        inside = [_band(line, across, up)]
        path = " ".join(f"{across(p.at):.1f},{up(p.estimate.value):.1f}" for p in line)
        inside.append(f'<polyline class="stroke" points="{path}"/>')
        for point in line:
            said = f"{name} at {point.at:g}: {point.estimate.text(places)}"
            inside.append(
                f'<circle class="fill" cx="{across(point.at):.1f}" cy="{up(point.estimate.value):.1f}" r="3">'
                f"<title>{escape(said)}</title></circle>"
            )
        parts.append(f'<g class="{colours[name]}" data-of="{escape(name)}">{"".join(inside)}</g>')
    return _figure(height, parts, width)


def _band(line: Sequence[Point], across: Scale, up: Scale) -> str:
    known = [(p.at, p.estimate.low, p.estimate.high) for p in line]
    upper = [f"{across(at):.1f},{up(high):.1f}" for at, _, high in known if high is not None]
    lower = [f"{across(at):.1f},{up(low):.1f}" for at, low, _ in reversed(known) if low is not None]
    return f'<polygon class="pale" points="{" ".join(upper + lower)}"/>' if len(upper) > 1 else ""


def confusion(title: str, counts: Mapping[tuple[str, str], int]) -> str:
    """How often what was asked for (rows) was found as what (columns); the shade is the share of the row."""
    asked = sorted({row for row, _ in counts})
    found = sorted({column for _, column in counts}, key=lambda name: (name not in asked, name))
    side, left, top = 40, 150, 116
    width, height = left + side * len(found) + 60, top + side * len(asked) + 8
    parts = [f'<text x="0" y="14">{escape(title)}</text>']
    for place, name in enumerate(found):
        x = left + side * (place + 0.5)
        parts.append(
            f'<text class="soft" transform="translate({x + 4:.1f} {top - 6}) rotate(-50)">{escape(name)}</text>'
        )
    for line, row in enumerate(asked):
        y, total = top + side * line, sum(counts.get((row, column), 0) for column in found)
        parts.append(f'<text x="{left - 8}" y="{y + side / 2 + 4}" text-anchor="end">{escape(row)}</text>')
        for place, column in enumerate(found):
            count = counts.get((row, column), 0)
            x, share = left + side * place, count / total
            said = f"{row} asked for, {column} found: {count} of {total}"
            parts.append(
                f"<g><title>{escape(said)}</title>"
                f'<rect class="cell" x="{x}" y="{y}" width="{side}" height="{side}" fill-opacity="{0.75 * share:.2f}"/>'
                f"{_centred(x + side / 2, y + side / 2 + 4, str(count)) if count else ''}</g>"
            )
        parts.append(f'<text class="soft" x="{left + side * len(found) + 8}" y="{y + side / 2 + 4}">n {total}</text>')
    return _figure(height, parts, width)


def preference_bars(rows: Sequence[tuple[str, tuple[int, int, int], Estimate, str]]) -> str:
    """Good, same and bad as one bar of the whole, and the net with its interval in words.

    Args:
        rows: (name, counts, net, what is said behind it).
    """
    left, right = _LABEL + 40.0, WIDTH - _TEXT - 90.0
    height = 6 + 28 * len(rows)
    parts = []
    for number, (name, counts, net, said) in enumerate(rows):
        y, x, total = 6 + 28 * number, left, sum(counts)
        parts.append(f'<text x="{left - 12}" y="{y + 14}" text-anchor="end">{escape(name)}</text>')
        for word, colour, count in zip(("good", "same", "bad"), ("c0", "ref", "c1"), counts, strict=True):
            wide = (right - left) * count / total
            parts.append(
                f'<g class="{colour}"><title>{word}: {count} of {total}</title>'
                f'<rect class="pale" x="{x + 1:.1f}" y="{y}" width="{max(wide - 2, 0):.1f}" height="19" rx="2"/></g>'
            )
            if wide > 44:
                parts.append(_centred(x + wide / 2, y + 14, f"{count / total:.0%}"))
            x += wide
        parts.append(
            f'<text class="soft number" x="{right + 12}" y="{y + 14}">net {escape(net.text(3))} · {escape(said)}</text>'
        )
    return _figure(height, parts)


def _centred(x: float, y: float, text: str) -> str:
    return f'<text class="number" x="{x:.1f}" y="{y:.1f}" text-anchor="middle">{text}</text>'


def _ends(entry: Estimate) -> list[float]:
    return [end for end in (entry.low, entry.high) if end is not None]


def _whisker(scale: Scale, entry: Estimate, y: float) -> str:
    if entry.low is None or entry.high is None:
        return ""
    low, high = scale(entry.low), scale(entry.high)
    return f'<path class="whisker" d="M{low:.1f} {y - 3}v6M{low:.1f} {y}H{high:.1f}M{high:.1f} {y - 3}v6"/>'


def _axis(scale: Scale, top: float, bottom: float) -> str:
    lines = []
    for tick in scale.ticks:
        x = scale(tick)
        lines.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>')
        lines.append(f'<text class="soft" x="{x:.1f}" y="{top - 6}" text-anchor="middle">{tick:g}</text>')
    return "".join(lines)


def _round_steps(low: float, high: float) -> list[float]:
    """Four to eight round numbers that hold the range."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


def _figure(height: float, parts: Iterable[str], width: float = WIDTH) -> str:
    return (
        f'<div class="scroll"><svg role="img" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}">'
        f"{''.join(parts)}</svg></div>\n"
    )
