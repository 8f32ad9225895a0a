"""Small recipes for the tests of this room."""

from pathlib import Path
from typing import Any

from vivace.training.encode import EncodeRecipe
from vivace.training.joint import JointRecipe


def encode_recipe(output: Path, codecs: dict[str, Path], source: Any, **changes: Any) -> EncodeRecipe:
    paths = {name: codecs[name] for name in ("vae", "audio_vae")}
    return EncodeRecipe(unit="encode", output=output, source=source, **{**paths, "workers": 1, **changes})


def joint_data(latents: Path, **changes: Any) -> dict[str, Any]:
    """A recipe of the unit joint in plain values; keyword arguments replace entries of its single stage."""
    stage = {
        "name": "all",
        "steps": 6,
        "sources": [{"folder": str(latents), "batch": 4}],
        "times": {"kind": "logit-normal"},
        "audio_weight": 1.0,
        **changes,
    }
    return {
        "unit": "joint",
        "seed": 7,
        "transformer": {
            "video_channels": 4,
            "audio_channels": 128,
            "dim": 32,
            "ffn_dim": 64,
            "freq_dim": 32,
            "num_heads": 2,
            "num_double_layers": 1,
            "num_single_layers": 1,
            "text_dim": 16,
            "text_len": 192,
            "speaker_dim": None,
        },
        "text_encoder": {
            "vocab_size": 384,
            "d_model": 16,
            "d_kv": 8,
            "d_ff": 32,
            "num_layers": 1,
            "num_heads": 2,
            "feed_forward_proj": "gated-gelu",
        },
        "stages": [stage],
        "validation": {"latents": str(latents), "clips": 4, "batch": 4},
        "loop": {
            "steps": stage["steps"],
            "warmup_steps": 2,
            "log_every": 1,
            "validate_every": 1000,
            "threads": 1,
            "checkpoint_every_seconds": 1000,
        },
    }


def joint_recipe(latents: Path, **changes: Any) -> JointRecipe:
    return JointRecipe.model_validate(joint_data(latents, **changes))
