"""The examples of deploy/ use options that exist and probes that are open. They are not built here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import typer.main
import yaml

from rerank_plugins.cli import app
from rerank_plugins.serving.guard import OPEN_PATHS

FOLDER = Path(__file__).parents[3] / "deploy"
FILES = sorted(FOLDER.iterdir())


def serve_options() -> set[str]:
    root: Any = typer.main.get_command(app)
    return {name for parameter in root.commands["serve"].params for name in parameter.opts}


def test_there_are_examples() -> None:
    assert [file.name for file in FILES] == ["Dockerfile", "compose.yaml", "kubernetes.yaml"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_options_exist(file: Path) -> None:
    found = set(re.findall(r'"(--[a-z-]+)"', file.read_text(encoding="utf-8")))
    assert found
    assert not found - serve_options()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_probes_need_no_key(file: Path) -> None:
    found = re.findall(r"path: (/\w+)|'GET', '(/\w+)'", file.read_text(encoding="utf-8"))
    assert bool(found) == (file.name != "compose.yaml")
    assert {first or second for first, second in found} <= OPEN_PATHS


class Answer(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/readyz" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_image_is_healthy_once_it_is_ready_behind_a_proxy_too(status: int, code: int) -> None:
    """A container that downloads through a proxy asked the proxy for its own 127.0.0.1."""
    found = re.search(r"HEALTHCHECK.*?CMD (\[.*?\])\n", (FOLDER / "Dockerfile").read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    server = HTTPServer(("127.0.0.1", 0), type("Answers", (Answer,), {"status": status}))
    Thread(target=server.serve_forever, daemon=True).start()
    command = [part.replace("8000", str(server.server_port)) for part in json.loads(found[1])]
    try:
        environment = {**os.environ, "http_proxy": "http://127.0.0.1:9", "no_proxy": ""}
        done = subprocess.run([sys.executable, *command[1:]], env=environment, timeout=60, check=False)
    finally:
        server.shutdown()
        server.server_close()
    assert (command[0], done.returncode) == ("python", code)


@pytest.mark.parametrize("name", ["compose.yaml", "kubernetes.yaml"])
def test_they_are_yaml(name: str) -> None:
    documents = list(yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8")))
    assert all(isinstance(document, dict) for document in documents)


def test_the_image_has_what_it_copies() -> None:
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", (FOLDER / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert lines
    assert all((FOLDER.parent / name).exists() for line in lines for name in line.split())
