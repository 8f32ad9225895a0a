"""Finished runs without pictures: findings are made up, everything after them is real."""

from pathlib import Path

import numpy as np

from vivace.evaluation.ledger import Ledger, Run
from vivace.evaluation.metric import Sample
from vivace.evaluation.prompts import WorldItem, world_items
from vivace.evaluation.report.strips import save_strip, strip_path
from vivace.evaluation.summary import write_summary
from vivace.evaluation.world import item_metrics, score_samples
from vivace.media import Clip
from vivace.perception.onsets import Onset
from vivace.perception.percept import Heard, Impact, Percept, Seen

TIMES = (0.3, 0.8, 1.3)


def found(kind: str, late: float) -> Percept:
    """Three impacts, each heard `late` seconds after it is seen."""
    impacts = tuple(Impact(time, 0.3, 0.5, 1.0, 0) for time in TIMES)
    onsets = tuple(Onset(time + late, 1.0, 0.3, -20.0) for time in TIMES)
    return Percept(Seen(impacts, (), False, "stone"), Heard(onsets, (kind,) * len(onsets), kind))


def write_run(
    folder: Path,
    spread: dict[str, float],
    *,
    count: int = 24,
    seed: int = 0,
    split: str = "val",
    seconds: float = 2.0,
    prompt: str | None = None,
) -> list[WorldItem]:
    """A run whose conditions differ in how far sound and picture lie apart.

    Args:
        spread: condition -> standard deviation of the lateness, seconds; "truth" is no generator.
        prompt: instead of the items' own texts.
    """
    items = world_items(split, count, height=32, width=32, hand=False, camera=False)
    if prompt is not None:
        items = [WorldItem(item.id, item.group, prompt, item.expected, item.seed) for item in items]
    run = Run(model=folder.name, model_hash="ab" * 32, split=split, settings={"seconds": seconds, "steps": seed})
    ledger = Ledger(folder, run)
    rng = np.random.default_rng(seed)
    samples: dict[str, list[Sample]] = {}
    picture = np.full((24, 16, 16, 3), 90, np.uint8)
    sound = np.zeros((1, 16000), np.float32)
    sound[0, 4000::4000] = 0.8
    for condition, width in spread.items():
        for item in items:
            percept = found("bell", float(rng.normal(0, width)))
            if condition != "truth":
                save_strip(strip_path(folder, condition, item.id), Clip(picture, 24, sound, 16000))
            ledger.add(condition, item, percept, item_metrics(item, percept))
            sample = Sample(id=item.id, prompt=item.prompt, expected=item.expected, seen=percept)
            samples.setdefault(condition, []).append(sample)
    results = {"all": {name: score_samples(entries) for name, entries in samples.items()}}
    write_summary(folder, run, results, [name for name in spread if name != "truth"])
    return items
