"""The detectors on true clips of the world that had no part in their calibration: bounds below which none may fall."""

from dataclasses import dataclass

import numpy as np
import pytest

from vivace.media import Clip
from vivace.perception.percept import Percept, perceive, percept_from_json, percept_to_json
from vivace.perception.sounds import KINDS
from vivace.timeline import Timeline
from vivace.world import KINDS as SCENES
from vivace.world import Scene, Truth, render_audio, render_video, sample_scene, truth

TIMELINE = Timeline.covering(2.0)
SIZE = 128


@dataclass(frozen=True)
class Known:
    scene: Scene
    truth: Truth
    percept: Percept


def still_scene(kind: str, start: int, timeline: Timeline = TIMELINE) -> Scene:
    """The first scene of this kind from a seed on whose camera stands still."""
    seconds = float(timeline.seconds)
    scenes = (sample_scene(seed, "test", kind=kind, seconds=seconds) for seed in range(start, start + 100))
    return next(scene for scene in scenes if scene.camera.move == "still")


def known(scene: Scene, timeline: Timeline = TIMELINE, height: int = SIZE, width: int = SIZE) -> Known:
    frames = render_video(scene, timeline, height, width)
    clip = Clip(frames, timeline.fps, render_audio(scene, timeline), timeline.sample_rate)
    return Known(scene, truth(scene, timeline, height, width), perceive(clip))


@pytest.fixture(scope="module")
def clips() -> list[Known]:
    return [known(still_scene(kind, start)) for kind in SCENES for start in (500, 600)]


def test_every_event_is_heard_within_three_milliseconds(clips: list[Known]) -> None:
    for clip in clips:
        assert clip.percept.audio is not None
        assert [onset.time for onset in clip.percept.audio.onsets] == pytest.approx(clip.truth.times, abs=0.003)


def test_every_event_is_seen_within_a_sixth_of_a_picture(clips: list[Known]) -> None:
    for clip in clips:
        assert clip.percept.video is not None
        assert [impact.time for impact in clip.percept.video.impacts] == pytest.approx(clip.truth.times, abs=0.007)


def test_place_seen_and_place_heard_are_the_true_one(clips: list[Known]) -> None:
    for clip in clips:
        assert clip.percept.video is not None
        assert clip.percept.audio is not None
        true = [event.x for event in clip.truth.events]
        seen = [impact.x for impact in clip.percept.video.impacts]
        if clip.scene.kind == "bell":
            assert seen == pytest.approx(true, abs=0.3)  # the mallet meets the bell beside its middle
        else:
            assert seen == pytest.approx(true, abs=0.05)
        assert [onset.pan for onset in clip.percept.audio.onsets] == pytest.approx(true, abs=0.3)


def test_kind_colour_floor_and_number_are_right(clips: list[Known]) -> None:
    for clip in clips:
        seen, heard, scene = clip.percept.video, clip.percept.audio, clip.scene
        assert seen is not None
        assert heard is not None
        assert heard.kind == (f"ball on {scene.stage.floor}" if scene.instrument is None else scene.kind)
        assert heard.kind in KINDS
        colours = [scene.instrument.colour] if scene.instrument else [ball.colour for ball in scene.balls]
        assert sorted(seen.colours) == sorted(colours)
        assert seen.objects == len(colours)
        assert seen.floor == scene.stage.floor
        assert seen.mallet == (scene.instrument is not None)


@pytest.mark.parametrize(("height", "width", "fps"), [(96, 160, 30), (144, 96, 24)])
def test_shape_and_rate_of_the_picture_do_not_matter(height: int, width: int, fps: int) -> None:
    timeline = Timeline.covering(2.0, fps)
    for kind in ("impacts", "drum"):
        clip = known(still_scene(kind, 700, timeline), timeline, height, width)
        assert clip.percept.video is not None
        assert [impact.time for impact in clip.percept.video.impacts] == pytest.approx(clip.truth.times, abs=0.01)
        assert [impact.x for impact in clip.percept.video.impacts] == pytest.approx(
            [event.x for event in clip.truth.events], abs=0.06
        )


def test_a_soft_and_noisy_picture_still_shows_the_bounces() -> None:
    from scipy.ndimage import gaussian_filter

    scene = still_scene("impacts", 500)
    frames = render_video(scene, TIMELINE, SIZE, SIZE).astype(np.float32)
    noise = np.random.default_rng(0).normal(scale=5.0, size=frames.shape)
    soft = gaussian_filter(frames, (0, 1.2, 1.2, 0)) + gaussian_filter(noise, (0, 1, 1, 0)) * 3
    percept = perceive(Clip(soft.clip(0, 255).astype(np.uint8), TIMELINE.fps, None, 16000))
    assert percept.video is not None
    assert percept.audio is None
    true = truth(scene, TIMELINE, SIZE, SIZE).times
    assert [impact.time for impact in percept.video.impacts] == pytest.approx(true, abs=0.012)


def test_nothing_is_found_where_nothing_is() -> None:
    frames = np.full((49, 64, 64, 3), 190, dtype=np.uint8)
    percept = perceive(Clip(frames, TIMELINE.fps, np.zeros((2, 32000), dtype=np.float32), 16000))
    assert percept.video is not None
    assert percept.audio is not None
    assert percept.video.impacts == ()
    assert percept.video.things == ()
    assert not percept.video.mallet
    assert percept.audio.onsets == ()
    assert percept.audio.kind is None


def test_findings_survive_json(clips: list[Known]) -> None:
    percept = clips[0].percept
    again = percept_from_json(percept_to_json(percept))
    assert percept_to_json(again) == percept_to_json(percept)
    assert again.video is not None
    assert percept.video is not None
    assert again.video.colours == percept.video.colours
