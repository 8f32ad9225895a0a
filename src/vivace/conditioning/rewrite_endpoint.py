"""The rewriter behind an OpenAI-compatible endpoint that the user names; the only code here that uses a network."""

from __future__ import annotations

import http.client
import json
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from vivace.conditioning.rewriting import NoRewriteError, Wanted, messages, plain_answer
from vivace.errors import VivaceError

PATH = "/chat/completions"
TIMEOUT = 120.0  # seconds for one attempt, from the first byte sent to the last one received
ATTEMPTS = 3
PAUSE = 1.0  # seconds before the second attempt; doubled before each further one
MAX_PAUSE = 20.0  # of what a server may ask for
MAX_BYTES = 2**20
TEMPERATURE = 0.3  # the published rewriter's
# What a server may answer for a while; every other refusal stays the same however often it is asked.
_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class _Stay(urllib.request.HTTPRedirectHandler):
    """A redirection would carry prompt and key to a place that the user has not named."""

    def redirect_request(self, *_: Any) -> None:
        return None


class EndpointRewriter:
    """A chat model behind `URL/chat/completions`.

    Args:
        url: of the API, such as http://localhost:8000/v1; with or without /chat/completions.
        model: as the endpoint calls it.
        key: name of the environment variable that holds the API key, or None for none.
        timeout: seconds for each of at most three attempts. pause: seconds before the second.

    Raises:
        VivaceError: no such URL, no model, or a variable that is not set.
    """

    def __init__(
        self, url: str, model: str | None, key: str | None = None, *, timeout: float = TIMEOUT, pause: float = PAUSE
    ) -> None:
        self.url = endpoint_url(url)
        if not model:
            raise VivaceError(f"Rewriter {self.place!r} needs the name of its model; add --rewrite-model.")
        self.model, self.timeout, self.pause = model, timeout, pause
        self._variable, self._key = key, None if key is None else _key_in(key)
        self._opener = urllib.request.build_opener(_Stay)

    @property
    def place(self) -> str:
        """The URL without what may be private in it."""
        return urllib.parse.urlunsplit(urllib.parse.urlsplit(self.url)._replace(query="", fragment=""))

    @property
    def name(self) -> str:
        return f"{self.model} at {self.place}"

    def __call__(self, prompt: str, wanted: Wanted) -> str:
        """The endpoint's answer.

        Raises:
            NoRewriteError: no answer after three attempts, or one that is none.
            VivaceError: a refusal that will stay, such as a wrong key.
        """
        body = {"model": self.model, "messages": messages(prompt, wanted), "temperature": TEMPERATURE, "stream": False}
        pause, problem = self.pause, ""
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(pause)
                pause = min(2 * pause, MAX_PAUSE)
            try:
                return _content(self._ask(json.dumps(body).encode()), self.place)
            except urllib.error.HTTPError as error:
                with error:
                    if error.code not in _PASSING:
                        raise VivaceError(_refusal(self.place, error, self._variable)) from None
                    problem = f"it answers {error.code}"
                    pause = max(pause, min(_asked_pause(error), MAX_PAUSE))
            except (OSError, http.client.HTTPException) as error:
                reason = getattr(error, "reason", None) or error
                problem = "it takes too long" if isinstance(reason, TimeoutError) else _line(str(reason))
        raise NoRewriteError(
            f"Rewriter {self.place!r} gave no answer in {ATTEMPTS} attempts ({problem}); the original is used."
        )

    def _ask(self, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "vivace"}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key}"
        request = urllib.request.Request(self.url, body, headers, method="POST")
        end = time.monotonic() + self.timeout
        answer = b""
        with self._opener.open(request, timeout=self.timeout) as response:
            # A socket's timeout begins anew with every byte; a server that drips would never meet it.
            while piece := response.read1(65536):
                answer += piece
                if len(answer) > MAX_BYTES:
                    raise NoRewriteError(f"Rewriter {self.place!r} answers more than 1 MiB; the original is used.")
                if time.monotonic() > end:
                    raise TimeoutError("it takes too long")
        return answer


def endpoint_url(url: str) -> str:
    """Where chat completions are asked for.

    Raises:
        VivaceError: not an http or https URL with a host, or one that holds a password.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or any(character.isspace() or not character.isprintable() for character in url):
        raise VivaceError(f"Rewriter {url[:100]!r} is no URL; give one such as http://localhost:8000/v1.")
    if "@" in parts.netloc:
        raise VivaceError("The rewriter's URL holds a name or password; put the key into a variable (--rewrite-key).")
    path = parts.path.rstrip("/") or "/v1"
    path = path if path.endswith(PATH) else path + PATH
    return urllib.parse.urlunsplit(parts._replace(path=path, fragment=""))


def _key_in(variable: str) -> str:
    if not _VARIABLE.fullmatch(variable):
        raise VivaceError(
            "The rewriter's key is to be the name of an environment variable, not the key itself; "
            "give one such as OPENAI_API_KEY."
        )
    key = os.environ.get(variable, "").strip()
    if not key or not key.isascii() or not key.isprintable():
        raise VivaceError(f"Environment variable {variable} holds no key for the rewriter; set it.")
    return key


def _content(answer: bytes, place: str) -> str:
    """The text in a chat completion."""
    try:
        choice = json.loads(answer)["choices"][0]
        text, finish = choice["message"]["content"], choice.get("finish_reason")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        text = finish = None
    if not isinstance(text, str):
        raise NoRewriteError(f"Rewriter {place!r} answers no chat completion; the original is used.")
    if finish == "length":
        raise NoRewriteError(f"The answer of {place!r} is cut short; the original is used.")
    return plain_answer(text)


def _refusal(place: str, error: urllib.error.HTTPError, variable: str | None) -> str:
    """The sentence for an answer that will stay; `variable` holds the key that was sent."""
    if 300 <= error.code < 400:
        return f"Rewriter {place!r} has moved ({error.code}); name its new URL."
    if error.code in (401, 403) and variable is None:
        return f"Rewriter {place!r} asks for a key ({error.code}); name the variable that holds one by --rewrite-key."
    if error.code in (401, 403):
        return (
            f"Rewriter {place!r} refuses the key in {variable} ({error.code}); set the variable to one that it takes."
        )
    try:
        said = json.loads(error.read(MAX_BYTES))["error"]
        said = said["message"] if isinstance(said, dict) else said
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, RecursionError):
        said = error.reason
    return f"Rewriter {place!r} refuses ({error.code}: {_line(str(said))}); check its URL and --rewrite-model."


def _asked_pause(error: urllib.error.HTTPError) -> float:
    """Seconds that a server asks to wait."""
    try:
        return max(0.0, float(error.headers.get("Retry-After", "0")))
    except ValueError:
        return 0.0


def _line(text: str) -> str:
    """A foreign text as a part of a sentence."""
    return " ".join(text.split())[:200].rstrip(".;")
