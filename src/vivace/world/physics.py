"""Motion in closed form: bouncing balls and a swinging mallet.

Contact times are solutions of the equation of free fall, never found on a time grid, so truth, picture and sound
agree at every frame rate and sample rate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vivace.world.scene import Ball, Scene, Stroke

# Picture heights per second squared. Ours: a picture is then about 1.6 m high under Earth's gravity, and a drop from
# half of it bounces two to five times in two seconds.
GRAVITY = 6.0
# A rebound slower than this (its hop would last under 0.2 s and rise 0.03) does not leave the floor: the ball rests.
REST_SPEED = 0.6
REFERENCE_SPEED = 2.7  # the impact speed of strength 1
FLOOR_DRAG = 0.94  # of the horizontal speed, kept at each contact
ROLL_SECONDS = 0.45  # time constant with which a resting ball rolls out
SQUASH_SECONDS = 0.03

SWING_SECONDS = 0.26  # half a swing of the mallet when it is not hurried
SWING_ANGLE = 0.85  # radians, the largest

# Share of the impact speed that a ball keeps, by its material (row) and the floor's.
RESTITUTION: dict[str, dict[str, float]] = {
    "rubber": {"wood": 0.80, "metal": 0.83, "glass": 0.85, "rubber": 0.74, "stone": 0.86},
    "metal": {"wood": 0.60, "metal": 0.74, "glass": 0.72, "rubber": 0.66, "stone": 0.69},
    "glass": {"wood": 0.65, "metal": 0.75, "glass": 0.78, "rubber": 0.68, "stone": 0.74},
    "wood": {"wood": 0.60, "metal": 0.64, "glass": 0.63, "rubber": 0.60, "stone": 0.62},
    "stone": {"wood": 0.52, "metal": 0.60, "glass": 0.58, "rubber": 0.57, "stone": 0.56},
}
SOFTNESS: dict[str, float] = {"rubber": 1.0, "metal": 0.12, "glass": 0.1, "wood": 0.2, "stone": 0.1}


@dataclass(frozen=True)
class Leg:
    """A flight (or, with speed_up 0 and height 0, a roll) that begins at `start`."""

    start: float
    x: float
    speed_x: float
    height: float
    speed_up: float
    impact: float  # speed of the contact that began the leg; 0 for the first
    resting: bool = False


def legs(ball: Ball, until: float) -> list[Leg]:
    """The ball's flights that begin before `until` seconds, in order; the last may be its roll at rest."""
    lying = ball.height == 0 and ball.speed_up == 0
    path = [Leg(0.0, ball.x, ball.speed_x, ball.height, ball.speed_up, 0.0, resting=lying)]
    while not path[-1].resting:
        leg = path[-1]
        impact = math.sqrt(leg.speed_up**2 + 2 * GRAVITY * leg.height)
        flight = (leg.speed_up + impact) / GRAVITY
        start = leg.start + flight
        if start >= until:
            break
        rebound = impact * ball.restitution
        resting = rebound < REST_SPEED
        x = leg.x + leg.speed_x * flight
        path.append(Leg(start, x, leg.speed_x * FLOOR_DRAG, 0.0, 0.0 if resting else rebound, impact, resting))
    return path


def contact_times(height: float, speed_up: float, restitution: float, until: float) -> list[float]:
    """Times in seconds of a ball's contacts before `until`; the plain recursion behind `legs`, for trying throws."""
    impact = math.sqrt(speed_up**2 + 2 * GRAVITY * height)
    time = (speed_up + impact) / GRAVITY
    times = []
    while time < until:
        times.append(time)
        impact *= restitution
        if impact < REST_SPEED:
            break
        time += 2 * impact / GRAVITY
    return times


def contacts(ball: Ball, until: float) -> list[tuple[float, float, float]]:
    """(time s, x, impact speed) of each contact with the floor before `until` seconds."""
    return [(leg.start, leg.x, leg.impact) for leg in legs(ball, until)[1:]]


def rolled(leg: Leg, elapsed: np.ndarray | float) -> np.ndarray | float:
    """x of a resting ball `elapsed` seconds after it came to rest: it rolls out with a time constant."""
    return leg.x + leg.speed_x * ROLL_SECONDS * (1 - np.exp(-np.asarray(elapsed) / ROLL_SECONDS))


@dataclass(frozen=True)
class BallMotion:
    """A ball over time: x in [-1, 1], height of its lowest point, and how flat it is (0 round), each [times]."""

    x: np.ndarray
    height: np.ndarray
    squash: np.ndarray


def ball_motion(ball: Ball, times: np.ndarray) -> BallMotion:
    """Where the ball is at `times` (seconds, ascending from 0)."""
    path = legs(ball, float(times[-1]) + 1e-9) if len(times) else []
    x, height, squash = (np.zeros(len(times)) for _ in range(3))
    for leg, after in zip(path, [*path[1:], None], strict=True):
        here = (times >= leg.start) & ((times < after.start) if after else True)
        elapsed = times[here] - leg.start
        x[here] = rolled(leg, elapsed) if leg.resting else leg.x + leg.speed_x * elapsed
        rise = leg.height + leg.speed_up * elapsed - GRAVITY / 2 * elapsed**2
        height[here] = 0.0 if leg.resting else np.maximum(rise, 0.0)
        depth = 0.26 * SOFTNESS[ball.material] * min(leg.impact / REFERENCE_SPEED, 1.0)
        squash[here] = depth * np.exp(-elapsed / SQUASH_SECONDS)
    return BallMotion(x, height, squash)


def ball_strength(impact: float) -> float:
    """Strength in (0, 1] of a contact at this speed; a little steeper than linear, as hard hits also sound brighter."""
    return float(np.clip((impact / REFERENCE_SPEED) ** 1.1, 0.05, 1.0))


def swing(strokes: tuple[Stroke, ...], times: np.ndarray) -> np.ndarray:
    """The mallet's angle above the contact in radians, [times]: 0 exactly at each stroke, positive elsewhere.

    It reverses its speed at the contact as a bouncing mallet does, and hovers at the top of a long wait.
    """
    angle = np.empty(len(times))
    moments = np.array([stroke.time for stroke in strokes])
    following = np.searchsorted(moments, times, side="left")
    for gap in range(len(strokes) + 1):
        here = following == gap
        if not here.any():
            continue
        before = moments[gap - 1] if gap > 0 else -np.inf
        after = moments[gap] if gap < len(strokes) else np.inf
        half = min(SWING_SECONDS, (after - before) / 2)
        # A short gap leaves no time for a wide swing; a strong stroke takes a wider one.
        strength = strokes[gap].strength if gap < len(strokes) else 0.75
        reach = SWING_ANGLE * (0.45 + 0.55 * half / SWING_SECONDS) * (0.55 + 0.45 * strength)
        away = np.minimum(times[here] - before, after - times[here]) / half
        angle[here] = reach * (1 - (1 - np.minimum(away, 1.0)) ** 2)
    return angle


def mallet_x(strokes: tuple[Stroke, ...], positions: np.ndarray, times: np.ndarray) -> np.ndarray:
    """x of the mallet, [times]: on the struck position at each stroke, gliding between them."""
    moments = np.array([stroke.time for stroke in strokes])
    following = np.clip(np.searchsorted(moments, times, side="left"), 1, max(len(strokes) - 1, 1))
    if len(strokes) == 1:
        return np.full(len(times), positions[0])
    start, end = moments[following - 1], moments[following]
    share = np.clip((times - start) / (end - start), 0.0, 1.0)
    return positions[following - 1] + (positions[following] - positions[following - 1]) * share**2 * (3 - 2 * share)


def since_strokes(scene: Scene, times: np.ndarray) -> np.ndarray:
    """Seconds since each stroke, [times, strokes]; infinite before it."""
    moments = np.array([stroke.time for stroke in scene.strokes])
    since = times[:, None] - moments[None, :]
    return np.where(since >= 0, since, np.inf)
