"""What the published program does beside its arithmetic, and the preset that mends it."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from tests.tiny import tiny_pipeline, tiny_speaking_pipeline

from vivace.media import Clip
from vivace.models.nava_context import NavaContext
from vivace.pair import AV
from vivace.pipelines.decoding import finished_sound
from vivace.pipelines.nava import NavaPipeline
from vivace.sampling.presets import MENDED, OFFICIAL, Preset

# Two steps are enough to tell the procedures apart.
SHORT = {"steps": 2, "negative_video": "grey", "negative_audio": "hum"}
PUBLISHED, OURS = (preset.model_copy(update=SHORT) for preset in (OFFICIAL, MENDED))
SPOKEN = "she says <S>two<E>"


@pytest.fixture(scope="module")
def speaking() -> NavaPipeline:
    return tiny_speaking_pipeline(unknown_voice="marker")


def context(pipeline: NavaPipeline, preset: Preset, branch: str) -> NavaContext:
    plan = pipeline.plan(SPOKEN, seed=1, preset=preset, voices=[torch.arange(8.0)])
    device = torch.device("cpu")
    return pipeline._contexts(plan, pipeline._read(plan, device), AV())[branch]


def test_the_masked_branch_keeps_its_voices_in_ours_alone(speaking: NavaPipeline) -> None:
    for preset, same in ((OURS, "conditional"), (PUBLISHED, "timbre_free")):
        masked, others = context(speaking, preset, "masked"), ("conditional", "timbre_free")
        equal = [name for name in others if torch.equal(masked.tokens, context(speaking, preset, name).tokens)]
        assert equal == [same]


def test_the_first_picture_is_exact_in_ours_and_decoded_in_the_published_procedure() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    pipeline = tiny_pipeline()
    ours, published = (pipeline("a drum", seed=1, image=picture, preset=preset) for preset in (OURS, PUBLISHED))
    np.testing.assert_array_equal(ours.frames[0, 0], picture)
    assert not np.array_equal(published.frames[0, 0], picture)


def test_sound_has_the_published_peak_or_is_as_loud_as_it_was_made(pipeline: NavaPipeline) -> None:
    ours, published = (pipeline(["a drum", "a ball"], seed=1, preset=preset) for preset in (OURS, PUBLISHED))
    assert published.audio_sample_rate == 16_000
    for mine, theirs in zip(ours.audio, published.audio, strict=True):
        assert np.abs(theirs).max() == pytest.approx(0.95)
        assert np.abs(mine).max() < 0.9


@pytest.mark.parametrize("rate", [8000, 24_000])
def test_sound_is_brought_to_the_preset_s_rate(pipeline: NavaPipeline, rate: int) -> None:
    preset = OURS.model_copy(update={"sound_rate": rate})
    made, own = pipeline("a drum", seed=1, preset=preset), pipeline("a drum", seed=1, preset=OURS)
    assert own.audio_sample_rate == 16_000
    assert made.audio_sample_rate == rate
    assert made.audio.shape == (1, 2, round(own.audio.shape[2] * Fraction(rate, 16_000)))
    assert made.audio.dtype == np.float32
    np.testing.assert_array_equal(made.latents.audio, own.latents.audio)


def test_a_given_sound_stays_as_it_was_given(pipeline: NavaPipeline) -> None:
    sound = np.random.default_rng(0).uniform(-0.1, 0.1, (2, 3333)).astype(np.float32)
    preset = PUBLISHED.model_copy(update={"sound_rate": 8000})
    out = pipeline("a drum", seed=1, audio=Clip(None, Fraction(24), sound, 16_000), preset=preset)
    assert out.audio_sample_rate == 16_000
    np.testing.assert_array_equal(out.audio[0, :, :3333], sound)


def test_silence_stays_silent() -> None:
    quiet = np.zeros((2, 2, 300), np.float32)
    quiet[1, 0, 5] = 2.0
    made, rate = finished_sound(quiet, 16_000, PUBLISHED)
    assert rate == 16_000
    assert not made[0].any()
    assert made[1, 0, 5] == pytest.approx(0.95)
