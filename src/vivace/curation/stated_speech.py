"""What the input's row says is said, and when: known better than any recogniser would hear it."""

from __future__ import annotations

import math
import re
from typing import Any

from vivace.curation.clip import Clip

_SPOKEN = re.compile(r"<S>(.*?)<E>|<W>(.*?)</W>", re.DOTALL)
_SLACK = 0.1  # seconds by which a speech may stick out of a clip: stated times are not exact, and words fade


def checked_times(speech: Any, caption: Any) -> list[list[float]]:
    """Start and end in seconds of each speech, as a row states them beside its caption (None where it has none).

    Raises:
        ValueError: something else, a speech that ends before it begins, or not as many as the caption has speeches.
    """
    try:
        times = [[float(start), float(end)] for start, end in speech]
    except (TypeError, ValueError, OverflowError):
        raise ValueError("speech is no list of start and end in seconds") from None
    for start, end in times:
        if not 0 <= start <= end < math.inf:
            raise ValueError(f"a speech from {start:g} s to {end:g} s")
    said = len(_SPOKEN.findall(str(caption)))
    if caption is not None and len(times) != said:
        raise ValueError(f"{len(times)} times of speech, and {said} speeches in the caption")
    return times


def stated_sentences(clip: Clip, seconds: float) -> list[dict[str, Any]] | None:
    """The speeches that lie whole in a clip: start and end in it, and text (None without a caption); None where the
    input states no times.

    Args:
        seconds: length of the clip.
    """
    if not clip.get("input.speech"):
        return None
    caption = clip.get("input.caption")
    texts = [first or second for first, second in _SPOKEN.findall(str(caption or ""))]
    found = []
    for n, (start, end) in enumerate(clip["input.speech"]):
        start, end = start - clip.start, end - clip.start
        if start >= -_SLACK and end <= seconds + _SLACK:
            text = " ".join(texts[n].split()) if caption else None
            found.append({"start": max(start, 0.0), "end": min(end, seconds), "text": text})
    return found
