"""Networks of others that judge a clip: which there are, whether the user's weights fit, and what they say.

The networks and what their figures mean are those of `vivace evaluate` (docs/published-metrics.md); here are those
that need nothing beside the clip and its caption.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vivace.curation.model_print import folder_print
from vivace.curation.pulse import alive
from vivace.errors import VivaceError
from vivace.evaluation.digests import file_digest
from vivace.perception.published.weights import PUBLISHED

if TYPE_CHECKING:
    from vivace.evaluation.metric import ItemMetric, Sample
    from vivace.perception.published.syncnet import FaceTrack

# Of single pictures: a few of them stand for a clip, since each costs as much as a whole stage.
STILLS: Mapping[str, tuple[str, ...]] = {
    key: PUBLISHED[key].metrics for key in ("laion-aesthetic", "aesthetic-v2-5", "musiq", "maniqa")
}
# Of all pictures, the sound or both.
MOVING: Mapping[str, tuple[str, ...]] = {
    **{key: PUBLISHED[key].metrics for key in ("dnsmos", "audiobox", "syncnet", "synchformer", "cavp", "raft")},
    "imagebind": ("ib_score", "avh_score", "javis_score"),
}
# Of the clip against its caption.
WITH_CAPTION: Mapping[str, tuple[str, ...]] = {"clap": ("clap_score",), "clip-b32": ("clip_score",)}


def check_named(weights: Mapping[str, Path], table: Mapping[str, tuple[str, ...]]) -> None:
    """Whether these keys are of networks in `table` and something lies where they point; nothing is loaded.

    Raises:
        ValueError: one that is unknown, or not there.
    """
    for key, path in weights.items():
        if key not in table:
            raise ValueError(f"weights {key!r} are of no network that is asked here; name {', '.join(table)}")
        folder = PUBLISHED[key].folder
        if not (path.is_dir() if folder else path.is_file()):
            raise ValueError(
                f"weights {key!r} are not at {str(path)!r}, where a {'folder' if folder else 'file'} is due"
            )


def load_judges(weights: Mapping[str, Path], columns: Collection[str]) -> list[ItemMetric]:
    """The metrics called `columns` of the networks with these weights, which are loaded on the CPU.

    Args:
        weights: paths by key, all of them in one of the tables above.

    Raises:
        VivaceError: weights that are of another network or cannot be read, or a package that is not installed.
    """
    from vivace.evaluation.metric import ItemMetric
    from vivace.evaluation.published import published_metrics

    with _without_bars():
        metrics, skipped = published_metrics(weights)
    for lacking in skipped:
        if lacking.key in weights:
            # The rest of the sentence is on how `vivace evaluate` is told of weights.
            problem = lacking.reason.partition(";")[0]
            raise VivaceError(f"{problem}; see to that, or take {lacking.key!r} out of the recipe's weights.")
    return [metric for metric in metrics if isinstance(metric, ItemMetric) and metric.name in columns]


@contextmanager
def _without_bars() -> Iterator[None]:
    """Every worker would draw bars of its own, whose lock stays behind when the worker is ended."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def ask(metrics: Sequence[ItemMetric], sample: Sample) -> tuple[dict[str, float | None], dict[str, str]]:
    """Figures by metric, None where there is none, and why there is none."""
    from vivace.evaluation.metric import Undefined

    found: dict[str, float | None] = {}
    reasons: dict[str, str] = {}
    for metric in metrics:
        try:
            outcome = metric.outcome(sample)
        except VivaceError as error:  # pictures that are too small for the network, a sound without samples
            outcome = Undefined(str(error))
        if not isinstance(outcome, Undefined) and not math.isfinite(outcome[0]):
            outcome = Undefined("the network gives no finite number")
        if isinstance(outcome, Undefined):
            found[metric.name], reasons[metric.name] = None, outcome.reason
        else:
            found[metric.name] = round(float(outcome[0]), 5)
        alive()  # a network on a slow machine takes its time
    return found, reasons


def faces_seen(frames: np.ndarray) -> list[FaceTrack]:
    """The faces of pictures uint8 [T, H, W, 3] by our own detector, as SyncNet's adapter takes them."""
    from vivace.perception.faces import face_tracks
    from vivace.perception.published.syncnet import FaceTrack

    return [
        FaceTrack(0, np.stack([t.columns - t.sizes, t.rows - t.sizes, t.columns + t.sizes, t.rows + t.sizes], axis=1))
        for t in face_tracks(frames)
    ]


def weights_print(path: Path) -> str:
    """What tells these weights, a file or a folder, from others; hex digits.

    Raises:
        VivaceError: they cannot be read.
    """
    if path.is_dir():
        return folder_print(path)
    try:
        return file_digest(path)
    except OSError as error:
        raise VivaceError(f"Weights {str(path)!r} cannot be read ({error}); make the file readable.") from None
