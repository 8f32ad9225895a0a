"""Prompts: what they may contain, and what is spoken in them.

A prompt is plain text. What is spoken stands between `<S>` and `<E>`. Behind every `<S>` the model reads a marker, one
token at whose place a speaker's voice is written (NAVA's grammar). Users need not type it there, and may not elsewhere.
Nothing heavy is imported here, so that a wrong prompt is refused at once.
"""

from __future__ import annotations

import re
import unicodedata

from vivace.errors import VivaceError

SPEECH_START, SPEECH_END = "<S>", "<E>"
MARKER = "<extra_id_2>"
# Beyond this no tokenizer need be asked: the longest context of a published model is 512 tokens.
MAX_CHARACTERS = 20_000
_TAG = re.compile(r"<S>|<E>")
_SPECIAL = re.compile(r"<extra_id_\d+>|</?s>|<pad>|<unk>")


def check_prompt(prompt: str, what: str = "The prompt") -> str:
    """The prompt with its white space made single blanks, and without markers behind `<S>`, which come by themselves.

    Raises:
        VivaceError: empty, control characters, broken Unicode, tokens reserved for the model, or speech marks that are
            unbalanced, nested or without a letter or digit between them.
    """
    if not isinstance(prompt, str):
        raise VivaceError(f"{what} is {type(prompt).__name__}, not text; give a sentence.")
    if len(prompt) > MAX_CHARACTERS:
        raise VivaceError(f"{what} has {len(prompt)} characters; shorten it to a few sentences.")
    for position, character in enumerate(prompt):
        category = unicodedata.category(character)
        if category == "Cs" or (category == "Cc" and not character.isspace()):
            raise VivaceError(f"{what} has the unprintable character {character!r} at position {position}; remove it.")
    cleaned = " ".join(prompt.replace(SPEECH_START + MARKER, SPEECH_START).split())
    if not cleaned or not any(unicodedata.category(c)[0] not in "ZC" for c in cleaned):
        raise VivaceError(f"{what} is empty; describe what is to be seen and heard.")
    special = _SPECIAL.search(cleaned)
    if special:
        raise VivaceError(f"{what} contains {special.group()}, which is reserved for the model; remove it.")
    speech_spans(cleaned, what)
    return cleaned


def speech_spans(prompt: str, what: str = "The prompt") -> list[str]:
    """What is spoken, in order.

    Raises:
        VivaceError: speech marks that are unbalanced, nested or without a letter or digit between them.
    """
    spans: list[str] = []
    start: int | None = None
    for tag in _TAG.finditer(prompt):
        if tag.group() == SPEECH_START:
            if start is not None:
                raise VivaceError(f"{what} opens {SPEECH_START} inside of another; close the first with {SPEECH_END}.")
            start = tag.end()
        elif start is None:
            raise VivaceError(
                f"{what} has {SPEECH_END} without {SPEECH_START} before it; remove it or open the speech."
            )
        else:
            spans.append(prompt[start : tag.start()].strip())
            if not any(unicodedata.category(character)[0] in "LN" for character in spans[-1]):
                lack = "no letter or digit" if spans[-1] else "nothing"
                raise VivaceError(f"{what} has {lack} between {SPEECH_START} and {SPEECH_END}; write what is spoken.")
            start = None
    if start is not None:
        raise VivaceError(f"{what} opens {SPEECH_START} and never closes it; add {SPEECH_END} behind what is spoken.")
    return spans


def with_markers(prompt: str) -> str:
    """The text that the model reads: a marker behind every `<S>`."""
    return prompt.replace(SPEECH_START, SPEECH_START + MARKER)
