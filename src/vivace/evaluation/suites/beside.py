"""What a suite's figures are held against: true clips, and pictures with the sound of another clip.

Each has a ledger of its own, in a folder of the results that is called like it, so that it is measured once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vivace.evaluation.metric import Undefined
from vivace.evaluation.seeds import is_first, rounds_of
from vivace.evaluation.speaker_transcripts import TRANSCRIPTS
from vivace.evaluation.suites.ledger import Outcome, SuiteLedger, SuiteMetric, references_of
from vivace.evaluation.suites.measuring import MISSING, Progress, measure_clips, outcomes_of
from vivace.evaluation.suites.shards import EVERYTHING, Doing
from vivace.evaluation.suites.suite import FACE_TRACKS, SOUND_REFERENCES, VIDEO_REFERENCE, Suite, SuiteItem
from vivace.evaluation.summary import FLOOR, TRUTH

ALONE = "its part has no other clip whose sound could be swapped in"
_TRUE_SOUND = SOUND_REFERENCES[1]
_PICTURES, _SOUND = frozenset({"pictures", "video"}), frozenset({"sound", "audio"})
# What a true clip is no partner of (itself), and what was found in the made clip alone.
_NOT_OF_TRUTH = frozenset({VIDEO_REFERENCE, _TRUE_SOUND, FACE_TRACKS, TRANSCRIPTS})


@dataclass(frozen=True)
class Beside:
    """Args:
    outcomes: "truth" and "floor", those that there are -> metric -> item -> outcome.
    notes: of both, one sentence that says what it is, or why there is none.
    """

    outcomes: Mapping[str, Mapping[str, Mapping[str, Outcome]]] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)


def measure_beside(
    suite: Suite,
    found: Mapping[str, Path],
    metrics: Sequence[SuiteMetric],
    output: Path,
    identity: Mapping[str, Any],
    progress: Progress | None = None,
    *,
    networks: bool = True,
    doing: Doing = EVERYTHING,
) -> Beside:
    """Measure what is not known yet of the true clips, and of the clips with swapped sound.

    Args:
        found: the suite's clips by id. output: results folder. identity: of the run.
        networks: whether the floor is also measured by the user's weights.
        doing: what this process does of it; a pair of which a clip is not there yet is left for later.

    Raises:
        VivaceError: the folder holds another run.
    """
    outcomes, notes = {}, {}
    prompts = [item for item in suite.items if is_first(item.id)]  # what is true of a prompt is true of each seed
    true = {item.id: files for item in prompts if (files := _true_files(item))}
    looking = [metric for metric in metrics if _of_clip(metric) and not _NOT_OF_TRUTH & references_of(metric)]
    if true and looking:
        asked = [_with_files(item, looking) for item in prompts if item.id in true]
        ledger = SuiteLedger(output / TRUTH, {**identity, "condition": TRUTH}, doing.part)
        pictures = {name: files[0] for name, files in true.items()}
        sounds = {name: files[1] for name, files in true.items() if len(files) > 1}
        measure_clips(doing.of(asked), pictures, TRUTH, looking, ledger, progress, "measuring truth", sounds=sounds)
        outcomes[TRUTH] = {metric.name: outcomes_of(asked, metric, ledger, set()) for metric in looking}
    notes[TRUTH] = (
        f"Truth: the true clips or sounds of {len(true)} of {len(prompts)} items, measured as if they were made."
        if true
        else "Truth: no true clips are given, so that no figure here has a ceiling."
    )
    if suite.sides == "audio":
        return Beside(outcomes, notes | {FLOOR: "Floor: none, as sound alone is not compared with pictures."})
    both = [metric for metric in metrics if metric.requires & _PICTURES and metric.requires & _SOUND]
    if not networks:
        both = [metric for metric in both if not metric.weights]
    if both:
        outcomes[FLOOR] = _floor(suite.items, found, both, output, identity, progress, doing)
    notes[FLOOR] = (
        "Floor: the pictures of each clip with the sound of the next one of its part, both cut to the shorter"
        f"{'' if networks else '; without weights only (--no-floor)'}."
    )
    return Beside(outcomes, notes)


def partners(items: Sequence[SuiteItem], found: Mapping[str, Path]) -> dict[str, str]:
    """Whose sound each clip gets: the next one's of its part, the last one the first one's; none of a clip alone.

    Of several seeds first clips go with first ones and so on, so that none gets the sound of its own prompt.
    """
    rounds = rounds_of(item.id for item in items)
    parts: dict[tuple[str, int], list[str]] = {}
    for item in items:
        if item.id in found:
            parts.setdefault((item.group, rounds[item.id]), []).append(item.id)
    return {
        name: other
        for ids in parts.values()
        if len(ids) > 1
        for name, other in zip(ids, [*ids[1:], ids[0]], strict=True)
    }


def _floor(
    items: Sequence[SuiteItem],
    found: Mapping[str, Path],
    metrics: Sequence[SuiteMetric],
    output: Path,
    identity: Mapping[str, Any],
    progress: Progress | None,
    doing: Doing,
) -> dict[str, dict[str, Outcome]]:
    """What swapped sound gives, by metric and item."""
    other = partners(items, found)
    asked = [_with_files(item, metrics) for item in items]
    sounds = {name: found[partner] for name, partner in other.items()}
    ledger = SuiteLedger(output / FLOOR, {**identity, "condition": FLOOR}, doing.part)
    pictures = {name: found[name] for name in other if found[name].is_file() and sounds[name].is_file()}
    measure_clips(doing.of(asked), pictures, FLOOR, metrics, ledger, progress, "measuring floor", sounds=sounds)
    unpaired = {item.id: Undefined(ALONE if item.id in found else MISSING) for item in items if item.id not in other}
    return {metric.name: outcomes_of(asked, metric, ledger, set(unpaired)) | unpaired for metric in metrics}


def _true_files(item: SuiteItem) -> list[Path]:
    """The true clip and the sound that belongs under it where that lies elsewhere, or the true sound alone."""
    given = [item.files[name] for name in (VIDEO_REFERENCE, _TRUE_SOUND) if name in item.files]
    return [path for path in dict.fromkeys(given) if path.is_file()]


def _of_clip(metric: SuiteMetric) -> bool:
    """Whether a metric looks at or listens to the clip at all."""
    return bool(metric.requires & (_PICTURES | _SOUND))


def _with_files(item: SuiteItem, metrics: Sequence[SuiteMetric]) -> SuiteItem:
    """The item with those references in files alone that one of the metrics reads."""
    read = {name for metric in metrics for name in references_of(metric)}
    return replace(item, files={name: path for name, path in item.files.items() if name in read})
