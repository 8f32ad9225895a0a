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
from vivace.evaluation.clip_figures import ClipFigures, figure_results, figures_of, swapped_figures
from vivace.evaluation.groups import GROUPS, metrics_of, senses, swap_metric
from vivace.evaluation.kept_clips import KeptClips
from vivace.evaluation.ledger import Ledger, Run
from vivace.evaluation.metric import ItemMetric, Result, Sample
from vivace.evaluation.prompts import WorldItem, true_clip
from vivace.evaluation.references import (
    clip_refs,
    needs_true_clip,
    own_voices,
    script_events,
    true_times,
    voice_refs,
)
from vivace.evaluation.report.run_report import write_report
from vivace.evaluation.report.strips import save_strip, strip_path
from vivace.evaluation.seeds import is_first, prompt_of, rounds_of
from vivace.evaluation.signal_sets import signal_distances
from vivace.evaluation.summary import CEILING, FLOOR, TRUTH, write_summary
from vivace.evaluation.swaps import swap_results
from vivace.evaluation.sync import sync_metrics
from vivace.evaluation.tasks import judged, measured, task_metrics
from vivace.evaluation.world_published import Published, devices_of, measure_published
from vivace.media import Clip
from vivace.perception.percept import Percept
from vivace.pipelines.capabilities import TaskName

Generate = Callable[[Sequence[WorldItem]], list[Clip]]
Progress = Callable[[str, int, int], None]
_KEPT_REFS = ("voices", "strangers", "pitches", "events")  # of the pictures' clip, when it gets another sound
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
        items: the prompts (`vivace.evaluation.prompts.world_items`, `vivace.evaluation.groups.group_items`), each as
            often as it has seeds (`vivace.evaluation.seeds.seeded`).
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
    first = [item for item in items if is_first(item.id)]  # the true clip of a prompt is one, whatever the seed
    recording = _Recording(output, Ledger(output, run), items, task, frozenset(generators), clips, progress)
    for condition, generate in generators.items():
        for group in _batches([item for item in items if recording.is_due(condition, item)], batch):
            for item, clip in zip(group, generate(group), strict=True):
                recording.record(condition, item, clip)
    for item in first:
        wanted = [] if item.scene is None else [TRUTH] if round_trip is None else [TRUTH, CEILING]
        needed = [condition for condition in wanted if recording.is_due(condition, item)]
        if needed:
            clip = true_clip(item)
            for condition in needed:
                shown = clip if condition == TRUTH or round_trip is None else round_trip(clip)
                recording.record(condition, item, shown, clip)
    results = _results(recording.ledger, items, tuple(generators), task)
    devices: dict[str, list[str]] = {}
    if published is not None and clips is not None:
        found = measure_published(
            output, items, tuple(generators), clips, published.metrics, progress, published.device
        )
        devices = devices_of(found)
        for name, conditions in results.items():
            ids = {item.id for item in items if _is_of(item, name)}
            for condition, of_clips in found.items():
                conditions[condition] |= of_clips.results(ids)
    skipped = () if published is None else published.skipped
    metrics = () if published is None else published.metrics
    summary = write_summary(output, run, results, tuple(generators), skipped, command, items, metrics, devices)
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

    def record(self, condition: str, item: WorldItem, clip: Clip, true: Clip | None = None) -> None:
        """Keep and measure a clip; `true` is the item's true clip where it is at hand."""
        if self.clips is not None:
            self.clips.keep(condition, item, clip)
        if not self.ledger.has(condition, item):
            if condition in self.generators:
                save_strip(strip_path(self.output, condition, item.id), clip)  # before its line: a line has its strip
            figures = measured(clip, item, self.task)
            part = judged(clip, item, self.task)
            percept, itself = senses(item.group)(part), condition == TRUTH
            is_true = condition in (TRUTH, CEILING)
            if true is None and item.scene is not None and needs_true_clip(self.task):
                true = true_clip(item)
            against = clip_refs(item, self.task, true, true=is_true, itself=itself)
            # Of voices the own ones alone: which other voice a span is compared with depends on the run's other items.
            refs = script_events(item, self.task, true=is_true) | own_voices(item)
            metrics = item_metrics(item, percept, refs)
            self.ledger.add(condition, item, percept, metrics, figures, figures_of(item.id, part, against))
        if self.progress is not None:
            asked = [other for other in self.items if condition in self.generators or is_first(other.id)]
            self.progress(condition, sum(not self.is_due(condition, other) for other in asked), len(asked))


def _results(
    ledger: Ledger, items: Sequence[WorldItem], generators: Sequence[str], task: TaskName
) -> dict[str, dict[str, dict[str, Result]]]:
    """Group -> condition -> metric -> result, of everything that the ledger holds."""
    voices = voice_refs([item for item in items if is_first(item.id)])
    conditions = {name: _samples(ledger, name, items, voices, task) for name in (*generators, TRUTH, CEILING)}
    foreign = {name: swapped(items, samples) for name, samples in conditions.items()}
    figures = {
        name: {item.id: ledger.figures(name, item) for item in items if item.id in samples}
        for name, samples in conditions.items()
    }
    if generators:
        conditions[FLOOR] = foreign[generators[0]]
        figures[FLOOR] = _swapped_figures(items, figures[generators[0]])
    results: dict[str, dict[str, dict[str, Result]]] = {}
    for group in ("all", *sorted({item.group for item in items})):
        results[group] = {}
        for name, samples in conditions.items():
            inside = _of_group(samples, items, group)
            own = {sample.id: figures[name][sample.id] for sample in inside}
            found = score_samples(inside, [*metrics_of(group), *task_metrics(task)]) | figure_results(own)
            if name != FLOOR:
                found |= _told_from_swapped(group, inside, foreign[name])
            if name not in (TRUTH, FLOOR):
                found |= _distances(own, figures[TRUTH])
            results[group][name] = found
    return results


def _told_from_swapped(group: str, inside: Sequence[Sample], foreign: Mapping[str, Sample]) -> dict[str, Result]:
    """Whether a group's clips are told from their pictures with another clip's sound."""
    metric = swap_metric(group)
    scores = [
        {sample.id: metric.line(metric.outcome(sample)).get("value") for sample in samples}
        for samples in (inside, [foreign[sample.id] for sample in inside if sample.id in foreign])
    ]
    own, other = ({name: value for name, value in values.items() if value is not None} for values in scores)
    return swap_results(own, other)


def _distances(made: Mapping[str, ClipFigures | None], true: Mapping[str, ClipFigures | None]) -> dict[str, Result]:
    """How far the set of clips is from that of the true ones."""
    found: dict[str, Result] = {}
    for side in ("sound", "pictures"):
        rows = (
            {name: one.features[side] for name, one in figures.items() if one is not None and side in one.features}
            for figures in (made, true)
        )
        found |= signal_distances(side, *rows)
    return found


def _batches(items: Sequence[WorldItem], size: int) -> Iterator[list[WorldItem]]:
    """Items that are made at a time: of impacts and instruments together, of every other group by itself."""
    parts: dict[str, list[WorldItem]] = {}
    for item in items:
        parts.setdefault(item.group if item.group in GROUPS else "", []).append(item)
    for part in parts.values():
        for start in range(0, len(part), size):
            yield part[start : start + size]


def item_metrics(item: WorldItem, percept: Percept, refs: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Each metric's record for one clip, or why it is undefined; of references those that are given."""
    sample = Sample(id=item.id, prompt=item.prompt, expected=item.expected, refs=refs or {}, seen=percept)
    return {metric.name: metric.update(sample) for metric in metrics_of(item.group)}


def swapped(items: Sequence[WorldItem], samples: Mapping[str, Sample]) -> dict[str, Sample]:
    """Each picture with the sound of the next clip of its kind: what chance gives where the kind is right."""
    others: dict[str, Sample] = {}
    for own, other in _partners(items, samples).items():
        first = samples[own]
        seen = Percept(video=first.percept.video, audio=samples[other].percept.audio)
        refs = {name: ref for name, ref in first.refs.items() if name in _KEPT_REFS}
        others[own] = Sample(id=own, prompt=first.prompt, expected=first.expected, refs=refs, seen=seen)
    return others


def _swapped_figures(
    items: Sequence[WorldItem], figures: Mapping[str, ClipFigures | None]
) -> dict[str, ClipFigures | None]:
    """As `swapped`, of what was measured of the clips themselves; None where one of the two was not."""
    found: dict[str, ClipFigures | None] = {}
    for own, other in _partners(items, figures).items():
        first, second = figures[own], figures[other]
        found[own] = None if first is None or second is None else swapped_figures(first, second)
    return found


def _partners(items: Sequence[WorldItem], known: Mapping[str, Any]) -> dict[str, str]:
    """Id -> whose sound it gets: the next known clip of its kind, around; none where it is the only one.

    Of several seeds first clips go with first ones and so on, so that none gets the sound of its own prompt.
    """
    rounds = rounds_of(item.id for item in items)
    kinds: dict[tuple[str, int], list[str]] = {}
    for item in items:
        if item.id in known:
            kinds.setdefault((str(item.expected.get("kind")), rounds[item.id]), []).append(item.id)
    return {
        own: other for ids in kinds.values() if len(ids) > 1 for own, other in zip(ids, ids[1:] + ids[:1], strict=True)
    }


def _samples(
    ledger: Ledger, condition: str, items: Sequence[WorldItem], voices: Mapping[str, Mapping[str, Any]], task: TaskName
) -> dict[str, Sample]:
    # The times of the true clip bind where it is judged itself, and where one of its sides was given.
    true = condition in (TRUTH, CEILING)
    timed = true or task in ("a2v", "v2a")
    return {
        item.id: Sample(
            id=item.id,
            prompt=item.prompt,
            expected=item.expected,
            refs={
                **voices.get(prompt_of(item.id), {}),
                **(true_times(item) if timed and item.group in GROUPS else {}),
                **script_events(item, task, true=true),
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
