"""What a Gaussian would answer: the best linear guess at a token's velocity, to which a network adds the rest (ours).

A token of 128 values at noise level sigma holds 128 values of noise, and the velocity asks for them back. A narrow
network spends its width on carrying them through; yet where latents have little variance, the velocity *is* what came
in, rescaled. Of latents x0 ~ N(mean, covariance) and x = (1 - sigma) x0 + sigma noise, along a principal direction of
variance v,

    E[noise - x0 | x] = (sigma - (1 - sigma) v) / (sigma^2 + (1 - sigma)^2 v) * (x - (1 - sigma) mean) - mean,

so that this much needs no learning. (EDM, arXiv 2206.00364, section 5, does the same with one variance for all.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from vivace.errors import VivaceError
from vivace.models.layers import Patch, pad_to_patches, patchify
from vivace.pair import AV

Latents = Tensor | Sequence[Tensor]

# The share of every variance that is the mean of all: no clip is as certain as the least direction of a finite set. Few
# tokens tell directions worse, so that with N of them D / (N + D) is added to it.
FLOOR = 0.01


class GaussianSkip(nn.Module):
    """Mean and covariance of a modality's tokens, and the velocity that they tell.

    Args:
        channels: values of a token, D.

    Before `fit`, or before weights are loaded, it knows nothing and cannot be called.
    """

    mean: Tensor
    basis: Tensor
    variance: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("basis", torch.zeros(channels, channels))
        self.register_buffer("variance", torch.zeros(channels))

    @property
    def fitted(self) -> bool:
        return bool(self.variance.any())

    @torch.no_grad()
    def fit(self, tokens: Tensor) -> None:
        """Learn from the tokens of a data set. [..., D]

        Raises:
            VivaceError: tokens that are all alike.
        """
        rows = tokens.flatten(0, -2).double()
        count, channels = rows.shape
        mean = rows.mean(0)
        variance, basis = torch.linalg.eigh((rows - mean).T @ (rows - mean) / len(rows))
        if not variance.mean() > 0:
            raise VivaceError(f"{count} tokens without any difference tell no spread; give latents of real clips.")
        modesty = min(1.0, FLOOR + channels / (count + channels))
        self.mean.copy_(mean)
        self.basis.copy_(basis)
        self.variance.copy_((1 - modesty) * variance.clamp(min=0) + modesty * variance.mean())

    def forward(self, tokens: Tensor, timesteps: Tensor) -> Tensor:
        """Velocity [batch, tokens, D], float32.

        Args:
            tokens: noisy, [batch, tokens, D].
            timesteps: on the 0 to 1000 scale, [batch] (or [1]), or [batch, tokens].
        """
        with torch.autocast(tokens.device.type, enabled=False):
            sigma = (timesteps.to(tokens.device).float() / 1000).reshape(len(timesteps), -1, 1)
            mean, basis, variance = self._known(tokens)
            along = (tokens.float() - (1 - sigma) * mean) @ basis
            known = (sigma - (1 - sigma) * variance) / (sigma.square() + (1 - sigma).square() * variance)
            return (known * along) @ basis.T - mean

    def balanced(self, errors: Tensor, power: float) -> Tensor:
        """Errors [..., D] along the principal directions, each divided by its standard deviation to `power`: with 0
        all values count alike, with 1 all directions do. Latents of this spread keep their total variance."""
        _, basis, variance = self._known(errors)
        weights = variance**-power
        weights = weights * (variance.sum() / (weights * variance).sum())
        return (errors @ basis) * weights.sqrt()

    def _known(self, beside: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean, basis and variance in float32 where `beside` is, wherever offloading keeps them."""
        mean, basis, variance = (x.to(beside.device, torch.float32) for x in (self.mean, self.basis, self.variance))
        return mean, basis, variance


class GaussianSkips(nn.Module):
    """A skip for each modality of a transformer.

    Args:
        video_channels, audio_channels: of the latents. patch: frames, rows and columns that make one video token.
    """

    def __init__(self, video_channels: int, audio_channels: int, patch: Patch) -> None:
        super().__init__()
        self.patch = patch
        self.video = GaussianSkip(video_channels * math.prod(patch))
        self.audio = GaussianSkip(audio_channels)

    def pair(self) -> AV[GaussianSkip]:
        return AV(self.video, self.audio)

    def forward(self, latents: AV[Latents], timesteps: AV[Tensor]) -> AV[Tensor]:
        """Velocities of the tokens of each present modality, [batch, tokens, D].

        Args:
            latents: noisy, as a transformer takes them. timesteps: [batch] (or [1]), or [batch, tokens].
        """
        return self.tokens(latents).map(lambda x, skip, t: skip(x, t), self.pair(), timesteps)

    def balanced(self, errors: AV[Tensor], power: float) -> AV[Tensor]:
        """Errors in the shapes of latents to those of tokens, [batch, tokens, D]; see `GaussianSkip.balanced`."""
        tokens = self.tokens(AV[Latents](errors.video, errors.audio))
        return tokens.map(lambda error, skip: skip.balanced(error, power), self.pair())

    def tokens(self, latents: AV[Latents]) -> AV[Tensor]:
        """The values of each token as a transformer's heads give them, [batch, tokens, D]; shorter samples of a list
        end in zeros."""

        def of_video(x: Latents) -> Tensor:
            if isinstance(x, Tensor):
                return patchify(pad_to_patches(x, self.patch), self.patch)
            return pad_sequence([of_video(sample[None])[0] for sample in x], batch_first=True)

        def of_audio(x: Latents) -> Tensor:
            return x if isinstance(x, Tensor) else pad_sequence(list(x), batch_first=True)

        return AV(
            video=None if latents.video is None else of_video(latents.video),
            audio=None if latents.audio is None else of_audio(latents.audio),
        )
