"""Original names of the published codecs and text encoder, from those of the classes that hold them here.

diffusers 0.42 maps Wan 2.1's autoencoder and LTX-2's audio autoencoder from their original files, but not Wan 2.2's
residual autoencoder, LTX-2.3's vocoder or Wan's text encoder. These rules are ours after the public programs' module
trees; whoever uses them checks the outcome tensor by tensor, so that a rule that fits no file cannot pass.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

Rules = tuple[tuple[str, str], ...]

# Of diffusers' AutoencoderKLWan with residual stages to `Wan2.2_VAE.pth`.
_WAN_VAE: Rules = (
    (r"^quant_conv\.", "conv1."),
    (r"^post_quant_conv\.", "conv2."),
    (r"^(encoder|decoder)\.conv_in\.", r"\1.conv1."),
    (r"^(encoder|decoder)\.norm_out\.", r"\1.head.0."),
    (r"^(encoder|decoder)\.conv_out\.", r"\1.head.2."),
    (r"\.mid_block\.resnets\.0\.", ".middle.0."),
    (r"\.mid_block\.attentions\.0\.", ".middle.1."),
    (r"\.mid_block\.resnets\.1\.", ".middle.2."),
    (r"\.down_blocks\.(\d+)\.resnets\.", r".downsamples.\1.downsamples."),
    (r"\.up_blocks\.(\d+)\.resnets\.", r".upsamples.\1.upsamples."),
    (r"(samples\.\d+|middle\.[02])\.norm1\.", r"\1.residual.0."),
    (r"(samples\.\d+|middle\.[02])\.conv1\.", r"\1.residual.2."),
    (r"(samples\.\d+|middle\.[02])\.norm2\.", r"\1.residual.3."),
    (r"(samples\.\d+|middle\.[02])\.conv2\.", r"\1.residual.6."),
    (r"\.conv_shortcut\.", ".shortcut."),
)
# Of transformers' UMT5EncoderModel to Wan's `models_t5_umt5-xxl-enc-bf16.pth`.
_UMT5: Rules = (
    (r"^shared\.", "token_embedding."),
    (r"^encoder\.final_layer_norm\.", "norm."),
    (r"^encoder\.block\.", "blocks."),
    (r"\.layer\.0\.SelfAttention\.relative_attention_bias\.", ".pos_embedding.embedding."),
    (r"\.layer\.0\.SelfAttention\.", ".attn."),
    (r"\.layer\.0\.layer_norm\.", ".norm1."),
    (r"\.layer\.1\.layer_norm\.", ".norm2."),
    (r"\.layer\.1\.DenseReluDense\.wi_0\.", ".ffn.gate.0."),
    (r"\.layer\.1\.DenseReluDense\.wi_1\.", ".ffn.fc1."),
    (r"\.layer\.1\.DenseReluDense\.wo\.", ".ffn.fc2."),
)
# Of diffusers' LTX-2 audio classes to Lightricks' single file, in which each part has a prefix of its own.
_LTX_AUDIO_VAE: Rules = (
    (r"^latents_mean$", "per_channel_statistics.mean-of-means"),
    (r"^latents_std$", "per_channel_statistics.std-of-means"),
    (r"^", "audio_vae."),
)
_LTX_VOCODER: Rules = (
    (r"\bupsamplers\.", "ups."),
    (r"\bresnets\.", "resblocks."),
    (r"\bconv_in\.", "conv_pre."),
    (r"\bconv_out\.", "conv_post."),
    (r"\bact_out\.", "act_post."),
    (r"\.downsample\.", ".downsample.lowpass."),
    (r"^", "vocoder."),
)


def wan_vae_names(ours: Iterable[str]) -> dict[str, str]:
    """Our name: that of Wan 2.2's autoencoder."""
    names = {name: _apply(_WAN_VAE, name) for name in ours}
    # A stage's resampling stands behind its residual blocks in one list there, and apart from them here.
    last = re.compile(r"\.(down|up)samples\.(\d+)\.\1samples\.(\d+)\.")
    blocks: dict[tuple[str, str, str], int] = {}
    for name in names.values():
        if found := last.search(name):
            key = (name.split(".")[0], found[1], found[2])
            blocks[key] = max(blocks.get(key, 0), int(found[3]) + 1)

    def resample(found: re.Match[str]) -> str:
        side, stage = found[2], found[3]
        return f"{found[1]}.{side}samples.{stage}.{side}samples.{blocks[found[1], side, stage]}."

    stage = re.compile(r"^(encoder|decoder)\.(down|up)_blocks\.(\d+)\.(?:down|up)sampler\.")
    return {ours: stage.sub(resample, name) for ours, name in names.items()}


def umt5_names(ours: Iterable[str]) -> dict[str, str]:
    """Our name: that of Wan's text encoder."""
    return {name: _apply(_UMT5, name) for name in ours}


def ltx_audio_vae_names(ours: Iterable[str]) -> dict[str, str]:
    """Our name: that of the audio autoencoder in LTX-2.3's file."""
    return {name: _apply(_LTX_AUDIO_VAE, name) for name in ours}


def ltx_vocoder_names(ours: Iterable[str]) -> dict[str, str]:
    """Our name: that of the vocoder in LTX-2.3's file."""
    return {name: _apply(_LTX_VOCODER, name) for name in ours}


def _apply(rules: Rules, name: str) -> str:
    for pattern, new in rules:
        name = re.sub(pattern, new, name)
    return name
