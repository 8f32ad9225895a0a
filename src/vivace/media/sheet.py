"""The contact sheet: a clip's pictures over its sound, on one axis of time."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vivace.errors import VivaceError
from vivace.media.clip import check_audio, check_frames
from vivace.media.sound import PAPER, SIDES, mel, spectrogram_image, waveform_image
from vivace.timeline import as_rate

WIDTH = 1200
LEFT, RIGHT, TOP = 56, 16, 14
GAP = 10
ROW_HEIGHT = 150  # what a picture should be high at least, so that a square one fills an eighth of the width
WAVEFORM, SPECTROGRAM = 112, 132
INK, PALE, LINE, EVENT = (32, 33, 36), (110, 113, 118), (214, 216, 220), (22, 138, 74)


class TimedEvent(Protocol):
    """Anything that happens at a time (seconds) and has a kind."""

    time: float
    kind: str


Mark = float | tuple[float, str] | TimedEvent


def contact_sheet(
    frames: np.ndarray | None,
    fps: float | Fraction,
    audio: np.ndarray | None,
    sample_rate: int,
    events: Sequence[Any] | None = None,
    title: str | None = None,
) -> np.ndarray:
    """One picture of a whole clip, uint8 [H, 1200, 3].

    A row of pictures, each drawn over the stretch of time in whose middle it is shown, and below it on the same axis
    the waveform of each channel and a log-mel spectrogram. Where both sides are present, their lengths should agree.

    Args:
        frames: uint8 [T, H, W, 3], or None.
        fps: pictures per second.
        audio: float32 [C, N], or None.
        sample_rate: Hz.
        events: ticks on the axis: seconds, (seconds, name) or objects with `time` and `kind`.
        title: a line above it, such as the prompt; long ones take up to three lines.

    Raises:
        VivaceError: both sides are absent, or one has a wrong shape or type.
    """
    if frames is None and audio is None:
        raise VivaceError("A contact sheet needs pictures or sound; give frames, audio or both.")
    rate, seconds = as_rate(fps), 0.0
    if frames is not None:
        check_frames(frames)
        seconds = float(len(frames) / rate)
    if audio is not None:
        check_audio(audio, sample_rate)
        seconds = max(seconds, audio.shape[1] / sample_rate)

    lines = _wrapped(title or "", WIDTH - LEFT - RIGHT, _font(17))
    marks = sorted(_marks(events or ()))
    head = TOP + 24 * len(lines)
    plot = WIDTH - LEFT - RIGHT
    row = 0 if frames is None else _row_height(frames, plot)
    names = 16 if any(name for _, name in marks) and audio is not None else 0
    sound = 0 if audio is None else names + WAVEFORM + GAP + SPECTROGRAM
    height = head + (row + 22 if row else 0) + (GAP if row and sound else 0) + sound + 30
    image = Image.new("RGB", (WIDTH, height), PAPER)
    draw = ImageDraw.Draw(image)
    for number, line in enumerate(lines):
        draw.text((LEFT, TOP - 6 + 24 * number), line, INK, _font(17))
    y = head
    if frames is not None:
        _draw_pictures(image, draw, frames, rate, seconds, y)
        y += row + 22 + (GAP if sound else 0)
    if audio is not None:
        y += names
        _draw_sound(image, draw, audio, sample_rate, seconds, y)
        _draw_marks(draw, marks, seconds, y, y + WAVEFORM + GAP + SPECTROGRAM)
        y += WAVEFORM + GAP + SPECTROGRAM
    elif marks:
        _draw_marks(draw, [(time, "") for time, _ in marks], seconds, y - 20, y - 12)
    _draw_axis(draw, seconds, y)
    return np.asarray(image).copy()


def _x(time: float, seconds: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * time / seconds


def _columns(frames: np.ndarray, plot: int) -> int:
    cell = ROW_HEIGHT * frames.shape[2] / frames.shape[1]
    return min(len(frames), max(6, min(12, round(plot / cell))))


def _row_height(frames: np.ndarray, plot: int) -> int:
    # Pictures keep their shape; a very tall one is bounded by the row, not the row by it.
    return min(round(plot / _columns(frames, plot) * frames.shape[1] / frames.shape[2]), 2 * ROW_HEIGHT)


def _draw_pictures(
    image: Image.Image, draw: ImageDraw.ImageDraw, frames: np.ndarray, fps: Fraction, seconds: float, y: int
) -> None:
    plot = WIDTH - LEFT - RIGHT
    columns, row = _columns(frames, plot), _row_height(frames, plot)
    length = float(len(frames) / fps)
    for column in range(columns):
        middle = (column + 0.5) * length / columns
        index = min(int(middle * float(fps)), len(frames) - 1)
        left, right = _x(column * length / columns, seconds) + 2, _x((column + 1) * length / columns, seconds) - 2
        picture = Image.fromarray(frames[index])
        scale = min((right - left) / picture.width, row / picture.height)
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        centre = (left + right) / 2
        image.paste(
            picture.resize(size, Image.Resampling.LANCZOS), (round(centre - size[0] / 2), y + (row - size[1]) // 2)
        )
        draw.text((centre, y + row + 3), f"{float(index / fps):.2f} s", PALE, _font(12), anchor="ma")


def _draw_sound(
    image: Image.Image, draw: ImageDraw.ImageDraw, audio: np.ndarray, rate: int, seconds: float, y: int
) -> None:
    right = round(_x(audio.shape[1] / rate, seconds))
    width = max(1, right - LEFT)
    low = y + WAVEFORM + GAP
    image.paste(Image.fromarray(waveform_image(audio, rate, width, WAVEFORM)), (LEFT, y))
    image.paste(Image.fromarray(spectrogram_image(audio, rate, width, SPECTROGRAM)), (LEFT, low))
    lane = WAVEFORM / len(audio)
    for channel in range(len(audio)):
        name = ("left", "right")[channel] if len(audio) == 2 else f"{channel + 1}" if len(audio) > 2 else "sound"
        middle = y + lane * (channel + 0.5)
        draw.text((LEFT - 6, middle), name, SIDES[channel % 2], _font(12), anchor="rm")
        draw.line((LEFT, middle, right, middle), SIDES[channel % 2])
        if channel:
            draw.line((LEFT, y + lane * channel, right, y + lane * channel), LINE)
    draw.rectangle((LEFT, y, right, y + WAVEFORM), outline=LINE)
    bottom, top = mel(30.0), mel(rate / 2)
    for hertz in (125, 500, 1000, 2000, 4000, 8000, 16000):
        where = low + SPECTROGRAM * (1 - float((mel(hertz) - bottom) / (top - bottom)))
        if where > low + 4:
            draw.line((LEFT - 4, where, LEFT - 1, where), PALE)
            draw.text(
                (LEFT - 6, where),
                f"{hertz // 1000} kHz" if hertz >= 1000 else f"{hertz} Hz",
                PALE,
                _font(11),
                anchor="rm",
            )


def _draw_marks(
    draw: ImageDraw.ImageDraw, marks: list[tuple[float, str]], seconds: float, top: int, bottom: int
) -> None:
    free = 0.0
    for time, name in marks:
        x = _x(min(max(time, 0.0), seconds), seconds)
        for start in range(top, bottom, 7):
            draw.line((x, start, x, min(start + 3, bottom)), EVENT)
        draw.polygon(((x - 4, top - 1), (x + 4, top - 1), (x, top + 6)), EVENT)
        width = draw.textlength(name, _font(11))
        place = min(max(x - width / 2, LEFT), WIDTH - RIGHT - width)
        if name and place >= free:  # names that would run into one another are left out; the ticks stay
            draw.text((place, top - 2), name, EVENT, _font(11), anchor="lb")
            free = place + width + 6


def _draw_axis(draw: ImageDraw.ImageDraw, seconds: float, y: int) -> None:
    step = next((s for s in (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10) if seconds / s <= 12), 60)
    for tick in range(int(seconds / step + 1e-9) + 1):
        x = _x(tick * step, seconds)
        draw.line((x, y + 1, x, y + 6), PALE)
        draw.text((min(x, WIDTH - RIGHT - 8), y + 8), f"{tick * step:g} s", PALE, _font(12), anchor="ma")


def _marks(events: Sequence[Mark]) -> list[tuple[float, str]]:
    marks = []
    for event in events:
        if isinstance(event, (int, float, np.number)):
            marks.append((float(event), ""))
        elif isinstance(event, tuple):
            marks.append((float(event[0]), str(event[1])))
        else:
            marks.append((float(event.time), str(event.kind)))
    return marks


def _wrapped(text: str, width: int, font: Any, most: int = 3) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    if len(lines) > most:
        lines = [*lines[: most - 1], lines[most - 1] + " …"]
    return lines


def _font(size: int) -> Any:
    return ImageFont.load_default(size)
