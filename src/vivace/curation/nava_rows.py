"""NAVA's JSON lines: one sample a line, with its video, its text and the times of its speech."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

SPEECH_START, SPEECH_END = "<S>", "<E>"
# Ours beside NAVA's; its programs pass over them.
STATED = ("licence", "source")


def from_nava_row(row: dict[str, Any]) -> dict[str, Any]:
    """path, caption, speech, and licence and source where stated, of a sample. NAVA uses the last text and video of a
    row of several, and so does this.

    Raises:
        ValueError: nothing valid in it, or counts of `<S>`, `<E>` and speech times that differ (NAVA drops those too).
    """
    videos = [video for video in row["video_info"] if video.get("is_valid", True)]
    texts = [text for text in row.get("text_list", []) if text.get("is_valid", True)]
    if not videos:
        raise ValueError("no valid video_info")
    path = videos[-1].get("data_path")
    if not path:
        raise ValueError("video_info has no data_path (what only a storage service holds cannot be read)")
    found: dict[str, Any] = {"path": path, **{name: row[name] for name in STATED if row.get(name)}}
    if texts:
        text = texts[-1]
        starts, ends = text.get("speech_start") or [], text.get("speech_end") or []
        counts = {text["text"].count(SPEECH_START), text["text"].count(SPEECH_END), len(starts), len(ends)}
        if len(counts) > 1:
            raise ValueError("counts of <S>, <E>, speech_start and speech_end differ")
        found["caption"] = text["text"]
        found["speech"] = [[float(a), float(b)] for a, b in zip(starts, ends, strict=True)]
    return found


def to_nava_row(
    path: str,
    caption: str,
    speech: Sequence[Sequence[float]],
    *,
    fps: float,
    seconds: float,
    width: int,
    height: int,
    stated: dict[str, str] | None = None,
) -> dict[str, Any]:
    """A sample as NAVA's programs read it; `from_nava_row` gives back path, caption and speech.

    Args:
        caption: of NAVA's form. speech: start and end in seconds of each of its `<S>…<E>`.
        stated: licence and source.

    Raises:
        ValueError: not as many times as speeches.
    """
    if not caption.count(SPEECH_START) == caption.count(SPEECH_END) == len(speech):
        raise ValueError(f"{caption.count(SPEECH_START)} speeches and {len(speech)} times")
    video = {
        "data_path": path,
        "fps": fps,
        "duration": seconds,
        "image_width": width,
        "image_height": height,
        "is_valid": True,
    }
    text = {
        "text": caption,
        "text_type": "caption",
        "speech_start": [start for start, _ in speech],
        "speech_end": [end for _, end in speech],
        "is_valid": True,
    }
    return {"video_info": [video], "text_list": [text], **(stated or {})}
