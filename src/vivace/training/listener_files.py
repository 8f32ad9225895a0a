"""Writing the small networks of `perception` with the record of their training."""

from __future__ import annotations

import shutil
from pathlib import Path

from diffusers import ModelMixin

from vivace.media.atomic import replacing
from vivace.training.checkpoint import latest_checkpoint, load_weights
from vivace.training.network_files import save_network

RECORD = ("recipe.json", "metrics.jsonl")


def save_listener(model: ModelMixin, name: str, run: Path, output: Path | None) -> None:
    """The averaged weights of the newest checkpoint in bfloat16 to `run/export`; with the record also to `output`.

    Raises:
        VivaceError: a folder that cannot be written.
    """
    checkpoint = latest_checkpoint(run / "checkpoints")
    assert checkpoint is not None
    model.load_state_dict(load_weights(checkpoint, name, ema=True))
    folder = run / "export"
    save_network(model, folder)
    if output is None:
        return
    for path in (*folder.iterdir(), *(run / part for part in RECORD)):
        if path.is_file():
            with replacing(output / path.name) as temporary:
                shutil.copyfile(path, temporary)
