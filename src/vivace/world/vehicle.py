"""A vehicle that passes: its motion in closed form, and its sound with exact Doppler shift, pan and loudness.

The listener stands at the camera, `DISTANCE` metres from the lane. Sound takes its time to arrive; ours: less the time
from the nearest point, so that the passing is seen and heard at the same instant, as film makers lay it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.signal import butter, sosfilt

from vivace.world.scene import Vehicle
from vivace.world.sound_shapes import wandering

VEHICLES: tuple[str, ...] = ("car", "van", "bus", "truck")
HALF_VIEW = 7.0  # metres from the middle of the picture to its side, on the lane
DISTANCE = 7.0  # metres from the camera to the lane
SOUND_SPEED = 343.0  # m/s
SPEEDS = (9.0, 21.0)  # m/s
# Engine note at rest, Hz; how fast its harmonics fall; roughness; share of tyre noise.
_ENGINES = {
    "car": ((118.0, 150.0), 0.9, 0.10, 0.36),
    "van": ((88.0, 108.0), 0.75, 0.22, 0.30),
    "bus": ((66.0, 80.0), 0.7, 0.16, 0.26),
    "truck": ((48.0, 59.0), 0.55, 0.45, 0.28),
}
_HARMONICS = 40
_TABLE = 4096


def engine_notes(kind: str) -> tuple[float, float]:
    """The range of the engine's note at rest in Hz."""
    return _ENGINES[kind][0]


def vehicle_x(vehicle: Vehicle, times: np.ndarray | float) -> np.ndarray:
    """x of the vehicle's middle at `times` (seconds), in [-1, 1] while it is in the picture."""
    return vehicle.direction * vehicle.speed / HALF_VIEW * (np.asarray(times) - vehicle.passing)


@dataclass(frozen=True)
class Arrival:
    """What reaches the listener at each moment: when it was emitted (s), from which x, its distance (m); each [N]."""

    emitted: np.ndarray
    x: np.ndarray
    distance: np.ndarray


def arrival(vehicle: Vehicle, times: np.ndarray) -> Arrival:
    """The sound that arrives at `times`: emission time e with times = e + (distance(e) - DISTANCE) / SOUND_SPEED."""
    c, v = SOUND_SPEED, vehicle.speed
    heard = times - vehicle.passing + DISTANCE / c
    # (c (heard - s))^2 = DISTANCE^2 + (v s)^2, the root before `heard`.
    gap = c**2 - v**2
    since = (c**2 * heard - np.sqrt(c**4 * heard**2 - gap * (c**2 * heard**2 - DISTANCE**2))) / gap
    emitted = vehicle.passing + since
    return Arrival(emitted, vehicle_x(vehicle, emitted), np.hypot(DISTANCE, v * since))


def doppler(vehicle: Vehicle, times: np.ndarray) -> np.ndarray:
    """Factor on every frequency of the vehicle as heard at `times`, [N]; 1 just as it passes."""
    came = arrival(vehicle, times)
    since = came.emitted - vehicle.passing
    return 1 / (1 + vehicle.speed**2 * since / (came.distance * SOUND_SPEED))


def vehicle_sound(vehicle: Vehicle, samples: int, rate: int) -> np.ndarray:
    """The passing as heard from the camera, [2, samples] at `rate` Hz and level 1."""
    _, fall, roughness, tyres = _ENGINES[vehicle.kind]
    rng = np.random.default_rng([73, vehicle.grain])
    came = arrival(vehicle, np.arange(samples) / rate)
    cycles = vehicle.engine * came.emitted
    number = np.arange(1, _HARMONICS + 1)
    gains = number**-fall / (1 + (number * vehicle.engine / 1400.0) ** 2)
    turns = np.arange(_TABLE + 1) / _TABLE
    table = gains @ np.sin(2 * math.pi * (np.outer(number, turns) + rng.random(_HARMONICS)[:, None]))
    table /= np.abs(table).max()
    engine = np.interp(cycles % 1.0, turns, table)
    # Every second stroke is weaker: the rumble an octave below the note.
    engine *= 1 - roughness * (0.5 + 0.5 * np.sin(math.pi * cycles))
    engine *= 1 + 0.1 * wandering(rng, samples, rate, 6.0)
    # The level of the channels says where the sound comes from, so they share one noise.
    road = butter(1, (500.0, min(2200.0, 0.46 * rate)), btype="bandpass", fs=rate, output="sos")
    noise = sosfilt(road, rng.standard_normal(samples))
    # Ours: twice the inverse distance law, for a passing that stands out in two seconds.
    near = (DISTANCE / came.distance) ** 2
    mono = near * (0.85 * (1 - 0.5 * tyres) * engine + 0.42 * tyres * noise)
    angle = (1 + 0.92 * np.clip(came.x, -1, 1)) * math.pi / 4
    return np.stack([np.cos(angle) * mono, np.sin(angle) * mono])
