"""Can a clip's own sound be told from another clip's: a model's synchrony with its own chance level built in."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.stats import rankdata

from vivace.evaluation.metric import Result
from vivace.evaluation.set_metric import Features, SetMetric

_LEAST_SPREAD = 0.01  # of a score between 0 and 1, so that d' stays finite


def area_under_curve(own: np.ndarray, other: np.ndarray) -> float:
    """Probability that a score of `own` is above one of `other`, ties half: the area under the ROC curve."""
    ranks = rankdata(np.concatenate([own, other]))
    return float((ranks[: len(own)].sum() - len(own) * (len(own) + 1) / 2) / (len(own) * len(other)))


def d_prime(own: np.ndarray, other: np.ndarray) -> float:
    """Difference of the means over the root of the mean variance (n), which is taken as 0.01 squared at least."""
    spread = np.sqrt((own.var() + other.var()) / 2.0)
    return float((own.mean() - other.mean()) / max(spread, _LEAST_SPREAD))


def swap_results(own: Mapping[str, float], other: Mapping[str, float]) -> dict[str, Result]:
    """`swap_auc` and `swap_d_prime` of scores by id of clips with their own sound and with another clip's."""

    def auc(rows: Features) -> float:
        return area_under_curve(rows["own"].ravel(), rows["other"].ravel())

    def d(rows: Features) -> float:
        return d_prime(rows["own"].ravel(), rows["other"].ravel())

    metrics = [
        SetMetric("swap_auc", _no_sample, auc, direction="higher"),
        SetMetric("swap_d_prime", _no_sample, d, direction="higher", unit="deviations"),
    ]
    for metric in metrics:
        for name in sorted(own.keys() & other.keys()):
            metric.add(name, {"own": np.array([own[name]]), "other": np.array([other[name]])})
    return {metric.name: metric.compute() for metric in metrics}


def _no_sample(sample: object) -> Features:
    raise AssertionError("scores are added, never asked for")
