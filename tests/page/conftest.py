"""Two servers as programs of another environment, and a browser: the system's Chromium, driven by Playwright.

``SERVER_PYTHON`` is the interpreter in which rerank-plugins[serve], -mini and -mini-zh are installed; ``CHROMIUM`` a
browser that is not on the path. Where there is no Playwright or no browser, these tests are skipped and say so.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from page_key import KEY

_NAMES = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def _server(*options: str, key: str = "") -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [os.environ.get("SERVER_PYTHON", sys.executable), "-m", "rerank_plugins", "serve", "--quiet"]
    environment = {**os.environ, "RERANK_PLUGINS_API_KEYS": key}
    with subprocess.Popen([*command, *options, "--port", str(port)], env=environment) as process:
        try:
            _wait(f"http://127.0.0.1:{port}/readyz", process)
            yield f"http://127.0.0.1:{port}/"
        finally:
            process.kill()


def _wait(probe: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert process.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(probe, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise TimeoutError


@pytest.fixture(scope="session")
def url(browser: Any) -> Iterator[str]:
    """A server of two models that lets everybody in."""
    with _server("mini", "mini-zh") as address:
        yield address


@pytest.fixture(scope="session")
def locked_url(browser: Any) -> Iterator[str]:
    """A server of one model that wants a key and takes little."""
    with _server("mini", "--max-documents", "5", "--max-body-bytes", "4000", key=KEY) as address:
        yield address


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright: make test-page")
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        pytest.skip("there is no Chromium on this machine; install it, or name one in CHROMIUM")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def opened(browser: Any, url: str) -> Iterator[Callable[..., Any]]:
    """Open the page in a window of its own; what the browser complains of, and what it loads, is kept in lists."""
    contexts = []

    def start(address: str = "", *, width: int = 1280, height: int = 900, **options: Any) -> Any:
        options = {"locale": "en-GB"} | options
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.complaints, page.loaded = [], []
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("console", lambda told: page.complaints.append(told.text) if told.type == "error" else None)
        page.on("request", lambda request: page.loaded.append(request.url))
        page.on("dialog", lambda dialog: page.complaints.append(f"dialog {dialog.message}"))
        page.goto(address or url)
        return page

    yield start
    for context in contexts:
        context.close()
