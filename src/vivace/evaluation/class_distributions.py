"""KL divergence and inception score, from a classifier's outputs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from vivace.errors import VivaceError

IS_SPLITS = 10
IS_SEED = 2020


def softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis, in float64."""
    shifted = np.asarray(logits, dtype=np.float64)
    shifted = shifted - shifted.max(axis=-1, keepdims=True)
    raised = np.exp(shifted)
    shares: np.ndarray = raised / raised.sum(axis=-1, keepdims=True)
    return shares


def kl_divergence(reference: np.ndarray, generated: np.ndarray, *, inside: float = 0.0) -> float:
    """KL(reference || generated) of one pair of logits [classes], in nats.

    Args:
        inside: added to the generated probability inside the logarithm: 0 for av-benchmark, 1e-6 for Verse-Bench
            (which takes logits that are averaged over windows).
    """
    true, made = softmax(reference), softmax(generated) + inside
    some = true > 0
    with np.errstate(divide="ignore"):
        return float((true[some] * (np.log(true[some]) - np.log(made[some]))).sum())


def inception_score(logits: np.ndarray, *, splits: int = IS_SPLITS, seed: int = IS_SEED) -> tuple[float, float]:
    """exp of the mean KL(p || mean p), mean and deviation over `splits` parts of a shuffled set (av-benchmark).

    Args:
        logits: [n, classes], n at least `splits`.

    Raises:
        VivaceError: fewer clips than parts.
    """
    if len(logits) < splits:
        raise VivaceError(f"{len(logits)} clips cannot be divided into {splits} parts; give more, or fewer splits.")
    shares = softmax(logits)
    # The published shuffle is NumPy's legacy one; another would split the set otherwise.
    order = np.random.RandomState(seed).permutation(len(shares))
    scores = []
    for part in _parts(shares[order], splits):
        mean = part.mean(axis=0, keepdims=True)
        ratio = np.log(np.maximum(part, 1e-300)) - np.log(np.maximum(mean, 1e-300))
        scores.append(float(np.exp((part * ratio).sum(axis=1).mean())))
    return float(np.mean(scores)), float(np.std(scores))


def _parts(rows: np.ndarray, splits: int) -> Sequence[np.ndarray]:
    edges = [k * len(rows) // splits for k in range(splits + 1)]
    return [rows[start:end] for start, end in itertools.pairwise(edges)]
