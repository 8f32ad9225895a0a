"""The faults of footage, each as it happens to real footage and of a strength that a viewer would notice."""

from __future__ import annotations

import numpy as np

from vivace.world.footage_letters import GLYPHS, lettering
from vivace.world.footage_marks import MARKS, draw_mark, laid

PICTURE_FAULTS: tuple[str, ...] = (
    "overlay",
    "letterboxed",
    "black",
    "frozen",
    "still",
    "hectic",
    "blurred",
    "noisy",
    "blocky",
    "dark",
    "bright",
    "flickering",
    "flat",
)
SOUND_FAULTS: tuple[str, ...] = ("silent", "clipped", "hissing", "dull", "music", "shifted")
# Not among those that are drawn by default, so that what was drawn before stays as it was.
MORE_PICTURE_FAULTS: tuple[str, ...] = MARKS
MORE_SOUND_FAULTS: tuple[str, ...] = ("silent-part",)


def faulty_picture(rng: np.random.Generator, frames: np.ndarray, fault: str) -> np.ndarray:
    """Pictures uint8 [T, H, W, 3] with one of `PICTURE_FAULTS` or `MORE_PICTURE_FAULTS`."""
    count, height = frames.shape[:2]
    match fault:
        case "overlay":
            return _overlaid(rng, frames)
        case "letterboxed":
            bar = round(height * rng.uniform(0.1, 0.16))
            cut = frames.copy()
            cut[:, :bar] = cut[:, height - bar :] = 0
            return cut
        case "black":
            begin, length = count // 3, max(round(0.5 * 24), count // 4)
            gone = frames.copy()
            gone[begin : begin + length] = 0
            return gone
        case "frozen":
            begin = count // 6
            held = frames.copy()
            held[begin:] = frames[begin]
            return held
        case "still":
            # Not a single picture moves, and only a codec's noise changes.
            return np.repeat(frames[:1], count, axis=0)
        case "hectic":
            reach = round(0.12 * height)
            shifts = rng.integers(-reach, reach + 1, size=(count, 2))
            return np.stack([np.roll(f, tuple(s), axis=(0, 1)) for f, s in zip(frames, shifts, strict=True)])
        case "blurred":
            return _blurred(frames, height * rng.uniform(0.018, 0.03))
        case "noisy":
            noise = rng.normal(0, rng.uniform(12, 20), frames.shape)
            return np.clip(frames + noise, 0, 255).astype(np.uint8)
        case "blocky":
            return _blocky(frames, rng.uniform(120, 200))
        case "dark":
            return (frames * rng.uniform(0.18, 0.24)).astype(np.uint8)
        case "bright":
            return np.clip(frames * rng.uniform(1.8, 2.4) + 40, 0, 255).astype(np.uint8)
        case "flickering":
            swing = 1 + rng.uniform(0.1, 0.2) * np.where(np.arange(count) % 2, 1, -1)
            return np.clip(frames * swing[:, None, None, None], 0, 255).astype(np.uint8)
        case "flat":
            return (128 + (frames.astype(np.float32) - 128) * rng.uniform(0.06, 0.1)).astype(np.uint8)
        case "logo" | "watermark":
            return laid(draw_mark(rng, fault, height, frames.shape[2]), frames)
    raise ValueError(fault)


def faulty_sound(rng: np.random.Generator, audio: np.ndarray, rate: int, fault: str) -> np.ndarray:
    """Sound float32 [C, N] with one of `SOUND_FAULTS` or `MORE_SOUND_FAULTS`.

    "shifted" is made where the pictures are known.
    """
    count = audio.shape[1]
    match fault:
        case "silent":
            return np.zeros_like(audio)
        case "silent-part":
            begin, length = rng.uniform(0.2, 0.4), rng.uniform(0.4, 0.55)
            gone = audio.copy()
            gone[:, round(begin * count) : round((begin + length) * count)] = 0
            return gone
        case "clipped":
            peak = max(float(np.abs(audio).max()), 1e-3)
            return np.clip(audio / peak * rng.uniform(10, 20), -1, 1).astype(np.float32)
        case "hissing":
            noise = rng.normal(0, rng.uniform(0.06, 0.12), audio.shape)
            return np.clip(0.7 * audio + noise, -1, 1).astype(np.float32)
        case "dull":
            spectrum = np.fft.rfft(audio, axis=1)
            spectrum[:, np.fft.rfftfreq(count, 1 / rate) > rng.uniform(1500, 2500)] = 0
            return np.fft.irfft(spectrum, count, axis=1).astype(np.float32)
        case "music":
            return np.clip(0.5 * audio + music_bed(rng, count, rate), -1, 1).astype(np.float32)
    raise ValueError(fault)


def music_bed(rng: np.random.Generator, samples: int, rate: int) -> np.ndarray:
    """Held chords of a soft organ that change every second or so, float [N]."""
    times = np.arange(samples) / rate
    out = np.zeros(samples)
    root = 196.0 * 2 ** (rng.integers(0, 7) / 12)
    length = rng.uniform(0.8, 1.4)
    for number in range(int(times[-1] / length) + 1 if samples else 0):
        inside = (times >= number * length) & (times < (number + 1) * length)
        step = float(rng.choice([0, 5, 7, 9]))
        for note in (0, 4, 7):
            hertz = root * 2 ** ((step + note) / 12)
            for k, level in ((1, 1.0), (2, 0.5), (3, 0.25)):
                out[inside] += level * np.sin(2 * np.pi * k * hertz * times[inside])
    return 0.18 * out / max(float(np.abs(out).max(initial=0.0)), 1e-9) * 1.5


def _overlaid(rng: np.random.Generator, frames: np.ndarray) -> np.ndarray:
    """A line of lettering at the lower or upper edge, as subtitles and watermarks stand."""
    height, width = frames.shape[1:3]
    dot = max(1, round(height * 0.012))
    letters = rng.choice(list(GLYPHS), size=max(3, int(0.8 * width / (6 * dot))))
    ink = lettering(list(letters), dot)
    ink = ink[:, :width]
    top = round(height * (0.82 if rng.random() < 0.7 else 0.06))
    left = max(0, (width - ink.shape[1]) // 2)
    written = frames.copy()
    place = written[:, top : top + ink.shape[0], left : left + ink.shape[1]]
    shade = np.pad(ink, 1)[:-2, :-2]
    place[:, shade[: place.shape[1], : place.shape[2]]] = 10
    place[:, ink[: place.shape[1], : place.shape[2]]] = 250
    return written


def _blurred(frames: np.ndarray, deviation: float) -> np.ndarray:
    reach = int(3 * deviation) + 1
    bell = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    bell /= bell.sum()
    found = frames.astype(np.float32)
    for axis in (1, 2):
        padded = np.pad(found, [(reach, reach) if a == axis else (0, 0) for a in range(4)], mode="edge")
        size = frames.shape[axis]
        found = np.add.reduce([w * np.take(padded, range(k, k + size), axis) for k, w in enumerate(bell)])
    return found.round().clip(0, 255).astype(np.uint8)


def _blocky(frames: np.ndarray, step: float) -> np.ndarray:
    """Each 8 x 8 block through a cosine transform whose coefficients are rounded to multiples of `step`."""
    k, n = np.mgrid[0:8, 0:8]
    basis = np.cos(np.pi * (2 * n + 1) * k / 16) * np.where(k == 0, np.sqrt(1 / 8), np.sqrt(2 / 8))
    count, height, width, _ = frames.shape
    tall, broad = height // 8, width // 8
    part = frames[:, : tall * 8, : broad * 8].astype(np.float32) - 128
    blocks = part.reshape(count, tall, 8, broad, 8, 3)
    low = np.einsum("ki,tyixjc,lj->tykxlc", basis, blocks, basis, optimize=True)
    weight = step * (0.25 + 0.75 * np.minimum((k + n) / 4, 1))[None, None, :, None, :, None]
    back = np.einsum("ki,tykxlc,lj->tyixjc", basis, np.round(low / weight) * weight, basis, optimize=True)
    found = frames.copy()
    found[:, : tall * 8, : broad * 8] = np.clip(back.reshape(part.shape) + 128, 0, 255).astype(np.uint8)
    return found
