"""The unit "encode": clips to latents, from rendered shards or straight from the world without storing the clips."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator
from torch import Tensor, nn

from vivace.conditioning.prompts import SPEECH_START
from vivace.conditioning.voices import Recording, recording, speaker_vectors
from vivace.data.fingerprint import weights_hash
from vivace.data.shards import MAX_BYTES, ShardHeader, ShardReader, ShardWriter
from vivace.errors import VivaceError
from vivace.models.codecs import encode_audio, encode_video
from vivace.training.character_clips import CharacterSource, TakePlan, plan_takes
from vivace.training.clips import (
    ClipPlan,
    SceneSource,
    from_int16,
    plan_clips,
    render_clip,
    render_picture,
    render_sound,
)
from vivace.training.codec_files import load_codecs, load_speaker_encoder
from vivace.training.low_side import LowSide, low_latents
from vivace.training.run_folder import Begun, unrecorded
from vivace.training.workers import available_workers, clip_progress, ordered_map
from vivace.world import Scene, count_lines, voice_references
from vivace.world.speech import SPEECH_RATE

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}


class ClipFolder(BaseModel):
    """Clips that the unit "render", or curation, has written."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    folder: Path


def _source_kind(source: Any) -> str:
    for kind, key, model in (("folder", "folder", ClipFolder), ("characters", "characters", CharacterSource)):
        if isinstance(source, model) or (isinstance(source, dict) and key in source):
            return kind
    return "scenes"


class EncodeRecipe(BaseModel):
    """Encode a source with two codecs to `output`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    unit: Literal["encode"]
    output: Path
    source: Annotated[
        Annotated[ClipFolder, Tag("folder")]
        | Annotated[SceneSource, Tag("scenes")]
        | Annotated[CharacterSource, Tag("characters")],
        Discriminator(_source_kind),
    ] = Field(description="a folder of clips, or what to render; characters come with references")
    vae: Path = Field(description="folder of the video codec")
    audio_vae: Path = Field(description="folder of the audio codec")
    store: Literal["fp16", "bf16", "fp32"] = Field(default="fp16", description="type of the stored latents")
    speaker_encoder: Path | None = Field(
        default=None, description="folder of the speaker encoder; speaker vectors are stored where it is given"
    )
    low: LowSide | None = Field(
        default=None, description="store also latents of small pictures of each clip made large, for a refiner"
    )
    sound_alone: bool = Field(
        default=False,
        description="pictures are neither drawn nor encoded: for tasks without a picture, of which more clips can be "
        "had in the same time",
    )
    pictures_alone: bool = Field(
        default=False,
        description="of each scene one picture, at a moment drawn, and no sound: for tasks without sound. What stays "
        "over a clip, which is most of a picture, is so learned from many more scenes",
    )
    precision: Literal["fp32", "bf16"] = "fp32"
    device: str = "cpu"
    batch: int = Field(default=4, gt=0, description="clips that one worker takes at a time")
    workers: int = Field(default=0, ge=0, description="processes; 0 takes one per core")
    shard_bytes: int = Field(default=MAX_BYTES, gt=0)

    @model_validator(mode="after")
    def _sound_alone_has_no_pictures(self) -> EncodeRecipe:
        if self.sound_alone and (self.low is not None or not isinstance(self.source, SceneSource)):
            raise ValueError("sound_alone is for scenes of the world without low; change the source or leave it out")
        return self

    @model_validator(mode="after")
    def _pictures_alone_have_no_sound(self) -> EncodeRecipe:
        if self.pictures_alone and (self.low is not None or self.sound_alone or isinstance(self.source, ClipFolder)):
            raise ValueError(
                "pictures_alone is for scenes of the world and characters, without low and sound_alone; change them or "
                "leave it out"
            )
        return self


class _Encoder:
    """What every worker process holds: the codecs, and the reader of clips where there is one."""

    def __init__(self, recipe: EncodeRecipe) -> None:
        self.recipe = recipe
        self.vae, self.audio_vae = load_codecs(recipe.vae, recipe.audio_vae, recipe.device)
        self.speaker_encoder = (
            None if recipe.speaker_encoder is None else load_speaker_encoder(recipe.speaker_encoder, recipe.device)
        )
        self.reader = ShardReader(recipe.source.folder, "clips") if isinstance(recipe.source, ClipFolder) else None

    def clip(self, job: int | ClipPlan) -> tuple[str, dict[str, Any], np.ndarray, np.ndarray]:
        """Id, row, uint8 [T, H, W, 3], int16 [2, N]."""
        if isinstance(job, ClipPlan):
            render = render_clip
            if self.recipe.sound_alone:
                render = render_sound
            elif self.recipe.pictures_alone:
                render = render_picture
            rendered = render(job)
            return job.id, rendered.row, rendered.video, rendered.audio
        assert self.reader is not None
        tensors = self.reader.get(job)
        return self.reader.ids[job], self.reader.rows[job], tensors["video"].numpy(), tensors["audio"].numpy()

    @torch.inference_mode()
    def encode(self, jobs: list[int] | list[ClipPlan]) -> list[tuple[str, dict[str, Tensor], dict[str, Any]]]:
        """Clips of one shape together; results in the order of the jobs."""
        clips = [self.clip(job) for job in jobs]
        results: dict[int, tuple[str, dict[str, Tensor], dict[str, Any]]] = {}

        def shape(index: int) -> tuple[Any, ...]:
            return (*clips[index][2].shape, clips[index][3].shape[1], clips[index][1]["audio_tokens"])

        for (*_, tokens), members in itertools.groupby(sorted(range(len(clips)), key=shape), key=shape):
            group = list(members)
            video, audio = self._latents(
                np.stack([clips[index][2] for index in group]), np.stack([clips[index][3] for index in group]), tokens
            )
            for place, index in enumerate(group):
                name, row, _, _ = clips[index]
                row = {key: value for key, value in row.items() if key not in ("id", "shard")}
                sizes = (0, 0, 0) if video is None else video.shape[2:]
                grid = dict(zip(("latent_frames", "latent_height", "latent_width"), sizes, strict=True))
                sides = (("audio", audio), ("video", video))
                tensors = {side: latents[place].clone() for side, latents in sides if latents is not None}
                if self.speaker_encoder is not None:
                    tensors["speakers"] = self._speakers(row, clips[index][3])
                job = jobs[index]
                pictures = self._reference_pictures(job)
                if pictures is not None and video is not None:
                    tensors["references"] = self._references(pictures, tensors["video"])
                if self.recipe.low is not None and video is not None:
                    tensors["low"] = low_latents(self.recipe.low, self.vae, name, row, clips[index][2]).to(video.dtype)
                results[index] = (name, tensors, row | grid)
        return [results[index] for index in range(len(clips))]

    def _speakers(self, row: dict[str, Any], audio: np.ndarray) -> Tensor:
        """A vector for each speech span, from other words of the same voice in a scene of the world, and from the span
        itself in a curated clip, int16 [2, N]; zeros where it is too short to tell, and where nobody is heard.
        [spans, dim] float32"""
        assert self.speaker_encoder is not None
        heard: list[Recording | None]
        if self.recipe.pictures_alone:
            heard = [None] * (count_lines(Scene.from_json(row["scene"])) if row["scene"] else 0)
        elif row.get("scene"):
            references = voice_references(Scene.from_json(row["scene"]))
            heard = [recording(sound, SPEECH_RATE, f"Reference of {row['seed']}") for sound in references]
        else:
            heard = recordings_of(row, audio)
        return speaker_vectors(self.speaker_encoder, heard, self.speaker_encoder.dim, self.recipe.device).cpu()

    def _reference_pictures(self, job: int | ClipPlan) -> np.ndarray | None:
        """Who is to be seen, uint8 [R, H, W, 3]: of a take by its plan, of a clip as it is stored; None without."""
        if isinstance(job, TakePlan):
            return np.stack(job.pictures())
        if self.reader is None or isinstance(job, ClipPlan):
            return None
        stored = self.reader.get(job).get("references")
        return None if stored is None else stored.numpy()

    def _references(self, pictures: np.ndarray, video: Tensor) -> Tensor:
        """Latents of pictures uint8 [R, H, W, 3] of a clip with latents [C, t, h, w]. [R, C, h, w]"""
        if not len(pictures):
            return video.new_zeros(0, video.shape[0], *video.shape[2:])
        device, store = torch.device(self.recipe.device), DTYPES[self.recipe.store]
        moved = torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2)[:, :, None]
        with torch.autocast(device.type, torch.bfloat16, enabled=self.recipe.precision == "bf16"):
            latents = encode_video(self.vae, moved.float() / 127.5 - 1)
        return latents[:, :, 0].to(store).cpu().clone()

    def _latents(self, frames: np.ndarray, audio: np.ndarray, tokens: int) -> tuple[Tensor | None, Tensor | None]:
        """[B, T, H, W, 3], [B, 2, N] -> [B, C, t, h, w], [B, L, D]; None of no pictures, and of no sound."""
        device, store = torch.device(self.recipe.device), DTYPES[self.recipe.store]
        sound = None
        if audio.shape[2]:
            waveform = torch.from_numpy(from_int16(audio)).to(device)
            sound = encode_audio(self.audio_vae, waveform, tokens).to(store).cpu()
        if not frames.shape[1]:
            return None, sound
        pictures = torch.from_numpy(frames).to(device).permute(0, 4, 1, 2, 3).float() / 127.5 - 1
        with torch.autocast(device.type, torch.bfloat16, enabled=self.recipe.precision == "bf16"):
            video = encode_video(self.vae, pictures)
        return video.to(store).cpu(), sound


def recordings_of(row: dict[str, Any], audio: np.ndarray) -> list[Recording | None]:
    """The speech spans of a curated clip as its row gives their times; None where that says nothing of a voice."""
    spans = json.loads(row.get("speech") or "[]")
    if not spans:
        return [None] * str(row.get("caption", "")).count(SPEECH_START)
    rate = row["samples"] / row["seconds"]
    mono = from_int16(audio).mean(axis=0)
    heard: list[Recording | None] = []
    for start, end in spans:
        try:
            heard.append(recording(mono[round(start * rate) : round(end * rate)], round(rate)))
        except VivaceError:
            heard.append(None)
    return heard


_encoder: _Encoder | None = None


def _prepare(recipe: EncodeRecipe) -> None:
    global _encoder
    _encoder = _Encoder(recipe)


def _encode(jobs: list[int] | list[ClipPlan]) -> list[tuple[str, dict[str, Tensor], dict[str, Any]]]:
    assert _encoder is not None
    return _encoder.encode(jobs)


def _jobs(source: ClipFolder | SceneSource | CharacterSource) -> list[Any]:
    if isinstance(source, SceneSource):
        return list(plan_clips(source))
    if isinstance(source, CharacterSource):
        return list(plan_takes(source))
    rows = ShardReader(source.folder, "clips").rows
    # Clips of the codecs' training that are no scenes have no caption to learn from.
    return [index for index, row in enumerate(rows) if row["content"] in ("scene", "curated")]


def encoded_clips(
    recipe: EncodeRecipe, jobs: list[Any], done: int
) -> Iterator[tuple[str, dict[str, Tensor], dict[str, Any]]]:
    """Latents of the jobs from number `done` on. Batches are cut at the same places whatever `done` is, because the
    last bits of a latent may depend on its batch."""
    first = done // recipe.batch * recipe.batch
    batches = [jobs[start : start + recipe.batch] for start in range(first, len(jobs), recipe.batch)]
    workers = available_workers(recipe.workers) if recipe.device == "cpu" else 1
    results = ordered_map(_encode, batches, workers, _prepare, (recipe,))
    yield from itertools.islice(itertools.chain.from_iterable(results), done - first, None)


def run_encode(recipe: EncodeRecipe, run: Path, begun: Begun = unrecorded) -> dict[str, float]:
    """Encode what is not there yet. Returns the number of clips.

    Raises:
        VivaceError: codecs that are not there, or latents of other codecs in `output`.
    """
    codecs: dict[str, nn.Module] = dict(
        zip(("vae", "audio_vae"), load_codecs(recipe.vae, recipe.audio_vae), strict=True)
    )
    if recipe.speaker_encoder is not None:
        codecs["speaker_encoder"] = load_speaker_encoder(recipe.speaker_encoder)
    header = ShardHeader(
        "latents",
        {
            "codecs": {name: weights_hash(codec) for name, codec in codecs.items()},
            "source": recipe.source.model_dump(mode="json"),
            "store": recipe.store,
            **({} if recipe.low is None else {"low": recipe.low.model_dump(mode="json")}),
            **({"sound_alone": True} if recipe.sound_alone else {}),
            **({"pictures_alone": True} if recipe.pictures_alone else {}),
        },
    )
    writer = ShardWriter(recipe.output, header, recipe.shard_bytes)
    begun()
    if not writer.finished:
        jobs = _jobs(recipe.source)
        with clip_progress() as progress:
            task = progress.add_task(f"encode {recipe.output.name}", total=len(jobs), completed=len(writer))
            for name, tensors, row in encoded_clips(recipe, jobs, len(writer)):
                writer.add(name, tensors, row)
                progress.advance(task)
        writer.close()
    return {"clips": float(len(writer))}
