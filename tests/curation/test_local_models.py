"""Captioner and recogniser that are models in local folders: tiny ones with random weights, made here, offline."""

from __future__ import annotations

import json
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    GenerationConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperProcessor,
    WhisperTokenizer,
)

from vivace.curation.caption_folder import FolderCaptioner
from vivace.curation.captioner import UnfinishedError
from vivace.curation.clip import Clip, Rejected
from vivace.curation.recipe import check_recipe
from vivace.curation.stage import apply
from vivace.curation.stages.captions import Captions, CaptionSettings
from vivace.curation.stages.speech import Speech, SpeechSettings
from vivace.curation.whisper import _edges, whisper_words
from vivace.errors import VivaceError
from vivace.media import Clip as Material
from vivace.media import write_clip
from vivace.timeline import Timeline
from vivace.world import render_audio, sample_scene

GOOD = "Visual: a wall\nNarration: nothing moves"
TEMPLATE = (
    "{% for message in messages %}{% for part in message.content %}{% if part.type == 'image' %}<image>"
    "{% else %}{{ part.text }}{% endif %}{% endfor %}{% endfor %}{% if add_generation_prompt %}\nAnswer: {% endif %}"
)
BYTES = sorted(ByteLevel.alphabet())


@pytest.fixture(scope="module")
def captioner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("captioner")
    words = {letter: n for n, letter in enumerate([*BYTES, "<image>", "<end>", "<pad>"])}
    plain = Tokenizer(models.BPE(vocab=words, merges=[]))
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    plain.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=plain, eos_token="<end>", pad_token="<pad>", extra_special_tokens={"image_token": "<image>"}
    )
    pictures = CLIPImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    LlavaProcessor(
        pictures,
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        chat_template=TEMPLATE,
        num_additional_image_tokens=1,
    ).save_pretrained(folder)
    torch.manual_seed(0)
    vision = CLIPVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=16, patch_size=8
    )
    text = LlamaConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=4096,
    )
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_index=words["<image>"])
    model = LlavaForConditionalGeneration(config)
    model.generation_config = GenerationConfig(eos_token_id=words["<end>"], pad_token_id=words["<pad>"])
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    path = tmp_path_factory.mktemp("clip") / "a.mp4"
    frames = np.linspace(0, 255, 12, dtype=np.uint8)[:, None, None, None] * np.ones((1, 32, 32, 3), np.uint8)
    write_clip(path, Material(frames, Fraction(24), np.zeros((2, 8000), np.float32), 16000))
    return Clip.of_file(path).with_columns("speech", sentences=[{"start": 0.1, "end": 0.4, "text": "red two"}])


def test_a_local_model_sees_pictures_and_the_transcript(captioner: Path, clip: Clip) -> None:
    found = FolderCaptioner(captioner, pictures=3, sound=True, tokens=8)
    inputs = found.inputs(clip)
    assert inputs["pixel_values"].shape[:2] == (3, 3)
    # In order of time: the clip grows brighter.
    assert inputs["pixel_values"].mean(dim=(1, 2, 3)).diff().min() > 0
    told = found.processor.decode(inputs["input_ids"][0])
    assert told.count("<image>") == 3 * 4
    assert "0.10-0.40 s: red two" in told
    assert told.endswith("Answer: ")
    assert not found.hears


def test_an_answer_is_read_or_refused(captioner: Path, clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Captions(CaptionSettings(backend=str(captioner), pictures=1, tokens=40))
    endless = stage.measure(clip)
    assert isinstance(endless, Rejected)
    assert (endless.reason, "not finished" in endless.detail) == ("bad_caption", True)
    loaded = FolderCaptioner(captioner, pictures=1, sound=False, tokens=80)
    with pytest.raises(UnfinishedError, match="80 tokens"):
        loaded(clip)
    taught(loaded, clip, GOOD)
    assert loaded(clip) == GOOD
    stage = Captions(CaptionSettings(backend=str(captioner)))
    stage.__dict__["_captioner"] = loaded
    read = stage.measure(clip)
    assert isinstance(read, Clip)
    assert (read["captions.text"], read["captions.state"]) == (GOOD, "whole")


def taught(found: FolderCaptioner, clip: Clip, answer: str) -> None:
    """Train the model until it gives this answer to this clip."""
    inputs = found.inputs(clip)
    said = found.processor.tokenizer(answer + "<end>", return_tensors="pt").input_ids
    tokens = torch.cat((inputs["input_ids"], said), dim=1)
    labels = torch.cat((torch.full_like(inputs["input_ids"], -100), said), dim=1)
    optimizer = torch.optim.Adam(found.model.parameters(), lr=1e-2)
    for _ in range(150):
        loss = found.model(
            input_ids=tokens,
            attention_mask=torch.ones_like(tokens),
            pixel_values=inputs["pixel_values"],
            labels=labels,
        ).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss < 0.02:
            return
    pytest.fail(f"the tiny model did not learn its line ({loss:.3f})")


def test_folders_without_a_model_are_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(VivaceError, match="no captioner that loads"):
        FolderCaptioner(tmp_path, 1, False, 1)
    with pytest.raises(VivaceError, match="no Whisper model"):
        whisper_words(str(tmp_path), np.zeros((1, 16000), np.float32), 16000)
    for table in ({"captions": {"backend": "none"}}, {"speech": {"recogniser": "none"}}):
        with pytest.raises(VivaceError, match="is neither"):
            check_recipe({"output": "out", "input": {"folder": "in"}, **table}, "r.toml")


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whisper")
    special = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|de|>", "<|translate|>", "<|transcribe|>"]
    special += ["<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]
    tokenizer = WhisperTokenizer(vocab={letter: n for n, letter in enumerate([*BYTES, "<|endoftext|>"])}, merges=[])
    tokenizer.add_special_tokens({"additional_special_tokens": special[1:]})
    tokenizer.add_tokens([f"<|{0.02 * n:.2f}|>" for n in range(1501)])
    named = {name: tokenizer.convert_tokens_to_ids(name) for name in special}
    WhisperProcessor(WhisperFeatureExtractor(), tokenizer).save_pretrained(folder)
    torch.manual_seed(2)
    end, start = named["<|endoftext|>"], named["<|startoftranscript|>"]
    config = WhisperConfig(
        vocab_size=len(tokenizer),
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_target_positions=32,
        pad_token_id=end,
        bos_token_id=end,
        eos_token_id=end,
        decoder_start_token_id=start,
        init_std=0.5,
    )
    model = WhisperForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        eos_token_id=end,
        pad_token_id=end,
        bos_token_id=end,
        decoder_start_token_id=start,
        max_length=24,
        is_multilingual=True,
        no_timestamps_token_id=named["<|notimestamps|>"],
        lang_to_id={"<|en|>": named["<|en|>"], "<|de|>": named["<|de|>"]},
        task_to_id={"transcribe": named["<|transcribe|>"], "translate": named["<|translate|>"]},
        max_initial_timestamp_index=50,
        return_timestamps=True,
    )
    model.save_pretrained(folder)
    return folder


def test_whisper_gives_times_inside_the_clip_and_a_confidence(whisper: Path) -> None:
    sound = 0.1 * np.random.default_rng(0).standard_normal((2, 40000)).astype(np.float32)
    language, segments = whisper_words(str(whisper), sound, 16000)
    assert segments
    assert language in ("en", "de")
    for segment in segments:
        assert 0 <= segment["start"] < segment["end"] <= 2.5
        assert 0 < segment["confidence"] < 1
        assert segment["word"].strip() == segment["word"] != ""
    # What lies beyond the model's window is heard too.
    long = np.pad(sound, ((0, 0), (30 * 16000, 0)))
    _, later = whisper_words(str(whisper), long, 16000)
    assert max(segment["end"] for segment in later) > 30
    assert all(0 <= segment["start"] < segment["end"] <= 32.5 for segment in later)


def test_words_have_times_of_their_own_where_heads_align_them(
    whisper: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    plain, aligned = (tmp_path_factory.mktemp(name) for name in ("plain", "aligned"))
    settings = json.loads((whisper / "generation_config.json").read_text())
    tokenizer = WhisperProcessor.from_pretrained(whisper).tokenizer
    # Nothing but short words and the times 0 and 2 s, so that a stretch of the random model's holds several words.
    kept = {*tokenizer.convert_tokens_to_ids(["Ġ", "a", "b", "<|0.00|>", "<|2.00|>"]), settings["eos_token_id"]}
    settings["suppress_tokens"] = sorted(set(range(len(tokenizer))) - kept)
    for folder, heads in ((plain, {}), (aligned, {"alignment_heads": [[0, 0], [0, 1]]})):
        shutil.copytree(whisper, folder, dirs_exist_ok=True)
        (folder / "generation_config.json").write_text(json.dumps({**settings, **heads}))
    parted = 0
    for seed in range(4):
        sound = 0.1 * np.random.default_rng(seed).standard_normal((1, 48000)).astype(np.float32)
        stretches = whisper_words(str(plain), sound, 16000)[1]
        words = whisper_words(str(aligned), sound, 16000)[1]
        assert max(len(stretch["word"].split()) for stretch in stretches) > 1
        for stretch in stretches:
            mine = [words.pop(0) for _ in stretch["word"].split()]
            assert [word["word"] for word in mine] == stretch["word"].split()
            starts = [word["start"] for word in mine]
            assert starts == sorted(starts)
            assert all(stretch["start"] <= word["start"] < word["end"] <= stretch["end"] for word in mine)
            sure = [word["confidence"] for word in mine]
            assert 0 < min(sure) - 1e-5 < stretch["confidence"] < max(sure) + 1e-5 < 1
            parted += len({(word["start"], word["end"]) for word in mine}) - 1
        assert not words
    assert parted > 0


def test_words_are_parted_by_spaces_or_where_none_are_written_by_marks() -> None:
    assert _edges(["", " two", " bl", "ue", ".", ""]) == [0, 1, 2, 5, 6]
    assert _edges(["", "你", "好，", "世", "界", ""]) == [0, 1, 3, 5, 6]


def test_the_stage_asks_whisper_only_where_somebody_speaks(whisper: Path, tmp_path: Path) -> None:
    stage = Speech(SpeechSettings(recogniser=str(whisper)))
    timeline = Timeline.covering(2.0)
    for kind, spoken in (("talk", True), ("silent", False)):
        scene = sample_scene(3, "train", kind=kind, seconds=float(timeline.seconds))
        audio = render_audio(scene, timeline).astype(np.float32)
        frames = np.zeros((timeline.frames, 32, 32, 3), np.uint8)
        write_clip(tmp_path / f"{kind}.mp4", Material(frames, Fraction(24), audio, timeline.sample_rate))
        found = stage.measure(Clip.of_file(tmp_path / f"{kind}.mp4"))
        assert isinstance(found, Clip)
        assert bool(found["speech.words"]) == bool(found["speech.sentences"]) == spoken
        assert (found["speech.confidence"] is not None) == spoken


@pytest.mark.parametrize("own", [False, True])
def test_unsure_words_are_rejected_by_the_confidence_of_each(whisper: Path, tmp_path: Path, own: bool) -> None:
    timeline = Timeline.covering(2.0)
    scene = sample_scene(3, "train", kind="talk", seconds=float(timeline.seconds))
    audio = render_audio(scene, timeline).astype(np.float32)
    frames = np.zeros((timeline.frames, 32, 32, 3), np.uint8)
    write_clip(tmp_path / "talk.mp4", Material(frames, Fraction(24), audio, timeline.sample_rate))
    clip, recogniser = Clip.of_file(tmp_path / "talk.mp4"), "world" if own else str(whisper)
    found = Speech(SpeechSettings(recogniser=recogniser)).measure(clip)
    assert isinstance(found, Clip)
    sure = [word["confidence"] for word in found["speech.words"]]
    assert sure
    assert all(0 < value <= 1 for value in sure)
    assert found["speech.confidence"] == pytest.approx(np.mean(sure), abs=1e-3)
    for least, reason in ((np.mean(sure) - 0.01, None), (np.mean(sure) + 0.01, "unsure_words")):
        bounds = {"unsure_words": {"least": least}}
        judged = apply(Speech(SpeechSettings.model_validate({"recogniser": recogniser, "bounds": bounds})), clip)
        assert (judged.reason if isinstance(judged, Rejected) else None) == reason
