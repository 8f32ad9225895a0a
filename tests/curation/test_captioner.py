"""The endpoint that describes clips: what is sent, what is done about bad answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vivace.curation.captioner import SUFFIX, Endpoint, UnavailableError
from vivace.curation.clip import Clip, Rejected
from vivace.curation.stages.captions import Captions, CaptionSettings
from vivace.errors import VivaceError
from vivace.media import Clip as Material
from vivace.media import write_clip

GOOD = "Subjects:\n[S1] a ball\nVisual: a floor\nNarration: [S1] bounces, <I>a knock</I>"


class Server(ThreadingHTTPServer):
    """Gives the prepared answers one after the other, then the last again."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[tuple[int, str]] = []
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.place = ""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.server.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.server.headers.append(dict(self.headers))
        code, text = self.server.answers.pop(0) if len(self.server.answers) > 1 else self.server.answers[0]
        body = text.encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        if code == 307:
            self.send_header("Location", self.server.place)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        return None


def completion(text: str) -> str:
    return json.dumps({"choices": [{"message": {"content": text}}]})


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()


@pytest.fixture
def clip(tmp_path: Path) -> Clip:
    frames = np.zeros((12, 32, 32, 3), np.uint8)
    write_clip(tmp_path / "a.mp4", Material(frames, Fraction(24), np.zeros((2, 8000), np.float32), 16000))
    sentence = {"start": 0.1, "end": 0.4, "text": "red two"}
    return Clip.of_file(tmp_path / "a.mp4").with_columns("speech", sentences=[sentence])


def stage(server: Server, **settings: Any) -> Captions:
    url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    return Captions(CaptionSettings(backend=url, model="m", **settings))


def test_pictures_sound_and_transcript_are_sent_and_the_answer_is_read(
    server: Server, clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPTION_KEY", "secret")
    server.answers = [(200, completion(f"**Here**\n{GOOD}"))]
    found = stage(server, pictures=3, key="CAPTION_KEY").measure(clip)
    assert isinstance(found, Clip)
    assert (found["captions.text"], found["captions.state"]) == (GOOD, "repaired")
    content = server.asked[0]["messages"][0]["content"]
    assert [part["type"] for part in content] == ["text", "image_url", "image_url", "image_url", "input_audio"]
    assert "red two" in content[0]["text"]
    assert server.headers[0]["Authorization"] == "Bearer secret"
    stage(server, pictures=1, sound=False).measure(clip)
    assert [part["type"] for part in server.asked[1]["messages"][0]["content"]] == ["text", "image_url"]


def test_nonsense_is_rejected_and_a_passing_trouble_waited_for(server: Server, clip: Clip) -> None:
    server.answers = [(503, "busy"), (200, "{"), (200, completion("I cannot help with that."))]
    found = stage(server).measure(clip)
    assert isinstance(found, Rejected)
    assert found.reason == "bad_caption"
    assert len(server.asked) == 3


def test_an_endpoint_that_stays_away_is_an_error_that_comes_again(server: Server, clip: Clip) -> None:
    server.answers = [(500, "")]
    with pytest.raises(UnavailableError, match="in 2 attempts"):
        stage(server, attempts=2).measure(clip)
    server.answers = [(401, "")]
    with pytest.raises(VivaceError, match="refuses"):
        stage(server).measure(clip)


def test_an_answer_that_was_cut_off_is_rejected(server: Server, clip: Clip) -> None:
    choice = {"message": {"content": GOOD}, "finish_reason": "length"}
    server.answers = [(200, json.dumps({"choices": [choice]}))]
    found = stage(server).measure(clip)
    assert isinstance(found, Rejected)
    assert found.reason == "bad_caption"
    assert len(server.asked) == 1


def test_pictures_and_key_do_not_follow_a_redirection(
    server: Server, clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPTION_KEY", "secret")
    server.answers = [(307, completion(GOOD)), (200, completion(GOOD))]
    server.place = f"http://127.0.0.1:{server.server_address[1]}/elsewhere"
    with pytest.raises(VivaceError, match="refuses"):
        stage(server, key="CAPTION_KEY").measure(clip)
    assert len(server.asked) == 1


def test_answers_that_are_no_text_or_never_end_are_told(server: Server, clip: Clip) -> None:
    server.answers = [(200, json.dumps({"choices": [{"message": {"content": f"{GOOD} \ud83d"}}]}))]
    found = stage(server).measure(clip)
    assert isinstance(found, Rejected)
    assert found.reason == "bad_caption"
    server.answers = [(200, "[" * 100_000)]
    with pytest.raises(UnavailableError, match="RecursionError"):
        stage(server, attempts=1).measure(clip)


@pytest.mark.parametrize(
    "beside",
    [
        b"{not json",
        b"\xff\xfe\x00",
        b"null",
        b'{"start": 0}',
        b'[{"start": 0, "end": 1}]',
        b'[{"start": NaN, "end": 1, "caption": "x"}]',
        b"[" * 100_000,
    ],
)
def test_a_file_beside_the_video_that_is_no_list_is_a_bad_caption(clip: Clip, beside: bytes) -> None:
    Path(f"{clip.path}{SUFFIX}").write_bytes(beside)
    found = Captions(CaptionSettings()).measure(clip)
    assert isinstance(found, Rejected)
    assert (found.reason, SUFFIX in found.detail) == ("bad_caption", True)


def test_a_key_that_is_not_set_is_refused() -> None:
    with pytest.raises(VivaceError, match="NO_SUCH_KEY"):
        Endpoint("http://localhost:1/v1", "m", "NO_SUCH_KEY", 1, False, 1.0, 1)
