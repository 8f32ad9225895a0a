"""How vehicles look from the side."""

from __future__ import annotations

import math

import numpy as np

from vivace.world.canvas import box_distance, coverage, draw_shadow, patch
from vivace.world.landscapes import LANE
from vivace.world.layout import View
from vivace.world.palette import COLOURS
from vivace.world.scene import Vehicle

# Length and height of the body over the lane, radius and places of the wheels; in lengths, the front to the right.
_SHAPES = {
    "car": (0.44, 0.155, 0.046, (-0.135, 0.135)),
    "van": (0.46, 0.235, 0.046, (-0.145, 0.145)),
    "bus": (0.70, 0.285, 0.052, (-0.225, 0.235)),
    "truck": (0.68, 0.265, 0.054, (-0.245, -0.125, 0.235)),
}
_GLASS, _TYRE, _HUB, _LAMP = (186, 202, 212), (40, 40, 44), (168, 170, 174), (246, 236, 200)


def vehicle_size(kind: str) -> tuple[float, float]:
    """(length, height) of a vehicle in units of length."""
    return _SHAPES[kind][:2]


def draw_vehicle(picture: np.ndarray, vehicle: Vehicle, x: float, view: View) -> None:
    """The vehicle with its middle at scene `x`, its wheels turned as far as it has rolled."""
    length, _, wheel, places = _SHAPES[vehicle.kind]
    unit, column, lane = view.scale, view.column(x), view.row(LANE)
    if abs(column - view.width / 2) > view.width / 2 + length * unit:
        return
    draw_shadow(picture, column, lane, 0.52 * length * unit, 0.02 * unit, 0.6)
    _Body(picture, vehicle, column, lane, unit).draw()
    rolled = x * view.width / 2 * view.zoom / (wheel * unit)
    for place in places:
        _wheel(picture, column + vehicle.direction * place * unit, lane - wheel * unit, wheel * unit, rolled)


class _Body:
    """Boxes and panes of one vehicle, in its own coordinates: u forwards, w upwards from the lane, in lengths."""

    def __init__(self, picture: np.ndarray, vehicle: Vehicle, column: float, lane: float, unit: float) -> None:
        self._picture, self._kind, self._unit, self._side = picture, vehicle.kind, unit, vehicle.direction
        self._column, self._lane = column, lane
        self._paint = np.array(COLOURS[vehicle.colour], dtype=np.float32)

    def draw(self) -> None:
        length, tall, wheel, _ = _SHAPES[self._kind]
        half, sill = length / 2, 0.55 * wheel
        match self._kind:
            case "car":
                self._box(0, (sill + 0.1) / 2, half, (0.1 - sill) / 2 + 0.01, 0.03)
                self._box(-0.02, (0.09 + tall) / 2, 0.13, (tall - 0.09) / 2 + 0.01, 0.035)
                self._pane(-0.07, 0.115, 0.045, 0.022)
                self._pane(0.035, 0.115, 0.048, 0.022)
            case "van":
                self._box(0, (sill + tall) / 2, half, (tall - sill) / 2, 0.045)
                self._pane(0.145, 0.165, 0.055, 0.034)
                self._pane(0.04, 0.165, 0.035, 0.034)
            case "bus":
                self._box(0, (sill + tall) / 2, half, (tall - sill) / 2, 0.03)
                for number in range(6):
                    self._pane(-0.275 + 0.11 * number, 0.19, 0.043, 0.042)
            case "truck":
                # A pale box behind a coloured cabin would show little colour: the box carries it too.
                self._box(-0.09, (0.075 + tall) / 2, 0.245, (tall - 0.075) / 2, 0.012)
                self._box(0, 0.07, half - 0.01, 0.016, 0.01, shade=0.45)
                self._box(0.255, (sill + 0.2) / 2, 0.08, (0.2 - sill) / 2, 0.03)
                self._pane(0.275, 0.15, 0.045, 0.028)
        self._lamp(half - 0.018, 0.075)

    def _box(self, u: float, w: float, half_u: float, half_w: float, corner: float, shade: float = 1.0) -> None:
        unit = self._unit
        column, row = self._column + self._side * u * unit, self._lane - w * unit
        box = patch(self._picture, column, row, half_u * unit + 1, half_w * unit + 1)
        if box is not None:
            alpha = coverage(box_distance(box.dx, box.dy, half_u * unit, half_w * unit, corner * unit))
            # Lighter towards the roof.
            tone = shade * (0.94 - 0.14 * box.dy / (half_w * unit))
            box.blend(alpha, self._paint * tone[..., None])

    def _pane(self, u: float, w: float, half_u: float, half_w: float) -> None:
        unit = self._unit
        box = patch(
            self._picture,
            self._column + self._side * u * unit,
            self._lane - w * unit,
            half_u * unit + 1,
            half_w * unit + 1,
        )
        if box is not None:
            alpha = coverage(box_distance(box.dx, box.dy, half_u * unit, half_w * unit, 0.012 * unit))
            tone = 1 + 0.12 * np.cos((box.dx + box.dy) / (0.02 * unit))
            box.blend(alpha, np.array(_GLASS, dtype=np.float32) * tone[..., None])

    def _lamp(self, u: float, w: float) -> None:
        unit = self._unit
        box = patch(self._picture, self._column + self._side * u * unit, self._lane - w * unit, 3, 3)
        if box is not None:
            box.blend(coverage(np.hypot(box.dx, box.dy) - 0.014 * unit), _LAMP)


def _wheel(picture: np.ndarray, column: float, row: float, radius: float, rolled: float) -> None:
    box = patch(picture, column, row, radius + 1, radius + 1)
    if box is None:
        return
    far = np.hypot(box.dx, box.dy)
    box.blend(coverage(far - radius), _TYRE)
    spokes = 0.75 + 0.25 * np.cos(4 * (np.arctan2(box.dy, box.dx) - rolled % (2 * math.pi)))
    box.blend(coverage(far - 0.58 * radius), np.array(_HUB, dtype=np.float32) * spokes[..., None])
