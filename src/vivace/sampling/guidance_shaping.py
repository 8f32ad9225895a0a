"""What keeps strong guidance from overshooting: rescaling, and projected guidance with a limit (APG)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from vivace.pair import AV


@dataclass(frozen=True)
class Shaping:
    """Changes a guided velocity in view of the plain one; where both agree it changes nothing.

    Args:
        rescale: per modality from 0 (off) to 1, how far the guided velocity's deviation is brought to that of the plain
            one, over each clip (Lin et al. 2023, arXiv 2305.08891).
        limit: per modality, the largest norm of what guidance adds to a prediction of the clean latents, over a latent
            frame [C, H, W] or an audio token [C]; None is no limit.
        parallel: share that is kept of what guidance adds along the plain prediction of the clean latents (APG,
            Sadat et al. 2024, arXiv 2410.02416, without its momentum; 1 keeps all).

    Ours: the limit and the projection act on the sum of all guides, because a table of weights has one sum and no
    single difference.
    """

    rescale: AV[float] = field(default_factory=AV)
    limit: AV[float] = field(default_factory=AV)
    parallel: float = 1.0

    def shaped(self, guided: AV[Tensor], plain: AV[Tensor], latents: AV[Tensor], sigmas: AV[float]) -> AV[Tensor]:
        """The velocity to step with, float32.

        Args:
            guided: of each moving side. plain, latents: of the same shapes. sigmas: noise level of each side.
        """
        return AV(
            *(
                None
                if (v := guided.get(side)) is None
                else self._side(side, v, plain.get(side), latents.get(side), sigmas.get(side))
                for side in ("video", "audio")
            )
        )

    def _side(
        self, side: str, guided: Tensor, plain: Tensor | None, latents: Tensor | None, sigma: float | None
    ) -> Tensor:
        assert plain is not None
        assert latents is not None
        assert sigma is not None
        plain = plain.float()
        rescale, limit = (pair.video if side == "video" else pair.audio for pair in (self.rescale, self.limit))
        if (limit is not None or self.parallel != 1) and sigma > 0:
            guided = self._projected(guided, plain, latents.float(), sigma, limit)
        if rescale:
            axes = tuple(range(1, guided.ndim))
            ratio = plain.std(axes, keepdim=True) / guided.std(axes, keepdim=True).clamp_min(1e-12)
            guided = guided * (rescale * ratio + 1 - rescale)
        return guided

    def _projected(self, guided: Tensor, plain: Tensor, latents: Tensor, sigma: float, limit: float | None) -> Tensor:
        axes = (1, 3, 4) if guided.ndim == 5 else (2,)
        clean, added = latents - sigma * plain, -sigma * (guided - plain)
        if limit is not None:
            size = added.square().sum(axes, keepdim=True).sqrt()
            added = added * (limit / size.clamp_min(1e-12)).clamp_max(1.0)
        if self.parallel != 1:
            squared = clean.square().sum(axes, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)
            along = (added * clean).sum(axes, keepdim=True) / squared * clean
            added = added - (1 - self.parallel) * along
        return plain - added / sigma
