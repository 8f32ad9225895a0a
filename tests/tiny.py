"""A tiny pipeline of real parts with random weights: every part is the class that ships, only small."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import (
    AutoencoderKLLTX2Audio,
    AutoencoderKLWan,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
)
from transformers import ByT5Tokenizer, UMT5Config, UMT5EncoderModel

from vivace.data.fingerprint import weights_hash
from vivace.models.alive import AliveTransformer
from vivace.models.nava import NavaTransformer
from vivace.models.refiner import AliveRefinerTransformer
from vivace.models.speaker import NanoSpeakerEncoder
from vivace.models.vocoder import IstftVocoder
from vivace.pipelines.alive import AlivePipeline
from vivace.pipelines.nava import NavaPipeline
from vivace.pipelines.refiner import AliveRefinerPipeline

TEXT_LEN = 96
CAPABILITIES: dict[str, Any] = {
    "name": "tiny",
    "width": 32,
    "height": 32,
    "seconds": 0.2,
    "fps": [24.0],
    "sizes": [[32, 32]],
    "lengths": [0.2],
    "smallest_side": 32,
    "largest_side": 128,
    "longest_seconds": 2.0,
    "first_frame": "held",
    "tasks": ["t2av", "t2v", "t2a", "ti2av", "a2v", "v2a", "extend"],
    "context_seconds": 0.2,
    "knows": "balls and drums in six colours",
    "vocabulary": ["ball", "drum"],
    "preset": "plain",
    "presets": {
        "plain": {"steps": 3, "solver": "unipc", "text": {"video": 2.0, "audio": 2.0}},
        "aligned": {
            "steps": 2,
            "solver": "euler",
            "text": {"video": 2.0, "audio": 1.5},
            "align": {"video": 1.0, "audio": 0.5},
        },
    },
}


def tiny_transformer(**changes: Any) -> NavaTransformer:
    """Random weights in every layer (also those that start at zero), 1 + 1 blocks of width 32."""
    torch.manual_seed(0)
    config: dict[str, Any] = {
        "video_channels": 4,
        "audio_channels": 128,
        "dim": 32,
        "ffn_dim": 64,
        "freq_dim": 32,
        "num_heads": 2,
        "num_double_layers": 1,
        "num_single_layers": 1,
        "text_dim": 16,
        "text_len": TEXT_LEN,
        "speaker_dim": None,
    }
    model = NavaTransformer(**(config | changes))
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
    return model.eval()


def tiny_vae() -> AutoencoderKLWan:
    torch.manual_seed(1)
    return AutoencoderKLWan(
        base_dim=8,
        z_dim=4,
        dim_mult=[1, 2, 2],
        num_res_blocks=1,
        temperal_downsample=[True, True],
        latents_mean=[0.0] * 4,
        latents_std=[1.0] * 4,
        in_channels=48,
        out_channels=48,
        patch_size=4,
        scale_factor_spatial=16,
    ).eval()


def tiny_text_encoder() -> UMT5EncoderModel:
    torch.manual_seed(2)
    config = UMT5Config(
        vocab_size=384, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, feed_forward_proj="gated-gelu"
    )
    return UMT5EncoderModel(config).eval()


def tiny_pipeline(**capabilities: Any) -> NavaPipeline:
    """A whole pipeline at 32x32, 5 frames, 3 steps; keyword arguments replace entries of its capabilities."""
    transformer = tiny_transformer()
    torch.manual_seed(3)
    pipeline = NavaPipeline(
        transformer=transformer,
        text_encoder=tiny_text_encoder(),
        tokenizer=ByT5Tokenizer(),
        vae=tiny_vae(),
        audio_vae=AutoencoderKLLTX2Audio(base_channels=8, ch_mult=(1, 1, 2), num_res_blocks=1).eval(),
        vocoder=IstftVocoder(dim=16, num_layers=1).eval(),
        scheduler=UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=5.0),
        capabilities=CAPABILITIES | capabilities,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def tiny_speaking_pipeline(**capabilities: Any) -> NavaPipeline:
    """The same with voices: a speaker encoder of 8 values, unknown voices as the null speaker, three spans at most."""
    pipeline = tiny_pipeline(**{"unknown_voice": "null", "most_spans": 3, **capabilities})
    transformer = tiny_transformer(speaker_dim=8, speakers_keep_text=True)
    torch.manual_seed(5)
    encoder = NanoSpeakerEncoder(dim=8, width=16, num_layers=1).eval()
    pipeline.register_modules(transformer=transformer, speaker_encoder=encoder)
    return pipeline


# An Alive transformer of 1 + 1 video and 2 audio blocks.
TINY_ALIVE: dict[str, Any] = {
    "video_channels": 4,
    "audio_channels": 128,
    "dim": 24,
    "num_heads": 2,
    "num_dual_layers": 1,
    "num_single_layers": 1,
    "audio_dim": 16,
    "audio_heads": 2,
    "num_audio_layers": 2,
    "exchange_dim": 16,
    "exchange_heads": 2,
    "adjust_rank": 4,
    "text_dims": (16,),
    "text_len": TEXT_LEN,
    "freq_dim": 16,
    "learned_positions": None,
}


def tiny_alive_transformer(**changes: Any) -> AliveTransformer:
    """Random weights in every layer (also those that start at zero), 1 + 1 video and 2 audio blocks."""
    torch.manual_seed(0)
    model = AliveTransformer(**(TINY_ALIVE | changes))
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
    return model.eval()


ALIVE_CAPABILITIES: dict[str, Any] = {
    **{name: value for name, value in CAPABILITIES.items() if name not in ("preset", "presets")},
    "preset": "plain",
    "presets": {
        "plain": {
            "steps": 3,
            "text": {"video": 2.0, "audio": 2.0},
            "mutual": {"video": 1.0, "audio": 1.0},
            "references": {"video": 1.0, "audio": 1.0},
        },
        "full": {
            "steps": 2,
            "solver": "euler",
            "text": {"video": 2.0, "audio": 1.5},
            "mutual": {"video": 1.5, "audio": 2.0},
            "references": {"video": 2.0, "audio": 1.0},
        },
    },
    "most_references": 2,
}


def tiny_alive_pipeline(**capabilities: Any) -> AlivePipeline:
    """The same with Alive's transformer, and up to two references."""
    like, transformer = tiny_pipeline(), tiny_alive_transformer()
    parts = {name: getattr(like, name) for name in ("text_encoder", "tokenizer", "vae", "audio_vae", "vocoder")}
    pipeline = AlivePipeline(
        transformer=transformer,
        scheduler=like.scheduler,
        capabilities=ALIVE_CAPABILITIES | capabilities,
        **parts,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


REFINER_CAPABILITIES: dict[str, Any] = {
    "name": "tiny refiner",
    "scale": 2.0,
    "scales": [2.0],
    "smallest_source": 16,
    "largest_side": 256,
    "fps": [24.0],
    "longest_seconds": 2.0,
    "preset": "plain",
    "presets": {
        "plain": {
            "steps": 2,
            "solver": "euler",
            "text": {"video": 1.0, "audio": 1.0},
            "mutual": {"video": 1.0, "audio": 1.0},
        },
        "guided": {
            "steps": 2,
            "solver": "euler",
            "text": {"video": 2.0, "audio": 1.0},
            "mutual": {"video": 1.5, "audio": 1.0},
        },
    },
}


def tiny_refiner_pipeline(**capabilities: Any) -> AliveRefinerPipeline:
    """A refiner of that model with windows of 2 x 2 x 2 tokens, which knows what it was trained with."""
    base = tiny_alive_pipeline()
    hashes = {name: weights_hash(getattr(base, name)) for name in ("vae", "audio_vae", "text_encoder")}
    hashes["audio_tower"] = weights_hash(base.transformer.audio)
    transformer = AliveRefinerTransformer.of(base.transformer, window=(2, 2, 2), trained_with=hashes)
    return AliveRefinerPipeline(
        base, transformer, FlowMatchEulerDiscreteScheduler(), REFINER_CAPABILITIES | capabilities
    )
