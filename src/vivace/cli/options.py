"""What a user may ask of `generate` and of a line of `batch`: parsed and checked as far as no model is needed."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vivace.cli.files import GivenFile, GivenLora
from vivace.cli.outputs import Outputs, check_ending
from vivace.cli.rewriting import parse_rewrite
from vivace.conditioning.prompts import check_prompt
from vivace.errors import VivaceError
from vivace.pipelines.folder import is_folder, shipped_models

DEFAULT_MODEL = "nano-nava"
MAX_SEED = 2**63 - 1
# Options that name one file with which a clip is made.
FILES = ("image", "audio", "video", "extend", "speaker_encoder")
ANY_VOICE = "none"  # in place of a voice's file
_SIZE = re.compile(r"(\d{1,5})[xX×](\d{1,5})")


@dataclass(frozen=True)
class Request:
    """One clip as asked for; None leaves the choice to the model's folder.

    Args:
        size: (width, height).
        guides: scales over the preset's, sorted by name.
        cache: threshold of the step cache over the preset's; 0 is exact.
        first_frame: how what is given is shown to the network, over the preset's way.
        only: "video" or "audio", or None for both.
        image: the first picture. audio: the sound to make pictures for. video: the pictures to make sound for.
        extend: the clip to continue.
        speaker_encoder: an ONNX file that hears the voices in place of the model's own encoder.
        voices: recordings of those who speak, in the order of the speech spans; None for any voice.
        references: pictures of who is to be seen.
        loras: adapters on top of the model, each with its weight.
        rewrite: "template", a folder or a URL: who rewrites the prompt. rewrite_model, rewrite_key: the model that the
            URL is asked for, and the environment variable with its key.
    """

    prompt: str
    model: str = DEFAULT_MODEL
    negative: str | None = None
    seconds: float | None = None
    size: tuple[int, int] | None = None
    fps: float | None = None
    steps: int | None = None
    seed: int | None = None
    preset: str | None = None
    guides: tuple[tuple[str, float], ...] = ()
    cache: float | None = None
    first_frame: str | None = None
    only: str | None = None
    image: GivenFile | None = None
    audio: GivenFile | None = None
    video: GivenFile | None = None
    extend: GivenFile | None = None
    speaker_encoder: GivenFile | None = None
    voices: tuple[GivenFile | None, ...] = ()
    references: tuple[GivenFile, ...] = ()
    loras: tuple[GivenLora, ...] = ()
    rewrite: str | None = None
    rewrite_model: str | None = None
    rewrite_key: str | None = None

    def files(self) -> dict[str, GivenFile]:
        """The given files by their options."""
        return {name: getattr(self, name) for name in FILES if getattr(self, name) is not None}

    def plan_arguments(self) -> dict[str, Any]:
        """Arguments of `NavaPipeline.plan`, without what is in the given files."""
        width, height = self.size or (None, None)
        return {
            "prompt": self.prompt,
            "negative_prompt": self.negative,
            "seconds": self.seconds,
            "height": height,
            "width": width,
            "fps": self.fps,
            "num_inference_steps": self.steps,
            "preset": self.preset,
            "guides": dict(self.guides),
            "cache": self.cache,
            "first_frame": self.first_frame,
            "seed": self.seed,
            "modalities": self.only or "both",
        }

    @property
    def suffix(self) -> str:
        """Of the file that holds the result."""
        return ".wav" if self.only == "audio" else ".mp4"

    def to_json(self) -> dict[str, Any]:
        """As it stands in a clip's record and in a line of a batch; entries that are None are left out."""
        entries = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        entries |= {name: file.to_json() for name, file in self.files().items()}
        if self.size is not None:
            entries["size"] = f"{self.size[0]}x{self.size[1]}"
        entries["guide"] = dict(entries.pop("guides"))
        entries["voice"] = [None if voice is None else voice.to_json() for voice in entries.pop("voices")]
        entries["reference"] = [reference.to_json() for reference in entries.pop("references")]
        entries["lora"] = [lora.to_json() for lora in entries.pop("loras")]
        return {name: value for name, value in entries.items() if value is not None and value not in ({}, [])}

    @classmethod
    def from_json(cls, entries: Mapping[str, Any]) -> Request:
        """The reverse of `to_json`.

        Raises:
            VivaceError: an unknown entry or a value of the wrong kind.
        """
        fields = {field.name for field in dataclasses.fields(cls)}
        names = (fields - {"guides", "voices", "references", "loras"}) | {
            "guide",
            "voice",
            "reference",
            "dialogue",
            "lora",
        }
        unknown = sorted(set(map(str, entries)) - names)
        if unknown:
            raise VivaceError(f"Entry {unknown[0]!r} is unknown; use {', '.join(sorted(names))}.")
        guide = entries.get("guide") or {}
        if isinstance(guide, Mapping):
            guide = [f"{name}={value}" for name, value in guide.items()]
        elif isinstance(guide, str):
            guide = [guide]
        return make_request(**{**entries, "guide": guide})


def make_request(
    prompt: Any,
    model: Any = DEFAULT_MODEL,
    negative: Any = None,
    seconds: Any = None,
    size: Any = None,
    fps: Any = None,
    steps: Any = None,
    seed: Any = None,
    preset: Any = None,
    guide: Sequence[Any] = (),
    only: Any = None,
    image: Any = None,
    audio: Any = None,
    video: Any = None,
    extend: Any = None,
    voice: Any = (),
    dialogue: Any = None,
    lora: Any = (),
    cache: Any = None,
    first_frame: Any = None,
    rewrite: Any = None,
    rewrite_model: Any = None,
    rewrite_key: Any = None,
    speaker_encoder: Any = None,
    reference: Any = (),
) -> Request:
    """A request from the values of options or of a job's line.

    Raises:
        VivaceError: a value that no model could take.
    """
    texts = {"prompt": prompt, "model": model, "negative": negative, "preset": preset, "first_frame": first_frame}
    for name, text in texts.items():
        if not isinstance(text, str) and (text is not None or name in ("prompt", "model")):
            raise VivaceError(f"{name} {text!r} is not text; give it in quotation marks.")
    check_prompt(prompt)
    if not model or "\0" in model:
        raise VivaceError(f"Model {model!r} is no name; give one such as {DEFAULT_MODEL}, or a folder.")
    if dialogue is not None:
        prompt, voice = _with_dialogue(prompt, voice, dialogue)
    if only not in (None, "video", "audio"):
        raise VivaceError(f"only {only!r} is unknown; use video or audio, or leave it out for both.")
    return Request(
        prompt=prompt,
        model=_whole_path(model),
        negative=negative,
        seconds=_number("seconds", seconds, "2"),
        size=None if size is None else parse_size(size),
        fps=_number("fps", fps, "24"),
        steps=_whole("steps", steps, "25", 1000, low=1),
        seed=_whole("seed", seed, "7", MAX_SEED),
        preset=preset,
        guides=parse_guides(guide),
        cache=_threshold(cache),
        first_frame=first_frame,
        only=only,
        **{
            name: None if value is None else GivenFile.named(name, value)
            for name, value in zip(FILES, (image, audio, video, extend, speaker_encoder), strict=True)
        },
        voices=_voices(voice),
        references=_references(reference),
        loras=_loras(lora),
        rewrite=parse_rewrite(rewrite, rewrite_model, rewrite_key),
        rewrite_model=rewrite_model,
        rewrite_key=rewrite_key,
    )


def _loras(entries: Any) -> tuple[GivenLora, ...]:
    """FILE or FILE:SCALE, one or several.

    Raises:
        VivaceError: something else, or a path at which there is no readable file.
    """
    if entries is None or isinstance(entries, (str, Mapping)):
        entries = () if entries is None else (entries,)
    if not isinstance(entries, Sequence):
        raise VivaceError(
            f"lora {entries!r} is neither a path nor a list of them; name a .safetensors file, or a folder of PEFT's."
        )
    return tuple(GivenLora.named(lora) for lora in entries)


def _references(entries: Any) -> tuple[GivenFile, ...]:
    """Paths of pictures; one may stand alone.

    Raises:
        VivaceError: something else, or a path at which there is no readable file.
    """
    if entries is None or isinstance(entries, (str, Path, Mapping)):
        entries = () if entries is None else (entries,)
    if not isinstance(entries, Sequence):
        raise VivaceError(f"reference {entries!r} is neither a path nor a list of them; name a picture.")
    return tuple(GivenFile.named("reference", picture) for picture in entries)


def _voices(entries: Any) -> tuple[GivenFile | None, ...]:
    """Paths, names of saved voices, or "none" for any voice; one of them may stand alone.

    Raises:
        VivaceError: something else, or a path at which there is no readable file.
    """
    if entries is None or isinstance(entries, (str, Path, Mapping)):
        entries = () if entries is None else (entries,)
    if not isinstance(entries, Sequence):
        raise VivaceError(f"voice {entries!r} is neither a path nor a list of them; name a sound file.")
    return tuple(None if voice in (None, ANY_VOICE) else _voice(voice) for voice in entries)


def _voice(entry: Any) -> GivenFile:
    """A recording's file, or that of the saved voice of this name.

    Raises:
        VivaceError: neither of them.
    """
    from vivace.conditioning.voice_names import located_voice

    return GivenFile.named("voice", located_voice(entry) if isinstance(entry, str) and entry else entry)


def _with_dialogue(prompt: str, voice: Any, dialogue: Any) -> tuple[str, list[Path | None]]:
    """The prompt with the dialogue's lines behind it, and the voice of each line.

    Raises:
        VivaceError: voices beside it, or a file that is no dialogue.
    """
    from vivace.conditioning.dialogue import read_dialogue

    if voice:
        raise VivaceError("Voices were given beside a dialogue file; name them in it, or leave it out.")
    file = GivenFile.named("dialogue", dialogue)
    lines = read_dialogue(file.path)
    return lines.prompt(prompt), lines.voices()


def _whole_path(model: str) -> str:
    """A model's name; the path of a local folder in full, so that a clip's record means the same everywhere."""
    return str(Path(model).resolve()) if model not in shipped_models() and is_folder(model) else model


def parse_size(text: Any) -> tuple[int, int]:
    """ "128x96" -> (128, 96), width first.

    Raises:
        VivaceError: anything else.
    """
    match = _SIZE.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise VivaceError(f"size {text!r} is not WIDTHxHEIGHT; give pixels such as 128x128.")
    return int(match[1]), int(match[2])


def parse_guides(entries: Sequence[Any]) -> tuple[tuple[str, float], ...]:
    """["text=3", "align.audio=1"] -> sorted pairs.

    Raises:
        VivaceError: not NAME=VALUE, a value that is no finite number, or a name that is given twice.
    """
    if isinstance(entries, str) or not isinstance(entries, Sequence):
        raise VivaceError(f"guide {entries!r} is not a list; give entries such as text=3.")
    guides: dict[str, float] = {}
    for entry in entries:
        name, equals, value = entry.partition("=") if isinstance(entry, str) else ("", "", "")
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if equals and name.strip() and value.strip().lower().lstrip("+-") in ("nan", "inf", "infinity"):
            raise VivaceError(f"guide {entry!r} has a scale that is not finite; give a number such as 3.")
        if not (equals and name.strip() and math.isfinite(number)):
            raise VivaceError(f"guide {entry!r} is not NAME=VALUE; give a scale such as text=3 or align.audio=1.")
        if name.strip() in guides:
            raise VivaceError(f"Guide {name.strip()!r} takes one value and was given twice; leave all but one out.")
        guides[name.strip()] = number
    return tuple(sorted(guides.items()))


def _threshold(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise VivaceError(f"cache {value!r} is no number from 0 to 1; give one such as 0.1, or 0 for none.")
    return float(value)


def _number(name: str, value: Any, example: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise VivaceError(f"{name} {value!r} is not a finite number above 0; give one such as {example}.")
    return float(value)


def _whole(name: str, value: Any, example: str, high: int, low: int = 0) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise VivaceError(f"{name} {value!r} is not a whole number from {low} to {high}; give one such as {example}.")
    return value


def slug(prompt: str, longest: int = 48) -> str:
    """A prompt as part of a file name: letters and digits of any script, joined by hyphens, "clip" when none."""
    words = re.findall(r"[^\W_]+", re.sub(r"<[SE]>", " ", prompt.lower()))
    name = ""
    for word in words:
        longer = f"{name}-{word}" if name else word
        # File systems count bytes, not letters: three bytes a letter is common, and 255 the limit.
        if len(longer) > longest or len(longer.encode()) > 3 * longest:
            break
        name = longer
    return name or (words[0][: longest // 2] if words else "clip")


def check_output(path: Path, request: Request, contact_sheet: bool = False) -> None:
    """Refuse before any work what could not be written after it: the clip, its record or its contact sheet.

    Raises:
        VivaceError: an extension that does not fit, a folder, a path that cannot be made or written.
    """
    check_ending(path, request.suffix, "a file of sound alone" if request.only == "audio" else "a file of pictures")
    Outputs(path, contact_sheet).check()
