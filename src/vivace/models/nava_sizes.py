"""NAVA's published configurations, as constructor arguments of `NavaTransformer`.

`6b` is the release, `tiny` the program's small configuration under the same flags. The others are the paper's
comparison of layouts, in its own shorthand (d: double, s: single blocks); only their blocks are known, so everything
else is taken from the release.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from vivace.models.nava_names import PREFIX, official_names


def _blocks(double: int, single: int, double_final: int = 0) -> dict[str, Any]:
    return {
        "num_double_layers": double,
        "num_single_layers": single,
        "num_double_final_layers": double_final,
        "qk_norm": True,
        "cross_attn_norm": True,
        "speaker_dim": 192,
        "split_norm_ffn": False,
    }


_TINY = {"dim": 1536, "ffn_dim": 6912, "freq_dim": 128, "num_heads": 12, "audio_channels": 20, "audio_rope_scale": 1.0}

PUBLISHED: dict[str, dict[str, Any]] = {
    "6b": _blocks(10, 20),
    "6b-split": _blocks(10, 20) | {"split_norm_ffn": True},
    "tiny": _blocks(8, 12) | _TINY,
    "20d10s": _blocks(20, 10),
    "30d": _blocks(30, 0),
    "5d20s5d": _blocks(5, 20, 5),
    "30s": _blocks(0, 30),
}


def nearest_size(names: Iterable[str]) -> tuple[str, float]:
    """The published size whose official names agree best with these, and the share of names that both have."""
    given = {name if name.startswith(PREFIX) else PREFIX + name for name in names}
    shares = {}
    for size, config in PUBLISHED.items():
        expected = set(official_names(config).values())
        shares[size] = len(given & expected) / len(given | expected)
    best = max(shares, key=lambda size: shares[size])
    return best, shares[best]
