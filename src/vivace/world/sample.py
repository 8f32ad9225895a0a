"""Drawing a scene from its seed."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from vivace.errors import VivaceError
from vivace.timeline import Timeline
from vivace.world.happenings import happenings
from vivace.world.palette import BALL_MATERIALS, COLOURS, FLOORS, RAINBOW, WALLS, are_neighbours
from vivace.world.physics import GRAVITY, RESTITUTION, contact_times, contacts, legs, rolled
from vivace.world.rhythm import EVEN, LEAD_IN, LEAD_OUT, MELODIES, largest_count, melody_bars, rhythms_for, stroke_times
from vivace.world.sample_landscapes import with_ambience, with_vehicle
from vivace.world.scene import (
    ALL_KINDS,
    CAMERA_MOVES,
    DEFAULT_SECONDS,
    KINDS,
    Ball,
    Camera,
    Instrument,
    Scene,
    Stage,
    Stroke,
)
from vivace.world.shots import SHORTEST_WITH_CUT, with_shots
from vivace.world.silence import with_silence
from vivace.world.splits import ball_is_held_out, count_is_held_out, generator, is_unseen_combination
from vivace.world.talk import draw_talk, draw_talk_beside

KIND_SHARES = {"impacts": 0.46, "drum": 0.13, "bell": 0.13, "woodblock": 0.13, "xylophone": 0.15}
DECORS: tuple[str, ...] = ("plain", "window", "discs", "stripes", "panel", "hills")
CAMERA_SHARE = 0.08
TWO_BALLS_SHARE = 0.3
SHORTEST_SCENE, LONGEST_SCENE = 0.8, 60.0
# What may be drawn is what covers the longest scene: up to a latent frame more of pictures.
LONGEST_COVERED = float(Timeline.covering(LONGEST_SCENE).seconds)
# Two balls' contacts keep this distance, so that each can be seen and heard by itself.
EVENT_DISTANCE = 0.1
LARGEST_BOUNCES = 8
# Drops that are tried for a ball before its scene does without it.
THROWS = 5000
EFFECTS: tuple[str, ...] = ("impacts", "impacts", "drum", "bell", "woodblock")  # beside somebody who speaks


def sample_scene(
    seed: int,
    split: str = "train",
    *,
    kind: str | None = None,
    seconds: float | None = None,
    unseen_combination: bool | None = None,
) -> Scene:
    """The scene of this seed: the same arguments give the same scene, on every machine.

    Args:
        seed: any whole number from 0 upwards; each is another scene.
        split: "train", "val" or "test" (see `vivace.world.splits`).
        kind: one of `ALL_KINDS`; drawn from `KINDS` when None.
        seconds: length for which events are made (default 49/24, the 49 pictures of a 2 s clip at 24 fps).
        unseen_combination: True or False choose scenes with or without a combination of attributes that training
            never shows; None takes either (in "train" it is always False).

    Raises:
        VivaceError: an unknown kind or split, a bad seed or length, unseen combinations asked of the train split.
    """
    rng = generator(seed, split)
    if kind is not None and kind not in ALL_KINDS:
        raise VivaceError(f"kind {kind!r} is unknown; use one of {', '.join(ALL_KINDS)}.")
    length = DEFAULT_SECONDS if seconds is None else seconds
    check_seconds(length, kind, LONGEST_COVERED)
    if split == "train" and unseen_combination:
        raise VivaceError("the train split has no unseen combinations; use split val or test for them.")
    wanted = False if split == "train" else unseen_combination
    kind = kind or str(rng.choice(KINDS, p=[KIND_SHARES[name] for name in KINDS]))
    while True:
        scene = _draw(rng, seed, split, kind, float(length))
        if wanted is None or is_unseen_combination(scene) == wanted:
            return scene


def check_seconds(seconds: float, kind: str | None = None, longest: float = LONGEST_SCENE) -> None:
    """The length of a scene that somebody asks for.

    Args:
        kind: of the scene, where it is chosen.
        longest: seconds that are let through.

    Raises:
        VivaceError: not a number in the range, or too short for what the kind shows.
    """
    if not (isinstance(seconds, (int, float)) and math.isfinite(seconds) and SHORTEST_SCENE <= seconds <= longest):
        raise VivaceError(
            f"seconds {seconds!r} is out of range; give a scene from {SHORTEST_SCENE} to {LONGEST_SCENE:g} s."
        )
    if kind == "shots" and seconds < SHORTEST_WITH_CUT:
        raise VivaceError(f"seconds {seconds!r} is too short for a cut; give shots at least {SHORTEST_WITH_CUT:g} s.")


def _draw(
    rng: np.random.Generator, seed: int, split: str, kind: str, seconds: float, two_balls: float = TWO_BALLS_SHARE
) -> Scene:
    stage = Stage(
        wall=str(rng.choice(list(WALLS))),
        floor=str(rng.choice(FLOORS)),
        horizon=_round(rng.uniform(0.60, 0.70)),
        light=_round(rng.uniform(-1, 1)),
        decor=str(rng.choice(DECORS)),
        decor_seed=int(rng.integers(2**31)),
    )
    camera = Camera()
    if rng.random() < CAMERA_SHARE:
        camera = Camera(str(rng.choice(CAMERA_MOVES[1:])), _round(rng.uniform(0.10, 0.14)))
    scene = Scene(
        seed=int(seed),
        split=split,
        kind=kind,
        seconds=seconds,
        stage=stage,
        balls=(),
        instrument=None,
        strokes=(),
        rhythm=None,
        melody=None,
        hand=int(rng.choice([-1, 1])),
        mallet="cream" if sum(WALLS[stage.wall]) < 420 else "dark",
        tuning=_round(rng.uniform(0.96, 1.04)),
        room=_round(rng.uniform(0.0, 1.0)),
        level=_round(rng.uniform(0.6, 0.8)),
        camera=camera,
    )
    match kind:
        case "talk":
            return replace(scene, talk=draw_talk(rng, split, seconds))
        case "talk with effect":
            return _beside_talk(rng, scene)
        case "ambience":
            return with_ambience(rng, scene)
        case "vehicle":
            return with_vehicle(rng, scene)
        case "silent":
            return with_silence(rng, scene, lambda inner: _draw(rng, seed, split, inner, seconds))
        case "shots":
            return with_shots(
                rng,
                scene,
                lambda inner, length: _allowed(rng, seed, split, inner, length),
                lambda shown, length: _again(rng, shown, length),
            )
    return _with_balls(rng, scene, two_balls) if kind == "impacts" else _with_instrument(rng, scene)


def _beside_talk(rng: np.random.Generator, scene: Scene) -> Scene:
    """A ball or an instrument in one half of the picture and somebody who speaks in the other."""
    kind = str(rng.choice(EFFECTS))
    side, margin = scene.hand, scene.camera.amount + 0.02
    if kind == "impacts":
        colour, material = str(rng.choice(list(COLOURS))), str(rng.choice(BALL_MATERIALS))
        radius, lane = _round(rng.uniform(0.07, 0.11)), _round(rng.uniform(0.80, 0.90))
        look = Ball(colour, material, radius, lane, 0.0, 0.0, 0.0, 0.0, 0.0)
        scene = replace(scene, balls=(_throw(rng, look, scene.stage.floor, scene.seconds, side, margin),))
    else:
        # The mallet comes from the picture's edge, not from the one who speaks.
        scene = _with_instrument(rng, replace(scene, kind=kind))
        assert scene.instrument is not None
        x = side * _round(rng.uniform(0.46, 0.54)) * (1 - scene.camera.amount)
        scene = replace(scene, kind="talk with effect", instrument=replace(scene.instrument, x=_round(x)))
    events = [event.time for event in happenings(scene, scene.seconds)]
    return replace(scene, talk=draw_talk_beside(rng, scene.split, scene.seconds, -side, events))


def _allowed(rng: np.random.Generator, seed: int, split: str, kind: str, seconds: float) -> Scene:
    """A scene as one shot, with one ball at most; in training without a combination that is kept out of it."""
    while True:
        scene = _draw(rng, seed, split, kind, seconds, two_balls=0.0)
        if split != "train" or not is_unseen_combination(scene):
            return scene


def _again(rng: np.random.Generator, shown: Scene, seconds: float) -> Scene:
    """Another scene of this length with the object of `shown`, which holds one ball or an instrument."""
    while True:
        scene = _allowed(rng, shown.seed, shown.split, shown.kind, seconds)
        if shown.instrument is not None and scene.instrument is not None:
            look = shown.instrument
            if shown.kind != "xylophone":
                return replace(scene, instrument=replace(scene.instrument, colour=look.colour, size=look.size))
            # Where a melody goes depends on the number of bars, which therefore has to come out the same.
            if scene.instrument.bars == look.bars:
                return replace(scene, instrument=replace(scene.instrument, colour=look.colour))
        elif shown.split != "train" or not ball_is_held_out(shown.balls[0].colour, scene.stage.floor):
            look_of_ball = replace(shown.balls[0], x=0.0, lane=scene.balls[0].lane)
            return replace(scene, balls=(_throw(rng, look_of_ball, scene.stage.floor, seconds, 0, 0.02),))


def _round(value: float) -> float:
    return round(float(value), 4)


def _with_balls(rng: np.random.Generator, scene: Scene, two_balls: float) -> Scene:
    first = str(rng.choice(list(COLOURS)))
    colours = [first]
    if rng.random() < two_balls:
        colours.append(str(rng.choice([name for name in COLOURS if not are_neighbours(name, first)])))
    sides = [0] if len(colours) == 1 else ([-1, 1] if rng.random() < 0.5 else [1, -1])
    materials = [str(rng.choice(BALL_MATERIALS)) for _ in colours]
    radii = [_round(rng.uniform(0.07, 0.13 if len(colours) == 1 else 0.11)) for _ in colours]
    # One is farther away than the other; the nearer stands lower in the picture.
    lanes = [_round(rng.uniform(0.80, 0.90))] if len(colours) == 1 else [_round(rng.uniform(0.78, 0.82)), 0.89]
    margin = scene.camera.amount + 0.02
    balls: list[Ball] = []
    taken: list[float] = []
    for colour, side, material, radius, lane in zip(colours, sides, materials, radii, lanes, strict=True):
        look = Ball(colour, material, radius, lane, 0.0, 0.0, 0.0, 0.0, 0.0)
        if not taken:
            ball = _throw(rng, look, scene.stage.floor, scene.seconds, side, margin)
        else:
            beside = _throw_clear_of(rng, look, scene.stage.floor, scene.seconds, side, margin, taken)
            if beside is None:
                break  # a short scene may have no room for a second ball's contacts
            ball = beside
        balls.append(ball)
        taken += [time for time, _, _ in contacts(ball, scene.seconds)]
    return replace(scene, balls=tuple(balls))


def _throw(rng: np.random.Generator, look: Ball, floor: str, seconds: float, side: int, margin: float) -> Ball:
    """The ball with a drop whose contacts fit the scene and stay in the picture."""
    while True:
        ball = _throw_clear_of(rng, look, floor, seconds, side, margin, [])
        if ball is not None:
            return ball


def _throw_clear_of(
    rng: np.random.Generator, look: Ball, floor: str, seconds: float, side: int, margin: float, taken: list[float]
) -> Ball | None:
    """The same, with contacts that keep clear of those `taken`; None where no drop is found that does."""
    typical = RESTITUTION[look.material][floor]
    wanted = int(rng.choice([1, 2, 3, 4, 5, 6, 7, 8], p=[0.10, 0.24, 0.26, 0.18, 0.12, 0.04, 0.03, 0.03]))
    # x in which the whole ball stays visible even in a square picture; two balls have a half each.
    edge = 1 - 2 * look.radius - margin
    low, high = {0: (-edge, edge), -1: (-edge, -2 * look.radius - 0.03), 1: (2 * look.radius + 0.03, edge)}[side]
    for attempt in range(1, THROWS + 1):
        height = _round(rng.uniform(0.16, look.lane - 2 * look.radius - 0.06))
        speed_up = _round(max(0.0, rng.uniform(-0.8, 1.0)))
        restitution = _round(min(max(typical * rng.uniform(0.93, 1.06), 0.4), 0.9))
        top = height + speed_up**2 / (2 * GRAVITY) + 2 * look.radius
        times = contact_times(height, speed_up, restitution, seconds + 0.06)
        fits = (
            top < look.lane - 0.02
            and len(times) >= 1
            and times[0] >= LEAD_IN
            and times[-1] <= seconds - LEAD_OUT
            and len(times) <= LARGEST_BOUNCES
            and all(abs(time - other) >= EVENT_DISTANCE for time in times for other in taken)
        )
        # The wanted number may be out of reach for these materials; then any number will do.
        if fits and (len(times) == wanted or attempt > 120):
            ball = replace(look, height=height, speed_up=speed_up, restitution=restitution)
            return _placed(rng, ball, low, high, seconds)
    return None


def _placed(rng: np.random.Generator, ball: Ball, low: float, high: float, seconds: float) -> Ball:
    """The ball with a start and a horizontal speed that keep it between `low` and `high`."""
    start = float(rng.uniform(low, high))
    end = float(rng.uniform(low, high))
    if rng.random() < 0.3:
        end = start  # straight down
    per_speed = _travel(replace(ball, x=0.0, speed_x=1.0), seconds)
    limit = 0.55 / max(per_speed, 1e-6)
    speed = np.clip((end - start) / max(per_speed, 1e-6), -2 * limit, 2 * limit)
    return replace(ball, x=_round(start), speed_x=_round(speed))


def _travel(ball: Ball, seconds: float) -> float:
    last = legs(ball, seconds)[-1]
    elapsed = seconds - last.start
    return float(rolled(last, elapsed)) if last.resting else last.x + last.speed_x * elapsed


def _with_instrument(rng: np.random.Generator, scene: Scene) -> Scene:
    kind = scene.kind
    room = scene.seconds - LEAD_IN - LEAD_OUT
    most = largest_count(room)
    if scene.split == "train":
        # Rejecting whole scenes would make training's rarer counts rarer still.
        counts = [n for n in range(1, most + 1) if not count_is_held_out(kind, n)]
    else:
        counts = list(range(1, most + 1))
    # 2 s hold one to five strokes, longer scenes up to eight.
    usual = 5 if scene.seconds < 2.6 else 8
    counts = [n for n in counts if n <= usual]
    count = int(rng.choice(counts))
    uneven = rhythms_for(count, room)
    rhythm: str | None = None if count == 1 else EVEN
    if uneven and rng.random() < 0.55:
        rhythm = str(rng.choice(uneven))
    times = stroke_times(rhythm, count, scene.seconds, rng)
    strengths = [_round(rng.uniform(0.6, 1.0)) for _ in times]
    colour = str(rng.choice(list(COLOURS)))
    melody: str | None = None
    places = [0] * count
    bars = 0
    x = _round(rng.uniform(-0.42, 0.42) * (1 - 2 * scene.camera.amount))
    if kind == "xylophone":
        bars = int(rng.integers(5, 9))
        colour = RAINBOW if rng.random() < 0.4 else colour
        melody = str(rng.choice([name for name in MELODIES if name not in ("up", "down") or 3 <= count <= bars]))
        places = melody_bars(melody, bars, count, rng)
        x = _round(rng.uniform(-0.05, 0.05))
    instrument = Instrument(
        kind=kind,
        colour=colour,
        size=_round(rng.uniform(0.86, 1.14)),
        x=x,
        lane=_round(rng.uniform(0.84, 0.89)),
        bars=bars,
    )
    strokes = tuple(Stroke(*values) for values in zip(times, strengths, places, strict=True))
    return replace(scene, instrument=instrument, strokes=strokes, rhythm=rhythm, melody=melody)
