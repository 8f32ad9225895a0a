"""The benchmark on held-out prompts of the world: what was asked for, what came, and what could have come.

Beside the model's own figures stand, for the same metrics: the true clips, their round trip through the codecs
(the ceiling), and the model's pictures with the sound of another of its clips of the same kind (the floor).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vivace.errors import VivaceError
from vivace.evaluation.attributes import attribute_metrics
from vivace.evaluation.groups import GROUPS, metrics_of, senses
from vivace.evaluation.kept_clips import KeptClips
from vivace.evaluation.ledger import Ledger, Run
from vivace.evaluation.metric import ItemMetric, Result, Sample
from vivace.evaluation.prompts import WorldItem, true_clip
from vivace.evaluation.references import true_times, voice_refs
from vivace.evaluation.report.run_report import write_report
from vivace.evaluation.report.strips import save_strip, strip_path
from vivace.evaluation.summary import CEILING, FLOOR, TRUTH, write_summary
from vivace.evaluation.sync import sync_metrics
from vivace.evaluation.tasks import judged, measured, task_metrics
from vivace.evaluation.world_published import Published, measure_published
from vivace.media import Clip
from vivace.perception.percept import Percept
from vivace.pipelines.capabilities import TaskName

Generate = Callable[[Sequence[WorldItem]], list[Clip]]
Progress = Callable[[str, int, int], None]
RoundTrip = Callable[[Clip], Clip]


def world_metrics() -> list[ItemMetric]:
    """Fresh instances of every metric of impacts and instruments."""
    return [*sync_metrics(), *attribute_metrics()]


def score_samples(samples: Iterable[Sample], metrics: Sequence[ItemMetric] | None = None) -> dict[str, Result]:
    """Fresh `metrics` (those of impacts and instruments, for None) over the samples, by name."""
    metrics = world_metrics() if metrics is None else metrics
    for sample in samples:
        for metric in metrics:
            metric.update(sample)
    return {metric.name: metric.compute() for metric in metrics}


def score_clips(clips: Sequence[Clip], expectations: Sequence[Mapping[str, Any]]) -> dict[str, Result]:
    """Every metric over generated clips (validation while training uses this too).

    Args:
        clips: what was generated.
        expectations: per clip what its prompt states, as `vivace.world.caption_with_attributes` gives it.

    Raises:
        VivaceError: the two differ in number.
    """
    if len(clips) != len(expectations):
        raise VivaceError(f"{len(clips)} clips came with {len(expectations)} expectations; give one for each clip.")
    pairs = enumerate(zip(clips, expectations, strict=True))
    return score_samples(Sample(id=f"{k:05d}", clip=clip, expected=expected) for k, (clip, expected) in pairs)


def evaluate_world(
    generators: Mapping[str, Generate],
    items: Sequence[WorldItem],
    output: Path,
    run: Run,
    *,
    task: TaskName = "t2av",
    round_trip: RoundTrip | None = None,
    batch: int = 1,
    progress: Progress | None = None,
    clips: KeptClips | None = None,
    published: Published | None = None,
    command: str | None = None,
) -> dict[str, Any]:
    """Generate, detect, score; writes items.jsonl and strips/ while it runs, and summary.json, summary.md and
    report.html at its end.

    Args:
        generators: condition -> callable from items to clips; the first is the model as it is shipped, and its clips
            give the floor.
        items: the prompts (`vivace.evaluation.prompts.world_items`, `vivace.evaluation.groups.group_items`).
        output: results folder; what it already holds of the same run is not made again.
        task: what the generators do (`vivace.evaluation.tasks`).
        round_trip: a clip through the codecs, for the ceiling; None leaves the ceiling out.
        batch: clips per call of a generator.
        progress: called with (condition, done, total) after each clip.
        clips: keeps every clip, the true ones too; of a run that has not kept them so far they are made again.
        published: metrics by the user's weights, which measure the clips that are kept, the model's and the true ones.
        command: that makes this run, for its summary.

    Returns:
        The summary as it is written to summary.json.

    Raises:
        VivaceError: the folder holds another run, or `published` without `clips`.
    """
    if published is not None and clips is None:
        raise VivaceError("Published metrics read the clips that a run keeps; keep them.")
    recording = _Recording(output, Ledger(output, run), items, task, frozenset(generators), clips, progress)
    for condition, generate in generators.items():
        for group in _batches([item for item in items if recording.is_due(condition, item)], batch):
            for item, clip in zip(group, generate(group), strict=True):
                recording.record(condition, item, clip)
    for item in items:
        wanted = [] if item.scene is None else [TRUTH] if round_trip is None else [TRUTH, CEILING]
        needed = [condition for condition in wanted if recording.is_due(condition, item)]
        if needed:
            clip = true_clip(item)
            for condition in needed:
                shown = clip if condition == TRUTH or round_trip is None else round_trip(clip)
                recording.record(condition, item, shown)
    results = _results(recording.ledger, items, tuple(generators), task)
    if published is not None and clips is not None:
        found = measure_published(output, items, tuple(generators), clips, published.metrics, progress)
        for name, conditions in results.items():
            ids = {item.id for item in items if _is_of(item, name)}
            for condition, of_clips in found.items():
                conditions[condition] |= of_clips.results(ids)
    skipped = () if published is None else published.skipped
    summary = write_summary(output, run, results, tuple(generators), skipped, command)
    write_report(output)
    return summary


@dataclass(frozen=True)
class _Recording:
    """Takes clips as they are made: keeps them where that is asked for, and looks at and listens to each once."""

    output: Path
    ledger: Ledger
    items: Sequence[WorldItem]
    task: TaskName
    generators: frozenset[str]
    clips: KeptClips | None
    progress: Progress | None

    def is_due(self, condition: str, item: WorldItem) -> bool:
        unkept = self.clips is not None and self.clips.find(condition, item) is None
        return unkept or not self.ledger.has(condition, item)

    def record(self, condition: str, item: WorldItem, clip: Clip) -> None:
        if self.clips is not None:
            self.clips.keep(condition, item, clip)
        if not self.ledger.has(condition, item):
            if condition in self.generators:
                save_strip(strip_path(self.output, condition, item.id), clip)  # before its line: a line has its strip
            figures = measured(clip, item, self.task)
            percept = senses(item.group)(judged(clip, item, self.task))
            self.ledger.add(condition, item, percept, item_metrics(item, percept), figures)
        if self.progress is not None:
            done = sum(not self.is_due(condition, other) for other in self.items)
            self.progress(condition, done, len(self.items))


def _results(
    ledger: Ledger, items: Sequence[WorldItem], generators: Sequence[str], task: TaskName
) -> dict[str, dict[str, dict[str, Result]]]:
    """Group -> condition -> metric -> result, of everything that the ledger holds."""
    voices = voice_refs(items)
    conditions = {name: _samples(ledger, name, items, voices, task) for name in (*generators, TRUTH, CEILING)}
    if generators:
        conditions[FLOOR] = swapped(items, conditions[generators[0]])
    return {
        group: {
            name: score_samples(_of_group(samples, items, group), [*metrics_of(group), *task_metrics(task)])
            for name, samples in conditions.items()
        }
        for group in ("all", *sorted({item.group for item in items}))
    }


def _batches(items: Sequence[WorldItem], size: int) -> Iterator[list[WorldItem]]:
    """Items that are made at a time: of impacts and instruments together, of every other group by itself."""
    parts: dict[str, list[WorldItem]] = {}
    for item in items:
        parts.setdefault(item.group if item.group in GROUPS else "", []).append(item)
    for part in parts.values():
        for start in range(0, len(part), size):
            yield part[start : start + size]


def item_metrics(item: WorldItem, percept: Percept) -> dict[str, Any]:
    """Each metric's record for one clip, or why it is undefined; without what needs references."""
    sample = Sample(id=item.id, prompt=item.prompt, expected=item.expected, seen=percept)
    return {metric.name: metric.update(sample) for metric in metrics_of(item.group)}


def swapped(items: Sequence[WorldItem], samples: Mapping[str, Sample]) -> dict[str, Sample]:
    """Each picture with the sound of the next clip of its kind: what chance gives where the kind is right."""
    kinds: dict[str, list[str]] = {}
    for item in items:
        if item.id in samples:
            kinds.setdefault(str(item.expected.get("kind")), []).append(item.id)
    others: dict[str, Sample] = {}
    for ids in kinds.values():
        if len(ids) < 2:
            continue
        for own, other in zip(ids, ids[1:] + ids[:1], strict=True):
            first = samples[own]
            seen = Percept(video=first.percept.video, audio=samples[other].percept.audio)
            refs = {name: ref for name, ref in first.refs.items() if name in ("voices", "strangers", "pitches")}
            others[own] = Sample(id=own, prompt=first.prompt, expected=first.expected, refs=refs, seen=seen)
    return others


def _samples(
    ledger: Ledger, condition: str, items: Sequence[WorldItem], voices: Mapping[str, Mapping[str, Any]], task: TaskName
) -> dict[str, Sample]:
    # The times of the true clip bind where it is judged itself, and where one of its sides was given.
    timed = condition in (TRUTH, CEILING) or task in ("a2v", "v2a")
    return {
        item.id: Sample(
            id=item.id,
            prompt=item.prompt,
            expected=item.expected,
            refs={
                **voices.get(item.id, {}),
                **(true_times(item) if timed and item.group in GROUPS else {}),
                **ledger.measured(condition, item),
            },
            seen=ledger.get(condition, item),
        )
        for item in items
        if ledger.has(condition, item)
    }


def _of_group(samples: Mapping[str, Sample], items: Sequence[WorldItem], group: str) -> list[Sample]:
    return [samples[item.id] for item in items if _is_of(item, group) and item.id in samples]


def _is_of(item: WorldItem, group: str) -> bool:
    # "all" is one set for model, ceiling and truth: prompts written by hand have no true clip, and a moving background
    # misleads detectors.
    return item.group == group or (group == "all" and item.group in ("seen", "unseen"))
