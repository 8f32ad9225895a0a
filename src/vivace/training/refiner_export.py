"""The unit "export-refiner": a refiner's own weights and record. What it shares with its base stays in that folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from vivace.errors import VivaceError
from vivace.media.atomic import replacing_folder
from vivace.models.refiner import AliveRefinerTransformer
from vivace.pipelines.alive import AlivePipeline
from vivace.pipelines.checksums import write_checksums
from vivace.pipelines.refiner import AliveRefinerPipeline
from vivace.pipelines.refiner_abilities import RefinerCapabilities
from vivace.training.checkpoint import load_weights
from vivace.training.export import copy_record, find_checkpoint
from vivace.training.network_files import let_all_read
from vivace.training.refiner import RefinerRecipe, load_base
from vivace.training.run_folder import Begun, as_recipe, stored_recipe, unrecorded
from vivace.training.validate import scheduler_of


class RefinerExportRecipe(BaseModel):
    """Write a refiner's folder from a run of the unit alive-refiner."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    unit: Literal["export-refiner"]
    run: Path = Field(description="run folder of the unit alive-refiner")
    step: int | None = Field(default=None, ge=0, description="a checkpoint that is kept; the newest when absent")
    capabilities: dict[str, Any] = Field(description="what the refiner can do, as model_index.json says it")
    records: dict[str, Path] = Field(default_factory=dict, description="further runs whose records are kept, by name")
    output: Path


def run_refiner_export(recipe: RefinerExportRecipe, run: Path, begun: Begun = unrecorded) -> dict[str, float]:
    """Write the folder. Returns its size in megabytes and the step of the weights.

    Raises:
        VivaceError: no checkpoint, a run of another unit, or a base that is gone or no longer the run's; an output that
            cannot be written.
    """
    checkpoint = find_checkpoint(recipe.run, recipe.step)
    data = stored_recipe(recipe.run) or {}
    if data.get("unit") != "alive-refiner":
        raise VivaceError(f"Folder {str(recipe.run)!r} is not a run of the unit alive-refiner; name one that is.")
    trained = as_recipe(RefinerRecipe, data, recipe.run)
    abilities = RefinerCapabilities.read(recipe.capabilities)
    weights = load_weights(checkpoint, "transformer", ema=True)
    base = load_base(trained.base)
    transformer = AliveRefinerTransformer.of(base.transformer, **{**trained.transformer, "trained_with": base.hashes})
    transformer.load_state_dict(weights)
    nn.Module.to(transformer, torch.bfloat16)
    # The whole base is loaded once, so that a folder never names one with which it cannot be used.
    whole = AlivePipeline.from_pretrained(trained.base)
    pipeline = AliveRefinerPipeline(whole, transformer, scheduler_of(abilities.preset_named(None)), recipe.capabilities)
    pipeline.check_parts()
    begun()
    with replacing_folder(recipe.output) as temporary:
        pipeline.save_pretrained(temporary, base=trained.base.resolve().name)
        for name, folder in {"refiner": recipe.run, **recipe.records}.items():
            copy_record(folder, temporary / "training" / name)
        let_all_read(temporary)
        write_checksums(temporary)
    size = sum(file.stat().st_size for file in recipe.output.rglob("*") if file.is_file())
    return {"megabytes": size / 1e6, "step": float(checkpoint.name.removeprefix("step-"))}
