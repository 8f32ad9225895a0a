"""`vivace voice`, saved voices and vectors in `--voice`, and speaker encoders of the user's own."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tests.conditioning.test_voices import hum
from tests.tiny import tiny_speaking_pipeline

from vivace.cli.main import main
from vivace.cli.making import latents_hash
from vivace.conditioning.voices import read_voice, speaker_vectors
from vivace.media import read_metadata, write_wav
from vivace.pipelines.nava import NavaPipeline

Capture = pytest.CaptureFixture[str]
ONE = "<S>two<E>"


@pytest.fixture(scope="module")
def speaking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "speaking"
    tiny_speaking_pipeline().save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def _places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VIVACE_HOME", str(tmp_path / "home"))
    write_wav(Path("anna.wav"), hum(1.0, pitch=220.0)[None], 16000)


def _made(capsys: Capture, model: Path, *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["generate", ONE, "--model", str(model), "--seed", "1", "--steps", "1", *words, "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    return {**entries, **json.loads(read_metadata(entries["path"])["vivace"])}


def test_voices_are_added_listed_used_and_removed(speaking: Path, tmp_path: Path, capsys: Capture) -> None:
    assert main(["voice", "list"]) == 0
    assert "No voice is saved" in capsys.readouterr().out
    assert main(["voice", "add", "anna", "anna.wav"]) == 0
    assert "anna: 1.0 s of speech" in capsys.readouterr().out
    assert main(["voice", "list", "--json"]) == 0
    [row] = json.loads(capsys.readouterr().out)["voices"]
    assert (row["name"], row["source"]) == ("anna", "anna.wav")
    saved, direct = (_made(capsys, speaking, "--voice", voice) for voice in ("anna", "anna.wav"))
    assert saved["latents_sha256"] == direct["latents_sha256"]
    assert saved["request"]["voice"][0]["path"] == str(tmp_path / "home" / "voices" / "anna.safetensors")
    assert main(["rerun", saved["path"], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["same_latents"]
    vector = speaker_vectors(tiny_speaking_pipeline().speaker_encoder, [read_voice("anna.wav")], 8)[0]
    save_file({"embedding": vector}, "vector.safetensors")
    assert _made(capsys, speaking, "--voice", "vector.safetensors")["latents_sha256"] == saved["latents_sha256"]
    assert main(["voice", "remove", "anna"]) == 0
    assert main(["generate", ONE, "--model", str(speaking), "--voice", "anna"]) == 2
    assert "neither a file nor a saved voice (none is saved)" in capsys.readouterr().err


def test_a_guide_that_is_off_needs_no_voice(speaking: Path, capsys: Capture) -> None:
    assert main(["generate", ONE, "--model", str(speaking), "--guide", "timbre=2"]) == 2
    assert "nothing to act on" in capsys.readouterr().err
    off = _made(capsys, speaking, "--guide", "timbre=0")
    assert off["latents_sha256"] == _made(capsys, speaking)["latents_sha256"]


def test_bad_voices_are_one_sentence(speaking: Path, capsys: Capture) -> None:
    write_wav(Path("silent.wav"), np.zeros((1, 16000), np.float32), 16000)
    save_file({"embedding": torch.ones(5)}, "five.safetensors")
    for words, complaint in (
        (("voice", "add", "../anna", "anna.wav"), "is not possible"),
        (("voice", "add", "anna", "silent.wav"), "silent"),
        (("voice", "add", "anna", "gone.wav"), "does not exist"),
        (("voice", "remove", "anna"), "is not saved"),
        (("generate", ONE, "--model", str(speaking), "--voice", "five.safetensors"), "have 8 values"),
        (("generate", ONE, "--model", str(speaking), "--speaker-encoder", "anna.wav"), "no voice for it"),
        (
            ("generate", ONE, "--model", str(speaking), "--voice", "anna.wav", "--speaker-encoder", "anna.wav"),
            "encoder of its own",
        ),
    ):
        assert main(list(words)) == 2, words
        shown = capsys.readouterr().err
        assert complaint in shown, (words, shown)
        assert shown.count("\n") == 1
    assert not Path("home").exists()


def test_a_model_without_its_own_encoder_takes_an_onnx_file(tmp_path: Path, capsys: Capture) -> None:
    pytest.importorskip("onnx", reason="the package onnx writes this test's graph")
    pytest.importorskip("onnxruntime", reason="the extra vivace[voices] is not installed")
    from tests.conditioning.test_speaker_onnx import graph

    from vivace.conditioning.speaker_onnx import OnnxSpeakerEncoder

    pipeline = tiny_speaking_pipeline()
    pipeline.register_modules(speaker_encoder=None)
    pipeline.transformer.register_to_config(speaker_dim=8)
    folder = tmp_path / "deaf"
    pipeline.save_pretrained(folder)
    encoder = OnnxSpeakerEncoder(graph(tmp_path / "voice.onnx", values=8))
    save_file({"embedding": speaker_vectors(encoder, [read_voice("anna.wav")], 8)[0]}, "vector.safetensors")
    heard = _made(capsys, folder, "--voice", "anna.wav", "--speaker-encoder", "voice.onnx")
    assert heard["latents_sha256"] == _made(capsys, folder, "--voice", "vector.safetensors")["latents_sha256"]
    assert heard["latents_sha256"] != _made(capsys, folder)["latents_sha256"]
    assert heard["request"]["speaker_encoder"]["path"] == str(tmp_path / "voice.onnx")
    assert main(["rerun", heard["path"], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["same_latents"]
    assert main(["generate", ONE, "--model", str(folder), "--voice", "anna.wav"]) == 2
    assert "--speaker-encoder" in capsys.readouterr().err
    graph(tmp_path / "narrow.onnx", values=5)
    narrow = ["--voice", "anna.wav", "--speaker-encoder", "narrow.onnx"]
    assert main(["generate", ONE, "--model", str(folder), *narrow]) == 2
    assert "gives 5 values and this model needs 8" in capsys.readouterr().err
    write_wav(Path("long.wav"), hum(33.0, pitch=220.0)[None], 16000)
    long = ["--voice", "long.wav", "--speaker-encoder", "voice.onnx", "--steps", "1"]
    assert main(["generate", ONE, "--model", str(folder), *long]) == 0
    assert "the first 30 s are used" in capsys.readouterr().err
    hearing = NavaPipeline.from_pretrained(folder, speaker_encoder=encoder)
    hearing.set_progress_bar_config(disable=True)
    out = hearing(ONE, voices=[read_voice("anna.wav")], seed=1, num_inference_steps=1, output_type="latent")
    assert latents_hash(out) == heard["latents_sha256"]
