"""The command line on a folder that holds an Alive model."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.tiny import tiny_alive_pipeline

from vivace.cli.main import main
from vivace.cli.options import Request
from vivace.media import read_clip, write_png
from vivace.world import sample_scene
from vivace.world.picture import pictures_at
from vivace.world.takes import Shown, still, take_scene


@pytest.fixture(scope="module")
def alive_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "alive"
    tiny_alive_pipeline().save_pretrained(folder)
    return folder


def test_generate_takes_the_pipeline_that_the_folder_names(
    alive_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["a drum", "--model", str(alive_folder), "--seed", "3", "--guide", "mutual.audio=2", "--output", "a.mp4"]
    assert main(["generate", *words]) == 0
    assert read_clip("a.mp4").frames.shape == (5, 32, 32, 3)
    settings = json.loads(Path("a.json").read_text())["settings"]
    assert settings["branches"] == ["conditional", "negative", "solo"]
    assert settings["mutual"] == {"video": 1.0, "audio": 2.0}
    capsys.readouterr()
    for wrong, complaint in (
        (["--guide", "timbre=2"], "'timbre' is unknown"),
        (["--guide", "rescale=7"], "rescale = 7.0 is no share"),
        (["--only", "video", "--guide", "mutual.above=0.5"], "has nothing to act on"),
        (["--memory", "8MB"], "needs at least"),
    ):
        assert main(["generate", "a drum", "--model", str(alive_folder), "--output", "b.mp4", *wrong]) == 2
        told = capsys.readouterr().err
        assert complaint in told
        assert told.count("\n") == 1
    assert not Path("b.mp4").exists()


def test_guides_shape_guidance_and_say_where_it_acts(
    alive_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["generate", "a drum", "--model", str(alive_folder), "--preset", "full", "--seed", "3", "--output"]
    off = ("rescale=0", "limit=0", "parallel=1", "mutual.above=0")
    on = ("rescale=1", "limit.video=1", "parallel=0.5", "mutual.above=0.5")
    for name, guides in (("plain", ()), ("off", off), ("on", on)):
        assert main([*words, f"{name}.mp4", *(word for guide in guides for word in ("--guide", guide))]) == 0
    plain, unchanged, changed = (json.loads(Path(f"{name}.json").read_text()) for name in ("plain", "off", "on"))
    assert plain["latents_sha256"] == unchanged["latents_sha256"] != changed["latents_sha256"]
    assert changed["settings"]["mutual_above"] == changed["settings"]["parallel"] == 0.5
    assert changed["settings"]["rescale"] == {"video": 1.0, "audio": 1.0}
    assert Request.from_json(changed["request"]).to_json() == changed["request"]


def test_the_shipped_model_has_the_nested_form_of_its_default(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["a bell rings", "--model", "nano-alive", "--steps", "2", "--seconds", "0.5", "--size", "96x96"]
    settings = []
    for name in ("default", "nested"):
        assert (
            main(["generate", *words, "--seed", "3", "--preset", name, "--output", str(tmp_path / f"{name}.mp4")]) == 0
        )
        settings.append(json.loads((tmp_path / f"{name}.json").read_text())["settings"])
    capsys.readouterr()
    differing = {name for name, value in settings[0].items() if settings[1][name] != value}
    assert differing == {"form", "branches"}
    assert settings[1]["form"] == "nested"


@pytest.fixture(scope="module")
def strict_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that looks for one drawn face in each reference, at a size at which they are seen."""
    folder = tmp_path_factory.mktemp("models") / "strict"
    tiny_alive_pipeline(reference_faces="drawn", width=96, height=96, smallest_side=32).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(2):
        write_png(folder / f"face{number}.png", still(Shown(take_scene(number, 1, "val"), 0.3), 128, 128))
    two = next(scene for scene in (sample_scene(n, kind="talk") for n in range(20)) if len(scene.talk.characters) == 2)
    write_png(folder / "two.png", pictures_at(two, np.array([0.3]), 128, 128)[0])
    faces = [still(Shown(take_scene(number, 1, "val"), 0.3), 128, 128) for number in range(2)]
    write_png(folder / "apart.png", np.hstack([faces[0], faces[1]]))
    write_png(folder / "aside.png", np.hstack([faces[0], np.broadcast_to(faces[0][:, -1:], faces[0].shape)]))
    write_png(folder / "none.png", pictures_at(sample_scene(1), np.array([0.3]), 128, 128)[0])
    write_png(folder / "small.png", np.zeros((20, 200, 3), dtype=np.uint8))
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


def test_animate_makes_a_clip_of_references_that_can_be_made_again(
    strict_folder: Path,
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    faces = [str(pictures / f"face{number}.png") for number in range(2)]
    words = ["a woman says <S>hello<E>", "--model", str(strict_folder), "--seed", "3", "--output"]
    assert main(["animate", *words, "one.mp4", "--reference", faces[0], "--guide", "references=2"]) == 0
    assert main(["animate", *words, "two.mp4", "--reference", faces[0], "--reference", faces[1]]) == 0
    assert main(["generate", *words, "same.mp4", "--reference", faces[0], "--guide", "references=2"]) == 0
    one, two, same = (json.loads(Path(f"{name}.json").read_text()) for name in ("one", "two", "same"))
    assert one["latents_sha256"] == same["latents_sha256"] != two["latents_sha256"]
    aside = str(pictures / "aside.png")
    assert main(["animate", *words, "aside.mp4", "--reference", aside]) == 0  # a face that no middle part shows
    assert [file["path"] for file in two["request"]["reference"]] == faces
    assert "unreferenced" in one["settings"]["branches"]
    assert Request.from_json(two["request"]).to_json() == two["request"]
    capsys.readouterr()
    assert main(["rerun", "one.mp4", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["same_latents"] is True


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        (["two.png"], "2 faces were found in the reference"),
        (["face0.png", "two.png"], "2 faces were found in reference 2 of 2"),
        (["apart.png"], "2 faces were found in the reference"),
        (["none.png"], "No face was found in the reference"),
        (["small.png"], "A reference of 200x20 is too small for a clip of 96x96"),
        (["face0.png", "face1.png", "face0.png"], "3 references were given and tiny takes up to 2"),
        (["broken.png"], "cannot be read"),
        (["nowhere.png"], "does not exist"),
        ([], "No reference was given"),
    ],
)
def test_bad_references_are_refused_in_one_sentence_and_nothing_is_written(
    strict_folder: Path,
    pictures: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    files: list[str],
    complaint: str,
) -> None:
    given = [word for name in files for word in ("--reference", str(pictures / name))]
    target = tmp_path / "clips" / "a.mp4"
    assert main(["animate", "a woman", "--model", str(strict_folder), "--output", str(target), *given]) == 2
    told = capsys.readouterr().err
    assert complaint in told
    assert told.count("\n") == 1
    assert not target.parent.exists()


def test_models_without_references_say_so(
    alive_folder: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["a woman", "--reference", str(pictures / "none.png"), "--output", str(tmp_path / "a.mp4")]
    assert main(["generate", *words]) == 2
    assert "Model 'nano-nava' takes no references" in capsys.readouterr().err
    # Where a model does not look for faces, any picture will do.
    assert main(["animate", *words, "--model", str(alive_folder), "--seed", "1"]) == 0
