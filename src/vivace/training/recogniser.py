"""The unit "recogniser": the listener of `perception.words` learns the world's vocabulary from true speech.

Two losses on the same output: connectionist temporal classification (Graves et al. 2006), which asks for the right
words in the right order, and the cross-entropy of every frame with the true times, which keeps them where they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from vivace.data.prefetch import Prefetch
from vivace.evaluation.words import word_errors
from vivace.perception.words import EDGE, FRAME, WordRecogniser, hear_words, word_features
from vivace.timeline import Timeline
from vivace.training.listener_files import save_listener
from vivace.training.loop import LoopSettings, train
from vivace.training.muon import Muon, split_parameters
from vivace.training.run_folder import Begun, unrecorded
from vivace.training.utterances import SaidWord, SpeechSource, coloured_noise, low_passed, speech
from vivace.world import render_audio, sample_scene, variety_audio
from vivace.world.phones import WORDS

RATE = 16000


class RecogniserRecipe(BaseModel):
    """One training of the recogniser."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    unit: Literal["recogniser"]
    seed: int = 0
    train: SpeechSource
    validation: SpeechSource
    others: int = Field(default=240, gt=0, description="sounds without words in training and, as many, in validation")
    model: dict[str, Any] = Field(
        default_factory=dict, description="configuration of WordRecogniser, without its words"
    )
    batch: int = Field(default=24, gt=0)
    seconds: float = Field(default=2.4, gt=0, description="length of a training sound")
    wordless: float = Field(default=0.15, ge=0, lt=1, description="share of training sounds without words")
    frame_weight: float = Field(default=1.0, ge=0)
    ctc_weight: float = Field(default=0.05, ge=0, description="of the loss per word")
    muon_rate: float = Field(default=1e-3, gt=0)
    adamw_rate: float = Field(default=1e-3, gt=0)
    workers: int = Field(default=1, gt=0, description="processes that synthesise the speech before training")
    output: Path | None = Field(default=None, description="folder for the weights with their record")
    loop: LoopSettings


@dataclass(frozen=True)
class Lesson:
    """A batch: features [B, T, bands], the class of every frame [B, T'], the classes of the words in order."""

    features: Tensor
    frames: Tensor
    words: list[Tensor]


def wordless_sounds(count: int, split: Literal["train", "val", "test"], seconds: float) -> list[np.ndarray]:
    """Sounds of the world in which no word is spoken: impacts, instruments, and syllables, tones, noises. Mono [N]"""
    timeline = Timeline.covering(seconds, 24)
    first = {"train": 0, "val": 10_000_000, "test": 20_000_000}[split]
    sounds = []
    for k in range(count):
        if k % 2:
            sound = variety_audio(first + k, timeline.samples, RATE)
        else:
            sound = render_audio(sample_scene(k, split, seconds=float(timeline.seconds)), timeline)
        sounds.append(sound.mean(axis=0))
    return sounds


class RecogniserObjective:
    """Which word is spoken in each frame?"""

    def __init__(self, recipe: RecogniserRecipe) -> None:
        self.recipe = recipe
        self.said = speech(recipe.train, recipe.workers)
        self.held_out = speech(recipe.validation, recipe.workers)
        self.others = wordless_sounds(recipe.others, "train", recipe.seconds)
        self.held_out_others = wordless_sounds(recipe.others, "val", recipe.seconds)
        self.classes = {word: k + 1 for k, word in enumerate(WORDS)}
        torch.manual_seed(recipe.seed)
        self.recogniser = WordRecogniser(list(WORDS), **recipe.model)
        self.prepared = Prefetch(self.batch, recipe.loop.steps * recipe.loop.accumulate)

    def modules(self) -> dict[str, nn.Module]:
        return {"recogniser": self.recogniser}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        matrices, rest = split_parameters(self.recogniser.named_parameters(), ("enter", "leave"))
        return {
            "muon": Muon(matrices, lr=self.recipe.muon_rate),
            "adamw": torch.optim.AdamW(rest, lr=self.recipe.adamw_rate, weight_decay=0.0),
        }

    def batch(self, step: int) -> Lesson:
        rng = np.random.default_rng([self.recipe.seed, 1, step])
        features, frames, words = [], [], []
        for _ in range(self.recipe.batch):
            sound, spoken = self._scene(rng)
            features.append(_masked(word_features(sound, self.recogniser.config.bands), rng))
            frames.append(frame_classes(spoken, -(-len(features[-1]) // 2), self.classes))
            words.append(torch.tensor([self.classes[word.word] for word in spoken], dtype=torch.long))
        return Lesson(torch.from_numpy(np.stack(features)), torch.from_numpy(np.stack(frames)), words)

    def _scene(self, rng: np.random.Generator) -> tuple[np.ndarray, list[SaidWord]]:
        """One or two utterances somewhere in a sound, or none; with noise, other sounds and a channel's colour."""
        samples = int(self.recipe.seconds * RATE)
        sound = np.zeros(samples, dtype=np.float32)
        spoken: list[SaidWord] = []
        if rng.random() >= self.recipe.wordless:
            at = int(rng.uniform(0, 0.5) * RATE)
            for _ in range(int(rng.integers(1, 3))):
                said = self.said[int(rng.integers(len(self.said)))]
                if at + len(said.sound) > samples:
                    break
                sound[at : at + len(said.sound)] += said.sound * 10 ** (rng.uniform(-4, 4) / 20)
                spoken += [SaidWord(w.word, w.start + at / RATE, w.end + at / RATE) for w in said.words]
                at += len(said.sound) + int(rng.uniform(0.0, 0.4) * RATE)
        return _disturbed(sound, self.others, bool(spoken), rng), spoken

    def loss(self, step: int) -> dict[str, Tensor]:
        lesson, device = self.prepared(step), self.recipe.loop.device
        output = self.recogniser(lesson.features.to(device))
        lengths = torch.tensor([len(words) for words in lesson.words])
        ctc = nn.functional.ctc_loss(
            output.transpose(0, 1),
            torch.cat(lesson.words).to(device),
            torch.full((len(output),), output.shape[1]),
            lengths,
            reduction="sum",
        ) / max(1, int(lengths.sum()))
        frames = nn.functional.nll_loss(output.flatten(0, 1), lesson.frames.to(device).flatten())
        total = self.recipe.frame_weight * frames + self.recipe.ctc_weight * ctc
        return {"loss": total, "frames": frames, "ctc": ctc}

    @torch.no_grad()
    def validate(self, step: int) -> dict[str, float]:
        """Word errors on clean speech of unseen voices, how often the word is heard that is heard least, errors of
        times (s), sounds heard as words that are none."""
        errors = exact = 0
        spoken: Counter[str] = Counter()
        understood: Counter[str] = Counter()
        offsets: list[float] = []
        for said in self.held_out:
            heard = hear_words(said.sound, RATE, self.recogniser)
            true, found = [w.word for w in said.words], [w.word for w in heard]
            errors += word_errors(true, found)
            spoken.update(true)
            understood.update(Counter(true) & Counter(found))
            if true == found:
                exact += 1
                offsets += [
                    abs(t - h)
                    for a, b in zip(said.words, heard, strict=True)
                    for t, h in ((a.start, b.start), (a.end, b.end))
                ]
        false = sum(bool(hear_words(sound, RATE, self.recogniser)) for sound in self.held_out_others)
        return {
            "word_error_rate": errors / spoken.total(),
            "weakest_word": min(understood[word] / times for word, times in spoken.items()),
            "exact": exact / len(self.held_out),
            "time_error": float(np.mean(offsets)) if offsets else float("nan"),
            "false_alarms": false / len(self.held_out_others),
        }


def frame_classes(words: Sequence[SaidWord], frames: int, classes: dict[str, int]) -> np.ndarray:
    """The class of every frame, int64 [frames]; 0 outside of words and at their edges, which parts a word from its
    repetition."""
    times = np.arange(frames) * FRAME
    named = np.zeros(frames, dtype=np.int64)
    for word in words:
        named[(times >= word.start + EDGE) & (times <= word.end - EDGE)] = classes[word.word]
    return named


def _disturbed(sound: np.ndarray, others: list[np.ndarray], has_words: bool, rng: np.random.Generator) -> np.ndarray:
    """Another level, noise and other sounds beside the speech, a narrower band, an uneven channel. [N]"""
    level = 0.1
    if rng.random() < (0.35 if has_words else 0.8):
        other = others[int(rng.integers(len(others)))][: len(sound)]
        other = np.pad(other, (0, len(sound) - len(other)))
        under = rng.uniform(3, 25) if has_words else rng.uniform(-6, 12)
        sound = sound + other / (np.sqrt(np.mean(other**2)) + 1e-3) * level * 10 ** (-under / 20)
    if rng.random() < 0.7:
        under = rng.uniform(10, 50) if has_words else rng.uniform(0, 50)
        sound = sound + coloured_noise(len(sound), rng) * level * 10 ** (-under / 20)
    if rng.random() < 0.3:
        sound = low_passed(sound, float(rng.uniform(3000, 7500)))
    if rng.random() < 0.5:
        spectrum = np.fft.rfft(sound)
        gains = rng.uniform(-5, 5, 9)
        spectrum *= 10 ** (np.interp(np.linspace(0, 8, len(spectrum)), np.arange(9), gains) / 20)
        sound = np.fft.irfft(spectrum, len(sound))
    return (sound * 10 ** (rng.uniform(-18, 6) / 20)).astype(np.float32)


def _masked(features: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Up to two bands and one short moment erased (Park et al. 2019), and a little jitter as a codec's. [T, bands]"""
    features = features + rng.normal(0, rng.uniform(0, 0.12), features.shape).astype(np.float32)
    mean = features.mean()
    for _ in range(int(rng.integers(0, 3))):
        start = int(rng.integers(features.shape[1]))
        features[:, start : start + int(rng.integers(1, 7))] = mean
    if rng.random() < 0.3:
        start = int(rng.integers(len(features)))
        features[start : start + int(rng.integers(1, 8))] = mean
    return features


def run_recogniser(recipe: RecogniserRecipe, run: Path, begun: Begun = unrecorded) -> dict[str, float]:
    """Train, or go on training, then write the averaged recogniser to `run/export` and to the recipe's output."""
    objective = RecogniserObjective(recipe)
    figures = train(objective, recipe.loop, run, begun)
    save_listener(objective.recogniser, "recogniser", run, recipe.output)
    return figures
