"""The moments at which a swinging mallet strikes, to a fraction of a picture."""

from __future__ import annotations

import numpy as np

from vivace.perception.bounces import Turn
from vivace.perception.thresholds import StrokeThresholds


def strokes(times: np.ndarray, head: np.ndarray, settings: StrokeThresholds) -> list[Turn]:
    """Strokes of a mallet: moments at which its head is lowest and springs back.

    On either side of a stroke the head moves along its own parabola; the two meet at the stroke.

    Args:
        times: seconds, [n], ascending.
        head: y of the head, from the top, in shorter picture sides, [n].
    """
    if len(times) < 5:
        return []
    step = float(np.median(np.diff(times)))
    lowest = [k for k in _lowest(head, settings.least_fall) if 0 < k < len(times) - 1]
    found: list[Turn] = []
    for n, k in enumerate(lowest):
        before = (k - lowest[n - 1]) / 2 if n else settings.reach / step
        after = (lowest[n + 1] - k) / 2 if n + 1 < len(lowest) else settings.reach / step
        reach = [max(2, round(min(side, settings.reach / step))) for side in (before, after)]
        part = slice(max(0, k - reach[0]), min(len(times), k + reach[1] + 1))
        turn = _meeting(times[part], head[part], float(times[k]), step)
        if turn is not None and turn.change > settings.least_change:
            found.append(turn)
    return found


def _lowest(y: np.ndarray, least_fall: float) -> list[int]:
    """Indices of the maxima of y (lowest in the picture) that stand out by `least_fall` from the minima around them."""
    found: list[int] = []
    best, low = 0, float(y[0])
    rising = False
    for k, value in enumerate(y):
        if rising:
            if value > y[best]:
                best = k
            elif y[best] - value > least_fall:
                found.append(best)
                rising, low = False, float(value)
        elif value < low:
            low = float(value)
        elif value - low > least_fall:
            rising, best = True, k
    return found


def _meeting(times: np.ndarray, y: np.ndarray, near: float, step: float) -> Turn | None:
    """The moment within 1.2 pictures of `near` at which two branches through the pictures meet best."""
    best: tuple[float, Turn] | None = None
    for moment in near + step * np.linspace(-1.2, 1.2, 97):
        since = times - moment
        before, after = np.minimum(since, 0.0), np.maximum(since, 0.0)
        if (since < 0).sum() < 2 or (since > 0).sum() < 2:
            continue
        basis = np.stack([np.ones(len(times)), before, after, before**2, after**2], axis=1)
        # Few pictures between hurried strokes: a slight preference for branches that mirror one another settles them.
        basis = np.vstack([basis, [0.0, 1e-3, 1e-3, 0.0, 0.0], [0.0, 0.0, 0.0, 1e-4, -1e-4]])
        target = np.append(y, [0.0, 0.0])
        solution, *_ = np.linalg.lstsq(basis, target, rcond=None)
        error = float(((basis @ solution - target) ** 2).sum())
        if best is None or error < best[0]:
            speed, rebound = float(solution[1]), float(solution[2])
            best = error, Turn(float(moment), speed, speed - rebound, float(solution[0]))
    return None if best is None else best[1]
