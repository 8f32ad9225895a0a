"""ImageBind through the user's own installation: its licence keeps both code and weights out of vivace.

What is ours is how clips become its inputs, written from its paper and its public data loader's settings.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from vivace.errors import VivaceError
from vivace.media import Clip
from vivace.perception.published.placing import Placed, inference
from vivace.perception.published.resampling import mono_at
from vivace.perception.published.weights import PUBLISHED, MissingWeightsError, load_strictly, read_tensors

RATE, SECONDS, SOUND_CLIPS = 16000, 2.0, 3
BANDS, FRAMES = 128, 204
SOUND_MEAN, SOUND_DEVIATION = -4.268, 9.138
VIDEO_CLIPS, PICTURES, SIDE, CROPS = 5, 2, 224, 3
PICTURE_MEAN = (0.48145466, 0.4578275, 0.40821073)
PICTURE_DEVIATION = (0.26862954, 0.26130258, 0.27577711)


class ImageBind(Placed):
    """Pictures and sound to vectors in one space.

    Args:
        model: takes {"vision": [B, clips, 3, 2, 224, 224]} or [B, 3, 224, 224], {"audio": [B, clips, 1, 128, 204]} or
            {"text": [B, L]}, and gives vectors [B, D] under the same name.
        tokens: texts to [B, L].
    """

    def __init__(self, model: Any, tokens: Callable[[list[str]], torch.Tensor]) -> None:
        self.model, self.tokens = model, tokens

    @classmethod
    def from_installation(cls, path: Path) -> ImageBind:
        """ImageBind-huge of the package `imagebind` that the user has installed, with the user's weights.

        Raises:
            MissingWeightsError: the package is not installed. VivaceError: the file is of another network.
        """
        try:
            package = importlib.import_module("imagebind.models.imagebind_model")
            data = importlib.import_module("imagebind.data")
        except ImportError:
            raise MissingWeightsError(
                PUBLISHED["imagebind"], "are of use only with the package imagebind, not installed"
            ) from None
        model = package.imagebind_huge(pretrained=False)
        load_strictly(model, read_tensors(path), str, path)
        return cls(model.eval().requires_grad_(False), lambda texts: data.load_and_transform_text(texts, "cpu"))

    @inference()
    def of_text(self, text: str) -> np.ndarray:
        """Vector [D] of a text."""
        return self._vectors("text", self.tokens([text]))[0]

    @inference()
    def of_sound(self, audio: np.ndarray, sample_rate: int) -> np.ndarray:
        """Vector [D] of a sound [C, N]: the mean over three clips of two seconds."""
        return self._vectors("audio", sound_input(audio, sample_rate)[None])[0]

    @inference()
    def of_video(self, clip: Clip) -> np.ndarray:
        """Vector [D] of a clip's pictures: the mean over five clips of two pictures and three crops of each."""
        assert clip.frames is not None
        return self._vectors("vision", video_input(clip.frames, float(clip.fps))[None])[0]

    @inference()
    def of_pictures(self, frames: np.ndarray, batch: int = 32) -> np.ndarray:
        """Vectors [T, D] of single pictures uint8 [T, H, W, 3], each shorter side to 224 and cut to the middle."""
        parts = [frames[n : n + batch] for n in range(0, len(frames), batch)]
        return np.concatenate([self._vectors("vision", _crops(_scaled(part, "bicubic"))[1]) for part in parts])

    def _vectors(self, name: str, inputs: torch.Tensor) -> np.ndarray:
        output = self.model({name: inputs.to(self.device)})
        if not isinstance(output, dict) or name not in output:
            raise VivaceError(f"The installed imagebind gives no {name!r} vectors; install the published package.")
        return np.asarray(output[name].float().cpu().numpy())


def sound_input(audio: np.ndarray, sample_rate: int) -> torch.Tensor:
    """Log-mel patches of three clips of two seconds spread over the sound, [3, 1, 128, 204]."""
    sound = mono_at(audio, sample_rate, RATE)
    length = round(SECONDS * RATE)
    starts = np.linspace(0, max(0, len(sound) - length), SOUND_CLIPS).round().astype(int)
    patches = [(_fbank(sound[start : start + length]) - SOUND_MEAN) / SOUND_DEVIATION for start in starts]
    return torch.from_numpy(np.stack(patches)[:, None]).float()


def _fbank(sound: np.ndarray) -> np.ndarray:
    """Kaldi's log-mel filter bank with a Hann window, cut or filled with zeros to 204 frames, [128, 204]."""
    from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

    filters = mel_filter_bank(257, BANDS, 20.0, RATE / 2.0, RATE, mel_scale="kaldi", triangularize_in_mel_space=True)
    wave = np.pad(sound - sound.mean(), (0, max(0, 400 - len(sound))))
    bank = spectrogram(
        wave, window_function(400, "hann", periodic=False), 400, 160, fft_length=512, power=2.0, center=False,
        preemphasis=0.97, mel_filters=filters, log_mel="log", mel_floor=1.192092955078125e-07, remove_dc_offset=True,
    )  # fmt: skip
    kept = bank[:, :FRAMES]
    return np.asarray(np.pad(kept, ((0, 0), (0, FRAMES - kept.shape[1]))), dtype=np.float32)


def video_input(frames: np.ndarray, fps: float) -> torch.Tensor:
    """Five clips of two seconds spread over the video, three crops of the first and the last picture of each,
    [15, 3, 2, 224, 224]."""
    crops = []
    for start in np.linspace(0.0, max(0.0, len(frames) / fps - SECONDS), VIDEO_CLIPS):
        # The pictures whose times lie in the clip; 1e-6: whole pictures of which rounding would leave one out.
        first = min(int(np.ceil(start * fps - 1e-6)), len(frames) - 1)
        past = max(first + 1, min(int(np.ceil((start + SECONDS) * fps - 1e-6)), len(frames)))
        shown = _scaled(frames[np.linspace(first, past - 1, PICTURES).astype(int)], "bilinear")
        crops += [crop.transpose(0, 1) for crop in _crops(shown)]
    return torch.stack(crops)


def _scaled(frames: np.ndarray, mode: str) -> torch.Tensor:
    """Pictures normalised, shorter side 224, [T, 3, H', W']: still ones "bicubic", a video's "bilinear"."""
    pictures = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float() / 255.0
    scale = SIDE / min(pictures.shape[2:])
    size = [max(SIDE, round(side * scale)) for side in pictures.shape[2:]]
    still = mode == "bicubic"  # published: an image library's filter for stills, plain interpolation for videos
    pictures = F.interpolate(pictures, size, mode=mode, align_corners=False, antialias=still).clamp(0.0, 1.0)
    mean, deviation = (torch.tensor(values)[:, None, None] for values in (PICTURE_MEAN, PICTURE_DEVIATION))
    return (pictures - mean) / deviation


def _crops(pictures: torch.Tensor) -> list[torch.Tensor]:
    """Three square crops along the longer side, [T, 3, 224, 224] each: the first end, the middle, the other end."""
    tall, broad = pictures.shape[2:]
    cut = []
    for part in np.linspace(0.0, 1.0, CROPS):
        top, left = round(part * (tall - SIDE)), round(part * (broad - SIDE))
        cut.append(pictures[:, :, top : top + SIDE, left : left + SIDE])
    return cut
