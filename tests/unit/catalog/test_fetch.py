"""The hub's refusals in our words; the network itself is stood in for."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import errors as hub_errors

from rerank_plugins.catalog import fetch, known_models
from rerank_plugins.catalog.resolve import SourceOptions, resolve
from rerank_plugins.errors import ModelUnavailableError, UnsupportedModelError


def hub_error(kind: str) -> Exception:
    """Make the library's own exception; its response type changed between versions 0 and 1."""
    cls = getattr(hub_errors, kind)
    if any(base.__module__.startswith("requests") for base in cls.__mro__):
        response = import_module("requests").Response()
        response.status_code = 403
    else:
        httpx = import_module("httpx")
        response = httpx.Response(403, request=httpx.Request("GET", "https://hub.invalid/x"))
    return cls("refused", response=response)  # type: ignore[no-any-return]


def fetch_with(monkeypatch: pytest.MonkeyPatch, error: Exception) -> Path:
    def refuse(*_: object, **__: object) -> str:
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    return fetch.folder_from_hub("BAAI/bge-reranker-base", revision=None, local_files_only=False, kind="reranker")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (hub_error("GatedRepoError"), "accept its licence"),
        (hub_error("RepositoryNotFoundError"), "no such repository"),
        (hub_error("HfHubHTTPError"), "could not be reached"),
        (ConnectionError("no route"), r"could not be reached \(ConnectionError\)"),
        (TimeoutError("slow"), "could not be reached"),
        (hub_errors.LocalEntryNotFoundError("nothing here"), "could not be reached"),
    ],
    ids=["gated", "missing", "http", "connection", "timeout", "cache"],
)
def test_each_refusal_says_why_and_how_to_go_on(monkeypatch: pytest.MonkeyPatch, error: Exception, words: str) -> None:
    with pytest.raises(ModelUnavailableError, match=words) as caught:
        fetch_with(monkeypatch, error)
    assert "HF_ENDPOINT" in str(caught.value)
    assert caught.value.__cause__ is error


def test_a_mirror_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.invalid")
    with pytest.raises(ModelUnavailableError, match=r"https://mirror\.invalid could not be reached"):
        fetch_with(monkeypatch, ConnectionError())


@pytest.mark.parametrize(
    ("options", "extra"),
    [
        (SourceOptions(), set()),
        (SourceOptions(allow_pickle=True), {"*.bin"}),
        (SourceOptions(trust_remote_code=True), {"*.py"}),
    ],
)
def test_pickles_and_code_are_not_even_fetched_unless_allowed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: SourceOptions, extra: set[str]
) -> None:
    asked: dict[str, list[str]] = {}
    # What is in the cache alone and not whole is another error.
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_HUB_OFFLINE")

    def download(*_: object, **arguments: list[str]) -> str:
        asked.update(arguments)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    # The hub can be reached, so that what is not there is not there.
    monkeypatch.setattr(huggingface_hub.HfApi, "repo_info", lambda *_, **__: None)
    with pytest.raises(UnsupportedModelError, match=r"no config\.json"):
        resolve("BAAI/bge-reranker-base", kind="reranker", options=options)
    assert {pattern for pattern in asked["allow_patterns"] if pattern in ("*.bin", "*.py")} == extra
    assert asked["revision"] == known_models()["reranker", "BAAI/bge-reranker-base"].revision
