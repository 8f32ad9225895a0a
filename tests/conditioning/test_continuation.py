from fractions import Fraction

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from vivace.conditioning.continuation import cut_tail, levelled, prepend
from vivace.errors import VivaceError
from vivace.media import Clip
from vivace.timeline import Timeline

DICE = np.random.default_rng(0)


def _clip(frames: int, fps: int = 24, rate: int = 16000) -> Clip:
    pictures = DICE.integers(0, 256, (frames, 4, 4, 3), dtype=np.uint8)
    sound = (0.1 * DICE.standard_normal((2, round(frames / fps * rate)))).astype(np.float32)
    return Clip(pictures, Fraction(fps), sound, rate)


@pytest.mark.parametrize("fps", [24, 25, 30])
@pytest.mark.parametrize("frames", [1, 2, 4, 5, 17, 18, 49, 100])
def test_the_parts_of_a_clip_are_the_clip(frames: int, fps: int) -> None:
    clip = _clip(frames, fps)
    before, tail, timeline = cut_tail(clip, Timeline(frames=1, fps=Fraction(fps)), 0.75)
    assert tail.pictures is not None
    assert tail.sound is not None
    assert len(tail.pictures) == timeline.frames <= 0.75 * fps
    assert timeline.frames % 4 == 1
    assert timeline.frames > min(frames, round(0.75 * fps)) - 4
    # The tail's sound begins with its first picture, to a sample.
    assert 0 <= timeline.samples - tail.sound.shape[1] <= 1
    joined = prepend(before, tail.pictures, tail.sound)
    np.testing.assert_array_equal(joined[0], clip.frames)
    np.testing.assert_array_equal(joined[1], clip.audio)


def test_one_side_alone() -> None:
    clip = _clip(30)
    like = Timeline(frames=1)
    before, tail, timeline = cut_tail(Clip(clip.frames, clip.fps, None, 16000), like, 0.75)
    assert before.sound is None
    assert tail.sound is None
    before, tail, timeline = cut_tail(Clip(None, clip.fps, clip.audio, 16000), like, 0.75)
    assert before.pictures is None
    assert tail.pictures is None
    assert tail.sound is not None
    assert timeline.frames == 17
    assert tail.sound.shape[1] == timeline.samples
    np.testing.assert_array_equal(prepend(before, None, tail.sound)[1], clip.audio)


def test_less_than_a_picture_is_refused() -> None:
    with pytest.raises(VivaceError, match="less than one picture"):
        cut_tail(Clip(None, Fraction(24), np.zeros((2, 99), np.float32), 16000), Timeline(frames=1), 0.75)


def test_what_follows_has_no_step_in_brightness_and_keeps_its_detail() -> None:
    rng = np.random.default_rng(0)
    true = np.clip(120 + 20 * rng.standard_normal((1, 32, 32, 3)) + np.arange(20)[:, None, None, None], 0, 255)
    made = np.clip(true + np.array([14.0, -9.0, 5.0]), 0, 255).astype(np.uint8)
    shown = true[:8].astype(np.uint8)
    out = levelled(shown, made, Fraction(24))
    np.testing.assert_array_equal(out[:8], made[:8])
    np.testing.assert_array_equal(out[14:], made[14:])
    steps = np.diff(np.concatenate([shown, out[8:]]).astype(float).mean(axis=(1, 2)), axis=0)
    hard = np.diff(np.concatenate([shown, made[8:]]).astype(float).mean(axis=(1, 2)), axis=0)
    assert np.abs(hard).max() > 10
    # Behind the given pictures the clip's own step of 1; then the change comes back bit by bit, in whole levels.
    assert np.abs(steps[7] - 1).max() < 1e-6
    assert np.abs(steps).max() <= 1 + np.ceil(14 / 6)
    fine = [frames[8].astype(float) - frames[8].mean(axis=(0, 1)) for frames in (out, made)]
    np.testing.assert_allclose(fine[0], fine[1], atol=1.5)
    np.testing.assert_array_equal(levelled(shown, made[:8], Fraction(24)), made[:8])
    np.testing.assert_array_equal(levelled(shown[:0], made, Fraction(24)), made)


def test_detail_goes_on_where_nothing_moves_and_leaves_no_ghost_where_something_does() -> None:
    """A codec that softens a still pattern on the left, and on the right a stripe that moves on after what is given."""
    sharp = np.full((16, 64, 64, 3), 120, np.uint8)
    sharp[:, ::2, :32] = 160
    for number, frame in enumerate(sharp):
        left = 40 if number < 8 else 48
        frame[:, left : left + 4] = 250
    made = gaussian_filter(sharp.astype(np.float32), (0, 1.5, 1.5, 0)).astype(np.uint8)
    out = levelled(sharp[:8], made, Fraction(24)).astype(np.float32)
    steps = [np.abs(after - before).mean() for after, before in ((out[8], sharp[7]), (made[8].astype(float), sharp[7]))]
    still = [np.abs((frames[8] - sharp[7])[:, 4:28]).mean() for frames in (out, made.astype(np.float32))]
    assert still[0] < 1 < 5 < still[1]
    assert steps[0] < steps[1]
    # Where the stripe was, and where it is now, stands what was made.
    np.testing.assert_allclose(out[8, 16:48, 36:56], made[8, 16:48, 36:56], atol=6)
    inside = slice(4, 28)
    errors = [np.abs(frame - sharp[0])[:, inside].mean() for frame in out[8:14]]
    assert np.all(np.diff(errors) > 0)  # and the pattern softens step by step, to what the codec makes of it
    np.testing.assert_array_equal(out[14:], made[14:])
