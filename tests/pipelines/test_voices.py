from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.tiny import tiny_speaking_pipeline

from vivace.conditioning.voices import Recording, recording, speaker_vectors
from vivace.data.fingerprint import weights_hash
from vivace.errors import VivaceError
from vivace.models.nava_context import NavaContext
from vivace.models.speaker import NanoSpeakerEncoder
from vivace.pair import AV
from vivace.pipelines.nava import NavaPipeline
from vivace.sampling.presets import Preset

ONE, TWO = "she says <S>hello<E>", "she says <S>two<E>, he says <S>blue<E>"


@pytest.fixture(scope="module")
def speaking() -> NavaPipeline:
    return tiny_speaking_pipeline()


@pytest.fixture(scope="module")
def voices() -> list[Recording]:
    times = np.arange(16000) / 16000
    tones = [sum(np.sin(2 * np.pi * hz * k * times) / k for k in range(1, 9)) * 0.1 for hz in (110, 230)]
    return [recording(tone, 16000) for tone in tones]


def sound(pipeline: NavaPipeline, prompt: str, **settings: Any) -> torch.Tensor:
    made = pipeline(prompt, seed=1, output_type="latent", **settings)
    assert isinstance(made.audio, torch.Tensor)
    return made.audio


def context(pipeline: NavaPipeline, prompt: str, branch: str = "conditional", **settings: Any) -> NavaContext:
    plan, device = pipeline.plan(prompt, seed=1, **settings), torch.device("cpu")
    return pipeline._contexts(plan, pipeline._read(plan, device), AV())[branch]


def test_every_span_has_its_own_voice(speaking: NavaPipeline, voices: list[Recording]) -> None:
    a, b = voices
    nobody = sound(speaking, TWO)
    both = [sound(speaking, TWO, voices=given) for given in ([a, b], [b, a], [a, a], [a, None])]
    for first, one in enumerate([nobody, *both]):
        for other in [nobody, *both][:first]:
            assert not torch.allclose(one, other, atol=1e-4)
    torch.testing.assert_close(sound(speaking, TWO, voices=[a]), both[2])
    vectors = list(speaker_vectors(speaking.speaker_encoder, [a, b], 8))
    torch.testing.assert_close(sound(speaking, TWO, voices=vectors), both[0])


def test_a_clip_of_a_batch_is_the_clip_alone(speaking: NavaPipeline, voices: list[Recording]) -> None:
    a, b = voices
    prompts, given = ["a drum", ONE, TWO], [[], [b], [b, a]]
    together = speaking(prompts, seed=[3, 4, 5], voices=given, guides={"timbre": 1}, output_type="latent").audio
    for k, (prompt, own) in enumerate(zip(prompts, given, strict=True)):
        guides = {"timbre": 1} if own else {}
        alone = speaking(prompt, seed=3 + k, voices=own, guides=guides, output_type="latent").audio
        torch.testing.assert_close(together[k : k + 1], alone, atol=1e-4, rtol=1e-4)


def test_speakers_stand_at_their_markers(speaking: NavaPipeline, voices: list[Recording]) -> None:
    layers, start = speaking.transformer.speaker_embedding, TWO.index("<S>") + 3
    # A byte is a token, and so is the marker, which stands behind "<S>".
    places = [start, TWO.index("<S>", start) + 3 + 1]
    nobody = context(speaking, TWO).tokens[0]
    found = context(speaking, TWO, voices=[voices[1], None]).tokens[0]
    vectors = speaker_vectors(speaking.speaker_encoder, [voices[1], None], 8)
    torch.testing.assert_close((found - nobody)[places], layers(vectors) - layers.null_token)
    others = [k for k in range(len(found)) if k not in places]
    assert torch.equal(found[others], nobody[others])


def test_what_an_unknown_voice_is(speaking: NavaPipeline, voices: list[Recording]) -> None:
    published = tiny_speaking_pipeline(unknown_voice="marker")
    place = ONE.index("<S>") + 3
    settings: dict[str, Any] = {"guides": {"timbre": 2, "align": 1}, "voices": [voices[0]]}
    # The published masked branch has no voices either, ours keeps them.
    for branch, preset in (("timbre_free", Preset()), ("masked", Preset(official=True))):
        settings["preset"] = preset
        torch.testing.assert_close(
            context(speaking, ONE, branch, **settings).tokens[0, place], context(speaking, ONE).tokens[0, place]
        )
        bare = context(published, ONE, branch, **settings).tokens[0]
        torch.testing.assert_close(bare, context(published, ONE).tokens[0])
        assert not torch.allclose(bare[place], context(speaking, ONE).tokens[0, place])
    # A voice that is expressly unknown beside a known one is the null speaker in both.
    place = TWO.index("<S>") + 3
    given = context(published, TWO, voices=[None, voices[0]]).tokens[0, place]
    torch.testing.assert_close(given, context(speaking, TWO).tokens[0, place])


def test_timbre_guidance_needs_a_voice(speaking: NavaPipeline, voices: list[Recording]) -> None:
    base = sound(speaking, ONE, voices=[voices[0]])
    assert not torch.allclose(base, sound(speaking, ONE, voices=[voices[0]], guides={"timbre": 3}), atol=1e-4)
    with pytest.raises(VivaceError, match="no voice was given"):
        speaking.plan(ONE, guides={"timbre": 3})


def test_what_does_not_fit_is_refused(speaking: NavaPipeline, voices: list[Recording], pipeline: NavaPipeline) -> None:
    a, b = voices
    cases: list[tuple[NavaPipeline, str, list[Any], str]] = [
        (speaking, "a drum", [a], "no speech for the voice"),
        (speaking, ONE, [a, b], "1 speech span and 2 voices"),
        (speaking, f"{TWO} {ONE}", [a, b], "3 speech spans and 2 voices"),
        (speaking, f"{TWO} {TWO}", [a], "4 speech spans and tiny takes at most 3"),
        (speaking, ONE, [torch.zeros(5)], r"shape \[5\]"),
        (pipeline, ONE, [a], "not trained with voices"),
    ]
    for model, prompt, given, complaint in cases:
        with pytest.raises(VivaceError, match=complaint) as caught:
            model(prompt, seed=1, voices=given)
        assert "\n" not in str(caught.value)


def test_the_speaker_encoder_is_saved_and_belongs_to_the_model(speaking: NavaPipeline, tmp_path: Path) -> None:
    speaking.transformer.register_to_config(trained_with={"speaker_encoder": weights_hash(speaking.speaker_encoder)})
    speaking.save_pretrained(tmp_path)
    again = NavaPipeline.from_pretrained(tmp_path)
    assert weights_hash(again.speaker_encoder) == weights_hash(speaking.speaker_encoder)
    NanoSpeakerEncoder(dim=8, width=16, num_layers=1).save_pretrained(tmp_path / "speaker_encoder")
    with pytest.raises(VivaceError, match="another speaker_encoder"):
        NavaPipeline.from_pretrained(tmp_path)
    speaking.transformer.register_to_config(trained_with=None)
