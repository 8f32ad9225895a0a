"""Faces that speak, drifting textures, floating shapes and pans, without any text."""

from __future__ import annotations

import colorsys
import math

import numpy as np

from vivace.world.canvas import Colour, box_distance, coverage, ellipse_distance, patch, segment_distance
from vivace.world.picture import check_size

_RATE = 24.0  # motion below is per second at this frame rate


def variety_video(seed: int, frames: int, height: int, width: int) -> np.ndarray:
    """A clip for codec training, uint8 RGB [frames, height, width, 3]; the same seed gives the same clip.

    Half of the seeds show one or two cartoon faces, the others textures, shapes or a camera that pans over a scene of
    both.
    """
    check_size(height, width)
    rng = np.random.default_rng([101, seed])
    if rng.random() < 0.5:
        return _faces(rng, frames, height, width)
    return _textures(rng, frames, height, width, shapes=int(rng.integers(0, 7)))


def _tone(rng: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]) -> np.ndarray:
    rgb = colorsys.hsv_to_rgb(rng.random(), rng.uniform(*saturation), rng.uniform(*value))
    return 255 * np.array(rgb, dtype=np.float32)


def _textures(rng: np.random.Generator, frames: int, height: int, width: int, shapes: int) -> np.ndarray:
    unit = min(height, width)
    x = ((np.arange(width) + 0.5 - width / 2) / unit).astype(np.float32)[None, :]
    y = ((np.arange(height) + 0.5 - height / 2) / unit).astype(np.float32)[:, None]
    first, second, third = (_tone(rng, (0.0, 0.7), (0.2, 1.0)) for _ in range(3))
    drift = rng.uniform(-0.35, 0.35, 2) / _RATE
    turn, sharp = float(rng.uniform(0, math.pi)), float(rng.uniform(0.7, 5))
    pitch, warp = float(rng.uniform(3, 26)), float(rng.uniform(0, 2.0))
    style = int(rng.integers(4))
    movers = [_Shape(rng) for _ in range(shapes)]
    video = np.empty((frames, height, width, 3), dtype=np.uint8)
    for n, frame in enumerate(video):
        u = math.cos(turn) * (x + drift[0] * n) + math.sin(turn) * (y + drift[1] * n)
        v = -math.sin(turn) * (x + drift[0] * n) + math.cos(turn) * (y + drift[1] * n)
        if style == 0:
            wave = np.cos(pitch * u + warp * np.cos(5 * v))
        elif style == 1:
            wave = np.cos(pitch * u) * np.cos(pitch * v + warp)
        elif style == 2:
            wave = np.cos(pitch * np.hypot(u - 0.2, v + 0.1) + warp * u)
        else:
            wave = (np.cos(pitch * u + warp * np.sin(4 * v)) + np.cos(0.7 * pitch * v + 2 * np.cos(3 * u))) / 2
        mix = (0.5 + 0.5 * np.tanh(sharp * wave) / math.tanh(sharp))[..., None]
        slope = np.clip(0.5 + 0.6 * v, 0, 1)[..., None]
        frame[...] = np.clip(first + mix * (second - first) + 0.5 * slope * (third - first), 0, 255).astype(np.uint8)
        for mover in movers:
            mover.draw(frame, n)
    return video


class _Shape:
    """A plain shape on a looping path."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.colour = _tone(rng, (0.2, 1.0), (0.3, 1.0))
        self.kind = int(rng.integers(3))
        self.size = rng.uniform(0.04, 0.2, 2)
        self.middle = rng.uniform(0.1, 0.9, 2)
        self.reach = rng.uniform(0.0, 0.35, 2)
        self.speed = rng.uniform(0.2, 1.6, 2) * 2 * math.pi / _RATE
        self.phase = rng.uniform(0, 2 * math.pi, 2)

    def draw(self, frame: np.ndarray, n: int) -> None:
        height, width = frame.shape[:2]
        unit = min(height, width)
        place = self.middle + self.reach * np.sin(self.phase + self.speed * n)
        half_x, half_y = self.size * unit
        box = patch(frame, place[0] * width, place[1] * height, half_x + half_y, half_x + half_y)
        if box is None:
            return
        match self.kind:
            case 0:
                distance = ellipse_distance(box.dx, box.dy, half_x, half_y)
            case 1:
                distance = box_distance(box.dx, box.dy, half_x, half_y, 0.3 * min(half_x, half_y))
            case _:
                distance = segment_distance(box.dx + half_x / 2, box.dy + half_y / 2, half_x, half_y) - 0.3 * half_x
        shade = 1.05 - 0.25 * np.clip(box.dy / half_y, -1, 1) + 0 * box.dx
        box.blend(coverage(distance), self.colour * shade[..., None])


def _faces(rng: np.random.Generator, frames: int, height: int, width: int) -> np.ndarray:
    if rng.random() < 0.5:
        video = _textures(rng, frames, height, width, shapes=0)
    else:
        wall = _tone(rng, (0.0, 0.35), (0.3, 0.95))
        slope = np.linspace(1.08, 0.82, height, dtype=np.float32)[:, None, None]
        still = np.clip(wall * slope * np.ones((1, width, 1), dtype=np.float32), 0, 255).astype(np.uint8)
        video = np.broadcast_to(still, (frames, height, width, 3)).copy()
    wide = width > 1.3 * height
    places = [0.3, 0.7] if wide and rng.random() < 0.6 else [float(rng.uniform(0.4, 0.6))]
    for place in places:
        face = _Face(rng, place, frames)
        for n, frame in enumerate(video):
            face.draw(frame, n)
    return video


class _Face:
    """A cartoon head and shoulders with moving mouth, eyes and lids."""

    def __init__(self, rng: np.random.Generator, place: float, frames: int) -> None:
        times = np.arange(frames) / _RATE
        skins = ((250, 214, 186), (236, 188, 152), (206, 152, 112), (160, 108, 76), (112, 74, 54))
        hairs = ((44, 34, 30), (96, 62, 38), (176, 122, 62), (222, 190, 120), (150, 60, 36), (170, 170, 174))
        self.skin = np.array(skins[rng.integers(len(skins))], dtype=np.float32)
        self.hair = np.array(hairs[rng.integers(len(hairs))], dtype=np.float32)
        self.shirt = _tone(rng, (0.4, 0.95), (0.4, 0.95))
        self.iris = _tone(rng, (0.3, 0.8), (0.25, 0.6))
        self.size = float(rng.uniform(0.20, 0.29))
        self.place = place
        self.row = float(rng.uniform(0.42, 0.52))
        self.style = int(rng.integers(4))
        self.glasses = bool(rng.random() < 0.3)
        rate = rng.uniform(2.5, 6)
        talk = np.maximum(np.sin(2 * math.pi * rate * times + rng.uniform(0, 6)), 0)
        pauses = np.sin(2 * math.pi * rng.uniform(0.3, 0.8) * times + rng.uniform(0, 6)) > -0.4
        self.open = talk * pauses * rng.uniform(0.4, 1.0)
        self.wide = 0.8 + 0.3 * np.sin(2 * math.pi * rng.uniform(0.8, 2.2) * times + rng.uniform(0, 6))
        blink = (times + rng.uniform(0, 2)) % rng.uniform(1.4, 3)
        self.lids = np.clip(1 - np.abs(blink - 0.1) / 0.09, 0, 1)
        self.gaze = 0.35 * np.sin(2 * math.pi * rng.uniform(0.2, 0.7) * times + rng.uniform(0, 6))
        self.nod = rng.uniform(0, 0.03) * np.sin(2 * math.pi * rng.uniform(0.5, 1.5) * times)
        self.shift = rng.uniform(0, 0.04) * np.sin(2 * math.pi * rng.uniform(0.2, 0.8) * times)

    def draw(self, frame: np.ndarray, n: int) -> None:
        height, width = frame.shape[:2]
        unit = min(height, width)
        r = self.size * unit
        column = width * self.place + self.shift[n] * unit
        row = height / 2 + (self.row - 0.5 + self.nod[n]) * unit
        ellipse(frame, column, row + 2.35 * r, 1.5 * r, 1.05 * r, self.shirt)
        rounded(frame, column, row + 1.15 * r, 0.34 * r, 0.42 * r, 0.2 * r, 0.88 * self.skin)
        if self.style in (1, 3):
            ellipse(frame, column, row + 0.1 * r, 1.12 * r, (1.5 if self.style == 3 else 1.2) * r, self.hair)
        for side in (-1, 1):
            ellipse(frame, column + 0.88 * side * r, row + 0.1 * r, 0.17 * r, 0.24 * r, 0.94 * self.skin)
        ellipse(frame, column, row, 0.88 * r, 1.08 * r, self.skin)
        if self.style != 2:
            ellipse(frame, column, row - 0.80 * r, 0.78 * r, 0.42 * r, self.hair)
        self._eyes(frame, n, column, row, r)
        ellipse(frame, column, row + 0.28 * r, 0.09 * r, 0.15 * r, 0.86 * self.skin)
        self._mouth(frame, n, column, row + 0.64 * r, r)

    def _eyes(self, frame: np.ndarray, n: int, column: float, row: float, r: float) -> None:
        for side in (-1, 1):
            x, y = column + 0.36 * side * r, row - 0.10 * r
            lid = max(1 - float(self.lids[n]), 0.12)
            ellipse(frame, x, y, 0.20 * r, 0.16 * r * lid, (250, 250, 248))
            if lid > 0.4:
                ellipse(frame, x + 0.18 * self.gaze[n] * r, y, 0.10 * r, 0.12 * r * lid, self.iris)
                ellipse(frame, x + 0.18 * self.gaze[n] * r, y, 0.05 * r, 0.06 * r * lid, (20, 20, 24))
            rounded(frame, x, y - 0.30 * r, 0.20 * r, 0.035 * r, 0.03 * r, 0.8 * self.hair)
            if self.glasses:
                lens = patch(frame, x, y, 0.34 * r, 0.34 * r)
                if lens is not None:
                    ring = np.abs(ellipse_distance(lens.dx, lens.dy, 0.28 * r, 0.26 * r)) - 0.03 * r
                    lens.blend(coverage(ring), (40, 38, 44))

    def _mouth(self, frame: np.ndarray, n: int, column: float, row: float, r: float) -> None:
        half_x, half_y = 0.30 * r * float(self.wide[n]), (0.04 + 0.24 * float(self.open[n])) * r
        ellipse(frame, column, row, half_x + 0.05 * r, half_y + 0.045 * r, (186, 84, 84))
        ellipse(frame, column, row, half_x, half_y, (92, 28, 36))
        if self.open[n] > 0.25:
            ellipse(frame, column, row - 0.7 * half_y, 0.7 * half_x, 0.25 * half_y, (246, 244, 238))


def ellipse(frame: np.ndarray, column: float, row: float, half_x: float, half_y: float, colour: Colour) -> None:
    """A filled ellipse with a touch of shade on its lower side."""
    box = patch(frame, column, row, half_x + 1, half_y + 1)
    if box is not None:
        shade = 1.03 - 0.09 * np.clip(box.dy / half_y, -1, 1) + 0 * box.dx
        box.blend(coverage(ellipse_distance(box.dx, box.dy, half_x, half_y)), np.asarray(colour) * shade[..., None])


def rounded(
    frame: np.ndarray, column: float, row: float, half_x: float, half_y: float, corner: float, colour: Colour
) -> None:
    """A filled box with round corners."""
    box = patch(frame, column, row, half_x + 1, half_y + 1)
    if box is not None:
        box.blend(coverage(box_distance(box.dx, box.dy, half_x, half_y, corner)), colour)
