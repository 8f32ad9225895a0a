"""The units that learn to hear voices and words, on a handful of voices."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vivace.models.speaker import NanoSpeakerEncoder
from vivace.perception.voices import VoiceJudge, voice_vector
from vivace.perception.words import FRAME, WordRecogniser, hear_words
from vivace.training.recipe import check_recipe, recipe_json, run_recipe
from vivace.training.recogniser import RecogniserObjective, frame_classes, wordless_sounds
from vivace.training.speaker import PrototypicalLoss, SpeakerObjective, pitch_error
from vivace.training.utterances import Said, SaidWord, SpeechSource, recorded, speech
from vivace.training.voice_judge import VoiceJudgeObjective
from vivace.world.phones import WORDS
from vivace.world.speech_splits import pair_split

SMALL: dict[str, dict[str, Any]] = {
    "speaker": {"voices": 4, "stretches": 2, "longest": 0.8, "model": {"dim": 8, "width": 16, "num_layers": 1}},
    "voice-judge": {"batch": 8, "longest": 60, "model": {"width": 8, "dim": 8}},
    "recogniser": {"batch": 4, "others": 4, "seconds": 1.2, "model": {"width": 16, "bands": 24, "dilations": [1, 2]}},
}
OBJECTIVES = {"speaker": SpeakerObjective, "voice-judge": VoiceJudgeObjective, "recogniser": RecogniserObjective}


def recipe(unit: str, **changes: Any) -> Any:
    loop = {"steps": 4, "warmup_steps": 1, "validate_every": 4, "log_every": 1, "threads": 1}
    data = {
        "unit": unit,
        "train": {"voices": 6, "utterances": 2},
        "validation": {"voices": 4, "utterances": 2, "split": "val"},
        "loop": loop,
        **SMALL[unit],
        **changes,
    }
    return check_recipe(data, "test")


def test_a_source_is_a_function_of_its_settings_and_its_voices_belong_to_the_split() -> None:
    source = SpeechSource(voices=3, utterances=4, split="test", seed=5)
    first, again = speech(source), speech(source)
    assert len(first) == 12
    assert all(np.array_equal(a.sound, b.sound) and a.words == b.words for a, b in zip(first, again, strict=True))
    assert {said.voice for said in first} == {0, 1, 2}
    other = speech(SpeechSource(voices=3, utterances=4, split="train", seed=5))
    assert not {said.pitch for said in first} & {said.pitch for said in other}
    for said in other:
        names = [word.word for word in said.words]
        assert all(pair_split(a, b) == "train" for a, b in pairwise(names))


def test_words_lie_where_the_sound_is() -> None:
    for said in speech(SpeechSource(voices=4, utterances=3)):
        assert said.sound.dtype == np.float32
        loud = np.abs(said.sound)
        inside = np.zeros(len(loud), dtype=bool)
        for word in said.words:
            assert 0 <= word.start < word.end <= len(loud) / 16000
            inside[int(word.start * 16000) : int(word.end * 16000)] = True
        assert np.square(loud[inside]).sum() > 0.95 * np.square(loud).sum()


@pytest.mark.parametrize("unit", sorted(OBJECTIVES))
def test_a_step_depends_on_weights_and_step_alone(unit: str) -> None:
    losses = []
    for order in ((0, 1, 2), (2,)):
        objective = OBJECTIVES[unit](recipe(unit))
        made = {step: float(objective.loss(step)["loss"].detach()) for step in order}
        losses.append(made[2])
        assert all(np.isfinite(list(made.values())))
    assert losses[0] == losses[1]


@pytest.mark.parametrize("unit", sorted(OBJECTIVES))
def test_a_run_ends_with_weights_that_load_and_their_record(unit: str, tmp_path: Path) -> None:
    changes = {} if unit == "speaker" else {"output": tmp_path / "shipped"}
    chosen, run = recipe(unit, **changes), tmp_path / "run"
    run.mkdir()
    (run / "recipe.json").write_text(recipe_json(chosen))
    figures = run_recipe(chosen, run)
    assert all(np.isfinite(value) for name, value in figures.items() if name != "time_error")
    sound = np.sin(np.arange(12000) / 9.0).astype(np.float32)
    if unit == "speaker":
        encoder = NanoSpeakerEncoder.from_pretrained(run / "export" / "speaker_encoder", torch_dtype=torch.float32)
        assert encoder(torch.from_numpy(sound)[None]).shape == (1, 8)
        return
    assert json.loads((tmp_path / "shipped" / "recipe.json").read_text())["unit"] == unit
    assert (tmp_path / "shipped" / "metrics.jsonl").is_file()
    if unit == "voice-judge":
        judge = VoiceJudge.from_pretrained(tmp_path / "shipped", torch_dtype=torch.float32).eval()
        np.testing.assert_allclose(np.linalg.norm(voice_vector(sound, 16000, judge)), 1.0, rtol=1e-5)
    else:
        recogniser = WordRecogniser.from_pretrained(tmp_path / "shipped", torch_dtype=torch.float32).eval()
        assert recogniser.config.words == list(WORDS)
        assert all(heard.word in WORDS for heard in hear_words(sound, 16000, recogniser))


def test_prototypes_prefer_voices_that_agree_with_themselves() -> None:
    compare = PrototypicalLoss()
    voices = torch.nn.functional.normalize(torch.eye(4)[:, None].expand(4, 3, 4), dim=-1)
    apart, found = compare(voices)
    mixed, lost = compare(voices.roll(1, 0).transpose(0, 1).reshape(4, 3, 4))
    assert found.item() == 1.0
    assert apart.item() < mixed.item()
    assert lost.item() < 1.0


def test_pitch_is_read_off_vectors_that_hold_it() -> None:
    rng = np.random.default_rng(0)
    said = [Said(k, float(100 * 2 ** rng.uniform(0, 1)), (), np.zeros(1, np.float32)) for k in range(80)]
    vectors = rng.normal(size=(80, 6))
    assert pitch_error(vectors, said) > 1
    vectors[:, 2] = np.log2([utterance.pitch for utterance in said]) * 3
    assert pitch_error(vectors, said) < 0.1


def test_frames_are_named_inside_of_words_only() -> None:
    words = (SaidWord("two", 0.1, 0.4), SaidWord("two", 0.4, 0.7))
    named = frame_classes(words, 50, {"two": 7})
    times = np.arange(50) * FRAME
    assert set(named[(times < 0.1) | (times > 0.7)]) == {0}
    assert named[int(0.25 / FRAME)] == named[int(0.55 / FRAME)] == 7
    assert 0 in named[int(0.36 / FRAME) : int(0.44 / FRAME) + 1]


def test_sounds_without_words_are_many_and_repeatable() -> None:
    first, again = wordless_sounds(6, "val", 1.0), wordless_sounds(6, "val", 1.0)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert sum(float(np.abs(sound).max()) > 0.01 for sound in first) >= 5


def test_a_recording_keeps_its_length_and_stays_finite() -> None:
    for seed in range(20):
        for sound in (np.zeros(5000, np.float32), np.random.default_rng(seed).normal(0, 0.1, 5000).astype(np.float32)):
            heard = recorded(sound, np.random.default_rng(seed))
            assert heard.shape == sound.shape
            assert heard.dtype == np.float32
            assert np.isfinite(heard).all()
