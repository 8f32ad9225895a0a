"""CAVP on whole clips: vectors of pictures and sound, four a second, as JavisBench compares them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from vivace.media import Clip
from vivace.models.cavp import FPS, RATE, SIDE, Cavp, spectrogram
from vivace.models.wavlm import frozen
from vivace.perception.published.pictures import squares
from vivace.perception.published.placing import Placed, inference
from vivace.perception.published.resampling import mono_at, picture_indices
from vivace.perception.published.weights import load_strictly, read_tensors

AT_ONCE = 40  # pictures that see each other


class CavpVectors(Placed):
    """The network with its public weights.

    Args:
        path: the publisher's file. model: a network of other sizes; None for the published one.

    Raises:
        VivaceError: a file that cannot be read or of another network.
    """

    def __init__(self, path: Path, model: Cavp | None = None) -> None:
        network = model or Cavp()
        load_strictly(network, read_tensors(path), str, path)
        self.model: Any = frozen(network)

    @inference()
    def __call__(self, clip: Clip) -> tuple[np.ndarray, np.ndarray] | None:
        """What is seen and heard in each quarter of the whole seconds of a clip, [4 s, D] each; None below a second.

        Sound that is missing at the end is silence.
        """
        assert clip.frames is not None
        assert clip.audio is not None
        # 1e-6: a clip of whole seconds of which rounding would leave one out.
        seconds = int(len(clip.frames) / float(clip.fps) + 1e-6)
        if not seconds:
            return None
        indices = picture_indices(len(clip.frames), float(clip.fps), FPS)[: seconds * FPS]
        seen = []
        for first in range(0, len(indices), AT_ONCE):
            shown = clip.frames[indices[first : first + AT_ONCE]]
            pictures = squares(
                shown, SIDE, (0.0,) * 3, (1.0,) * 3, keep_shape=False, resampling=Image.Resampling.BILINEAR
            )
            seen.append(self.model.see(pictures.transpose(0, 1)[None].to(self.device))[0])
        sound = torch.from_numpy(mono_at(clip.audio, clip.sample_rate, RATE))[: seconds * RATE - 1]
        sound = F.pad(sound, (0, seconds * RATE - 1 - len(sound)))
        heard = self.model.hear(spectrogram(sound[None]).to(self.device))[0]
        return torch.cat(seen).cpu().numpy(), heard.cpu().numpy()
