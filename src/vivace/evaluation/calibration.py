"""What a measure can tell: on true clips, through the codecs, with shifted, degraded, foreign and absent sides.

Each treatment changes true clips in a known way, and each measure is compared with itself on the untreated ones, clip
by clip. A measure of sound and picture together that does not find a shift of 200 ms is marked.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from vivace.evaluation.metric import ItemMetric, Sample, Undefined
from vivace.evaluation.paired import paired_difference
from vivace.media import Clip
from vivace.perception.percept import Percept
from vivace.world.footage_faults import faulty_picture, faulty_sound

TRUTH, CEILING, FLOOR = "truth", "codecs", "swapped sound"
SILENCE, STILL = "silence", "still picture"
SHIFTS = (-400, -200, -120, -80, -40, 40, 80, 120, 200, 400)  # ms by which the sound is late
DECISIVE = 200  # ms that a measure of synchrony must tell from none
PICTURE_FAULTS = ("blurred", "noisy", "blocky", "dark", "flickering", "frozen")
SOUND_FAULTS = ("clipped", "hissing", "dull")
LEVEL = 0.05  # of the sign-flip test
LEAST_CLIPS = 6  # with fewer no sign-flip test can be below the level
_SEEN, _HEARD = {"video", "pictures"}, {"audio", "sound"}

Verdict = Literal["yes", "no", "too few clips"]


@dataclass(frozen=True)
class Treated:
    """A clip after a treatment; two treatments with the same key have left a side as it was.

    Args:
        clip: or None where the treatment has nothing to give. pictures, sound: keys of the sides.
    """

    clip: Clip
    pictures: str
    sound: str


def shifted(audio: np.ndarray, samples: int) -> np.ndarray:
    """Sound [C, N] that is late by `samples` (early where negative); what is missing is silent."""
    late = np.zeros_like(audio)
    if samples >= 0:
        late[:, samples:] = audio[:, : audio.shape[1] - samples]
    else:
        late[:, :samples] = audio[:, -samples:]
    return late


def treatments(
    name: str, clip: Clip, other: Clip | None, round_trip: Callable[[Clip], Clip] | None
) -> Iterable[tuple[str, Treated]]:
    """Every treatment of a true clip with pictures and sound, by its name.

    Args:
        name: of the clip; chance in the degradations follows from it. other: whose sound is the floor, None for none.
        round_trip: a clip through the codecs; None leaves the ceiling out.
    """
    assert clip.frames is not None
    assert clip.audio is not None
    audio, rate = clip.audio, clip.sample_rate
    yield TRUTH, Treated(clip, TRUTH, TRUTH)
    if round_trip is not None:
        yield CEILING, Treated(round_trip(clip), CEILING, CEILING)
    for ms in SHIFTS:
        late = replace(clip, audio=shifted(audio, round(ms * rate / 1000)))
        yield shift_name(ms), Treated(late, TRUTH, shift_name(ms))
    for fault in PICTURE_FAULTS:
        frames = faulty_picture(_rng(name, fault), clip.frames, fault)
        yield fault, Treated(replace(clip, frames=frames), fault, TRUTH)
    for fault in SOUND_FAULTS:
        sound = faulty_sound(_rng(name, fault), audio, rate, fault)
        yield fault, Treated(replace(clip, audio=sound.clip(-1, 1)), TRUTH, fault)
    if other is not None and other.audio is not None:
        foreign = np.zeros_like(audio)
        length = min(audio.shape[1], other.audio.shape[1])
        foreign[:, :length] = other.audio[:, :length]
        yield FLOOR, Treated(replace(clip, audio=foreign), TRUTH, FLOOR)
    yield SILENCE, Treated(replace(clip, audio=np.zeros_like(audio)), TRUTH, SILENCE)
    still = np.repeat(clip.frames[:1], len(clip.frames), axis=0)
    yield STILL, Treated(replace(clip, frames=still), STILL, TRUTH)


def shift_name(ms: int) -> str:
    return f"{ms:+d} ms"


def _rng(name: str, fault: str) -> np.random.Generator:
    return np.random.default_rng([zlib.crc32(name.encode()), zlib.crc32(fault.encode())])


def is_about_synchrony(metric: ItemMetric) -> bool:
    """Whether a measure looks at both sides."""
    return bool(metric.requires & _SEEN) and bool(metric.requires & _HEARD)


Values = dict[str, dict[str, dict[str, float | None]]]  # measure -> treatment -> clip -> value, None where undefined


def measure_treated(
    name: str,
    treated: Iterable[tuple[str, Treated]],
    metrics: Sequence[ItemMetric],
    sense: Callable[[Clip], Percept],
    values: Values,
    *,
    expected: Mapping[str, Any] | None = None,
    refs: Mapping[str, Any] | None = None,
    prompt: str = "",
) -> None:
    """Measure a clip under all treatments, and put what comes of it into `values`.

    Nothing is measured twice: what is seen and heard is found once for each side, and a measure of one side once for
    each state of that side.

    Args:
        sense: finds what is seen and heard in a clip, of which one side may be absent.
    """
    seen: dict[str, Any] = {}
    heard: dict[str, Any] = {}
    known: dict[tuple[str, ...], float | None] = {}
    for treatment, one in treated:
        clip = one.clip
        if one.pictures not in seen:
            seen[one.pictures] = sense(replace(clip, audio=None)).video
        if one.sound not in heard:
            heard[one.sound] = sense(replace(clip, frames=None)).audio
        sample = Sample(
            id=f"{name}/{treatment}",
            clip=clip,
            prompt=prompt,
            expected=expected or {},
            refs=refs or {},
            seen=Percept(seen[one.pictures], heard[one.sound]),
        )
        for metric in metrics:
            key = (
                metric.name,
                one.pictures if metric.requires & _SEEN else "",
                one.sound if metric.requires & _HEARD else "",
            )
            if key not in known:
                outcome = metric.outcome(sample)
                known[key] = None if isinstance(outcome, Undefined) else metric.line(outcome)["value"]
            values.setdefault(metric.name, {}).setdefault(treatment, {})[name] = known[key]


def mean_of(found: Mapping[str, float | None]) -> tuple[float | None, int]:
    """Mean of the defined values, and how many there are."""
    defined = [value for value in found.values() if value is not None]
    return (float(np.mean(defined)) if defined else None), len(defined)


def moved(values: Mapping[str, Mapping[str, float | None]], treatment: str) -> tuple[Verdict, float]:
    """Whether a treatment moves a measure, and by how much in the mean over clips that have a value before and after.

    A value that the treatment takes away counts as a move of its own kind: where at least half of the clips lose
    theirs, the answer is yes.
    """
    before = {name: value for name, value in values[TRUTH].items() if value is not None}
    after = {name: value for name, value in values.get(treatment, {}).items() if value is not None}
    common = before.keys() & after.keys()
    if len(before) >= LEAST_CLIPS and 2 * len(common) <= len(before):
        return "yes", float("nan")
    if len(common) < LEAST_CLIPS:
        return "too few clips", float("nan")
    change = paired_difference(after, before, draws=1000)
    return ("yes" if change.p_value < LEVEL else "no"), change.mean


def tells_shift(metric: ItemMetric, values: Mapping[str, Mapping[str, float | None]]) -> Verdict:
    """Whether a measure tells a shift of 200 ms from none, early and late; for the better where it has a better end.

    A measure that calls shifted sound better is no measure of synchrony, so that a move the wrong way counts as "no".
    """
    verdicts: list[Verdict] = []
    for ms in (-DECISIVE, DECISIVE):
        verdict, change = moved(values, shift_name(ms))
        wrong = (metric.direction == "higher" and change > 0) or (metric.direction == "lower" and change < 0)
        verdicts.append("no" if verdict == "yes" and wrong else verdict)
    if "too few clips" in verdicts:
        return "too few clips"
    return "yes" if verdicts == ["yes", "yes"] else "no"


def fooled(metric: ItemMetric, values: Mapping[str, Mapping[str, float | None]], treatment: str) -> bool:
    """Whether silence or a still picture scores as well as the truth in a measure with a better end."""
    truth, _ = mean_of(values[TRUTH])
    guard, n = mean_of(values.get(treatment, {}))
    if truth is None or guard is None or not n or metric.direction == "none":
        return False
    return guard >= truth if metric.direction == "higher" else guard <= truth
