"""A whole small training set: clips of the world, tiny codecs, latents. Made once for all tests of the room."""

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKLLTX2Audio
from tests.tiny import tiny_vae
from tests.training.small import encode_recipe

from vivace.models.vocoder import IstftVocoder
from vivace.training.clips import Length, SceneSource, Size
from vivace.training.encode import ClipFolder, run_encode
from vivace.training.render import RenderRecipe, run_render


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips") / "train"
    source = SceneSource(
        clips=12, lengths=(Length(seconds=0.8, weight=3), Length(seconds=1.0)), sizes=(Size(height=32, width=32),)
    )
    run_render(RenderRecipe(unit="render", output=folder, source=source, workers=1), folder)
    return folder


@pytest.fixture(scope="session")
def codecs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("codecs")
    torch.manual_seed(3)
    parts = {
        "vae": tiny_vae(),
        "audio_vae": AutoencoderKLLTX2Audio(base_channels=8, ch_mult=(1, 1, 2), num_res_blocks=1),
        "vocoder": IstftVocoder(dim=16, num_layers=1),
    }
    for name, part in parts.items():
        torch.nn.Module.to(part, torch.bfloat16).save_pretrained(folder / name)
    return {name: folder / name for name in parts}


@pytest.fixture(scope="session")
def latents(clips: Path, codecs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("latents") / "train"
    run_encode(encode_recipe(folder, codecs, ClipFolder(folder=clips)), folder)
    return folder
