"""Raw footage with known faults: long videos of many shots, as they come before curation.

A file is a row of shots, each a scene of the world with at most one fault, joined by hard cuts, by fades through
black and, where `Variety` asks for them, by dissolves. With it comes the truth: where each shot begins and ends, what
is wrong with it, and what a right caption says. Captions that are wrong on purpose (speakers with swapped names) are
part of the footage, the right ones of the truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from vivace.errors import VivaceError
from vivace.timeline import Timeline
from vivace.world.caption_speech import DEEP_PITCH
from vivace.world.captions import caption
from vivace.world.cast import Talk
from vivace.world.footage_cast import recurring_scene, trio_scene
from vivace.world.footage_faults import (
    MORE_PICTURE_FAULTS,
    MORE_SOUND_FAULTS,
    PICTURE_FAULTS,
    SOUND_FAULTS,
    faulty_picture,
    faulty_sound,
)
from vivace.world.palette import FLOORS
from vivace.world.picture import render_video
from vivace.world.sample import sample_scene
from vivace.world.scene import Scene
from vivace.world.sound import render_audio
from vivace.world.talk import draw_talk, line_utterance
from vivace.world.talk_truth import place_of
from vivace.world.wording import FLOOR_SOUNDS

# "swapped" is wrong in the caption alone; "dubbed" and "off-screen" have the voice of somebody else.
SPEECH_FAULTS: tuple[str, ...] = ("swapped", "dubbed", "off-screen")
FAULTS: tuple[str, ...] = (*PICTURE_FAULTS, *SOUND_FAULTS, *SPEECH_FAULTS)
# Drawn only where they are asked for.
MORE_FAULTS: tuple[str, ...] = (*MORE_PICTURE_FAULTS, *MORE_SOUND_FAULTS)
# A long tail of kinds: each is half as frequent as the one before.
KINDS: tuple[str, ...] = ("impacts", "talk", "drum", "bell", "ambience", "xylophone", "woodblock", "vehicle")
FADE = 10  # pictures of a fade out, and of a fade in
DISSOLVE = 16  # pictures that belong to two shots
SHORTEST, LONGEST = 2.4, 4.0  # seconds of a shot


@dataclass(frozen=True)
class Variety:
    """What footage may have besides; by default it has none of it.

    Args:
        dissolves: share of the joins without a fade that are dissolves.
        cast: so many people take turns in the talk of all files, with the same looks and voices; 0: always others.
        trios: share of the shots of talk with three people.
    """

    dissolves: float = 0.0
    cast: int = 0
    trios: float = 0.0


@dataclass(frozen=True)
class ShotTruth:
    """One shot of a file; seconds of the file. A dissolve's middle parts two shots.

    Args:
        fault: one of `FAULTS` or `MORE_FAULTS`, or "" for none.
        late: seconds by which its sound is late (fault "shifted").
        caption: what is true of it. speakers: of each speech, by the caption's names.
        fades: whether it ends in a fade through black. dissolves: whether it ends in a dissolve.
        spans: seconds of the shot in which each speech of the caption is said.
        character: number of the recurring one who speaks.
    """

    start: float
    end: float
    kind: str
    seed: int
    fault: str
    late: float
    caption: str
    speakers: tuple[str, ...]
    fades: bool
    dissolves: bool = False
    spans: tuple[tuple[float, float], ...] = ()
    character: int | None = None


@dataclass(frozen=True)
class Footage:
    """One file.

    Args:
        frames: uint8 [T, H, W, 3] at 24 pictures per second. audio: float32 [2, N] at 16 kHz.
        shots: the truth. captions: what is said of the shots, right or not.
    """

    frames: np.ndarray
    audio: np.ndarray
    shots: tuple[ShotTruth, ...]
    captions: tuple[dict[str, Any], ...]

    def truth(self) -> list[dict[str, Any]]:
        """The shots as JSON values."""
        return [asdict(shot) for shot in self.shots]


def make_footage(
    seed: int,
    shots: int = 5,
    faulty: float = 0.5,
    size: int = 128,
    faults: tuple[str, ...] = FAULTS,
    variety: Variety = Variety(),
) -> Footage:
    """The footage of this seed.

    Args:
        shots: how many. faulty: share of shots with a fault. size: pixels of a side.
        faults: what is drawn from, of `FAULTS` and `MORE_FAULTS`.

    Raises:
        VivaceError: an unknown fault, or no shot.
    """
    unknown = [fault for fault in faults if fault not in (*FAULTS, *MORE_FAULTS)]
    if unknown or shots < 1:
        known = ", ".join((*FAULTS, *MORE_FAULTS))
        raise VivaceError(f"Footage of {shots} shots with the faults {faults!r} is unknown; use {known}.")
    # Variety has a stream of its own, so that without it everything is as it was before there was any.
    rng, varied = np.random.default_rng([2024, seed]), np.random.default_rng([2025, seed])
    pictures: list[np.ndarray] = []
    sounds: list[np.ndarray] = []
    told: list[ShotTruth] = []
    claimed: list[dict[str, Any]] = []
    begun = 0
    for number in range(shots):
        fault = str(rng.choice(faults)) if rng.random() < faulty else ""
        scene, timeline = _scene(rng, seed * 1000 + number, fault)
        scene, character = _cast(varied, scene, fault, variety, seed * 5 + number)
        frames, audio, late = _shot(rng, scene, timeline, size, fault)
        fades = bool(number + 1 < shots and rng.random() < 0.25)
        dissolves = bool(number + 1 < shots and varied.random() < variety.dissolves and not fades)
        if fades:
            frames, audio = _faded(frames, audio)
        first = begun
        if told and told[-1].dissolves:
            pictures[-1], frames = _mixed(pictures[-1], frames)
            sounds[-1], audio = _mixed_sound(sounds[-1], audio)
            begun, first = begun - DISSOLVE, begun - DISSOLVE // 2
            told[-1] = replace(told[-1], end=first / 24)
            claimed[-1] = {**claimed[-1], "end": first / 24}
        start, end = first / 24, (begun + len(frames)) / 24
        right, speakers = structured_caption(scene)
        given, _ = structured_caption(scene, swapped=fault == "swapped")
        spans = _spans(scene, (first - begun) / 24)
        told.append(
            ShotTruth(
                start,
                end,
                scene.kind,
                scene.seed,
                fault,
                late,
                right,
                tuple(speakers),
                fades,
                dissolves,
                spans,
                character,
            )
        )
        claimed.append({"start": start, "end": end, "caption": given})
        pictures.append(frames)
        sounds.append(audio)
        begun += len(frames)
    return Footage(np.concatenate(pictures), np.concatenate(sounds, axis=1), tuple(told), tuple(claimed))


def chained(parts: Sequence[Footage]) -> Footage:
    """One long file of several, joined by hard cuts."""
    told: list[ShotTruth] = []
    claimed: list[dict[str, Any]] = []
    sounds: list[np.ndarray] = []
    begun = 0
    for part in parts:
        later = begun / 24
        told += [replace(shot, start=later + shot.start, end=later + shot.end) for shot in part.shots]
        claimed += [{**one, "start": later + one["start"], "end": later + one["end"]} for one in part.captions]
        begun += len(part.frames)
        # To the sample, or many parts would drift apart.
        wanted = round(begun / 24 * 16000) - sum(sound.shape[1] for sound in sounds)
        sounds.append(np.pad(part.audio, ((0, 0), (0, max(0, wanted - part.audio.shape[1]))))[:, :wanted])
    frames = np.concatenate([part.frames for part in parts])
    return Footage(frames, np.concatenate(sounds, axis=1), tuple(told), tuple(claimed))


def _scene(rng: np.random.Generator, seed: int, fault: str) -> tuple[Scene, Timeline]:
    timeline = Timeline.covering(float(rng.uniform(SHORTEST, LONGEST)))
    weights = 0.5 ** np.arange(len(KINDS))
    kind = str(rng.choice(KINDS, p=weights / weights.sum()))
    if fault in SPEECH_FAULTS:
        kind = "talk"
    if fault in ("shifted", "silent", "silent-part", "clipped"):
        kind = str(rng.choice(["impacts", "drum", "woodblock"]))
    seconds = float(timeline.seconds)
    scene = sample_scene(seed, "train", kind=kind, seconds=seconds)
    if fault == "swapped":
        # Names can only be swapped between two who both speak.
        while scene.talk is None or len({line.speaker for line in scene.talk.lines}) < 2:
            scene = replace(scene, talk=draw_talk(rng, "train", seconds, two=True))
    return scene, timeline


def _cast(rng: np.random.Generator, scene: Scene, fault: str, variety: Variety, take: int) -> tuple[Scene, int | None]:
    """The scene with three people in it or a recurring one, if it is one of those; and that one's number."""
    trio, number = rng.random() < variety.trios, int(rng.integers(max(variety.cast, 1)))
    # Whoever is dubbed or unseen stays as drawn: the voice of somebody else is drawn for one or two.
    if scene.kind != "talk" or fault in ("dubbed", "off-screen"):
        return scene, None
    if trio:
        return trio_scene(rng, scene.seed, scene.seconds), None
    if variety.cast and fault != "swapped":
        return recurring_scene(number, take, scene.seconds), number
    return scene, None


def _spans(scene: Scene, shown_from: float) -> tuple[tuple[float, float], ...]:
    """Seconds in which each line is said, counted from `shown_from` seconds of the scene on."""
    if scene.talk is None or scene.kind != "talk":
        return ()
    starts = [line.start - shown_from for line in scene.talk.lines]
    lengths = [line_utterance(scene.talk, line).seconds for line in scene.talk.lines]
    return tuple((round(start, 4), round(start + n, 4)) for start, n in zip(starts, lengths, strict=True))


def _shot(
    rng: np.random.Generator, scene: Scene, timeline: Timeline, size: int, fault: str
) -> tuple[np.ndarray, np.ndarray, float]:
    """Pictures, sound and by how many seconds the sound is late."""
    frames = render_video(scene, timeline, size, size)
    audio = render_audio(scene, timeline).astype(np.float32)
    late = 0.0
    if fault in (*PICTURE_FAULTS, *MORE_PICTURE_FAULTS):
        frames = faulty_picture(rng, frames, fault)
    elif fault == "shifted":
        late = float(rng.choice([-1, 1]) * rng.uniform(0.25, 0.45))
        moved = round(late * timeline.sample_rate)
        audio = np.roll(audio, moved, axis=1)
        audio[:, : max(moved, 0)] = 0
        audio[:, audio.shape[1] + min(moved, 0) :] = 0
    elif fault in (*SOUND_FAULTS, *MORE_SOUND_FAULTS):
        audio = faulty_sound(rng, audio, timeline.sample_rate, fault)
    elif fault in ("dubbed", "off-screen"):
        assert scene.talk is not None
        if fault == "dubbed":
            other = replace(scene, talk=draw_talk(rng, "train", scene.seconds))
            audio = render_audio(other, timeline).astype(np.float32)
        else:
            shown = sample_scene(scene.seed, "train", kind="impacts", seconds=scene.seconds)
            frames = render_video(shown, timeline, size, size)
    return frames, audio, late


def _faded(frames: np.ndarray, audio: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """With the end fading to black, and as much black behind it."""
    count = min(FADE, len(frames))
    gain = np.linspace(1, 0, count)[:, None, None, None]
    end = (frames[-count:] * gain).astype(np.uint8)
    black = np.zeros((FADE, *frames.shape[1:]), np.uint8)
    silence = np.zeros((audio.shape[0], round(FADE / 24 * 16000)), np.float32)
    length = round((len(frames) + FADE) / 24 * 16000)
    sound = np.concatenate([audio, silence], axis=1)
    sound = np.pad(sound, ((0, 0), (0, max(0, length - sound.shape[1]))))[:, :length]
    return np.concatenate([frames[:-count], end, black]), sound


def _mixed(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pictures before without their end, and those after beginning with the mixtures of both."""
    share = (np.arange(1, DISSOLVE + 1) / (DISSOLVE + 1))[:, None, None, None]
    mixture = (before[-DISSOLVE:] * (1 - share) + after[:DISSOLVE] * share + 0.5).astype(np.uint8)
    return before[:-DISSOLVE], np.concatenate([mixture, after[DISSOLVE:]])


def _mixed_sound(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    count = round(DISSOLVE / 24 * 16000)
    share = np.linspace(0, 1, count, dtype=np.float32)
    mixture = before[:, -count:] * (1 - share) + after[:, :count] * share
    return before[:, :-count], np.concatenate([mixture, after[:, count:]], axis=1)


def structured_caption(scene: Scene, swapped: bool = False) -> tuple[str, list[str]]:
    """What is true of a scene with subjects, speech in <W> and sounds in <I>, and the speaker of each speech.

    Args:
        swapped: give every speech to the next one of the speakers, which is not true.
    """
    rng = np.random.default_rng([scene.seed, 2])
    if scene.talk is not None and scene.kind == "talk":
        return _of_talk(scene.talk, swapped)
    text = caption(scene, rng).rstrip(".!")
    sound = _sound_of(scene)
    heard = f", <I>{sound}</I>" if sound else ""
    return f"Visual: {text}\nNarration: {text[0].lower()}{text[1:]}{heard}", []


def _of_talk(talk: Talk, swapped: bool) -> tuple[str, list[str]]:
    subjects = []
    for number, character in enumerate(talk.characters, 1):
        hair = "bald" if character.style == "bald" else f"with {character.hair} hair"
        place = place_of(character)
        where = f" on the {place}" if place != "middle" else ""
        voice = "deep" if character.voice.pitch < DEEP_PITCH else "clear"
        look = f"a {character.person} {hair} in {character.clothes}{where}"
        subjects.append(f"[S{number}] {look} | voice: {voice}")
    speakers = [f"S{line.speaker + 1}" for line in talk.lines]
    count = len(talk.characters)
    named = [f"S{(line.speaker + swapped) % count + 1}" for line in talk.lines]
    said = ", then ".join(
        f"[{name}] says <W>{' '.join(line.words)}</W>" for name, line in zip(named, talk.lines, strict=True)
    )
    people = {1: "somebody talks", 2: "two people talk"}.get(count, "three people talk")
    return "Subjects:\n" + "\n".join(subjects) + f"\nVisual: {people} before a wall\nNarration: {said}", speakers


def _sound_of(scene: Scene) -> str:
    if scene.silent:
        return ""
    if scene.vehicle is not None:
        return "an engine"
    if scene.ambience is not None:
        return scene.ambience.sound
    if scene.instrument is not None:
        return {"drum": "a beat", "bell": "a ring", "woodblock": "a knock", "xylophone": "notes"}[scene.kind]
    return FLOOR_SOUNDS[scene.stage.floor if scene.stage.floor in FLOORS else "wood"][0][1]
