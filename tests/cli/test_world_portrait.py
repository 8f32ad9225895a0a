"""`vivace world portrait`."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vivace.cli.main import main
from vivace.cli.world_portrait import described
from vivace.media import read_image
from vivace.perception.faces import faces_in
from vivace.perception.thresholds import thresholds
from vivace.pipelines.capabilities import AliveCapabilities
from vivace.pipelines.references import fitted_references
from vivace.world.takes import identity, still, take_scene


def check_one_face(picture: np.ndarray) -> None:
    assert len(faces_in(picture, thresholds().faces)) == 1
    strict = AliveCapabilities.read({"most_references": 1, "reference_faces": "drawn"})
    fitted_references(strict, picture, 1, (128, 128), pictured=True)  # as `vivace animate` does


def test_a_portrait_shows_one_face_and_the_same_seed_is_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("anna.png", "again.png"):
        assert main(["world", "portrait", name, "--seed", "8"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "anna.png: a woman with long black hair"
    assert Path("anna.png").read_bytes() == Path("again.png").read_bytes()
    picture = read_image("anna.png")
    assert picture.shape == (128, 128, 3)
    check_one_face(picture)
    assert main(["world", "portrait", "anna.png", "--seed", "9"]) == 0  # in the place of the one before
    assert Path("anna.png").read_bytes() != Path("again.png").read_bytes()


@pytest.mark.parametrize("seed", range(5))
def test_every_character_has_a_portrait(seed: int, tmp_path: Path) -> None:
    assert main(["world", "portrait", str(tmp_path / "a.png"), "--seed", str(seed), "--size", "96x64"]) == 0
    picture = read_image(tmp_path / "a.png")
    assert picture.shape == (64, 96, 3)
    check_one_face(picture)


def test_several_are_one_character_in_other_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shots = []

    def noted(shot, height, width):
        shots.append(shot)
        return still(shot, height, width)

    monkeypatch.setattr("vivace.world.takes.still", noted)
    words = ["world", "portrait", str(tmp_path / "new" / "ben.png"), "--seed", "3", "--size", "64x64", "--json"]
    assert main([*words, "--count", "3"]) == 0
    told = json.loads(capsys.readouterr().out)
    paths = [tmp_path / "new" / f"ben-{n}.png" for n in (1, 2, 3)]
    assert told == {
        "outputs": list(map(str, paths)),
        "description": "a man with long blond hair and glasses",
        "seed": 3,
    }
    assert sorted((tmp_path / "new").iterdir()) == paths
    pictures = [read_image(path) for path in paths]
    for n, picture in enumerate(pictures):
        check_one_face(picture)
        assert not any(np.array_equal(picture, other) for other in pictures[:n])
    character = identity(3, "val")
    for shot in shots:
        shown = shot.scene.talk.characters[0]
        for name in ("person", "head", "skin", "hair", "style", "glasses", "beard", "accessory", "accent", "voice"):
            assert getattr(shown, name) == getattr(character, name)
    assert len({shot.scene.seed for shot in shots}) >= 3
    turns = [abs(shot.scene.talk.characters[0].turn) for shot in shots]
    assert turns == sorted(turns)


@pytest.mark.parametrize(
    ("style", "words"),
    [
        ("bald", "a bald man with glasses and a beard"),
        ("bun", "a man with red hair in a bun and glasses and a beard"),
        ("curly", "a man with curly red hair and glasses and a beard"),
    ],
)
def test_who_it_is_is_said_as_in_captions(style: str, words: str) -> None:
    somebody = take_scene(0, 0).talk.characters[0]
    somebody = replace(somebody, person="man", hair="red", style=style, glasses=True, beard=True)
    assert described(somebody) == words
    assert described(replace(somebody, style="bald", glasses=False, beard=False)) == "a bald man"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["a.jpg"], "does not end in .png"),
        (["a.png", "--count", "0"], "--count 0 is out of range; give a number from 1 to 16"),
        (["a.png", "--count", "17"], "--count 17 is out of range; give a number from 1 to 16"),
        (["a.png", "--size", "128"], "give pixels such as 128x128"),
        (["a.png", "--size", "8x8"], "give a whole number from 32 to 2048"),
        (["a.png", "--seed", "-1"], "give a whole number from 0 upwards"),
        (["a.png", "--split", "best"], "use one of train, val, test"),
        (["a.png", "--size", "32x32", "--seed", "5", "--count", "16"], "give a smaller --count, another --seed or"),
        (["file/a.png"], "a part of the path is a file"),
        (["taken.png", "--count", "2"], "is a folder; name a file in it"),
        ([], "Missing argument"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_written(
    words: list[str],
    complaint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("taken-2.png").mkdir()
    assert main(["world", "portrait", *words]) == 2
    shown = capsys.readouterr()
    assert complaint in shown.err
    assert shown.err.count("\n") == 1
    assert shown.out == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "taken-2.png"]
