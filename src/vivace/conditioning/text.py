"""Prompts: what they may contain, speech spans, tokens, features.

A prompt is plain text. What is spoken stands between `<S>` and `<E>`. Behind every `<S>` the model reads a marker, one
token at whose place a speaker's voice is written (NAVA's grammar). Users need not type it there, and may not elsewhere.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vivace.errors import VivaceError

SPEECH_START, SPEECH_END = "<S>", "<E>"
MARKER = "<extra_id_2>"
# Beyond this no tokenizer need be asked: the longest context of a published model is 512 tokens.
MAX_CHARACTERS = 20_000
_TAG = re.compile(r"<S>|<E>")
_SPECIAL = re.compile(r"<extra_id_\d+>|</?s>|<pad>|<unk>")


@dataclass(frozen=True)
class TextFeatures:
    """Text as the transformer reads it.

    features: per prompt [n_i, text_dim], padding cut off; n_i = 0 is the null text.
    marker_positions: per prompt the token index of each speaker marker, in order of the speech spans.
    """

    features: list[Tensor]
    marker_positions: list[list[int]]


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


def tokenize(tokenizer: Any, prompt: str, limit: int, what: str = "The prompt") -> list[int]:
    """Token ids of a checked prompt with its markers, end token included.

    Raises:
        VivaceError: more tokens than `limit`.
    """
    ids: list[int] = tokenizer(with_markers(prompt), add_special_tokens=True, truncation=False)["input_ids"]
    if len(ids) > limit:
        raise VivaceError(
            f"{what} is {len(ids)} tokens long and this model reads {limit} ({_unit(tokenizer)}); shorten it."
        )
    return ids


def _unit(tokenizer: Any) -> str:
    byte_level = type(tokenizer).__name__.startswith("ByT5")
    return "a token is one byte of UTF-8" if byte_level else "a token is a part of a word"


def encode_prompts(
    text_encoder: Any,
    tokenizer: Any,
    prompts: Sequence[str | None],
    text_len: int | None = None,
    what: str = "The prompt",
) -> TextFeatures:
    """Features of checked prompts, encoded together; None is the null text, which has no tokens at all.

    NAVA's transformer shows itself zeros at every place without a token, so no tokens are the same as the "zeros of
    the same length" of its training. Gradients flow into the encoder where they are enabled.

    Args:
        text_encoder: a UMT5-type encoder of transformers.
        tokenizer: its tokenizer; the speaker marker must be one token of it.
        text_len: most tokens a prompt may have (None: whatever the encoder takes).
        what: how an error calls them.

    Raises:
        VivaceError: a prompt longer than text_len.
    """
    limit = text_len if text_len is not None else MAX_CHARACTERS
    tokens = [[] if prompt is None else tokenize(tokenizer, prompt, limit, what) for prompt in prompts]
    width, device = text_encoder.config.d_model, text_encoder.device
    longest = max(map(len, tokens), default=0)
    if longest == 0:
        empty = [torch.zeros(0, width, device=device, dtype=text_encoder.dtype) for _ in tokens]
        return TextFeatures(empty, [[] for _ in tokens])
    ids = torch.full((len(tokens), longest), tokenizer.pad_token_id, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, sequence in enumerate(tokens):
        ids[row, : len(sequence)] = torch.tensor(sequence, dtype=torch.long)
        # A row without any token would make the encoder's softmax undefined; its output is cut to nothing below.
        mask[row, : max(1, len(sequence))] = 1
    states = text_encoder(input_ids=ids.to(device), attention_mask=mask.to(device)).last_hidden_state
    marker = tokenizer.convert_tokens_to_ids(MARKER)
    positions = [[i for i, token in enumerate(sequence) if token == marker] for sequence in tokens]
    return TextFeatures([states[row, : len(sequence)] for row, sequence in enumerate(tokens)], positions)
