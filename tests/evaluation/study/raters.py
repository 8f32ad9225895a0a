"""Raters that are made up: they answer by chances that are known, so that an analysis can be held against them."""

import json
import urllib.error
import urllib.request
from typing import Any

import numpy as np

from vivace.evaluation.study.design import Pair
from vivace.evaluation.study.store import Study


def post(url: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """An answer of the study's server; its own words where it refuses."""
    request = urllib.request.Request(
        url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return dict(json.load(response))
    except urllib.error.HTTPError as error:
        return dict(json.load(error))


def answers(
    study: Study, pair: Pair, left: str, nets: dict[str, float], rng: np.random.Generator, *, careful: bool = True
) -> dict[str, str]:
    """What a rater says; a careful one hears a degraded sound and sees that clips are identical.

    Args:
        left: the file on the left. nets: axis -> chance that the first is better minus that it is worse; a quarter of
            the answers is "same".
    """
    sides = ("left", "right") if left == pair.first_clip else ("right", "left")
    said = {}
    for axis in study.design.axes:
        if pair.control is not None and careful:
            said[axis.name] = sides[0] if pair.control == "degraded" and axis.hears else "same"
            continue
        net = nets.get(axis.name, 0.0)
        better = (0.75 + net) / 2
        said[axis.name] = str(rng.choice([sides[0], "same", sides[1]], p=[better, 0.25, 0.75 - better]))
    return said
