"""Which voices and which pairs of words belong to training, validation and test.

*Voices.* The plane of pitch and formant factor is a lattice of cells 2 semitones wide and 0.04 high. With its columns
and rows numbered, cells of (column + 2 row) mod 8 = 1 belong to `val` and = 5 to `test`, and a rim of a seventh of the
cell's sides to nobody; all others belong to `train`. A held-out voice is thus unlike every voice of training.

*Words.* With the words numbered in the order of the vocabulary, the ordered pair (i, j) belongs to `val` where
(i + 5 j) mod 12 = 1, to `test` where it is 7, and to `train` elsewhere. Training has every word in every place.
"""

from __future__ import annotations

import math
from itertools import pairwise

from vivace.world.cast import Talk
from vivace.world.phones import WORDS
from vivace.world.voices import LOWEST_PITCH, SHORTEST_TRACT, Voice

_NUMBER = {word: i for i, word in enumerate(WORDS)}
_SEMITONES, _TRACT = 2.0, 0.04
_RIM = 1 / 7


def voice_split(voice: Voice) -> str | None:
    """The split that owns this voice, or None for the rim around held-out cells."""
    across = 12 * math.log2(voice.pitch / LOWEST_PITCH) / _SEMITONES
    up = (voice.tract - SHORTEST_TRACT) / _TRACT
    owner = {1: "val", 5: "test"}.get((math.floor(across) + 2 * math.floor(up)) % 8, "train")
    if owner == "train":
        return owner
    inside = all(_RIM <= place - math.floor(place) <= 1 - _RIM for place in (across, up))
    return owner if inside else None


def pair_split(first: str, second: str) -> str:
    """The split that owns this ordered pair of words."""
    return {1: "val", 7: "test"}.get((_NUMBER[first] + 5 * _NUMBER[second]) % 12, "train")


def has_unseen_voice(talk: Talk) -> bool:
    """Whether somebody who speaks has a voice that is kept out of training."""
    return any(voice_split(talk.characters[line.speaker].voice) != "train" for line in talk.lines)


def has_unseen_pair(talk: Talk) -> bool:
    """Whether two words follow one another in a line as they never do in training."""
    return any(pair_split(*pair) != "train" for line in talk.lines for pair in pairwise(line.words))
