"""Compressed answers are read, and never become more than is allowed."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import tracemalloc
import zlib
from typing import Any

import pytest
from scripted_server import Answer, scripted_server

from rerank_plugins.errors import RemoteError
from rerank_plugins.remote import HttpClient, HttpSettings
from rerank_plugins.remote import http as module

ANSWER = {"scores": list(range(5_000))}
PLAIN = json.dumps(ANSWER).encode()


def bare(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_PAUSE_S", 0.01)


@pytest.fixture(params=["sync", "async"])
def asked(request: pytest.FixtureRequest) -> Any:
    """Ask a server that answers with a body in an encoding, and return the answer and the requests."""

    def ask(encoding: str, body: bytes, **settings: Any) -> tuple[Any, Any]:
        headers = {"Content-Encoding": encoding} if encoding else {}
        with scripted_server([Answer(body, headers=headers)]) as server:
            client = HttpClient(server.url, settings=HttpSettings(**settings))
            try:
                if request.param == "async":
                    return asyncio.run(client.apost("/", {})), server.requests
                return client.post("/", {}), server.requests
            except RemoteError as error:
                return error, server.requests

    return ask


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("", PLAIN),
        ("identity", PLAIN),
        ("utf-8", PLAIN),
        ("gzip", gzip.compress(PLAIN)),
        ("X-GZip", gzip.compress(PLAIN)),
        ("gzip", gzip.compress(PLAIN[:7_000]) + gzip.compress(PLAIN[7_000:])),
        ("gzip", gzip.compress(PLAIN) + bytes(9)),
        ("deflate", zlib.compress(PLAIN)),
        ("deflate", bare(PLAIN)),
    ],
    ids=["none", "identity", "no encoding", "gzip", "x-gzip", "gzip in two", "padded", "deflate", "bare deflate"],
)
def test_answers_are_decompressed(asked: Any, encoding: str, body: bytes) -> None:
    answer, (request,) = asked(encoding, body)
    assert answer == ANSWER
    assert request.headers["accept-encoding"] == "gzip, deflate"
    # The limit is for what is read, to the byte.
    assert asked(encoding, body, largest_answer_bytes=len(PLAIN))[0] == ANSWER
    error, requests = asked(encoding, body, largest_answer_bytes=len(PLAIN) - 1)
    assert f"more than {len(PLAIN) - 1} bytes" in str(error)
    assert len(requests) == 1


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_few_bytes_never_become_many(asked: Any, encoding: str) -> None:
    """A tenth of a megabyte holds a hundred; httpx undoes 64 KB of it at a time."""
    packer = zlib.compressobj(9, wbits=31 if encoding == "gzip" else 15)
    body = b"".join(packer.compress(bytes(2**20)) for _ in range(100)) + packer.flush()
    assert len(body) < 2 * 2**17
    tracemalloc.start()
    try:
        error, requests = asked(encoding, body, largest_answer_bytes=2**20)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "more than 1048576 bytes" in str(error)
    assert len(requests) == 1
    assert peak < 8 * 2**20


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "x-compress"])
def test_encodings_that_were_not_asked_for(asked: Any, encoding: str) -> None:
    error, requests = asked(encoding, b"\x28\xb5\x2f\xfd")
    assert f"compressed by '{encoding}'" in str(error)
    assert not error.is_passing
    assert len(requests) == 1


@pytest.mark.parametrize(
    ("encoding", "body", "message"),
    [
        ("gzip", PLAIN, "no gzip"),
        ("deflate", b"\xff" * 50, "no deflate"),
        ("gzip", gzip.compress(PLAIN)[:300], "no JSON"),
        ("gzip", gzip.compress(PLAIN)[:200] + b"\xff" * 200, "no (gzip|JSON)"),
        ("gzip", b"", "no JSON"),
    ],
    ids=["plain", "garbage", "cut", "garbage behind", "empty"],
)
def test_what_is_not_compressed_as_it_says_is_asked_for_again(
    asked: Any, encoding: str, body: bytes, message: str
) -> None:
    error, requests = asked(encoding, body)
    assert isinstance(error, RemoteError)
    assert re.search(message, str(error))
    assert error.is_passing
    assert len(requests) == 3
