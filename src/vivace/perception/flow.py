"""Motion between pictures by block matching: no weights, any footage."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np

from vivace.perception.luma import reduced_luma

SIDE = 64  # pixels of the shorter side at which blocks are compared
STRIDE = 4  # pixels between the centres of blocks, which are twice as wide
REACH = 6  # pixels that are looked for in each direction
# Of 255, mean square: a block with less texture cannot be followed, and a match must be better than none by as much
# as noise could make it so.
_TEXTURE = 9.0
_GAIN = 2.0
DIRECTIONS = 8


@dataclass(frozen=True)
class Flow:
    """Displacements from each picture to the next.

    Args:
        vectors: [T - 1, rows, columns, 2] (right, down), in shorter picture sides; 0 where nothing can be followed.
        fps: pictures per second.
    """

    vectors: np.ndarray
    fps: float

    @property
    def speed(self) -> np.ndarray:
        """Mean speed of each step in shorter picture sides per second, [T - 1]."""
        lengths = np.linalg.norm(self.vectors, axis=-1)
        mean: np.ndarray = lengths.sum(axis=(1, 2)) / max(1, lengths[:1].size) * self.fps
        return mean


def measure_flow(frames: np.ndarray, fps: float) -> Flow:
    """Follow blocks of about an eighth of the picture's shorter side from picture to picture.

    Pictures are reduced to about 64 pixels; a block is searched up to 6 of them (a tenth of the shorter side) away, to
    a fraction of a pixel by a parabola. Where standing still explains a block as well, it stands still.

    Args:
        frames: uint8 [T, H, W, 3]; fps: pictures per second.
    """
    small, _ = reduced_luma(frames, SIDE)
    # A picture of less than two blocks' cells has none.
    rows, columns = (max(0, size // STRIDE - 1) for size in small.shape[1:])
    vectors = np.zeros((max(len(small) - 1, 0), rows, columns, 2), dtype=np.float32)
    reach = min(REACH, (min(small.shape[1:]) - 1) // 2)
    for n in range(len(vectors) if rows and columns else 0):
        vectors[n] = _match(small[n], small[n + 1], reach)
    return Flow(vectors / min(small.shape[1:]), fps)


def impact_envelope(flow: Flow) -> np.ndarray:
    """How suddenly motion ends in any of eight directions, one value for each picture, [T].

    The flow's mass in each direction is compared with that of the step after; what is lost, summed over the
    directions, peaks where a moving thing is stopped or turned back (Davis and Agrawala, "Visual rhythm and beat",
    2018, who use it for visual beats).
    """
    mass = direction_mass(flow)
    lost = np.maximum(mass[:-1] - mass[1:], 0.0).sum(axis=1)
    # Step n leads to picture n + 1, at which a motion that the next step lacks has ended.
    return np.concatenate([[0.0], lost, [0.0]]) if len(mass) else np.zeros(len(flow.vectors) + 1)


def direction_mass(flow: Flow) -> np.ndarray:
    """Speed in each of eight directions, summed over the picture, [T - 1, 8]."""
    right, down = flow.vectors[..., 0], flow.vectors[..., 1]
    angle = np.arctan2(down, right) / (2.0 * np.pi) * DIRECTIONS
    size = np.hypot(right, down)
    index = angle.round().astype(int) % DIRECTIONS
    return np.stack([(size * (index == k)).sum(axis=(1, 2)) for k in range(DIRECTIONS)], axis=1)


def _match(first: np.ndarray, second: np.ndarray, reach: int) -> np.ndarray:
    """Displacement (right, down) in pixels of each block, [rows, columns, 2]; blocks overlap by half.

    Only the rectangle that holds every block which may move is searched.
    """
    texture = _block_means(first**2) - _block_means(first) ** 2
    may_move = (texture > _TEXTURE) & (_block_means((second - first) ** 2) > _GAIN)
    vectors = np.zeros((*may_move.shape, 2))
    if not may_move.any():
        return vectors
    rows, columns = (_span(may_move.any(axis=axis)) for axis in (1, 0))
    top, bottom, left, right = (
        rows.start * STRIDE,
        (rows.stop + 1) * STRIDE,
        columns.start * STRIDE,
        (columns.stop + 1) * STRIDE,
    )
    wanted = first[top:bottom, left:right]
    around = np.pad(second, reach, mode="edge")[top : bottom + 2 * reach, left : right + 2 * reach]
    shifted = np.lib.stride_tricks.sliding_window_view(around, wanted.shape)
    vectors[rows, columns] = _nearest(_block_means((shifted - wanted) ** 2)) * may_move[rows, columns, None]
    return vectors


def _nearest(costs: np.ndarray) -> np.ndarray:
    """The shift (right, down) that costs least, or none where none is surely better, [rows, columns, 2].

    Args:
        costs: of every shift, [2 reach + 1, 2 reach + 1, rows, columns].
    """
    size = len(costs)
    reach = size // 2
    cost = costs.reshape(size * size, -1)
    least = cost.min(axis=0)
    down, right = np.divmod(cost.argmin(axis=0), size)
    moves = cost[reach * size + reach] - least > _GAIN + 0.1 * least
    blocks = np.arange(cost.shape[1])

    def refined(place: np.ndarray, step: int) -> np.ndarray:
        inner = (place > 0) & (place < size - 1)
        best = down * size + right
        before, after = (cost[np.where(inner, best + k * step, best), blocks] for k in (-1, 1))
        bend = before - 2.0 * least + after
        shift = np.where(bend > 1e-6, (before - after) / np.maximum(2.0 * bend, 1e-6), 0.0)
        return np.asarray((place - reach + np.clip(shift, -0.5, 0.5)) * moves)

    vectors: np.ndarray = np.stack([refined(right, 1), refined(down, size)], axis=-1).reshape(*costs.shape[2:], 2)
    return vectors


def _span(flags: np.ndarray) -> slice:
    """From the first to the last that is true."""
    found = np.flatnonzero(flags)
    return slice(int(found[0]), int(found[-1]) + 1)


def _block_means(values: np.ndarray) -> np.ndarray:
    """Means of the blocks of [..., H, W], [..., rows, columns]; what is left over at the edges is not looked at."""
    rows, columns = (size // STRIDE * STRIDE for size in values.shape[-2:])
    # By slices, which take a tenth of the time of a mean over two short axes.
    of_rows = reduce(np.add, (values[..., n:rows:STRIDE, :columns] for n in range(STRIDE)))
    means = reduce(np.add, (of_rows[..., n::STRIDE] for n in range(STRIDE))) / STRIDE**2
    blocks: np.ndarray = (means[..., :-1, :-1] + means[..., 1:, :-1] + means[..., :-1, 1:] + means[..., 1:, 1:]) / 4.0
    return blocks
