"""Faulty footage of the world as files, with its truth beside it: what curation is tried and measured on."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from vivace.curation.captioner import SUFFIX
from vivace.media import Clip, peak_limited, replacing, write_clip
from vivace.world.footage import FAULTS, Footage, make_footage

TRUTH = "truth.json"
# What happens to whole files, each to one file in so many; the first of each is near the beginning.
FILE_FAULTS = ("duplicate", "truncated", "corrupt", "no_video", "no_sound")


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
) -> dict[str, Any]:
    """Write `files` videos of sound shots and faulty ones, some broken files among them, and `truth.json`.

    Args:
        seed: of the first file; the next has the next.
        file_faults: whether every second file or so has a faulty companion: a resized copy with another loudness, a
            file cut short, one with broken bytes, one that is no video, one without sound.

    Returns:
        what stands in truth.json: per name of a file its shots and its own fault, and what it duplicates.
    """
    truth: dict[str, Any] = {}
    for number in range(files):
        made = make_footage(seed + number, shots, faulty, size, faults)
        name = f"{number:05d}.mp4"
        _write(folder / name, made, size)
        truth[name] = {"fault": "", "shots": made.truth()}
        if not file_faults or number % 2:
            continue
        fault = FILE_FAULTS[number // 2 % len(FILE_FAULTS)]
        other = f"{number:05d}-{fault}.mp4"
        truth[other] = {"fault": fault, "shots": made.truth() if fault == "duplicate" else [], "of": name}
        _write_broken(folder, other, name, made, fault, size)
    text = json.dumps(truth, indent=1)
    with replacing(folder / TRUTH) as temporary:
        temporary.write_text(text, encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def _write(path: Path, made: Footage, size: int, sound: bool = True) -> None:
    audio = peak_limited(made.audio) if sound else None
    write_clip(path, Clip(made.frames, Fraction(24), audio, 16000))
    with replacing(path.with_name(path.name + SUFFIX)) as temporary:
        temporary.write_text(json.dumps(list(made.captions)), encoding="utf-8")


def _write_broken(folder: Path, name: str, of: str, made: Footage, fault: str, size: int) -> None:
    path = folder / name
    match fault:
        case "duplicate":
            from PIL import Image

            small = size * 3 // 4 // 2 * 2
            frames = np.stack([np.asarray(Image.fromarray(f).resize((small, small))) for f in made.frames])
            copy = Footage(frames, 0.6 * made.audio, made.shots, made.captions)
            _write(path, copy, small)
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
            _write(path, made, size, sound=False)
