"""A scene's picture at any size and frame rate."""

from __future__ import annotations

import math

import numpy as np

from vivace.errors import VivaceError
from vivace.timeline import Timeline
from vivace.world.balls import draw_ball, draw_ball_shadow
from vivace.world.characters import draw_characters
from vivace.world.instruments import QUIET, draw_instrument, draw_mallet, reaction
from vivace.world.landscapes import Painter
from vivace.world.layout import View, mallet_path, view_at
from vivace.world.physics import ball_motion, since_strokes
from vivace.world.scene import Landscape, Scene
from vivace.world.shots import spans
from vivace.world.stage import paint_stage
from vivace.world.talk import lips
from vivace.world.vehicle import vehicle_x
from vivace.world.vehicle_picture import draw_vehicle

SMALLEST, LARGEST = 32, 2048


def check_size(height: int, width: int) -> None:
    """Raises VivaceError unless both sides are whole numbers of pixels from 32 to 2048."""
    for name, value in (("height", height), ("width", width)):
        if not isinstance(value, (int, np.integer)) or not SMALLEST <= value <= LARGEST:
            raise VivaceError(f"{name} {value!r} is not usable; give a whole number from {SMALLEST} to {LARGEST}.")


def render_video(scene: Scene, timeline: Timeline, height: int, width: int) -> np.ndarray:
    """The scene's pictures, uint8 RGB [timeline.frames, height, width, 3].

    Picture n shows the instant n / fps. The same instant looks the same at every frame rate, and every size and
    aspect ratio shows the whole scene.

    Raises:
        VivaceError: a side that is not from 32 to 2048 pixels.
    """
    check_size(height, width)
    return pictures_at(scene, timeline.frame_times(), height, width)


def pictures_at(scene: Scene, times: np.ndarray, height: int, width: int) -> np.ndarray:
    """The scene's pictures at `times` (seconds, ascending), uint8 RGB [times, height, width, 3]; sides as checked."""
    if scene.shots:
        shots = [(times[(times >= s.start) & (times < s.end)] - s.start, s.scene) for s in spans(scene, math.inf)]
        return np.concatenate([pictures_at(shown, within, height, width) for within, shown in shots if len(within)])
    views = [view_at(scene, float(time), height, width) for time in times]
    frames = np.empty((len(times), height, width, 3), dtype=np.uint8)
    if scene.landscape is not None:
        _draw_landscape(frames, scene, scene.landscape, times, views)
    elif scene.camera.move == "still":
        frames[...] = _as_bytes(paint_stage(scene.stage, View(height, width)))
    else:
        beyond = _wide_view(scene, height, width)
        wide = paint_stage(scene.stage, beyond), beyond
        for frame, view in zip(frames, views, strict=True):
            frame[...] = _as_bytes(_seen(wide, view))
    if scene.talk is not None:
        draw_characters(frames, scene.talk.characters, lips(scene.talk, times), times, views)
    if scene.instrument is None:
        _draw_balls(frames, scene, times, views)
    else:
        _draw_playing(frames, scene, times, views)
    return frames


def _as_bytes(picture: np.ndarray) -> np.ndarray:
    return (picture + 0.5).astype(np.uint8)


def _draw_landscape(
    frames: np.ndarray, scene: Scene, landscape: Landscape, times: np.ndarray, views: list[View]
) -> None:
    moving = scene.camera.move != "still"
    beyond = _wide_view(scene, *frames.shape[1:3]) if moving else views[0]
    painter = Painter(landscape, beyond)
    for frame, time, view in zip(frames, times, views, strict=True):
        picture = painter.picture(float(time))
        frame[...] = _as_bytes(_seen((picture, beyond), view) if moving else picture)
        if scene.vehicle is not None:
            draw_vehicle(frame, scene.vehicle, float(vehicle_x(scene.vehicle, float(time))), view)


def _draw_balls(frames: np.ndarray, scene: Scene, times: np.ndarray, views: list[View]) -> None:
    # The far lane first, so that the near ball passes in front.
    for ball in sorted(scene.balls, key=lambda ball: ball.lane):
        motion = ball_motion(ball, times)
        for n, (frame, view) in enumerate(zip(frames, views, strict=True)):
            x, height = float(motion.x[n]), float(motion.height[n])
            draw_ball_shadow(frame, ball, x, height, view)
            draw_ball(frame, ball, x, height, float(motion.squash[n]), scene.stage.light, view)


def _draw_playing(frames: np.ndarray, scene: Scene, times: np.ndarray, views: list[View]) -> None:
    instrument = scene.instrument
    assert instrument is not None
    if not scene.strokes:
        for frame, view in zip(frames, views, strict=True):
            draw_instrument(frame, scene, np.zeros(0), view)
        return
    path = mallet_path(scene, times)
    since = since_strokes(scene, times)
    resting: np.ndarray | None = None
    for n, (frame, view) in enumerate(zip(frames, views, strict=True)):
        moved = float(reaction(instrument.kind, since[n]).max()) > QUIET
        if scene.camera.move == "still" and not moved and scene.talk is None:
            # At rest the instrument is part of the background.
            if resting is None:
                resting = frame.copy()
                draw_instrument(resting, scene, np.full(len(scene.strokes), np.inf), view)
            frame[...] = resting
        else:
            draw_instrument(frame, scene, since[n], view)
        place, unit = view.column(float(path.x[n])), view.scale
        head = place + float(path.head_x[n]) * unit, view.row(instrument.lane) + float(path.head_y[n]) * unit
        hand = place + path.hand_x * unit, view.row(instrument.lane) + path.hand_y * unit
        draw_mallet(frame, scene, head, hand, view)


def _wide_view(scene: Scene, height: int, width: int) -> View:
    """The view of what lies beyond the picture's edges, a little finer than the picture, for a camera that moves."""
    reach = 1.04 / (1 - scene.camera.amount) + scene.camera.amount
    fine = 1.2
    tall, broad = round(height * reach * fine), round(width * reach * fine)
    # A view whose own picture is larger, at `fine` times the picture's pixels per unit.
    return View(tall, broad, zoom=fine * min(height, width) / min(tall, broad))


def _seen(wide: tuple[np.ndarray, View], view: View) -> np.ndarray:
    """What `view` sees of a wide picture [H, W, 3] with its own view, by linear interpolation along both axes."""
    stage, whole = wide
    scale = whole.scale / view.scale
    columns = whole.width / 2 + scale * (np.arange(view.width) + 0.5 - view.width / 2) - 0.5
    columns = columns + view.pan * view.width / 2 * view.zoom * scale
    rows = whole.height / 2 + scale * (np.arange(view.height) + 0.5 - view.height / 2) - 0.5
    return _lerp(_lerp(stage, rows, 0), columns, 1)


def _lerp(array: np.ndarray, places: np.ndarray, axis: int) -> np.ndarray:
    low = np.clip(np.floor(places).astype(int), 0, array.shape[axis] - 2)
    share = np.clip(places - low, 0, 1).astype(np.float32)
    share = share.reshape([-1 if i == axis else 1 for i in range(array.ndim)])
    first, second = np.take(array, low, axis), np.take(array, low + 1, axis)
    return first + share * (second - first)
