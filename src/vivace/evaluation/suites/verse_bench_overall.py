"""Verse-Bench's overall score: its figures brought between 0 and 1, and weighted."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean, harmonic_mean
from typing import Any

# Figure -> the values that count as 0 and as 1; beyond them it is cut off.
_ENDS = {
    "AS": (0.0, 1.0),
    "ID": (0.0, 1.0),
    "FD": (3.0, 0.0),
    "KL": (4.0, 0.0),
    "CS": (0.0, 1.0),
    "CE": (1.0, 10.0),
    "CU": (1.0, 10.0),
    "PC": (10.0, 1.0),
    "PQ": (1.0, 10.0),
    "WER": (1.0, 0.0),
    "LSE-C": (0.0, 10.0),
    "AV-A": (1.0, 0.0),
}
_PARTS = {
    "S_video": ("AS", "ID"),
    "S_audio": ("FD", "KL", "CS", "CE", "CU", "PC", "PQ"),
    "S_other": ("WER", "LSE-C"),
    "S_joint": ("CS", "AV-A"),
}
_WEIGHTS = {"S_joint": 0.5, "S_video": 0.2, "S_audio": 0.2, "S_other": 0.1}
_RULES = {
    "S_joint": "harmonic mean; AV-A is signed, so that sound which is early counts as perfect",
    "Overall": "0.5 S_joint + 0.2 S_video + 0.2 S_audio + 0.1 S_other",
}


def overall_score(columns: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The four parts and the overall score as columns of their own, each skipped where a figure of it has no value.

    Args:
        columns: of the official protocol, by name, with "value" and "n". A score's n is the least of its figures.
    """
    made: dict[str, dict[str, Any]] = {}
    for name, figures in _PARTS.items():
        shares = {figure: _share(figure, columns[figure]["value"]) for figure in figures}
        values = [share for share in shares.values() if share is not None]
        lacking = [figure for figure, share in shares.items() if share is None]
        mean = harmonic_mean if name == "S_joint" else fmean
        made[name] = _column(name, figures, lacking, columns, None if lacking else mean(values))
    lacking = [name for name in _WEIGHTS if made[name]["value"] is None]
    total = None if lacking else sum(weight * made[name]["value"] for name, weight in _WEIGHTS.items())
    return {**made, "Overall": _column("Overall", tuple(_WEIGHTS), lacking, made, total)}


def _share(figure: str, value: float | None) -> float | None:
    zero, one = _ENDS[figure]
    return None if value is None else min(max((value - zero) / (one - zero), 0.0), 1.0)


def _column(
    name: str,
    parts: tuple[str, ...],
    lacking: list[str],
    columns: Mapping[str, Mapping[str, Any]],
    value: float | None,
) -> dict[str, Any]:
    told = {"metric": ", ".join(parts), "rule": _RULES.get(name, "mean, each from 0 to 1"), "value": value}
    if lacking:
        return told | {"status": "skipped", "n": 0, "reason": f"{', '.join(lacking)} has no value"}
    versions = sorted({str(columns[part]["version"]) for part in parts if columns[part].get("version")})
    return told | {"n": min(int(columns[part]["n"]) for part in parts), "version": "; ".join(versions)}
