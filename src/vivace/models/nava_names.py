"""Weight names of the public NAVA checkpoint and ours, as one table in both directions.

Shapes are the same on both sides; only names differ. Ours group the layers of a block by modality (`video`, `audio`,
or `both` where they are shared) and set the context side of cross-attention apart, because it runs once per clip.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from vivace.errors import VivaceError

PREFIX = "backbone."

# Ours: official, outside the blocks.
_MODULES = {
    "video_embedding": "patch_embedding",
    "audio_embedding.enter": "patch_embedding_audio.0",
    "text_embedding.0": "text_embedding.0",
    "text_embedding.2": "text_embedding.2",
    "time_embedding.0": "time_embedding.0",
    "time_embedding.2": "time_embedding.2",
    "time_projection.1": "time_projection.1",
    "video_head.linear": "head.head",
    "audio_head.linear": "head_audio.head",
}
_SPEAKER = {
    "speaker_embedding.norm_in": "speaker_embedding.net.0",
    "speaker_embedding.linear_in": "speaker_embedding.net.1",
    "speaker_embedding.linear_out": "speaker_embedding.net.3",
    "speaker_embedding.norm_out": "speaker_embedding.out_norm",
}
_TENSORS = {
    "audio_embedding.gate.weight": "patch_embedding_audio.2.w1.weight",
    "audio_embedding.leave.weight": "patch_embedding_audio.2.w2.weight",
    "audio_embedding.value.weight": "patch_embedding_audio.2.w3.weight",
    "video_head.modulation": "head.modulation",
    "audio_head.modulation": "head_audio.modulation",
}
# Official constructor argument: ours. Those mapped to None say nothing that the weights or other arguments do not.
_CONFIG: dict[str, str | None] = {
    "vid_in_dim": "video_channels",
    "audio_in_dim": "audio_channels",
    "patch_size": "patch_size",
    "dim": "dim",
    "ffn_dim": "ffn_dim",
    "freq_dim": "freq_dim",
    "num_heads": "num_heads",
    "num_double_layers": "num_double_layers",
    "num_single_layers": "num_single_layers",
    "num_double_final_layers": "num_double_final_layers",
    "text_dim": "text_dim",
    "text_len": "text_len",
    "qk_norm": "qk_norm",
    "cross_attn_norm": "cross_attn_norm",
    "eps": "eps",
    "temporal_rope_scaling_factor": "audio_rope_scale",
    "vid_out_dim": None,
    "audio_out_dim": None,
    "model_type": None,
    "num_layers": None,
    "window_size": None,
    "add_spk_emb": None,
    "no_split_norm_ffn": None,
}
_SPEAKER_DIM = 192


def config_from_official(official: Mapping[str, Any]) -> dict[str, Any]:
    """Constructor arguments of `NavaTransformer` for the json (plus `add_spk_emb`, `no_split_norm_ffn`) of the program.

    Raises:
        VivaceError: an argument we do not know, windowed attention, or different channels in and out.
    """
    unknown = sorted(key for key in official if key not in _CONFIG and not key.startswith("_"))
    if unknown:
        raise VivaceError(
            f"NAVA configuration has the unknown key {unknown[0]!r}; use one written for the public program."
        )
    if tuple(official.get("window_size", (-1, -1))) != (-1, -1):
        raise VivaceError(
            "NAVA configuration asks for windowed attention, which no release uses; set window_size to -1, -1."
        )
    for side in ("vid", "audio"):
        if official.get(f"{side}_out_dim", official.get(f"{side}_in_dim")) != official.get(f"{side}_in_dim"):
            raise VivaceError(f"NAVA configuration has different {side}_in_dim and {side}_out_dim; make them equal.")
    ours = {name: official[key] for key, name in _CONFIG.items() if name and key in official}
    ours.setdefault("audio_rope_scale", 1.0)  # the program's default, where the release's json says 0.24
    ours["patch_size"] = tuple(ours.get("patch_size", (1, 2, 2)))
    ours["speaker_dim"] = _SPEAKER_DIM if official.get("add_spk_emb", False) else None
    ours["split_norm_ffn"] = not official.get("no_split_norm_ffn", False)
    return ours


def official_names(config: Mapping[str, Any]) -> dict[str, str]:
    """Our name of every tensor of a model with this configuration (ours): its official name."""
    modules = dict(_MODULES)
    tensors = dict(_TENSORS)
    if config["speaker_dim"]:
        modules |= _SPEAKER
        tensors["speaker_embedding.null_token"] = "speaker_embedding.null_token"
    for kind in ("double", "single", "double_final"):
        for number in range(config[f"num_{kind}_layers"]):
            block_modules, block_tensors = _block_names(config, kind, number)
            modules |= block_modules
            tensors |= block_tensors
    for ours, official in modules.items():
        tensors[f"{ours}.weight"], tensors[f"{ours}.bias"] = f"{official}.weight", f"{official}.bias"
    return {ours: PREFIX + official for ours, official in tensors.items()}


def _block_names(config: Mapping[str, Any], kind: str, number: int) -> tuple[dict[str, str], dict[str, str]]:
    """Modules (with weight and bias) and single tensors of one block, ours to official."""
    ours, theirs = f"{kind}_blocks.{number}", f"{kind}_blocks.{number}"
    context = f"{kind}_contexts.{number}"
    single = kind == "single"
    modules: dict[str, str] = {}
    tensors: dict[str, str] = {}
    for stream, suffix in (("both", ""),) if single else (("video", ""), ("audio", "_audio")):
        layers = f"{ours}.streams.{stream}"
        tensors[f"{layers}.modulation"] = f"{theirs}.modulation{suffix}.modulation"
        modules |= {f"{layers}.self_attn.{p}": f"{theirs}.self_attn.{p}{suffix}" for p in "qkvo"}
        modules |= {f"{layers}.cross_attn.{p}": f"{theirs}.cross_attn.{p}{suffix}" for p in "qo"}
        modules |= {f"{context}.{stream}.{p}": f"{theirs}.cross_attn.{p}{suffix}" for p in "kv"}
        if config["qk_norm"]:
            for owner, attn, norm in (
                (f"{layers}.self_attn", "self_attn", "norm_q"),
                (f"{layers}.self_attn", "self_attn", "norm_k"),
                (f"{layers}.cross_attn", "cross_attn", "norm_q"),
                (f"{context}.{stream}", "cross_attn", "norm_k"),
            ):
                tensors[f"{owner}.{norm}.weight"] = f"{theirs}.{attn}.{norm}{suffix}.weight"
    split = config["split_norm_ffn"] and not single
    for stream, suffix in (("video", ""), ("audio", "_audio")) if split else (("both", ""),):
        modules |= {f"{ours}.feed_forward.{stream}.{n}": f"{theirs}.ffn{suffix}.{n}" for n in (0, 2)}
        if config["cross_attn_norm"]:
            modules[f"{ours}.cross_norm.{stream}"] = f"{theirs}.norm3{suffix}"
    return modules, tensors


def from_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """A public state dict (with or without the `backbone.` prefix) under our names.

    Raises:
        VivaceError: a tensor is missing or not known to a model of this configuration.
    """
    full = {name if name.startswith(PREFIX) else PREFIX + name: tensor for name, tensor in state.items()}
    return _renamed(full, {official: ours for ours, official in official_names(config).items()}, "NAVA weights")


def to_official(state: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Our state dict under the public names, with the `backbone.` prefix; raises as `from_official`."""
    return _renamed(state, official_names(config), "NavaTransformer weights")


def _renamed(state: Mapping[str, Tensor], table: Mapping[str, str], what: str) -> dict[str, Tensor]:
    missing, unknown = sorted(table.keys() - state.keys()), sorted(state.keys() - table.keys())
    if missing or unknown:
        parts = [f"lack {len(missing)} tensors (first {missing[0]})"] if missing else []
        parts += [f"hold {len(unknown)} unknown ones (first {unknown[0]})"] if unknown else []
        raise VivaceError(f"{what} {' and '.join(parts)}; use weights that fit the configuration.")
    return {name: state[old] for old, name in table.items()}
