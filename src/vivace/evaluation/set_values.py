"""What each published metric of whole sets computes from the features of its samples; no network is needed for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from vivace.evaluation.class_distributions import IS_SPLITS, inception_score, softmax
from vivace.evaluation.frechet import frechet_of_sets, kernel_distance
from vivace.evaluation.growing_sets import OverN, more_than_values
from vivace.evaluation.set_metric import Features


@dataclass(frozen=True)
class SetValue:
    """Args:
    of: the stacked features of all samples -> the value. over_n: how it depends on n. least: samples below which there
    is none.
    """

    of: Callable[[Features], float]
    over_n: OverN
    least: int = 2


def _enough_for_each_class(rows: Features) -> int:
    """Of an inception score: in each part a clip for every class that the set really uses (exp of its entropy)."""
    mean = softmax(rows["logits"]).mean(axis=0)
    return math.ceil(IS_SPLITS * math.exp(-float((mean * np.log(np.maximum(mean, 1e-300))).sum())))


_FRECHET = SetValue(lambda rows: frechet_of_sets(rows["generated"], rows["reference"]), OverN(more_than_values))
_KERNEL = SetValue(lambda rows: kernel_distance(rows["generated"], rows["reference"]), OverN(None))
_INCEPTION = SetValue(lambda rows: inception_score(rows["logits"])[0], OverN(_enough_for_each_class), IS_SPLITS)

SET_VALUES: Mapping[str, SetValue] = {
    "fd_panns": _FRECHET,
    "fd_passt": _FRECHET,
    "fd_vggish": _FRECHET,
    "fvd_videogpt": _FRECHET,
    "kvd_videogpt": _KERNEL,
    "is_panns": _INCEPTION,
    "is_passt": _INCEPTION,
}
