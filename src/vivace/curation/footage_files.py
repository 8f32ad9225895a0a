"""Faulty footage of the world as files, with its truth beside it: what curation is tried and measured on."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from vivace.curation.captioner import SUFFIX
from vivace.media import Clip, peak_limited, replacing, write_clip
from vivace.world.footage import FAULTS, Footage, Variety, chained, make_footage
from vivace.world.footage_marks import MARKS, draw_mark, laid

TRUTH = "truth.json"
# What happens to whole files, each to one file in so many; the first of each is near the beginning.
FILE_FAULTS = ("duplicate", "truncated", "corrupt", "no_video", "no_sound")
# Copies that differ by more than size and loudness: without their ends, mirrored, with a mark over the whole file.
NEAR_DUPLICATES = ("trimmed", "mirrored", *MARKS)
TRIMMED = 12  # pictures that a trimmed copy lacks at either end


def write_footage(
    folder: Path,
    files: int,
    seed: int = 0,
    *,
    shots: int = 5,
    faulty: float = 0.5,
    size: int = 128,
    faults: tuple[str, ...] = FAULTS,
    file_faults: bool = True,
    companions: tuple[str, ...] = FILE_FAULTS,
    variety: Variety = Variety(),
    parts: int = 1,
) -> dict[str, Any]:
    """Write `files` videos of sound shots and faulty ones, some broken files among them, and `truth.json`.

    Args:
        seed: of the first file; the next has the next.
        file_faults: whether every second file has a faulty companion. companions: which, in turn: a resized copy with
            another loudness, a file cut short, one with broken bytes, one that is no video, one without sound; and of
            `NEAR_DUPLICATES` a copy without its ends, one with left and right exchanged, one under a logo or watermark.
        parts: as much footage, each with a seed of its own, is joined to one long file.

    Returns:
        what stands in truth.json: per name of a file its shots and its own fault, and what it duplicates.
    """
    truth: dict[str, Any] = {}
    for number in range(files):
        first = seed + number * parts
        made = chained([make_footage(first + k, shots, faulty, size, faults, variety) for k in range(parts)])
        name = f"{number:05d}.mp4"
        _write(folder / name, made)
        truth[name] = {"fault": "", "shots": made.truth()}
        if not file_faults or number % 2:
            continue
        fault = companions[number // 2 % len(companions)]
        other = f"{number:05d}-{fault}.mp4"
        copy = copied(made, fault, np.random.default_rng([2026, first]))
        truth[other] = {"fault": fault, "shots": [] if copy is None else copy.truth(), "of": name}
        if copy is None:
            _write_broken(folder, other, name, made, fault)
        else:
            _write(folder / other, copy)
    text = json.dumps(truth, indent=1)
    with replacing(folder / TRUTH) as temporary:
        temporary.write_text(text, encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def copied(made: Footage, kind: str, rng: np.random.Generator) -> Footage | None:
    """A near-duplicate of footage: "duplicate" or one of `NEAR_DUPLICATES`; None for what is no copy."""
    match kind:
        case "duplicate":
            from PIL import Image

            small = made.frames.shape[2] * 3 // 4 // 2 * 2
            frames = np.stack([np.asarray(Image.fromarray(f).resize((small, small))) for f in made.frames])
            return replace(made, frames=frames, audio=0.6 * made.audio)
        case "trimmed":
            return _trimmed(made)
        case "mirrored":
            # What stands at the left is at the right then, and is said to be.
            shots = tuple(replace(shot, caption=_mirrored(shot.caption)) for shot in made.shots)
            captions = tuple({**one, "caption": _mirrored(one["caption"])} for one in made.captions)
            return Footage(made.frames[:, :, ::-1].copy(), made.audio, shots, captions)
        case "logo" | "watermark":
            return replace(made, frames=laid(draw_mark(rng, kind, *made.frames.shape[1:3]), made.frames))
    return None


def _trimmed(made: Footage) -> Footage:
    seconds, end = TRIMMED / 24, len(made.frames) / 24 - 2 * TRIMMED / 24
    samples = round(seconds * 16000)

    def moved(start: float, stop: float) -> tuple[float, float]:
        return max(start - seconds, 0.0), min(stop - seconds, end)

    shots, captions = [], []
    for shot, one in zip(made.shots, made.captions, strict=True):
        first, last = moved(shot.start, shot.end)
        shots.append(replace(shot, start=first, end=last))
        captions.append({**one, "start": first, "end": last})
    return Footage(made.frames[TRIMMED:-TRIMMED], made.audio[:, samples:-samples], tuple(shots), tuple(captions))


def _mirrored(text: str) -> str:
    sides = {"left": "right", "right": "left"}
    return re.sub(r"\b(left|right)\b", lambda found: sides[found[1]], text)


def _write(path: Path, made: Footage, sound: bool = True) -> None:
    audio = peak_limited(made.audio) if sound else None
    write_clip(path, Clip(made.frames, Fraction(24), audio, 16000))
    with replacing(path.with_name(path.name + SUFFIX)) as temporary:
        temporary.write_text(json.dumps(list(made.captions)), encoding="utf-8")


def _write_broken(folder: Path, name: str, of: str, made: Footage, fault: str) -> None:
    path = folder / name
    match fault:
        case "truncated":
            content = (folder / of).read_bytes()
            with replacing(path) as temporary:
                temporary.write_bytes(content[: len(content) * 6 // 10])
        case "corrupt":
            broken = np.frombuffer((folder / of).read_bytes(), np.uint8).copy()
            rng = np.random.default_rng(len(broken))
            places = rng.integers(len(broken) // 4, len(broken), 4000)
            broken[places] = rng.integers(0, 256, len(places), dtype=np.uint8)
            with replacing(path) as temporary:
                temporary.write_bytes(broken.tobytes())
        case "no_video":
            with replacing(path) as temporary:
                temporary.write_text("This is no video.\n" * 50)
        case "no_sound":
            _write(path, made, sound=False)
