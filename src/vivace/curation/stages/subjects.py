"""Subject-speech correction: who really says what, by whose lips move.

Alive's five steps: face tracks and lip activity with a gate on confidence; the times of the sentences; a majority vote
from each sentence to a track; tracks matched to the caption's subjects by their looks; and the narration rewritten.
The detectors are ours and need no weights: a clip whose speakers they cannot tell is rejected, not guessed.
"""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import Any, ClassVar

import numpy as np
from pydantic import Field
from scipy.optimize import linear_sum_assignment

from vivace.curation.appearance import Appearance, appearances, likeness
from vivace.curation.caption import Caption, parse
from vivace.curation.clip import Clip, Rejected
from vivace.curation.stage import Bound, StageSettings


class SubjectSettings(StageSettings):
    """Bounds: unsure_speaker, close_vote, unsure_subject."""

    DEFAULT_BOUNDS: ClassVar = {
        "unsure_speaker": Bound(column="subjects.votes", least=0.6),
        "close_vote": Bound(column="subjects.margin", least=0.2),
        "unsure_subject": Bound(column="subjects.match", least=0.02),
    }

    moves: float = Field(default=0.12, gt=0, description="opening from which a mouth is active")
    heard: float = Field(default=0.5, ge=0, le=1, description="share of a caption's words that must be heard in it")


class Subjects:
    """The narration with every speech given to the subject whose lips move for it."""

    name: ClassVar[str] = "subjects"
    version: ClassVar[int] = 3
    needs: ClassVar[tuple[str, ...]] = ("speech", "captions")

    def __init__(self, settings: SubjectSettings) -> None:
        self.settings = settings

    def measure(self, clip: Clip) -> Clip | Rejected:
        caption = parse(clip["captions.text"])
        spans = spans_of(
            caption, clip.get("speech.words") or [], clip.get("speech.sentences") or [], self.settings.heard
        )
        times = None if spans is None else [[round(start, 4), round(end, 4)] for start, end in spans]
        if not caption.said or not caption.subjects:
            return clip.with_columns(
                self.name,
                text=clip["captions.text"],
                changed=0,
                speakers=caption.speakers(),
                spans=times if caption.said else [],
            )
        if spans is None:
            return Rejected("other_words", "what the caption says is said is not what is heard")
        material = clip.material()
        assert material.frames is not None
        seen = appearances(material.frames)
        if not seen:
            return Rejected("no_face", "somebody speaks, and no face is seen")
        votes = [vote(seen, span, float(material.fps), self.settings.moves) for span in spans]
        tracks = [winner for winner, _, _ in votes]
        names, match = assign(caption, seen, sorted(set(tracks)))
        speakers = [names[track] for track in tracks]
        corrected = caption.with_speakers(speakers)
        changed = sum(a != b for a, b in zip(caption.speakers(), speakers, strict=True))
        return clip.with_columns(
            self.name,
            text=corrected.to_text(),
            changed=changed,
            speakers=speakers,
            spans=times,
            tracks=tracks,
            votes=round(min(share for _, share, _ in votes), 4),
            margin=round(min(margin for _, _, margin in votes), 4),
            match=None if match is None else round(match, 4),
        )


def spans_of(
    caption: Caption, words: list[dict[str, Any]], sentences: list[dict[str, Any]], heard: float
) -> list[tuple[float, float]] | None:
    """When each speech of the caption is said, in seconds; None where it is not what was heard.

    By the words where they were recognised, or by the sentences where their text is stated; else by the order of as
    many sentences.
    """
    words = words or [{**sentence, "word": sentence["text"]} for sentence in sentences if sentence.get("text")]
    if not words:
        if len(sentences) != len(caption.said):
            return None
        return [(sentence["start"], sentence["end"]) for sentence in sentences]
    found = [(plain, word) for word in words for plain in _plain(word["word"])]
    wanted = [(k, plain) for k, said in enumerate(caption.said) for plain in _plain(said.words)]
    blocks = SequenceMatcher(
        None, [plain for _, plain in wanted], [plain for plain, _ in found], autojunk=False
    ).get_matching_blocks()
    times: dict[int, list[dict[str, Any]]] = {}
    for block in blocks:
        for n in range(block.size):
            times.setdefault(wanted[block.a + n][0], []).append(found[block.b + n][1])
    spans = []
    for k, said in enumerate(caption.said):
        matched = times.get(k, [])
        if len(matched) < max(1, heard * len(_plain(said.words))):
            return None
        spans.append((min(word["start"] for word in matched), max(word["end"] for word in matched)))
    return spans


def vote(seen: list[Appearance], span: tuple[float, float], fps: float, moves: float) -> tuple[int, float, float]:
    """The track whose mouth is open widest in most pictures of a sentence, with its share of those in which any
    mouth is active (0 where none is), and its lead over the next as a share of them."""
    first = int(span[0] * fps)
    last = max(first + 1, int(np.ceil(span[1] * fps)))
    openings = np.array([track.opening[first:last] for track in seen])
    if not openings.size:
        return 0, 0.0, 0.0
    active = openings.max(axis=0) > moves
    counts = np.bincount(openings.argmax(axis=0)[active], minlength=len(seen))
    order = np.argsort(-counts, kind="stable")
    total = max(int(active.sum()), 1)
    second = int(counts[order[1]]) if len(seen) > 1 else 0
    # Mouths close between words too; a sentence during which hardly any opens is spoken by somebody unseen.
    share = float(counts[order[0]]) / total if active.mean() > 0.25 else 0.0
    return int(order[0]), share, float(counts[order[0]] - second) / total


def assign(caption: Caption, seen: list[Appearance], tracks: list[int]) -> tuple[dict[int, str], float | None]:
    """The subject of each track by looks, and the lead over the best assignment that gives one of these `tracks` to
    another (None where there is no other): the mean likeness of one over that of the other.

    All tracks are assigned together, no two of them to one subject as long as there are enough.
    """
    subjects = caption.subjects
    others = [n for n in range(len(seen)) if n not in tracks]
    # Silent faces may be subjects too, and take them from those who speak.
    everyone = [*tracks, *others][: max(len(subjects), len(tracks))]
    scores = np.array([[likeness(seen[track], subject.looks) for subject in subjects] for track in everyone])
    best, chosen = best_choice(scores)
    leads = []
    for row in range(len(tracks)):
        # The next best lacks at least one of the best's pairs, so that forbidding each in turn finds it.
        without = scores.copy()
        without[row, chosen[row]] = -np.inf
        other, _ = best_choice(without)
        if other > -np.inf:
            leads.append(best - other)
    names = {track: subjects[column].name for track, column in zip(everyone, chosen, strict=True)}
    return names, min(leads) if leads else None


def best_choice(scores: np.ndarray) -> tuple[float, list[int]]:
    """The column of each row of the greatest mean, each column once where there are enough of them; that mean is -inf
    where only forbidden pairs, which have the score -inf, would do.

    Args:
        scores: [rows, columns].
    """
    rows, columns = scores.shape
    if columns < rows:
        chosen = scores.argmax(axis=1)
    else:
        # Less than any sum of allowed pairs, which are 0 to 1, so that it is only chosen where there is no other.
        _, chosen = linear_sum_assignment(np.where(np.isfinite(scores), scores, -2.0 * rows), maximize=True)
    return float(scores[np.arange(rows), chosen].mean()), [int(column) for column in chosen]


def _plain(text: str) -> list[str]:
    """Words without case and punctuation."""
    kept = "".join(c.lower() if c.isalnum() or c.isspace() else " " for c in text)
    return kept.split()
