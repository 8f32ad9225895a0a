"""The three forms of AV-Align on peak lists counted by hand, and on a clip."""

from fractions import Fraction

import numpy as np
import pytest

from vivace.evaluation import av_align_published
from vivace.evaluation.av_align import av_align_metrics, motion_peaks, mutual, one_sided, one_to_one
from vivace.evaluation.av_align_published import published_av_align, published_av_align_metrics
from vivace.evaluation.metric import Sample
from vivace.media import Clip
from vivace.perception.published.av_align_peaks import flow_sizes, packages_lacking, sound_peaks

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
    assert motion_peaks([0, 1, 0, 2, 2, 0, 3], 10.0, first=0) == [0.1]
    assert motion_peaks([], 10.0) == []


def test_a_still_and_silent_clip_is_undefined() -> None:
    clip = Clip(np.full((12, 32, 32, 3), 90, np.uint8), Fraction(24), np.zeros((1, 8000), np.float32), 16000)
    for metric in av_align_metrics():
        assert "undefined" in metric.update(Sample("1", clip))
    mute = Clip(clip.frames, Fraction(24), None, 16000)
    assert av_align_metrics()[0].update(Sample("1", mute)) == {"undefined": "no sound"}


def test_without_the_packages_the_published_peaks_are_skipped_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(av_align_published, "packages_lacking", lambda: ["librosa"])
    metrics, skipped = published_av_align()
    assert metrics == []
    assert [entry.metric for entry in skipped] == ["av_align_code", "av_align_javisbench", "av_align_mova"]
    assert all('pip install "vivace[eval-video]"' in entry.reason and "librosa" in entry.file for entry in skipped)


def jumps(late: float = 0.0) -> Clip:
    """A textured square that leaps at 0.5, 1.0 and 1.5 s, with a click at each leap, `late` seconds later."""
    frames = np.full((50, 64, 64, 3), 60, np.uint8)
    texture = np.random.default_rng(0).integers(0, 255, (24, 24, 1), dtype=np.uint8)
    for n in range(50):
        left = 2 + 4 * sum(n >= at for at in (13, 26, 38))
        frames[n, 20:44, left : left + 24] = texture
    audio = np.zeros((2, 32000), np.float32)
    for at in (12, 25, 37):  # the step before the picture after the leap
        start = round((at / 25 + late) * 16000)
        audio[:, start : start + 400] = np.random.default_rng(at).normal(0, 0.3, 400) * np.linspace(1, 0, 400)
    return Clip(frames, Fraction(25), audio, 16000)


@pytest.mark.skipif(bool(packages_lacking()), reason="librosa and OpenCV are not installed (eval-video)")
def test_published_peaks_of_leaps_and_clicks() -> None:
    clip = jumps()
    assert clip.frames is not None
    assert clip.audio is not None
    assert motion_peaks(flow_sizes(clip.frames), 25.0, first=0) == [12 / 25, 25 / 25, 37 / 25]
    assert sound_peaks(clip.audio, 16000) == pytest.approx([12 / 25, 25 / 25, 37 / 25], abs=0.035)
    found, off = (
        {m.name: m.update(Sample("1", c))["value"] for m in published_av_align()[0]} for c in (clip, jumps(0.2))
    )
    assert found == pytest.approx({"av_align_code": 1.0, "av_align_javisbench": 1.0, "av_align_mova": 1.0}, abs=1e-5)
    assert set(off.values()) == {0.0}
    mute = Clip(clip.frames, Fraction(25), None, 16000)
    assert published_av_align_metrics()[0].update(Sample("2", mute)) == {"undefined": "no sound"}
