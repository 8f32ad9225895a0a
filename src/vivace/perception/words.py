"""Which words are spoken and when: a recogniser of a closed vocabulary, trained on the world's true speech alone.

A network of convolutions names for every 20 ms the word that is being spoken, or none. It sees two thirds of a second
to either side, which is a word but hardly a phrase, so that it cannot guess words from their neighbours. Blind of the
prompt; its vocabulary and weights are in `weights/words`, made by the training unit "recogniser".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from vivace.errors import VivaceError
from vivace.perception.spectra import SAMPLE_RATE, at_detector_rate, mel_power

HOP = 160  # 10 ms
STRIDE = 2
FRAME = HOP * STRIDE / SAMPLE_RATE  # seconds from one decision to the next
_FLOOR = 1e-7
EDGE = 0.03  # seconds at a word's beginning and end that the recogniser was trained to leave out
LEAST_FRAMES = 3
LEAST_CONFIDENCE = 0.5


@dataclass(frozen=True)
class HeardWord:
    """One word, with seconds from the sound's beginning and the mean probability of its frames.

    `hear_words` leaves out the word's own edges (`EDGE`), `align_words` gives them back.
    """

    word: str
    start: float
    end: float
    confidence: float


class WordRecogniser(ModelMixin, ConfigMixin):
    """Log-mel to the probabilities of words, frame by frame.

    Args:
        words: the vocabulary, which class 1 and up stand for; class 0 is "no word".
        bands: of the spectrogram.
        width: channels; kernel: of each dilated convolution; dilations: one residual block for each.
    """

    @register_to_config
    def __init__(
        self,
        words: Sequence[str],
        bands: int = 48,
        width: int = 112,
        kernel: int = 5,
        dilations: Sequence[int] = (1, 2, 4, 1, 2, 4, 1, 2),
    ) -> None:
        super().__init__()
        self.enter = nn.Conv1d(bands, width, 5, stride=STRIDE, padding=2)
        self.blocks = nn.ModuleList([DilatedBlock(width, kernel, dilation) for dilation in dilations])
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, len(words) + 1)

    def forward(self, features: Tensor) -> Tensor:
        """features [B, T, bands] of `word_features` -> log-probabilities [B, ceil(T / 2), words + 1]"""
        x = self.enter(features.transpose(1, 2))
        for block in self.blocks:
            x = block(x)
        return self.leave(self.norm(x.transpose(1, 2))).log_softmax(-1)


class DilatedBlock(nn.Module):
    """A dilated convolution and a pointwise one around a residual connection. [B, W, T]"""

    def __init__(self, width: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.wide = nn.Conv1d(width, width, kernel, padding=dilation * (kernel // 2), dilation=dilation)
        self.point = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x.transpose(1, 2)).transpose(1, 2)
        return x + self.point(nn.functional.gelu(self.wide(nn.functional.gelu(y))))


def word_features(sound: np.ndarray, bands: int = 48) -> np.ndarray:
    """ln-mel of unit scale, float32 [T, bands], frame k centred on sample k * 160. sound: mono [N] at 16 kHz."""
    power = mel_power(sound[None], hop=HOP, window=400, bands=bands)[0]
    return ((np.log(power + _FLOOR) + 10.0) / 4.0).astype(np.float32)


def decode(log_probabilities: np.ndarray, words: Sequence[str]) -> list[HeardWord]:
    """Runs of frames of one word that are long and sure enough. [T, words + 1]

    The best path of a connectionist temporal classification, with each word's stretch kept.
    """
    if not len(log_probabilities):
        return []
    best = log_probabilities.argmax(axis=1)
    probability = np.exp(log_probabilities.max(axis=1))
    edges = np.flatnonzero(np.diff(best)) + 1
    heard: list[HeardWord] = []
    for begin, end in zip(np.append(0, edges), np.append(edges, len(best)), strict=True):
        confidence = float(probability[begin:end].mean()) if end > begin else 0.0
        if not best[begin] or end - begin < LEAST_FRAMES or confidence < LEAST_CONFIDENCE:
            continue
        heard.append(HeardWord(words[best[begin] - 1], *_times(begin, end), confidence))
    return heard


def align(log_probabilities: np.ndarray, classes: Sequence[int]) -> list[tuple[int, int, float]]:
    """The likeliest stretches of frames in which known classes are spoken one after the other (Viterbi).

    Every class holds at least `LEAST_FRAMES` frames; before, between and after them may be frames of no word.

    Args:
        log_probabilities: [T, words + 1], class 0 being "no word". classes: in their order, repetitions allowed.

    Returns:
        for each class its first frame, the frame after its last, and the mean probability of its frames; nothing
        where there are too few frames for all.
    """
    if not classes or not len(log_probabilities):
        return []
    # States: silence, then for each word its frames 1 to LEAST_FRAMES (the last may repeat) and the silence after it.
    of_word = LEAST_FRAMES + 1
    columns = [0] + [c for word in classes for c in (*[word] * LEAST_FRAMES, 0)]
    places = np.arange(len(columns))
    stays = (places % of_word == 0) | (places % of_word == LEAST_FRAMES)
    skips = (places % of_word == 1) & (places > of_word)  # a word that follows the one before it without silence
    best = np.where(places < 2, log_probabilities[0, columns], -np.inf)
    came = np.zeros((len(log_probabilities), len(columns)), dtype=np.int32)
    for t in range(1, len(log_probabilities)):
        one, two = (np.concatenate([np.full(back, -np.inf), best[:-back]]) for back in (1, 2))
        options = np.stack([np.where(stays, best, -np.inf), one, np.where(skips, two, -np.inf)])
        step = options.argmax(axis=0)
        came[t] = places - step
        best = options[step, places] + log_probabilities[t, columns]
    state = len(columns) - 1 - int(best[-2] > best[-1])
    if not np.isfinite(best[state]):
        return []
    path = np.zeros(len(log_probabilities), dtype=np.int32)
    for t in reversed(range(len(path))):
        path[t] = state
        state = int(came[t, state])
    found = []
    for n, word in enumerate(classes):
        held = np.flatnonzero((path > n * of_word) & (path <= n * of_word + LEAST_FRAMES))
        found.append((int(held[0]), int(held[-1]) + 1, float(np.exp(log_probabilities[held, word]).mean())))
    return found


@lru_cache(maxsize=1)
def shipped_recogniser() -> WordRecogniser:
    """The recogniser in the package, in float32."""
    folder = Path(str(files("vivace.perception"))) / "weights" / "words"
    model: WordRecogniser = WordRecogniser.from_pretrained(folder, torch_dtype=torch.float32)
    return model.eval().requires_grad_(False)


def hear_words(audio: np.ndarray, sample_rate: int, recogniser: WordRecogniser | None = None) -> list[HeardWord]:
    """The words of a sound in order of time; none in noise, effects and silence.

    Args:
        audio: float [C, N] or [N], any rate.
        recogniser: another than the shipped one.
    """
    model = shipped_recogniser() if recogniser is None else recogniser
    return decode(_log_probabilities(model, audio, sample_rate), model.config.words)


def align_words(
    audio: np.ndarray, sample_rate: int, words: Sequence[str], recogniser: WordRecogniser | None = None
) -> list[HeardWord]:
    """When words that are known to be said are said: forced alignment.

    Args:
        audio: float [C, N] or [N], any rate.
        words: in their order.
        recogniser: another than the shipped one.

    Returns:
        one for each word; where it is not said after all, its confidence is low.

    Raises:
        VivaceError: a word is not in the recogniser's vocabulary, or the sound is too short for all.
    """
    model = shipped_recogniser() if recogniser is None else recogniser
    vocabulary = list(model.config.words)
    for word in words:
        if word not in vocabulary:
            raise VivaceError(
                f"Word {word!r} is not one that the recogniser knows; use some of {', '.join(vocabulary)}."
            )
    found = align(_log_probabilities(model, audio, sample_rate), [vocabulary.index(word) + 1 for word in words])
    if len(found) < len(words):
        seconds = np.shape(audio)[-1] / sample_rate
        raise VivaceError(f"A sound of {seconds:.2f} s is too short for {len(words)} words; give all of it.")
    times = np.array([_times(begin, end) for begin, end, _ in found]).reshape(-1, 2)
    # Where two words are nearer than their edges are long, these meet in the middle.
    between = (times[:-1, 1] + times[1:, 0]) / 2
    starts = np.maximum(times[:, 0] - EDGE, np.append(0.0, between)[: len(times)])
    ends = np.minimum(times[:, 1] + EDGE, np.append(between, np.shape(audio)[-1] / sample_rate)[: len(times)])
    return [
        HeardWord(word, float(start), float(end), sure)
        for word, start, end, (_, _, sure) in zip(words, starts, ends, found, strict=True)
    ]


def _log_probabilities(model: WordRecogniser, audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """[frames, words + 1]"""
    sound = at_detector_rate(audio, sample_rate).mean(axis=0)
    features = torch.from_numpy(word_features(sound, model.config.bands))
    with torch.inference_mode():
        output: np.ndarray = model(features[None])[0].numpy()
    return output


def _times(begin: int, end: int) -> tuple[float, float]:
    """Seconds of frames [begin, end): a frame stands for the time half a step to either side of its centre."""
    return max(0.0, (begin - 0.5) * FRAME), (end - 0.5) * FRAME
