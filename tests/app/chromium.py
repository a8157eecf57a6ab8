"""A headless Chromium, driven by its own debugging protocol through pipes: no driver and no port."""

from __future__ import annotations

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--enable-unsafe-swiftshader",  # sketchpads are drawn by WebGL
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--remote-debugging-pipe",
)


def chromium() -> str | None:
    """Where Chromium or Chrome is; None where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One page of a Chromium of its own.

    Attributes:
        asked: addresses that the page asked for.
        complaints: errors of the page's console and its uncaught exceptions.
    """

    def __init__(self, path: str, profile: Path, size: tuple[int, int] = (1280, 1600)):
        to_read, self._send = os.pipe()
        self._receive, to_write = os.pipe()
        # Chromium reads descriptor 3 and writes 4, whatever ours are.
        shell = f'exec "$@" 3</dev/fd/{to_read} 4>/dev/fd/{to_write}'
        command = [path, *FLAGS, f"--window-size={size[0]},{size[1]}", f"--user-data-dir={profile}"]
        self._process = subprocess.Popen(
            ["sh", "-c", shell, "sh", *command],
            pass_fds=(to_read, to_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(to_write)
        self._numbers, self._buffer, self._session = itertools.count(1), b"", None
        self.asked: list[str] = []
        self.complaints: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "DOM", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, timeout: float = 120, **params: Any) -> dict[str, Any]:
        """Sends a command and waits for its answer."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._send, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + timeout
        while True:
            found = self._next(end - time.monotonic())
            if found.get("id") == number:
                assert "error" not in found, (method, found["error"])
                return found["result"]

    def js(self, code: str) -> Any:
        """The value of an expression in the page."""
        found = self.call("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, (code, found["exceptionDetails"])
        return found["result"].get("value")

    def until(self, code: str, timeout: float = 120, pause: float = 0.05) -> Any:
        """Waits until an expression is truthy, and gives it."""
        end = time.monotonic() + timeout
        while not (value := self.js(code)):
            assert time.monotonic() < end, (code, self.complaints, self.js("document.body.innerText")[-600:])
            time.sleep(pause)
        return value

    def click(self, element: str, until: str) -> None:
        """Clicks what an expression finds until another holds: pages are shown before they listen."""
        again = f"(() => {{ if ({until}) return true; ({element})?.click(); return false; }})()"
        self.until(again, pause=0.5)

    def upload(self, element: str, path: Path) -> None:
        """Puts a file into the file input that an expression finds."""
        self.until(f"!!({element})")
        handle = self.call("Runtime.evaluate", expression=element)["result"]["objectId"]
        self.call("DOM.setFileInputFiles", files=[str(path)], objectId=handle)

    def screenshot(self, path: Path) -> None:
        """Writes the whole page as PNG."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))

    def close(self) -> None:
        """Ends the browser."""
        self._session = None
        try:
            self.call("Browser.close")
            self._process.wait(10)
        finally:
            self._process.kill()
            self._process.wait()
            os.close(self._send)
            os.close(self._receive)

    def _next(self, wait: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._receive], [], [], max(wait, 0))
            assert ready, "the browser does not answer"
            data = os.read(self._receive, 1 << 20)
            assert data, "the browser has ended"
            self._buffer += data
        message, _, self._buffer = self._buffer.partition(b"\0")
        found = json.loads(message)
        self._note(found.get("method"), found.get("params", {}))
        return found

    def _note(self, method: str | None, params: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.asked.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.complaints.append(params["entry"]["text"])
