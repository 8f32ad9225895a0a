"""Detectors that measure an amount: beside amounts that were put into true clips, or that the world knows."""

from __future__ import annotations

import numpy as np
from benchmarks.detector_table.conditions import PICTURES, SOUNDS, degraded_pictures, degraded_sound, drawn
from benchmarks.detector_table.events import truth_of
from benchmarks.detector_table.tally import Tallies
from scipy.ndimage import gaussian_filter

from vivace.evaluation.prompts import WorldItem
from vivace.media import Clip
from vivace.perception.band_limit import band_limit
from vivace.perception.blocking import measure_blocking
from vivace.perception.clipping import detect_clipping
from vivace.perception.exposure import measure_exposure
from vivace.perception.flicker import measure_flicker
from vivace.perception.flow import measure_flow
from vivace.perception.grain import measure_grain
from vivace.perception.lip_sync import lip_sync, sounding_opening, speaking
from vivace.perception.lips import mouths
from vivace.perception.loudness import measure_loudness
from vivace.perception.luma import luma
from vivace.perception.noise_floor import measure_noise_floor
from vivace.perception.pitch import track_pitch
from vivace.perception.sharpness import measure_sharpness
from vivace.perception.voices import voice_vector
from vivace.training.utterances import SpeechSource, speech
from vivace.world.footage_faults import faulty_picture

GAINS = (-18.0, -9.0, -3.0)  # dB
NOISES = (-55.0, -45.0, -35.0, -25.0)  # dBFS
LIMITS = (2000.0, 3000.0, 4500.0, 6000.0)  # Hz
LIGHTS = (0.3, 0.6, 0.85)
BLURS = (0.0, 0.7, 1.4, 2.8)  # pixels
GRAINS = (2.0, 5.0, 10.0)  # of 255
FLICKERS = (1.0, 3.0, 6.0)  # of 255
SPEEDS = (0.5, 1.0, 2.0)  # pixels from picture to picture


def of_sound(name: str, clip: Clip, tallies: Tallies) -> None:
    """Loudness, noise floor, clipping and band limit."""
    assert clip.audio is not None
    audio, rate = clip.audio, clip.sample_rate
    loud = measure_loudness(audio, rate).integrated
    for gain in GAINS:
        found = measure_loudness(audio * 10 ** (gain / 20), rate).integrated
        if loud is not None:
            tallies.value("loudness", "made quieter", "LU").add(loud + gain, found)
    for level in NOISES:
        noise = drawn(name, f"{level}").normal(0.0, 10 ** (level / 20), audio.shape)
        tallies.value("noise floor", "white noise added", "dB").add(
            level, measure_noise_floor(audio + noise, rate).floor
        )
    for part in (0.5, 0.7, 0.9):
        top = part * float(np.abs(audio).max())
        cut = np.clip(audio, -top, top)
        tallies.value("clipping", "cut at 50 to 90 % of the peak", "share of samples").add(
            float((np.abs(audio) > top).mean()), detect_clipping(cut, rate).share
        )
    spectrum = np.fft.rfft(audio + drawn(name, "floor").normal(0, 1e-3, audio.shape), axis=1)
    for limit in LIMITS:
        low = np.where(np.fft.rfftfreq(audio.shape[1], 1 / rate) > limit, 0.0, spectrum)
        found = band_limit(np.fft.irfft(low, audio.shape[1], axis=1), rate)
        tallies.value("band limit", "cut from 2 to 6 kHz on", "Hz").add(limit, found)


def of_pictures(name: str, clip: Clip, tallies: Tallies) -> None:
    """Light, sharpness, noise, blocks, flicker and motion."""
    frames, fps = clip.frames, float(clip.fps)
    assert frames is not None
    for light in LIGHTS:
        darker = (frames * light).astype(np.uint8)
        tallies.value("exposure, mean", "darker", "of 255").add(
            float(luma(darker).mean()), measure_exposure(darker).brightness
        )
    for blur in BLURS:
        blurred = np.stack([gaussian_filter(frame.astype(np.float32), (blur, blur, 0)) for frame in frames[::8]])
        tallies.value("sharpness", "blurred").add(-blur, measure_sharpness(blurred.round().astype(np.uint8)))
    for grain in GRAINS:
        noise = drawn(name, f"{grain}").normal(0.0, grain, frames.shape[:3])[..., None]
        noisy = (frames + noise).clip(0, 255).astype(np.uint8)
        # Noise of brightness alone, which is what the detector states.
        tallies.value("grain", "noise of brightness added", "of 255").add(grain, measure_grain(noisy))
    for number, fault in enumerate(("clean", "blocky")):
        shown = frames if fault == "clean" else faulty_picture(drawn(name, fault), frames, fault)
        tallies.value("blocking", "clean and blocky").add(number, measure_blocking(shown))
    for swing in FLICKERS:
        sign = np.where(np.arange(len(frames)) % 2, swing, -swing)[:, None, None, None]
        lit = (np.clip(frames, 8, 247) + sign).clip(0, 255).astype(np.uint8)
        tallies.value("flicker", "light that alternates", "of 255").add(swing, measure_flicker(lit, fps))
    height, width = frames.shape[1:3]
    big = np.kron(frames[0].mean(axis=-1)[::2, ::2], np.ones((6, 6)))  # three times as large
    big = gaussian_filter(big, 2.0) + drawn(name, "texture").normal(0, 20, big.shape)
    big = gaussian_filter(big, 1.0)
    big = (255 * (big - big.min()) / np.ptp(big)).astype(np.uint8)
    for speed in SPEEDS:
        places = [round(8 + 2 * speed * n) for n in range(24)]
        # Every second pixel of a window that moves twice as fast: half pixels become whole ones.
        shown = np.stack([big[8 : 8 + 2 * height : 2, x : x + 2 * width : 2] for x in places])
        flow = measure_flow(np.repeat(shown[..., None], 3, axis=-1), fps)
        tallies.value("motion", "a textured picture that moves as a whole", "sides per second").add(
            speed * fps / min(height, width), float(flow.speed.mean())
        )


def of_lips(name: str, item: WorldItem, clip: Clip, tallies: Tallies) -> None:
    """Faces and how open their mouths are, who speaks, and lips against the voice."""
    assert clip.frames is not None
    assert clip.audio is not None
    talk, fps = truth_of(item).talk, float(clip.fps)
    assert talk is not None
    heard = sounding_opening(clip.audio, clip.sample_rate)
    for condition in PICTURES:
        found = mouths(degraded_pictures(name, clip.frames, condition))
        tallies.of("faces", condition).add_steps(*_as_many(len(talk.speakers), len(found)))
        sync = lip_sync(found, heard, fps)
        tallies.value("lips against voice, lag", condition, "ms").add(0.0, None if sync is None else 1000 * sync.lag)
        matched = len(found) == len(talk.speakers)
        if matched:
            for mouth, speaker in zip(found, talk.speakers, strict=True):
                away = np.hypot(*(np.array([mouth.x, mouth.y]) - np.mean(speaker.mouth, axis=0)))
                tallies.value("mouth's place", condition, "picture widths").add(0.0, float(away) / 2)
                for true, seen in zip(speaker.opening, mouth.opening, strict=True):
                    tallies.value("mouth's opening", condition, "of the widest").add(true, seen)
        for line in talk.lines if len(talk.speakers) == 2 else ():
            who = speaking(found, line.start, line.end, fps) if matched else None
            tallies.of("who speaks, of two", condition).add_choice(line.speaker, who)


def _as_many(true: int, found: int) -> tuple[np.ndarray, np.ndarray]:
    places = np.arange(max(true, found))
    return places < true, places < found


def of_voices(count: int, tallies: Tallies) -> None:
    """The fundamental of single utterances, and whether two of one voice are nearer than two of different voices."""
    source = SpeechSource(voices=max(count // 2, 3), utterances=3, split="val", seed=5)
    said = speech(source)
    for condition in SOUNDS:
        vectors = []
        for number, one in enumerate(said):
            sound = degraded_sound(f"voice {number}", one.sound[None], 16000, condition)
            pitch = track_pitch(sound, 16000).median()
            cents = None if pitch is None else 1200.0 * float(np.log2(pitch / one.pitch))
            tallies.value("fundamental", condition, "cents").add(0.0, cents)
            vectors.append(voice_vector(sound, 16000))
        likeness = np.stack(vectors) @ np.stack(vectors).T
        voices = np.array([one.voice for one in said])
        for first in range(len(said)):
            own = np.flatnonzero((voices == voices[first]) & (np.arange(len(said)) != first))
            others = np.flatnonzero(voices != voices[first])
            nearer = likeness[first, own][:, None] > likeness[first, others][None]
            tallies.of("voice nearer to its own", condition).add_steps(np.ones(nearer.size, bool), nearer.ravel())
