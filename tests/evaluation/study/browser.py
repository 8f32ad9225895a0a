"""A real browser, driven by the WebDriver protocol and nothing but Python's own modules."""

import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
KEYS = {"up": "\ue013", "down": "\ue015", "enter": "\ue007", "space": " "}


def there() -> bool:
    """Whether this machine has a browser and its driver."""
    return bool(shutil.which("chromium") and shutil.which("chromedriver"))


class Browser:
    """One window of headless Chromium; as a context it is closed at the end.

    Args:
        profile: an empty folder. size: of the window, pixels.
    """

    def __init__(self, profile: Path, size: tuple[int, int] = (1100, 900)) -> None:
        self._log = (profile / "driver.log").open("wb")
        self._process = subprocess.Popen(
            [str(shutil.which("chromedriver")), "--port=0"], stdout=subprocess.PIPE, stderr=self._log
        )
        assert self._process.stdout is not None
        port = next(
            line.split(b"port ")[-1].strip(b". \n") for line in self._process.stdout if b"started successfully" in line
        )
        self._base = f"http://127.0.0.1:{int(port)}/session"
        flags = [
            "--headless=new", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", "--mute-audio", f"--user-data-dir={profile / 'profile'}",
            f"--window-size={size[0]},{size[1]}",
        ]  # fmt: skip
        if os.geteuid() == 0:
            flags.append("--no-sandbox")  # Chromium refuses to start as root otherwise
        wanted = {"browserName": "chrome", "goog:chromeOptions": {"binary": shutil.which("chromium"), "args": flags}}
        self._id = self._ask("POST", "", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._ask("DELETE", f"/{self._id}")
        finally:
            self._process.terminate()
            self._process.wait(20)
            self._log.close()

    def open(self, url: str) -> None:
        self._ask("POST", f"/{self._id}/url", {"url": url})

    def run(self, script: str) -> Any:
        """What a script in the page returns."""
        return self._ask("POST", f"/{self._id}/execute/sync", {"script": script, "args": []})

    def click(self, selector: str) -> None:
        self._ask("POST", f"/{self._id}/element/{self._find(selector)}/click", {})

    def type(self, selector: str, text: str) -> None:
        self._ask("POST", f"/{self._id}/element/{self._find(selector)}/value", {"text": text})

    def press(self, *keys: str) -> None:
        """Keys as a person presses them, one after another, wherever the focus is."""
        steps = [{"type": kind, "value": KEYS.get(key, key)} for key in keys for kind in ("keyDown", "keyUp")]
        self._ask("POST", f"/{self._id}/actions", {"actions": [{"type": "key", "id": "keys", "actions": steps}]})

    def wait(self, script: str, seconds: float = 60.0) -> Any:
        """Wait until a script returns something true.

        Raises:
            TimeoutError: it did not.
        """
        return until(lambda: self.run(script), seconds, script)

    def picture(self, path: Path) -> None:
        """A screenshot."""
        import base64

        path.write_bytes(base64.b64decode(self._ask("GET", f"/{self._id}/screenshot")))

    def _find(self, selector: str) -> str:
        found = self._ask("POST", f"/{self._id}/element", {"using": "css selector", "value": selector})
        return str(found[ELEMENT])

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=120) as response:
            return json.load(response)["value"]


def until(check: Callable[[], Any], seconds: float, what: str) -> Any:
    """What `check` returns as soon as it is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := check():
            return found
        time.sleep(0.05)
    raise TimeoutError(f"not in {seconds:g} s: {what}")
