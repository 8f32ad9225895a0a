"""Clips longer than a model makes at a time: windows that meet without a step in picture or sound."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from tests.tiny import tiny_alive_pipeline, tiny_pipeline

from vivace.conditioning.given import FADE_SECONDS, Known
from vivace.errors import VivaceError
from vivace.media import Clip
from vivace.pipelines.clip_pipeline import ClipPipeline
from vivace.pipelines.windows import Sides, changed_over, faded, joined, window_count, window_seed
from vivace.timeline import Timeline

RATE = 16000
FPS = Fraction(24)


@pytest.fixture(scope="module", params=["nava", "alive"])
def pipeline(request: pytest.FixtureRequest) -> ClipPipeline:
    make = tiny_pipeline if request.param == "nava" else tiny_alive_pipeline
    return make(longest_seconds=0.8, seconds=0.4, context_seconds=0.4)


def _pictures(times: np.ndarray, size: int = 32) -> np.ndarray:
    """A bright spot that moves smoothly over a slope of light."""
    rows, columns = np.mgrid[0:size, 0:size] / size
    spots = [np.exp(-(((columns - 0.5 - 0.3 * np.sin(t)) ** 2 + (rows - 0.5) ** 2) / 0.02)) for t in times]
    return np.stack([(60 + 60 * rows + 110 * spot)[..., None] * [1.0, 0.9, 0.8] for spot in spots]).astype(np.uint8)


def _sound(times: np.ndarray) -> np.ndarray:
    return np.stack([0.4 * np.sin(2 * np.pi * 220 * times), 0.3 * np.sin(2 * np.pi * 331 * times)]).astype(np.float32)


def _clip(frames: int = 13) -> Clip:
    samples = round(frames / FPS * RATE)
    return Clip(_pictures(np.arange(frames) / 24), FPS, _sound(np.arange(samples) / RATE), RATE)


def _steps(frames: np.ndarray) -> np.ndarray:
    return np.abs(np.diff(frames.astype(float), axis=0)).mean(axis=(1, 2, 3))


def test_a_clip_is_continued_by_more_than_a_window(pipeline: ClipPipeline) -> None:
    clip = _clip()
    seen: list[int] = []
    plan = pipeline.plan("a drum", seed=5, extend=clip, seconds=2.0)
    out = pipeline.run(plan, callback_on_step_end=lambda _, step, *rest: seen.append(step))
    frames, sound = np.asarray(out.frames)[0], np.asarray(out.audio)[0]
    assert abs(len(frames) - 13 - 48) <= 2
    assert abs(sound.shape[1] - len(frames) / 24 * RATE) <= 1
    np.testing.assert_array_equal(frames[:13], clip.frames)
    np.testing.assert_array_equal(sound[:, : clip.audio.shape[1]], clip.audio)
    windows = 1 + len(out.windows)
    assert windows >= 4
    assert len(seen) == pipeline.steps_of(plan) == windows * plan.preset.steps
    # All is made, and no stretch is made twice.
    assert _steps(frames)[13:].min() > 0
    again = pipeline.run(plan)
    np.testing.assert_array_equal(again.frames, out.frames)
    np.testing.assert_array_equal(again.audio, out.audio)
    assert torch.equal(again.latents.video, out.latents.video)


def test_no_seam_is_larger_than_the_clip_s_own_changes(pipeline: ClipPipeline) -> None:
    out = pipeline("a drum", seed=5, extend=_clip(), seconds=2.0)
    frames, sound = np.asarray(out.frames)[0], np.asarray(out.audio)[0]
    steps, ends, end = _steps(frames), [], 0
    tail = pipeline.timeline(0.4, 24).fitting_frames(round(0.4 * 24))
    for timeline in [out.timeline, *out.windows]:
        end = 13 + timeline.frames - tail if not ends else end + timeline.frames - tail
        ends.append(end)
    assert ends[-1] == len(frames)
    seams = [step for end in ends[:-1] for step in (end - 1, *range(end - tail - 1, end))]
    own = np.delete(steps, [*seams, *range(13)])
    # Everything from the first made picture on; the windows meet inside.
    assert steps[[end - 1 for end in ends[:-1]]].max() <= 1.05 * own.max()
    assert steps[seams].max() <= 1.5 * own.max()
    jumps = np.abs(np.diff(sound, axis=1)).max(axis=0)
    made = jumps[round(13 / 24 * RATE) :]
    near = [round(end / 24 * RATE) - round(13 / 24 * RATE) for end in ends[:-1]]
    places = np.unique([n for end in near for n in range(max(0, end - round(0.4 * RATE)), end + 200)])
    assert made[places].max() <= 1.5 * np.delete(made, places).max()


def test_several_clips_at_once_and_one_side_alone(pipeline: ClipPipeline) -> None:
    clip = _clip()
    both = pipeline(["a drum", "a bell"], seed=[5, 6], extend=clip, seconds=1.0)
    alone = pipeline("a bell", seed=6, extend=clip, seconds=1.0)
    assert np.abs(np.asarray(both.frames[1]).astype(int) - alone.frames[0]).max() <= 1
    np.testing.assert_allclose(both.audio[1], alone.audio[0], atol=1e-4)
    video = pipeline("a bell", seed=6, extend=clip, seconds=1.0, modalities="video")
    assert video.audio is None
    assert video.frames.shape == alone.frames.shape
    audio = pipeline("a bell", seed=6, extend=Clip(None, FPS, clip.audio, RATE), seconds=1.0, modalities="audio")
    assert audio.frames is None
    assert abs(audio.audio.shape[2] - clip.audio.shape[1] - RATE) <= 3 / 24 * RATE


def test_a_length_that_one_window_holds_is_made_as_before(pipeline: ClipPipeline) -> None:
    plan = pipeline.plan("a drum", seed=5, extend=_clip(), seconds=0.3)
    assert not plan.arranged.later
    assert window_count(pipeline.abilities, plan.arranged) == 1
    assert pipeline.run(plan).windows == []


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf"), 4000.0, True])
def test_lengths_that_cannot_be_are_refused(pipeline: ClipPipeline, seconds: Any) -> None:
    with pytest.raises(VivaceError, match="how much is to be added"):
        pipeline.plan("a drum", extend=_clip(), seconds=seconds)


def test_latents_of_several_windows_are_refused(pipeline: ClipPipeline) -> None:
    with pytest.raises(VivaceError, match="no latents of its whole"):
        pipeline("a drum", seed=1, extend=_clip(), seconds=2.0, output_type="latent")


def _codec(frames: np.ndarray) -> np.ndarray:
    """What a codec does to pictures: brighter, and a little soft."""
    soft = (frames.astype(float) + np.roll(frames, 1, 2) + np.roll(frames, -1, 2)) / 3
    return np.clip(soft + 9, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("start", "given"), [(40, 0), (40, 46), (24, 24)])
def test_windows_of_another_brightness_and_phase_meet_without_a_step(start: int, given: int) -> None:
    """Known motion and tones, of which the second window returns a brighter copy and one that lags in phase."""
    timeline, tail = Timeline(45), 13
    whole = _pictures(np.arange(start + 45) / 24)
    first = Sides(whole[: start + tail], _sound(np.arange(round((start + tail) / FPS * RATE)) / RATE))
    cut = int(np.ceil(start / FPS * RATE))
    made = Sides(_codec(whole[start:]), _sound(np.arange(cut, cut + timeline.samples) / RATE + 0.0004))
    before = Known(first.pictures[:start], first.sound[:, :cut])
    known = Known(first.pictures[start:], first.sound[:, cut:])
    told = Sides(first.pictures[:given], first.sound[:, : round(given / FPS * RATE)])
    out = joined(before, known, made, timeline, told)
    assert out.pictures.shape == whole.shape
    assert out.sound.shape[1] == cut + timeline.samples
    np.testing.assert_array_equal(out.pictures[:given], whole[:given])
    np.testing.assert_array_equal(out.sound[:, : told.sound.shape[1]], told.sound)
    np.testing.assert_array_equal(out.pictures[start + tail :], made.pictures[tail:])
    own = _steps(whole).max()
    hard = _steps(np.concatenate([first.pictures, made.pictures[tail:]]))[start + tail - 1]
    assert hard > 1.5 * own
    overlap = start + tail - max(start, given)
    assert _steps(out.pictures).max() <= own + 2 * 9 / overlap
    jumps = np.abs(np.diff(_sound(np.arange(20000) / RATE), axis=1)).max()
    assert np.abs(np.diff(out.sound, axis=1)).max() <= 1.1 * jumps


def test_pictures_fade_to_the_new_ones_and_sound_changes_over_where_both_agree() -> None:
    old, new = np.zeros((4, 2, 2, 3), np.uint8), np.full((9, 2, 2, 3), 200, np.uint8)
    assert faded(old, new, 0)[:, 0, 0, 0].tolist() == [50, 100, 150, 200]
    assert faded(old, new, 2)[:, 0, 0, 0].tolist() == [0, 0, 100, 200]
    assert faded(old, new, 4) is old
    rng = np.random.default_rng(0)
    one, two = rng.standard_normal((2, 2, 8000)).astype(np.float32)
    one[:, 5000:5600] = two[:, 5000:5600]
    out = changed_over(one, two, 0, 8000, RATE)
    np.testing.assert_array_equal(out[:, :5000], one[:, :5000])
    np.testing.assert_array_equal(out[:, 5600:], two[:, 5600:])
    np.testing.assert_allclose(out[:, 5000:5600], one[:, 5000:5600], atol=1e-6)
    # Too little room: at the end of the old one, and never beyond it.
    late = changed_over(one, two, 7990, 8000, RATE)
    np.testing.assert_array_equal(late[:, : 8000 - round(FADE_SECONDS * RATE)], one[:, : 8000 - 320])


def test_every_window_has_noise_of_its_own() -> None:
    seeds = {window_seed(seed, number) for seed in range(20) for number in range(20)}
    assert len(seeds) == 400
    assert window_seed(2**63 - 1, 3) < 2**63
    assert window_seed(7, 0) == 7


def test_windows_are_counted_before_they_are_made(pipeline: ClipPipeline) -> None:
    plan = pipeline.plan("a drum", seed=5, extend=_clip(5), seconds=3.0)
    count = window_count(pipeline.abilities, plan.arranged)
    assert count == 1 + len(pipeline.run(plan).windows)
    assert window_count(pipeline.abilities, replace(plan.arranged, later=Fraction(0))) == 1
