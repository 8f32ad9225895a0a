"""Faces, mouths and their agreement with the voice, on true clips of people who talk."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from vivace.perception.faces import face_tracks, likeliest_face
from vivace.perception.lip_sync import RATE, lip_sync, sounding_opening, speaking
from vivace.perception.lips import Mouth, mouths
from vivace.perception.thresholds import thresholds
from vivace.timeline import Timeline
from vivace.world import Truth, render_audio, render_video, sample_scene, truth
from vivace.world.takes import take_scene

TIMELINE = Timeline(frames=49)
FPS = 24.0


@dataclass(frozen=True)
class Known:
    frames: np.ndarray
    sound: np.ndarray
    true: Truth


@lru_cache(maxsize=8)
def talk(seed: int, height: int = 128, width: int = 128) -> Known:
    scene = sample_scene(seed, "val", kind="talk")
    frames, sound = render_video(scene, TIMELINE, height, width), render_audio(scene, TIMELINE)
    return Known(frames, sound, truth(scene, TIMELINE, height, width))


def check_mouths(known: Known, frames: np.ndarray, least: float) -> None:
    assert known.true.talk is not None
    found = mouths(frames)
    assert len(found) == len(known.true.talk.speakers)
    for mouth, speaker in zip(found, known.true.talk.speakers, strict=True):
        assert np.abs(np.array([mouth.x, mouth.y]) - np.mean(speaker.mouth, axis=0)).max() < 0.05
        if np.std(speaker.opening) > 0.05:
            assert np.corrcoef(mouth.opening, speaker.opening)[0, 1] > least


@pytest.mark.parametrize("seed", range(4))
def test_every_mouth_is_found_where_it_is_and_as_open_as_it_is(seed: int) -> None:
    known = talk(seed)
    check_mouths(known, known.frames, 0.94)


def test_a_wide_picture_a_larger_one_and_a_soft_noisy_one_change_little() -> None:
    for size in ((96, 160), (192, 192)):
        wide = talk(1, *size)
        check_mouths(wide, wide.frames, 0.93)
    known = talk(0)
    soft = gaussian_filter(known.frames.astype(np.float32), (0.4, 0.7, 0.7, 0))
    noisy = soft + np.random.default_rng(0).normal(0, 4, soft.shape)
    check_mouths(known, noisy.clip(0, 255).astype(np.uint8), 0.9)


def test_a_blurred_face_is_most_like_one_where_it_is() -> None:
    settings, apart = thresholds().faces, []
    for number in range(8):
        frames = render_video(take_scene(number, 0, "val"), Timeline(13), 128, 128)
        (sharp,) = face_tracks(frames)
        blurred = likeliest_face(gaussian_filter(frames, (0, 2, 2, 0)), settings)
        assert blurred is not None
        near = [np.mean(values) for values in (sharp.columns, sharp.rows, sharp.sizes)]
        apart.append(np.abs(np.array([blurred.column, blurred.row, blurred.size]) - near).max() / 128)
    assert sum(distance < 0.03 for distance in apart) >= 7
    assert likeliest_face(np.full((5, 128, 128, 3), 120, np.uint8), settings) is None


@pytest.mark.parametrize("kind", [None, "vehicle", "ambience"])
def test_where_nobody_is_there_is_no_face(kind: str | None) -> None:
    for seed in range(3):
        assert face_tracks(render_video(sample_scene(seed, "val", kind=kind), TIMELINE, 128, 128)) == []


def test_lips_go_with_their_own_voice_and_with_no_other() -> None:
    known = [talk(seed) for seed in range(4)]
    seen = [mouths(clip.frames) for clip in known]
    heard = [sounding_opening(clip.sound, TIMELINE.sample_rate) for clip in known]
    own = [lip_sync(mouth, sound, FPS) for mouth, sound in zip(seen, heard, strict=True)]
    other = [lip_sync(mouth, sound, FPS) for mouth, sound in zip(seen, heard[1:] + heard[:1], strict=True)]
    assert all(sync is not None and sync.correlation > 0.85 and abs(sync.lag) < 0.02 for sync in own)
    assert np.mean([0.0 if sync is None else sync.correlation for sync in other]) < 0.6


@pytest.mark.parametrize("milliseconds", [-120, -35, 60, 150])
def test_a_shifted_voice_is_off_by_as_much(milliseconds: int) -> None:
    times = np.arange(200) / RATE

    def opening(at: np.ndarray) -> np.ndarray:
        return np.exp(-(((at - 0.8) / 0.1) ** 2)) + 0.5 * np.exp(-(((at - 1.3) / 0.06) ** 2))

    mouth = Mouth(0.0, 0.0, 0.2, tuple(opening(np.arange(49) / FPS)))
    sync = lip_sync([mouth], opening(times - milliseconds / 1000), FPS)
    assert sync is not None
    assert 1000 * sync.lag == pytest.approx(milliseconds, abs=2)
    assert sync.best > 0.99


def test_without_movement_or_sound_there_is_no_agreement() -> None:
    still = Mouth(0.0, 0.0, 0.2, (0.0,) * 49)
    assert lip_sync([still], np.sin(np.arange(200) / 10), FPS) is None
    moving = Mouth(0.0, 0.0, 0.2, tuple(np.sin(np.arange(49))))
    assert lip_sync([moving], np.zeros(200), FPS) is None
    assert lip_sync([], np.ones(200), FPS) is None


def test_who_speaks_is_whose_mouth_is_open_then() -> None:
    first = Mouth(-0.5, 0.2, 0.2, (0.8,) * 12 + (0.0,) * 37)
    second = Mouth(0.5, 0.2, 0.2, (0.0,) * 24 + (0.6,) * 25)
    assert speaking([first, second], 0.1, 0.4, FPS) == 0
    assert speaking([first, second], 1.1, 1.9, FPS) == 1
    assert speaking([], 0.0, 1.0, FPS) is None
    assert speaking([first, second], 5.0, 6.0, FPS) == 0
