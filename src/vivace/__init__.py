"""vivace: native joint audio-video generation."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# Public names and their homes; importing vivace loads none of them.
_LAZY = {
    "AV": "vivace.pair",
    "Timeline": "vivace.timeline",
    "VivaceError": "vivace.errors",
    "SamplingCancelledError": "vivace.sampling.loop",
    "NavaPipeline": "vivace.pipelines.nava",
    "NavaTransformer": "vivace.models.nava",
    "AlivePipeline": "vivace.pipelines.alive",
    "AliveTransformer": "vivace.models.alive",
    "AliveRefinerPipeline": "vivace.pipelines.refiner",
    "AliveRefinerTransformer": "vivace.models.refiner",
    "NanoSpeakerEncoder": "vivace.models.speaker",
    "IstftVocoder": "vivace.models.vocoder",
    # diffusers looks these base classes up in the namespace of the library that a model_index.json names.
    "ModelMixin": "diffusers",
}
__all__ = [name for name in _LAZY if name != "ModelMixin"]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'vivace' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
