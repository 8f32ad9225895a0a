"""Sound quality: silence, clipping, noise, band limit, loudness, a music bed."""

from __future__ import annotations

from typing import ClassVar

from vivace.curation.clip import Clip, Rejected
from vivace.curation.stage import Bound, StageSettings


class SoundSettings(StageSettings):
    """Bounds: silent, clipped, dull, too_loud, hissing, music. With `music` switched off, clips with a music bed come
    as far as `balance`, which keeps them at the share that its setting `music` allows."""

    DEFAULT_BOUNDS: ClassVar = {
        "silent": Bound(column="sound.loudest", least=-45.0),
        "clipped": Bound(column="sound.flat_tops", most=1.0),
        "dull": Bound(column="sound.band_limit", least=5000.0),
        "too_loud": Bound(column="sound.true_peak", most=3.0),
        "music": Bound(column="sound.tonal", most=0.65),
        # After music, whose held notes leave as little between loud and quiet as noise does.
        "hissing": Bound(column="sound.span", least=12.0),
    }


class Sound:
    """All figures of the sound."""

    name: ClassVar[str] = "sound"
    version: ClassVar[int] = 2
    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, settings: SoundSettings) -> None:
        self.settings = settings

    def measure(self, clip: Clip) -> Clip | Rejected:
        from vivace.perception.band_limit import band_limit
        from vivace.perception.clipping import detect_clipping
        from vivace.perception.loudness import measure_loudness
        from vivace.perception.music import tonal_share
        from vivace.perception.noise_floor import measure_noise_floor
        from vivace.perception.silence import loudest

        material = clip.material()
        if material.audio is None:
            return Rejected("no_sound")
        audio, rate = material.audio, material.sample_rate
        loudness, clipping = measure_loudness(audio, rate), detect_clipping(audio, rate)
        noise = measure_noise_floor(audio, rate)
        limit = band_limit(audio, rate)
        return clip.with_columns(
            self.name,
            loudest=round(loudest(audio, rate), 3),
            loudness=None if loudness.integrated is None else round(loudness.integrated, 3),
            true_peak=round(loudness.true_peak, 3),
            clipped=round(clipping.share, 6),
            flat_tops=round(clipping.runs_per_second, 3),
            full_scale=round(clipping.full_scale, 6),
            floor=round(noise.floor, 3),
            span=round(noise.span, 3),
            band_limit=None if limit is None else round(limit, 1),
            tonal=round(tonal_share(audio, rate), 4),
        )
