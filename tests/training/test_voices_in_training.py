"""Voices from the world's references through latents and training into a model folder."""

from pathlib import Path

import pytest
import torch
from tests.tiny import CAPABILITIES
from tests.training.small import encode_recipe, joint_data

from vivace.conditioning.voices import recording, speaker_vectors
from vivace.data.fingerprint import weights_hash
from vivace.data.latents import LatentMixture, LatentSource
from vivace.data.shards import ShardReader
from vivace.errors import VivaceError
from vivace.models.speaker import NanoSpeakerEncoder
from vivace.pipelines.nava import NavaPipeline
from vivace.training.clips import SceneSource, Size
from vivace.training.encode import run_encode
from vivace.training.export import ExportRecipe, run_export
from vivace.training.joint import JointRecipe, run_joint
from vivace.training.recipe import recipe_json
from vivace.world import Scene, voice_references


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("speaker") / "speaker_encoder"
    torch.manual_seed(4)
    torch.nn.Module.to(NanoSpeakerEncoder(dim=8, width=16, num_layers=1), torch.bfloat16).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def spoken(codecs: dict[str, Path], encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Latents of talking scenes and of others, with speakers."""
    folder = tmp_path_factory.mktemp("latents") / "spoken"
    source = SceneSource(
        clips=8, lengths=({"seconds": 1.6},), sizes=(Size(height=32, width=32),), kinds={"talk": 3, "drum": 1}
    )
    run_encode(encode_recipe(folder, codecs, source, speaker_encoder=encoder), folder)
    return folder


def test_every_span_has_the_vector_of_its_reference(spoken: Path, encoder: Path) -> None:
    reader = ShardReader(spoken, "latents")
    model = NanoSpeakerEncoder.from_pretrained(encoder, torch_dtype=torch.float32).eval()
    assert reader.header.metadata["codecs"]["speaker_encoder"] == weights_hash(model)
    assert {row["kind"] for row in reader.rows} == {"talk", "drum"}
    for index, row in enumerate(reader.rows):
        scene = Scene.from_json(row["scene"])
        stored = reader.get(index)["speakers"]
        assert stored.shape == (len(scene.talk.lines) if scene.talk else 0, 8)
        voices = [recording(sound, 16000) for sound in voice_references(scene)]
        torch.testing.assert_close(stored, speaker_vectors(model, voices, 8))
    batch = LatentMixture([LatentSource(folder=spoken, batch=8)], 0).batch(0)
    assert batch.voices is not None
    assert {voice.shape[1] for voice in batch.voices} == {8}


def test_a_model_learns_with_voices_and_is_exported_with_its_encoder(
    spoken: Path, encoder: Path, codecs: dict[str, Path], tmp_path: Path
) -> None:
    data = joint_data(spoken, steps=2)
    data["transformer"] |= {"speaker_dim": 8, "speakers_keep_text": True, "text_len": 256}
    recipe, run = JointRecipe.model_validate(data), tmp_path / "run"
    run_joint(recipe, run)
    (run / "recipe.json").write_text(recipe_json(recipe))
    settings = {"unit": "export", "run": run, "output": tmp_path / "model", "capabilities": CAPABILITIES, **codecs}
    with pytest.raises(VivaceError, match="name the speaker_encoder"):
        run_export(ExportRecipe.model_validate(settings), tmp_path)
    run_export(ExportRecipe.model_validate({**settings, "speaker_encoder": encoder}), tmp_path)
    pipeline = NavaPipeline.from_pretrained(tmp_path / "model")
    assert pipeline.transformer.config.trained_with["speaker_encoder"] == weights_hash(pipeline.speaker_encoder)
    scene = next(Scene.from_json(row["scene"]) for row in ShardReader(spoken, "latents").rows if row["kind"] == "talk")
    voice = recording(voice_references(scene)[0], 16000)
    with_voice = pipeline("he says <S>two<E>", voices=[voice], seed=1, output_type="latent")
    without = pipeline("he says <S>two<E>", seed=1, output_type="latent")
    assert torch.isfinite(with_voice.audio).all()
    assert not torch.equal(with_voice.audio, without.audio)
