"""Labels: what is seen and what it sounds like, as one name from a taxonomy of three levels."""

from __future__ import annotations

from typing import ClassVar, Literal

from vivace.curation.caption import Ref, Sound, Text, parse
from vivace.curation.clip import Clip, Rejected
from vivace.curation.stage import StageSettings
from vivace.curation.taxonomy import OTHER, label


class LabelSettings(StageSettings):
    """Nothing to set."""


class Labels:
    """The first leaf is the clip's label, all of them its labels; each with the sound events that are told of it.

    Args:
        told_by: the stage whose caption is read: `captions` where nobody looks after who says what.
    """

    name: ClassVar[str] = "labels"
    version: ClassVar[int] = 1

    def __init__(self, settings: LabelSettings, told_by: Literal["subjects", "captions"] = "subjects") -> None:
        self.settings = settings
        self.needs: tuple[str, ...] = (told_by,)

    def measure(self, clip: Clip) -> Clip | Rejected:
        caption = parse(clip[f"{self.needs[0]}.text"])
        told = " ".join(piece.text for piece in caption.narration if isinstance(piece, Text))
        sounds = " ".join(piece.what for piece in caption.narration if isinstance(piece, Sound))
        mentioned = {piece.subject for piece in caption.narration if isinstance(piece, Ref)}
        looks = " ".join(s.looks for s in caption.subjects if s.name in mentioned or not mentioned)
        speaking = bool(caption.said)
        # What acts is what the clip is about; the place around it only where nothing acts.
        found = label(f"{looks} {told}", f"{told} {sounds} {'says' if speaking else ''}")
        found = found or label(caption.visual, f"{told} {sounds}")
        return clip.with_columns(
            self.name,
            label=found[0][0].path if found else OTHER,
            labels=[leaf.path for leaf, _ in found],
            events=sorted({f"{leaf.name}: {word}" for leaf, words in found for word in words}),
            speaking=speaking,
        )
