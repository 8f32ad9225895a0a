"""Where captions come from: what was given with the footage, or a multimodal model behind an endpoint.

`caption_folder` has the one that is a model in a local folder.
"""

from __future__ import annotations

import base64
import http.client
import io
import json
import math
import os
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from vivace.conditioning.rewrite_endpoint import endpoint_url
from vivace.curation.clip import Clip
from vivace.curation.pulse import alive
from vivace.errors import VivaceError

SUFFIX = ".captions.json"
LONGEST = 2**20  # bytes of an answer
PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
# What is no JSON, of another shape, or nested without end.
_NONSENSE = (ValueError, OverflowError, KeyError, IndexError, TypeError, AttributeError, RecursionError)
INSTRUCTION = """Describe this clip, of which you get some pictures in order of time{sound}. Answer in this form alone:
Subjects:
[S1] looks of the first person, animal or thing | voice: how it sounds
[S2] …
Visual: the place, light and camera
Narration: what happens in order of time, with [S1] for a subject, <W>…</W> around verbatim speech and <I>…</I> around \
each sound that is no speech. Before each <W> name who speaks.{transcript}"""


class UnavailableError(Exception):
    """The model gave no answer; another attempt may."""


class UnfinishedError(Exception):
    """The model answered, and would again, without coming to an end."""


class NoListError(Exception):
    """What lies beside a video is no list of captions, however often it is read."""


class Captioner(Protocol):
    """Gives the text of a structured caption of a clip, or None where it has none."""

    def __call__(self, clip: Clip) -> str | None: ...


class Given:
    """Captions that came with the footage: of the input's row, or from a file beside the video.

    `NAME.captions.json` is a list of {"start": seconds, "end": seconds, "caption": text}; that of the longest overlap
    with the clip is taken, if it covers most of it.

    Raises:
        NoListError: it is something else.
    """

    def __call__(self, clip: Clip) -> str | None:
        if text := clip.get("input.caption"):
            return str(text)
        beside = Path(clip.path).with_name(Path(clip.path).name + SUFFIX)
        if not beside.is_file():
            return None
        try:
            entries = [
                (float(entry["start"]), float(entry["end"]), str(entry["caption"]))
                for entry in json.loads(beside.read_text(encoding="utf-8-sig"))
            ]
            if not all(map(math.isfinite, (at for entry in entries for at in entry[:2]))):
                raise ValueError("a time is no number")
        except _NONSENSE as error:
            raise NoListError(f"{beside.name} is no list of captions with start and end: {error!r}") from None
        end = clip.start + (clip.seconds if clip.seconds is not None else float(clip.material().seconds))
        overlaps = [min(end, last) - max(clip.start, first) for first, last, _ in entries]
        if not overlaps or max(overlaps) < 0.5 * (end - clip.start):
            return None
        return entries[int(np.argmax(overlaps))][2]


class _Stay(urllib.request.HTTPRedirectHandler):
    """A redirection would carry pictures and key to a place that the user has not named."""

    def redirect_request(self, *_: Any) -> None:
        return None


class Endpoint:
    """A multimodal chat model behind an OpenAI-compatible URL.

    Args:
        url, model: as the endpoint has them.
        key: name of the environment variable that holds the API key; empty for none.
        pictures: how many are sent. sound: whether the clip's sound is sent too.
        timeout: seconds for each attempt, from when it is made to the last byte; attempts: at most, on answers that
            may change.

    Raises:
        VivaceError: no such URL, or a variable that is not set.
    """

    def __init__(
        self, url: str, model: str, key: str, pictures: int, sound: bool, timeout: float, attempts: int
    ) -> None:
        self.url, self.model, self.pictures, self.sound = endpoint_url(url), model, pictures, sound
        self.timeout, self.attempts = timeout, attempts
        self._opener = urllib.request.build_opener(_Stay)
        self._headers = {"Content-Type": "application/json", "User-Agent": "vivace"}
        if key:
            secret = os.environ.get(key, "").strip()
            if not secret:
                raise VivaceError(f"Environment variable {key} holds no key for the captioner; set it.")
            self._headers["Authorization"] = f"Bearer {secret}"

    def __call__(self, clip: Clip) -> str | None:
        """Raises:
        UnavailableError: no usable answer after all attempts.
        UnfinishedError: one that the endpoint cut off.
        VivaceError: a refusal that will stay.
        """
        body = json.dumps(
            {"model": self.model, "messages": [{"role": "user", "content": self._content(clip)}], "temperature": 0.2}
        ).encode()
        problem = ""
        for attempt in range(self.attempts):
            if attempt:
                _wait(min(2.0**attempt, 20.0) * 0.5)
            try:
                choice = json.loads(self._ask(body))["choices"][0]
                if choice.get("finish_reason") == "length":
                    raise UnfinishedError("the answer is not finished")
                return str(choice["message"]["content"])
            except urllib.error.HTTPError as error:
                if error.code not in PASSING:
                    raise VivaceError(f"The captioner at {self.url!r} refuses ({error.code}); check it.") from None
                problem = f"it answers {error.code}"
            except (OSError, http.client.HTTPException, *_NONSENSE) as error:
                problem = f"{type(error).__name__}: {error}"
        raise UnavailableError(f"the captioner at {self.url!r} gave no answer in {self.attempts} attempts ({problem})")

    def _ask(self, body: bytes) -> bytes:
        """One attempt; it, and all that it waits for, take no longer than `timeout` between two signs of life."""
        request = urllib.request.Request(self.url, body, self._headers, method="POST")
        end = time.monotonic() + self.timeout
        answer = b""
        alive()
        with self._opener.open(request, timeout=self.timeout) as response:
            # A socket's timeout begins anew with every byte; a server that drips would never meet it.
            while len(answer) < LONGEST and (piece := response.read1(65536)):
                answer += piece
                if time.monotonic() > end:
                    raise TimeoutError("it takes too long")
                alive()
        return answer

    def _content(self, clip: Clip) -> list[dict[str, Any]]:
        material = clip.material()
        assert material.frames is not None
        heard = self.sound and material.audio is not None
        content: list[dict[str, Any]] = [{"type": "text", "text": instruction(clip, heard)}]
        for n in np.linspace(0, len(material.frames) - 1, self.pictures).round().astype(int):
            url = f"data:image/png;base64,{_png(material.frames[n])}"
            content.append({"type": "image_url", "image_url": {"url": url}})
        if heard:
            assert material.audio is not None
            data = base64.b64encode(wav_bytes(material.audio, material.sample_rate)).decode()
            content.append({"type": "input_audio", "input_audio": {"data": data, "format": "wav"}})
        return content


def instruction(clip: Clip, heard: bool) -> str:
    """What a model is told: the form, and what a recogniser heard. heard: whether it gets the clip's sound."""
    said = "; ".join(f"{s['start']:.2f}-{s['end']:.2f} s: {s['text']}" for s in clip.get("speech.sentences") or ())
    transcript = f"\nA recogniser heard: {said}" if said else ""
    return INSTRUCTION.format(sound=" and the sound" if heard else "", transcript=transcript)


def _wait(seconds: float) -> None:
    """A pause between two attempts, which is no silence."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        alive()
        time.sleep(min(left, 0.1))


def _png(picture: np.ndarray) -> str:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


def wav_bytes(audio: np.ndarray, sample_rate: int) -> bytes:
    """Sound float [C, N] as mono WAV of 16 bits."""
    import wave

    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(np.round(audio.mean(axis=0).clip(-1, 1) * 32767).astype("<i2").tobytes())
    return out.getvalue()
