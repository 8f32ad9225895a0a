"""Dialogue files: who speaks with which voice, and who says what, compiled to a prompt with speech spans and voices.

    speakers: {anna: anna.wav, ben: {voice: ben, look: the man on the right}}
    anna: two blue
    ben: hello
    anna: goodbye

A voice is a file or the name of a saved one. The lines may also stand under `lines:`, as a list or as they are. YAML is
read as plain text (`yes`, `2` and `no` are words here), and in the lines a name may come back, which a table of YAML's
would forbid. Every speaker has a line.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path

import yaml

from vivace.conditioning.prompts import SPEECH_END, SPEECH_START, check_prompt
from vivace.conditioning.voice_names import located_voice
from vivace.errors import VivaceError

MAX_BYTES = 64 * 1024
SPEAKERS, LINES = "speakers", "lines"
NOBODY = ("", "~", "null", "none")


@dataclass(frozen=True)
class Speaker:
    """Who speaks.

    Args:
        look: what the prompt calls them, such as "the woman on the left"; their name where nothing else is said.
        voice: sound file, or None for any voice.
    """

    look: str
    voice: Path | None


@dataclass(frozen=True)
class Dialogue:
    """Speakers by name, and lines (name, words) in their order."""

    speakers: dict[str, Speaker]
    lines: tuple[tuple[str, str], ...]

    def prompt(self, scene: str) -> str:
        """The scene, and behind it a sentence for each line, with what is spoken in a span of its own.

        Raises:
            VivaceError: the scene has speech of its own, or is none.
        """
        scene = check_prompt(scene)
        if SPEECH_START in scene:
            raise VivaceError("The prompt has speech of its own beside the dialogue file; write it all there.")
        said = [f"{self.speakers[name].look} says {SPEECH_START}{words}{SPEECH_END}" for name, words in self.lines]
        spoken = ", then ".join(said)
        scene = scene if scene.endswith(("!", "?")) else f"{scene.rstrip(' .,;:')}."
        return f"{scene} {spoken[0].upper()}{spoken[1:]}."

    def voices(self) -> list[Path | None]:
        """The voice of each line."""
        return [self.speakers[name].voice for name, _ in self.lines]


def read_dialogue(path: str | Path) -> Dialogue:
    """A dialogue from its file; voices are paths relative to it, or names of saved ones.

    Raises:
        VivaceError: not to be read, no text in UTF-8, no YAML, or not of the form above.
    """
    path = Path(path)
    what = f"Dialogue {str(path)!r}"
    try:
        if path.stat().st_size > MAX_BYTES:
            raise VivaceError(f"{what} is larger than {MAX_BYTES >> 10} KiB; shorten it.")
        data = path.read_bytes()
    except OSError as error:
        raise VivaceError(f"{what} cannot be read ({error.strerror}); check the path.") from None
    return parse_dialogue(_decoded(data, what), path.parent, what)


def _decoded(data: bytes, what: str) -> str:
    """Text in UTF-8, with or without its mark at the beginning."""
    # In UTF-16 every second byte of a Latin letter is 0, which no text has.
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or 0 in data[:4]:
        raise VivaceError(f"{what} is a text in UTF-16 or UTF-32, or none; save it as UTF-8.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise VivaceError(f"{what} is no text in UTF-8 (line {line}); save it as UTF-8.") from None


def parse_dialogue(text: str, folder: Path, what: str = "The dialogue") -> Dialogue:
    """A dialogue from its text; voices are paths relative to `folder`.

    Raises:
        VivaceError: no YAML, or not of the form above.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}" if mark is not None else "it"
        raise VivaceError(
            f"{what} is no YAML ({where} cannot be read); write lines such as 'anna: two blue', "
            "and put words with a colon into quotation marks."
        ) from None
    speakers: dict[str, Speaker] = {}
    lines: list[tuple[str, str]] = []
    for key, value in _entries(root, what):
        if key == SPEAKERS:
            if speakers:
                raise VivaceError(f"{what} has {SPEAKERS!r} twice; put all speakers into one.")
            for name, entry in _distinct(value, f"{what}: {key}").items():
                speakers[name] = _speaker(name, entry, folder, what)
        elif key == LINES:
            lines += _lines(value, what)
        else:
            lines.append((key, _text(value, f"{what}: {key}")))
    if not speakers:
        raise VivaceError(f"{what} names no speakers; begin it with a line such as 'speakers: {{anna: anna.wav}}'.")
    if not lines:
        raise VivaceError(f"{what} has nothing that is said; add lines such as '{next(iter(speakers))}: two blue'.")
    for name, words in lines:
        if name not in speakers:
            raise VivaceError(f"{what} has a line of {name!r}, who is none of its speakers; add them or correct it.")
        if not words or SPEECH_START in words or SPEECH_END in words:
            raise VivaceError(f"{what} has the line {words!r} of {name!r}; write the words alone.")
    for name, speaker in speakers.items():
        if SPEECH_START in speaker.look or SPEECH_END in speaker.look:
            raise VivaceError(
                f"{what} calls {name!r} {speaker.look!r}, and what is spoken stands in the lines alone; "
                f"leave {SPEECH_START} and {SPEECH_END} out."
            )
    silent = [name for name in speakers if name not in dict(lines)]
    if silent:
        raise VivaceError(f"{what} has no line of its speaker {silent[0]!r}; add one, or leave them out.")
    return Dialogue(speakers, tuple(lines))


def _entries(node: yaml.Node | None, what: str) -> list[tuple[str, yaml.Node]]:
    """Keys and values of a table, in order, with keys that come back."""
    if not isinstance(node, yaml.MappingNode):
        raise VivaceError(f"{what} is no table; write lines of the form 'name: value'.")
    return [(_text(key, what), value) for key, value in node.value]


def _distinct(node: yaml.Node, what: str) -> dict[str, yaml.Node]:
    """Keys and values of a table in which none may come back."""
    entries = _entries(node, what)
    found = dict(entries)
    if len(found) < len(entries):
        names = [name for name, _ in entries]
        twice = next(name for name in found if names.count(name) > 1)
        raise VivaceError(f"{what} has {twice!r} twice; leave one of them out.")
    return found


def _lines(node: yaml.Node, what: str) -> list[tuple[str, str]]:
    tables = node.value if isinstance(node, yaml.SequenceNode) else [node]
    entries = [entry for table in tables for entry in _entries(table, f"{what}: {LINES}")]
    return [(name, _text(value, f"{what}: {name}")) for name, value in entries]


def _speaker(name: str, node: yaml.Node, folder: Path, what: str) -> Speaker:
    if not isinstance(node, yaml.MappingNode):
        return Speaker(name, _voice(_text(node, f"{what}: {name}"), folder))
    entries = {key: _text(value, f"{what}: {name}: {key}") for key, value in _distinct(node, f"{what}: {name}").items()}
    unknown = sorted(set(entries) - {"voice", "look"})
    if unknown:
        raise VivaceError(f"{what} gives {name!r} an unknown {unknown[0]!r}; use voice and look.")
    return Speaker(entries.get("look") or name, _voice(entries.get("voice", ""), folder))


def _voice(text: str, folder: Path) -> Path | None:
    return None if text.lower() in NOBODY else located_voice(text, folder)


def _text(node: yaml.Node, what: str) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise VivaceError(f"{what} is a list or a table where text belongs; write a name, a file or words.")
    return " ".join(str(node.value).split())
