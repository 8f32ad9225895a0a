"""What a model can do, as its folder says it: sizes, lengths, rates, presets, and what its world knows.

It is the "capabilities" section of the folder's model_index.json, so that a new model needs no new code.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar

from pydantic import Field, ValidationError

from vivace.conditioning.prompts import speech_spans
from vivace.errors import VivaceError
from vivace.sampling.mutual_presets import MutualPreset
from vivace.sampling.presets import MENDED, OFFICIAL, Frozen, Preset, Steps
from vivace.sampling.settings_checks import is_number
from vivace.timeline import MAX_SECONDS

TaskName = Literal["t2av", "t2v", "t2a", "ti2av", "a2v", "v2a", "extend"]
# What each task is, as it stands in a sentence.
TASKS: dict[TaskName, str] = {
    "t2av": "make pictures and sound from text",
    "t2v": "make pictures without sound",
    "t2a": "make sound without pictures",
    "ti2av": "begin with a given picture",
    "a2v": "make pictures for a given sound",
    "v2a": "make sound for given pictures",
    "extend": "continue a clip",
}

P = TypeVar("P", bound=Steps)
_SAID_SIZES = 4  # more of them make no sentence
_SPEECH_RATE = 3.0  # words a second; the world's fastest voice says 2.8 of middle length
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


class PresetHolder(Frozen, Generic[P]):
    """What a folder's section says under a name and with presets, for models and refiners alike."""

    KIND: ClassVar[str] = "model"  # what messages call whatever has these capabilities

    name: str
    presets: dict[str, P]
    preset: str

    @classmethod
    def read(cls, section: Mapping[str, Any] | None) -> Self:
        """Capabilities from a model folder's section; None gives the defaults.

        Raises:
            VivaceError: an unknown key, a value of the wrong kind, or a default preset that is not there.
        """
        try:
            found = cls.model_validate(dict(section or {}))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise VivaceError(
                f"The {cls.KIND}'s capabilities have a bad entry {where!r} ({first['msg']}); install the model anew."
            ) from None
        found.preset_named(None)
        return found

    def preset_named(self, name: str | None) -> P:
        """A preset, or the default one for None.

        Raises:
            VivaceError: an unknown name.
        """
        name = self.preset if name is None else name
        if name not in self.presets:
            raise VivaceError(f"Preset {name!r} is unknown to {self.name}; use one of {', '.join(self.presets)}.")
        return self.presets[name]


class Abilities(PresetHolder[P], Generic[P]):
    """A model's abilities, whatever its architecture; the defaults are those of the published NAVA.

    Args:
        name: what messages call it.
        width, height: pictures when none are asked for (pixels).
        seconds: length when none is asked for.
        fps: frame rates that it was trained for; the first is the default.
        sizes: (width, height) that it was trained at; others are possible and announced.
        lengths: lengths in seconds that it was trained at; others are possible and announced.
        smallest_side, largest_side: limits of a picture's sides (pixels).
        longest_seconds: limit of a clip's length.
        tasks: what it has learned to do.
        first_frame: how what is given (a first picture, a side, a tail) is shown to it (`vivace.sampling.loop`); "none"
            where it cannot use a first picture. A preset may say otherwise.
        context_seconds: how much of a clip's end it is shown to continue it.
        most_spans: speech spans that a prompt may have.
        unknown_voice: what stands at a span whose voice is not given: the learned "null" token, or the "marker"'s own
            text feature, as in the published program.
        presets: sampling presets by name.
        preset: the name of the default one.
        knows: one line for people on what its world contains, or None for a model of everything.
        vocabulary: words of which a prompt should contain at least one; empty for a model of everything.
        spoken: the words that are said in its training, in small letters; empty for a model of any speech.
        language: that its captions were in, by its English name; None for English where there is a vocabulary, and
            otherwise the published model's Chinese.
    """

    name: str = "this model"
    width: int = Field(1280, ge=16)
    height: int = Field(704, ge=16)
    seconds: float = Field(5.0, gt=0, le=MAX_SECONDS)
    fps: tuple[float, ...] = Field((24.0,), min_length=1)
    sizes: tuple[tuple[int, int], ...] = ()
    lengths: tuple[float, ...] = ()
    smallest_side: int = 64
    largest_side: int = 2048
    longest_seconds: float = Field(10.0, gt=0, le=MAX_SECONDS)
    tasks: tuple[TaskName, ...] = ("t2av", "t2v", "t2a", "ti2av")
    first_frame: Literal["held", "overwritten", "noised", "none"] = "held"
    context_seconds: float = Field(0.75, gt=0, le=10)
    most_spans: int = Field(16, ge=0)
    unknown_voice: Literal["null", "marker"] = "marker"
    knows: str | None = None
    vocabulary: tuple[str, ...] = ()
    spoken: tuple[str, ...] = ()
    language: str | None = None

    @property
    def caption_language(self) -> str:
        """What a prompt is best rewritten in."""
        return self.language or ("English" if self.vocabulary else "Chinese")

    def check_task(self, task: TaskName) -> None:
        """Raises VivaceError for a task that the model has not learned."""
        if task not in self.tasks or (task == "ti2av" and self.first_frame == "none"):
            learned = [name for name in TASKS if name in self.tasks and (name, self.first_frame) != ("ti2av", "none")]
            raise VivaceError(
                f"{self.name} has not learned to {TASKS[task]}; it can {', or '.join(TASKS[name] for name in learned)}."
            )

    def check_rate(self, fps: float) -> float:
        """The rate itself.

        Raises:
            VivaceError: a rate that the model was not trained for.
        """
        if fps not in self.fps:
            rates = " or ".join(f"{rate:g}" for rate in self.fps)
            raise VivaceError(f"fps {fps!r} is not possible with {self.name}; use {rates}.")
        return fps

    def check_seconds(self, seconds: float) -> float:
        """The length itself.

        Raises:
            VivaceError: not a finite positive number, or longer than the model's longest clip.
        """
        if not is_number(seconds) or not 0 < seconds <= self.longest_seconds:
            raise VivaceError(
                f"seconds {seconds!r} is not possible with {self.name}; "
                f"give a length above 0 and up to {self.longest_seconds:g}."
            )
        return seconds

    def check_size(self, width: int, height: int, multiple: int) -> None:
        """Raises VivaceError unless both sides are multiples of `multiple` within the model's limits."""
        low, high = self._sides(multiple)
        for name, side in (("width", width), ("height", height)):
            if isinstance(side, bool) or not isinstance(side, int):
                raise VivaceError(f"{name} {side!r} is not a whole number; give one such as {self.width}.")
            if side % multiple or not low <= side <= high:
                below = self.nearest_side(side // multiple * multiple, multiple)
                above = self.nearest_side(-(-side // multiple) * multiple, multiple)
                nearest = f"{below}" if below == above else f"{below} or {above}"
                raise VivaceError(
                    f"{name} {side} is not possible with {self.name}: sides are multiples of {multiple} "
                    f"from {low} to {high}; the nearest is {nearest}."
                )

    def _sides(self, multiple: int) -> tuple[int, int]:
        return -(-self.smallest_side // multiple) * multiple, self.largest_side // multiple * multiple

    def nearest_side(self, side: int, multiple: int) -> int:
        """The possible side of a picture that is nearest to `side` (pixels)."""
        low, high = self._sides(multiple)
        return min(max(round(side / multiple) * multiple, low), high)

    def nearest_shape(self, width: int, height: int) -> tuple[int, int]:
        """Of the sizes (width, height) that it was trained at, the one of the nearest shape."""
        aspect = math.log(width / height)
        sizes = self.sizes or ((self.width, self.height),)
        own = (width, height)
        return min(sizes, key=lambda size: (round(abs(math.log(size[0] / size[1]) - aspect), 6), size != own))

    def notes(
        self,
        prompt: str,
        width: int,
        height: int,
        seconds: float,
        video: bool,
        *,
        shown: float = 0.0,
        later: float = 0.0,
    ) -> list[str]:
        """Sentences that a user should see: what is asked for outside of what the model was trained on.

        Args:
            seconds: that are sampled at once; with a continued clip the first `shown` of them are its end, and `later`
                are still to come.
        """
        notes = []
        if self.vocabulary and not names_any(prompt, self.vocabulary):
            notes.append(f"{self.name} knows {self.knows or ', '.join(self.vocabulary)}; the prompt names none of it.")
        if self.spoken:
            notes += self._speech_notes(spoken_words(prompt), seconds - shown + later)
        if video and self.sizes and (width, height) not in self.sizes:
            many = len(self.sizes) > _SAID_SIZES
            near = "{}x{}".format(*self.nearest_shape(width, height))
            sizes = " and ".join(f"{w}x{h}" for w, h in self.sizes)
            sizes = f"{len(self.sizes)} sizes, of which {near} has the nearest shape" if many else sizes
            notes.append(f"{self.name} was trained at {sizes}; {width}x{height} may look worse.")
        if self.lengths and all(abs(seconds - length) > 0.25 for length in self.lengths):
            lengths = " and ".join(f"{length:g}" for length in self.lengths)
            parts = f" ({shown:.2f} s of the given clip and {seconds - shown:.2f} s that are new)" if shown else ""
            notes.append(f"{self.name} was trained on clips of {lengths} s; {seconds:.2f} s{parts} may turn out worse.")
        return notes

    def _speech_notes(self, words: list[str], seconds: float) -> list[str]:
        """Sentences on words that the model never heard, and on more of them than can be said in a clip."""
        notes = []
        strange = [repr(word) for word in dict.fromkeys(words) if word not in self.spoken]
        if strange:
            notes.append(
                f"{self.name} never heard {', '.join(strange)} in its training and says something else there; "
                f"the words that it heard are {', '.join(self.spoken)}."
            )
        if len(words) > int(seconds * _SPEECH_RATE):
            needed = math.ceil(len(words) / _SPEECH_RATE)
            longer = f"seconds {needed} or " if needed <= self.longest_seconds else ""
            notes.append(
                f"{len(words)} words do not fit into {seconds:.2f} s: {self.name}'s people say about "
                f"{_SPEECH_RATE:g} a second at most; give {longer}fewer words."
            )
        return notes


class Capabilities(Abilities[Preset]):
    """Of a NAVA model."""

    presets: dict[str, Preset] = Field(default_factory=lambda: {"default": MENDED, "official": OFFICIAL})
    preset: str = "default"


class AliveCapabilities(Abilities[MutualPreset]):
    """Of an Alive model.

    Args:
        most_references: pictures of who is to be seen that a clip may be given; 0 where it has not learned to use them.
        reference_faces: "drawn" where each of them must show one face of the sort that `vivace.perception.faces` finds,
            which are the world's drawn ones; "any" where nothing is looked for.
    """

    tasks: tuple[TaskName, ...] = ("t2av", "t2v", "t2a", "ti2av", "a2v", "v2a", "extend")
    presets: dict[str, MutualPreset] = Field(default_factory=lambda: {"full": MutualPreset()})
    preset: str = "full"
    most_references: int = Field(0, ge=0, le=16)
    reference_faces: Literal["any", "drawn"] = "any"


# By the pipeline that a folder's model_index.json names.
_OF_PIPELINE: dict[str, type[Abilities[Any]]] = {"NavaPipeline": Capabilities, "AlivePipeline": AliveCapabilities}


def abilities_in(index: Mapping[str, Any]) -> Abilities[Any]:
    """What a folder's model can do, from its model_index.json (`vivace.pipelines.folder.read_index`).

    Raises:
        VivaceError: capabilities that are none.
    """
    return _OF_PIPELINE[index["_class_name"]].read(index.get("capabilities"))


def names_any(prompt: str, words: tuple[str, ...]) -> bool:
    """Whether a prompt contains one of the words, singular or plural, in any case."""
    pattern = "|".join(re.escape(word) for word in words)
    return re.search(rf"\b(?:{pattern})(?:s|es)?\b", prompt, re.IGNORECASE) is not None


def spoken_words(prompt: str) -> list[str]:
    """The words of a checked prompt's speech spans in their order, in small letters."""
    return [word.casefold() for span in speech_spans(prompt) for word in _WORD.findall(span)]
