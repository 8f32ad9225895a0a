"""`--voice` and `--dialogue`, from the command line to the record and back."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tests.tiny import tiny_speaking_pipeline

from vivace.cli.main import main
from vivace.cli.options import Request, make_request
from vivace.errors import VivaceError
from vivace.media import Clip, read_metadata, write_clip, write_wav

Capture = pytest.CaptureFixture[str]
TWO = "<S>two<E> and <S>blue<E>"


@pytest.fixture(scope="module")
def speaking(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("models") / "speaking"
    tiny_speaking_pipeline().save_pretrained(folder)
    return str(folder)


@pytest.fixture(autouse=True)
def _voices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with two voices of different rates and channels, and a dialogue."""
    monkeypatch.chdir(tmp_path)
    for name, hz, rate, channels in (("anna.wav", 220, 44100, 2), ("ben.wav", 110, 8000, 1)):
        times = np.arange(rate) / rate
        tone = sum(np.sin(2 * np.pi * hz * k * times) / k for k in range(1, 9)).astype(np.float32) * 0.1
        write_wav(tmp_path / name, np.repeat(tone[None], channels, 0), rate)
    (tmp_path / "talk.yaml").write_text(
        "speakers: {anna: anna.wav, ben: {voice: ben.wav, look: he}}\nanna: two\nben: blue\n"
    )


def _made(capsys: Capture, *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    return {**entries, **json.loads(read_metadata(entries["path"])["vivace"])}


def test_a_voice_that_is_not_heard_is_told(speaking: str, capsys: Capture) -> None:
    write_wav("given.wav", np.full((1, 32000), 0.1, np.float32), 16000)
    common = ("generate", "<S>two<E>", "--model", speaking, "--seed", "1", "--steps", "1", "--voice", "anna.wav")
    for more, told in (
        (["--only", "video"], ["clip has none"]),
        (["--audio", "given.wav"], ["sound is given"]),
        ([], []),
    ):
        notes = [note for note in _made(capsys, *common, *more)["notes"] if "voice is not heard" in note]
        assert len(notes) == len(told)
        assert all(why in note for why, note in zip(told, notes, strict=True))


def test_voices_are_heard_recorded_and_made_again(speaking: str, capsys: Capture) -> None:
    common = ("generate", TWO, "--model", speaking, "--seed", "1")
    both = _made(capsys, *common, "--voice", "anna.wav", "--voice", "ben.wav")
    swapped = _made(capsys, *common, "--voice", "ben.wav", "--voice", "anna.wav")
    nobody = _made(capsys, *common)
    half = _made(capsys, *common, "--voice", "none", "--voice", "ben.wav")
    assert len({made["latents_sha256"] for made in (both, swapped, nobody, half)}) == 4
    assert [Path(voice["path"]).name for voice in both["request"]["voice"]] == ["anna.wav", "ben.wav"]
    assert half["request"]["voice"][0] is None
    assert "voice" not in nobody["request"]
    assert _made(capsys, "rerun", half["path"])["same_latents"]
    Path("ben.wav").write_bytes(Path("anna.wav").read_bytes())
    assert main(["rerun", half["path"]]) == 2
    assert "has changed" in capsys.readouterr().err


def test_a_dialogue_is_its_prompt_with_its_voices(speaking: str, capsys: Capture) -> None:
    talk = _made(capsys, "generate", "a kitchen", "--dialogue", "talk.yaml", "--model", speaking, "--seed", "1")
    prompt = "a kitchen. Anna says <S>two<E>, then he says <S>blue<E>."
    assert talk["request"]["prompt"] == prompt
    voices = ("--voice", "anna.wav", "--voice", "ben.wav")
    plain = _made(capsys, "generate", prompt, *voices, "--model", speaking, "--seed", "1")
    assert plain["latents_sha256"] == talk["latents_sha256"]
    assert plain["request"] == talk["request"]
    Path("talk.yaml").unlink()
    assert _made(capsys, "rerun", talk["path"])["same_latents"]


def test_a_batch_knows_voices_and_dialogues(speaking: str, capsys: Capture) -> None:
    jobs = [
        {"prompt": TWO, "model": speaking, "voice": ["anna.wav", None]},
        {"prompt": TWO, "model": speaking, "voice": "anna.wav"},
        {"prompt": "a kitchen", "model": speaking, "dialogue": "talk.yaml"},
        {"prompt": TWO, "model": speaking, "voice": ["anna.wav", "nobody.wav"]},
    ]
    Path("jobs.jsonl").write_text("".join(json.dumps(job) + "\n" for job in jobs))
    assert main(["batch", "jobs.jsonl", "--output", "clips", "--json"]) == 2
    first = json.loads(capsys.readouterr().out)
    assert (first["made"], first["failed"]) == (3, 1)
    assert "nobody.wav" in first["failures"][0]["error"]
    assert main(["batch", "jobs.jsonl", "--output", "clips", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["kept"] == 3


def test_what_cannot_be_a_voice_is_refused_and_nothing_written(speaking: str, capsys: Capture) -> None:
    write_wav(Path("silent.wav"), np.zeros((1, 16000), np.float32), 16000)
    write_wav(Path("clipped.wav"), np.sign(np.sin(np.arange(16000) / 9))[None].astype(np.float32), 16000)
    write_wav(Path("one.wav"), np.full((1, 1), 0.5, np.float32), 16000)
    write_clip(Path("mute.mp4"), Clip(np.zeros((8, 32, 32, 3), np.uint8), 24, None, 16000), {})
    Path("corrupt.wav").write_bytes(b"RIFF\x00\x00")
    save_file({"embedding": torch.ones(5)}, "narrow.safetensors")
    before = {path.name for path in Path().iterdir()}
    cases = {
        ("--voice", "silent.wav"): "silent",
        ("--voice", "clipped.wav"): "clipped",
        ("--voice", "one.wav"): "0.00 s long",
        ("--voice", "mute.mp4"): "no sound",
        ("--voice", "corrupt.wav"): "damaged",
        ("--voice", "gone.wav"): "does not exist",
        ("--voice", "."): "is no file",
        ("--voice", ""): "is no path",
        ("--voice", "anna.wav") * 3: "2 speech spans and 3 voices",
        (
            "--voice",
            "narrow.safetensors",
        ): "narrow.safetensors' is a speaker vector of shape [5] and this model's have 8",
        ("--dialogue", "anna.wav"): "larger than",
        ("--dialogue", "talk.yaml"): "speech of its own",
        ("--dialogue", "talk.yaml", "--voice", "anna.wav"): "beside a dialogue",
    }
    for words, complaint in cases.items():
        assert main(["generate", TWO, *words, "--model", speaking, "--seed", "1"]) == 2, words
        error = capsys.readouterr().err
        assert complaint in error, (words, error)
        assert len(error.strip().splitlines()) == 1
    assert {path.name for path in Path().iterdir()} == before
    assert main(["plan", TWO, "--voice", "narrow.safetensors", "--model", speaking]) == 2
    assert "narrow.safetensors'" in capsys.readouterr().err


def test_voices_survive_a_record(tmp_path: Path) -> None:
    request = make_request(TWO, voice=["anna.wav", "none"])
    assert request.voices[0] is not None
    assert Path(request.voices[0].path) == (tmp_path / "anna.wav").resolve()
    assert Request.from_json(json.loads(json.dumps(request.to_json()))) == request
    for voice in (3, [3], {"path": "anna.wav"}, [["anna.wav"]]):
        with pytest.raises(VivaceError, match="voice"):
            make_request(TWO, voice=voice)
