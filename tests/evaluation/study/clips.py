"""Small clips for studies: a grey that brightens with a tone."""

from fractions import Fraction
from pathlib import Path

import numpy as np

from vivace.media import Clip, write_clip


def write_clips(folder: Path, names: list[str], *, pitch: float, seconds: float = 1.0, sound: bool = True) -> Path:
    """One clip for each name, its text in its title and its maker in its comment."""
    frames = np.empty((round(24 * seconds), 32, 32, 3), np.uint8)
    frames[:] = np.linspace(40, 200, len(frames)).astype(np.uint8)[:, None, None, None]
    times = np.arange(round(16000 * seconds)) / 16000
    audio = (0.3 * np.sin(2 * np.pi * pitch * times)[None]).astype(np.float32) if sound else None
    for name in names:
        tags = {"title": f"text of {name}", "comment": f"made by {folder.name}"}
        write_clip(folder / f"{name}.mp4", Clip(frames, Fraction(24), audio, 16000), tags)
    return folder
