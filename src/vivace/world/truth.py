"""What is true about a rendered clip: every event and every object's path."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, replace

import numpy as np

from vivace.timeline import Timeline
from vivace.world.happenings import happenings
from vivace.world.landscapes import LANE
from vivace.world.layout import figure, mallet_path, view_at
from vivace.world.palette import COLOURS, RAINBOW, bar_colours
from vivace.world.physics import ball_motion
from vivace.world.picture import check_size
from vivace.world.scene import Ambience, Camera, Landscape, Scene, Vehicle
from vivace.world.shots import is_same_object, spans
from vivace.world.splits import is_unseen_combination
from vivace.world.talk_truth import TalkTruth, talk_truth
from vivace.world.vehicle import HALF_VIEW, vehicle_x
from vivace.world.vehicle_picture import vehicle_size


@dataclass(frozen=True)
class Event:
    """A contact that is seen and heard (in a silent scene only seen).

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
    """A thing in the picture; `path` holds its middle per frame as (x, y) in [-1, 1], y downwards.

    The path begins at `first_frame`; in a clip of several shots it covers the frames of its own shot.
    """

    kind: str
    colour: str
    material: str | None
    size: float  # radius of a ball or mallet head, half the width of an instrument; in lengths of the shorter side
    path: tuple[tuple[float, float], ...]
    first_frame: int = 0


@dataclass(frozen=True)
class Passing:
    """A vehicle that passes: at `time` (s) its middle crosses the middle of the picture, and it is nearest.

    `speed` in m/s, `speed_x` in units of x per second (positive to the right), `engine` in Hz as heard at `time`.
    """

    time: float
    direction: str  # "left to right" or "right to left"
    speed: float
    speed_x: float
    engine: float


@dataclass(frozen=True)
class ShotTruth:
    """One shot of a clip. The times of its `truth` are those of the whole clip, its frames begin at `first_frame`.

    `same_object`: it shows the same object as the shot before.
    """

    start: float
    end: float
    first_frame: int
    same_object: bool
    truth: Truth


@dataclass(frozen=True)
class Truth:
    """Everything a metric may compare a clip with. `palette` gives the RGB of each coloured object's colour.

    `silent`: nothing is heard. `ambience`: the sound without a visible source. `floor`: None where none is seen, or one
    in each shot. `cuts`: seconds at which a new shot begins; the clip's own events and objects are those of all shots.
    """

    kind: str
    floor: str | None
    seconds: float
    fps: float
    height: int
    width: int
    events: tuple[Event, ...]
    objects: tuple[ObjectTruth, ...]
    camera: Camera
    palette: dict[str, tuple[tuple[int, int, int], ...]]
    unseen_combination: bool
    silent: bool = False
    landscape: Landscape | None = None
    ambience: Ambience | None = None
    passing: Passing | None = None
    cuts: tuple[float, ...] = ()
    shots: tuple[ShotTruth, ...] = ()
    talk: TalkTruth | None = None

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
    return _truth(scene, timeline.frame_times(), float(timeline.seconds), float(timeline.fps), height, width)


def _truth(scene: Scene, times: np.ndarray, seconds: float, fps: float, height: int, width: int) -> Truth:
    """The truth about the scene as shown at `times` (seconds, [frames])."""
    if scene.shots:
        return _of_shots(scene, times, seconds, fps, height, width)
    instrument, vehicle = scene.instrument, scene.vehicle
    coloured = [ball.colour for ball in scene.balls]
    dressed = [] if scene.talk is None else [character.clothes for character in scene.talk.characters]
    objects = _balls(scene, times, height, width)
    if instrument is not None:
        coloured, objects = [instrument.colour], _playing(scene, times, height, width)
    if vehicle is not None:
        coloured, objects = [vehicle.colour], (_driving(scene, vehicle, times, height, width),)
    events = []
    for event in happenings(scene, seconds):
        view = view_at(scene, event.time, height, width)
        lane = instrument.lane if instrument else scene.balls[event.object].lane
        x, y = view.screen(view.column(event.x), view.row(lane - event.lift))
        events.append(Event(event.time, event.kind, event.object, x, y, event.strength, event.bar))
    return Truth(
        kind=scene.kind,
        floor=scene.stage.floor if scene.landscape is None else None,
        seconds=seconds,
        fps=fps,
        height=height,
        width=width,
        events=tuple(events),
        objects=objects,
        camera=scene.camera,
        palette={
            name: tuple(bar_colours(name, instrument.bars)) if instrument and name == RAINBOW else (COLOURS[name],)
            for name in (*coloured, *dressed)
        },
        unseen_combination=is_unseen_combination(scene),
        silent=scene.silent,
        landscape=scene.landscape,
        ambience=scene.ambience,
        passing=None if vehicle is None else _passing(vehicle),
        talk=None if scene.talk is None else talk_truth(scene, scene.talk, times, seconds, height, width),
    )


def _of_shots(scene: Scene, times: np.ndarray, seconds: float, fps: float, height: int, width: int) -> Truth:
    shots: list[ShotTruth] = []
    events: list[Event] = []
    objects: list[ObjectTruth] = []
    palette: dict[str, tuple[tuple[int, int, int], ...]] = {}
    before: Scene | None = None
    for span in spans(scene, seconds):
        frames = np.flatnonzero((times >= span.start) & (times < span.end))
        first = int(frames[0]) if len(frames) else len(times)
        own = _truth(span.scene, times[frames] - span.start, span.end - span.start, fps, height, width)
        shifted = replace(
            own,
            events=tuple(replace(event, time=event.time + span.start) for event in own.events),
            objects=tuple(replace(thing, first_frame=first) for thing in own.objects),
        )
        same = before is not None and is_same_object(before, span.scene)
        shots.append(ShotTruth(span.start, span.end, first, same, shifted))
        events += [replace(event, object=event.object + len(objects)) for event in shifted.events]
        objects += shifted.objects
        palette |= own.palette
        before = span.scene
    return Truth(
        kind=scene.kind,
        floor=None,
        seconds=seconds,
        fps=fps,
        height=height,
        width=width,
        events=tuple(events),
        objects=tuple(objects),
        camera=scene.camera,
        palette=palette,
        unseen_combination=is_unseen_combination(scene),
        cuts=tuple(shot.start for shot in shots[1:]),
        shots=tuple(shots),
    )


def _passing(vehicle: Vehicle) -> Passing:
    direction = "left to right" if vehicle.direction > 0 else "right to left"
    speed_x = vehicle.direction * vehicle.speed / HALF_VIEW
    return Passing(vehicle.passing, direction, vehicle.speed, speed_x, vehicle.engine)


def _path(
    scene: Scene, times: np.ndarray, x: np.ndarray, beside: np.ndarray, y: np.ndarray, height: int, width: int
) -> tuple[tuple[float, float], ...]:
    path = []
    for time, place, shift, row in zip(times, x, beside, y, strict=True):
        view = view_at(scene, float(time), height, width)
        across, down = view.screen(view.column(float(place)) + float(shift) * view.scale, view.row(float(row)))
        path.append((round(across, 5), round(down, 5)))
    return tuple(path)


def _driving(scene: Scene, vehicle: Vehicle, times: np.ndarray, height: int, width: int) -> ObjectTruth:
    length, tall = vehicle_size(vehicle.kind)
    middle = np.full(len(times), LANE - tall / 2)
    path = _path(scene, times, vehicle_x(vehicle, times), np.zeros(len(times)), middle, height, width)
    return ObjectTruth(vehicle.kind, vehicle.colour, None, length / 2, path)


def _balls(scene: Scene, times: np.ndarray, height: int, width: int) -> tuple[ObjectTruth, ...]:
    found = []
    for ball in scene.balls:
        motion = ball_motion(ball, times)
        middle = ball.lane - motion.height - ball.radius * (1 - motion.squash)
        path = _path(scene, times, motion.x, np.zeros(len(times)), middle, height, width)
        found.append(ObjectTruth("ball", ball.colour, ball.material, ball.radius, path))
    return tuple(found)


def _playing(scene: Scene, times: np.ndarray, height: int, width: int) -> tuple[ObjectTruth, ...]:
    instrument = scene.instrument
    assert instrument is not None
    still = np.ones(len(times))
    shape = figure(instrument, scene.hand)
    middle = instrument.lane + shape.top / 2
    body = _path(scene, times, instrument.x * still, 0 * still, middle * still, height, width)
    played = ObjectTruth(instrument.kind, instrument.colour, None, shape.half_width, body)
    if not scene.strokes:
        return (played,)
    mallet = mallet_path(scene, times)
    head = _path(scene, times, mallet.x, mallet.head_x, instrument.lane + mallet.head_y, height, width)
    return played, ObjectTruth("mallet", scene.mallet, None, shape.head, head)
