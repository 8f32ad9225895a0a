"""Prompt rewriters: from a short request to the dense caption that a model was trained on, with what is said kept.

Whatever rewrites, `rewritten` looks at the answer: what stands between `<S>` and `<E>` must come back letter by letter
and in its order, the text must be a prompt, and the model must be able to read it. Otherwise the original is used, and
the reason is told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

from vivace.conditioning.prompts import SPEECH_END, SPEECH_START, check_prompt
from vivace.errors import VivaceError, count_of

_SPAN = re.compile(f"{SPEECH_START}(.*?){SPEECH_END}", re.DOTALL)
_THOUGHT = re.compile(r"<think>.*?</think>", re.DOTALL)
_FENCE = re.compile(r"```\w*\n(.*?)\n?```", re.DOTALL)
_QUOTES = ('""', "''", "“”", "「」", "『』")
MAX_NAMED = 60  # characters of a span that a message repeats


class NoRewriteError(VivaceError):
    """The rewriter gave nothing that can be used; the original prompt stands."""


def _any_text(prompt: str) -> None:
    """Every model's limit: none."""


@dataclass(frozen=True)
class Wanted:
    """What the caption is for.

    Args:
        language: that the model's captions are in, by its English name.
        picture, sound: which sides the clip has.
        check: raises VivaceError for a text that the model cannot read, such as one that is too long.
    """

    language: str = "English"
    picture: bool = True
    sound: bool = True
    check: Callable[[str], None] = _any_text

    def reads(self, prompt: str) -> bool:
        """Whether `check` has nothing against a text."""
        try:
            self.check(prompt)
        except VivaceError:
            return False
        return True


@runtime_checkable
class PromptRewriter(Protocol):
    """What may stand between a user's prompt and the model. name: what records and messages call it."""

    @property
    def name(self) -> str: ...

    def __call__(self, prompt: str, wanted: Wanted) -> str:
        """A caption for a checked prompt, with every speech span as it is.

        Raises:
            NoRewriteError: it has no answer this time.
            VivaceError: it can never have one as it is set up.
        """
        ...


@dataclass(frozen=True)
class Rewriting:
    """A prompt and what became of it.

    rewriter: its name. original: as asked for. prompt: what the model reads, the original where there is a `problem`.
    """

    rewriter: str
    original: str
    prompt: str
    problem: str | None = None

    def notes(self) -> list[str]:
        """What a user should see: one line where the original was used."""
        return [] if self.problem is None else [f"The prompt was not rewritten: {self.problem}"]

    def to_json(self) -> dict[str, str | None]:
        return asdict(self)

    @classmethod
    def from_json(cls, entries: Any) -> Rewriting:
        """The reverse of `to_json`.

        Raises:
            VivaceError: something else.
        """
        names = ("rewriter", "original", "prompt")
        if not isinstance(entries, Mapping) or not all(isinstance(entries.get(name), str) for name in names):
            raise VivaceError("The rewriting in the clip's record cannot be read; give a clip that vivace generated.")
        problem = entries.get("problem")
        rewriter, original, prompt = (entries[name] for name in names)
        return cls(rewriter, original, prompt, None if problem is None else str(problem))


def rewritten(rewriter: PromptRewriter, prompt: str, wanted: Wanted | None = None) -> Rewriting:
    """Let a rewriter have a prompt, and take its answer only if it keeps what is said.

    Raises:
        VivaceError: a prompt that is none, or a rewriter that can never answer as it is set up.
    """
    wanted = wanted or Wanted()
    original = check_prompt(prompt)
    try:
        answer = rewriter(original, wanted)
    except NoRewriteError as error:
        return Rewriting(rewriter.name, prompt, prompt, str(error))
    try:
        answer = check_prompt(answer, "The rewritten prompt")
        check_speech(original, answer)
        wanted.check(answer)
    except VivaceError as error:
        # The remedy of these sentences is for somebody who wrote the text.
        problem = str(error).rpartition(";")[0] or str(error)
        return Rewriting(rewriter.name, prompt, prompt, f"{problem}; the original is used.")
    return Rewriting(rewriter.name, prompt, answer)


def check_speech(original: str, answer: str) -> None:
    """Raises NoRewriteError unless both checked texts have the same speech spans, letter by letter, in one order."""
    said, kept = _SPAN.findall(original), _SPAN.findall(answer)
    if len(said) != len(kept):
        has = count_of(len(kept), "speech span")
        raise NoRewriteError(f"The answer has {has} instead of {len(said)}; the original is used.")
    for number, (one, other) in enumerate(zip(said, kept, strict=True), start=1):
        if one != other:
            raise NoRewriteError(
                f"The answer changes speech span {number}, {_short(one)}, to {_short(other)}; the original is used."
            )


def plain_answer(text: str) -> str:
    """A language model's answer without its thoughts, code fence and quotation marks.

    Raises:
        NoRewriteError: nothing is left, or the thoughts never end.
    """
    # Chat templates may open the thoughts themselves, so that only their end is in the answer.
    text = _THOUGHT.sub("", text)
    if "<think>" in text:
        raise NoRewriteError("The answer is an unfinished thought; the original is used.")
    text = text.rpartition("</think>")[2].strip()
    fenced = _FENCE.fullmatch(text)
    text = fenced[1].strip() if fenced else text
    if len(text) > 1 and text[0] + text[-1] in _QUOTES:
        text = text[1:-1].strip()
    if not text:
        raise NoRewriteError("The answer is empty; the original is used.")
    return text


def instruction(wanted: Wanted) -> str:
    """What a language model is told before the prompt; ours, after what NAVA's captions are like."""
    if wanted.picture and wanted.sound:
        clip, order = "a short video clip with sound", f"{_PICTURE} Then {_SOUND}"
    elif wanted.picture:
        clip, order = "a short silent video clip", _PICTURE
    else:
        clip, order = "a short sound recording", _SOUND[0].upper() + _SOUND[1:]
    return (
        f"You turn a short request for {clip} into one dense caption, as somebody would write it who has the finished "
        f"clip in front of them. {order} Invent what the request leaves open, so that it fits, and contradict nothing "
        "in it: keep every person, thing, number, colour, place and event, and their order in time.\n"
        f"Text between {SPEECH_START} and {SPEECH_END} is spoken in the clip. Copy every such span letter by letter, "
        "with both marks, in the same order. Do not translate, correct, split, add or remove one. Say beside it who "
        "speaks, and with what kind of voice.\n"
        f"Write one paragraph of 60 to 200 words in {wanted.language}, without headings, lists or quotation marks "
        "around it. Answer with the caption alone."
    )


_PICTURE = (
    "Describe what is seen: who and what is there, how they look, where they are in the picture, what they do and in "
    "which order, the place, the light, and what the camera does."
)
_SOUND = (
    "describe what is heard: voices and how they sound, the sound of each event at the moment it happens, the "
    "background, and whether there is music."
)


def messages(prompt: str, wanted: Wanted) -> list[dict[str, str]]:
    """The conversation that a chat model continues."""
    return [{"role": "system", "content": instruction(wanted)}, {"role": "user", "content": prompt}]


def _short(text: str) -> str:
    return repr(text if len(text) <= MAX_NAMED else f"{text[:MAX_NAMED]}...")
