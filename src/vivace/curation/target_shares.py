"""How many clips of each label are kept: the long tail towards uniform, and shares that are stated.

Everything here is counts; which clips they are is drawn in `vivace.curation.stages.balance`.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)
SPEAKING, SILENT = True, False


def tempered(sizes: Mapping[str, int], temper: float, wanted: Mapping[str, float], rare: float = 0.0) -> dict[str, int]:
    """How many clips each label keeps: in proportion to size ** temper times its factor, as many as can be had so
    that the label that is scarcest against its share keeps all.

    Args:
        wanted: factors by label or by the beginning of its path.
        rare: share of all clips below which a label is kept whole, unless its own factor lessens it, and scarce to
            nobody's cost: the others are tempered as if the scarcest had this share.
    """
    if not sizes:
        return {}
    floor = rare * sum(sizes.values())
    weights = weights_of(sizes, temper, wanted)
    scales = [n / weights[name] for name, n in sizes.items() if weights[name] > 0 and n >= floor]
    if len(scales) < len(sizes) and floor > 0:
        scales.append(floor ** (1 - temper))
    scale = min(scales, default=0.0)
    found = {name: min(n, max(1, round(scale * weights[name]))) if weights[name] else 0 for name, n in sizes.items()}
    for name, n in sizes.items():
        factor = _factor(name, wanted)
        if n < floor and factor > 0:
            found[name] = max(1, round(n * min(factor, 1.0)))
    return found


def weights_of(sizes: Mapping[str, int], temper: float, wanted: Mapping[str, float]) -> dict[str, float]:
    """What each label counts against the others."""
    return {name: n**temper * _factor(name, wanted) for name, n in sizes.items()}


def _factor(name: str, wanted: Mapping[str, float]) -> float:
    place = _place(name, wanted)
    return 1.0 if place is None else wanted[place]


def _place(name: str, paths: Mapping[str, float]) -> str | None:
    """The longest of the paths that the label lies under."""
    fitting = [path for path in paths if name == path or name.startswith(path + "/")]
    return max(fitting, key=len, default=None)


def shared(sizes: Mapping[Key, int], target: int) -> dict[Key, int]:
    """`target` clips from groups in proportion to their sizes, to the clip (largest remainders)."""
    return filled(sizes, {key: float(n) for key, n in sizes.items()}, target)


def filled(sizes: Mapping[Key, int], weights: Mapping[Key, float], target: int) -> dict[Key, int]:
    """`target` clips from groups in proportion to their weights, to the clip; what a group has not got comes from the
    others. Groups without weight give none."""
    found = dict.fromkeys(sizes, 0)
    open_ = sorted((key for key in sizes if weights[key] > 0), key=lambda key: (sizes[key] / weights[key], str(key)))
    left, weight = target, sum(weights[key] for key in open_)
    while open_ and sizes[open_[0]] * weight <= left * weights[open_[0]] * (1 + 1e-12):
        key = open_.pop(0)
        found[key] = min(sizes[key], left)
        left, weight = left - found[key], weight - weights[key]
    if left <= 0 or not open_:
        return found
    weight = sum(weights[key] for key in open_)
    exact = {key: left * weights[key] / weight for key in open_}
    found |= {key: min(int(value), sizes[key]) for key, value in exact.items()}
    rest = sorted(open_, key=lambda key: (found[key] - exact[key], str(key)))
    for key in rest[: left - sum(found[key] for key in open_)]:
        found[key] += 1
    return found


def stated(
    sizes: Mapping[bool, Mapping[str, int]],
    *,
    shares: Mapping[str, float],
    speaking: float | None,
    temper: float,
    wanted: Mapping[str, float],
    rare: float,
) -> dict[tuple[bool, str], int]:
    """How many clips each label keeps on the speaking and on the silent side where shares of all are stated.

    As many as can be had at these shares. What is stated for a path with fewer clips than `rare` of all is not waited
    for: it is kept whole and falls short, and so does what is stated for less than there is. Labels for which nothing
    is stated divide the rest as `tempered` has them, or are left out where nothing is left. The two sides come as near
    to the share of speaking clips as the labels allow.

    Args:
        sizes: clips by side (speaking or not) and label.
        shares: of all kept clips by path; no path under another.
    """
    sides = (SPEAKING, SILENT)
    paths = (*shares, "")  # "" is the rest
    members = {
        path: {
            side: {name: n for name, n in sizes.get(side, {}).items() if (_place(name, shares) or "") == path}
            for side in sides
        }
        for path in paths
    }
    weights = {side: weights_of(sizes.get(side, {}), temper, wanted) for side in sides}
    room = {
        path: {
            side: sum(n for name, n in inside.items() if weights[side][name] > 0)
            if path
            else sum(tempered(inside, temper, wanted, rare).values())
            for side, inside in members[path].items()
        }
        for path in paths
    }
    total = sum(sum(labels.values()) for labels in sizes.values())
    whole = sum(shares.values()) > 1 - 1e-9
    have = {path: sum(room[path].values()) for path in paths}
    waited = [path for path in shares if have[path] and have[path] >= rare * total]

    def counts(size: float) -> dict[str, float]:
        found = {path: min(share * size, have[path]) for path, share in shares.items()}
        return {**found, "": 0.0 if whole else size - sum(found.values())}

    def range_of(found: Mapping[str, float]) -> tuple[float, float]:
        """Fewest and most speaking clips among them."""
        low = sum(max(0.0, n - room[path][SILENT]) for path, n in found.items())
        return low, sum(min(n, room[path][SPEAKING]) for path, n in found.items())

    def fits(size: float, sided: bool) -> bool:
        found = counts(size)
        if found[""] > have[""] + 1e-6 or any(shares[path] * size > have[path] + 1e-6 for path in waited):
            return False
        low, high = range_of(found)
        return not sided or speaking is None or low - 1e-6 <= speaking * sum(found.values()) <= high + 1e-6

    def largest(sided: bool) -> float:
        low, high = 0.0, float(total)
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if fits(middle, sided) else (low, middle)
        return low

    size = largest(True)
    if size < max(rare * total, 1.0):  # the labels have too few of one side: then their shares go before
        size = largest(False)
    found = counts(size)
    low, high = range_of(found)
    spoken = speaking * sum(found.values()) if speaking is not None else _own(room, found)
    part = min(max((spoken - low) / (high - low), 0.0), 1.0) if high > low else 0.0
    targets = {}
    for path, n in found.items():
        least, most = max(0.0, n - room[path][SILENT]), min(n, room[path][SPEAKING])
        told = least + part * (most - least)
        for side, goal in ((SPEAKING, told), (SILENT, n - told)):
            inside = members[path][side]
            chosen = filled(inside, {name: weights[side][name] for name in inside}, round(goal + 1e-6))
            targets.update({(side, name): count for name, count in chosen.items()})
    return targets


def _own(room: Mapping[str, Mapping[bool, int]], found: Mapping[str, float]) -> float:
    """The speaking clips if each path keeps its own division."""
    return sum(n * room[path][SPEAKING] / (sum(room[path].values()) or 1) for path, n in found.items())
