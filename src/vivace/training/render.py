"""The unit "render": clips of the world, written to shards ahead of training."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from vivace.data.shards import MAX_BYTES, ShardHeader, ShardWriter
from vivace.training.clips import SceneSource, plan_clips, render_clip
from vivace.training.run_folder import Begun, unrecorded
from vivace.training.workers import available_workers, clip_progress, ordered_map


class RenderRecipe(BaseModel):
    """Render clips to `output`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    unit: Literal["render"]
    output: Path
    source: SceneSource
    workers: int = Field(default=0, ge=0, description="processes; 0 takes one per core")
    shard_bytes: int = Field(default=MAX_BYTES, gt=0)


def run_render(recipe: RenderRecipe, run: Path, begun: Begun = unrecorded) -> dict[str, float]:
    """Render what is not there yet. Returns the number of clips."""
    header = ShardHeader("clips", {"source": recipe.source.model_dump(mode="json")})
    writer = ShardWriter(recipe.output, header, recipe.shard_bytes)
    begun()
    if not writer.finished:
        with clip_progress() as progress:
            task = progress.add_task(f"render {recipe.output.name}", total=recipe.source.clips, completed=len(writer))
            missing = plan_clips(recipe.source)[len(writer) :]
            for clip in ordered_map(render_clip, missing, available_workers(recipe.workers)):
                writer.add(clip.plan.id, {"video": clip.video, "audio": clip.audio}, clip.row)
                progress.advance(task)
        writer.close()
    return {"clips": float(len(writer))}
