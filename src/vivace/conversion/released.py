"""What the released files do not say of themselves: configurations of codecs and text encoder, sizes of pictures."""

from __future__ import annotations

from typing import Any


def _numbers(text: str) -> list[float]:
    return [float(word) for word in text.split()]


_LANDSCAPE = ((1280, 704), (1088, 832), (1184, 736), (1056, 864), (1344, 672), (1536, 608))
# (width, height) of the program's buckets for training and for first pictures: seven shapes of about 960x960 pixels
# (16:9, 4:3, 3:2, 5:4, 2:1, 5:2, 1:1). It lists them one way up; both ways are ours, as its user interface has both.
NAVA_SIZES = [[1280, 704], *([h, w] for w, h in _LANDSCAPE), *([w, h] for w, h in _LANDSCAPE[1:]), [960, 960]]
# `Wan2.2_VAE.pth`; its program holds the latents' statistics in code.
WAN22_VAE: dict[str, Any] = {
    "base_dim": 160,
    "decoder_base_dim": 256,
    "z_dim": 48,
    "is_residual": True,
    "in_channels": 12,
    "out_channels": 12,
    "patch_size": 2,
    "scale_factor_temporal": 4,
    "scale_factor_spatial": 16,
    "latents_mean": _numbers("""
        -0.2289 -0.0052 -0.1323 -0.2339 -0.2799 0.0174 0.1838 0.1557 -0.1382 0.0542 0.2813 0.0891
        0.1570 -0.0098 0.0375 -0.1825 -0.2246 -0.1207 -0.0698 0.5109 0.2665 -0.2108 -0.2158 0.2502
        -0.2055 -0.0322 0.1109 0.1567 -0.0729 0.0899 -0.2799 -0.1230 -0.0313 -0.1649 0.0117 0.0723
        -0.2839 -0.2083 -0.0520 0.3748 0.0152 0.1957 0.1433 -0.2944 0.3573 -0.0548 -0.1681 -0.0667
    """),
    "latents_std": _numbers("""
        0.4765 1.0364 0.4514 1.1677 0.5313 0.4990 0.4818 0.5013 0.8158 1.0344 0.5894 1.0901
        0.6885 0.6165 0.8454 0.4978 0.5759 0.3523 0.7135 0.6804 0.5833 1.4146 0.8986 0.5659
        0.7069 0.5338 0.4889 0.4917 0.4069 0.4999 0.6866 0.4093 0.5709 0.6065 0.6415 0.4944
        0.5726 1.2042 0.5458 1.6887 0.3971 1.0600 0.3943 0.5537 0.5444 0.4089 0.7468 0.7744
    """),
}
# `models_t5_umt5-xxl-enc-bf16.pth`.
UMT5_XXL: dict[str, Any] = {
    "vocab_size": 256384,
    "d_model": 4096,
    "d_kv": 64,
    "d_ff": 10240,
    "num_layers": 24,
    "num_heads": 64,
    "feed_forward_proj": "gated-gelu",
}
# LTX-2.3's audio autoencoder and vocoder are the defaults of their diffusers classes.
LTX23_AUDIO: dict[str, Any] = {}
