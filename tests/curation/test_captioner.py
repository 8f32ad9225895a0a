"""The endpoint that describes clips: what is sent, what is done about bad answers."""

from __future__ import annotations

import json
import socket
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.curation.spoken import Unspoken

from vivace.curation.captioner import SUFFIX, Endpoint, UnavailableError
from vivace.curation.chain import Job, Step, walk
from vivace.curation.clip import Clip, Rejected
from vivace.curation.engine import Engine, Executor
from vivace.curation.funnel import passages
from vivace.curation.guard import Limits
from vivace.curation.ledger import Ledger
from vivace.curation.ledger_reader import FILE, LedgerReader
from vivace.curation.local import run_local
from vivace.curation.recipe import check_recipe
from vivace.curation.stage import Stage, plan
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
        self.manner = ""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.server.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.server.headers.append(dict(self.headers))
        code, text = self.server.answers.pop(0) if len(self.server.answers) > 1 else self.server.answers[0]
        body = text.encode()
        if self.server.manner == "hangs":
            time.sleep(5)
            self.close_connection = True
            return
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        if code == 307:
            self.send_header("Location", self.server.place)
        match self.server.manner:
            case "drips":
                self.end_headers()
                self.drip(body)
            case "drips headers":
                self.flush_headers()
                self.drip(b"X-More: " + b"x" * 400)
            case "closes":
                self.end_headers()
                self.wfile.write(body[: len(body) // 2])
            case _:
                self.end_headers()
                self.wfile.write(body)

    def drip(self, content: bytes) -> None:
        with suppress(OSError):  # whoever asked has given up
            for byte in content:
                self.wfile.write(bytes([byte]))
                time.sleep(0.1)

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


@pytest.mark.parametrize("manner", ["hangs", "drips", "closes", "is not there"])
def test_an_endpoint_that_fails_is_asked_again_within_bounds(server: Server, clip: Clip, manner: str) -> None:
    server.answers, server.manner = [(200, completion(GOOD))], manner
    captions = stage(server, timeout=0.5, attempts=2)
    with socket.socket() as silent:  # bound, and nobody listens
        silent.bind(("127.0.0.1", 0))
        if manner == "is not there":
            url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
            captions = Captions(captions.settings.model_copy(update={"backend": url}))
        began = time.monotonic()
        with pytest.raises(UnavailableError, match="in 2 attempts"):
            captions.measure(clip)
    assert time.monotonic() - began < 5
    assert len(server.asked) == (0 if manner == "is not there" else 2)


@pytest.mark.parametrize(
    ("manner", "said", "asked"),
    [
        # All attempts together take longer than the worker may be silent.
        ("hangs", "in 2 attempts", 2),
        # No attempt ends by itself then: it costs the worker.
        ("drips headers", "no sign of life", 1),
    ],
)
def test_a_clip_without_an_answer_is_counted_and_not_lost(
    server: Server, clip: Clip, tmp_path: Path, manner: str, said: str, asked: int
) -> None:
    server.answers, server.manner = [(200, completion(GOOD))], manner
    captions = stage(server, timeout=2.5, attempts=2)
    run(tmp_path / "out", clip, captions, run_local)
    assert len(server.asked) == asked
    with LedgerReader(tmp_path / "out") as ledger:
        assert (passages(ledger)[1].entered, passages(ledger)[1].aside) == (1, 1)
    with sqlite3.connect(tmp_path / "out" / FILE) as connection:
        assert said in connection.execute("SELECT error FROM failures").fetchone()[0]
    server.manner = ""
    with Ledger(tmp_path / "out") as again:
        assert again.release() == 1
    run(tmp_path / "out", clip, captions, here)
    with LedgerReader(tmp_path / "out") as ledger:
        assert passages(ledger)[1].kept == 1


def run(folder: Path, clip: Clip, captions: Captions, executor: Executor) -> None:
    """As `vivace curate run` does, with a worker that may be silent for 4 s."""
    with Ledger(folder) as ledger:
        ledger.add_files([Clip.of_file(Path(clip.path))])
        limits = Limits(seconds=4.0, memory_gib=2.0)
        Engine(ledger, plan([Unspoken(), captions]), executor, workers=1, limits=limits, attempts=1).run()


def here(
    stages: Sequence[Stage], jobs: Iterable[Job], limits: Limits, workers: int
) -> Iterator[tuple[Job, list[Step]]]:
    return ((job, list(walk(stages, job))) for job in jobs)


def test_a_timeout_that_the_limit_does_not_leave_is_refused() -> None:
    table = {"output": "out", "input": {"folder": "in"}, "executor": {"limits": {"seconds": 60}}}
    captions = {"backend": "http://localhost:1/v1", "model": "m"}
    with pytest.raises(VivaceError, match=r"raise the limit to 75 s, or lower the timeout"):
        check_recipe({**table, "captions": captions}, "r.toml")
    check_recipe({**table, "captions": {**captions, "timeout": 48}}, "r.toml")


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
