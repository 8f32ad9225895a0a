"""Voices kept under a name, speaker vectors in files, and the vectors that encoders make of them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tests.conditioning.test_voices import hum

from vivace.conditioning.dialogue import parse_dialogue
from vivace.conditioning.saved_voices import read_voice_file, remove_voice, save_voice, saved_voices
from vivace.conditioning.voice_names import located_voice, saved_names, vivace_home, voice_path, voices_folder
from vivace.conditioning.voices import Recording, check_vectors, read_voice, speaker_vectors
from vivace.errors import VivaceError
from vivace.media import write_wav
from vivace.models.speaker import NanoSpeakerEncoder


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setenv("VIVACE_HOME", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    pause = np.zeros(8000, np.float32)
    write_wav(tmp_path / "anna.wav", np.concatenate((pause, hum(1.0, 44100), pause))[None], 44100)
    return tmp_path / "anna.wav"


def encoder(seed: int = 0) -> NanoSpeakerEncoder:
    torch.manual_seed(seed)
    return NanoSpeakerEncoder(dim=8, width=16, num_layers=1).eval()


def test_a_saved_voice_is_the_recording_to_the_last_bit(sound: Path, home: Path) -> None:
    saved, notes = save_voice("anna", sound)
    assert notes == ()
    assert saved.source == "anna.wav"
    assert "s of speech" in saved.describe()
    assert saved_names() == ["anna"]
    again, direct = read_voice(located_voice("anna")), read_voice(sound)
    assert isinstance(again, Recording)
    assert isinstance(direct, Recording)
    np.testing.assert_array_equal(again.samples, direct.samples)
    first = speaker_vectors(encoder(), [again], 8)
    assert torch.equal(first, speaker_vectors(encoder(), [direct], 8))
    sound.unlink()
    assert torch.equal(first, speaker_vectors(encoder(), [read_voice(located_voice("anna"))], 8))
    assert list(home.rglob("*.part")) == []


def test_vectors_are_kept_for_each_encoder_and_can_be_lost(sound: Path) -> None:
    save_voice("anna", sound)
    voice = read_voice(located_voice("anna"))
    one, other = encoder(0), encoder(1)
    assert one.identity != other.identity
    assert one.identity == encoder(0).identity
    vectors = [speaker_vectors(network, [voice], 8) for network in (one, other)]
    assert not torch.equal(*vectors)
    kept = sorted((voices_folder() / ".vectors").rglob("*.safetensors"))
    assert [path.stem for path in kept] == sorted((one.identity, other.identity))
    # What is kept is what is used.
    save_file({"embedding": torch.full((8,), 0.5)}, next(path for path in kept if path.stem == one.identity))
    assert torch.equal(speaker_vectors(one, [voice], 8), torch.full((1, 8), 0.5))
    for path in kept:
        path.write_bytes(b"broken")
    assert torch.equal(speaker_vectors(one, [voice], 8), vectors[0])
    remove_voice("anna")
    assert list(voices_folder().rglob("*.safetensors")) == []


def test_a_voice_elsewhere_leaves_no_trace(sound: Path, tmp_path: Path) -> None:
    save_voice("anna", sound)
    moved = voice_path("anna").rename(tmp_path / "copy.safetensors")
    speaker_vectors(encoder(), [read_voice(moved)], 8)
    assert list(voices_folder().rglob("*.safetensors")) == []


def test_names_that_are_taken_are_kept_unless_replaced(sound: Path, tmp_path: Path) -> None:
    save_voice("anna", sound)
    before = voice_path("anna").read_bytes()
    write_wav(tmp_path / "other.wav", hum(40.0, pitch=90.0)[None], 16000)
    write_wav(tmp_path / "silent.wav", np.zeros((1, 16000), np.float32), 16000)
    with pytest.raises(VivaceError, match="saved already"):
        save_voice("anna", tmp_path / "other.wav")
    with pytest.raises(VivaceError, match="silent"):
        save_voice("anna", tmp_path / "silent.wav", replace=True)
    assert voice_path("anna").read_bytes() == before
    speaker_vectors(encoder(), [read_voice(located_voice("anna"))], 8)
    saved, notes = save_voice("anna", tmp_path / "other.wav", replace=True)
    assert saved.samples is not None
    assert len(saved.samples) == 30 * 16000
    assert "first 30 s" in notes[0]
    assert list((voices_folder() / ".vectors").rglob("*.safetensors")) == []


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "/a", "a.wav", "none", "NULL", "_a", "-a", "a b", "a\0", "a" * 65, "鼓" * 60, "a\n"]
)
def test_what_is_no_name_is_refused(name: str, sound: Path) -> None:
    for act in (lambda: save_voice(name, sound), lambda: remove_voice(name)):
        with pytest.raises(VivaceError, match="is not possible"):
            act()
    assert not voices_folder().exists()


def test_names_of_any_script_are_possible(sound: Path) -> None:
    for name in ("Anna-2", "Jürgen", "安娜", "7"):
        save_voice(name, sound)
    assert set(saved_names()) == {"Anna-2", "Jürgen", "安娜", "7"}
    with pytest.raises(VivaceError, match="is not saved"):
        remove_voice("ben")


def test_a_file_goes_before_a_saved_voice_of_its_name(sound: Path, tmp_path: Path) -> None:
    save_voice("anna", sound)
    assert located_voice("anna") == voice_path("anna")
    assert located_voice(Path("anna")) == Path("anna")
    (tmp_path / "anna").write_bytes(sound.read_bytes())
    assert located_voice("anna") == Path("anna")
    with pytest.raises(VivaceError, match=r"neither a file nor a saved voice \(saved are anna\)"):
        located_voice("ben")


def test_dialogues_know_saved_voices(sound: Path, tmp_path: Path) -> None:
    save_voice("anna", sound)
    talk = parse_dialogue("speakers: {anna: anna, ben: ben.wav, eve: none}\nanna: two\nben: blue\neve: one", tmp_path)
    assert talk.voices() == [voice_path("anna"), tmp_path / "ben.wav", None]
    with pytest.raises(VivaceError, match="neither a file nor a saved voice"):
        parse_dialogue("speakers: {anna: carla}\nanna: two", tmp_path)


def test_vectors_in_files_are_voices(tmp_path: Path) -> None:
    vector = torch.randn(8)
    save_file({"anything": vector}, tmp_path / "a.safetensors")
    save_file({"embedding": vector[None].to(torch.float64), "other": torch.zeros(3)}, tmp_path / "b.safetensors")
    for name in ("a", "b"):
        found = read_voice(tmp_path / f"{name}.safetensors")
        assert isinstance(found, torch.Tensor)
        assert torch.equal(speaker_vectors(None, [found], 8)[0], vector)
        with pytest.raises(VivaceError, match=r"shape \[8\].*have 192 values"):
            check_vectors([None, found], 192)
    save_voice("anna", tmp_path / "a.safetensors")
    assert torch.equal(read_voice(located_voice("anna")), vector)  # type: ignore[arg-type]
    voice = saved_voices()["anna"]
    assert not isinstance(voice, VivaceError)
    assert voice.describe() == "a vector of 8 values"


@pytest.mark.parametrize(
    ("tensors", "why"),
    [
        ({"a": torch.zeros(8)}, "zeros"),
        ({"a": torch.full((8,), 1e-4)}, "zeros"),
        ({"a": torch.full((8,), torch.nan)}, "not finite"),
        ({"a": torch.ones(2, 8)}, "not one speaker vector"),
        ({"a": torch.ones(())}, "not one speaker vector"),
        ({"a": torch.ones(8, dtype=torch.int64)}, "values of type int64"),
        ({"a": torch.ones(0)}, "not one speaker vector"),
        ({"a": torch.ones(8), "b": torch.ones(8)}, "2 tensors and none is named"),
        ({}, "0 tensors"),
    ],
)
def test_files_that_hold_no_vector_are_refused(tensors: dict[str, torch.Tensor], why: str, tmp_path: Path) -> None:
    save_file(tensors, tmp_path / "a.safetensors")
    with pytest.raises(VivaceError, match=why) as caught:
        read_voice(tmp_path / "a.safetensors")
    assert "\n" not in str(caught.value)


def test_damaged_files_are_refused_and_listed(sound: Path, tmp_path: Path) -> None:
    save_voice("anna", sound)
    whole = voice_path("anna").read_bytes()
    for content in (b"", b"x", whole[:-1], whole[:200], b"\0" * 64, b"\xff" * 64):
        voice_path("anna").write_bytes(content)
        with pytest.raises(VivaceError, match="damaged"):
            read_voice_file(voice_path("anna"))
    assert isinstance(saved_voices()["anna"], VivaceError)
    with (tmp_path / "large.safetensors").open("wb") as file:
        file.truncate(9 * 2**20)
    with pytest.raises(VivaceError, match="larger than 8 MiB"):
        read_voice(tmp_path / "large.safetensors")
    with pytest.raises(VivaceError, match="cannot be read"):
        read_voice(tmp_path / "gone.safetensors")


def test_where_voices_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert vivace_home() == tmp_path / "home"
    monkeypatch.setenv("VIVACE_HOME", "relative")
    with pytest.raises(VivaceError, match="no absolute path"):
        vivace_home()
    monkeypatch.delenv("VIVACE_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert voices_folder() == tmp_path / "data" / "vivace" / "voices"
    monkeypatch.setenv("XDG_DATA_HOME", "not/absolute")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert vivace_home() == tmp_path / ".local" / "share" / "vivace"
    assert json.dumps(saved_names()) == "[]"
