"""Wide views with a little motion: a window, a street, the sea, trees. Nothing in them makes the clip's sound.

What stands still is painted once. What moves is either one matrix product for each picture (clouds, water), a shift
of a painted layer (leaves) or a small box (curtain, flag, surf), which keeps a clip as cheap as one of a ball.
Colours stay pale, so that no part of a landscape looks like one of the world's coloured things.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vivace.world.layout import View
from vivace.world.scene import Landscape

PLACES: tuple[str, ...] = ("window", "street", "sea", "trees")
DAYLIGHTS: tuple[str, ...] = ("day", "dusk", "night")
ROAD_TOP, LANE = 0.79, 0.90  # y of the road's far edge, and of wheels on it

_SKY = {
    "day": ((152, 180, 206), (208, 218, 226)),
    "dusk": ((122, 118, 146), (218, 180, 158)),
    "night": ((28, 32, 48), (56, 62, 84)),
}
_CLOUD = {"day": (240, 242, 244), "dusk": (206, 170, 164), "night": (66, 70, 88)}
_TINT = {"day": (1.0, 1.0, 1.0), "dusk": (0.80, 0.70, 0.70), "night": (0.34, 0.37, 0.46)}
_LAMPLIGHT = np.array((236, 208, 152), dtype=np.float32)
_FACADES = ((206, 196, 182), (188, 172, 160), (176, 184, 188), (198, 184, 184), (160, 152, 146), (186, 190, 176))
_REACH = 1.7  # half the breadth of what is painted, in lengths; wider than any picture

Moving = Callable[[np.ndarray, float], None]


class Painter:
    """Paints one landscape as a view shows it at any time.

    Args:
        landscape: what is to be seen.
        view: size, and where the camera looks.
    """

    def __init__(self, landscape: Landscape, view: View) -> None:
        rng = np.random.default_rng([71, landscape.shapes])
        self._breeze = landscape.breeze
        self._unit = view.scale
        self._y = view.rows().astype(np.float32)[:, None]
        self._x = (view.columns() * view.width / (2 * min(view.height, view.width))).astype(np.float32)[None, :]
        self._daylight = landscape.daylight
        self._tint = np.array(_TINT[landscape.daylight], dtype=np.float32)
        self._live: list[Moving] = []
        horizon = float(rng.uniform(0.50, 0.58))
        high, low = (np.array(colour, dtype=np.float32) for colour in _SKY[landscape.daylight])
        share = np.clip(self._y / horizon, 0, 1)[..., None]
        sky = np.broadcast_to(high + share * (low - high), (view.height, view.width, 3))
        self._start_clouds(rng, horizon)
        paint = {"window": self._window, "street": self._street, "sea": self._sea, "trees": self._trees}
        front, cover = paint[landscape.place](rng, horizon)
        seen = (1 - cover)[..., None]
        self._still = (sky * seen + front * (1 - seen)).astype(np.float32)
        self._clouded = (seen * (np.array(_CLOUD[landscape.daylight]) - sky)).astype(np.float32)

    def picture(self, time: float) -> np.ndarray:
        """The landscape at `time` seconds, float32 [H, W, 3] in 0 to 255."""
        # Far beyond the picture's edge a cloud begins anew.
        place = (self._cloud_x + self._cloud_drift * time + _REACH) % (2 * _REACH) - _REACH
        across = np.exp(-(((self._x - place[:, None]) / self._cloud_width[:, None]) ** 2))
        picture: np.ndarray = self._still + np.minimum(self._cloud_rows @ across, 1.0)[..., None] * self._clouded
        for move in self._live:
            move(picture, time)
        return np.clip(picture, 0, 255)

    def _start_clouds(self, rng: np.random.Generator, horizon: float) -> None:
        banks = np.stack([rng.uniform(-_REACH, _REACH, 6), rng.uniform(0.04, horizon - 0.16, 6)], axis=1)
        puffs = np.repeat(banks, 3, axis=0) + rng.normal(0, 1, (18, 2)) * (0.09, 0.018)
        self._cloud_x = puffs[:, 0].astype(np.float32)
        self._cloud_width = rng.uniform(0.08, 0.16, 18).astype(np.float32)
        tall = rng.uniform(0.025, 0.05, 18)
        rows = np.exp(-(((self._y - puffs[:, 1]) / tall) ** 2)) * rng.uniform(0.5, 0.9, 18)
        self._cloud_rows = rows.astype(np.float32)
        self._cloud_drift = np.float32(rng.choice([-1, 1]) * (0.01 + 0.03 * self._breeze))

    def _edge(self, distance: np.ndarray, soft: float = 1.5) -> np.ndarray:
        """Share of each pixel where `distance` (lengths) is positive; the edge is `soft` pixels wide."""
        return np.clip(0.5 + distance * np.float32(self._unit / soft), 0, 1)

    def _tinted(self, colour: tuple[float, float, float]) -> np.ndarray:
        return np.array(colour, dtype=np.float32) * self._tint

    def _hills(self, rng: np.random.Generator, horizon: float) -> tuple[np.ndarray, np.ndarray]:
        """Far hills below the horizon: (crest y [1, W], tone)."""
        crest = horizon - 0.03 * np.sin(self._x * rng.uniform(3, 6) + rng.uniform(0, 6))
        return crest - 0.012 * np.sin(self._x * rng.uniform(9, 16) + rng.uniform(0, 6)), self._tinted((146, 156, 148))

    def _window(self, rng: np.random.Generator, horizon: float) -> tuple[np.ndarray, np.ndarray]:
        x, y = self._x, self._y
        half_x, half_y, middle = float(rng.uniform(0.31, 0.36)), float(rng.uniform(0.26, 0.30)), 0.42
        crest, tone = self._hills(rng, middle + 0.1)
        # A room by night is lit from within.
        indoors = np.array({"day": 1.0, "dusk": 0.86, "night": 0.58}[self._daylight], dtype=np.float32)
        wall = np.array(_FACADES[int(rng.integers(len(_FACADES)))], dtype=np.float32) * indoors
        inside = self._edge(half_x - np.abs(x)) * self._edge(half_y - np.abs(y - middle))
        rim = self._edge(half_x + 0.035 - np.abs(x)) * self._edge(half_y + 0.035 - np.abs(y - middle))
        bars = np.maximum(self._edge(0.012 - np.abs(x)), self._edge(0.012 - np.abs(y - middle - 0.02)))
        sill = self._edge(half_x + 0.07 - np.abs(x)) * self._edge(0.025 - np.abs(y - middle - half_y - 0.05))
        front = np.broadcast_to(tone, (len(y), x.shape[1], 3)).copy()
        shade = (1.04 - 0.16 * y)[..., None]
        _mix(front, 1 - rim, wall * shade)
        _mix(front, np.maximum(rim - inside, bars * inside), np.array((226, 222, 214), dtype=np.float32) * indoors)
        _mix(front, sill, np.array((208, 202, 194), dtype=np.float32) * indoors)
        cover = np.maximum(np.maximum(1 - inside, bars), self._edge(y - crest))
        cloth = np.array(_FACADES[int(rng.integers(len(_FACADES)))], dtype=np.float32) * indoors * 1.08
        self._live += [self._curtain(side, half_x, middle, half_y, cloth, rng) for side in (-1, 1)]
        return front, cover

    def _curtain(
        self, side: int, half_x: float, middle: float, half_y: float, cloth: np.ndarray, rng: np.random.Generator
    ) -> Moving:
        top, bottom = middle - half_y - 0.06, middle + half_y + 0.04
        columns = _span(side * self._x[0], half_x - 0.22, half_x + 0.12)
        rows = _span(self._y[:, 0], top, bottom)
        x, y = side * self._x[:, columns], self._y[rows]
        hang = np.clip((y - top) / (bottom - top), 0, 1) ** 1.4
        beat, turn = float(rng.uniform(2.2, 3.4)), float(rng.uniform(0, 6))

        def move(picture: np.ndarray, time: float) -> None:
            sway = self._breeze * hang * np.float32(0.055 + 0.055 * np.sin(beat * time + turn))
            sway = sway + self._breeze * 0.014 * hang * np.sin(7 * y + 2.1 * beat * time)
            inner = half_x - 0.12 - sway
            folds = 0.92 + 0.11 * np.cos((x - inner) * np.float32(78) / (1 + 3 * sway))
            alpha = self._edge(x - inner) * self._edge(half_x + 0.09 - x)
            _mix(picture[rows, columns], alpha, cloth * folds[..., None])

        return move

    def _street(self, rng: np.random.Generator, horizon: float) -> tuple[np.ndarray, np.ndarray]:
        x, y = self._x, self._y
        foot = 0.72
        widths = rng.uniform(0.2, 0.36, 18)
        edges = np.cumsum(widths) - _REACH - float(rng.uniform(0, 0.3))
        number = np.clip(np.searchsorted(edges, x[0]), 1, len(edges) - 1)
        left, width = edges[number - 1], edges[number] - edges[number - 1]
        roof = rng.uniform(0.20, 0.46, len(edges))[number][None, :]
        along = ((x[0] - left) / width)[None, :]
        gabled = rng.random(len(edges))[number][None, :] < 0.45
        top = roof - np.where(gabled, 0.07 * (1 - np.abs(2 * along - 1)), 0.0)
        wall = np.array(_FACADES, dtype=np.float32)[rng.integers(len(_FACADES), size=len(edges))][number][None]
        # Windows: a regular grid in every house, some of them lit when it is dark.
        across = np.maximum(np.round(width / 0.1), 2.0)[None, :]
        column, row = along * across, (foot - y) / np.float32(0.115)
        pane = (np.abs(column % 1 - 0.5) < 0.24) & (np.abs(row % 1 - 0.55) < 0.27) & (y > roof + 0.03)
        lit = np.sin(12.9 * np.floor(column) + 78.2 * np.floor(row) + 37.7 * number[None, :]) > 0.25
        glass = self._tinted((112, 124, 136))
        shine = _LAMPLIGHT * {"day": 0.0, "dusk": 0.8, "night": 0.9}[self._daylight]
        houses = wall * self._tint * (1.0 - 0.12 * (along > 0.97))[..., None] * (1.05 - 0.15 * y)[..., None]
        houses = np.where(pane[..., None], np.where(lit[..., None], np.maximum(shine, glass), glass), houses)
        front = houses.astype(np.float32)
        _mix(front, self._edge(roof - y) * self._edge(y - top), self._tinted((132, 112, 106)))
        _mix(front, self._edge(y - foot), self._tinted((176, 172, 166)))
        self._lay_road(front)
        cover = self._edge(y - top)
        self._live.append(self._flag(float(rng.uniform(-0.3, 0.3)), float(rng.uniform(0.2, 0.28)), rng))
        return front, cover

    def _lay_road(self, front: np.ndarray) -> None:
        x, y = self._x, self._y
        _mix(front, self._edge(y - ROAD_TOP + 0.012), self._tinted((146, 142, 138)))
        _mix(front, self._edge(y - ROAD_TOP), self._tinted((96, 96, 100)))
        dashes = self._edge(0.006 - np.abs(y - 0.955)) * (np.cos(x * 22) > 0)
        _mix(front, dashes, self._tinted((200, 198, 190)))

    def _flag(self, foot_x: float, top: float, rng: np.random.Generator) -> Moving:
        length, tall = 0.19, 0.10
        columns = _span(self._x[0], foot_x - 0.02, foot_x + length + 0.02)
        rows = _span(self._y[:, 0], top - 0.05, 0.76)
        x, y = self._x[:, columns] - foot_x, self._y[rows]
        cloth, pole = self._tinted((178, 132, 126)), self._tinted((84, 84, 88))
        beat, turn = float(rng.uniform(5, 8)), float(rng.uniform(0, 6))
        along = np.clip(x / length, 0, 1)
        fly = 0.25 + 0.75 * self._breeze

        def move(picture: np.ndarray, time: float) -> None:
            wave = np.sin(9 * along - beat * (0.6 + 0.6 * fly) * time + turn)
            droop = (1 - fly) * 0.12 * along**1.5
            offset = y - top - tall / 2 - droop - 0.028 * fly * along * wave
            alpha = self._edge(tall / 2 - np.abs(offset)) * self._edge(length * (0.7 + 0.3 * fly) - x) * self._edge(x)
            box = picture[rows, columns]
            _mix(box, alpha, cloth * (1.0 + 0.16 * wave * fly)[..., None])
            _mix(box, self._edge(0.008 - np.abs(x)) * self._edge(0.75 - y) * self._edge(y - top + 0.03), pole)

        return move

    def _sea(self, rng: np.random.Generator, horizon: float) -> tuple[np.ndarray, np.ndarray]:
        x, y = self._x, self._y
        shore = 0.87
        near = np.clip((y - horizon) / (shore - horizon), 0, 1.3)
        water = self._tinted((104, 132, 146)) * (0.92 + 0.22 * near)[..., None]
        front = np.broadcast_to(water, (len(y), x.shape[1], 3)).astype(np.float32)
        # Islands far out and posts on the beach stand still in all the motion.
        crest = np.full_like(x, horizon)
        for place in np.arange(-_REACH, _REACH, 0.75) + rng.uniform(-0.25, 0.25, 5):
            high, broad = rng.uniform(0.03, 0.07), rng.uniform(0.10, 0.2)
            crest = np.minimum(crest, horizon - high * np.maximum(0, 1 - ((x - place) / broad) ** 2))
        _mix(front, self._edge(horizon - y) * self._edge(y - crest), self._tinted((128, 134, 136)))
        sand = self._tinted((202, 190, 166)) * (1 + 0.03 * np.cos(31 * x + 9 * np.sin(23 * y)))[..., None]
        _mix(front, self._edge(y - shore, 3.0), sand)
        posts = np.abs((x + rng.uniform(0, 1)) % 0.31 - 0.155)
        _mix(
            front,
            self._edge(0.012 - posts) * self._edge(y - 0.925) * self._edge(0.985 - y),
            self._tinted((112, 98, 86)),
        )
        rows = _span(y[:, 0], horizon, shore + 0.02)
        depth = near[rows]
        u, v = x / (0.2 + depth), 2.2 / (0.25 + depth)
        fade = np.clip(5 * depth, 0.12, 1) * self._edge(shore - y[rows], 3.0) * (9 + 13 * self._breeze)
        speeds = rng.uniform(1.6, 3.6, 4)
        fields = []
        for turn, far, side in zip(rng.uniform(0, 6, 4), rng.uniform(4, 9, 4), rng.uniform(-2.4, 2.4, 4), strict=True):
            phase = side * u + far * v + turn + 0.6 * np.sin(2.1 * u + turn)
            fields += [np.cos(phase) * fade * 0.5, np.sin(phase) * fade * 0.5]
        ripples = np.stack([field.ravel() for field in fields]).astype(np.float32)
        shape = (depth.shape[0], x.shape[1], 1)
        beach = _span(y[:, 0], shore - 0.10, shore + 0.09)
        surf, pace = self._tinted((236, 238, 238)), float(rng.uniform(1.7, 2.6))

        def move(picture: np.ndarray, time: float) -> None:
            weights = np.stack([np.cos(speeds * time), -np.sin(speeds * time)], axis=1).ravel().astype(np.float32)
            picture[rows] += (weights @ ripples).reshape(shape) * self._tint
            reach = (0.012 + 0.03 * self._breeze) * np.sin(pace * time + 1.3 * np.sin(2 * x))
            level = shore + reach + 0.008 * np.sin(11 * x + pace * time)
            foam = np.exp(-(((y[beach] - level) / 0.014) ** 2))
            _mix(picture[beach], 0.85 * foam, surf)

        self._live.append(move)
        return front, self._edge(y - crest)

    def _trees(self, rng: np.random.Generator, horizon: float) -> tuple[np.ndarray, np.ndarray]:
        x, y = self._x, self._y
        crest, tone = self._hills(rng, horizon)
        ground = horizon + 0.07
        front = np.broadcast_to(tone, (len(y), x.shape[1], 3)).astype(np.float32)
        blades = 1 + 0.05 * np.cos(43 * x + 14 * np.sin(31 * y)) - 0.18 * (y - ground)
        _mix(front, self._edge(y - ground), self._tinted((146, 154, 118)) * blades[..., None])
        self._lay_road(front)
        self._live.append(self._leaves(rng, ground))
        return front, self._edge(y - np.minimum(crest, ground))

    def _leaves(self, rng: np.random.Generator, ground: float) -> Moving:
        """Trees as one layer of pixels, which the wind shifts to the side, the higher the farther."""
        rows = _span(self._y[:, 0], 0.02, 0.78)
        spare = int(np.ceil(0.1 * self._unit))
        step = float(self._x[0, 1] - self._x[0, 0])
        inner = self._x[0]
        wide = np.concatenate(
            [inner[0] + step * np.arange(-spare, 0), inner, inner[-1] + step * np.arange(1, spare + 1)]
        )
        x, y = wide[None, :].astype(np.float32), self._y[rows]
        layer = np.zeros((len(y), len(wide), 4), dtype=np.float32)
        for middle in np.arange(-_REACH, _REACH, 0.42) + rng.uniform(-0.12, 0.12, 9):
            if not wide[0] - 0.2 < middle < wide[-1] + 0.2:
                continue
            foot, high = ground + float(rng.uniform(0.01, 0.1)), float(rng.uniform(0.16, 0.34))
            columns = _span(wide, middle - 0.3, middle + 0.3)
            tree, beside = layer[:, columns], x[:, columns] - np.float32(middle)
            trunk = self._edge(0.016 - np.abs(beside)) * self._edge(foot - y) * self._edge(y - high)
            _cover(tree, trunk, self._tinted((104, 90, 78)))
            leaf = self._tinted((112 + float(rng.uniform(-14, 14)), 134, 96 + float(rng.uniform(-10, 10))))
            for _ in range(6):
                dx, cy = float(rng.normal(0, 0.065)), high + float(rng.uniform(-0.05, 0.1))
                size = float(rng.uniform(0.07, 0.11))
                tall = _span(y[:, 0], cy - size - 0.02, cy + size + 0.02)
                across, down = beside - np.float32(dx), y[tall] - np.float32(cy)
                tone = 1.02 - 2.2 * down + 0.10 * np.cos(70 * across) * np.cos(64 * down)
                _cover(tree[tall], self._edge(size - np.hypot(across, 1.1 * down), 3.0), leaf * tone[..., None])
        flat = layer.reshape(-1, 4)
        base = (np.arange(len(y)) * len(wide))[:, None] + spare
        place = np.arange(len(inner), dtype=np.float32)[None, :]
        lean = 0.042 * self._unit * self._breeze * np.clip((ground - y) / (ground - 0.1), 0, 1)
        beat, course = float(rng.uniform(2.2, 3.6)), 5 * inner[None, :] + float(rng.uniform(0, 6))

        def move(picture: np.ndarray, time: float) -> None:
            gust = 0.5 + np.sin(beat * time + course) + 0.4 * np.sin(2.7 * beat * time + 2 * course)
            source = place - lean * gust
            low = np.floor(source)
            share = (source - low)[..., None]
            at = base + low.astype(np.int64)
            first = np.take(flat, at, axis=0)
            leaves = first + share * (np.take(flat, at + 1, axis=0) - first)
            part = picture[rows]
            part *= 1 - leaves[..., 3:]
            part += leaves[..., :3]

        return move


def _span(places: np.ndarray, low: float, high: float) -> slice:
    """The pixels whose places (monotonic) lie between `low` and `high`; empty where none does."""
    inside = np.flatnonzero((places >= low) & (places <= high))
    return slice(int(inside[0]), int(inside[-1]) + 1) if len(inside) else slice(0, 0)


def _mix(picture: np.ndarray, alpha: np.ndarray, colour: np.ndarray) -> None:
    """Mix `colour` ([3] or [h, w, 3]) into float pixels by `alpha` [h, w], in place."""
    picture += alpha[..., None] * (colour - picture)


def _cover(layer: np.ndarray, alpha: np.ndarray, colour: np.ndarray) -> None:
    """Lay `colour` over a layer of premultiplied RGB and alpha [h, w, 4], in place."""
    layer *= (1 - alpha)[..., None]
    layer[..., :3] += alpha[..., None] * colour
    layer[..., 3] += alpha
