"""Batches of latents out of one or more folders of shards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from vivace.data.batches import BatchPlan, Bucket
from vivace.data.shards import ShardReader
from vivace.errors import VivaceError
from vivace.pair import AV

SHAPE_COLUMNS = ("latent_frames", "latent_height", "latent_width", "audio_tokens", "fps")


class LatentSource(BaseModel):
    """A folder of latents in a mixture."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: Path
    weight: float = Field(
        default=1.0, gt=0, description="how often a batch comes from here, relative to the other folders"
    )
    batch: int = Field(default=32, gt=0, description="samples per batch; give longer clips smaller batches")
    tasks: tuple[str, ...] = Field(default=(), description="names of the tasks that it is for; none means all")
    kinds: tuple[str, ...] = Field(default=(), description="kinds of scenes that are taken of it; none means all")

    def serves(self, task: str) -> bool:
        return not self.tasks or task in self.tasks


@dataclass(frozen=True)
class LatentBatch:
    """Samples of one shape.

    Args:
        latents: video [B, C, t, h, w] and audio [B, L, D], float32; one is None where only the other was encoded.
        rows: what the index says about each sample.
        voices: speaker embeddings [spans, speaker_dim] of each sample, or None where the shards hold none.
        references: latents [R, C, h, w] of pictures of who is to be seen in each sample, best first, likewise.
        low: latents of the same clips' small pictures made large, in the shape of `latents.video`, or None.
    """

    latents: AV[Tensor]
    rows: list[dict[str, Any]]
    voices: list[Tensor] | None = None
    references: list[Tensor] | None = None
    low: Tensor | None = None

    def to(self, device: str | torch.device) -> LatentBatch:
        voices, references = (
            None if each is None else [x.to(device) for x in each] for each in (self.voices, self.references)
        )
        low = None if self.low is None else self.low.to(device)
        return LatentBatch(self.latents.map(lambda x: x.to(device)), self.rows, voices, references, low)


def read_batch(reader: ShardReader, indices: Sequence[int]) -> LatentBatch:
    """The samples of these indices, which must be of one shape."""
    samples = [reader.get(index) for index in indices]
    sides = {
        name: torch.stack([sample[name] for sample in samples]).float()
        for name in ("video", "audio")
        if name in samples[0]
    }
    voices, references = (
        [sample[name].float() for sample in samples] if name in samples[0] else None
        for name in ("speakers", "references")
    )
    low = torch.stack([sample["low"] for sample in samples]).float() if "low" in samples[0] else None
    return LatentBatch(AV(**sides), [reader.rows[index] for index in indices], voices, references, low)


def shape_buckets(reader: ShardReader, kinds: Sequence[str] = ()) -> list[list[int]]:
    """Indices of the samples of each shape, in the order of first appearance; of these kinds alone, if any are given.

    Raises:
        VivaceError: the folder holds no sample of a kind.
    """
    found = reader.column("kind") if kinds else []
    for kind in kinds:
        if kind not in found:
            raise VivaceError(f"The latents in {str(reader.folder)!r} hold no {kind!r}; correct the source's kinds.")
    buckets: dict[tuple[Any, ...], list[int]] = {}
    for index, key in enumerate(zip(*(reader.column(name) for name in SHAPE_COLUMNS), strict=True)):
        if not kinds or found[index] in kinds:
            buckets.setdefault(key, []).append(index)
    return list(buckets.values())


def ordered_batches(reader: ShardReader, count: int, batch: int) -> Iterator[LatentBatch]:
    """The first `count` samples in batches of one shape each, always the same ones."""
    for members in shape_buckets(reader):
        chosen = [index for index in members if index < count]
        for start in range(0, len(chosen), batch):
            yield read_batch(reader, chosen[start : start + batch])


class LatentMixture:
    """Batches of several folders by their weights; the batch of a step depends on seed and step alone.

    Raises:
        VivaceError: a folder holds no latents, none of a kind, or latents of other codecs than the first one's.
    """

    def __init__(self, sources: Sequence[LatentSource], seed: int) -> None:
        self.readers = [ShardReader(source.folder, "latents") for source in sources]
        self.codecs = shared_codecs(self.readers)
        self._members: list[tuple[ShardReader, list[int]]] = []
        buckets = []
        for source, reader in zip(sources, self.readers, strict=True):
            found = shape_buckets(reader, source.kinds)
            for members in found:
                share = len(members) / sum(map(len, found))
                buckets.append(Bucket(len(members), source.weight * share, source.batch))
                self._members.append((reader, members))
        self.plan = BatchPlan(buckets, seed)

    def batch(self, step: int) -> LatentBatch:
        draw = self.plan.draw(step)
        reader, members = self._members[draw.bucket]
        return read_batch(reader, [members[place] for place in draw.places])


class Feed:
    """Batches of a stage in which each task has the sources that serve it.

    Args:
        sources: of the stage.
        tasks: the name of every step's task; empty where all sources serve all tasks.
        seed: other seeds give other orders.

    Raises:
        VivaceError: as `LatentMixture`.
    """

    def __init__(self, sources: Sequence[LatentSource], tasks: Sequence[str], seed: int) -> None:
        served = {name: tuple(k for k, source in enumerate(sources) if source.serves(name)) for name in tasks}
        groups = sorted(set(served.values())) or [tuple(range(len(sources)))]
        self.mixtures = [LatentMixture([sources[k] for k in group], seed + 7919 * n) for n, group in enumerate(groups)]
        self.readers = [reader for mixture in self.mixtures for reader in mixture.readers]
        # Each mixture counts only the steps that it feeds, so that every sample of it comes equally often.
        self._places: list[tuple[int, int]] = []
        counts = [0] * len(groups)
        for name in tasks:
            group = groups.index(served[name])
            self._places.append((group, counts[group]))
            counts[group] += 1

    def batch(self, step: int) -> LatentBatch:
        """The batch of a step, counted from the stage's beginning."""
        group, place = self._places[step] if self._places else (0, step)
        return self.mixtures[group].batch(place)


def shared_codecs(readers: Sequence[ShardReader]) -> dict[str, str]:
    """The hashes of the codecs that all folders were encoded with.

    Raises:
        VivaceError: they differ.
    """
    codecs: dict[str, str] = readers[0].header.metadata.get("codecs", {})
    for reader in readers[1:]:
        if reader.header.metadata.get("codecs", {}) != codecs:
            raise VivaceError(
                f"The latents in {str(reader.folder)!r} were made with other codecs than those in "
                f"{str(readers[0].folder)!r}; encode one of them again."
            )
    return codecs
