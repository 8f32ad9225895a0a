"""Official files of a tiny NAVA, made from the tiny pipeline of real parts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tests.tiny import tiny_pipeline

from vivace.models.nava_names import to_official
from vivace.pipelines.nava import NavaPipeline

OFFICIAL = {
    "vid_in_dim": 4,
    "audio_in_dim": 128,
    "dim": 32,
    "ffn_dim": 64,
    "freq_dim": 32,
    "num_heads": 2,
    "num_double_layers": 1,
    "num_single_layers": 1,
    "num_double_final_layers": 0,
    "text_dim": 16,
    "text_len": 96,
    "qk_norm": True,
    "cross_attn_norm": True,
    "eps": 1e-6,
    "temporal_rope_scaling_factor": 0.24,
    "add_spk_emb": False,
    "no_split_norm_ffn": True,
}


@dataclass(frozen=True)
class Release:
    """What a user would have on disk."""

    weights: Path
    config: Path
    parts: dict[str, Path]
    state: dict[str, torch.Tensor]
    pipeline: NavaPipeline


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    place = tmp_path_factory.mktemp("release")
    pipeline = tiny_pipeline()
    parts = {}
    for name in ("vae", "text_encoder", "tokenizer", "audio_vae", "vocoder"):
        parts[name] = place / name
        getattr(pipeline, name).save_pretrained(parts[name])
    state = to_official(pipeline.transformer.state_dict(), pipeline.transformer.config)
    state = {name: tensor.clone().contiguous() for name, tensor in state.items()}
    weights, config = place / "NAVA.safetensors", place / "NAVA.json"
    save_file(state, weights)
    config.write_text(json.dumps(OFFICIAL))
    return Release(weights, config, parts, state, pipeline)
