"""Are the words of generated clips words to another listener too: our recogniser beside PocketSphinx.

    vivace evaluate world --group talk-unseen --count 64 --keep-clips --output results/talk
    python -m benchmarks.second_opinion results/talk [--condition model] [--output FILE.json]

Takes a results folder whose clips were kept. Both listeners hear the generated clips and the true clips of the same
scenes; PocketSphinx is told how many words are asked for. Its error on true clips is what it cannot hear; only what
generated clips have beyond that counts. Needs pip install "vivace[second-listener]" and is skipped, with that
sentence, where it is missing.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vivace.errors import VivaceError
from vivace.evaluation.groups import group_items, is_talk
from vivace.evaluation.ledger import whole_rows
from vivace.evaluation.prompts import WorldItem, true_clip
from vivace.evaluation.statistics import bootstrap_interval, pooled
from vivace.evaluation.words import word_errors
from vivace.media import read_clip
from vivace.perception.second_listener import SecondListener, why_not
from vivace.perception.words import hear_words

_NUMBER = re.compile(r"-(\d+)$")


def opinions(said: Sequence[str], audio: np.ndarray, rate: int, second: SecondListener) -> dict[str, list[float]]:
    """Errors and words of a clip, by listener."""
    heard = {
        "recogniser": [word.word for word in hear_words(audio, rate)],
        "second": second.hear(audio, rate, len(said)),
    }
    return {name: [float(word_errors(said, words)), float(len(said))] for name, words in heard.items()}


def second_opinion(folder: Path, condition: str = "model") -> dict[str, Any]:
    """Word error rates with 95 % intervals, of the kept clips and of the true ones, by listener.

    Raises:
        VivaceError: no talk among the results, or clips that were not kept; pocketsphinx is not installed.
    """
    second = SecondListener()
    rows = [
        row for row in whole_rows(folder / "items.jsonl") if row["condition"] == condition and is_talk(row["group"])
    ]
    rows = [row for row in rows if not row["group"].endswith("-hand")]
    if not rows:
        raise VivaceError(
            f"Folder {str(folder)!r} holds no talk of the condition {condition!r}; evaluate a talk group."
        )
    run = json.loads((folder / "run.json").read_text())
    width, height = map(int, run["settings"]["size"].split("x"))
    shape: dict[str, Any] = {"seconds": run["settings"]["seconds"], "height": height, "width": width}
    kept = folder / "clips" / condition.replace(" ", "-")
    rows = [row for row in rows if (kept / f"{row['id']}.mp4").is_file()]
    if not rows:
        raise VivaceError(f"Folder {str(folder)!r} has kept no talk; evaluate with --keep-clips.")
    items = {item.id: item for group in {row["group"] for row in rows} for item in items_of(run, group, rows, shape)}
    records: dict[tuple[str, str], list[list[float]]] = {}
    for row in rows:
        said = [word for span in row["expected"]["spans"] for word in span["words"].split()]
        clip = read_clip(kept / f"{row['id']}.mp4")
        for name, each in (("generated", clip), ("truth", true_clip(items[row["id"].partition("~")[0]]))):
            if each.audio is not None:
                for listener, record in opinions(said, each.audio, each.sample_rate, second).items():
                    records.setdefault((name, listener), []).append(record)
    return {f"{name}, {listener}": _rate(found) for (name, listener), found in records.items()}


def items_of(
    run: Mapping[str, Any], group: str, rows: Sequence[Mapping[str, Any]], shape: dict[str, Any]
) -> list[WorldItem]:
    """A group's items, as many as the rows need."""
    last = max(
        int(found[1])
        for row in rows
        if row["group"] == group and (found := _NUMBER.search(row["id"].partition("~")[0]))
    )
    return group_items(run["split"], [group], max(last + 1, 2), **shape)


def _rate(records: list[list[float]]) -> dict[str, float]:
    low, high = bootstrap_interval("ratio", records)
    return {"word_error_rate": float(pooled("ratio", records)[0]), "low": low, "high": high, "clips": len(records)}


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--condition", default="model")
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args(words)
    missing = why_not()
    if missing is not None:
        print(f"Skipped: {missing}")
        return
    report = second_opinion(asked.folder, asked.condition)
    if asked.output is not None:
        asked.output.write_text(json.dumps(report, indent=1) + "\n")
    for name, rate in report.items():
        print(f"{name}: word error rate {rate['word_error_rate']:.3f} [{rate['low']:.3f}, {rate['high']:.3f}]")


if __name__ == "__main__":
    try:
        main()
    except VivaceError as error:
        raise SystemExit(str(error)) from None
