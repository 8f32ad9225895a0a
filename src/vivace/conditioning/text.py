"""Prompts as the transformer reads them: tokens and features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vivace.conditioning.prompts import MARKER, MAX_CHARACTERS, with_markers
from vivace.errors import VivaceError


@dataclass(frozen=True)
class TextFeatures:
    """Text as the transformer reads it.

    features: per prompt [n_i, text_dim], padding cut off; n_i = 0 is the null text.
    marker_positions: per prompt the token index of each speaker marker, in order of the speech spans.
    """

    features: list[Tensor]
    marker_positions: list[list[int]]


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
