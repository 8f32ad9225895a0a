"""Alive's configurations, as constructor arguments of `AliveTransformer`.

`published` is the one of the report: video 12 B (M = 16, N = 40, 24 heads x 128, 36 channels in and 16 out), audio 2 B
(M = 32, 24 heads x 64, 32 channels), text encoders of 4096 and 5120. `nano` is the one that ships.
"""

from __future__ import annotations

from typing import Any

SIZES: dict[str, dict[str, Any]] = {
    "published": {},
    "nano": {
        "video_channels": 32,
        "audio_channels": 128,
        "dim": 192,
        "num_heads": 4,
        "num_dual_layers": 2,
        "num_single_layers": 3,
        "audio_dim": 128,
        "audio_heads": 4,
        "num_audio_layers": 4,
        "exchange_dim": 128,
        "exchange_heads": 4,
        "adjust_rank": 32,
        "text_dims": (192,),
        "text_len": 256,
        # Clips have 13 or 25 latent frames and 50 or 100 audio tokens: at 10000 hardly any channel would turn.
        "rope_theta": 200.0,
        "time_theta": 1000.0,
        "learned_positions": (32, 8, 8),
        "audio_positions": 128,
        # A token of sound has as many values as its tower is wide, and a token of the picture two thirds as many.
        "gaussian_skip": True,
        "still_skip": True,
    },
}
