"""WER, CER and cpCER by the rules of Seed-TTS and of Verse-Bench.

Every rule is a metric of its own: how text is prepared and how errors are averaged changes the figure more than most
models differ. Each utterance's rate is errors / reference length, as jiwer counts it.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from vivace.errors import VivaceError
from vivace.evaluation.words import word_errors

# What zhon calls Chinese punctuation (stops and the rest), by code point.
CHINESE_PUNCTUATION = (
    "！？｡。＂＃＄％＆＇（）＊＋，－／：；＜＝＞＠［＼］＾＿｀｛｜｝～｟｠｢｣､　、〃〈〉《》「」『』【】"
    "〔〕〖〗〘〙〚〛〜〝〞〟〰〾〿–—‘’‛“”„‟…‧﹏﹑﹔·．"
)
_SEED_TTS_REMOVED = str.maketrans("", "", (string.punctuation + CHINESE_PUNCTUATION).replace("'", ""))


def seed_tts_words(text: str, *, chinese: bool = False) -> list[str]:
    """Seed-TTS: all punctuation goes but the apostrophe, double spaces become one, once; English in lower case and in
    words, Chinese in characters. Numbers stay as they are written ("fifty" against "50" is an error)."""
    bare = text.translate(_SEED_TTS_REMOVED).replace("  ", " ")
    return [sign for sign in bare if not sign.isspace()] if chinese else bare.lower().split()


def verse_bench_words(text: str) -> list[str]:
    """Verse-Bench: lower case, no outer blanks; punctuation stays and so is part of the words."""
    return text.lower().strip().split()


def plain_words(text: str) -> list[str]:
    """The corrected twin of Verse-Bench's rule: no punctuation but apostrophes inside words; Chinese in characters."""
    bare = text.translate(_SEED_TTS_REMOVED).lower()
    # Each Chinese or Japanese character is a word of its own, whatever stands around it.
    return re.sub(r"([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff])", r" \1 ", bare).split()


def characters(text: str) -> list[str]:
    """Characters without punctuation and blanks, in lower case, for CER."""
    return [sign for sign in text.translate(_SEED_TTS_REMOVED).lower() if not sign.isspace()]


def error_rate(said: Sequence[str], heard: Sequence[str]) -> float:
    """(insertions + deletions + replacements) / words said; with nothing said, the number of words heard (jiwer)."""
    errors = word_errors(said, heard)
    return errors / len(said) if said else float(errors)


def mean_rate(pairs: Sequence[tuple[Sequence[str], Sequence[str]]]) -> float:
    """The mean of the utterances' rates: the rule of Seed-TTS and of Verse-Bench."""
    return float(np.mean([error_rate(said, heard) for said, heard in pairs]))


def pooled_rate(pairs: Sequence[tuple[Sequence[str], Sequence[str]]]) -> float:
    """All errors over all words: long utterances count more.

    Raises:
        VivaceError: nothing is said in any of them.
    """
    words = sum(len(said) for said, _ in pairs)
    if not words:
        raise VivaceError("No reference holds a word, so there is no pooled rate; give the texts that were to be said.")
    return sum(word_errors(said, heard) for said, heard in pairs) / words


def cp_error_rate(said: Sequence[str], heard: Sequence[str], split: Callable[[str], list[str]] = characters) -> float:
    """cpCER: speakers' texts, each joined over time, are matched so that errors are fewest; errors / all characters.

    Args:
        said, heard: the joined text of each speaker; a side with fewer speakers counts as having silent ones.
        split: text to characters (or to words, for cpWER).

    Raises:
        VivaceError: nobody says anything.
    """
    true, found = [split(text) for text in said], [split(text) for text in heard]
    total = sum(len(text) for text in true)
    if not total:
        raise VivaceError("No speaker's reference holds a character, so there is no cpCER; give what was to be said.")
    size = max(len(true), len(found))
    true += [[]] * (size - len(true))
    found += [[]] * (size - len(found))
    errors = np.array([[word_errors(a, b) for b in found] for a in true])
    rows, columns = linear_sum_assignment(errors)
    return float(errors[rows, columns].sum()) / total
