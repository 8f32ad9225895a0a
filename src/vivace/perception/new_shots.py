"""Which sudden changes of the whole picture begin a new shot, and which are a camera thrown about or a light's flicker.

`vivace.perception.cuts` asks whether the pictures before and after differ everywhere. So they do in every few pictures
of a camera that is thrown about, which a viewer takes for one shot. Ours, set on procedural footage.
"""

from __future__ import annotations

import numpy as np

from vivace.perception.cuts import mean_colours

_CELLS = 12
_REACH = 4  # pictures before and after whose colours are compared; even, so that both hold a flicker's two sides
_AROUND = 8  # pictures on either side whose own changes say how restless it is there
_SMEAR = 2  # pictures next to a cut over which a decoder may spread it
_FEWEST = 3  # steps from which a side says anything
_CALM = 0.5  # of 255: mean step from one picture to the next that counts as none
_QUANTILES = np.linspace(2, 98, 33)
# Within shaken shots a step reaches 1.8 times those of the restless side, and colours differ by 2.0 of 255; in flicker
# these reach 1.0 and 6.1. Cuts beside a shaken or flickering shot begin at 3.6 times the calmer side, and 8 in colours;
# cuts between two shaken shots at 1.5 times, and 11 in colours.
_ALONE = 5.0
_RISE = 2.0
_COLOURS = 4.0
_OTHER_COLOURS = 8.0


def begins_shot(frames: np.ndarray, place: int) -> bool:
    """Whether the change at a place is a cut: it stands out from all changes around it, or the colours that are in the
    picture, wherever they are, become other ones; clearly so, unless it stands out from the calmer side.

    Args:
        frames: uint8 [T, H, W, 3]. place: number of the first picture after the change, from 1 on.
    """
    first = max(0, place - _AROUND - _SMEAR)
    grid = mean_colours(frames[first : place + _AROUND + _SMEAR + 1], min(_CELLS, *frames.shape[1:3]))
    steps = np.abs(np.diff(grid, axis=0)).mean(axis=(1, 2, 3))  # the step to picture n is steps[n - first - 1]
    here = place - first - 1
    sides = (steps[: max(0, here - _SMEAR)], steps[here + _SMEAR + 1 :])
    unrest = [max(float(np.median(side)), _CALM) for side in sides if len(side) >= _FEWEST]
    if not unrest or steps[here] >= _ALONE * max(unrest):
        return True
    before, after = frames[max(0, place - _REACH) : place], frames[place : place + _REACH]
    return colour_distance(before, after) >= (_COLOURS if steps[here] >= _RISE * min(unrest) else _OTHER_COLOURS)


def colour_distance(first: np.ndarray, second: np.ndarray) -> float:
    """How far the colours of two stretches of pictures uint8 [T, H, W, 3] are apart, 0 to 255, wherever in the picture
    they are and however bright both stretches: the mean distance between the quantiles of each channel, once both are
    brought to the brightness between theirs."""
    a, b = (np.percentile(pictures.reshape(-1, 3), _QUANTILES, axis=0) for pictures in (first, second))
    bright = max(float(first.mean()), 1.0), max(float(second.mean()), 1.0)
    common = sum(bright) / 2
    return float(np.abs(a * common / bright[0] - b * common / bright[1]).mean())
