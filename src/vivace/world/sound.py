"""A scene's sound at any sample rate: modal synthesis of each event at its exact time, panned to its place."""

from __future__ import annotations

import math

import numpy as np

from vivace.timeline import Timeline
from vivace.world.ambience import ambience_sound
from vivace.world.cast import Talk
from vivace.world.happenings import Happening, happenings
from vivace.world.layout import view_at
from vivace.world.scene import Scene
from vivace.world.shots import FADE, spans
from vivace.world.talk import spoken_line
from vivace.world.timbre import Partials, ball_partials, instrument_partials
from vivace.world.vehicle import vehicle_sound

EFFECT_LEVEL = 0.55  # of events beside somebody who speaks, so that both are heard
ATTACK = 0.0006  # seconds; the rise of every event
_NOISE_SINES = 28
_BLOCK = 64
_SILENCE = 1e-4  # a partial below this share of its start is not computed further
# Early reflections of a small room: delay s, gain, and whether left and right change places.
_REFLECTIONS = ((0.0113, 0.085, True), (0.0187, 0.065, False), (0.0291, 0.05, True), (0.0437, 0.035, False))


def render_audio(scene: Scene, timeline: Timeline) -> np.ndarray:
    """The scene's sound, float32 stereo [2, timeline.samples] in [-1, 1] at `timeline.sample_rate`.

    Events start at exact fractions of a sample. Each is panned with constant power to where it is on screen (the
    camera's moves included), its strength and brightness follow the speed of the impact, and what still rings at the
    clip's end is cut there. The loudest sample has the scene's `level`; ambient sounds and vehicles are as loud as
    they are, below it.
    """
    return _sound(scene, timeline.samples, timeline.sample_rate, 0.0).astype(np.float32)


def _sound(scene: Scene, samples: int, rate: int, begin: float) -> np.ndarray:
    """The scene's sound [2, samples], of which the first sample is `begin` seconds after the scene's own beginning."""
    if scene.silent:
        return np.zeros((2, samples))
    if scene.shots:
        return _cut_together(scene, samples, rate)
    if scene.ambience is not None:
        return scene.level * ambience_sound(scene.ambience, samples, rate)
    if scene.vehicle is not None:
        return scene.level * vehicle_sound(scene.vehicle, samples, rate)
    loudness = 1.0 if scene.talk is None else EFFECT_LEVEL
    sound = np.zeros((2, samples))
    for number, event in enumerate(happenings(scene, begin + samples / rate)):
        start = max(math.ceil((event.time - begin) * rate), 0)
        if start >= samples:
            continue
        rng = np.random.default_rng([scene.seed, scene.stage.decor_seed, number])
        offset = start / rate + begin - event.time
        mono = strike(_partials(scene, event), event.strength, offset, samples - start, rate, rng)
        sound[:, start : start + len(mono)] += loudness * panned(mono, screen_x(scene, event))
    if scene.talk is not None:
        _add_speech(sound, scene, scene.talk, rate, begin)
    for delay, gain, crossed in _REFLECTIONS:
        shift = round(delay * rate)
        if shift < samples:
            dry = sound[::-1] if crossed else sound
            sound[:, shift:] += scene.room * gain * dry[:, : samples - shift].copy()
    peak = float(np.abs(sound).max(initial=0.0))
    return sound * (scene.level / peak if peak > 0 else 1.0)


def _cut_together(scene: Scene, samples: int, rate: int) -> np.ndarray:
    """Every shot's own sound from its cut to the next, [2, samples]."""
    sound = np.zeros((2, samples))
    for shot in spans(scene, samples / rate):
        first, last = math.ceil(shot.start * rate), min(math.ceil(shot.end * rate), samples)
        sound[:, first:last] = _sound(shot.scene, last - first, rate, first / rate - shot.start)
        if last < samples:
            ending = min(round(FADE * rate), last - first)
            sound[:, last - ending : last] *= np.linspace(1, 0, ending)
    return sound


def _add_speech(sound: np.ndarray, scene: Scene, talk: Talk, rate: int, begin: float) -> None:
    """Add every line to `sound` [2, N], which begins `begin` seconds into the scene, panned to where its speaker is."""
    for number, line in enumerate(talk.lines):
        spoken = spoken_line(talk, number, scene.seed, rate)
        start = round((line.start + spoken.start - begin) * rate)
        view = view_at(scene, line.start + spoken.utterance.seconds / 2, 2, 2)
        x = float(np.clip(view.column(talk.characters[line.speaker].x) - 1, -1, 1))
        first, last = max(start, 0), min(start + len(spoken.sound), sound.shape[1])
        if first < last:
            sound[:, first:last] += panned(spoken.sound[first - start : last - start], x)


def screen_x(scene: Scene, event: Happening) -> float:
    """x of the event in [-1, 1] of the picture at its time."""
    view = view_at(scene, event.time, 2, 2)
    return float(np.clip(view.column(event.x) - 1, -1, 1))


def panned(mono: np.ndarray, x: float) -> np.ndarray:
    """Constant-power stereo [2, N] of a sound at screen x in [-1, 1]; the far side always hears a little."""
    angle = (1 + 0.92 * x) * math.pi / 4
    return np.stack([math.cos(angle) * mono, math.sin(angle) * mono])


def _partials(scene: Scene, event: Happening) -> Partials:
    if scene.instrument is not None:
        return instrument_partials(scene.instrument, event.bar, scene.tuning)
    ball = scene.balls[event.object]
    return ball_partials(ball.material, ball.radius, scene.stage.floor, scene.tuning)


def strike(
    partials: Partials, strength: float, offset: float, samples: int, rate: int, rng: np.random.Generator
) -> np.ndarray:
    """One event with peak `strength`, [at most `samples`]; its first sample is `offset` seconds after the contact."""
    # Harder contacts are shorter and so reach higher.
    cutoff = partials.cutoff * (0.45 + 0.55 * strength)
    tilt = 1 / np.sqrt(1 + (partials.frequencies / cutoff) ** 4)
    low, high = partials.click_range
    noise = low * (high / low) ** rng.random(_NOISE_SINES)
    frequencies = np.concatenate([partials.frequencies, noise])
    gains = np.concatenate([partials.gains * tilt, np.full(_NOISE_SINES, partials.click / math.sqrt(_NOISE_SINES))])
    decays = np.concatenate([math.log(1000) / partials.ring, np.full(_NOISE_SINES, 1 / partials.click_seconds)])
    phases = np.concatenate([np.zeros(len(partials.frequencies)), rng.uniform(0, 2 * math.pi, _NOISE_SINES)])
    heard = frequencies < 0.47 * rate
    sound = _ring(frequencies[heard], decays[heard], gains[heard], phases[heard], offset, samples, rate)
    rising = min(len(sound), math.ceil(ATTACK * rate))
    sound[:rising] *= np.minimum((offset + np.arange(rising) / rate) / ATTACK, 1.0)
    return sound * (strength / max(float(np.abs(sound).max(initial=0.0)), 1e-9))


def _ring(
    frequencies: np.ndarray,
    decays: np.ndarray,
    gains: np.ndarray,
    phases: np.ndarray,
    offset: float,
    samples: int,
    rate: int,
) -> np.ndarray:
    """Sum of gain * exp(-decay t) * sin(2 pi f t + phase) from t = offset, until the slowest has died away.

    exp(s t) with t = (64 a + b) / rate is a product over a and b, so the whole sum is one small matrix product.
    """
    length = min(samples, math.ceil(-math.log(_SILENCE) / float(decays.min()) * rate))
    exponents = -decays + 2j * math.pi * frequencies
    start = gains * np.exp(1j * phases + exponents * offset)
    blocks = np.arange(math.ceil(length / _BLOCK)) * (_BLOCK / rate)
    coarse = np.exp(blocks[:, None] * exponents) * start
    fine = np.exp(exponents[:, None] * (np.arange(_BLOCK) / rate))
    return (coarse @ fine).imag.reshape(-1)[:length].copy()
