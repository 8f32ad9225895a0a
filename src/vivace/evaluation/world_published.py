"""Published metrics on the clips of the world benchmark: those that the model made, and the true ones beside them.

What is measured lies in published/CONDITION of the results folder, as a suite's ledger, so that a run goes on where it
stopped and weights that are named later add their metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vivace.conditioning.prompts import SPEECH_END, SPEECH_START
from vivace.evaluation.kept_clips import KeptClips, folder_name
from vivace.evaluation.ledger import PUBLISHED_FOLDER
from vivace.evaluation.metric import Result
from vivace.evaluation.prompts import WorldItem
from vivace.evaluation.published import Skipped
from vivace.evaluation.seeds import is_first, prompt_of
from vivace.evaluation.suites.ledger import Outcome, SuiteLedger, SuiteMetric
from vivace.evaluation.suites.measuring import measure_clips, outcomes_of
from vivace.evaluation.suites.suite import SuiteItem
from vivace.evaluation.suites.summary import pooled_result
from vivace.evaluation.summary import TRUTH


@dataclass(frozen=True)
class Published:
    """What the user's weights can measure, and what is skipped (`vivace.evaluation.published.published_metrics`).

    `device` is the one on which they measure.
    """

    metrics: Sequence[SuiteMetric]
    skipped: Sequence[Skipped] = ()
    device: str = "cpu"


@dataclass(frozen=True)
class Measured:
    """Outcomes by metric and item, of one condition, and where the networks computed them, by metric."""

    metrics: Sequence[SuiteMetric]
    outcomes: dict[str, dict[str, Outcome]]
    devices: Mapping[str, Sequence[str]]

    def results(self, ids: set[str]) -> dict[str, Result]:
        """Each metric over the items `ids` that the condition has clips for."""
        return {
            metric.name: pooled_result(
                metric, {name: found for name, found in self.outcomes[metric.name].items() if name in ids}
            )
            for metric in self.metrics
        }


def measure_published(
    output: Path,
    items: Sequence[WorldItem],
    conditions: Sequence[str],
    clips: KeptClips,
    metrics: Sequence[SuiteMetric],
    progress: Callable[[str, int, int], None] | None = None,
    device: str = "cpu",
) -> dict[str, Measured]:
    """Measure what is kept of these conditions and of the true clips; by condition.

    A made clip's references are the true clip of its scene (`sound` and `video`), the words it should say (`said`) and
    its caption without the marks of speech as the text of the sound (`audio_prompt`); a true clip has the texts alone,
    as its distance to itself tells nothing.
    """
    found: dict[str, Measured] = {}
    if not metrics:
        return found
    for metric in metrics:
        metric.prepare(device)
    for condition in (*conditions, TRUTH):
        inside = [item for item in items if condition != TRUTH or (item.scene is not None and is_first(item.id))]
        asked = [_asked(item, clips, condition) for item in inside]
        files = {item.id: path for item in inside if (path := clips.find(condition, item)) is not None}
        identity = {"suite": "world", "condition": condition}
        ledger = SuiteLedger(output / PUBLISHED_FOLDER / folder_name(condition), identity)
        measure_clips(asked, files, condition, metrics, ledger, progress, f"{condition}, published")
        missing = {item.id for item in inside} - files.keys()
        found[condition] = Measured(
            metrics,
            {metric.name: outcomes_of(asked, metric, ledger, missing) for metric in metrics},
            ledger.devices(asked, metrics),
        )
    return found


def devices_of(found: Mapping[str, Measured]) -> dict[str, list[str]]:
    """Where the networks computed, by metric, over all conditions."""
    told: dict[str, set[str]] = {}
    for measured in found.values():
        for metric, devices in measured.devices.items():
            told.setdefault(metric, set()).update(devices)
    return {metric: sorted(devices) for metric, devices in told.items()}


def _asked(item: WorldItem, clips: KeptClips, condition: str) -> SuiteItem:
    texts = {"audio_prompt": item.prompt.replace(SPEECH_START, "").replace(SPEECH_END, "")}
    if said := " ".join(str(span["words"]) for span in item.expected.get("spans") or ()):
        texts["said"] = said
    true = None if condition == TRUTH or item.scene is None else clips.find(TRUTH, replace(item, id=prompt_of(item.id)))
    return SuiteItem(
        item.id,
        item.group,
        item.prompt,
        seed=item.seed,
        language="en",
        texts=texts,
        files={} if true is None else {"sound": true, "video": true},
    )
