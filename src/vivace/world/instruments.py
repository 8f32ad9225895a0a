"""How the instruments and the mallet look, and how they answer a stroke."""

from __future__ import annotations

import math

import numpy as np

from vivace.world.canvas import box_distance, coverage, draw_shadow, ellipse_distance, patch, segment_distance
from vivace.world.layout import BELL_BEAM, BELL_CROWN, BELL_HEIGHT, View, bar_positions, bell_half_width, figure
from vivace.world.palette import COLOURS, bar_colours
from vivace.world.scene import Instrument, Scene

WOOD = (150, 112, 78)
DARK_WOOD = (96, 74, 58)
SKIN = (238, 230, 212)
HEADS = {"cream": (242, 234, 216), "dark": (52, 48, 54)}
QUIET = 0.004  # a reaction below this is not visible any more


def reaction(kind: str, since: np.ndarray) -> np.ndarray:
    """How much of a stroke is still visible `since` seconds after it, in [0, 1]; infinite seconds give 0."""
    lasts = {"drum": 0.11, "bell": 0.34, "woodblock": 0.055, "xylophone": 0.13}[kind]
    return np.exp(-since / lasts)


def draw_instrument(picture: np.ndarray, scene: Scene, since: np.ndarray, view: View) -> None:
    """Draw the scene's instrument; `since` [strokes]: seconds since each stroke, infinite before it."""
    instrument = scene.instrument
    assert instrument is not None
    strengths = np.array([stroke.strength for stroke in scene.strokes])
    felt = reaction(instrument.kind, since) * strengths
    match instrument.kind:
        case "drum":
            _drum(picture, instrument, float(min(felt.sum(), 1.2)), scene.stage.light, view)
        case "bell":
            finite = np.where(np.isfinite(since), since, 0.0)
            sway = float(np.sum(felt * np.sin(2 * math.pi * 2.6 * finite)))
            flash = float(min(np.sum(np.exp(-since / 0.09) * strengths), 1.2))
            _bell(picture, instrument, -scene.hand * 0.16 * sway, flash, scene.stage.light, view)
        case "woodblock":
            _woodblock(picture, instrument, float(min(felt.sum(), 1.2)), scene.stage.light, view)
        case "xylophone":
            glow = np.zeros(instrument.bars)
            np.add.at(glow, np.array([stroke.bar for stroke in scene.strokes], dtype=int), felt)
            _xylophone(picture, instrument, np.minimum(glow, 1.2), view)


def _drum(picture: np.ndarray, instrument: Instrument, felt: float, light: float, view: View) -> None:
    shape = figure(instrument, 1)
    unit = view.scale
    half, rise = shape.half_width * unit, 0.26 * shape.half_width * unit
    column, foot, top = view.column(instrument.x), view.row(instrument.lane), view.row(instrument.lane + shape.top)
    draw_shadow(picture, column, foot, 1.15 * half, 0.75 * rise, 0.5)
    body = patch(picture, column, (foot + top) / 2, half + 2, (foot - top) / 2 + rise + 2)
    if body is not None:
        nx = np.clip(body.dx / half, -1, 1)
        bulge = rise * np.sqrt(1 - nx**2)
        depth = (body.dy + (foot - top) / 2 - bulge) / (foot - top)  # 0 at the upper rim, 1 at the lower
        edge = np.maximum(np.abs(body.dx) - half, np.maximum((depth - 1) * (foot - top), (top - foot) / 2 - body.dy))
        turn = 0.86 + 0.22 * light * nx - 0.34 * nx**4 + 0.10 * np.cos(3 * nx + 0.8 * light)
        body.blend(coverage(edge), _tinted(COLOURS[instrument.colour], turn))
        for rim in (0.07, 0.93):
            ring = coverage(np.abs(depth - rim) * (foot - top) - 0.016 * unit) * (np.abs(body.dx) < half)
            body.blend(ring, _tinted((226, 218, 200), turn))
    skin = patch(picture, column, top, half + 2, rise + 2)
    if skin is not None:
        distance = ellipse_distance(skin.dx, skin.dy, half, rise)
        skin.blend(coverage(distance), (206, 198, 184))
        level = np.sqrt((skin.dx / half) ** 2 + (skin.dy / rise) ** 2)
        # The blow presses the middle of the skin in and lights its ring.
        tone = (
            0.95 + 0.05 * light * skin.dx / half + felt * (0.10 * np.cos(5 * level) - 0.42 * np.exp(-(level**2) / 0.09))
        )
        skin.blend(coverage(distance + 0.016 * unit), _tinted(SKIN, np.broadcast_to(tone, level.shape)))


def _tinted(colour: tuple[int, int, int], factor: np.ndarray) -> np.ndarray:
    return np.asarray(colour, dtype=np.float32) * factor.astype(np.float32)[..., None]


def _bell(picture: np.ndarray, instrument: Instrument, angle: float, flash: float, light: float, view: View) -> None:
    unit, size = view.scale, instrument.size
    column, foot = view.column(instrument.x), view.row(instrument.lane)
    beam, post = BELL_BEAM * unit, 0.23 * unit
    for side in (-1, 1):
        draw_shadow(picture, column + side * post, foot, 0.06 * unit, 0.02 * unit, 0.45)
        leg = patch(picture, column + side * post, foot + beam / 2, 0.03 * unit, -beam / 2 + 2)
        if leg is not None:
            leg.blend(coverage(box_distance(leg.dx, leg.dy, 0.017 * unit, -beam / 2, 0.01 * unit)), DARK_WOOD)
    bar = patch(picture, column, foot + beam, 0.28 * unit, 0.04 * unit)
    if bar is not None:
        bar.blend(coverage(box_distance(bar.dx, bar.dy, 0.265 * unit, 0.02 * unit, 0.015 * unit)), WOOD)
    reach = (BELL_CROWN - BELL_BEAM + 0.04 + BELL_HEIGHT * size) * unit
    box = patch(picture, column, foot + beam + reach / 2, 0.75 * reach, reach / 2 + 4)
    if box is None:
        return
    # Into the bell's own axes: turned about the beam, y downwards from the crown.
    dy = box.dy + reach / 2
    x = math.cos(angle) * box.dx + math.sin(angle) * dy
    y = -math.sin(angle) * box.dx + math.cos(angle) * dy - (BELL_CROWN - BELL_BEAM) * unit
    hanger = segment_distance(x, y + 0.05 * unit, 0.0, 0.05 * unit) - 0.012 * unit
    box.blend(coverage(hanger), (70, 66, 68))
    height = BELL_HEIGHT * size * unit
    clapper = np.hypot(x, y - height) - 0.028 * unit
    box.blend(coverage(clapper), (70, 66, 68))
    depth = np.clip(y / height, 0, 1)
    width = bell_half_width(depth) * size * unit
    # The crown is round: near the top the outline is that of a dome.
    width = width * np.sqrt(np.clip(1 - (1 - depth / 0.22).clip(0, 1) ** 2 * 0.85, 0, 1))
    edge = np.maximum((np.abs(x) - width) * 0.93, np.maximum(-y, y - height))
    nx = np.clip(x / np.maximum(width, 1e-3), -1, 1)
    shade = 0.84 - 0.32 * nx**4 + 0.16 * light * nx - 0.16 * np.exp(-(((depth - 0.84) / 0.035) ** 2)) + 0.10 * flash
    gleam = np.clip(0.62 * np.exp(-(((nx - 0.42 * np.sign(light + 1e-9)) / 0.20) ** 2)) * (0.75 + 0.45 * flash), 0, 0.9)
    colour = _tinted(COLOURS[instrument.colour], shade)
    box.blend(coverage(edge), colour + gleam[..., None] * (255 - colour) * 0.75)


def _woodblock(picture: np.ndarray, instrument: Instrument, felt: float, light: float, view: View) -> None:
    unit, size = view.scale, instrument.size
    column, foot = view.column(instrument.x), view.row(instrument.lane)
    half_x, half_y = 0.18 * size * unit, 0.075 * size * unit
    draw_shadow(picture, column, foot, 1.1 * half_x, 0.05 * unit, 0.5)
    for side in (-1, 1):
        leg = patch(picture, column + side * 0.62 * half_x, foot - 0.02 * unit, 0.04 * unit, 0.04 * unit)
        if leg is not None:
            leg.blend(coverage(box_distance(leg.dx, leg.dy, 0.03 * unit, 0.026 * unit, 0.01 * unit)), DARK_WOOD)
    middle = foot - 0.19 * size * unit + half_y + 0.022 * felt * unit
    box = patch(picture, column, middle, half_x + 2, half_y + 2)
    if box is None:
        return
    x, y = box.dx / half_x, box.dy / half_y
    grain = 0.045 * np.cos(10 * y + 2.2 * np.cos(2.4 * x + 0.5))
    shade = 0.92 - 0.18 * y + 0.07 * light * x + grain + 0.18 * felt
    outline = box_distance(box.dx, box.dy, half_x, half_y, 0.032 * unit)
    box.blend(coverage(outline), _tinted(COLOURS[instrument.colour], shade))
    top = coverage(box_distance(box.dx, box.dy + 0.72 * half_y, 0.92 * half_x, 0.20 * half_y, 0.012 * unit))
    box.blend((0.26 + 0.2 * felt) * top, (255, 250, 240))
    slot = coverage(box_distance(box.dx, box.dy - 0.28 * half_y, 0.72 * half_x, 0.17 * half_y, 0.014 * unit))
    box.blend(0.85 * slot, (40, 28, 26))


def _xylophone(picture: np.ndarray, instrument: Instrument, glow: np.ndarray, view: View) -> None:
    unit, size = view.scale, instrument.size
    columns = [view.column(float(x)) for x in bar_positions(instrument)]
    middle = view.row(instrument.lane - 0.16)
    spacing = columns[1] - columns[0]
    lengths = np.linspace(0.175, 0.115, instrument.bars) * size * unit
    draw_shadow(
        picture, view.column(instrument.x), middle + 0.15 * unit, 0.62 * (columns[-1] - columns[0]), 0.05 * unit, 0.4
    )
    for side in (-1, 1):
        # The two rails come nearer to one another towards the short bars.
        begin, end = side * 0.56 * lengths[0], side * 0.56 * lengths[-1]
        start, width = columns[0] - 0.5 * spacing, columns[-1] - columns[0] + spacing
        rail = patch(picture, start + width / 2, middle, width / 2 + 0.03 * unit, 0.62 * lengths[0] + 0.03 * unit)
        if rail is not None:
            line = segment_distance(rail.dx + width / 2, rail.dy - begin, width, end - begin) - 0.017 * unit
            rail.blend(coverage(line), DARK_WOOD)
    for column, length, colour, lit in zip(
        columns, lengths, bar_colours(instrument.colour, instrument.bars), glow, strict=True
    ):
        half = min(0.39 * spacing, 0.11 * unit)
        bar = patch(picture, column, middle + 0.010 * lit * unit, half + 2, length + 2)
        if bar is None:
            continue
        x, y = bar.dx / half, bar.dy / length
        shade = 0.93 - 0.12 * x**2 - 0.10 * y
        body = _tinted(colour, np.broadcast_to(shade, np.broadcast(x, y).shape))
        gleam = 0.22 * np.exp(-(((x + 0.35) / 0.22) ** 2)) * (1 - 0.4 * y**2)
        body = body + np.clip(gleam + 0.62 * lit * np.exp(-1.2 * y**2), 0, 0.8)[..., None] * (255 - body)
        bar.blend(coverage(box_distance(bar.dx, bar.dy, half, length, 0.022 * unit)), body)


def draw_mallet(
    picture: np.ndarray, scene: Scene, head: tuple[float, float], hand: tuple[float, float], view: View
) -> None:
    """The mallet from its head to a grip at the hand; both are pixel positions (column, row)."""
    instrument = scene.instrument
    assert instrument is not None
    unit = view.scale
    radius = figure(instrument, scene.hand).head * unit
    end_x, end_y = hand[0] - head[0], hand[1] - head[1]
    middle = head[0] + end_x / 2, head[1] + end_y / 2
    stick = patch(picture, *middle, abs(end_x) / 2 + 0.03 * unit, abs(end_y) / 2 + 0.03 * unit)
    if stick is not None:
        dx, dy = stick.dx + end_x / 2, stick.dy + end_y / 2
        stick.blend(coverage(segment_distance(dx, dy, end_x, end_y) - 0.0125 * unit), (196, 164, 122))
        grip = segment_distance(dx - 0.72 * end_x, dy - 0.72 * end_y, 0.28 * end_x, 0.28 * end_y)
        stick.blend(coverage(grip - 0.018 * unit), DARK_WOOD)
    ball = patch(picture, *head, radius + 1, radius + 1)
    if ball is not None:
        nx, ny = ball.dx / radius, ball.dy / radius
        level = nx**2 + ny**2
        facing = np.maximum((0.45 * scene.stage.light * nx - 0.6 * ny + 0.6 * np.sqrt(np.maximum(1 - level, 0))), 0)
        base = np.asarray(HEADS[scene.mallet], dtype=np.float32)
        colour = base * (0.74 + 0.30 * facing)[..., None] + (22 * facing**4)[..., None]
        ball.blend(coverage((np.sqrt(level) - 1) * radius), colour)
