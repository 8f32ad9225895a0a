"""The unit "captions": a small text encoder learns to read, before any picture or sound is learned with it.

Large models come with a text encoder that has read the web. A small one trained only by the velocity error of a
transformer hears about colours through very little of the loss: ours knew, after 4,500 steps of that, the stated colour
of two captions in three. Captions of the world cost nothing and state their attributes, so the encoder first learns to
tell them (ours).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import ByT5Tokenizer

from vivace.conditioning.text import encode_prompts
from vivace.data.prefetch import Prefetch
from vivace.errors import VivaceError
from vivace.training.joint import ADAMW_NAMES
from vivace.training.loop import LoopSettings, train
from vivace.training.muon import Muon, split_parameters
from vivace.training.run_folder import Begun, unrecorded
from vivace.training.text_encoder import build_text_encoder
from vivace.training.warm_start import start_from
from vivace.training.workers import ordered_map
from vivace.world import sample_scene
from vivace.world.captions import caption_with_attributes
from vivace.world.scene import ALL_KINDS, KINDS

Stated = dict[str, str]
UNSTATED = ""
# Where seeds of validation begin, so that no scene is read twice.
VALIDATION_SEED = 50_000_000
# Standard deviation of the scores by which a glance weighs places: those of attention with unit queries and keys.
GLANCE_SPREAD = 1.0


class CaptionsRecipe(BaseModel):
    """One training of a text encoder on captions alone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    unit: Literal["captions"]
    seed: int = Field(default=0, ge=0)
    text_encoder: dict[str, Any] = Field(description="configuration of UMT5EncoderModel")
    start_from: Path | None = Field(default=None, description="model folder or run whose text encoder is taken on")
    kinds: tuple[str, ...] = Field(default=KINDS, description="kinds of scenes, all as often as they stand here")
    captions: int = Field(default=60_000, gt=0, description="drawn before training")
    held_out: int = Field(default=1000, gt=0, description="captions of scenes of the validation split")
    fewest: int = Field(default=20, gt=0, description="a value that fewer captions state is not asked for")
    seconds: tuple[float, ...] = Field(default=(49 / 24, 97 / 24), description="lengths of the scenes told")
    text_len: int = Field(default=256, gt=0)
    batch: int = Field(default=64, gt=0)
    workers: int = Field(default=1, gt=0, description="processes that draw captions")
    muon_rate: float = Field(default=1.5e-3, gt=0)
    adamw_rate: float = Field(default=1.5e-3, gt=0)
    loop: LoopSettings


def flattened(stated: Mapping[str, Any]) -> Stated:
    """What a caption states as one word for each place: {"colours": ["red", "blue"]} is colours.0, colours.1.

    Texts of several words, such as what is said, are one place a word.
    """
    flat: Stated = {}

    def put(name: str, value: Any) -> None:
        if isinstance(value, Mapping):
            for key, inner in value.items():
                put(f"{name}.{key}", inner)
        elif isinstance(value, (list, tuple)):
            for number, inner in enumerate(value):
                put(f"{name}.{number}", inner)
        elif name.endswith(".words") and isinstance(value, str):
            put(name, value.split())
        else:
            flat[name] = str(value)

    for key, value in stated.items():
        put(key, value)
    return flat


def vocabulary(captions: Iterable[Stated], fewest: int) -> dict[str, list[str]]:
    """The attributes, each with its values; the first is `UNSTATED`. Values stated in fewer captions are left out."""
    counts: dict[str, Counter[str]] = {}
    for stated in captions:
        for name, value in stated.items():
            counts.setdefault(name, Counter())[value] += 1
    found = {
        name: sorted(value for value, times in counter.items() if times >= fewest) for name, counter in counts.items()
    }
    return {name: [UNSTATED, *values] for name, values in sorted(found.items()) if values}


def draw_captions(recipe: CaptionsRecipe, split: Literal["train", "val"], count: int) -> list[tuple[str, Stated]]:
    """Captions with what they state, of as many scenes."""
    first = recipe.seed * 1_000_003 + (VALIDATION_SEED if split == "val" else 0)
    size = 500
    jobs = [(recipe, split, first + at, min(size, count - at)) for at in range(0, count, size)]
    return [pair for group in ordered_map(_draw, jobs, recipe.workers) for pair in group]


def _draw(job: tuple[CaptionsRecipe, Literal["train", "val"], int, int]) -> list[tuple[str, Stated]]:
    recipe, split, first, count = job
    drawn = []
    for seed in range(first, first + count):
        rng = np.random.default_rng([recipe.seed, seed])
        kind, seconds = rng.choice(recipe.kinds), float(rng.choice(recipe.seconds))
        text, stated = caption_with_attributes(sample_scene(seed, split, kind=str(kind), seconds=seconds), rng)
        drawn.append((text, flattened(stated)))
    return drawn


class CaptionReader(nn.Module):
    """Attributes read from a text's features: for each a query that attends to all places, and a linear layer.

    The queries read as a generator's cross-attention does, which is what the features are for. But before that has
    learned where to look, it sees a mean over places that chance weighs, in which the few bytes of a colour drown, and
    nothing it sees tells it what to look for. So the same is read from such a mean too (`glance`): every place then
    tells of the whole caption.
    """

    def __init__(self, width: int, classes: Sequence[int], heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.classes = list(classes)
        self.glance_answers = nn.Linear(width, sum(classes))
        self.queries = nn.Parameter(torch.randn(len(classes), width) / width**0.5)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.answers = nn.ModuleList(nn.Linear(width, count) for count in classes)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Features of each caption, [n_i, width]; for each attribute the scores of its values, [B, values]."""
        padded, there = _padded(features)
        seen = there[:, None, None]
        queries = self._by_head(self.queries.expand(len(padded), -1, -1))
        read = F.scaled_dot_product_attention(
            queries, self._by_head(self.key(padded)), self._by_head(self.value(padded)), attn_mask=seen
        )
        read = read.transpose(1, 2).flatten(2)  # [B, attributes, width]
        return [answer(read[:, number]) for number, answer in enumerate(self.answers)]

    def glance(self, features: Sequence[Tensor], generator: torch.Generator) -> list[Tensor]:
        """The same from one mean over each caption's places, whose weights the generator draws."""
        padded, there = _padded(features)
        drawn = torch.randn(padded.shape[:2], generator=generator).mul_(GLANCE_SPREAD).to(padded.device)
        weights = drawn.masked_fill(~there, -torch.inf).softmax(1).to(padded)
        return list(self.glance_answers((weights[..., None] * padded).sum(1)).split(self.classes, 1))

    def _by_head(self, x: Tensor) -> Tensor:
        """[B, n, width] as [B, heads, n, width of a head]."""
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


def _padded(features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Features as one tensor [B, n, width], and which of its places are a caption's, [B, n]."""
    padded = pad_sequence(list(features), batch_first=True)
    lengths = torch.tensor([len(x) for x in features], device=padded.device)
    return padded, torch.arange(padded.shape[1], device=padded.device) < lengths[:, None]


@dataclass(frozen=True)
class Lesson:
    """A batch: captions, and the number of each attribute's value, [B, attributes]; -100 is not asked for."""

    captions: list[str]
    values: Tensor


class CaptionsObjective:
    """What does this caption state?

    Raises:
        VivaceError: an unknown kind of scene, or captions of which nothing is stated often enough.
    """

    def __init__(self, recipe: CaptionsRecipe) -> None:
        unknown = sorted(set(recipe.kinds) - set(ALL_KINDS))
        if unknown:
            raise VivaceError(f"kinds names {unknown[0]!r}; use some of {', '.join(ALL_KINDS)}.")
        self.recipe = recipe
        self.told = draw_captions(recipe, "train", recipe.captions)
        self.held_out = draw_captions(recipe, "val", recipe.held_out)
        self.attributes = vocabulary((stated for _, stated in self.told), recipe.fewest)
        if not self.attributes:
            raise VivaceError(
                f"No value is stated by {recipe.fewest} of {recipe.captions} captions; draw more of them."
            )
        self.tokenizer = ByT5Tokenizer()
        torch.manual_seed(recipe.seed)
        self.text_encoder = build_text_encoder(recipe.text_encoder)
        if recipe.start_from is not None:
            start_from(recipe.start_from, "text_encoder", self.text_encoder)
        width = self.text_encoder.config.d_model
        self.reader = CaptionReader(width, [len(values) for values in self.attributes.values()])
        self.prepared = Prefetch(self.batch, recipe.loop.steps * recipe.loop.accumulate)

    def modules(self) -> dict[str, nn.Module]:
        return {"text_encoder": self.text_encoder, "reader": self.reader}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        named = [pair for module in self.modules().values() for pair in module.named_parameters()]
        matrices, rest = split_parameters(named, (*ADAMW_NAMES, "queries", "answers"))
        return {
            "muon": Muon(matrices, lr=self.recipe.muon_rate, dtype=self.recipe.loop.dtype),
            "adamw": torch.optim.AdamW(rest, lr=self.recipe.adamw_rate, weight_decay=0.0),
        }

    def batch(self, step: int) -> Lesson:
        rng = np.random.default_rng([self.recipe.seed, 1, step])
        return self.lesson([self.told[k] for k in rng.integers(len(self.told), size=self.recipe.batch)])

    def lesson(self, told: Sequence[tuple[str, Stated]]) -> Lesson:
        """Captions with the numbers of what they state."""
        values = [[_number(stated, name, known) for name, known in self.attributes.items()] for _, stated in told]
        return Lesson([text for text, _ in told], torch.tensor(values))

    def scores(self, lesson: Lesson, number: int) -> dict[str, list[Tensor]]:
        """For each attribute the scores of its values, [B, values], by both ways of reading.

        Args:
            number: of what is drawn for the glance.
        """
        encoded = encode_prompts(self.text_encoder, self.tokenizer, lesson.captions, self.recipe.text_len)
        key = int(np.random.default_rng([self.recipe.seed, 2, number]).integers(2**62))
        glance = self.reader.glance(encoded.features, torch.Generator().manual_seed(key))
        return {"read": self.reader(encoded.features), "glanced": glance}

    def loss(self, step: int) -> dict[str, Tensor]:
        """Nats a caption, summed over the attributes, of each way of reading and as "loss" of both."""
        lesson = self.prepared(step)
        values = lesson.values.to(self.recipe.loop.device)
        parts: dict[str, Tensor] = {}
        for way, of_attributes in self.scores(lesson, step).items():
            terms = [
                F.cross_entropy(scores.float(), values[:, number], reduction="sum")
                for number, scores in enumerate(of_attributes)
            ]
            parts[way] = torch.stack(terms).sum() / len(values)
        return {"loss": parts["read"] + parts["glanced"], **parts}

    @torch.no_grad()
    def validate(self, step: int) -> dict[str, float]:
        """Shares of what is stated that is read (and at a glance), of what is not stated that is not read, of captions
        wholly read."""
        stated = read = glanced = silent = unread = whole = 0
        for at in range(0, len(self.held_out), self.recipe.batch):
            lesson = self.lesson(self.held_out[at : at + self.recipe.batch])
            found = {
                way: torch.stack([scores.argmax(1).cpu() for scores in of_attributes], 1) == lesson.values
                for way, of_attributes in self.scores(lesson, at).items()
            }
            right, said, unsaid = found["read"], lesson.values > 0, lesson.values == 0
            stated += int(said.sum())
            read += int((right & said).sum())
            glanced += int((found["glanced"] & said).sum())
            silent += int(unsaid.sum())
            unread += int((right & unsaid).sum())
            whole += int((right | ~(said | unsaid)).all(1).sum())
        return {
            "stated_read": read / max(1, stated),
            "stated_glanced": glanced / max(1, stated),
            "unstated_unread": unread / max(1, silent),
            "captions_read": whole / len(self.held_out),
        }


def _number(stated: Stated, name: str, known: Sequence[str]) -> int:
    """Of the value among those known, 0 where none is stated, -100 where it is too rare to be asked for."""
    value = stated.get(name, UNSTATED)
    return known.index(value) if value in known else -100


def run_captions(recipe: CaptionsRecipe, run: Path, begun: Begun = unrecorded) -> dict[str, float]:
    """Train, or go on training. A `joint` recipe takes the averaged encoder on by `start_text_encoder_from`."""
    return train(CaptionsObjective(recipe), recipe.loop, run, begun)
