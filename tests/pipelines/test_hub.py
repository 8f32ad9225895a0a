"""Looking a repository up, against a real server in a thread; nothing but its list of files is asked for."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from vivace.cli.main import main
from vivace.errors import VivaceError
from vivace.pipelines.hub import cached_files, repository

Capture = pytest.CaptureFixture[str]
NAME = "somebody/tiny-nava"
CARD = {"license": "other", "license_name": "tiny-licence", "license_link": "LICENSE.md"}
FILES = {"model_index.json": 400, "transformer/diffusion_pytorch_model.safetensors": 7_000_000_000, "README.md": 3000}


class Hub(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        siblings = [{"rfilename": path, "size": size} for path, size in FILES.items()]
        self.answer: bytes = json.dumps({"id": NAME, "siblings": siblings, "cardData": CARD}).encode()
        self.status = 200
        self.asked: list[str] = []


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.answer)))
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    server = Hub()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_repository_is_its_files_and_its_licence(hub: Hub) -> None:
    found = repository(NAME)
    assert found.files == dict(sorted(FILES.items()))
    assert found.licence == "tiny-licence (LICENSE.md)"
    assert hub.asked == [f"/api/models/{NAME}?blobs=true"]
    hub.answer = json.dumps({"siblings": []}).encode()
    assert repository(NAME).licence == "not stated in the repository"


def test_plan_says_what_would_be_downloaded_only_when_it_may_ask(hub: Hub, capsys: Capture) -> None:
    assert main(["plan", "--model", NAME]) == 2
    assert "add --online" in capsys.readouterr().err
    assert hub.asked == []
    assert main(["plan", "--model", NAME, "--online", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["bytes"], found["download"]) == (sum(FILES.values()), sum(FILES.values()))
    assert found["licences"] == {"all": "tiny-licence (LICENSE.md)"}
    assert main(["plan", "--model", NAME, "--online"]) == 0
    shown = capsys.readouterr().out
    assert "7.0 GB to download" in shown
    assert "transformer/diffusion_pytorch_model.safetensors" in shown
    hub.answer = json.dumps({"siblings": [{"rfilename": "NAVA.safetensors", "size": 5}]}).encode()
    assert main(["plan", "--model", NAME, "--online"]) == 2
    assert "no model folder" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("status", "answer", "why"),
    [
        (404, b"{}", "there is none"),
        (401, b"{}", "private"),
        (500, b"{}", "answers 500"),
        (200, b"<html>", "cannot be read"),
        (200, b"[]", "cannot be read"),
        (200, b'{"siblings": [{}]}', "cannot be read"),
    ],
)
def test_answers_that_are_none_are_one_sentence(hub: Hub, status: int, answer: bytes, why: str) -> None:
    hub.status, hub.answer = status, answer
    with pytest.raises(VivaceError, match=why) as caught:
        repository(NAME)
    assert "\n" not in str(caught.value)


def test_nothing_is_asked_where_the_environment_forbids_it(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(VivaceError, match="HF_HUB_OFFLINE is set"):
        repository(NAME)
    assert hub.asked == []
    assert cached_files("nobody/has-this-one") == set()
