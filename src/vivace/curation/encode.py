"""The stage "encode": each clip decoded and cut as shards hold it, in a guarded process like all that decodes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from vivace.curation.clip import Clip, Rejected
from vivace.curation.engine import ENCODE
from vivace.curation.model_print import folder_print
from vivace.curation.shards import ShardSettings, codecs_of, prepare
from vivace.curation.stage import Planned, StageSettings

SPOOL = ".prepared"


class EncodeSettings(StageSettings):
    """The recipe's `shards`, and what the codecs in their folders are."""

    shards: ShardSettings = ShardSettings()
    codecs: tuple[str, ...] = ()

    def measuring(self) -> dict[str, Any]:
        # By their content, so that other codecs in the same place are noticed.
        return {"shards": self.shards.model_dump(mode="json", exclude={"vae", "audio_vae"}), "codecs": self.codecs}


class Encode:
    """The last stage: pictures and sound of a clip, decoded and cut as the shards want them.

    It is measured in a guarded process like any other, and leaves what it made in `spool` as ID.npz.

    Args:
        spool: a folder, which is there while shards are written.
    """

    name: ClassVar[str] = ENCODE
    version: ClassVar[int] = 1
    # As far as they are in use.
    needs: tuple[str, ...] = ("ingest", "picture", "coherence", "captions", "subjects", "clarity", "labels", "pairs")

    def __init__(self, settings: EncodeSettings, spool: Path) -> None:
        self.settings = settings
        self.spool = spool

    def measure(self, clip: Clip) -> Clip | Rejected:
        ready = prepare(clip, self.settings.shards)
        if isinstance(ready, Rejected):
            return ready
        tensors = {"video": ready.video, "audio": ready.audio}
        if ready.references is not None:
            tensors["references"] = ready.references
        np.savez(self.spool / f"{clip.id}.npz", row=np.array(json.dumps(ready.row)), **tensors)  # type: ignore[arg-type]
        told = {name: ready.row[name] for name in ("seconds", "height", "width", "start")}
        return clip.with_columns(self.name, **told)


def encode_stage(settings: ShardSettings, before: Sequence[Planned], folder: Path) -> Planned:
    """The last stage with its keys.

    Args:
        before: all other stages of the recipe. folder: of the shards.

    Raises:
        VivaceError: codecs that are not named, or cannot be read.
    """
    codecs = codecs_of(settings) if settings.content == "latents" else ()
    chosen = EncodeSettings(shards=settings, codecs=tuple(folder_print(codec) for codec in codecs))
    # By its whole path, since the process that writes there may stand elsewhere.
    stage = Encode(chosen, folder.absolute() / SPOOL)
    needed = [planned.key for planned in before if planned.name in stage.needs]
    told = json.dumps([stage.name, stage.version, chosen.measuring(), needed], sort_keys=True)
    return Planned(stage, hashlib.sha256(told.encode()).hexdigest()[:16], bounds="")
