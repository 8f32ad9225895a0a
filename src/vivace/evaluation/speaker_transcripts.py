"""cpCER of what several speakers say, from transcripts by speaker that the user's own recogniser has made."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from vivace.errors import VivaceError
from vivace.evaluation.metric import ItemMetric, Sample, Undefined
from vivace.evaluation.transcripts import cp_error_rate

TRANSCRIPTS = "transcripts"  # the reference's name in `Sample.refs`


@dataclass(frozen=True)
class SpeakerTranscripts:
    """Args:
    said: all that each speaker is to say. heard: all that each speaker who was told apart says; in any order.
    """

    said: tuple[str, ...]
    heard: tuple[str, ...]


def read_transcripts(path: Path) -> SpeakerTranscripts:
    """Transcripts by speaker, JSON: {"said": ["text of one speaker", ...], "heard": [...]}.

    Raises:
        VivaceError: a file that cannot be read or of another form.
    """
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        sides = told["said"], told["heard"]
        if not all(isinstance(side, list) and all(isinstance(text, str) for text in side) for side in sides):
            raise TypeError("said and heard must be lists of texts")
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise VivaceError(
            f"Transcripts {str(path)!r} cannot be read ({error}); "
            'give JSON such as {"said": ["text of one speaker", ...], "heard": [...]}.'
        ) from error
    return SpeakerTranscripts(tuple(sides[0]), tuple(sides[1]))


def speaker_transcript_metrics() -> list[ItemMetric]:
    """`cp_cer`: errors in characters, speakers matched so that they are fewest; the mean of the clips' rates (ours:
    whether MOVA pools instead is not stated)."""

    def measure(sample: Sample) -> list[float] | Undefined:
        found: SpeakerTranscripts = sample.refs[TRANSCRIPTS]
        if not any(text.strip() for text in found.said):
            return Undefined("nothing is to be said")
        return [cp_error_rate(found.said, found.heard), 1.0]

    return [ItemMetric("cp_cer", measure, requires=(f"ref:{TRANSCRIPTS}",), direction="lower")]
