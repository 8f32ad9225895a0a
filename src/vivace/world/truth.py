"""What is true about a rendered clip: every event and every object's path."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

import numpy as np

from vivace.timeline import Timeline
from vivace.world.happenings import happenings
from vivace.world.layout import figure, mallet_path, view_at
from vivace.world.palette import COLOURS, RAINBOW, bar_colours
from vivace.world.physics import ball_motion
from vivace.world.picture import check_size
from vivace.world.scene import Camera, Scene
from vivace.world.splits import is_unseen_combination


@dataclass(frozen=True)
class Event:
    """A contact that is seen and heard.

    `x` and `y` in [-1, 1] of the picture (y downwards) at that time, the camera's move included: `x` of the object
    that sounds, `y` of the contact (for a mallet, the middle of its head). `strength` in (0, 1]; `bar` of a xylophone
    from the left, else 0. `kind` is "ball:MATERIAL>FLOOR" or the instrument's name.
    """

    time: float
    kind: str
    object: int
    x: float
    y: float
    strength: float
    bar: int


@dataclass(frozen=True)
class ObjectTruth:
    """A thing in the picture; `path` holds its middle per frame as (x, y) in [-1, 1], y downwards."""

    kind: str
    colour: str
    material: str | None
    size: float  # radius of a ball or mallet head, half the width of an instrument; in lengths of the shorter side
    path: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Truth:
    """Everything a metric may compare a clip with. `palette` gives the RGB of each coloured object's colour."""

    kind: str
    floor: str
    seconds: float
    fps: float
    height: int
    width: int
    events: tuple[Event, ...]
    objects: tuple[ObjectTruth, ...]
    camera: Camera
    palette: dict[str, tuple[tuple[int, int, int], ...]]
    unseen_combination: bool

    @property
    def times(self) -> list[float]:
        """Times of all events in seconds."""
        return [event.time for event in self.events]

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), separators=(",", ":"))


def truth(scene: Scene, timeline: Timeline, height: int, width: int) -> Truth:
    """The truth about `scene` as shown on `timeline` at this size; events after its end are left out.

    Raises:
        VivaceError: a side that is not from 32 to 2048 pixels.
    """
    check_size(height, width)
    seconds = float(timeline.seconds)
    instrument = scene.instrument
    objects = _playing(scene, timeline, height, width) if instrument else _balls(scene, timeline, height, width)
    coloured = [instrument.colour] if instrument else [ball.colour for ball in scene.balls]
    events = []
    for event in happenings(scene, seconds):
        view = view_at(scene, event.time, height, width)
        lane = instrument.lane if instrument else scene.balls[event.object].lane
        x, y = view.screen(view.column(event.x), view.row(lane - event.lift))
        events.append(Event(event.time, event.kind, event.object, x, y, event.strength, event.bar))
    return Truth(
        kind=scene.kind,
        floor=scene.stage.floor,
        seconds=seconds,
        fps=float(timeline.fps),
        height=height,
        width=width,
        events=tuple(events),
        objects=objects,
        camera=scene.camera,
        palette={
            name: tuple(bar_colours(name, instrument.bars)) if instrument and name == RAINBOW else (COLOURS[name],)
            for name in coloured
        },
        unseen_combination=is_unseen_combination(scene),
    )


def _path(
    scene: Scene, times: np.ndarray, x: np.ndarray, beside: np.ndarray, y: np.ndarray, height: int, width: int
) -> tuple[tuple[float, float], ...]:
    path = []
    for time, place, shift, row in zip(times, x, beside, y, strict=True):
        view = view_at(scene, float(time), height, width)
        across, down = view.screen(view.column(float(place)) + float(shift) * view.scale, view.row(float(row)))
        path.append((round(across, 5), round(down, 5)))
    return tuple(path)


def _balls(scene: Scene, timeline: Timeline, height: int, width: int) -> tuple[ObjectTruth, ...]:
    times = timeline.frame_times()
    found = []
    for ball in scene.balls:
        motion = ball_motion(ball, times)
        middle = ball.lane - motion.height - ball.radius * (1 - motion.squash)
        path = _path(scene, times, motion.x, np.zeros(len(times)), middle, height, width)
        found.append(ObjectTruth("ball", ball.colour, ball.material, ball.radius, path))
    return tuple(found)


def _playing(scene: Scene, timeline: Timeline, height: int, width: int) -> tuple[ObjectTruth, ...]:
    instrument = scene.instrument
    assert instrument is not None
    times, still = timeline.frame_times(), np.ones(timeline.frames)
    shape = figure(instrument, scene.hand)
    middle = instrument.lane + shape.top / 2
    body = _path(scene, times, instrument.x * still, 0 * still, middle * still, height, width)
    mallet = mallet_path(scene, times)
    head = _path(scene, times, mallet.x, mallet.head_x, instrument.lane + mallet.head_y, height, width)
    return (
        ObjectTruth(instrument.kind, instrument.colour, None, shape.half_width, body),
        ObjectTruth("mallet", scene.mallet, None, shape.head, head),
    )
