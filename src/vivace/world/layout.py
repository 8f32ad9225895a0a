"""Where things are: the picture's coordinates, the instruments' proportions, the mallet's path.

Picture and truth take their geometry from here, so that they cannot disagree.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vivace.world.physics import mallet_x, swing
from vivace.world.scene import Instrument, Scene

STICK = 0.42  # length of the mallet from head to hand
STICK_FALL = math.radians(35)  # how far the head is below the hand at the contact
XYLOPHONE_REACH = 0.74  # x of the outermost bars


@dataclass(frozen=True)
class View:
    """The map from scene to picture for one moment of the camera.

    x in [-1, 1] spans the picture's width, y in [0, 1] the central square of the shorter side; `pan` is the x at the
    middle of the picture and `zoom` enlarges about it.
    """

    height: int
    width: int
    pan: float = 0.0
    zoom: float = 1.0

    @property
    def scale(self) -> float:
        """Pixels per unit of length."""
        return min(self.height, self.width) * self.zoom

    def column(self, x: float) -> float:
        """Horizontal pixel position of scene x."""
        return self.width / 2 * (1 + self.zoom * (x - self.pan))

    def row(self, y: float) -> float:
        """Vertical pixel position of scene y."""
        return self.height / 2 + self.scale * (y - 0.5)

    def screen(self, column: float, row: float) -> tuple[float, float]:
        """A pixel position as (x, y) in [-1, 1] of the picture, y downwards."""
        return 2 * column / self.width - 1, 2 * row / self.height - 1

    def columns(self) -> np.ndarray:
        """Scene x of each pixel column's centre, [width]."""
        return ((np.arange(self.width) + 0.5) / (self.width / 2) - 1) / self.zoom + self.pan

    def rows(self) -> np.ndarray:
        """Scene y of each pixel row's centre, [height]."""
        return 0.5 + (np.arange(self.height) + 0.5 - self.height / 2) / self.scale


def view_at(scene: Scene, time: float, height: int, width: int) -> View:
    """The view at `time`: one and the same for a still camera, else easing from one end of its move to the other."""
    share = min(max(time / scene.seconds, 0.0), 1.0)
    course = 2 * share**2 * (3 - 2 * share) - 1
    amount = scene.camera.amount
    match scene.camera.move:
        case "pan left":
            return View(height, width, pan=-amount * course)
        case "pan right":
            return View(height, width, pan=amount * course)
        case "zoom in":
            return View(height, width, zoom=1 + amount * course)
        case "zoom out":
            return View(height, width, zoom=1 - amount * course)
    return View(height, width)


def bar_positions(instrument: Instrument) -> np.ndarray:
    """x of each bar of a xylophone, left to right, [bars]."""
    return instrument.x + np.linspace(-XYLOPHONE_REACH, XYLOPHONE_REACH, instrument.bars)


BELL_BEAM, BELL_CROWN, BELL_HEIGHT = -0.47, -0.42, 0.30  # above the lane: the beam, the bell's top; its height


def bell_half_width(depth: np.ndarray) -> np.ndarray:
    """Half the width of a bell at `depth` (0 crown, 1 lip), in units of length for the middle size."""
    return 0.055 + 0.052 * np.sqrt(np.clip(depth, 0, 1)) + 0.048 * np.clip(depth, 0, 1) ** 4


@dataclass(frozen=True)
class Figure:
    """The proportions of an instrument, in units of length relative to (x, lane), y downwards."""

    half_width: float
    top: float
    contact_x: float
    contact_y: float
    head: float  # radius of the mallet's head


def figure(instrument: Instrument, hand: int) -> Figure:
    """The proportions of this instrument, and where its mallet meets it (centre of the head at the contact)."""
    size = instrument.size
    match instrument.kind:
        case "drum":
            head = 0.052
            return Figure(0.20 * size, -0.25 * size, 0.0, -0.25 * size - 0.7 * head, head)
        case "bell":
            head = 0.045
            # On the bell's shoulder, on the side of the hand.
            shoulder = 0.26 * BELL_HEIGHT * size
            side = float(bell_half_width(np.array(0.26))) * size + 0.65 * head
            return Figure(0.22, BELL_BEAM, hand * side, BELL_CROWN + shoulder - 0.6 * head, head)
        case "woodblock":
            head = 0.045
            return Figure(0.18 * size, -0.19 * size, 0.0, -0.19 * size - 0.65 * head, head)
    head = 0.042
    return Figure(XYLOPHONE_REACH, -0.34, 0.0, -0.20, head)


@dataclass(frozen=True)
class MalletPath:
    """The mallet over time: x of its place (in [-1, 1]); its head and hand beside it and below its lane, in length."""

    x: np.ndarray
    head_x: np.ndarray
    head_y: np.ndarray
    hand_x: float
    hand_y: float


def mallet_path(scene: Scene, times: np.ndarray) -> MalletPath:
    """The mallet at `times` (seconds), each array [times]; its head is lowest exactly at each stroke.

    The hand stays beside the place that is struck, and the head turns about it.
    """
    instrument = scene.instrument
    assert instrument is not None
    shape = figure(instrument, scene.hand)
    if instrument.kind == "xylophone":
        places = bar_positions(instrument)[[stroke.bar for stroke in scene.strokes]]
    else:
        places = np.full(len(scene.strokes), instrument.x)
    x = mallet_x(scene.strokes, places, times)
    slope = STICK_FALL - swing(scene.strokes, times)
    hand_x = shape.contact_x + scene.hand * STICK * math.cos(STICK_FALL)
    hand_y = shape.contact_y - STICK * math.sin(STICK_FALL)
    head_x = hand_x - scene.hand * STICK * np.cos(slope)
    head_y = hand_y + STICK * np.sin(slope)
    return MalletPath(x, head_x, head_y, hand_x, hand_y)
