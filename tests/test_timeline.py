"""Time is converted in one place; these are its laws."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vivace.errors import VivaceError
from vivace.timeline import MAX_SECONDS, Timeline, as_rate

rates = st.sampled_from(
    [Fraction(1), Fraction(8), Fraction(24000, 1001), Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(60)]
) | st.fractions(min_value=1, max_value=120, max_denominator=1001)
lengths = st.floats(min_value=0.01, max_value=MAX_SECONDS)
strides = st.sampled_from([1, 2, 4, 8])


@st.composite
def timelines(draw):
    stride = draw(strides)
    return Timeline(
        frames=draw(st.integers(0, 400)) * stride + 1,
        fps=draw(rates),
        sample_rate=draw(st.sampled_from([16000, 22050, 44100, 48000])),
        temporal_stride=stride,
        mel_rate=draw(st.sampled_from([100, 62, 125])),
        mel_stride=draw(strides),
    )


@given(lengths, rates, strides)
def test_covering_is_the_shortest_that_lasts_to_half_a_picture(seconds, fps, stride):
    timeline = Timeline.covering(seconds, fps, temporal_stride=stride)
    half = 0.5 / float(fps) + 1e-9
    assert float(timeline.seconds) >= seconds - half
    if timeline.frames > 1:
        shorter = Timeline(timeline.frames - stride, fps, temporal_stride=stride)
        assert float(shorter.seconds) < seconds - half + 2e-9


@given(lengths, lengths, rates)
def test_longer_requests_are_never_shorter_anywhere(one, other, fps):
    low, high = (Timeline.covering(seconds, fps) for seconds in sorted((one, other)))
    for unit in ("frames", "seconds", "samples", "latent_frames", "mel_frames", "audio_tokens"):
        assert getattr(low, unit) <= getattr(high, unit)


@given(timelines())
def test_a_timeline_covers_its_own_length(timeline):
    if timeline.seconds <= MAX_SECONDS:
        again = Timeline.covering(timeline.seconds, timeline.fps, temporal_stride=timeline.temporal_stride)
        assert again.frames == timeline.frames


@given(timelines())
def test_the_first_latent_frame_is_one_picture_and_each_other_a_stride(timeline):
    assert 1 + timeline.temporal_stride * (timeline.latent_frames - 1) == timeline.frames


@example(Timeline(1, Fraction(100, 3), 22050, temporal_stride=1, mel_rate=100, mel_stride=1))  # ends on half a sample
@given(timelines())
def test_decoded_audio_covers_every_sample_and_wastes_no_token(timeline):
    def decoded(tokens: int) -> Fraction:
        return Fraction(1 + timeline.mel_stride * (tokens - 1), timeline.mel_rate)

    # Samples are a whole number, so the sound may end up to half a sample after the picture.
    needed = max(timeline.seconds, Fraction(timeline.samples, timeline.sample_rate))
    assert decoded(timeline.audio_tokens) >= needed
    if timeline.audio_tokens > 1:
        assert decoded(timeline.audio_tokens - 1) < needed
    assert timeline.audio_tokens - math.ceil(timeline.seconds * timeline.token_rate) in (0, 1)


@given(timelines())
def test_times_rise_and_stay_in_the_clip(timeline):
    for times, count, reach in (
        (timeline.frame_times(), timeline.frames, 0),
        (timeline.latent_frame_times(), timeline.latent_frames, 0),
        (timeline.audio_token_times(), timeline.audio_tokens, timeline.mel_stride / timeline.mel_rate),
    ):
        assert times.shape == (count,)
        assert times[0] == 0
        assert (np.diff(times) > 0).all()
        assert times[-1] < float(timeline.seconds) + reach


@given(timelines())
def test_latent_centres_are_the_middle_of_their_pictures(timeline):
    pictures, stride = timeline.frame_times(), timeline.temporal_stride
    for k, centre in enumerate(timeline.latent_frame_times()):
        covered = pictures[:1] if k == 0 else pictures[1 + stride * (k - 1) :][:stride]
        assert centre == pytest.approx(covered.mean(), abs=1e-9)


@given(timelines())
@settings(max_examples=30, deadline=None)
def test_every_picture_is_found_at_its_time_and_until_the_next(timeline):
    for index, time in enumerate(timeline.frame_times()):
        assert timeline.frame_of(time) == index
        assert timeline.frame_of(time + 0.9 / float(timeline.fps)) == index
    assert timeline.frame_of(-1.0) == 0
    assert timeline.frame_of(1e6) == timeline.frames - 1


@given(timelines(), st.integers(0, 1_000_000))
def test_samples_make_the_round_trip(timeline, sample):
    assert timeline.sample_of(sample / timeline.sample_rate) == sample


@pytest.mark.parametrize(
    ("seconds", "frames", "tokens", "samples"),
    [
        (2.0, 49, 52, 32667),
        (4.0, 97, 102, 64667),
        (2.04, 49, 52, 32667),
        (0.001, 1, 2, 667),
        (60.0, 1441, 1502, 960667),
    ],
)
def test_lengths_in_use(seconds, frames, tokens, samples):
    timeline = Timeline.covering(seconds)
    assert (timeline.frames, timeline.audio_tokens, timeline.samples) == (frames, tokens, samples)


@pytest.mark.parametrize(("latent", "frames", "tokens"), [(37, 145, 152), (31, 121, 127)])
def test_figures_of_nava(latent, frames, tokens):
    timeline = Timeline(4 * (latent - 1) + 1)
    assert (timeline.latent_frames, timeline.frames, timeline.audio_tokens) == (latent, frames, tokens)


def test_audio_positions_in_video_latents():
    assert Timeline(49).audio_rope_scale == pytest.approx(0.24, abs=1e-12)
    assert Timeline(49, Fraction(25)).audio_rope_scale == pytest.approx(0.25, abs=1e-12)
    assert Timeline(49).token_rate == 25
    assert Timeline(49).latent_rate == 6


@pytest.mark.parametrize(
    ("given", "exact"),
    [
        (24, Fraction(24)),
        (24.0, Fraction(24)),
        ("25", Fraction(25)),
        ("30000/1001", Fraction(30000, 1001)),
        (29.97, Fraction(30000, 1001)),
        (23.976, Fraction(24000, 1001)),
        (59.94, Fraction(60000, 1001)),
        (30000 / 1001, Fraction(30000, 1001)),
        (12.5, Fraction(25, 2)),
        (0.001, Fraction(1, 1000)),
    ],
)
def test_rates_are_exact(given, exact):
    assert as_rate(given) == exact


@pytest.mark.parametrize("bad", [0, -24, 1001, float("nan"), float("inf"), "fast", "1/0", "", None])
def test_rates_that_are_none(bad):
    with pytest.raises(VivaceError, match="fps"):
        as_rate(bad)
    with pytest.raises(VivaceError, match="fps"):
        Timeline.covering(2.0, bad)
    with pytest.raises(VivaceError, match="fps"):
        Timeline(49, bad)


def test_a_picture_that_outlasts_every_clip_is_refused():
    with pytest.raises(VivaceError, match=r"fps 0\.016 shows a picture for 62\.5 s and a clip lasts 60 s at most"):
        Timeline.covering(2.0, 0.016)
    assert Timeline.covering(2.0, 0.02).frames == 1


@pytest.mark.parametrize("bad", [0, -1.0, float("nan"), float("inf"), 60.001, 1e300, "2", None])
def test_lengths_that_are_none(bad):
    with pytest.raises(VivaceError, match="seconds"):
        Timeline.covering(bad)


@pytest.mark.parametrize(("frames", "near"), [(0, "1"), (-3, "1"), (48, "45 or 49"), (50, "49 or 53"), (2, "1 or 5")])
def test_frames_that_the_codec_cannot_hold(frames, near):
    with pytest.raises(VivaceError, match=near):
        Timeline(frames)


def test_a_timeline_is_extended_by_whole_latent_frames():
    tail = Timeline(frames=17)
    for seconds in (0.01, 0.5, 1, 2, Fraction(49, 24)):
        longer = tail.extended(seconds)
        added = (longer.frames - 17) / 24
        assert longer.frames % 4 == 1
        assert added > 0
        assert float(seconds) - 0.5 / 24 <= added < float(seconds) + 4 / 24
        assert longer.fps == tail.fps


def test_what_a_beginning_decides():
    timeline = Timeline(frames=49)
    assert [timeline.fitting_frames(n) for n in (1, 2, 4, 5, 8, 9)] == [1, 1, 1, 5, 5, 9]
    assert [timeline.latent_frames_within(n) for n in (0, 1, 4, 5, 49, 99)] == [0, 1, 1, 2, 13, 13]
    # Token k ends with mel frame 4 k, whose centre lies at 40 k ms.
    assert [timeline.audio_tokens_within(t) for t in (0, 0.039, 0.04, 0.081, 1.0)] == [1, 1, 2, 3, 26]
    assert timeline.audio_tokens_within(0.02, look_ahead=0.03) == 0
    assert timeline.audio_tokens_within(0.12, look_ahead=0.04) == 3
    assert timeline.audio_tokens_within(99) == timeline.audio_tokens
