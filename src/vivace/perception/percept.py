"""Everything the blind detectors find in a clip: one call, plain numbers, JSON."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from vivace.media import Clip
from vivace.perception.bounces import Turn, bounces
from vivace.perception.camera import CameraMotion
from vivace.perception.lips import Mouth
from vivace.perception.mallets import head_path
from vivace.perception.materials import floor_material
from vivace.perception.onsets import Onset, detect_onsets
from vivace.perception.passing import PassingHeard, PassingSeen
from vivace.perception.scenery import Scenery, ShotSeen, Soundscape
from vivace.perception.sounds import classify, clip_kind
from vivace.perception.speech import Span, Speech
from vivace.perception.strokes import strokes
from vivace.perception.thresholds import Thresholds, thresholds
from vivace.perception.tracks import Track, coloured_tracks, parts_of_one
from vivace.world.palette import RAINBOW


@dataclass(frozen=True)
class Impact:
    """Something that hits.

    Args:
        time: seconds.
        x, y: place on the screen, -1 (left, top) to 1 (right, bottom).
        strength: speed before the impact, shorter picture sides per second.
        thing: what moves: index into `Seen.things` of a falling thing, -1 for a mallet.
    """

    time: float
    x: float
    y: float
    strength: float
    thing: int


@dataclass(frozen=True)
class Thing:
    """A coloured thing.

    Args:
        colour: palette name.
        moves: whether it travels up and down.
        x, y: mean place on the screen, -1 (left, top) to 1 (right, bottom).
        size: mean area as a share of the picture.
    """

    colour: str
    moves: bool
    x: float
    y: float
    size: float


@dataclass(frozen=True)
class Seen:
    """What the picture shows: impacts in order of time, coloured things (largest first), the floor's material.

    What has not been looked for is None: mouths (from left to right, and their pictures per second), scenery.
    """

    impacts: tuple[Impact, ...]
    things: tuple[Thing, ...]
    mallet: bool
    floor: str | None
    rate: float | None = None
    mouths: tuple[Mouth, ...] | None = None
    scenery: Scenery | None = None

    @property
    def row_of_bars(self) -> bool:
        """Four or more standing things of similar size side by side: the bars of a xylophone."""
        standing = [thing for thing in self.things if not thing.moves]
        return len(standing) >= 4 and np.ptp([thing.y for thing in standing]) < 0.25

    @property
    def objects(self) -> int:
        """How many coloured objects there are; a row of bars is one."""
        return len(self.things) - (sum(not thing.moves for thing in self.things) - 1 if self.row_of_bars else 0)

    @property
    def colours(self) -> tuple[str, ...]:
        """The colour of each object, "rainbow" for a row of bars of four or more colours."""
        if not self.row_of_bars:
            return tuple(thing.colour for thing in self.things)
        bars = [thing.colour for thing in self.things if not thing.moves]
        names = sorted(set(bars), key=lambda name: -bars.count(name))
        row = RAINBOW if len(names) >= 4 else names[0]
        return (*(thing.colour for thing in self.things if thing.moves), row)


@dataclass(frozen=True)
class Heard:
    """What is heard: onsets in order of time, the kind of each and of all together (None in silence).

    What has not been listened for is None: speech, soundscape.
    """

    onsets: tuple[Onset, ...]
    kinds: tuple[str, ...]
    kind: str | None
    speech: Speech | None = None
    soundscape: Soundscape | None = None


@dataclass(frozen=True)
class Percept:
    """What is seen and what is heard; a side that the clip lacks is None."""

    video: Seen | None
    audio: Heard | None


def perceive(clip: Clip, settings: Thresholds | None = None) -> Percept:
    """Look at and listen to a clip; a side that it lacks stays None.

    Args:
        clip: pictures and sound of any size and rate.
        settings: thresholds other than the frozen ones (calibration only).
    """
    settings = settings or thresholds()
    return Percept(
        video=None if clip.frames is None else look(clip.frames, float(clip.fps), settings),
        audio=None if clip.audio is None else listen(clip.audio, clip.sample_rate, settings),
    )


def listen(audio: np.ndarray, sample_rate: int, settings: Thresholds) -> Heard:
    """What is heard in a sound, float [C, N]."""
    onsets = detect_onsets(audio, sample_rate, settings.onsets)
    kinds = classify(audio, sample_rate, [onset.time for onset in onsets])
    whole = clip_kind(kinds)
    return Heard(tuple(onsets), tuple(kind.name for kind in kinds), None if whole is None else whole.name)


def look(frames: np.ndarray, fps: float, settings: Thresholds) -> Seen:
    """What pictures uint8 [T, H, W, 3] show.

    Coloured things that travel up and down are falling things and their bounces are the impacts; where none does, a
    swinging mallet is looked for.
    """
    tracks = coloured_tracks(frames, fps, settings.colours, settings.tracks)
    falling = [track for track in tracks if track.height_of_travel() > settings.tracks.least_travel]
    standing = [track for track in tracks if track not in falling]
    screen = _Screen(*frames.shape[1:3])
    things = [_thing([track], True, screen) for track in falling]
    things += [_thing(parts, False, screen) for parts in parts_of_one(standing, settings.tracks.part_gap)]
    impacts: list[Impact] = []
    head = None
    for index, track in enumerate(falling):
        times = np.array(track.frames) / fps
        for turn in bounces(times, track.series("bottom"), settings.bounces):
            impacts.append(_impact(turn, times, track.series("x"), screen, index))
    if not falling:
        head = head_path(frames, settings.mallets)
    if head is not None:
        times = np.arange(len(frames)) / fps
        impacts += [_impact(turn, times, head.x, screen, -1) for turn in strokes(times, head.y, settings.strokes)]
    return Seen(
        impacts=tuple(sorted(impacts, key=lambda impact: impact.time)),
        things=tuple(things),
        mallet=head is not None,
        floor=floor_material(frames, settings.floors),
    )


@dataclass(frozen=True)
class _Screen:
    """From shorter picture sides to the screen's [-1, 1]."""

    height: int
    width: int

    def x(self, value: float) -> float:
        return float(2.0 * value * min(self.height, self.width) / self.width - 1.0)

    def y(self, value: float) -> float:
        return float(2.0 * value * min(self.height, self.width) / self.height - 1.0)


def _impact(turn: Turn, times: np.ndarray, x: np.ndarray, screen: _Screen, thing: int) -> Impact:
    # Carried on from the two pictures before: at the turn itself x may turn too, as a mallet's head does.
    last = int(np.clip(np.searchsorted(times, turn.time) - 1, 1, len(times) - 1))
    speed = (x[last] - x[last - 1]) / (times[last] - times[last - 1])
    place = float(x[last] + speed * (turn.time - times[last]))
    return Impact(float(turn.time), screen.x(place), screen.y(turn.level), float(turn.speed), thing)


def _thing(parts: list[Track], moves: bool, screen: _Screen) -> Thing:
    areas = np.array([float(part.series("area").mean()) for part in parts])
    largest = parts[int(areas.argmax())]
    share = float(areas.sum()) * min(screen.height, screen.width) ** 2 / (screen.height * screen.width)
    x, y = (np.average([float(part.series(name).mean()) for part in parts], weights=areas) for name in ("x", "y"))
    return Thing(colour=largest.colour, moves=moves, x=screen.x(float(x)), y=screen.y(float(y)), size=share)


# What may not have been looked for; left out of the stored form, then.
_OPTIONAL = ("rate", "mouths", "scenery", "speech", "soundscape")


def percept_to_json(percept: Percept) -> dict[str, Any]:
    """Plain lists and numbers, rounded to a tenth of a millisecond and a ten-thousandth of the screen."""
    stored: dict[str, Any] = _plain(dataclasses.asdict(percept))
    return {
        name: {key: value for key, value in side.items() if value is not None or key not in _OPTIONAL}
        for name, side in stored.items()
        if side is not None
    }


def percept_from_json(stored: dict[str, Any]) -> Percept:
    """What `percept_to_json` gave."""
    seen, heard = stored.get("video"), stored.get("audio")
    return Percept(video=None if seen is None else _seen(seen), audio=None if heard is None else _heard(heard))


def _seen(stored: dict[str, Any]) -> Seen:
    mouths, scenery = stored.get("mouths"), stored.get("scenery")
    return Seen(
        impacts=tuple(Impact(**impact) for impact in stored["impacts"]),
        things=tuple(Thing(**thing) for thing in stored["things"]),
        mallet=stored["mallet"],
        floor=stored["floor"],
        rate=stored.get("rate"),
        mouths=None if mouths is None else tuple(Mouth(**{**m, "opening": tuple(m["opening"])}) for m in mouths),
        scenery=None
        if scenery is None
        else Scenery(
            shots=tuple(
                ShotSeen(shot["start"], tuple(shot["colours"]), shot.get("falls")) for shot in scenery["shots"]
            ),
            camera=CameraMotion(**scenery["camera"]),
            passing=None if scenery["passing"] is None else PassingSeen(**scenery["passing"]),
        ),
    )


def _heard(stored: dict[str, Any]) -> Heard:
    speech, soundscape = stored.get("speech"), stored.get("soundscape")
    return Heard(
        tuple(Onset(**onset) for onset in stored["onsets"]),
        tuple(stored["kinds"]),
        stored["kind"],
        speech=None
        if speech is None
        else Speech(tuple(_span(span) for span in speech["spans"]), tuple(speech["opening"])),
        soundscape=None
        if soundscape is None
        else Soundscape(
            **{
                **soundscape,
                "passing": None if soundscape["passing"] is None else PassingHeard(**soundscape["passing"]),
            }
        ),
    )


def _span(stored: dict[str, Any]) -> Span:
    return Span(**{**stored, **{name: tuple(stored[name]) for name in ("words", "starts", "voice")}})


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return round(value, 4) if isinstance(value, float) else value
