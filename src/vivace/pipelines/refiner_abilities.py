"""What a refiner can do, as its folder says it ("capabilities" in model_index.json)."""

from __future__ import annotations

from fractions import Fraction
from typing import ClassVar

from pydantic import Field

from vivace.errors import VivaceError
from vivace.pipelines.capabilities import PresetHolder
from vivace.sampling.degradation import DEGRADATION
from vivace.sampling.mutual_presets import MutualPreset
from vivace.sampling.presets import Scale
from vivace.sampling.settings_checks import is_number
from vivace.timeline import MAX_SECONDS, as_rate

# How far a size that is asked for may depart from the clip's shape: to the next even number, not to another picture.
STRETCH = 0.02


class RefinerCapabilities(PresetHolder[MutualPreset]):
    """A refiner's abilities; the defaults are for one of the published size.

    Args:
        name: what messages call it.
        scale: how much larger sides become when nothing else is asked for.
        smallest_scale, largest_scale: limits of that.
        scales: that it was trained for; others are possible and announced.
        smallest_source: least side of a clip that it takes (pixels).
        largest_side: limit of what it makes (pixels).
        fps: frame rates that it was trained for.
        longest_seconds: limit of a clip's length.
        degradation: share of noise in the start, unless a call says otherwise.
        presets, preset: sampling presets by name, and the default one's; only what they say of video counts.
    """

    KIND: ClassVar[str] = "refiner"

    name: str = "this refiner"
    scale: float = Field(2.25, gt=0)
    smallest_scale: float = Field(1.0, gt=0)
    largest_scale: float = Field(4.0, gt=0)
    scales: tuple[float, ...] = ()
    smallest_source: int = Field(64, ge=16)
    largest_side: int = Field(1920, ge=16)
    fps: tuple[float, ...] = Field((24.0,), min_length=1)
    longest_seconds: float = Field(10.0, gt=0, le=MAX_SECONDS)
    degradation: float = Field(DEGRADATION, ge=0, le=1)
    presets: dict[str, MutualPreset] = Field(
        # Half of the base's 25 steps, and weak guidance: the start already says what is seen.
        default_factory=lambda: {
            "full": MutualPreset(
                steps=12, text=Scale(video=2.5, audio=1.0), mutual=Scale(video=1.0, audio=1.0), solver="euler"
            )
        }
    )
    preset: str = "full"

    def check_clip(self, width: int, height: int, fps: Fraction, seconds: Fraction) -> None:
        """Raises VivaceError for a clip whose size, rate or length it cannot take."""
        if min(width, height) < self.smallest_source:
            raise VivaceError(
                f"The clip has pictures of {width}x{height} and {self.name} takes sides from {self.smallest_source}; "
                "give a larger clip."
            )
        if fps not in [as_rate(rate) for rate in self.fps]:
            rates = " or ".join(f"{rate:g}" for rate in self.fps)
            raise VivaceError(
                f"The clip has {float(fps):g} pictures a second and {self.name} refines {rates}; convert it first."
            )
        if seconds > self.longest_seconds + 0.25:  # codecs count in fours, so that clips last a few pictures more
            raise VivaceError(
                f"The clip lasts {float(seconds):.2f} s and {self.name} refines up to {self.longest_seconds:g} s; "
                "cut it first."
            )

    def target(
        self, source: tuple[int, int], scale: float | None, width: int | None, height: int | None
    ) -> tuple[int, int]:
        """(width, height) that a clip of the size `source` gets; even, because video files ask for that.

        Raises:
            VivaceError: a scale and a size together, half a size, one of another shape, odd or out of range.
        """
        if scale is not None and (width is not None or height is not None):
            raise VivaceError("A scale and a size were both given; give one of them.")
        if (width is None) != (height is None):
            raise VivaceError("A size has two sides and one was given; give width and height, or a scale.")
        low, high = self.smallest_scale, self.largest_scale
        if width is None or height is None:
            factor = self.scale if scale is None else scale
            if not is_number(factor) or not low <= factor <= high:
                raise VivaceError(f"scale {factor!r} is not possible with {self.name}; give {low:g} to {high:g}.")
            sides = (2 * round(source[0] * factor / 2), 2 * round(source[1] * factor / 2))
        else:
            sides = (width, height)
            factors = [side / of for side, of in zip(sides, source, strict=True)]
            near = "{}x{}".format(*(2 * round(side * factors[0] / 2) for side in source))
            if any(side % 2 for side in sides) or abs(factors[1] / factors[0] - 1) > STRETCH:
                raise VivaceError(
                    f"Size {width}x{height} is odd or not of the shape of the clip, {source[0]}x{source[1]}; "
                    f"give one such as {near}."
                )
            if not all(low * (1 - STRETCH) <= factor <= high * (1 + STRETCH) for factor in factors):
                raise VivaceError(
                    f"Size {width}x{height} is {factors[0]:.2f} times the clip's, and {self.name} makes sides "
                    f"{low:g} to {high:g} times larger; give one within that."
                )
        if max(sides) > self.largest_side:
            raise VivaceError(
                f"Pictures of {sides[0]}x{sides[1]} are larger than {self.name} makes; "
                f"sides go up to {self.largest_side}, so give a smaller scale."
            )
        return sides

    def notes(self, source: tuple[int, int], target: tuple[int, int]) -> list[str]:
        """Sentences that a user should see: what is asked for outside of what the refiner was trained on."""
        factor = target[0] / source[0]
        if not self.scales or any(abs(factor / known - 1) <= STRETCH for known in self.scales):
            return []
        known = " and ".join(f"{scale:g}" for scale in self.scales)
        return [f"{self.name} was trained to enlarge by {known}; {factor:.3g} may look worse."]
