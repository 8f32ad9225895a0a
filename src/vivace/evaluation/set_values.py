"""What each published metric of whole sets computes from the features of its samples; no network is needed for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vivace.evaluation.class_distributions import IS_SPLITS, inception_score
from vivace.evaluation.frechet import frechet_of_sets, kernel_distance
from vivace.evaluation.set_metric import Features


@dataclass(frozen=True)
class SetValue:
    """Args:
    of: the stacked features of all samples -> the value. least: samples below which there is none.
    """

    of: Callable[[Features], float]
    least: int = 2


_FRECHET = SetValue(lambda rows: frechet_of_sets(rows["generated"], rows["reference"]))
_KERNEL = SetValue(lambda rows: kernel_distance(rows["generated"], rows["reference"]))
_INCEPTION = SetValue(lambda rows: inception_score(rows["logits"])[0], IS_SPLITS)

SET_VALUES: Mapping[str, SetValue] = {
    "fd_panns": _FRECHET,
    "fd_passt": _FRECHET,
    "fd_vggish": _FRECHET,
    "fvd_videogpt": _FRECHET,
    "kvd_videogpt": _KERNEL,
    "is_panns": _INCEPTION,
    "is_passt": _INCEPTION,
}
