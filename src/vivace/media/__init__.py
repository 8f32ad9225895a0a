"""Files in and out: clips, sound, still pictures, and pictures of clips for looking at.

Arrays in and out are numpy: frames uint8 [T, H, W, 3] RGB, audio float32 [C, N] in [-1, 1]. Nothing here needs torch.
"""

from __future__ import annotations

from vivace.media.atomic import replacing
from vivace.media.clip import Clip, peak_limited
from vivace.media.image import is_still, read_image, write_png
from vivace.media.read import read_audio, read_clip, read_metadata
from vivace.media.remux import write_pictures_over_sound
from vivace.media.sheet import contact_sheet
from vivace.media.sound import spectrogram_image, waveform_image
from vivace.media.wav import write_wav
from vivace.media.write import write_clip

__all__ = [
    "Clip",
    "contact_sheet",
    "is_still",
    "peak_limited",
    "read_audio",
    "read_clip",
    "read_image",
    "read_metadata",
    "replacing",
    "spectrogram_image",
    "waveform_image",
    "write_clip",
    "write_pictures_over_sound",
    "write_png",
    "write_wav",
]
