"""Pictures and sounds beyond the world's scenes, so that the codecs trained on them stay useful for more."""

from __future__ import annotations

from vivace.world.variety_pictures import variety_video
from vivace.world.variety_sounds import variety_audio

__all__ = ["variety_audio", "variety_video"]
