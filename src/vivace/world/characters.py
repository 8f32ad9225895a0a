"""Drawing characters: still layers for body and head, and over them a mouth that speaks and eyes that blink.

Lengths here are in half widths of the head, about its middle, y downwards.
"""

from __future__ import annotations

import math

import numpy as np

from vivace.world.canvas import Colour, box_distance, coverage, ellipse_distance, patch, segment_distance
from vivace.world.cast import Character
from vivace.world.layout import View
from vivace.world.palette import COLOURS, HAIR_RGB, SKINS

HEADS: dict[str, tuple[float, float]] = {"round": (1.0, 2.0), "long": (1.16, 2.0), "square": (1.08, 2.9)}
MOUTH_Y = 0.60
MOUTH_HALF_WIDTH = 0.42  # of lips at rest; rounding and spreading change it by a fifth
MOUTH_REACH = 0.25  # half the height of the widest opening
_EYE_X, _EYE_Y = 0.40, -0.08
_SWAY = 0.07
_TURNED = 0.24  # how far eyes, nose and mouth go aside when the head turns all the way
_SHADE = 0.16  # how much lighter the side is from which light comes


class _Layer:
    """A small picture with a transparent ground, made once at a number of pixels per half head width.

    Nothing may be painted on its outermost pixels, except below, where a body goes on.
    """

    def __init__(self, scale: float, left: float, right: float, top: float, bottom: float) -> None:
        self.scale = scale
        self.left, self.top = left, top
        self.x = ((np.arange(math.ceil((right - left) * scale)) + 0.5) / scale + left).astype(np.float32)[None, :]
        self.y = ((np.arange(math.ceil((bottom - top) * scale)) + 0.5) / scale + top).astype(np.float32)[:, None]
        self.pixels = np.zeros((self.y.shape[0], self.x.shape[1], 4), dtype=np.float32)  # colour times alpha, alpha

    def paint(self, alpha: np.ndarray, colour: Colour) -> None:
        self.pixels[..., :3] += alpha[..., None] * (np.asarray(colour, dtype=np.float32) - self.pixels[..., :3])
        self.pixels[..., 3] += alpha * (1 - self.pixels[..., 3])

    def inside(self, distance: np.ndarray) -> np.ndarray:
        return coverage(distance * self.scale)

    def ellipse(self, x: float, y: float, half_x: float, half_y: float, colour: Colour) -> None:
        self.paint(self.inside(ellipse_distance(self.x - x, self.y - y, half_x, half_y)), colour)

    def onto(self, frame: np.ndarray, column: float, row: float, scale: float) -> None:
        """Lay the layer over `frame` uint8 with its origin at (column, row) and `scale` pixels per half width."""
        ratio = self.scale / scale
        tall, wide = self.pixels.shape[:2]
        left, top = column + self.left * scale, row + self.top * scale
        first_x, last_x = max(math.floor(left), 0), min(math.ceil(left + wide / ratio), frame.shape[1])
        first_y, last_y = max(math.floor(top), 0), min(math.ceil(top + tall / ratio), frame.shape[0])
        if first_x >= last_x or first_y >= last_y:
            return
        seen = _sampled(self.pixels, (np.arange(first_y, last_y) + 0.5 - top) * ratio - 0.5, 0)
        seen = _sampled(seen, (np.arange(first_x, last_x) + 0.5 - left) * ratio - 0.5, 1)
        below = frame[first_y:last_y, first_x:last_x]
        # A half for rounding; the layer's colours keep within 0 to 255 and so does every mixture.
        below[...] = (below * (1 - seen[..., 3:]) + seen[..., :3] + np.float32(0.499)).astype(np.uint8)


def _sampled(pixels: np.ndarray, places: np.ndarray, axis: int) -> np.ndarray:
    """Linear interpolation along one axis; the layer's transparent rim stands for all that lies outside."""
    low = np.clip(np.floor(places).astype(int), 0, pixels.shape[axis] - 2)
    share = np.clip(places - low, 0, 1).astype(np.float32).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
    first, second = np.take(pixels, low, axis), np.take(pixels, low + 1, axis)
    second -= first
    second *= share
    second += first
    return second


def draw_characters(
    frames: np.ndarray,
    characters: tuple[Character, ...],
    lips: list[tuple[np.ndarray, np.ndarray]],
    times: np.ndarray,
    views: list[View],
) -> None:
    """Draw all characters into `frames` uint8 [T, H, W, 3].

    Args:
        lips: per character the opening (0 to 1) and width (-1 to 1) of its lips at each picture, each [T].
        times: seconds of the pictures, [T].
        views: the camera at each picture; before a still one the pictures must be equal when they come in.
    """
    finest = max(view.scale for view in views)
    # Bodies stand still: before a still camera they are the same in every picture.
    still = all(view == views[0] for view in views)
    for character in characters:
        # As far down as any of the pictures shows.
        depth = max((view.height - view.row(character.y)) / (view.scale * character.size) for view in views)
        body = _body(character, finest * character.size, max(depth, 2.0) + 0.2)
        for frame, view in zip(frames[:1] if still else frames, views, strict=False):
            body.onto(frame, view.column(character.x), view.row(character.y), view.scale * character.size)
    if still:
        frames[1:] = frames[:1]
    for character, (opening, width) in zip(characters, lips, strict=True):
        head = _head(character, finest * character.size)
        shift, nod, lids = manner(character, times)
        for n, (frame, view) in enumerate(zip(frames, views, strict=True)):
            scale = view.scale * character.size
            column = view.column(character.x) + float(shift[n]) * scale
            row = view.row(character.y) + float(nod[n]) * scale
            head.onto(frame, column, row, scale)
            if lids[n] > 0.02:
                _draw_lids(frame, character, float(lids[n]), column, row, scale)
            _draw_mouth(frame, character, float(opening[n]), float(width[n]), column, row, scale)


def manner(character: Character, times: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How far the head is aside and down (in half head widths) and the lids are closed (0 to 1), each [T]."""
    rng = np.random.default_rng([404, character.manner])
    speed, phase = 2 * math.pi * rng.uniform(0.25, 0.6, 2), rng.uniform(0, 2 * math.pi, 2)
    reach = _SWAY * rng.uniform(0.3, 1.0, 2)
    pause, first = rng.uniform(1.3, 3.0), rng.uniform(0.2, 2.0)
    since = (times - first + 0.1) % pause
    lids = np.where(times > first - 0.1, np.clip(1.25 - np.abs(since - 0.1) / 0.075, 0, 1), 0.0)
    return (
        reach[0] * np.sin(speed[0] * times + phase[0]),
        0.6 * reach[1] * np.sin(speed[1] * times + phase[1]),
        lids,
    )


def mouth_place(character: Character, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The middle of the mouth beside and below (x, y) of the character, in half head widths, each [T]."""
    shift, nod, _ = manner(character, times)
    return shift + _aside(character), nod + MOUTH_Y


def covered(characters: tuple[Character, ...], times: np.ndarray, views: list[View]) -> np.ndarray:
    """How much of every pixel the characters cover, mouths closed, 0 to 1, float32 [T, H, W]."""
    shut = [(np.zeros(len(times)), np.zeros(len(times))) for _ in characters]
    black, white = (
        np.full((len(times), views[0].height, views[0].width, 3), level, dtype=np.uint8) for level in (0, 255)
    )
    for frames in (black, white):
        draw_characters(frames, characters, shut, times, views)
    seen_through: np.ndarray = (white.astype(np.float32) - black).mean(axis=-1) / 255
    return 1 - seen_through


def _aside(character: Character) -> float:
    """How far the features are beside the middle of the head, in half head widths."""
    return _TURNED * character.turn


def _lit(layer: _Layer, character: Character) -> _Layer:
    """The layer, lighter on the side from which the light comes."""
    if character.light:
        layer.pixels[..., :3] *= (1 + _SHADE * character.light * np.clip(layer.x, -1.2, 1.2))[..., None]
        np.minimum(layer.pixels[..., :3], 255 * layer.pixels[..., 3:], out=layer.pixels[..., :3])
    return layer


def _shaded(colour: Colour, layer: _Layer, amount: float) -> np.ndarray:
    """The colour, a little lighter above and darker below, [h, w, 3]."""
    tone = 1 - amount * np.clip(layer.y, -1.2, 1.2) + 0 * layer.x
    return np.clip(np.asarray(colour, dtype=np.float32) * tone[..., None], 0, 255)


def _body(character: Character, scale: float, depth: float) -> _Layer:
    broad = {"man": 1.5, "woman": 1.36, "child": 1.22}[character.person]
    layer = _Layer(scale, -broad - 0.1, broad + 0.1, 0.4, depth)
    skin, clothes = SKINS[character.skin], COLOURS[character.clothes]
    if character.style == "long":
        layer.paint(layer.inside(box_distance(layer.x, layer.y - 0.4, 1.18, 1.5, 0.7)), 0.8 * _hair(character))
    neck = 0.46 if character.person == "man" else 0.36
    shoulders = layer.inside(box_distance(layer.x, layer.y - 101.6, broad, 100.0, 0.85))
    tone = 1.02 - 0.05 * np.clip(layer.y - 1.6, 0, 3) - 0.10 * np.abs(layer.x / broad) ** 3
    if character.pattern == "striped":
        tone = tone - 0.26 * np.clip(np.cos(7.5 * layer.y) / 0.3, 0, 1)
    layer.paint(shoulders, np.clip(np.asarray(clothes) * tone[..., None], 0, 255))
    layer.ellipse(0.0, 1.62, neck + 0.22, 0.34, 0.80 * np.asarray(clothes))
    layer.ellipse(0.0, 1.58, neck + 0.12, 0.27, 0.86 * np.asarray(skin))
    layer.paint(layer.inside(box_distance(layer.x, layer.y - 1.1, neck, 0.62, 0.2)), 0.86 * np.asarray(skin))
    if character.pattern == "collared":
        for side in (-1, 1):
            point = segment_distance(layer.x - side * (neck + 0.26), layer.y - 1.5, -side * neck, 0.62) - 0.10
            layer.paint(layer.inside(point), 0.5 * np.asarray(clothes) + 120.0)
    return _lit(layer, character)


def _hair(character: Character) -> np.ndarray:
    return np.asarray(HAIR_RGB[character.hair], dtype=np.float32)


def _head(character: Character, scale: float) -> _Layer:
    tall, power = HEADS[character.head]
    layer = _Layer(scale, -1.5, 1.5, -1.95, 1.75)
    skin, hair = np.asarray(SKINS[character.skin], dtype=np.float32), _hair(character)
    x, y = layer.x, layer.y
    _hair_behind(layer, character, tall)
    for side in (-1, 1):
        layer.ellipse(side * 0.98, 0.08, 0.15, 0.24, 0.92 * skin)
    # A superellipse whose lower half is narrower than its upper.
    narrow = 1 - {"man": 0.07, "woman": 0.15, "child": 0.05}[character.person] * np.clip(y, 0, 1.2) ** 2
    level = (np.abs(x / narrow) ** power + np.abs(y / tall) ** power) ** (1 / power)
    face = layer.inside((level - 1) * 0.95)
    layer.paint(face, _shaded(skin, layer, 0.05))
    aside = _aside(character)
    if character.beard:
        cheeks = ellipse_distance(x - aside, y - 0.02, 0.80, 0.46)
        layer.paint(face * layer.inside(-cheeks) * layer.inside(0.12 - y), 0.92 * hair)
    else:
        for side in (-1, 1):
            blush = 0.30 * np.exp(-(((x - aside - side * 0.6) / 0.2) ** 2 + ((y - 0.34) / 0.14) ** 2))
            layer.paint(blush, 0.5 * skin + np.array([120.0, 50.0, 46.0]))
    _hair_before(layer, character, tall, face)
    _eyes(layer, character)
    nose = 0.10 if character.person == "man" else 0.075
    layer.ellipse(aside, 0.24, nose, 0.13, 0.84 * skin)
    layer.ellipse(aside - 0.02, 0.20, 0.6 * nose, 0.10, 0.97 * skin)
    _accessory(layer, character, tall)
    return _lit(layer, character)


def _accessory(layer: _Layer, character: Character, tall: float) -> None:
    """What is worn on the head, over hair and face."""
    if not character.accessory:
        return
    colour = np.asarray(COLOURS[character.accent], dtype=np.float32)
    x, y, aside = layer.x, layer.y, _aside(character)
    skull = ellipse_distance(x, y + 0.06, 1.07, tall + 0.07)
    match character.accessory:
        case "cap":
            layer.paint(layer.inside(np.maximum(skull, y + 0.50)), _shaded(colour, layer, 0.14))
            peak = box_distance(x - 1.5 * aside, y + 0.50, 0.80, 0.09, 0.08)
            layer.paint(layer.inside(peak), 0.7 * colour)
        case "headband":
            layer.paint(layer.inside(np.maximum(skull, np.abs(y + 0.62) - 0.10)), _shaded(colour, layer, 0.14))
        case "earrings":
            for side in (-1, 1):
                layer.ellipse(side * 1.02, 0.42, 0.12, 0.16, colour)


def _hair_behind(layer: _Layer, character: Character, tall: float) -> None:
    hair = _hair(character)
    dark = _shaded(0.86 * hair, layer, 0.10)
    match character.style:
        case "long":
            layer.paint(layer.inside(box_distance(layer.x, layer.y - 0.28, 1.20, tall + 0.42, 1.0)), dark)
        case "curly":
            for turn in np.linspace(math.radians(-205), math.radians(25), 11):
                layer.ellipse(1.0 * math.cos(turn), tall * 0.98 * math.sin(turn) - 0.05, 0.36, 0.36, 0.9 * hair)
        case "bun":
            layer.ellipse(0.0, -tall - 0.26, 0.42, 0.38, 0.9 * hair)
            layer.ellipse(0.0, -0.36, 1.08, tall - 0.2, 0.86 * hair)
        case "short":
            layer.ellipse(0.0, -0.36, 1.08, tall - 0.2, 0.86 * hair)


def _hair_before(layer: _Layer, character: Character, tall: float, face: np.ndarray) -> None:
    """The hair above the forehead."""
    if character.style == "bald":
        shine = np.exp(-(((layer.x + 0.28) / 0.26) ** 2 + ((layer.y + 0.74) / 0.15) ** 2))
        layer.paint(0.35 * shine * face, (255, 250, 240))
        return
    hair = _shaded(_hair(character), layer, 0.14)
    x, y = layer.x, layer.y
    cap = ellipse_distance(x, y + 0.06, 1.05, tall + 0.05)
    match character.style:
        case "long":
            edge = y + 0.56 - 0.45 * np.abs(x) ** 1.5 + 0.12 * x
            edge = np.minimum(edge, 0.84 - np.abs(x))
        case "curly":
            edge = y + 0.56 - 0.22 * x**2 + 0.05 * np.cos(9 * x)
        case "bun":
            edge = y + 0.62 - 0.38 * x**2
        case _:
            edge = y + 0.52 - 0.30 * x**2 - 0.16 * x
    layer.paint(layer.inside(np.maximum(cap, 0.85 * edge)), hair)


def _eyes(layer: _Layer, character: Character) -> None:
    hair = _hair(character)
    young = character.person == "child"
    half_x, half_y = (0.20, 0.20) if young else (0.19, 0.145)
    aside = _aside(character)
    for side in (-1, 1):
        x = side * _EYE_X + aside
        if character.person == "woman":
            layer.ellipse(x + 0.02 * side, _EYE_Y - 0.035, half_x + 0.035, half_y + 0.02, (38, 28, 30))
        layer.ellipse(x, _EYE_Y, half_x, half_y, (250, 250, 248))
        layer.ellipse(x, _EYE_Y + 0.01, 0.11, min(half_y, 0.135), (62, 54, 58))
        layer.ellipse(x - 0.035, _EYE_Y - 0.04, 0.035, 0.035, (255, 255, 255))
        thick = {"man": 0.055, "woman": 0.028, "child": 0.034}[character.person]
        brow = segment_distance(layer.x - x + 0.19, layer.y - _EYE_Y + 0.29, 0.38, 0.0) - thick
        brow_hair = 0.62 * hair if character.style != "bald" else np.array([60.0, 48.0, 42.0])
        layer.paint(layer.inside(brow), brow_hair)
        if character.glasses:
            ring = np.abs(box_distance(layer.x - x, layer.y - _EYE_Y - 0.01, 0.315, 0.265, 0.16)) - 0.035
            layer.paint(layer.inside(ring), (30, 30, 36))
    if character.glasses:
        bridge = segment_distance(layer.x - aside + 0.09, layer.y - _EYE_Y + 0.04, 0.18, 0.0) - 0.03
        layer.paint(layer.inside(bridge), (30, 30, 36))


def _draw_lids(frame: np.ndarray, character: Character, closed: float, column: float, row: float, scale: float) -> None:
    skin = 0.90 * np.asarray(SKINS[character.skin], dtype=np.float32)
    half_x, half_y = (0.225, 0.22) if character.person == "child" else (0.22, 0.165)
    for side in (-1, 1):
        place = side * _EYE_X + _aside(character)
        box = patch(frame, column + place * scale, row + _EYE_Y * scale, half_x * scale, half_y * scale)
        if box is None:
            continue
        eye = ellipse_distance(box.dx, box.dy, half_x * scale, half_y * scale)
        lid = box.dy - (2 * closed - 1) * half_y * scale
        box.blend(coverage(np.maximum(eye, lid)), skin * (1 + _SHADE * character.light * place))
        lash = np.maximum(eye, np.abs(lid + 0.03 * scale) - 0.03 * scale)
        box.blend(coverage(lash), (52, 38, 38))


def _draw_mouth(
    frame: np.ndarray, character: Character, opening: float, width: float, column: float, row: float, scale: float
) -> None:
    column += _aside(character) * scale
    half_x = MOUTH_HALF_WIDTH * (1 + 0.2 * width) * scale
    half_y = (0.018 + (MOUTH_REACH - 0.018) * opening) * scale
    # The upper lip stays, the jaw drops.
    middle = row + MOUTH_Y * scale + 0.55 * (half_y - 0.018 * scale)
    box = patch(frame, column, middle, half_x + 2, half_y + 0.14 * scale)
    if box is None:
        return
    lip = 0.085 if character.person == "woman" else 0.06
    skin = np.asarray(SKINS[character.skin], dtype=np.float32)
    red = (198, 62, 74) if character.person == "woman" else tuple(0.62 * skin + np.array([52.0, 8.0, 14.0]))
    outer = ellipse_distance(box.dx, box.dy, half_x, half_y + lip * scale)
    box.blend(coverage(outer), red)
    inner = ellipse_distance(box.dx, box.dy, half_x - 0.05 * scale, half_y)
    box.blend(coverage(inner), (72, 18, 26))
    if opening > 0.12:
        deep = half_y - 0.10 * scale
        teeth = np.maximum(inner + 0.03 * scale, box.dy + deep)
        box.blend(coverage(teeth) * min((opening - 0.12) / 0.15, 1.0), (246, 244, 238))
        tongue = np.maximum(inner + 0.02 * scale, -(box.dy - 0.35 * half_y))
        box.blend(coverage(tongue) * np.clip((opening - 0.35) / 0.25, 0, 1), (206, 92, 98))
