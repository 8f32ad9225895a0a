import numpy as np
import pytest
from pydantic import ValidationError

from vivace.timeline import Timeline
from vivace.training.clips import Length, SceneSource, Size, from_int16, plan_clips, render_clip, to_int16
from vivace.world import Scene

SOURCE = SceneSource(
    clips=400,
    seed=5,
    first_scene=1000,
    lengths=(Length(seconds=2.0, weight=3.0), Length(seconds=4.0, weight=1.0)),
    sizes=(Size(height=32, width=32), Size(height=32, width=48)),
    kinds={"drum": 1.0, "impacts": 1.0},
    variety=0.25,
)


def test_a_plan_is_a_function_of_seed_and_number():
    plans = plan_clips(SOURCE)
    longer = plan_clips(SOURCE.model_copy(update={"clips": 500}))
    assert longer[:400] == plans
    assert plan_clips(SOURCE.model_copy(update={"seed": 6})) != plans
    assert [plan.seed for plan in plans] == list(range(1000, 1400))
    assert len({plan.id for plan in plans}) == 400


def test_mixtures_follow_their_weights():
    plans = plan_clips(SOURCE)
    assert abs(np.mean([plan.seconds == 2.0 for plan in plans]) - 0.75) < 0.08
    assert abs(np.mean([plan.content == "variety" for plan in plans]) - 0.25) < 0.08
    assert {plan.kind for plan in plans} == {"drum", "impacts"}
    assert {(plan.height, plan.width) for plan in plans} == {(32, 32), (32, 48)}


def test_a_clip_has_the_lengths_that_its_row_says_and_sound_beyond_its_end():
    plans = plan_clips(SOURCE)
    for plan in (next(p for p in plans if p.content == content) for content in ("scene", "variety")):
        clip = render_clip(plan)
        timeline = Timeline.covering(plan.seconds)
        assert clip.video.shape == (timeline.frames, plan.height, plan.width, 3)
        assert clip.video.dtype == np.uint8
        assert clip.audio.dtype == np.int16
        assert clip.row["samples"] == timeline.samples
        assert clip.row["audio_tokens"] == timeline.audio_tokens
        assert clip.audio.shape[1] - timeline.samples == pytest.approx(4 / 24 * 16000, abs=1)
        assert np.abs(clip.audio).max() > 300
        if plan.content == "scene":
            assert Scene.from_json(clip.row["scene"]).kind == clip.row["kind"] == plan.kind


def test_sound_survives_storage_and_full_scale_does_not_wrap():
    audio = np.array([-1.0, -0.5, 0.0, 1e-3, 1.0])
    stored = to_int16(audio)
    assert stored.tolist() == [-32768, -16384, 0, 33, 32767]
    assert np.abs(from_int16(stored) - audio).max() <= 1 / 32768


def test_unknown_keys_and_odd_sizes_are_refused():
    with pytest.raises(ValidationError):
        SceneSource(clips=1, colour="red")
    with pytest.raises(ValidationError):
        Size(height=100, width=96)
