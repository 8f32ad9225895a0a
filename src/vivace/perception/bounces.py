"""The moments at which a falling thing hits the ground, to a fraction of a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vivace.perception.thresholds import BounceThresholds


@dataclass(frozen=True)
class Turn:
    """A moment at which a motion downwards ends.

    Args:
        time: seconds.
        speed: downwards before it, in shorter picture sides per second.
        change: speed before minus (signed) speed after; more than `speed` where the thing rebounds.
        level: y at the moment, from the top, in shorter picture sides.
    """

    time: float
    speed: float
    change: float
    level: float


def bounces(times: np.ndarray, lower_end: np.ndarray, settings: BounceThresholds) -> list[Turn]:
    """Contacts of a ball with the ground.

    At a contact the velocity jumps, between contacts the fall is a parabola of one known curvature. Two such
    branches, or one and a rest, are fitted to the pictures around each jump and meet at the contact.

    Args:
        times: seconds, [n], ascending.
        lower_end: y of the thing's lowest point, from the top, in shorter picture sides, [n].
    """
    if len(times) < 5:
        return []
    step = float(np.median(np.diff(times)))
    bend = np.zeros(len(times))
    bend[1:-1] = (lower_end[2:] - 2 * lower_end[1:-1] + lower_end[:-2]) / step
    # A jump between two pictures is spread over both; their sum is the whole change of speed, less the fall meanwhile.
    jump = np.maximum(settings.gravity * step / 2 - bend, 0.0)
    jump[[0, -1]] = 0.0
    whole = jump + np.maximum(np.append(jump[1:], 0.0), np.insert(jump[:-1], 0, 0.0))
    around = max(1, round(settings.least_gap / step))
    centres = [
        k
        for k in range(1, len(times) - 1)
        if whole[k] > 0.7 * settings.least_change and jump[k] == jump[max(0, k - around) : k + around + 1].max()
    ]
    found: list[Turn] = []
    reach = max(2, round(settings.reach / step))
    for n, k in enumerate(centres):
        first = max(0, k - reach, centres[n - 1] + 2 if n else 0)
        last = min(len(times), k + reach + 1, centres[n + 1] - 1 if n + 1 < len(centres) else len(times))
        turn = _meeting(times[first:last], lower_end[first:last], float(times[k]), step, settings.gravity)
        if turn is not None and turn.change > settings.least_change and turn.speed > settings.least_speed:
            found.append(turn)
    # All contacts of one thing are on one ground; a kink in mid-air is a fault of the picture or of its outline.
    ground = float(np.quantile(lower_end, 0.95))
    return [turn for turn in found if abs(turn.level - ground) < settings.ground]


def _meeting(times: np.ndarray, y: np.ndarray, near: float, step: float, gravity: float) -> Turn | None:
    """The contact within 1.3 pictures of `near` that fits the pictures around it best."""
    best: tuple[float, Turn] | None = None
    for moment in near + step * np.linspace(-1.3, 1.3, 105):
        since = times - moment
        before, after = np.minimum(since, 0.0), np.maximum(since, 0.0)
        if (since < 0).sum() < 2 or (since > 0).sum() < 2:
            continue
        ones = np.ones(len(times))
        fall = gravity / 2 * before**2
        for resting in (False, True):
            columns = [ones, before] if resting else [ones, before, after]
            target = y - fall - (0.0 if resting else gravity / 2) * after**2
            basis = np.stack(columns, axis=1)
            solution, *_ = np.linalg.lstsq(basis, target, rcond=None)
            # The rest has one number fewer to fit with; a hair's breadth of tolerance decides for the simpler one.
            error = float(((basis @ solution - target) ** 2).sum()) + (0.0 if resting else 1e-6)
            if best is None or error < best[0]:
                rebound = 0.0 if resting else float(solution[2])
                best = error, Turn(float(moment), float(solution[1]), float(solution[1]) - rebound, float(solution[0]))
    return None if best is None else best[1]
