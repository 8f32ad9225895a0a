"""The OpenAI-compatible rewriter against a real HTTP server in a thread."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from vivace.conditioning.rewrite_endpoint import ATTEMPTS, EndpointRewriter, endpoint_url
from vivace.conditioning.rewriting import Rewriting, rewritten
from vivace.errors import VivaceError

PROMPT = "she says <S>two blue<E>"


class Api(ThreadingHTTPServer):
    """Answers requests from a list of (status, body, headers), the last of them for ever, and keeps what was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[tuple[int, Any, dict[str, str]]] = []
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        self.drip = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Api

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, dict(self.headers), body))
        number = min(len(self.server.asked), len(self.server.answers)) - 1
        status, content, headers = self.server.answers[number]
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        try:
            for byte in data if self.server.drip else ():
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(self.server.drip)
            if not self.server.drip:
                self.wfile.write(data)
        except OSError:  # the client has gone, as the slow ones' do
            self.close_connection = True

    def do_GET(self) -> None:
        self.do_POST()

    def log_message(self, *_: Any) -> None:
        pass


def said(text: str, finish: str = "stop") -> tuple[int, Any, dict[str, str]]:
    return 200, {"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": finish}]}, {}


@contextlib.contextmanager
def serving() -> Iterator[Api]:
    """A server while inside."""
    server = Api()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as server:
        yield server


def asked(api: Api, *answers: tuple[int, Any, dict[str, str]], timeout: float = 20.0) -> Rewriting:
    api.answers = list(answers)
    return rewritten(EndpointRewriter(api.url, "small", timeout=timeout, pause=0.001), PROMPT)


def test_a_chat_completion_is_asked_for_and_taken(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "secret-1")
    api.answers = [said(f"<think>hm</think>A kitchen. {PROMPT}, smiling.")]
    rewriter = EndpointRewriter(api.url + "/", "small", "MY_KEY")
    found = rewritten(rewriter, PROMPT)
    assert found.prompt == f"A kitchen. {PROMPT}, smiling."
    [(path, headers, body)] = api.asked
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == "Bearer secret-1"
    assert body["model"] == "small"
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert body["messages"][1]["content"] == PROMPT
    assert "secret" not in json.dumps(found.to_json())
    assert found.rewriter == f"small at {api.url}/chat/completions"


def test_without_a_key_none_is_sent(api: Api) -> None:
    asked(api, said(PROMPT))
    assert "Authorization" not in api.asked[0][1]


def test_what_passes_is_asked_again_and_no_more_than_three_times(api: Api) -> None:
    busy = (503, {"error": "loading"}, {})
    assert asked(api, busy, (429, {}, {"Retry-After": "0"}), said(f"{PROMPT} softly")).prompt == f"{PROMPT} softly"
    assert len(api.asked) == 3
    api.asked.clear()
    found = asked(api, busy)
    assert len(api.asked) == ATTEMPTS
    assert found.prompt == PROMPT
    assert "it answers 503" in (found.problem or "")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (said("A kitchen."), "0 speech spans instead of 1"),
        (said(PROMPT.replace("two", "Two")), "changes speech span 1"),
        (said(f"{PROMPT} and", "length"), "cut short"),
        (said(""), "is empty"),
        ((200, {"choices": []}, {}), "no chat completion"),
        ((200, {"choices": [{"message": {"content": None}}]}, {}), "no chat completion"),
        ((200, [], {}), "no chat completion"),
        ((200, b"<html>", {}), "no chat completion"),
        ((200, b"\xff\xfe", {}), "no chat completion"),
        ((200, b"[" * 100_000, {}), "no chat completion"),
        ((200, b" " * (2**20 + 1), {}), "more than 1 MiB"),
    ],
)
def test_useless_answers_leave_the_original(api: Api, answer: tuple[int, Any, dict[str, str]], why: str) -> None:
    found = asked(api, answer)
    assert found.prompt == PROMPT
    assert why in (found.problem or "")
    assert len(api.asked) == 1


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((401, {"error": {"message": "no"}}, {}), "asks for a key \\(401\\); name the variable"),
        ((404, {"error": {"message": "no model\nnamed small."}}, {}), "404: no model named small"),
        ((400, b"\xff", {}), "refuses \\(400"),
        ((307, b"", {"Location": "http://127.0.0.1:9/v1/chat/completions"}), "has moved"),
    ],
)
def test_refusals_that_stay_are_errors_at_once(api: Api, answer: tuple[int, Any, dict[str, str]], why: str) -> None:
    with pytest.raises(VivaceError, match=why) as caught:
        asked(api, answer)
    assert "\n" not in str(caught.value)
    assert len(api.asked) == 1


def test_a_key_that_is_refused_is_said_to_be(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "very-secret")
    api.answers = [(403, b"", {})]
    with pytest.raises(VivaceError, match=r"refuses the key in MY_KEY \(403\); set") as caught:
        rewritten(EndpointRewriter(api.url, "small", "MY_KEY"), PROMPT)
    assert "secret" not in str(caught.value)


def test_nobody_there_and_slow_servers_are_given_up(api: Api) -> None:
    api.drip = 0.2
    started = time.monotonic()
    found = asked(api, said(PROMPT), timeout=0.3)
    assert "takes too long" in (found.problem or "")
    assert time.monotonic() - started < 20
    gone = EndpointRewriter("http://127.0.0.1:9", "small", pause=0.001)
    assert rewritten(gone, PROMPT).prompt == PROMPT
    assert "no answer in 3 attempts" in (rewritten(gone, PROMPT).problem or "")


def test_urls_and_keys_are_checked_before_anything_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    full = "http://localhost:8000/v1/chat/completions"
    for url in ("http://localhost:8000", "http://localhost:8000/v1", "http://localhost:8000/v1/", full, f"{full}#x"):
        assert endpoint_url(url) == full
    assert endpoint_url("https://a.example/x?api-version=1") == "https://a.example/x/chat/completions?api-version=1"
    private = EndpointRewriter("https://a.example/x?token=abc", "m")
    assert "abc" not in private.name
    for url in ("ftp://a/v1", "http://", "http:///v1", "http://a b/v1", "http://[::1/v1", "http://a:x/v1", "localhost"):
        with pytest.raises(VivaceError, match="is no URL"):
            endpoint_url(url)
    with pytest.raises(VivaceError, match="name or password"):
        endpoint_url("http://me:secret@a.example/v1")
    with pytest.raises(VivaceError, match="add --rewrite-model"):
        EndpointRewriter("http://a.example", None)
    monkeypatch.delenv("MY_KEY", raising=False)
    monkeypatch.setenv("BAD_KEY", "a\nb")
    for variable in ("MY_KEY", "BAD_KEY"):
        with pytest.raises(VivaceError, match=f"{variable} holds no key"):
            EndpointRewriter("http://a.example", "m", variable)
    with pytest.raises(VivaceError, match="not the key itself") as caught:
        EndpointRewriter("http://a.example", "m", "sk-very-secret")
    assert "secret" not in str(caught.value)
