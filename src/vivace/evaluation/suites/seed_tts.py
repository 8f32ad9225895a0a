"""Seed-TTS-eval (BytedanceSpeech/seed-tts-eval): a voice and a text in, speech out; word errors and similarity."""

from __future__ import annotations

import wave
from pathlib import Path

from vivace.errors import VivaceError
from vivace.evaluation.suites.suite import Column, Suite, SuiteItem

LANGUAGES = {"en": "A person says", "zh": "一个人说"}
_SHORTEST, _LONGEST = 1.0, 30.0  # seconds that are asked for
_SIM = Column("SIM", "speaker_similarity_seed_tts", rule="whole sounds, against the voice given; papers print it x100")
COLUMNS: dict[str, tuple[Column, ...]] = {
    "en": (
        Column(
            "WER",
            "wer_seed_tts",
            rule="mean of utterances, punctuation but the apostrophe removed, numbers as written; papers print it x100",
        ),
        _SIM,
    ),
    "zh": (
        Column("CER", "cer_seed_tts", rule="heard by Paraformer-zh, by characters without punctuation"),
        Column("CER_whisper", "cer", rule="heard by Whisper, and so not the published figure", twin="CER"),
        _SIM,
    ),
}


def seed_tts_suite(folder: Path, language: str = "en") -> Suite:
    """The suite of a language.

    Args:
        folder: with en/meta.lst and zh/meta.lst; lines are `id|text`, `id|text|voice`, `id|voice's text|voice|text` or
            the same with the true sound behind it. Paths are from the list's folder, and may lack `.wav`.
        language: "en" or "zh".

    Raises:
        VivaceError: another language, no list, a line of another form, a voice that is not there.
    """
    if language not in LANGUAGES:
        raise VivaceError(f"Seed-TTS has no language {language!r}; use {' or '.join(LANGUAGES)}.")
    path = folder / language / "meta.lst"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise VivaceError(
            f"Seed-TTS's list {str(path)!r} cannot be read ({reason}); give its folder to --data."
        ) from error
    items = [_item(line, number, path, language) for number, line in enumerate(lines, 1) if line.strip()]
    note = (
        "Seed-TTS-eval: missing clips are never left out silently, as the published script does. Lengths follow from "
        "the voice's, by characters (ours)."
    )
    return Suite(
        f"seed-tts-{language}", f"seed-tts-{language}", note, tuple(items), columns=COLUMNS[language], sides="audio"
    )


def _item(line: str, number: int, path: Path, language: str) -> SuiteItem:
    fields = [field.strip() for field in line.split("|")]
    voice_text = ""
    match fields:
        case [name, text]:
            sounds = {}
        case [name, text, voice]:
            sounds = {"voice": voice}
        case [name, voice_text, voice, text]:
            sounds = {"voice": voice}
        case [name, voice_text, voice, text, true]:
            sounds = {"voice": voice, "sound": true}
        case _:
            raise VivaceError(f"Line {number} of {str(path)!r} has {len(fields)} parts; it has 2 to 5, with | between.")
    name = name.removesuffix(".wav")
    if not name or not text:
        raise VivaceError(f"Line {number} of {str(path)!r} has no id or no text; correct it.")
    files = {kind: _sound(path.parent / sound, number, path) for kind, sound in sounds.items() if sound}
    return SuiteItem(
        id=name,
        group=language,
        prompt=f"{LANGUAGES[language]} <S>{text}<E>",
        seed=number - 1,
        language=language,
        texts={"said": text},
        files=files,
        seconds=_seconds(files.get("voice"), voice_text, text),
    )


def _sound(path: Path, number: int, where: Path) -> Path:
    for found in (path, path.with_name(f"{path.name}.wav")):
        if found.is_file():
            return found
    raise VivaceError(
        f"Line {number} of {str(where)!r} names {str(path)!r}, which does not exist; complete the folder."
    )


def _seconds(voice: Path | None, voice_text: str, text: str) -> float | None:
    """How long the text lasts at the voice's pace; None where that cannot be told."""
    if voice is None or not voice_text:
        return None
    try:
        with wave.open(str(voice), "rb") as sound:
            seconds = sound.getnframes() / sound.getframerate()
    except (wave.Error, EOFError, OSError):
        return None
    return round(min(max(seconds * len(text) / len(voice_text), _SHORTEST), _LONGEST), 2)
