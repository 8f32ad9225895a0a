"""What struck things sound like: tables of decaying partials, by material and instrument.

Ours: the tables are chosen by ear and spectrum so that kinds differ clearly in pitch range, brightness and length of
ring; the ratios of the bell and of the bars follow what the literature gives for church bells and for tuned marimba
bars, those of the membrane are zeros of Bessel functions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vivace.world.scene import Instrument

PENTATONIC = (0, 2, 4, 7, 9, 12)
MAJOR = (0, 2, 4, 5, 7, 9, 11, 12)
LOWEST_NOTE = 523.25  # Hz, C5: the leftmost bar


@dataclass(frozen=True)
class Partials:
    """Decaying sines and a burst of noise.

    Args:
        frequencies: Hz, [partials].
        ring: seconds to fall by 60 dB, [partials].
        gains: linear, [partials].
        click: gain of the noise of the contact.
        click_range: its lowest and highest frequency, Hz.
        click_seconds: its time constant.
        cutoff: Hz; a contact this soft does not excite much above it.
    """

    frequencies: np.ndarray
    ring: np.ndarray
    gains: np.ndarray
    click: float
    click_range: tuple[float, float]
    click_seconds: float
    cutoff: float


def _partials(
    base: float, ratios: tuple[float, ...], ring: tuple[float, ...], gains: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return base * np.array(ratios), np.array(ring), np.array(gains)


_FLOORS = {
    "wood": _partials(205, (1, 2.07, 3.3, 4.9, 6.8), (0.26, 0.2, 0.15, 0.1, 0.07), (1, 0.75, 0.5, 0.3, 0.18)),
    "metal": _partials(
        470,
        (1, 1.57, 2.31, 3.17, 4.42, 6.05, 8.2),
        (1.3, 1.1, 0.95, 0.8, 0.6, 0.5, 0.35),
        (1, 0.7, 0.8, 0.55, 0.5, 0.35, 0.2),
    ),
    "glass": _partials(1720, (1, 1.58, 2.24, 2.92, 3.67), (0.55, 0.42, 0.34, 0.26, 0.2), (1, 0.8, 0.6, 0.4, 0.3)),
    "rubber": _partials(92, (1, 1.72, 2.6), (0.20, 0.12, 0.08), (1, 0.45, 0.18)),
    "stone": _partials(
        640,
        (1, 1.31, 1.83, 2.42, 3.2, 4.3, 5.6),
        (0.085, 0.075, 0.065, 0.06, 0.05, 0.04, 0.03),
        (1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4),
    ),
}
_FLOOR_CLICK = {
    "wood": (0.30, (300.0, 2600.0), 0.004),
    "metal": (0.35, (1200.0, 7000.0), 0.003),
    "glass": (0.40, (2500.0, 7500.0), 0.002),
    "rubber": (0.10, (100.0, 700.0), 0.006),
    "stone": (0.85, (900.0, 6500.0), 0.004),
}
# The ball's own partials for a radius of 0.1, how much of them is heard, and the contact's cutoff.
_BALLS = {
    "rubber": (_partials(150, (1, 2.1), (0.13, 0.08), (1, 0.4)), 0.42, 2000.0),
    "metal": (_partials(2650, (1, 1.61, 2.2), (0.36, 0.28, 0.2), (1, 0.5, 0.3)), 0.30, 9000.0),
    "glass": (_partials(3600, (1, 1.47), (0.2, 0.13), (1, 0.5)), 0.38, 9000.0),
    "wood": (_partials(880, (1, 2.4), (0.07, 0.05), (1, 0.5)), 0.45, 4200.0),
    "stone": (_partials(1250, (1, 1.9), (0.045, 0.035), (1, 0.6)), 0.50, 6000.0),
}


def ball_partials(material: str, radius: float, floor: str, tuning: float) -> Partials:
    """A ball of `material` and `radius` on a floor: the floor's ring and, more faintly, the ball's own."""
    frequencies, ring, gains = _FLOORS[floor]
    (own, own_ring, own_gains), share, cutoff = _BALLS[material]
    click, click_range, click_seconds = _FLOOR_CLICK[floor]
    # A small ball sounds higher, and weighs too little to move the floor's lowest partials as a large one does.
    size = (0.1 / radius) ** 0.8
    if floor == "rubber":
        share, cutoff = 0.5 * share, min(cutoff, 2500.0)
    return Partials(
        tuning * np.concatenate([frequencies * size**0.25, own * size]),
        np.concatenate([ring, own_ring]),
        np.concatenate([gains, share * own_gains]),
        click * (0.35 if material == "rubber" else 1.0),
        click_range,
        click_seconds,
        cutoff,
    )


def note_frequency(bar: int, bars: int) -> float:
    """Pitch of a xylophone's bar in Hz: pentatonic for up to six bars, major for seven and eight, from C5 upwards."""
    scale = PENTATONIC if bars <= len(PENTATONIC) else MAJOR
    return LOWEST_NOTE * 2 ** (scale[bar] / 12)


def instrument_partials(instrument: Instrument, bar: int, tuning: float) -> Partials:
    """The sound of one stroke on the instrument; a larger one is lower, except the tuned xylophone."""
    pitch = tuning / instrument.size
    ratios: tuple[float, ...]
    rings: tuple[float, ...]
    match instrument.kind:
        case "drum":
            ratios = (1, 1.594, 2.136, 2.296, 2.653, 2.918, 4.4)
            rings = (0.62, 0.42, 0.34, 0.28, 0.24, 0.2, 0.08)
            sines = _partials(128 * pitch, ratios, rings, (1, 0.55, 0.35, 0.25, 0.2, 0.15, 0.12))
            return Partials(*sines, 0.30, (200.0, 2200.0), 0.006, 3500.0)
        case "bell":
            ratios = (0.5, 1, 1.19, 1.5, 2, 2.52, 3.01, 4.1, 5.4)
            rings = (2.6, 2.2, 1.8, 1.3, 1.6, 1.0, 0.7, 0.4, 0.25)
            sines = _partials(860 * pitch, ratios, rings, (0.5, 1, 0.55, 0.25, 0.8, 0.3, 0.35, 0.25, 0.15))
            return Partials(*sines, 0.22, (2500.0, 7500.0), 0.003, 9000.0)
        case "woodblock":
            sines = _partials(980 * pitch, (1, 1.53, 2.6, 4.1), (0.13, 0.1, 0.06, 0.04), (1, 0.6, 0.4, 0.2))
            return Partials(*sines, 0.45, (700.0, 4500.0), 0.003, 7000.0)
    sines = _partials(note_frequency(bar, instrument.bars), (1, 3.93, 9.2), (0.85, 0.22, 0.07), (1, 0.42, 0.16))
    return Partials(*sines, 0.28, (1500.0, 6000.0), 0.003, 8000.0)
