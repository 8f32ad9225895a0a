"""What a user gives beside the prompts: checked against the model, and brought to one size, rate and length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from PIL import Image

from vivace.conditioning.continuation import cut_tail
from vivace.conditioning.first_frame import as_picture, fit_image
from vivace.conditioning.given import Known, at_rate, fit_pictures, to_stereo
from vivace.errors import VivaceError
from vivace.media import Clip
from vivace.media.image import changes_of
from vivace.pipelines.capabilities import Abilities, TaskName
from vivace.sampling.settings_checks import is_number
from vivace.timeline import Timeline, as_rate

Modalities = Literal["both", "video", "audio"]
LEAST_GIVEN = Fraction(1, 10)  # seconds of a picture or sound for which the other side is made
MOST_ADDED = 3600.0  # seconds by which a clip can be continued at once


@dataclass(frozen=True)
class Materials:
    """As given: each empty, one for all clips, or one for each.

    image: uint8 [H, W, 3] or PIL. audio: clips whose sound counts. video: clips whose pictures count.
    extend: clips to go on from.
    """

    image: list[Any] = field(default_factory=list)
    audio: list[Clip] = field(default_factory=list)
    video: list[Clip] = field(default_factory=list)
    extend: list[Clip] = field(default_factory=list)

    @classmethod
    def read(cls, count: int, image: Any = None, audio: Any = None, video: Any = None, extend: Any = None) -> Materials:
        """From the arguments of a call for `count` clips.

        Raises:
            VivaceError: neither one nor as many as clips, or something of another kind.
        """
        named = {"image": image, "audio": audio, "video": video, "extend": extend}
        lists = {name: _many(name, value, count) for name, value in named.items()}
        for name in ("audio", "video", "extend"):
            for clip in lists[name]:
                if not isinstance(clip, Clip):
                    raise VivaceError(
                        f"{name} is {type(clip).__name__}, not a clip; read it first with vivace.media.read_clip."
                    )
        return cls(**lists)


@dataclass(frozen=True)
class Arranged:
    """What is sampled, and what of it is known.

    Args:
        timeline: of what is sampled; a continued clip's begins with its tail.
        known: one for all clips, or one for each.
        before: parts of continued clips that stand before the timeline.
        video_given, audio_given: whether that side is known to its end.
        notes: what was changed in the given things, in sentences.
        later: seconds that are still to be added behind the timeline, in further windows (`vivace.pipelines.windows`).
    """

    timeline: Timeline
    width: int
    height: int
    known: list[Known]
    before: list[Known]
    video_given: bool
    audio_given: bool
    notes: list[str]
    later: Fraction = Fraction(0)

    @property
    def shown(self) -> Fraction:
        """Seconds of the timeline that the end of a continued clip takes; 0 of any other clip."""
        if not self.before:
            return Fraction(0)
        tail = self.known[0]
        if tail.pictures is not None:
            return len(tail.pictures) / self.timeline.fps
        return Fraction(_samples(tail), self.timeline.sample_rate)


def arrange(
    can: Abilities[Any],
    given: Materials,
    modalities: Modalities,
    *,
    seconds: float | None,
    width: int | None,
    height: int | None,
    fps: float | None,
    multiple: int,
    covering: Callable[[float | Fraction, Fraction], Timeline],
) -> Arranged:
    """Everything of a call that given things decide: size, rate, length, what is known.

    Args:
        multiple: sides of pictures are multiples of this.
        covering: the model's shortest timeline of at least so many seconds at a rate.

    Raises:
        VivaceError: things that do not go together, that the model has not learned to use, or that do not fit.
    """
    check_together(given, modalities)
    for task in tasks_of(given, modalities):
        can.check_task(task)
    if seconds is not None and not given.extend:
        can.check_seconds(seconds)
    rate = _rate(can, [] if modalities == "audio" else [*given.video, *given.extend], bool(given.extend), fps)
    notes: list[str] = []
    width, height = _size(can, given, modalities, width, height, multiple)
    if given.extend:
        return _continued(can, given.extend, modalities, rate, width, height, seconds, covering, notes)

    pictures = [_shown(clip, "The given video", rate, notes) for clip in given.video]
    sample_rate = covering(1, rate).sample_rate
    sounds = [_heard(clip, "The given sound", sample_rate, notes) for clip in given.audio]
    lengths = [len(frames) / rate for frames in pictures] + [Fraction(s.shape[1], sample_rate) for s in sounds]
    what = "The given video" if pictures else "The given sound"
    timeline = covering(_length(can, what, lengths, seconds), rate)
    # Cut before they are scaled, since most of a long video may not be used at all.
    cut = [_whole_pictures(frames, timeline, notes) for frames in pictures]
    known = [Known(pictures=_sized(frames, "The given video", width, height, notes)) for frames in cut]
    known += [Known(sound=_whole_sound(sound, timeline, notes)) for sound in sounds]
    if given.image:
        known = _with_first_pictures(known, given.image, width, height, notes)
    return Arranged(timeline, width, height, known, [], bool(pictures), bool(sounds), list(dict.fromkeys(notes)))


def check_together(given: Materials, modalities: Modalities) -> None:
    """Raises VivaceError for things that cannot be given together, or that leave nothing to make."""
    names = [name for name in ("image", "audio", "video") if getattr(given, name)]
    if given.extend and names:
        raise VivaceError(f"A clip that is continued brings its own picture and sound; leave {names[0]} out.")
    if given.video and given.audio:
        raise VivaceError("Video and audio were both given, so that nothing is left to make; leave one of them out.")
    if given.video and given.image:
        raise VivaceError("A given video brings its own first picture; leave image out.")
    if given.image and modalities == "audio":
        raise VivaceError("A first picture was given for sound alone; leave it out or make pictures too.")
    if (given.video or given.audio) and modalities != "both":
        side = "video" if given.video else "audio"
        raise VivaceError(f"With {side} given the clip has both sides; leave 'only {modalities}' out.")


def tasks_of(given: Materials, modalities: Modalities) -> list[TaskName]:
    """What a model must have learned for a call."""
    tasks: list[TaskName] = []
    if modalities != "both":
        tasks.append("t2v" if modalities == "video" else "t2a")
    for things, task in ((given.image, "ti2av"), (given.audio, "a2v"), (given.video, "v2a"), (given.extend, "extend")):
        if things:
            tasks.append(task)  # type: ignore[arg-type]
    return tasks or ["t2av"]


def _many(name: str, value: Any, count: int) -> list[Any]:
    things = [] if value is None else list(value) if isinstance(value, (list, tuple)) else [value]
    if len(things) not in (0, 1, count):
        raise VivaceError(f"{len(things)} things were given as {name} for {count} clips; give one, or one for each.")
    return things


def _rate(can: Abilities[Any], clips: list[Clip], continued: bool, fps: float | None) -> Fraction:
    """What was asked for, else the rate of the given pictures where the model has it, else the model's first."""
    if fps is not None:
        return as_rate(can.check_rate(fps))
    rates = [as_rate(rate) for rate in can.fps]
    own = [clip.fps for clip in clips if clip.frames is not None]
    if own and own[0] in rates:
        return own[0]
    if own and continued:
        raise VivaceError(
            f"The given clip has {float(own[0]):g} pictures a second, which {can.name} cannot continue; "
            f"give fps {can.fps[0]:g} to have it shown at that rate."
        )
    return rates[0]


def _size(
    can: Abilities[Any], given: Materials, modalities: Modalities, width: int | None, height: int | None, multiple: int
) -> tuple[int, int]:
    """What was asked for, else what suits the given pictures, else the model's own. (width, height)"""
    pictures: list[Any] = list(given.image)
    if modalities != "audio":
        pictures += [clip.frames[0] for clip in (*given.video, *given.extend) if clip.frames is not None]
    shown = as_picture(pictures[0]).size if pictures else None
    if width is None and height is None and shown is not None:
        if not given.extend:
            return can.nearest_shape(*shown)
        try:
            can.check_size(*shown, multiple)
        except VivaceError:
            nearest = can.nearest_shape(*shown)
            raise VivaceError(
                f"The given clip has pictures of {shown[0]}x{shown[1]}, which {can.name} cannot continue; "
                f"give size {'x'.join(map(str, nearest))} to have them cut and scaled."
            ) from None
        return shown
    default = shown if shown is not None and given.extend else (can.width, can.height)
    width, height = default[0] if width is None else width, default[1] if height is None else height
    can.check_size(width, height, multiple)
    return width, height


def _length(can: Abilities[Any], what: str, lengths: Sequence[Fraction], seconds: float | None) -> float | Fraction:
    if seconds is not None or not lengths:
        return can.seconds if seconds is None else seconds
    shortest = min(lengths)
    if shortest < LEAST_GIVEN:
        raise VivaceError(
            f"{what} lasts {float(shortest):.3f} s, which is no clip; give at least {float(LEAST_GIVEN):g} s of it."
        )
    # A clip of the model's own longest length may last a few pictures more, because codecs count in fours.
    if shortest > can.longest_seconds + 0.25:
        raise VivaceError(
            f"{what} lasts more than the {can.longest_seconds:g} s that {can.name} can make; "
            f"give seconds up to {can.longest_seconds:g} to use its beginning, or a shorter one."
        )
    return min(shortest, Fraction(can.longest_seconds))


def _shown(clip: Clip, what: str, rate: Fraction, notes: list[str]) -> np.ndarray:
    """A clip's pictures at the rate. uint8 [T, H, W, 3]"""
    if clip.frames is None:
        raise VivaceError(f"{what} has no pictures; give a file that has.")
    if clip.fps != rate:
        notes.append(
            f"{what} has {float(clip.fps):g} pictures a second and is shown at {float(rate):g}: some are left out or "
            "repeated."
        )
    return at_rate(clip.frames, clip.fps, rate)


def _sized(frames: np.ndarray, what: str, width: int, height: int, notes: list[str]) -> np.ndarray:
    """Pictures at the size. uint8 [T, H, W, 3]"""
    notes += _scaling(what, frames.shape[2], frames.shape[1], width, height)
    return fit_pictures(frames, height, width)


def _heard(clip: Clip, what: str, sample_rate: int, notes: list[str]) -> np.ndarray:
    """A clip's sound in stereo at the rate. float32 [2, N]"""
    if clip.audio is None:
        raise VivaceError(f"{what} is a file without sound; give one that has.")
    if clip.sample_rate != sample_rate:
        notes.append(f"{what} has {clip.sample_rate} samples a second and is resampled to {sample_rate}.")
    if len(clip.audio) > 2:
        raise VivaceError(f"{what} has {len(clip.audio)} channels; mix it to 1 or 2 first.")
    return to_stereo(clip.audio, clip.sample_rate, sample_rate)


def _scaling(what: str, width: int, height: int, to_width: int, to_height: int) -> list[str]:
    if (width, height) == (to_width, to_height):
        return []
    scale = max(to_width / width, to_height / height)
    across, down = round(to_width / scale), round(to_height / scale)
    cut = "" if abs(across - width) <= 1 and abs(down - height) <= 1 else f"cut to its middle {across}x{down} and "
    return [f"{what} is {width}x{height} and is {cut}scaled to {to_width}x{to_height}."]


def _whole_pictures(frames: np.ndarray, timeline: Timeline, notes: list[str]) -> np.ndarray:
    """Pictures to the timeline's end; the last one is repeated where the codec needs up to a latent frame more."""
    missing = timeline.frames - len(frames)
    if missing >= timeline.temporal_stride:
        raise VivaceError(_too_short("The given video", len(frames) / timeline.fps, timeline))
    if missing > 0:
        notes.append(f"The given video's last picture is shown {missing + 1} times, because the codec counts in fours.")
    elif missing < 0:
        notes.append(_used("The given video", timeline))
    return np.concatenate([frames[: timeline.frames], np.repeat(frames[-1:], max(0, missing), axis=0)])


def _whole_sound(sound: np.ndarray, timeline: Timeline, notes: list[str]) -> np.ndarray:
    """Sound to the timeline's end; silence is added where the pictures last up to a latent frame longer."""
    missing = timeline.samples - sound.shape[1]
    length = Fraction(sound.shape[1], timeline.sample_rate)
    if missing >= timeline.sample_rate / timeline.latent_rate:
        raise VivaceError(_too_short("The given sound", length, timeline))
    if missing > 1:
        notes.append(
            f"The given sound lasts {float(length):.3f} s and the clip {float(timeline.seconds):.3f} s; "
            "silence fills the rest."
        )
    elif missing < -1:
        notes.append(_used("The given sound", timeline))
    return np.pad(sound[:, : timeline.samples], ((0, 0), (0, max(0, missing))))


def _too_short(what: str, length: Fraction, timeline: Timeline) -> str:
    return (
        f"{what} lasts {float(length):.3f} s and {float(timeline.seconds):.3f} s are asked for; "
        f"give seconds {max(0.01, int(length * 100) / 100):g}, or leave them out."
    )


def _used(what: str, timeline: Timeline) -> str:
    return f"{what} is longer than the clip; its first {float(timeline.seconds):.3f} s are used."


def _with_first_pictures(
    known: list[Known], images: list[Any], width: int, height: int, notes: list[str]
) -> list[Known]:
    """The known sounds, if any, each with its first picture."""
    for image in images:
        if isinstance(image, Image.Image):
            notes += [f"The given picture {change}." for change in changes_of(image)]
        notes += _scaling("The given picture", *as_picture(image).size, width, height)
    firsts = [fit_image(image, height, width)[None] for image in images]
    count = max(len(known), len(firsts))
    sounds = known * (count // len(known)) if known else [Known()] * count
    return [replace(k, pictures=first) for k, first in zip(sounds, firsts * (count // len(firsts)), strict=True)]


def _continued(
    can: Abilities[Any],
    clips: list[Clip],
    modalities: Modalities,
    rate: Fraction,
    width: int,
    height: int,
    seconds: float | None,
    covering: Callable[[float | Fraction, Fraction], Timeline],
    notes: list[str],
) -> Arranged:
    like, what = covering(1, rate), "The given clip"
    parts = []
    for clip in clips:
        missing = "sound" if clip.audio is None else "pictures"
        if modalities == "both" and (clip.frames is None or clip.audio is None):
            other = "video" if missing == "sound" else "audio"
            raise VivaceError(f"{what} has no {missing}; give 'only {other}' to continue what it has.")
        frames, audio = None, None
        if modalities != "audio":
            frames = _sized(_shown(clip, what, rate, notes), what, width, height, notes)
        if modalities != "video":
            audio = _heard(clip, what, like.sample_rate, notes)
        if frames is not None and audio is not None:
            audio = _as_long(audio, len(frames), like, notes)
        parts.append(cut_tail(Clip(frames, rate, audio, like.sample_rate), like, can.context_seconds))
    lengths = {(_count(before.pictures), _count(tail.pictures), _samples(before, tail)) for before, tail, _ in parts}
    if len(lengths) > 1:
        raise VivaceError("The given clips differ in length; continue clips of one length together, or one by one.")
    tail = parts[0][2]
    most = can.longest_seconds - float(tail.seconds)
    added = check_added(can, seconds) if seconds is not None else min(can.seconds, most)
    timeline, later = window(can, tail, Fraction(added))
    before, known = [part[0] for part in parts], [part[1] for part in parts]
    return Arranged(timeline, width, height, known, before, False, False, list(dict.fromkeys(notes)), later)


def _as_long(sound: np.ndarray, pictures: int, like: Timeline, notes: list[str]) -> np.ndarray:
    """A continued clip's sound [2, N], with silence behind it or cut where it differs from its pictures by one or more.

    What is less is the rounding of rates.
    """
    wanted = round(pictures / like.fps * like.sample_rate)
    missing = wanted - sound.shape[1]
    if abs(missing) * like.fps < like.sample_rate:
        return sound
    lasts = f"The given clip's sound lasts {sound.shape[1] / like.sample_rate:.2f} s and its pictures"
    then = "silence fills the rest" if missing > 0 else "what is more is left out"
    notes.append(f"{lasts} {wanted / like.sample_rate:.2f} s; {then}.")
    return np.pad(sound[:, :wanted], ((0, 0), (0, max(0, missing))))


def check_added(can: Abilities[Any], seconds: float) -> float:
    """The length that a clip is continued by, itself.

    Raises:
        VivaceError: not a finite number above 0, or more than `MOST_ADDED`.
    """
    if not is_number(seconds) or not 0 < seconds <= MOST_ADDED:
        raise VivaceError(
            f"seconds {seconds!r} is not possible with {can.name}; "
            f"give how much is to be added, above 0 and up to {MOST_ADDED:g}."
        )
    return seconds


def window(can: Abilities[Any], tail: Timeline, added: Fraction) -> tuple[Timeline, Fraction]:
    """The timeline that begins with a tail and adds as much of `added` (s) as the model makes at a time; the rest."""
    room = Fraction(can.longest_seconds) - tail.seconds
    timeline = tail.extended(min(added, room))
    rest = added - (timeline.seconds - tail.seconds)
    # A length is met to half a picture, as every other.
    return timeline, rest if rest * tail.fps > Fraction(1, 2) else Fraction(0)


def _count(pictures: np.ndarray | None) -> int:
    return 0 if pictures is None else len(pictures)


def _samples(*parts: Known) -> int:
    return sum(0 if part.sound is None else part.sound.shape[1] for part in parts)
