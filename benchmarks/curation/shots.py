"""The true shots of footage with what the stages measure of them."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vivace.curation.clip import Clip, Rejected
from vivace.curation.stage import Stage
from vivace.curation.stages.captions import Captions, CaptionSettings
from vivace.curation.stages.coherence import Coherence, CoherenceSettings
from vivace.curation.stages.picture import Picture, PictureSettings
from vivace.curation.stages.sound import Sound, SoundSettings
from vivace.curation.stages.speech import Speech, SpeechSettings
from vivace.curation.stages.subjects import Subjects, SubjectSettings
from vivace.world.footage import DISSOLVE, FADE

FPS = 24.0


@dataclass
class Shot:
    """A true shot with what the stages found.

    Args:
        offset: seconds of the shot before the clip begins.
        rejected: stage to reason.
    """

    clip: Clip
    fault: str
    truth: dict[str, Any]
    offset: float
    rejected: dict[str, str] = field(default_factory=dict)


@dataclass
class Timer:
    """Seconds of processor time of every stage's measurements, which other programs do not lengthen."""

    spent: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def __call__(self, stage: Stage, clip: Clip) -> Clip | Rejected:
        began = time.process_time()
        try:
            return stage.measure(clip)
        finally:
            self.spent[stage.name].append(time.process_time() - began)


def inside(shots: Sequence[dict[str, Any]], number: int) -> tuple[float, float]:
    """Seconds of the file from which and up to which a shot is seen alone, without seams and a picture beside them."""
    shot, half = shots[number], DISSOLVE / 2 / FPS
    start = shot["start"] + 1 / FPS + (half if number and shots[number - 1]["dissolves"] else 0)
    end = shot["end"] - 1 / FPS - (2 * FADE / FPS if shot["fades"] else half if shot["dissolves"] else 0)
    return start, end


def shots_of(folder: Path, truth: dict[str, Any], taken: dict[str, Clip]) -> Iterator[Shot]:
    """The true shots of the whole files that were taken in."""
    for name, entry in truth.items():
        if entry["fault"] or name not in taken:
            continue
        for number, shot in enumerate(entry["shots"]):
            start, end = inside(entry["shots"], number)
            yield Shot(taken[name].part(start, end - start), shot["fault"], shot, start - shot["start"])


def measure_shots(shots: Sequence[Shot], timer: Timer) -> None:
    """All stages of one clip; a rejection by the measurement itself is kept by the stage's name."""
    stages: list[Stage] = [
        Picture(PictureSettings.model_validate({})),
        Sound(SoundSettings.model_validate({})),
        Coherence(CoherenceSettings.model_validate({})),
        Speech(SpeechSettings.model_validate({})),
        Captions(CaptionSettings.model_validate({})),
        Subjects(SubjectSettings.model_validate({})),
    ]
    for shot in shots:
        for stage in stages:
            found = timer(stage, shot.clip)
            if isinstance(found, Rejected):
                shot.rejected[stage.name] = found.reason
                break
            shot.clip = found
            for reason, bound in stage.settings.bounds.items():
                if not bound.holds(found.get(bound.column)):
                    shot.rejected.setdefault(stage.name, reason)
