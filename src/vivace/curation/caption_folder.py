"""Captions by a multimodal model in a local folder, run by transformers; nothing is downloaded or sent anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from vivace.conditioning.model_folder import GREEDY, end_tokens, load_model_folder
from vivace.curation.captioner import UnfinishedError, instruction
from vivace.curation.clip import Clip
from vivace.errors import VivaceError
from vivace.media.decode_audio import resample


class FolderCaptioner:
    """A chat model of transformers that sees pictures, and hears sound where its processor takes any.

    On the GPU where there is one. Every worker process holds a model of its own.

    Args:
        folder: with config.json, safetensors, and the processor with its chat template.
        pictures: how many are shown. sound: whether a model that can is given the clip's sound.
        tokens: of an answer at most.

    Raises:
        VivaceError: no such folder, none that transformers loads, a processor without a chat template.
    """

    def __init__(self, folder: str | Path, pictures: int, sound: bool, tokens: int) -> None:
        from transformers import AutoModelForMultimodalLM, AutoProcessor

        self.pictures, self.tokens = pictures, tokens
        self.processor, self.model = load_model_folder(
            folder,
            AutoProcessor,
            AutoModelForMultimodalLM,
            "captioner",
            "a multimodal model of transformers with config.json, safetensors and processor",
            dtype="auto",
        )
        if not getattr(self.processor, "chat_template", None):
            raise VivaceError(f"The captioner {str(folder)!r} has no chat template; name a chat model.")
        self.hears = sound and getattr(self.processor, "feature_extractor", None) is not None
        self.model.to("cuda" if torch.cuda.is_available() else "cpu")

    @torch.inference_mode()
    def __call__(self, clip: Clip) -> str:
        """The model's likeliest answer.

        Raises:
            UnfinishedError: it goes on for too long.
        """
        inputs = self.inputs(clip)
        made = self.model.generate(
            **inputs,
            max_new_tokens=self.tokens,
            **GREEDY,
        )[0, inputs["input_ids"].shape[1] :].tolist()
        if not made or made[-1] not in end_tokens(self.model, self.processor.tokenizer):
            raise UnfinishedError(f"the answer is not finished after {len(made)} tokens")
        return str(self.processor.decode(made, skip_special_tokens=True))

    def inputs(self, clip: Clip) -> Any:
        """What the model reads: instruction, transcript, pictures in order of time, and the sound."""
        from PIL import Image

        material = clip.material()
        assert material.frames is not None
        heard = self.hears and material.audio is not None
        places = np.linspace(0, len(material.frames) - 1, self.pictures).round().astype(int)
        content: list[dict[str, Any]] = [
            {"type": "image", "image": Image.fromarray(material.frames[n])} for n in places
        ]
        if heard:
            assert material.audio is not None
            rate = int(self.processor.feature_extractor.sampling_rate)
            sound = resample(material.audio.mean(axis=0, keepdims=True), material.sample_rate, rate)[0]
            content.append({"type": "audio", "audio": sound})
        content.append({"type": "text", "text": instruction(clip, heard)})
        found = self.processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
        return found.to(self.model.device, self.model.dtype)
