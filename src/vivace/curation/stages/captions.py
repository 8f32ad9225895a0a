"""Captions: asked for, read, checked, put right or rejected."""

from __future__ import annotations

import math
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from pydantic import Field, model_validator

from vivace.curation.caption import CaptionError, from_nava, parse, repaired
from vivace.curation.captioner import Captioner, Endpoint, Given, NoListError, UnfinishedError
from vivace.curation.clip import Clip, Rejected
from vivace.curation.stage import StageSettings

# How much longer than for an answer a worker may be silent, at the least.
ROOM = 1.25


class CaptionSettings(StageSettings):
    """Where captions come from."""

    OPERATIONAL: ClassVar = frozenset({"key", "timeout", "attempts"})
    FOLDERS: ClassVar = frozenset({"backend"})

    backend: str = Field(
        default="given",
        description="'given' with the footage, the URL of an OpenAI-compatible endpoint, or the folder of a multimodal "
        "model of transformers",
    )
    model: str = Field(default="", description="as the endpoint calls it")
    key: str = Field(default="", description="environment variable that holds the endpoint's key")
    pictures: int = Field(default=6, ge=1, le=64)
    sound: bool = Field(default=True, description="send the sound too")
    timeout: float = Field(default=60.0, gt=0, description="seconds for each answer of an endpoint")
    attempts: int = Field(default=3, ge=1, description="to reach an endpoint")
    tokens: int = Field(default=768, gt=0, description="of a local model's answer at most")

    @property
    def remote(self) -> bool:
        return self.backend.startswith(("http://", "https://"))

    def check_patience(self, limit: float) -> None:
        """Whether a worker may wait for an answer without counting as hanging. limit: seconds without a sign of life.

        Raises:
            ValueError: it would be killed before the answer is given up.
        """
        least = math.ceil(self.timeout * ROOM)
        if self.remote and limit < least:
            raise ValueError(
                f"captions.timeout, {self.timeout:g} s, leaves no room in executor.limits.seconds, {limit:g} s, after "
                f"which a worker that waits is killed; raise the limit to {least} s, or lower the timeout"
            )

    @model_validator(mode="after")
    def _backend_is_known(self) -> CaptionSettings:
        if self.remote and not self.model:
            raise ValueError("an endpoint needs the name of its model; add captions.model")
        if self.backend != "given" and not self.remote and not Path(self.backend).is_dir():
            raise ValueError(f"backend {self.backend!r} is neither 'given', a URL nor a folder; name one of them")
        return self


class Captions:
    """The structured caption; what a backend answers is never used unread."""

    name: ClassVar[str] = "captions"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("speech",)

    def __init__(self, settings: CaptionSettings) -> None:
        self.settings = settings

    @cached_property
    def _captioner(self) -> Captioner:
        s = self.settings
        if s.backend == "given":
            return Given()
        if not s.remote:
            from vivace.curation.caption_folder import FolderCaptioner

            return FolderCaptioner(s.backend, s.pictures, s.sound, s.tokens)
        return Endpoint(s.backend, s.model, s.key, s.pictures, s.sound, s.timeout, s.attempts)

    def check(self) -> None:
        """Tell before anything is measured what would fail on every clip.

        Raises:
            VivaceError: no such URL, or a key that is not set.
        """
        if self.settings.remote:
            _ = self._captioner

    def measure(self, clip: Clip) -> Clip | Rejected:
        try:
            answer = self._captioner(clip)
            if answer is not None:
                answer.encode()
        except (UnfinishedError, NoListError) as error:
            return Rejected("bad_caption", str(error))
        except UnicodeEncodeError:
            return Rejected("bad_caption", "it holds halves of characters, which are no text")
        if answer is None:
            return Rejected("no_caption")
        state = "whole"
        # Only what came with the footage may be of NAVA's form: what a model says freely, such as that it cannot help,
        # would be a narration there.
        nava = self.settings.backend == "given" and ("<S>" in answer or "Narration:" not in answer)
        try:
            caption = from_nava(answer) if nava else parse(answer)
        except CaptionError as first:
            try:
                caption, state = repaired(answer), "repaired"
            except CaptionError:
                return Rejected("bad_caption", f"{first}: {answer[:200]!r}")
        return clip.with_columns(self.name, text=caption.to_text(), state=state)
