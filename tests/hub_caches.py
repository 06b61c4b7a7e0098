"""Hub caches in huggingface_hub's layout, and a hub on this machine that answers with a status. No network."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"

_CODES = {"gated": ("403", "GatedRepo"), "missing": ("404", "RepoNotFound"), "norev": ("404", "RevisionNotFound")}


def fill_cache(
    cache: Path,
    repo_id: str,
    source: Path,
    *,
    commit: str = COMMIT,
    branch: str | None = None,
    without: Sequence[str] = (),
) -> Path:
    """Put a checkpoint into a cache as a download does: blobs, links to them, and a ref if it came by a branch.

    Args:
        cache: What ``HF_HUB_CACHE`` will be.
        repo_id: ``organisation/name``.
        source: The checkpoint.
        commit: Under which it is put.
        branch: Name of the ref.
        without: Files, relative to the checkpoint, that are left out, as by a broken download.

    Returns:
        The snapshot's folder.
    """
    repository = cache / f"models--{repo_id.replace('/', '--')}"
    snapshot = repository / "snapshots" / commit
    (repository / "blobs").mkdir(parents=True, exist_ok=True)
    snapshot.mkdir(parents=True)
    for path in (path for path in source.rglob("*") if path.is_file()):
        name = path.relative_to(source)
        if name.as_posix() in without:
            continue
        content = path.read_bytes()
        blob = repository / "blobs" / hashlib.sha256(content).hexdigest()
        blob.write_bytes(content)
        (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / name).symlink_to(os.path.relpath(blob, (snapshot / name).parent))
    if branch is not None:
        (repository / "refs").mkdir(exist_ok=True)
        (repository / "refs" / branch).write_text(commit)
    return snapshot


@contextmanager
def hub_that_answers() -> Iterator[tuple[str, list[str]]]:
    """Run a hub on this machine: ``s503/...`` answers 503, ``html/...`` a page, ``slow/...`` too late, others 404.

    Yields:
        Its address, and the paths that were asked for, which grow.
    """
    asked: list[str] = []
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            parts = self.path.strip("/").split("/")
            organisation = parts[2] if parts[:2] == ["api", "models"] else parts[0]
            if organisation == "slow":
                over.wait(2)
            codes = {
                "gated": ("403", "GatedRepo"),
                "missing": ("404", "RepoNotFound"),
                "norev": ("404", "RevisionNotFound"),
            }
            status, code = codes.get(organisation, (organisation.removeprefix("s"), ""))
            self.send_response(200 if organisation == "html" else int(status) if status.isdigit() else 404)
            if code:
                self.send_header("X-Error-Code", code)
            page = b"<html>log in to the hotel's network</html>"
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(page)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        over.set()
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def hub_that_never_answers() -> Iterator[str]:
    """Accept connections on this machine, read nothing and say nothing; yields the address."""
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            # Closing the server ends it.
            with suppress(OSError):
                while True:
                    held.append(server.accept()[0])

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            for one in held:
                one.close()


def in_a_process(script: str, cases: object, *, cache: Path, **environment: str | None) -> dict[str, dict[str, str]]:
    """Run a script that reads ``cases`` as JSON from standard input and prints its results as JSON.

    Nothing of this process's hub settings is inherited: they are read once, at import.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    kept |= {"HF_HUB_CACHE": str(cache), "HF_HUB_ETAG_TIMEOUT": "1", "HF_HUB_DOWNLOAD_TIMEOUT": "1"}
    kept |= {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1", "no_proxy": "127.0.0.1"}
    kept |= {name: value for name, value in environment.items() if value is not None}
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps(cases),
        env=kept,
        text=True,
        capture_output=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    results: dict[str, dict[str, str]] = json.loads(done.stdout.splitlines()[-1])
    return results
