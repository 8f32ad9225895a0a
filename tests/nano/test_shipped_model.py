"""The shipped models, end to end, as a user meets them."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from tests.nano.conftest import Shipped

import vivace as vivace_package
from vivace.media import read_clip
from vivace.pipelines.capabilities import TASKS
from vivace.pipelines.folder import shipped_models
from vivace.timeline import Timeline

pytestmark = pytest.mark.nano

PROMPT = "a red ball bounces on a wooden floor"


def vivace(*words: str | Path) -> dict[str, object]:
    code = "import sys; from vivace.cli.main import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", code, *map(str, words), "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    line: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return line


@pytest.mark.parametrize(
    ("name", "transformer", "parts"),
    [
        ("nano-nava", 26e6, ("joint", "video-codec", "audio-codec")),
        ("nano-alive", 16e6, ("video", "audio", "together", "joint")),
        ("nano-alive-refiner", 10e6, ("refiner",)),
    ],
)
def test_it_is_small_and_carries_the_record_of_its_training(
    name: str, transformer: float, parts: tuple[str, ...]
) -> None:
    folder = shipped_models()[name]
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= 50e6
    assert all(path.stat().st_size < 16e6 for path in folder.rglob("*"))
    assert sum(path.stat().st_size for path in (folder / "transformer").iterdir()) <= transformer
    for part in parts:
        recipe = json.loads((folder / "training" / part / "recipe.json").read_text())
        assert "seed" in recipe
        lines = (folder / "training" / part / "metrics.jsonl").read_text().splitlines()
        assert json.loads(lines[-1])["step"] + 1 == recipe["loop"]["steps"]


def test_nano_nava_has_learned_every_task() -> None:
    """Tests of what a model makes skip what it has not learned."""
    index = json.loads((shipped_models()["nano-nava"] / "model_index.json").read_text())["capabilities"]
    assert set(index["tasks"]) == set(TASKS)
    assert index["first_frame"] == "held"
    assert "says" in index["vocabulary"]


def test_the_package_with_all_its_models_is_a_wheel_below_95_megabytes(tmp_path: Path) -> None:
    package, wheel = Path(vivace_package.__file__).parent, tmp_path / "wheel.zip"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:  # as wheels are
        for path in package.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                archive.write(path, path.relative_to(package))
    assert wheel.stat().st_size < 95e6


@pytest.mark.parametrize("name", ["nano-nava", "nano-alive"])
def test_a_command_makes_a_playable_clip_and_another_makes_it_again(name: str, tmp_path: Path) -> None:
    clip_path = tmp_path / "clip.mp4"
    vivace("generate", PROMPT, "--model", name, "--seed", 3, "--steps", 6, "--output", clip_path)
    clip = read_clip(clip_path)
    timeline = Timeline.covering(2.0)
    assert clip.frames is not None
    assert clip.audio is not None
    assert clip.frames.shape == (timeline.frames, 128, 128, 3)
    assert clip.audio.shape[1] == timeline.samples
    vivace("rerun", clip_path, "--output", tmp_path / "again.mp4")
    records = [json.loads((tmp_path / f"{name}.json").read_text()) for name in ("clip", "again")]
    assert records[0]["latents_sha256"] == records[1]["latents_sha256"]


def test_what_is_asked_for_decides_what_is_made(pipeline: Shipped) -> None:
    """Same noise, different words: the sound of a drum and of a bell differ, and so do the pictures."""
    made = pipeline(["a drum is struck twice", "a bell is struck twice"], seed=[5, 5], num_inference_steps=8)
    drum, bell = np.asarray(made.audio)
    assert np.abs(drum).max() > 0.02
    assert np.abs(bell).max() > 0.02
    spectra = [np.abs(np.fft.rfft(sound.mean(0))) for sound in (drum, bell)]
    frequencies = np.fft.rfftfreq(drum.shape[1], 1 / made.audio_sample_rate)
    centre = [float((spectrum * frequencies).sum() / spectrum.sum()) for spectrum in spectra]
    assert centre[0] < centre[1]
    frames = np.asarray(made.frames, dtype=np.float32)
    assert np.abs(frames[0] - frames[1]).mean() > 5


def test_a_clip_does_not_depend_on_its_neighbours(pipeline: Shipped) -> None:
    pair = pipeline([PROMPT, "a bell rings once"], seed=[1, 2], num_inference_steps=4, output_type="latent").latents
    alone = pipeline(PROMPT, seed=1, num_inference_steps=4, output_type="latent").latents
    assert (pair.video[:1] - alone.video).abs().max() < 1e-4
    assert (pair.audio[:1] - alone.audio).abs().max() < 1e-4


@pytest.mark.parametrize(("modalities", "absent"), [("video", "audio"), ("audio", "video")])
def test_one_side_alone(pipeline: Shipped, modalities: str, absent: str) -> None:
    made = pipeline(PROMPT, seed=1, num_inference_steps=2, modalities=modalities, output_type="latent")
    assert made.latents.get(absent) is None


def test_four_seconds_from_the_same_weights(pipeline: Shipped) -> None:
    made = pipeline(PROMPT, seed=1, num_inference_steps=2, seconds=4.0)
    assert made.frames is not None
    assert made.frames.shape[1] == 97
    assert made.audio is not None
    assert made.audio.shape[-1] == made.timeline.samples
