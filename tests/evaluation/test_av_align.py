"""The three forms of AV-Align on peak lists counted by hand, and on a clip."""

from fractions import Fraction

import numpy as np
import pytest

from vivace.evaluation.av_align import av_align_metrics, motion_peaks, mutual, one_sided, one_to_one
from vivace.evaluation.metric import Sample
from vivace.media import Clip

FPS = 25.0  # a frame is 40 ms
SOUND = [0.10, 0.50, 0.53, 1.00]
MOTION = [0.11, 0.52, 0.90]
# Within 40 ms: 0.10 (0.11), 0.50 and 0.53 (both 0.52): 3 hits of sound; of 120 ms: 1.00 (0.90) too, 4 hits; from the
# other side 3 motion peaks have sound within 120 ms. One to one within 40 ms: 0.10-0.11 and one of the pair: 2.


def test_the_form_of_the_code() -> None:
    assert one_sided(SOUND, MOTION, FPS) == pytest.approx(3 / (4 + 3 - 3), abs=1e-5)


def test_the_form_of_javisbench() -> None:
    assert mutual(SOUND, MOTION, FPS) == pytest.approx((4 + 3) / (4 + 3))
    assert mutual(SOUND, [5.0], FPS) == 0


def test_the_form_of_mova() -> None:
    assert one_to_one(SOUND, MOTION, FPS) == pytest.approx(2 / (4 + 3 - 2))


@pytest.mark.parametrize("form", [one_sided, mutual, one_to_one])
def test_one_empty_side_is_no_alignment(form) -> None:  # type: ignore[no-untyped-def]
    assert form([], MOTION, FPS) == form(SOUND, [], FPS) == 0


def test_motion_peaks_are_strict_maxima() -> None:
    assert motion_peaks([0, 1, 0, 2, 2, 0, 3], 10.0) == [0.2]
    assert motion_peaks([], 10.0) == []


def test_a_still_and_silent_clip_is_undefined() -> None:
    clip = Clip(np.full((12, 32, 32, 3), 90, np.uint8), Fraction(24), np.zeros((1, 8000), np.float32), 16000)
    for metric in av_align_metrics():
        assert "undefined" in metric.update(Sample("1", clip))
    mute = Clip(clip.frames, Fraction(24), None, 16000)
    assert av_align_metrics()[0].update(Sample("1", mute)) == {"undefined": "no sound"}
