"""SyncNet on face tracks: vectors of lips and sound, as the published pipeline makes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from scipy.signal import medfilt

from vivace.media import Clip
from vivace.models.mfcc import RATE, mfcc
from vivace.models.syncnet import PICTURES, SIDE, SOUND_FRAMES, SyncNet, public_name
from vivace.models.wavlm import frozen
from vivace.perception.published.placing import Placed, inference
from vivace.perception.published.resampling import mono_at, picture_indices
from vivace.perception.published.weights import load_strictly, manifest, read_tensors

FPS = 25.0
CEPSTRA_PER_PICTURE = 4
CROP = 0.4  # of the face's half size, that is added around it
_SURROUND = 110.0  # grey beyond the picture's edge
_SMOOTH = 13  # pictures of the median filter over a track
Ends = Literal["zeros", "repeated"]


@dataclass(frozen=True)
class FaceTrack:
    """One face over successive pictures.

    Args:
        first: index of its first picture. boxes: (left, top, right, bottom) in pixels for each picture, [T, 4].
    """

    first: int
    boxes: np.ndarray

    def pictures(self, fps: float) -> int:
        """Its length in pictures of 1/25 s, of a clip with `fps`."""
        return len(picture_indices(len(self.boxes), fps, FPS))

    @property
    def size(self) -> float:
        """The greater of its mean width and height, pixels."""
        return float(max((self.boxes[:, 2:] - self.boxes[:, :2]).mean(axis=0)))


class LipVectors(Placed):
    """The network with its public weights.

    Args:
        path: the publisher's file.

    Raises:
        VivaceError: a file that cannot be read or of another network.
    """

    def __init__(self, path: Path) -> None:
        tensors, due = read_tensors(path), manifest("syncnet")
        names = {public_name(name): name for name in SyncNet().state_dict()}
        unknown = {name: f"{name} (unknown)" for name in tensors.keys() - due.keys()}
        model = SyncNet()
        load_strictly(model, tensors, lambda name: unknown.get(name) or names[name], path)
        self.model: Any = frozen(model)

    @inference()
    def __call__(
        self, clip: Clip, track: FaceTrack, batch: int = 20, ends: Ends = "zeros"
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Vectors of lips and of sound for each window of five pictures (at 25 per second), both [windows, 1024].

        None where the track is shorter than one window, or so short that only zeros would be left of its boxes. `ends`
        is as of `face_crops`.
        """
        assert clip.frames is not None
        assert clip.audio is not None
        start, end = (n / float(clip.fps) for n in (track.first, track.first + len(track.boxes)))
        sound = mono_at(clip.audio, clip.sample_rate, RATE)[round(start * RATE) : round(end * RATE)]
        windows = window_count(track.pictures(float(clip.fps)), len(sound))
        if windows < 1 or (ends == "zeros" and len(track.boxes) <= _SMOOTH // 2):
            return None
        crops = face_crops(clip.frames, float(clip.fps), track, ends)
        # The published code reads 16-bit samples.
        cepstra = torch.from_numpy(mfcc(np.round(sound * 32767.0))).float().T
        lips, heard = [], []
        for first in range(0, windows, batch):
            places = range(first, min(first + batch, windows))
            pictures = torch.stack([_pictures(crops[n : n + PICTURES]) for n in places])
            parts = [cepstra[:, CEPSTRA_PER_PICTURE * n :][:, :SOUND_FRAMES] for n in places]
            lips.append(self.model.see(pictures.to(self.device)))
            heard.append(self.model.hear(torch.stack(parts)[:, None].to(self.device)))
        return torch.cat(lips).cpu().numpy(), torch.cat(heard).cpu().numpy()


def window_count(pictures: int, samples: int) -> int:
    """Windows of a track: one for each picture for which both sides exist, less five, as published."""
    return min(pictures, samples * round(FPS) // RATE) - PICTURES


def face_crops(frames: np.ndarray, fps: float, track: FaceTrack, ends: Ends = "zeros") -> np.ndarray:
    """The track at 25 pictures per second as crops with the chin in view, uint8 [T', 224, 224, 3].

    The square reaches 1.4 half sizes of the face to either side, one above its middle and 1.8 below; the places and
    sizes are smoothed by the median of 13 pictures.

    Args:
        ends: what the median reads beyond the track's ends. "zeros" is as published: the places and sizes of the first
            and last six pictures become smaller, down to the least of the seven values that are there. "repeated" is
            ours: the first and the last value go on.
    """
    boxes = np.asarray(track.boxes, dtype=float)
    half = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]) / 2.0
    across, down = (boxes[:, 0] + boxes[:, 2]) / 2.0, (boxes[:, 1] + boxes[:, 3]) / 2.0
    half, across, down = (_smoothed(values, ends) for values in (half, across, down))
    crops = []
    for n in picture_indices(len(boxes), fps, FPS):
        around = int(half[n] * (1.0 + 2.0 * CROP)) + 1
        picture = np.pad(
            frames[track.first + n].astype(np.float32),
            ((around, around), (around, around), (0, 0)),
            constant_values=_SURROUND,
        )
        x, y = across[n] + around, down[n] + around
        top, bottom = int(y - half[n]), int(y + half[n] * (1.0 + 2.0 * CROP))
        left, right = int(x - half[n] * (1.0 + CROP)), int(x + half[n] * (1.0 + CROP))
        part = torch.from_numpy(picture[max(0, top) : bottom, max(0, left) : right]).permute(2, 0, 1)[None]
        resized = F.interpolate(part, (SIDE, SIDE), mode="bilinear", align_corners=False)
        crops.append(resized[0].permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8).numpy())
    return np.stack(crops)


def _smoothed(values: np.ndarray, ends: Ends) -> np.ndarray:
    edge = _SMOOTH // 2
    padded = np.pad(values, edge, mode="edge") if ends == "repeated" else np.pad(values, edge)
    smooth: np.ndarray = medfilt(padded, _SMOOTH)[edge:-edge]
    return smooth


def _pictures(crops: np.ndarray) -> torch.Tensor:
    """[5, 224, 224, 3] red first to [3, 5, 224, 224] blue first, 0 to 255."""
    return torch.from_numpy(crops[..., ::-1].copy()).permute(3, 0, 1, 2).float()


def tracks_from(given: Sequence[Any]) -> list[FaceTrack]:
    """Face tracks from JSON: a list of {"first": n, "boxes": [[left, top, right, bottom], ...]}."""
    return [FaceTrack(int(entry["first"]), np.asarray(entry["boxes"], dtype=float)) for entry in given]
