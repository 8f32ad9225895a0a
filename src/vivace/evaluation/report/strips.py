"""A clip as a strip: some of its pictures, its waveform, and ticks where something hits and where something sounds.

A strip is kept as a small file while a benchmark runs, so that its report can show clips that are not kept themselves.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vivace.errors import VivaceError
from vivace.evaluation.matching import match_times
from vivace.media import Clip, replacing

PICTURES = 8
HEIGHT = 96  # of a picture, pixels; a wide one is at most twice as wide
COLUMNS = 320  # of the waveform
TOGETHER = 0.075  # s: an impact and an onset nearer than this are joined in the figure


@dataclass(frozen=True)
class Strip:
    """Args:
    seconds: length of the clip.
    pictures: JPEG in base64, in the middle of each stretch of time; empty for sound alone.
    wave: lowest and highest sample of each stretch of time, hundredths; empty without sound.
    """

    seconds: float
    pictures: tuple[str, ...]
    wave: tuple[tuple[int, int], ...]


def strip_of(clip: Clip) -> Strip:
    """The strip of a clip; every sample is in the waveform, channels together."""
    pictures: tuple[str, ...] = ()
    if clip.frames is not None:
        count = min(PICTURES, len(clip.frames))
        places = ((np.arange(count) + 0.5) * len(clip.frames) / count).astype(int)
        pictures = tuple(_jpeg(clip.frames[place]) for place in places)
    wave: tuple[tuple[int, int], ...] = ()
    if clip.audio is not None:
        columns = min(COLUMNS, clip.audio.shape[1])
        edges = np.linspace(0, clip.audio.shape[1], columns + 1).astype(int)[:-1]
        low = np.minimum.reduceat(clip.audio.min(axis=0), edges)
        high = np.maximum.reduceat(clip.audio.max(axis=0), edges)
        wave = tuple((round(100 * float(a)), round(100 * float(b))) for a, b in zip(low, high, strict=True))
    return Strip(round(float(clip.seconds), 4), pictures, wave)


def strip_path(folder: Path, condition: str, item_id: str) -> Path:
    """Where the strip of an item's clip lies in a results folder."""
    return folder / "strips" / condition.replace(" ", "-") / f"{item_id}.json"


def save_strip(path: Path, clip: Clip) -> None:
    """Write the strip of a clip, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(asdict(strip_of(clip))) + "\n", encoding="utf-8")


def load_strip(path: Path) -> Strip:
    """Read what `save_strip` wrote.

    Raises:
        VivaceError: the file is damaged.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return Strip(
            float(stored["seconds"]),
            tuple(str(picture) for picture in stored["pictures"]),
            tuple((int(low), int(high)) for low, high in stored["wave"]),
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise VivaceError(
            f"Strip {str(path)!r} cannot be read ({error}); remove it, and the report is made without it."
        ) from error


def draw_strip(strip: Strip, percept: Mapping[str, Any] | None) -> str:
    """The strip as SVG.

    Args:
        percept: what the detectors found, as items.jsonl holds it; None draws no ticks.
    """
    width, left, row, sound = 980.0, 4.0, HEIGHT if strip.pictures else 0, 64 if strip.wave else 0
    plot = width - 2 * left
    ticks = 18
    height = row + ticks + sound + ticks + 16
    parts = [_pictures(strip, left, plot)]
    top = row + ticks
    if strip.wave:
        parts.append(_wave(strip, left, plot, top, sound))
    seen = _times((percept or {}).get("video"), "impacts")
    heard = _times((percept or {}).get("audio"), "onsets")
    seconds = max(strip.seconds, 1e-6)

    def x(time: float) -> float:
        return left + plot * min(max(time / seconds, 0.0), 1.0)

    below = top + sound
    for first, second in match_times(seen, heard, TOGETHER):
        parts.append(
            f'<line class="stroke dashed" x1="{x(seen[first]):.1f}" x2="{x(heard[second]):.1f}" y1="{top}" '
            f'y2="{below}"/>'
        )
    parts += [_tick(x(time), top - 2, "seen to hit", time, "c1", 9) for time in seen]
    parts += [_tick(x(time), below + 2, "heard", time, "c0", -9) for time in heard]
    for number in range(5):
        time = seconds * number / 4
        anchor = ("start", "middle", "middle", "middle", "end")[number]
        parts.append(
            f'<text class="soft" x="{x(time):.1f}" y="{height - 2}" text-anchor="{anchor}">{time:.2f} s</text>'
        )
    return (
        f'<div class="scroll"><svg role="img" viewBox="0 0 {width:g} {height}" width="{width:g}" '
        f'height="{height}"><g class="ref">{"".join(parts)}</g></svg></div>\n'
    )


def _pictures(strip: Strip, left: float, plot: float) -> str:
    wide = plot / max(len(strip.pictures), 1)
    return "".join(
        f'<image href="data:image/jpeg;base64,{escape(picture)}" x="{left + number * wide + 1:.1f}" y="0" '
        f'width="{wide - 2:.1f}" height="{HEIGHT}"/>'
        for number, picture in enumerate(strip.pictures)
    )


def _wave(strip: Strip, left: float, plot: float, top: float, height: float) -> str:
    # As in the contact sheet: the peak fills the lane, but what is nearly silent stays small.
    peak = max(10, *(max(abs(low), abs(high)) for low, high in strip.wave))
    middle, half, wide = top + height / 2, height / 2 - 2, plot / len(strip.wave)
    path = "".join(
        f"M{left + (n + 0.5) * wide:.1f} {middle - high / peak * half:.1f}V{middle - low / peak * half + 0.6:.1f}"
        for n, (low, high) in enumerate(strip.wave)
    )
    return (
        f'<rect class="band" x="{left}" y="{top}" width="{plot}" height="{height}"/><path class="stroke" d="{path}"/>'
    )


def _tick(x: float, y: float, what: str, time: float, colour: str, length: float) -> str:
    title = f"<title>{what} at {time:.3f} s</title>"
    return f'<path class="fill {colour}" d="M{x:.1f} {y:.1f}l-5 {-length}h10z">{title}</path>'


def _times(side: Mapping[str, Any] | None, name: str) -> list[float]:
    found: Sequence[Mapping[str, Any]] = (side or {}).get(name) or ()
    return [float(entry["time"]) for entry in found]


def _jpeg(picture: np.ndarray) -> str:
    image = Image.fromarray(picture)
    width = max(1, min(2 * HEIGHT, round(image.width * HEIGHT / image.height)))
    small = image.resize((width, max(1, round(image.height * width / image.width))), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    small.save(file, format="JPEG", quality=82)
    return base64.b64encode(file.getvalue()).decode("ascii")
