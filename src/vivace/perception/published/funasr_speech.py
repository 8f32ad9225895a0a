"""SenseVoice and Paraformer: what is said in a clip, through the user's own installation of funasr.

Their networks, front ends and vocabularies are that package's; what is ours is what they are asked for, which is what
Verse-Bench (SenseVoice) and Seed-TTS (Paraformer) ask. Nothing is downloaded: folders are named, and the look for newer
versions is switched off.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vivace.errors import VivaceError
from vivace.perception.published.placing import Placed, moving
from vivace.perception.published.resampling import mono_at
from vivace.perception.published.weights import PUBLISHED, MissingWeightsError

RATE = 16000
VAD_FOLDER = "fsmn-vad"  # beside SenseVoice's own files
LONGEST_SPAN_MS = 30000  # that SenseVoice hears at a time
SENSEVOICE_ASKED: Mapping[str, Any] = {
    "cache": {},
    "language": "auto",
    "use_itn": True,
    "batch_size_s": 60,
    "merge_vad": True,
    "merge_length_s": 15,
}
PARAFORMER_ASKED: Mapping[str, Any] = {"batch_size_s": 300}


class FunasrSpeech(Placed):
    """Speech to text.

    Args:
        model: `generate(input=float32 [N] at 16 kHz, **asked)` gives a list of tables with "text", one for each sound.
        asked: what it is asked for. tidy: takes marks of language, mood and events out of its text.
        load: gives the model on a device; None where it stays where it is.
    """

    def __init__(
        self,
        model: Any,
        asked: Mapping[str, Any],
        tidy: Callable[[str], str] = str,
        load: Callable[[str], Any] | None = None,
    ) -> None:
        self.model, self.asked, self.tidy, self._load = model, asked, tidy, load

    def to(self, device: str) -> None:
        """The package places its networks when it reads them, so that they are read anew for another device.

        Raises:
            VivaceError: there is no such device, or no room on it.
        """
        with moving(device) as place:
            if self._load is not None and place != self.device:
                self.model = self._load(device)
                self.device = place

    @classmethod
    def sensevoice(cls, path: Path) -> FunasrSpeech:
        """SenseVoiceSmall in a folder, with the detector of speech spans in the folder `fsmn-vad` inside of it.

        Raises:
            MissingWeightsError: the package is not installed. VivaceError: the folder cannot be read.
        """
        package = _installed("sensevoice")
        spans = path / VAD_FOLDER
        if not spans.is_dir():
            raise VivaceError(f"Folder {str(path)!r} has no folder {VAD_FOLDER!r}; put the detector's files there.")
        settings = {"vad_model": str(spans), "vad_kwargs": {"max_single_segment_time": LONGEST_SPAN_MS}}
        tidy = importlib.import_module("funasr.utils.postprocess_utils").rich_transcription_postprocess
        load = _loader(package, path, settings)
        return cls(load("cpu"), SENSEVOICE_ASKED, tidy, load)

    @classmethod
    def paraformer(cls, path: Path) -> FunasrSpeech:
        """Paraformer for Chinese in a folder.

        Raises:
            MissingWeightsError: the package is not installed. VivaceError: the folder cannot be read.
        """
        load = _loader(_installed("paraformer"), path, {})
        return cls(load("cpu"), PARAFORMER_ASKED, load=load)

    def __call__(self, audio: np.ndarray, sample_rate: int) -> str:
        """The text of a sound [C, N]; "" where no speech is found.

        Raises:
            VivaceError: the installation gives something else than text.
        """
        found = self.model.generate(input=mono_at(audio, sample_rate, RATE), **self.asked)
        if not isinstance(found, list) or not all(isinstance(each, Mapping) and "text" in each for each in found):
            raise VivaceError("The installed funasr gives no text; install a version that knows the model.")
        return " ".join(self.tidy(str(each["text"])).strip() for each in found).strip()


def _installed(key: str) -> Any:
    try:
        return importlib.import_module("funasr")
    except ImportError:
        raise MissingWeightsError(PUBLISHED[key], "are of use only with the package funasr, not installed") from None


def _loader(package: Any, path: Path, settings: Mapping[str, Any]) -> Callable[[str], Any]:
    def load(device: str) -> Any:
        try:
            return package.AutoModel(model=str(path), device=device, disable_update=True, disable_pbar=True, **settings)
        except Exception as error:
            reason = " ".join(str(error).split())[:160]
            problem = f"Folder {str(path)!r} cannot be read ({reason})"
            raise VivaceError(f"{problem}; give the publisher's folder.") from error

    return load
