"""Telling a transformer's Gaussian skips how the latents that it will learn from are spread."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from vivace.data.shards import ShardReader
from vivace.models.gaussian_skip import GaussianSkips

# The first samples of each folder, which have some 100,000 tokens of 128 values.
SAMPLES = 256


def fit_skips(skips: GaussianSkips, readers: Sequence[ShardReader]) -> None:
    """Fit skips that know nothing yet; those that were trained with stay as they are.

    Args:
        readers: folders of latents; one that is given twice counts once.
    """
    missing = {side: skip for side, skip in skips.pair().items() if not skip.fitted}
    if not missing:
        return
    found: dict[str, list[Tensor]] = {side: [] for side in missing}
    for reader in {reader.folder: reader for reader in readers}.values():
        for index in range(min(SAMPLES, len(reader))):
            sample = reader.get(index)
            for side in missing:
                if side in sample:
                    found[side].append(skips.tokens(sample[side][None].float())[0])
    for side, skip in missing.items():
        if found[side]:  # of sound alone there are no pictures, and a later training may bring them
            skip.fit(found[side])
