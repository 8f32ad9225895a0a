"""More than events: what is found where people talk, and in scenes with ambience, vehicles, silence and cuts.

`perceive` looks for events, colours and materials; these look for the rest too. Which of them is used says what is
measured, never what was asked for: each finds all there is of its sort, or nothing.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vivace.media import Clip
from vivace.perception.ambience import heard_ambience
from vivace.perception.camera import camera_motion
from vivace.perception.cuts import detect_cuts
from vivace.perception.lips import mouths
from vivace.perception.passing import passing_heard, passing_seen
from vivace.perception.percept import Percept, Seen, look, perceive
from vivace.perception.scenery import Scenery, ShotSeen, Soundscape
from vivace.perception.silence import loudest
from vivace.perception.speech import hear_speech
from vivace.perception.thresholds import Thresholds, thresholds


def perceive_talk(clip: Clip, settings: Thresholds | None = None) -> Percept:
    """Events, and mouths and speech."""
    settings = settings or thresholds()
    events = perceive(clip, settings)
    video, audio = events.video, events.audio
    if video is not None and clip.frames is not None:
        video = replace(video, rate=float(clip.fps), mouths=tuple(mouths(clip.frames, settings)))
    if audio is not None and clip.audio is not None:
        audio = replace(audio, speech=hear_speech(clip.audio, clip.sample_rate, settings))
    return Percept(video, audio)


def perceive_scene(clip: Clip, settings: Thresholds | None = None) -> Percept:
    """Events, and shots, camera, ambience, silence and passings."""
    settings = settings or thresholds()
    events = perceive(clip, settings)
    video, audio = events.video, events.audio
    if video is not None and clip.frames is not None:
        video = replace(video, scenery=_scenery(clip.frames, float(clip.fps), settings))
    if audio is not None and clip.audio is not None:
        audio = replace(audio, soundscape=_soundscape(clip.audio, clip.sample_rate, settings))
    return Percept(video, audio)


def _scenery(frames: np.ndarray, fps: float, settings: Thresholds) -> Scenery:
    starts = [0.0, *detect_cuts(frames, fps, settings.cuts)]
    parts = np.split(frames, [round(start * fps) for start in starts[1:]])
    shots = tuple(_shot(start, look(part, fps, settings)) for start, part in zip(starts, parts, strict=True))
    return Scenery(shots, camera_motion(parts[0], settings.camera), passing_seen(frames, fps, settings))


def _shot(start: float, seen: Seen) -> ShotSeen:
    return ShotSeen(start, seen.colours, any(thing.moves for thing in seen.things))


def _soundscape(audio: np.ndarray, sample_rate: int, settings: Thresholds) -> Soundscape:
    level = loudest(audio, sample_rate, settings.silence)
    return Soundscape(
        level,
        level < settings.silence.level,
        heard_ambience(audio, sample_rate, settings.ambience).name,
        passing_heard(audio, sample_rate, settings.passing),
    )
