"""The rewriter that is a language model in a local folder, run by transformers; nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from vivace.conditioning.model_folder import GREEDY, end_tokens, load_model_folder
from vivace.conditioning.rewriting import NoRewriteError, Wanted, instruction, messages, plain_answer
from vivace.errors import VivaceError

# Models that think aloud need most of it.
MAX_NEW_TOKENS = 4096
MAX_SECONDS = 600.0
# The published rewriter's; the likeliest token is taken each time, so that a prompt has one caption.
REPETITION_PENALTY = 1.05


class FolderRewriter:
    """A causal language model of transformers; a chat model where its tokenizer has a chat template.

    It stays in host memory, and is on the GPU, where there is one, only while it writes.

    Args:
        folder: with config.json, safetensors and tokenizer.
        max_new_tokens: an answer that is not finished by then is not used.

    Raises:
        VivaceError: no such folder, or none that transformers loads.
    """

    def __init__(self, folder: str | Path, max_new_tokens: int = MAX_NEW_TOKENS) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.folder, self.max_new_tokens = Path(folder), max_new_tokens
        if not self.folder.is_dir():
            raise VivaceError(
                f"Rewriter {str(folder)!r} is neither none, template, a folder nor a URL; name one of them."
            )
        self.tokenizer, self.model = load_model_folder(
            folder,
            AutoTokenizer,
            AutoModelForCausalLM,
            "language model",
            "one of transformers' with config.json, safetensors and tokenizer",
            dtype="auto",
        )

    @property
    def name(self) -> str:
        return str(self.folder)

    @torch.inference_mode()
    def __call__(self, prompt: str, wanted: Wanted) -> str:
        """The model's answer.

        Raises:
            NoRewriteError: none that is finished, or memory ran out.
        """
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            self.model.to(device)
            tokens = self._tokens(prompt, wanted).to(device)
            room = _room(self.model.config) - tokens.shape[1]
            if room < 1:
                raise NoRewriteError("The prompt is too long for the rewriter; the original is used.")
            made = self.model.generate(
                tokens,
                attention_mask=torch.ones_like(tokens),
                max_new_tokens=min(self.max_new_tokens, room),
                max_time=MAX_SECONDS,
                **GREEDY,
                repetition_penalty=REPETITION_PENALTY,
                pad_token_id=self._pad(),
            )[0, tokens.shape[1] :].tolist()
        except torch.OutOfMemoryError:
            raise NoRewriteError("Memory ran out while rewriting; the original is used.") from None
        finally:
            self.model.to("cpu")
        if not made or made[-1] not in end_tokens(self.model, self.tokenizer):
            raise NoRewriteError(f"The answer is not finished after {len(made)} tokens; the original is used.")
        return plain_answer(self.tokenizer.decode(made, skip_special_tokens=True))

    def _tokens(self, prompt: str, wanted: Wanted) -> torch.Tensor:
        """[1, n]"""
        if getattr(self.tokenizer, "chat_template", None):
            # Templates without a switch for thinking ignore it.
            text = self.tokenizer.apply_chat_template(
                messages(prompt, wanted), tokenize=False, add_generation_prompt=True, enable_thinking=False
            )
            found = self.tokenizer(text, add_special_tokens=False, return_tensors="pt")
        else:
            text = f"{instruction(wanted)}\n\nRequest: {prompt}\nCaption:"
            found = self.tokenizer(text, return_tensors="pt")
        ids: torch.Tensor = found["input_ids"]
        return ids

    def _pad(self) -> int | None:
        pad = self.tokenizer.pad_token_id
        return pad if pad is not None else min(end_tokens(self.model, self.tokenizer), default=None)


def _room(config: Any) -> int:
    """Tokens that a model can hold in all; no limit where it names none."""
    return int(getattr(config.get_text_config(), "max_position_embeddings", 0) or 10**9)
