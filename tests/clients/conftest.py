"""The server as a program of another environment, for the packages of its clients.

``SERVER_PYTHON`` is the interpreter in which rerank-plugins[serve] and rerank-plugins-mini are installed;
``SERVER_URL`` an address where it runs already.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from client_key import KEY

_NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module", autouse=True)
def only_this_machine() -> Iterator[None]:
    """A client that is pointed nowhere must not reach its vendor; other tests keep their environment."""
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), _NOWHERE)
    proxies |= dict.fromkeys(("no_proxy", "NO_PROXY"), "127.0.0.1,localhost")
    keys = dict.fromkeys(("VOYAGE_API_KEY", "NVIDIA_API_KEY", "CO_API_KEY"), KEY)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**proxies, **keys, "HAYSTACK_TELEMETRY_ENABLED": "0"}.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    """The address of a server of ``mini`` that wants a key."""
    running = os.environ.get("SERVER_URL")
    if running:
        yield running
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [os.environ.get("SERVER_PYTHON", sys.executable), "-m", "rerank_plugins", "serve", "mini", "--quiet"]
    environment = {**os.environ, "RERANK_PLUGINS_API_KEYS": KEY}
    with subprocess.Popen([*command, "--port", str(port)], env=environment) as process:
        try:
            _wait(f"http://127.0.0.1:{port}/readyz", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _wait(probe: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert process.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(probe, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise TimeoutError
