"""The structured caption: subjects with looks and voice, what is seen, and what happens in order of time.

    Subjects:
    [S1] a man with black hair, in red | voice: deep
    [S2] a woman on the right | voice: bright
    Visual: two people before a pale wall
    Narration: [S1] says <W>two blue</W>, <I>a knock on wood</I>, then [S2] answers <W>three</W>.

`<W>` holds verbatim speech and `<I>` a sound event (Alive's format, of which only these parts are known; the writing
is ours). The same in one line is NAVA's form, with `<S>…<E>` around speech. Both are read back without loss.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

SECTIONS = ("Subjects:", "Visual:", "Narration:")
_PIECE = re.compile(r"\[(S\d+)\]|<W>(.*?)</W>|<I>(.*?)</I>", re.DOTALL)
_NAVA_PIECE = re.compile(r"\[(S\d+)\]|<S>(.*?)<E>|\(sound: (.*?)\)", re.DOTALL)
_SUBJECT = re.compile(r"\[(S\d+)\]\s*")
_TAG = re.compile(r"<\s*/?\s*[WISE]\s*>|\[S\d+\]|\(sound:|<extra_id_\d+>|```|\*\*", re.IGNORECASE)
_VOICE = " | voice: "


class CaptionError(Exception):
    """A text that is no structured caption, and why."""


@dataclass(frozen=True)
class Subject:
    """Who or what appears; `name` is S1, S2, … as the narration calls it."""

    name: str
    looks: str
    voice: str = ""


@dataclass(frozen=True)
class Text:
    """Plain narration."""

    text: str


@dataclass(frozen=True)
class Ref:
    """A mention of a subject."""

    subject: str


@dataclass(frozen=True)
class Said:
    """Verbatim speech, of the subject that was mentioned last."""

    words: str


@dataclass(frozen=True)
class Sound:
    """A sound that is no speech."""

    what: str


Piece = Text | Ref | Said | Sound


@dataclass(frozen=True)
class Caption:
    """A structured caption. `visual` may be empty, and there may be no subjects."""

    subjects: tuple[Subject, ...]
    visual: str
    narration: tuple[Piece, ...]

    def to_text(self) -> str:
        """As above; `parse` gives back an equal caption."""
        lines = [f"[{s.name}] {s.looks}{_VOICE + s.voice if s.voice else ''}" for s in self.subjects]
        head = ["Subjects:", *lines] if lines else []
        return "\n".join(
            [*head, f"Visual: {self.visual}", f"Narration: {_written(self.narration, '<W>', '</W>', False)}"]
        )

    def to_nava(self) -> str:
        """One paragraph with `<S>…<E>`; `from_nava` gives back an equal caption."""
        narration = _written(self.narration, "<S>", "<E>", True)
        if not self.subjects and not self.visual:
            return narration
        lines = [f"[{s.name}] {s.looks}{_VOICE + s.voice if s.voice else ''}" for s in self.subjects]
        head = f"Subjects: {'; '.join(lines)} " if lines else ""
        return f"{head}Visual: {self.visual} Narration: {narration}"

    def to_plain(self) -> str:
        """NAVA's form as a person would write it: mentions replaced by looks. The way back is lost."""
        looks = {subject.name: subject.looks for subject in self.subjects}
        pieces = tuple(Text(looks.get(p.subject, "someone")) if isinstance(p, Ref) else p for p in self.narration)
        pieces = tuple(Text(p.what) if isinstance(p, Sound) else p for p in pieces)
        return " ".join(f"{self.visual}. {_written(pieces, '<S>', '<E>', True)}".split()).removeprefix(". ")

    @property
    def said(self) -> list[Said]:
        return [piece for piece in self.narration if isinstance(piece, Said)]

    @property
    def sounds(self) -> list[str]:
        return [piece.what for piece in self.narration if isinstance(piece, Sound)]

    def speakers(self) -> list[str | None]:
        """For each speech the subject that was mentioned last before it."""
        found: list[str | None] = []
        last: str | None = None
        for piece in self.narration:
            if isinstance(piece, Ref):
                last = piece.subject
            elif isinstance(piece, Said):
                found.append(last)
        return found

    def with_speakers(self, speakers: Sequence[str]) -> Caption:
        """The same with other subjects saying the speeches, which is the last step of the correction.

        Where a mention introduces speeches of one subject it is replaced; where they now differ, the later ones get a
        mention of their own.
        """
        pieces = list(self.narration)
        places = [n for n, piece in enumerate(pieces) if isinstance(piece, Said)]
        # From the end on, so that what is put in moves nothing that is still to be looked at.
        for k in reversed(range(len(places))):
            place, wanted = places[k], speakers[k]
            before = [n for n in range(place) if isinstance(pieces[n], Ref)]
            ref = before[-1] if before else None
            first_of_ref = ref is not None and not any(ref < other < place for other in places[:k])
            if ref is not None and first_of_ref:
                pieces[ref] = Ref(wanted)
            elif ref is None or k == 0 or speakers[k - 1] != wanted:
                pieces[place:place] = [Ref(wanted), Text(" says ")]
        return replace(self, narration=_joined(pieces))


def parse(text: str) -> Caption:
    """What `to_text` wrote.

    Raises:
        CaptionError: sections are missing or out of order, something stands before them, or the caption does not hold
            together (`check`).
    """
    if not text.lstrip().startswith(SECTIONS[:2]):
        raise CaptionError("its sections are not Subjects, Visual, Narration")
    subjects, visual, narration = _sections(text)
    lines = [line.strip() for line in subjects.splitlines() if line.strip()]
    return check(Caption(tuple(map(_subject, lines)), _flat(visual), _pieces(narration, _PIECE)))


def from_nava(text: str) -> Caption:
    """What `to_nava` wrote, or any other text of NAVA's form, which becomes the narration.

    Raises:
        CaptionError: the caption does not hold together (`check`).
    """
    if not text.startswith(SECTIONS):
        return check(Caption((), "", _pieces(text, _NAVA_PIECE)))
    subjects, visual, narration = _sections(text)
    lines = [line.strip() for line in subjects.split(";") if line.strip()]
    return check(Caption(tuple(map(_subject, lines)), _flat(visual), _pieces(narration, _NAVA_PIECE)))


def check(caption: Caption) -> Caption:
    """The caption, if it holds together.

    Raises:
        CaptionError: nothing in it, marks that are not closed or stand in the wrong place, a mention of a subject that
            is not described, two of one name, speech without words.
    """
    names = [subject.name for subject in caption.subjects]
    if len(set(names)) < len(names):
        raise CaptionError("two subjects have one name")
    if not caption.narration and not caption.visual:
        raise CaptionError("it says nothing")
    for subject in caption.subjects:
        if not subject.looks:
            raise CaptionError(f"subject {subject.name} has no looks")
        if any(mark in f"{subject.looks}{subject.voice}" for mark in (";", "|", "\n")):
            raise CaptionError(f"subject {subject.name} holds a mark that parts subjects")
    plain = [s.looks for s in caption.subjects] + [s.voice for s in caption.subjects] + [caption.visual]
    for piece in caption.narration:
        match piece:
            case Ref(name) if caption.subjects and name not in names:
                raise CaptionError(f"{name} is mentioned and not described")
            case Text(words) | Said(words) | Sound(words):
                plain.append(words)
        if isinstance(piece, (Said, Sound)) and not plain[-1].strip():
            raise CaptionError("marks without anything between them")
        if isinstance(piece, Sound) and ")" in piece.what:
            raise CaptionError("a sound event holds a bracket")
    for words in plain:
        found = _TAG.search(words)
        if found or any(section in words for section in SECTIONS):
            raise CaptionError(f"{found.group() if found else 'a heading'} stands where it means nothing")
    return caption


def repaired(answer: str) -> Caption:
    """The caption in a model's answer, with usual slips put right: code fences, thoughts, headings in bold, tags of
    the wrong kind or not closed, subjects that are mentioned and not described.

    Raises:
        CaptionError: nothing in it that could be read for a caption.
    """
    text = re.sub(r"<think>.*?</think>", "", answer, flags=re.DOTALL)
    text = re.sub(r"^```\w*\s*$", "", text, flags=re.MULTILINE).replace("**", "")
    text = re.sub(r"(?im)^\s*#*\s*(subjects|visual|narration)\s*:\s*", lambda m: f"{m[1].capitalize()}: ", text)
    text = re.sub(r"(?i)<\s*(/?)\s*([wi])\s*>", lambda m: f"<{m[1]}{m[2].upper()}>", text)
    text = re.sub(r"(?i)<\s*s\s*>", "<W>", re.sub(r"(?i)<\s*e\s*>", "</W>", text))
    starts = [at for section in SECTIONS if (at := text.find(section)) >= 0]
    if not starts or "Narration:" not in text:
        raise CaptionError("it has no narration")
    text = text[min(starts) :]
    head, mark, narration = text.partition("Narration:")
    narration = _closed(_flat(narration))
    if "Visual:" not in head:
        head += "Visual: "
    subjects, visual, _ = _sections(f"{head}Narration: -")
    described = []
    for line in subjects.splitlines():
        line = re.sub(r"^\s*[-*]?\s*\[?(S\d+)\]?\s*[:.)-]?\s*", r"[\1] ", line.strip())
        if _SUBJECT.match(line):
            described.append(line.replace(";", ","))
    known = {match[1] for line in described if (match := _SUBJECT.match(line))}
    narration = re.sub(r"\[(S\d+)\]", lambda m: m[0] if m[1] in known else "someone", narration)
    section = "Subjects:\n" + "\n".join(described) + "\n" if described else ""
    return parse(f"{section}Visual: {_flat(visual)}\n{mark} {narration}")


def _closed(text: str) -> str:
    """Tags closed where the next one opens, or at the end; closing ones that close nothing removed."""
    out, opened = [], ""
    for part in re.split(r"(</?[WI]>)", text):
        if part in ("<W>", "<I>"):
            out.append(f"</{opened}>" if opened else "")
            opened = part[1]
        elif part in ("</W>", "</I>"):
            if not opened:
                continue
            part, opened = f"</{opened}>", ""
        out.append(part)
    return "".join([*out, f"</{opened}>" if opened else ""])


def _sections(text: str) -> tuple[str, str, str]:
    """What stands behind each heading."""
    places = [text.find(section) for section in SECTIONS]
    if places[1] < 0 or places[2] < places[1] or places[0] > places[1]:
        raise CaptionError("its sections are not Subjects, Visual, Narration")
    subjects = text[places[0] + len(SECTIONS[0]) : places[1]] if places[0] >= 0 else ""
    visual = text[places[1] + len(SECTIONS[1]) : places[2]]
    return subjects, visual, text[places[2] + len(SECTIONS[2]) :]


def _subject(line: str) -> Subject:
    found = _SUBJECT.match(line)
    if found is None:
        raise CaptionError(f"a subject's line {line[:40]!r} begins with no name such as [S1]")
    looks, _, voice = line[found.end() :].partition(_VOICE)
    return Subject(found[1], _flat(looks), _flat(voice))


def _pieces(text: str, pattern: re.Pattern[str]) -> tuple[Piece, ...]:
    text = _flat(text)
    found: list[Piece] = []
    last = 0
    for match in pattern.finditer(text):
        found.append(Text(text[last : match.start()]))
        name, words, sound = match.groups()
        found.append(Ref(name) if name else Said(_flat(words)) if words is not None else Sound(_flat(sound)))
        last = match.end()
    return _joined([*found, Text(text[last:])])


def _joined(pieces: Sequence[Piece]) -> tuple[Piece, ...]:
    """Without empty texts, and neighbouring texts as one."""
    found: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, Text):
            if found and isinstance(found[-1], Text):
                piece = Text(found.pop().text + piece.text)  # type: ignore[union-attr]
            if not piece.text:
                continue
        found.append(piece)
    return tuple(found)


def _written(pieces: Sequence[Piece], opening: str, closing: str, nava: bool) -> str:
    written = []
    for piece in pieces:
        match piece:
            case Text(text):
                written.append(text)
            case Ref(name):
                written.append(f"[{name}]")
            case Said(words):
                written.append(f"{opening}{words}{closing}")
            case Sound(what):
                written.append(f"(sound: {what})" if nava else f"<I>{what}</I>")
    return "".join(written)


def _flat(text: str) -> str:
    return " ".join(text.split())
