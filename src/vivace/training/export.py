"""The unit "export": a training run becomes a model folder, with the record of how it came to be."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn
from transformers import ByT5Tokenizer

from vivace.data.fingerprint import weights_hash
from vivace.data.shards import ShardReader
from vivace.errors import VivaceError
from vivace.media.atomic import replacing_folder
from vivace.models.alive import AliveTransformer
from vivace.models.nava import NavaTransformer
from vivace.pipelines.alive import AlivePipeline
from vivace.pipelines.capabilities import AliveCapabilities, Capabilities
from vivace.pipelines.checksums import write_checksums
from vivace.pipelines.nava import NavaPipeline
from vivace.training.alive import AliveRecipe
from vivace.training.checkpoint import load_weights
from vivace.training.codec_files import check_codecs, load_codecs, load_speaker_encoder, load_vocoder
from vivace.training.joint import JointRecipe
from vivace.training.network_files import let_all_read
from vivace.training.run_folder import Begun, as_recipe, stored_recipe, unrecorded
from vivace.training.text_encoder import build_text_encoder
from vivace.training.validate import scheduler_of

# Of a run these are its record; checkpoints, samples and TensorBoard's binary log stay behind.
RECORD = ("recipe.json", "recipe-history.jsonl", "metrics.jsonl")
# By the unit that trained it: recipe, transformer, pipeline and what it can do.
KINDS: dict[str, tuple[type[JointRecipe], Any, Any, Any]] = {
    "joint": (JointRecipe, NavaTransformer, NavaPipeline, Capabilities),
    "alive": (AliveRecipe, AliveTransformer, AlivePipeline, AliveCapabilities),
}


class ExportRecipe(BaseModel):
    """Write a model folder in diffusers' layout from a run and its codecs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    unit: Literal["export"]
    run: Path = Field(description="run folder of the unit joint or alive")
    step: int | None = Field(default=None, ge=0, description="a checkpoint that is kept; the newest when absent")
    vae: Path
    audio_vae: Path
    vocoder: Path
    speaker_encoder: Path | None = Field(default=None, description="that of the latents, where they hold voices")
    capabilities: dict[str, Any] = Field(description="what the model can do, as model_index.json says it")
    records: dict[str, Path] = Field(default_factory=dict, description="further runs whose records are kept, by name")
    output: Path


def run_export(recipe: ExportRecipe, run: Path, begun: Begun = unrecorded) -> dict[str, float]:
    """Write the folder. Returns its size in megabytes and the step of the weights.

    Raises:
        VivaceError: no checkpoint, a run of another unit, or codecs other than those the run was trained on; an output
            that cannot be written.
    """
    checkpoint = find_checkpoint(recipe.run, recipe.step)
    trained = read_recipe(recipe.run)
    _, transformers, pipelines, abilities = KINDS[trained.unit]
    if trained.unit == "alive" and recipe.speaker_encoder is not None:
        raise VivaceError("An Alive model takes no voices; remove speaker_encoder.")
    codecs: dict[str, nn.Module] = dict(
        zip(("vae", "audio_vae"), load_codecs(recipe.vae, recipe.audio_vae), strict=True)
    )
    if recipe.speaker_encoder is not None:
        codecs["speaker_encoder"] = load_speaker_encoder(recipe.speaker_encoder)
    expected = ShardReader(trained.validation.latents, "latents").header.metadata["codecs"]
    if trained.unit == "joint" and "speaker_encoder" in expected and recipe.speaker_encoder is None:
        raise VivaceError("The run learned voices; name the speaker_encoder that its latents were made with.")
    check_codecs(codecs, expected)
    text_encoder = build_text_encoder(trained.text_encoder)
    text_encoder.load_state_dict(load_weights(checkpoint, "text_encoder", ema=True))
    hashes = {
        **{name: weights_hash(codec) for name, codec in codecs.items()},
        "text_encoder": weights_hash(text_encoder),
    }
    transformer = transformers(**{**trained.transformer, "trained_with": hashes})
    transformer.load_state_dict(load_weights(checkpoint, "transformer", ema=True))
    parts = {
        **codecs,
        "vocoder": load_vocoder(recipe.vocoder),
        "text_encoder": text_encoder,
        "transformer": transformer,
    }
    for part in parts.values():
        nn.Module.to(part, torch.bfloat16)  # diffusers' own `to` warns of parts to keep in float32; there are none
    scheduler = scheduler_of(abilities.read(recipe.capabilities).preset_named(None))
    pipeline = pipelines(tokenizer=ByT5Tokenizer(), scheduler=scheduler, capabilities=recipe.capabilities, **parts)
    begun()
    with replacing_folder(recipe.output) as temporary:
        pipeline.save_pretrained(temporary, max_shard_size="15MB")
        for name, folder in {"joint": recipe.run, **recipe.records}.items():
            copy_record(folder, temporary / "training" / name)
        let_all_read(temporary)
        write_checksums(temporary)
    size = sum(path.stat().st_size for path in recipe.output.rglob("*") if path.is_file())
    return {"megabytes": size / 1e6, "step": float(checkpoint.name.removeprefix("step-"))}


def find_checkpoint(run: Path, step: int | None) -> Path:
    """The newest complete checkpoint of a run, or the one of a step.

    Raises:
        VivaceError: there is none.
    """
    found = sorted(path.parent for path in (run / "checkpoints").glob("step-*/state.json"))
    chosen = [path for path in found if step is None or path.name == f"step-{step:08d}"]
    if not chosen:
        kept = ", ".join(path.name for path in found) or "none"
        raise VivaceError(
            f"Run {str(run)!r} has no such checkpoint (kept: {kept}); train it first or name a kept step."
        )
    return chosen[-1]


def read_recipe(run: Path) -> JointRecipe:
    """The recipe that a run was last trained with.

    Raises:
        VivaceError: the folder is not a run of such a unit, or its recipe.json is damaged.
    """
    data = stored_recipe(run) or {}
    if str(data.get("unit")) not in KINDS:
        raise VivaceError(f"Folder {str(run)!r} is not a run of the unit {' or '.join(KINDS)}; name one that is.")
    return as_recipe(KINDS[data["unit"]][0], data, run)


def copy_record(run: Path, target: Path) -> None:
    """Copy what tells how a run went."""
    target.mkdir(parents=True)
    for name in RECORD:
        if (run / name).is_file():
            shutil.copyfile(run / name, target / name)
