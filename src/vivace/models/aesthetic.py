"""The heads of two aesthetic predictors: a picture's vector, of CLIP or SigLIP, to a score of about 1 to 10.

Five linear layers and nothing between them but dropout, which is no part of the use. `own_name` maps the names of the
public weights.
"""

from __future__ import annotations

import re
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

CLIP_DIM, SIGLIP_DIM = 768, 1152
_SIZES = (1024, 128, 64, 16, 1)
# Places of the layers in the public files' lists (LAION's "layers", V2.5's "scoring_head").
_PLACES = {"layers": (0, 2, 4, 6, 7), "scoring_head": (0, 2, 4, 6, 8)}


class AestheticHead(nn.Module):
    """Vectors [B, dim] of any length to scores [B].

    Args:
        dim: values of the picture's vector.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.steps = nn.ModuleList([nn.Linear(enter, leave) for enter, leave in pairwise((dim, *_SIZES))])

    def forward(self, vectors: Tensor) -> Tensor:
        x = F.normalize(vectors, dim=-1)
        for step in self.steps:
            x = step(x)
        return x.squeeze(-1)


def own_name(name: str) -> str:
    """The name in `AestheticHead` of a tensor of either public file."""
    match = re.fullmatch(r"(layers|scoring_head)\.(\d)\.(weight|bias)", name)
    if match and int(match[2]) in _PLACES[match[1]]:
        return f"steps.{_PLACES[match[1]].index(int(match[2]))}.{match[3]}"
    return name
