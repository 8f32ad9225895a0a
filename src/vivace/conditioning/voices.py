"""Voices: recordings that say how a speech span shall sound, their checks, and which span has which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from vivace.conditioning.pauses import find_speech
from vivace.conditioning.saved_voices import kept_vector, read_voice_file, vectors_folder
from vivace.conditioning.voice_names import SUFFIX
from vivace.errors import VivaceError, count_of
from vivace.media import read_audio
from vivace.media.decode_audio import resample
from vivace.models.speaker import SpeakerEncoder

SAMPLE_RATE = 16000
# NAVA's program reads 30 s. More changes a voice's vector no further.
MOST_SPEECH_SECONDS = 30.0
LEAST_SPEECH_SECONDS = 0.5
# Of a longer file only this much is read, in which 30 s of speech are looked for.
MOST_FILE_SECONDS = 600.0
# As long as this a file is a programme, not a sample of one voice.
LONGEST_FILE_SECONDS = 3540.0
SILENCE_DBFS = -60.0
# Of the speech. A clean sine stays below it, ordinary speech a hundred times.
CLIPPED_SHARE = 0.04
# Of the louder channel's power. Unlike sounds in two channels leave a quarter of it, or more.
CANCELLED = 0.1


@dataclass(frozen=True, eq=False)
class Recording:
    """One person's speech, without its pauses, checked.

    Args:
        samples: mono float32 [N] in [-1, 1].
        sample_rate: Hz.
        name: what messages call it.
        notes: sentences that a user should see.
        vectors: folder in which its speaker vectors are kept by encoder, of a saved voice.
    """

    samples: np.ndarray
    sample_rate: int
    name: str
    notes: tuple[str, ...] = ()
    vectors: Path | None = None

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.sample_rate


# A recording, a speaker vector [dim] that an encoder has made before, or None for any voice.
Voice = Recording | Tensor | None


def read_voice(path: str | Path) -> Recording | Tensor:
    """A voice from a sound file, or from a video's sound, of any rate and number of channels; or from a safetensors
    file, which is a saved voice or holds a speaker vector [dim].

    Raises:
        VivaceError: a file that is missing, damaged, an hour long or without sound; no usable speech in it.
    """
    name = f"Voice {str(path)!r}"
    if Path(path).suffix.lower() == SUFFIX:
        found = read_voice_file(Path(path))
        if found.samples is None:
            assert found.vector is not None
            return found.vector
        return Recording(found.samples.numpy(), SAMPLE_RATE, name, vectors=vectors_folder(Path(path)))
    changes: list[str] = []
    sound = read_audio(
        path, SAMPLE_RATE, 2, longest=LONGEST_FILE_SECONDS, at_most=MOST_FILE_SECONDS, tell=changes.append
    )
    mono = sound.mean(0)
    powers = [float(np.square(channel, dtype=np.float64).mean()) for channel in (*sound, mono)]
    if powers[2] < CANCELLED * max(powers[:2]):
        mono = sound[int(powers[1] > powers[0])]
        changes.append("has two channels that cancel each other, of which the louder one is used")
    # A longer file is read as far as this; of one just as long the same may be said.
    part = f"its first {MOST_FILE_SECONDS / 60:g} minutes" if len(mono) >= MOST_FILE_SECONDS * SAMPLE_RATE else ""
    heard = recording(mono, SAMPLE_RATE, name, part)
    return replace(heard, notes=(*(f"{name} {change}." for change in changes), *heard.notes))


def recording(samples: np.ndarray, sample_rate: int, name: str = "The voice", part: str = "") -> Recording:
    """Check sound and cut its pauses out; at most the first 30 s of speech are kept.

    Args:
        samples: mono [N].
        part: what of a longer recording they are, as a message says it.

    Raises:
        VivaceError: a wrong shape, silence, clipped or too short speech, or speech in a noise nearly as loud.
    """
    sound = np.asarray(samples, dtype=np.float32)
    if sound.ndim != 1:
        raise VivaceError(f"{name} of shape {list(sound.shape)} is not mono sound; give numbers [N].")
    if not np.isfinite(sound).all():
        raise VivaceError(f"{name} has samples that are not finite; give another recording.")
    if len(sound) < LEAST_SPEECH_SECONDS * sample_rate:
        raise VivaceError(
            f"{name} is {len(sound) / sample_rate:.2f} s long; give at least {LEAST_SPEECH_SECONDS:g} s of speech, "
            "better 3 s."
        )
    where = f" in {part}, which are all that is heard" if part else ""
    flat = _samples_in_flat_tops(sound)  # before the mean is taken off, which moves the two ceilings apart
    sound = sound - sound.mean()
    if float(np.abs(sound).max()) < 10 ** (SILENCE_DBFS / 20):
        remedy = "cut out the part" if part else "give a recording"
        raise VivaceError(f"{name} is silent{where}; {remedy} in which somebody speaks.")
    found = find_speech(sound, sample_rate)
    speech, contrast = found.samples, found.contrast
    if contrast is not None and found.drowned:
        raise VivaceError(
            f"{name} has a steady noise only {contrast:.0f} dB below its loudest parts, so that speech and noise "
            "cannot be told apart; give a recording with less noise."
        )
    if len(speech) < LEAST_SPEECH_SECONDS * sample_rate:
        raise VivaceError(
            f"{name} has {len(speech) / sample_rate:.2f} s of speech{where}; give at least {LEAST_SPEECH_SECONDS:g} s, "
            "better 3 s."
        )
    stuck = flat / len(speech)
    if stuck > CLIPPED_SHARE:
        raise VivaceError(f"{name} is clipped ({stuck:.0%} of it is at its peak); record it again at a lower level.")
    notes = []
    if contrast is not None:
        notes.append(
            f"{name} has a steady noise {contrast:.0f} dB below its loud parts; where it is alone it is cut out."
        )
    most = int(MOST_SPEECH_SECONDS * sample_rate)
    if len(speech) > most:
        notes.append(f"{name} has {len(speech) / sample_rate:.0f} s of speech; the first 30 s are used.")
    return Recording(speech[:most], sample_rate, name, tuple(notes))


def _samples_in_flat_tops(sound: np.ndarray) -> int:
    """How many samples [N] lie three or more in a row within 0.1 % of the highest one."""
    height = np.abs(sound)
    top = height >= 0.999 * height.max()
    middle = top[:-2] & top[1:-1] & top[2:]
    return int((np.convolve(middle, np.ones(3)) > 0.5).sum())


def without_pauses(sound: np.ndarray, sample_rate: int) -> np.ndarray:
    """The stretches in which somebody speaks, put together, as `find_speech` finds them. [N] -> [M]"""
    return find_speech(sound, sample_rate).samples


def voices_for_spans(spans: int, voices: Sequence[Voice], what: str = "The prompt") -> list[Voice]:
    """Which voice speaks each span: one for each in their order, or one for all.

    Raises:
        VivaceError: voices without speech, or another number of voices than spans.
    """
    given = list(voices)
    if given and not spans:
        raise VivaceError(f"{what} has no speech for the voice; put what is spoken between <S> and <E>.")
    if len(given) == 1:
        return given * spans
    if given and len(given) != spans:
        raise VivaceError(
            f"{what} has {count_of(spans, 'speech span')} and {len(given)} voices were given; "
            "give one voice for each span in their order, or a single one for all."
        )
    return given or [None] * spans


def voices_of_prompts(spans: Sequence[int], voices: Sequence[Voice] | Sequence[Sequence[Voice]]) -> list[list[Voice]]:
    """`voices_for_spans` for several prompts.

    Args:
        spans: number of speech spans of each prompt.
        voices: the same for every prompt, or a list for each.

    Raises:
        VivaceError: lists for another number of prompts; otherwise as `voices_for_spans`.
    """
    if not any(isinstance(voice, (list, tuple)) for voice in voices):
        return [voices_for_spans(count, cast(Sequence[Voice], voices)) for count in spans]
    if len(voices) != len(spans):
        lists, prompts = count_of(len(voices), "list"), count_of(len(spans), "prompt")
        raise VivaceError(f"{lists} of voices for {prompts} cannot be dealt out; give one for each.")
    dealt = cast(Sequence[Sequence[Voice]], voices)
    return [voices_for_spans(count, own or ()) for count, own in zip(spans, dealt, strict=True)]


@torch.no_grad()
def speaker_vectors(
    encoder: SpeakerEncoder | None, voices: Sequence[Voice], dim: int, device: torch.device | str = "cpu"
) -> Tensor:
    """A row for each voice, [voices, dim] float32; zeros, which the transformer reads as its null speaker, for None.

    Each recording is encoded by itself, so that a voice's vector does not depend on the others.

    Raises:
        VivaceError: a vector of another width.
    """
    known: dict[int, Tensor] = {}
    rows = torch.zeros(len(voices), dim, device=device)
    for row, voice in zip(rows, voices, strict=True):
        if voice is None:
            continue
        if isinstance(voice, Recording):
            assert encoder is not None
            if id(voice) not in known:
                known[id(voice)] = _encode(encoder, voice, device)
        vector = known[id(voice)] if isinstance(voice, Recording) else voice
        check_vectors([vector], dim)
        row.copy_(vector)
    return rows


def check_vectors(voices: Sequence[Voice], dim: int, what: str = "A voice") -> None:
    """Raises VivaceError where a voice is a speaker vector of another width; `what` is how it calls the voice."""
    for voice in voices:
        if isinstance(voice, Tensor) and tuple(voice.shape) != (dim,):
            raise VivaceError(
                f"{what} is a speaker vector of shape {list(voice.shape)} and this model's have {dim} values; "
                "give the recording, or a vector of this model's speaker encoder."
            )


def _encode(encoder: SpeakerEncoder, voice: Recording, device: torch.device | str) -> Tensor:
    if voice.vectors is None:
        return _encode_now(encoder, voice, device)
    return kept_vector(voice.vectors, encoder.identity, lambda: _encode_now(encoder, voice, device)).to(device)


def _encode_now(encoder: SpeakerEncoder, voice: Recording, device: torch.device | str) -> Tensor:
    samples = voice.samples[None]
    if voice.sample_rate != encoder.sample_rate:
        samples = resample(samples, voice.sample_rate, encoder.sample_rate)
    return encoder(torch.from_numpy(samples).to(device))[0].float()
