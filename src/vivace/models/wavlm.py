"""WavLM's encoder as transformers has it, under the names of the weights that Microsoft published, layer by layer."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor, nn

# (of the published file, of transformers' WavLMModel); the first that matches is applied.
_RULES: tuple[tuple[str, str], ...] = (
    (r"feature_extractor\.conv_layers\.(\d+)\.0\.", r"feature_extractor.conv_layers.\1.conv."),
    (r"feature_extractor\.conv_layers\.(\d+)\.2\.1\.", r"feature_extractor.conv_layers.\1.layer_norm."),
    (r"feature_extractor\.conv_layers\.(\d+)\.2\.", r"feature_extractor.conv_layers.\1.layer_norm."),
    (r"post_extract_proj\.", r"feature_projection.projection."),
    (r"layer_norm\.", r"feature_projection.layer_norm."),
    (r"mask_emb$", r"masked_spec_embed"),
    (r"encoder\.pos_conv\.0\.weight_g", r"encoder.pos_conv_embed.conv.parametrizations.weight.original0"),
    (r"encoder\.pos_conv\.0\.weight_v", r"encoder.pos_conv_embed.conv.parametrizations.weight.original1"),
    (r"encoder\.pos_conv\.0\.bias", r"encoder.pos_conv_embed.conv.bias"),
    (r"encoder\.layers\.(\d+)\.self_attn\.relative_attention_bias\.", r"encoder.layers.\1.attention.rel_attn_embed."),
    (r"encoder\.layers\.(\d+)\.self_attn\.grep_linear\.", r"encoder.layers.\1.attention.gru_rel_pos_linear."),
    (r"encoder\.layers\.(\d+)\.self_attn\.grep_a$", r"encoder.layers.\1.attention.gru_rel_pos_const"),
    (r"encoder\.layers\.(\d+)\.self_attn_layer_norm\.", r"encoder.layers.\1.layer_norm."),
    (r"encoder\.layers\.(\d+)\.self_attn\.", r"encoder.layers.\1.attention."),
    (r"encoder\.layers\.(\d+)\.fc1\.", r"encoder.layers.\1.feed_forward.intermediate_dense."),
    (r"encoder\.layers\.(\d+)\.fc2\.", r"encoder.layers.\1.feed_forward.output_dense."),
)


def transformers_name(name: str) -> str:
    """The name in `WavLMModel` of a tensor of the published WavLM; the same where no rule applies."""
    for pattern, replacement in _RULES:
        if re.match(pattern, name):
            return re.sub(f"^(?:{pattern})", replacement, name)
    return name


def layer_states(wavlm: Any, sound: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """What enters each layer of the encoder, and what leaves it, after the last norm where it has one there.

    Args:
        wavlm: a WavLMModel in eval mode.
        sound: [B, N] at 16 kHz. mask: bool [B, N], true where there is sound; None for all.

    Returns:
        [layers + 1, B, T, D] and the frames that hold sound, bool [B, T].
    """
    features = wavlm.feature_extractor(sound).transpose(1, 2)
    frames = torch.ones(features.shape[:2], dtype=torch.bool, device=sound.device)
    if mask is not None:
        # A frame is silent where the whole of its share of the samples is, as the published code has it.
        share = mask.shape[1] // frames.shape[1]
        frames = mask[:, : share * frames.shape[1]].reshape(*frames.shape, share).any(-1)
    hidden, _ = wavlm.feature_projection(features)
    states: list[Tensor] = []
    hooks = [layer.register_forward_pre_hook(lambda _, args: states.append(args[0])) for layer in wavlm.encoder.layers]
    try:
        states.append(wavlm.encoder(hidden, attention_mask=frames).last_hidden_state)
    finally:
        for hook in hooks:
            hook.remove()
    return torch.stack(states), frames


def frozen(model: nn.Module) -> nn.Module:
    """The model for use alone: no dropout, no gradients."""
    return model.eval().requires_grad_(False)
