"""What a curation ends in: clips as shards hold them, in buckets of size and length, ready for training.

`vivace.curation.encode` does this in guarded processes, and `vivace.curation.shard_writing` writes the shards.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from vivace.curation.caption import parse
from vivace.curation.clip import Clip, Rejected
from vivace.curation.fitting import fitted
from vivace.curation.reference_pictures import References, reference_of
from vivace.errors import VivaceError
from vivace.media import Clip as Material
from vivace.media.decode_audio import resample
from vivace.timeline import Timeline

SAMPLE_RATE = 16000


class ShardSettings(BaseModel):
    """What is written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    use: bool = True
    content: Literal["clips", "latents"] = Field(default="clips", description="latents need vae and audio_vae")
    vae: Path | None = Field(default=None, description="folder of an AutoencoderKLWan")
    audio_vae: Path | None = Field(default=None, description="folder of an AutoencoderKLLTX2Audio")
    sizes: tuple[tuple[int, int], ...] = Field(
        default=((128, 128),), min_length=1, description="height and width; a clip takes the one nearest to its shape"
    )
    seconds: tuple[float, ...] = Field(
        default=(2.0, 4.0), min_length=1, description="a clip takes the longest that it fills"
    )
    fps: int = Field(default=24, gt=0, le=240)
    caption: Literal["nava", "plain"] = Field(default="nava", description="with or without the subjects' names")
    longest_caption: int | None = Field(
        default=None, gt=0, description="bytes that a caption may have: less than the text_len of a ByT5 model"
    )
    references: References = Field(
        default="none",
        description="pictures of who is to be seen: of partners ('cross'), or of the clip itself, changed, where there "
        "is none ('both')",
    )
    validation: float = Field(default=0.1, ge=0, lt=1, description="share of the clips, by file, that is held out")


@dataclass(frozen=True)
class Prepared:
    """A clip as it is stored: uint8 [T, H, W, 3], int16 [2, N], its row, and references uint8 [R, H, W, 3] where they
    are asked for."""

    id: str
    video: np.ndarray
    audio: np.ndarray
    row: dict[str, Any]
    references: np.ndarray | None = None


def is_validation(clip: Clip, share: float) -> bool:
    """By the file, so that no clip of training comes from a file of the validation."""
    return place_of(clip) < share


def place_of(clip: Clip) -> float:
    """A number in 0 to 1 for each file."""
    told = f"held out {clip.path}".encode(errors="surrogateescape")
    return int(hashlib.sha256(told).hexdigest()[:8], 16) / 2**32


def prepare(clip: Clip, settings: ShardSettings) -> Prepared | Rejected:
    """Pictures and sound brought to the bucket that fits best.

    Rejects what is `shorter` than all of them, speech that no stretch of the bucket's length holds whole
    (`cut_speech`), since the caption would tell of words that are not there, and a `long_caption`.
    """
    material = clip.material()
    assert material.frames is not None
    available = float(material.seconds) + 0.5 / float(material.fps)
    lengths = [Timeline.covering(seconds, settings.fps) for seconds in settings.seconds]
    fitting = [timeline for timeline in lengths if timeline.frames / settings.fps <= available]
    if not fitting:
        return Rejected("shorter")
    timeline = max(fitting, key=lambda line: line.frames)
    spans = clip.get("subjects.spans")
    begin = _beginning(spans or [], float(timeline.seconds), available)
    if begin is None:
        return Rejected("cut_speech")
    first = round(begin * float(material.fps))
    height, width = min(settings.sizes, key=lambda size: abs(np.log(_ratio(material) / (size[1] / size[0]))))
    places = first + np.round(timeline.frame_times() * float(material.fps)).astype(int)
    places = np.minimum(places, len(material.frames) - 1)
    frames = np.stack([fitted(material.frames[n], height, width) for n in places])
    told = clip.get("subjects.text") or clip.get("captions.text")  # uncorrected where that stage is left out
    caption = parse(told) if told else None
    text = "" if caption is None else caption.to_nava() if settings.caption == "nava" else caption.to_plain()
    if settings.longest_caption is not None and len(text.encode()) > settings.longest_caption:
        return Rejected("long_caption")
    row = {
        "content": "curated",
        "seed": int(clip.id[:8], 16),
        "kind": clip.get("labels.label", ""),
        "scene": "",
        "caption": text,
        "seconds": float(timeline.seconds),
        "fps": settings.fps,
        "frames": timeline.frames,
        "height": height,
        "width": width,
        "samples": timeline.samples,
        "audio_tokens": timeline.audio_tokens,
        "start": clip.start + begin,
        # As text, since a shard of clips without speech would have a column of no type.
        "speech": "" if spans is None else json.dumps([[round(a - begin, 4), round(b - begin, 4)] for a, b in spans]),
        "licence": str(clip.get("input.licence", "")),
        "source": str(clip.get("input.source", "")),
        "sha256": str(clip.get("ingest.sha256", "")),
        "picture": clip.get("picture.label", ""),
        "clarity": clip.get("clarity.level"),
        "coherence": clip.get("coherence.kind", ""),
        "partner": clip.get("pairs.partner") or "",
    }
    references = None
    if settings.references != "none":
        references, row["reference"] = reference_of(clip, height, width, settings.references)
    return Prepared(clip.id, frames, _sound(material, timeline, begin), row, references)


def check_shards(settings: ShardSettings) -> None:
    """Tell before anything is curated what would keep shards from being written at the end.

    Raises:
        VivaceError: pyarrow is not installed; codecs that are not named or not there.
    """
    if not settings.use:
        return
    shard_format()
    if settings.content == "latents":
        for folder in codecs_of(settings):
            if not (folder / "config.json").is_file():
                raise VivaceError(
                    f"Codec folder {str(folder)!r} has no config.json; correct it in the recipe's shards."
                )


def clip_shards(folder: Path) -> Any:
    """The samples of a folder of clips: rows and tensors in order.

    Raises:
        VivaceError: no shards of clips there; pyarrow is not installed.
    """
    return shard_format().ShardReader(folder, "clips")


def shard_format() -> Any:
    try:
        from vivace.data import shards
    except ModuleNotFoundError as error:
        raise VivaceError(f"Shards need {error.name!r}; install it with: pip install 'vivace[train]'.") from None
    return shards


def codecs_of(settings: ShardSettings) -> tuple[Path, Path]:
    if settings.vae is None or settings.audio_vae is None:
        raise VivaceError("Shards of latents need codecs; set shards.vae and shards.audio_vae.")
    return settings.vae, settings.audio_vae


def _ratio(material: Material) -> float:
    assert material.frames is not None
    return material.frames.shape[2] / material.frames.shape[1]


def _beginning(spans: list[list[float]], seconds: float, available: float) -> float | None:
    """Where a stretch of `seconds` begins that holds all speech: at 0 if it can; None where there is none."""
    if not spans:
        return 0.0
    first, last = min(start for start, _ in spans), max(end for _, end in spans)
    begin = 0.0 if last <= seconds else min(first, max(0.0, available - seconds))
    return begin if last <= begin + seconds else None


def _sound(material: Material, timeline: Timeline, begin: float) -> np.ndarray:
    """int16 [2, N] at 16 kHz from `begin` seconds on, exactly as long as the pictures."""
    if material.audio is None:
        return np.zeros((2, timeline.samples), np.int16)
    first = round(begin * SAMPLE_RATE)
    audio = resample(material.audio, material.sample_rate, SAMPLE_RATE)[:, first : first + timeline.samples]
    audio = np.repeat(audio, 2, axis=0) if len(audio) == 1 else audio
    audio = np.pad(audio, ((0, 0), (0, timeline.samples - audio.shape[1])))
    return np.clip(np.round(audio * 32768), -32768, 32767).astype(np.int16)
