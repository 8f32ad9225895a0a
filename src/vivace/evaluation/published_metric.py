"""What all published metrics share: their version, which says whether the adapter is verified, and what they read."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vivace.errors import VivaceError
from vivace.evaluation.metric import Direction, ItemMetric, Network, Sample, Scope, Undefined
from vivace.evaluation.set_metric import Features, SetMetric
from vivace.evaluation.set_values import SET_VALUES
from vivace.media import Clip
from vivace.perception.published.weights import PUBLISHED

NO_PROMPT = "no prompt is given"
UNVERIFIED = "unverified"  # in the version of a metric whose adapter has never run on the public weights
# References with which a clip makes a pair; the others say what is asked for, or where something is.
_PARTNERS = frozenset({"ref:sound", "ref:voice", "ref:video", "ref:image"})


def labelled(name: str, version: object) -> str:
    """A figure's name as every output shows it: with the word "unverified" where the metric's version says so.

    Args:
        version: of the metric; None where there is none.
    """
    return f"{name} ({UNVERIFIED})" if UNVERIFIED in str(version) else name


def item_metric(
    key: str,
    name: str,
    measure: Callable[[Sample], float | Undefined],
    requires: tuple[str, ...],
    direction: Direction = "higher",
    unit: str = "",
    *,
    network: Network,
) -> ItemMetric:
    """A metric of one clip by the network whose weights `key` names; its value over a set is the mean.

    One that requires a clip, sound or picture beside it is a metric of the pair.
    """

    def record(sample: Sample) -> list[float] | Undefined:
        value = measure(sample)
        return value if isinstance(value, Undefined) else [value, 1.0]

    scope: Scope = "pair" if _PARTNERS & set(requires) else "item"
    return ItemMetric(
        name,
        record,
        requires=requires,
        direction=direction,
        unit=unit,
        version=_version(key),
        scope=scope,
        network=network,
    )


def set_metric(
    key: str,
    name: str,
    features: Callable[[Sample], Features | Undefined],
    requires: tuple[str, ...],
    direction: Direction = "lower",
    *,
    network: Network,
) -> SetMetric:
    """A metric of a whole set by the network whose weights `key` names; `SET_VALUES` has what it computes."""
    value = SET_VALUES[name]
    return SetMetric(
        name,
        features,
        value.of,
        least=value.least,
        requires=requires,
        direction=direction,
        version=_version(key),
        over_n=value.over_n,
        network=network,
    )


def clip_of(sample: Sample) -> Clip:
    """A sample's clip.

    Raises:
        VivaceError: it has none.
    """
    if sample.clip is None:
        raise VivaceError(f"Sample {sample.id!r} has no clip; give one.")
    return sample.clip


def sound_of(clip: Clip | None) -> tuple[np.ndarray, int]:
    """A clip's sound [C, N] and its rate.

    Raises:
        VivaceError: it has none.
    """
    if clip is None or clip.audio is None:
        raise VivaceError("A clip or reference that is to be heard has no sound; give one that has.")
    return clip.audio, clip.sample_rate


def pictures_of(clip: Clip | None) -> np.ndarray:
    """A clip's pictures uint8 [T, H, W, 3].

    Raises:
        VivaceError: it has none.
    """
    if clip is None or clip.frames is None:
        raise VivaceError("A clip or reference that is to be seen has no pictures; give one that has.")
    return clip.frames


def _version(key: str) -> str:
    return "1" if PUBLISHED[key].verified else f"1, {UNVERIFIED}"
