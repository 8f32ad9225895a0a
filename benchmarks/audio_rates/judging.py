"""What is heard and seen in clips of held-out prompts, by blind detectors and against the true sounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from benchmarks.units import pipeline_of

from vivace.evaluation.frechet import frechet_of_sets
from vivace.evaluation.groups import group_items, senses
from vivace.evaluation.metric import Sample
from vivace.evaluation.prompts import WorldItem, true_clip, world_items
from vivace.evaluation.speech import speech_metrics
from vivace.evaluation.sync import event_f1
from vivace.media import Clip
from vivace.media.decode_audio import resample
from vivace.perception.spectra import SAMPLE_RATE, mel_power
from vivace.pipelines.alive import AlivePipeline
from vivace.sampling.mutual_presets import MutualPreset
from vivace.sampling.presets import Scale
from vivace.training.alive import AliveObjective

if TYPE_CHECKING:
    from benchmarks.audio_rates.unit import RatesSettings

# Each figure, and whether less is better.
FIGURES: dict[str, bool] = {
    "distance of sounds alone": True,
    "distance of sounds with pictures": True,
    "word error rate": True,
    "AV event F1 75 ms": False,
}
TALK = "talk-seen"
BATCH = 4
_BANDS = 16


def sound_features(sound: np.ndarray, rate: int) -> np.ndarray:
    """How loud each of 16 mel bands is, how much that varies, and how restless it is. [48]

    Ours, because it needs no weights: of the logarithmic power every 10 ms, mean, standard deviation and mean absolute
    change. Louder, duller, noisier, broken or missing sound all move some of them.

    Args:
        sound: [channels, N].
    """
    if rate != SAMPLE_RATE:
        sound = resample(sound, rate, SAMPLE_RATE)
    power = mel_power(np.asarray(sound, dtype=np.float32), hop=160, window=400, bands=_BANDS).mean(axis=0)
    levels = np.log(power + 1e-6)
    return np.concatenate([levels.mean(axis=0), levels.std(axis=0), np.abs(np.diff(levels, axis=0)).mean(axis=0)])


def judged(objective: AliveObjective, settings: RatesSettings, check: Callable[[], None]) -> dict[str, float | None]:
    """The figures of the networks as they are; None where nothing can be counted.

    The same prompts and the same noise for all networks. `check` is asked between batches.
    """
    ones = Scale(video=1.0, audio=1.0)
    text = Scale(video=2.0, audio=2.0)
    preset = MutualPreset(steps=settings.sampling, solver="euler", shift=3.0, text=text, mutual=ones)
    pipeline = pipeline_of(AlivePipeline, objective, settings.model, preset, settings.size, settings.seconds)
    form = {"seconds": settings.seconds, "height": settings.size, "width": settings.size}
    items = world_items("val", settings.prompts, hand=False, camera=False, **form)
    true = [true_clip(item) for item in items]
    alone = [clip for clip, _ in _made(pipeline, items, settings, check, modalities="audio")]
    both = list(_made(pipeline, items, settings, check))
    sync = event_f1(0.075)
    for clip, item in both:
        sync.update(Sample(item.id, clip, item.prompt, item.expected))
    return {
        "distance of sounds alone": _distance(alone, true),
        "distance of sounds with pictures": _distance([clip for clip, _ in both], true),
        "word error rate": _word_errors(pipeline, settings, check) if settings.talk else None,
        "AV event F1 75 ms": sync.compute().value,
    }


def _distance(made: Sequence[Clip], true: Sequence[Clip]) -> float:
    """Fréchet distance of two sets of sounds."""
    sides = [np.stack([sound_features(_sound(clip), clip.sample_rate) for clip in clips]) for clips in (made, true)]
    return frechet_of_sets(*sides)


def _sound(clip: Clip) -> np.ndarray:
    assert clip.audio is not None
    return clip.audio


def _word_errors(pipeline: AlivePipeline, settings: RatesSettings, check: Callable[[], None]) -> float | None:
    form = {"seconds": settings.seconds, "height": settings.size, "width": settings.size}
    errors = next(metric for metric in speech_metrics() if metric.name == "word_error_rate")
    hear = senses(TALK)
    items = group_items("val", [TALK], settings.talk, **form)
    for clip, item in _made(pipeline, items, settings, check, modalities="audio"):
        errors.update(Sample(item.id, clip, item.prompt, item.expected, seen=hear(clip)))
    return errors.compute().value


def _made(
    pipeline: AlivePipeline,
    items: Sequence[WorldItem],
    settings: RatesSettings,
    check: Callable[[], None],
    modalities: str = "both",
) -> Iterator[tuple[Clip, WorldItem]]:
    for start in range(0, len(items), BATCH):
        check()
        group = items[start : start + BATCH]
        prompts, seeds = [item.prompt for item in group], [item.seed for item in group]
        made = pipeline(prompts, modalities=modalities, seconds=settings.seconds, seed=seeds)
        for place, item in enumerate(group):
            frames = None if made.frames is None else np.asarray(made.frames[place])
            sound = None if made.audio is None else np.asarray(made.audio[place])
            yield Clip(frames, made.fps, sound, made.audio_sample_rate), item
