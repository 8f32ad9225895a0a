"""Serving a study's pages from this machine, by Python's own HTTP server."""

from __future__ import annotations

import json
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from vivace.errors import VivaceError
from vivace.evaluation.study.design import Pair
from vivace.evaluation.study.store import Session, Study
from vivace.evaluation.study.telling import told_to_page

LARGEST_REQUEST = 16 * 1024
_CHUNK = 256 * 1024
_PAGES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; media-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class StudyServer(ThreadingHTTPServer):
    """Serves one study; `serve_forever` runs it, `url` says where.

    What a page is told: texts, axes and clips under random names; never a system's name, nor what is a control.

    Args:
        study: whose votes are written as they come. host: 127.0.0.1 for this machine alone. port: 0 for any free one.

    Raises:
        VivaceError: the address cannot be used.
    """

    daemon_threads = True

    def __init__(self, study: Study, host: str = "127.0.0.1", port: int = 8765) -> None:
        self.study = study
        self.pairs: dict[str, Pair] = {pair.id: pair for pair in study.design.pairs}
        self.clips = {name for pair in study.design.pairs for name in (pair.first_clip, pair.second_clip)}
        try:
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError) as error:
            raise VivaceError(
                f"{host}:{port} cannot be served from ({error}); choose another --host or --port."
            ) from error

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}/"


class _Handler(BaseHTTPRequestHandler):
    server: StudyServer
    protocol_version = "HTTP/1.1"
    timeout = 60  # s; a phone that has gone does not keep a thread

    def do_GET(self) -> None:
        path = urlsplit(self.path)
        if path.path in _PAGES:
            name, kind = _PAGES[path.path]
            self._send(HTTPStatus.OK, (files(__package__) / name).read_bytes(), kind)
        elif path.path.startswith("/clips/") and path.path.removeprefix("/clips/") in self.server.clips:
            self._send_file(self.server.study.folder / "clips" / path.path.removeprefix("/clips/"))
        elif path.path == "/api/votes":
            rater = parse_qs(path.query).get("rater", [""])[0]
            self._send_votes(rater)
        else:
            self._tell(HTTPStatus.NOT_FOUND, {"error": "There is no such page; open the address that you were given."})

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        try:
            body = self._body()
            if self.path == "/api/session":
                self._tell(HTTPStatus.OK, self._told(self.server.study.session(str(body["rater"]))))
            elif self.path == "/api/vote":
                answers = {str(axis): str(answer) for axis, answer in dict(body["answers"]).items()}
                self.server.study.vote(str(body["rater"]), str(body["pair"]), answers, float(body["seconds"]))
                self._tell(HTTPStatus.OK, {"kept": True})
            else:
                self._tell(HTTPStatus.NOT_FOUND, {"error": "There is no such page; reload this one."})
        except VivaceError as error:
            self._tell(HTTPStatus.BAD_REQUEST, {"error": str(error)})
        except (ValueError, KeyError, TypeError, RecursionError):
            self.close_connection = True  # part of it may be unread
            self._tell(HTTPStatus.BAD_REQUEST, {"error": "The page sent something unreadable; reload it."})

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: raters' addresses are nobody's business."""

    def _body(self) -> dict[str, Any]:
        # Other sites can make a browser post forms here, but not JSON.
        if self.headers.get_content_type() != "application/json":
            raise ValueError("not JSON")
        length = int(self.headers.get("Content-Length", "0"))
        if not 0 < length <= LARGEST_REQUEST:
            raise ValueError("too long")
        body = json.loads(self.rfile.read(length))
        if not isinstance(body, dict):
            raise TypeError("not a table")
        return body

    def _told(self, session: Session) -> dict[str, Any]:
        study, pairs = self.server.study, self.server.pairs
        done = {pair for rater, number, pair in study.votes if (rater, number) == (session.rater, session.round)}
        return told_to_page(study.design, session, pairs, done)

    def _tell(self, status: HTTPStatus, told: dict[str, Any]) -> None:
        self._send(status, json.dumps(told).encode(), "application/json")

    def _send(self, status: HTTPStatus, content: bytes, kind: str) -> None:
        self._head(status, kind, len(content), {"Cache-Control": "no-store"})
        if self.command != "HEAD":
            self.wfile.write(content)

    def _head(self, status: HTTPStatus, kind: str, length: int, more: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(length), **_HEADERS, **more}.items():
            self.send_header(name, value)
        self.end_headers()

    def _send_votes(self, rater: str) -> None:
        """A rater's own votes, once there are no more to come: they tell on which side the first system stood."""
        study = self.server.study
        session = study.sessions.get((rater, study.round))
        if session is None or any((rater, session.round, task.pair) not in study.votes for task in session.tasks):
            self._tell(
                HTTPStatus.NOT_FOUND, {"error": "There is a copy of your votes when you have judged every pair."}
            )
            return
        votes = [vote for vote in list(study.votes.values()) if vote.rater == rater]
        lines = "".join(json.dumps(vars(vote), ensure_ascii=False) + "\n" for vote in votes)
        self._send(HTTPStatus.OK, lines.encode(), "application/x-ndjson; charset=utf-8")

    def _send_file(self, path: Path) -> None:
        """A clip, or the part of it that is asked for: phones play nothing that they cannot ask for in parts."""
        if not path.is_file():
            self._tell(HTTPStatus.NOT_FOUND, {"error": "The clip is missing; tell whoever runs the study."})
            return
        size = path.stat().st_size
        asked = self.headers.get("Range")
        part = (0, size - 1) if asked is None else _part(asked, size)
        more = {"Accept-Ranges": "bytes", "Cache-Control": "private, max-age=3600"}
        if part is None:
            self._head(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "video/mp4", 0, {"Content-Range": f"bytes */{size}"})
            return
        first, last = part
        if asked is not None:
            more["Content-Range"] = f"bytes {first}-{last}/{size}"
        status = HTTPStatus.OK if asked is None else HTTPStatus.PARTIAL_CONTENT
        self._head(status, "video/mp4", last - first + 1, more)
        if self.command == "HEAD":
            return
        try:
            with path.open("rb") as file:
                file.seek(first)
                left = last - first + 1
                while left > 0 and (chunk := file.read(min(left, _CHUNK))):
                    self.wfile.write(chunk)
                    left -= len(chunk)
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            self.close_connection = True  # the player has what it wants


def _part(asked: str, size: int) -> tuple[int, int] | None:
    """First and last byte of a Range header; None where it asks for nothing that exists."""
    unit, _, value = asked.partition("=")
    first, dash, last = value.partition("-")
    try:
        if unit.strip() != "bytes" or not dash or "," in value:
            return 0, size - 1  # what is not understood may be ignored
        if not first.strip():
            return (max(0, size - int(last)), size - 1) if int(last) > 0 else None
        begin = int(first)
        end = min(int(last), size - 1) if last.strip() else size - 1
    except ValueError:
        return 0, size - 1
    return (begin, end) if begin <= end else None
