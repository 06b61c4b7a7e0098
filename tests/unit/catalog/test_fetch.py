"""The hub's refusals in our words; the network itself is stood in for."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import hub_caches
import huggingface_hub
import pytest
from huggingface_hub import errors as hub_errors
from huggingface_hub.utils import filter_repo_objects

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

    monkeypatch.setattr(huggingface_hub, "model_info", lambda *_, **__: None)

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


LIKE_M3 = ["config.json", "tokenizer.json", "pytorch_model.bin", "sparse_linear.pt", "colbert_linear.pt", "code.py"]
BOTH = ["config.json", "tokenizer.json", "model.safetensors", "pytorch_model.bin", "optimizer.pt", "training_args.bin"]
OLD = ["config.json", "tokenizer.json", "pytorch_model.bin", "training_args.bin", "onnx/model.bin", "other/a.bin"]
MODULES = ["config.json", "modules.json", "model.safetensors", "2_Dense/config.json", "2_Dense/pytorch_model.bin"]
SHARDS = ["config.json", "pytorch_model.bin.index.json", "one.bin", "two [2].bin", "training_args.bin"]
SAFE_HEADS = ["config.json", "model.safetensors", "sparse_linear.safetensors", "sparse_linear.pt", "colbert_linear.pt"]
CONTENTS: dict[str, object] = {
    "modules.json": [
        {"type": "sentence_transformers.models.Transformer", "path": ""},
        {"type": "sentence_transformers.models.Dense", "path": "2_Dense"},
    ],
    "pytorch_model.bin.index.json": {"weight_map": {"a": "one.bin", "b": "two [2].bin"}},
}


@pytest.mark.parametrize(
    ("repository", "options", "unread"),
    [
        (LIKE_M3, SourceOptions(), {"pytorch_model.bin", "sparse_linear.pt", "colbert_linear.pt", "code.py"}),
        (LIKE_M3, SourceOptions(allow_pickle=True), {"code.py"}),
        (LIKE_M3, SourceOptions(allow_pickle=True, trust_remote_code=True), set()),
        (BOTH, SourceOptions(allow_pickle=True), {"pytorch_model.bin", "optimizer.pt", "training_args.bin"}),
        (OLD, SourceOptions(allow_pickle=True), {"training_args.bin", "onnx/model.bin", "other/a.bin"}),
        (MODULES, SourceOptions(allow_pickle=True), set()),
        (MODULES, SourceOptions(), {"2_Dense/pytorch_model.bin"}),
        (SHARDS, SourceOptions(allow_pickle=True), {"training_args.bin"}),
        (SAFE_HEADS, SourceOptions(allow_pickle=True), {"sparse_linear.pt"}),
    ],
)
def test_pickles_and_code_are_not_even_fetched_unless_allowed_and_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, repository: list[str], options: SourceOptions, unread: set[str]
) -> None:
    # What is in the cache alone and not whole is another error.
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    snapshot, revisions = tmp_path / hub_caches.COMMIT, []

    def download(_: str, *, revision: str | None, local_files_only: bool, **patterns: list[str]) -> str:
        if local_files_only:
            raise hub_errors.LocalEntryNotFoundError(repository[0])
        revisions.append(revision)
        for name in filter_repo_objects(repository, **patterns):
            (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
            (snapshot / name).write_text(json.dumps(CONTENTS.get(name, {})))
        return str(snapshot)

    monkeypatch.setattr(huggingface_hub, "model_info", lambda *_, **__: None)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    folder = fetch.folder_from_hub(
        "a/b", revision=None, local_files_only=False, kind="embedder", extra_files=options.extra_files
    )
    fetched = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert set(repository) - fetched == unread
    assert revisions in ([None], [None, hub_caches.COMMIT]), "the second look is at the same commit"


def test_the_pinned_revision_is_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: dict[str, object] = {}
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_HUB_OFFLINE")

    def download(*_: object, **arguments: object) -> str:
        asked.update(arguments)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "model_info", lambda *_, **__: None)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    # The hub can be reached, so that what is not there is not there.
    monkeypatch.setattr(huggingface_hub.HfApi, "repo_info", lambda *_, **__: None)
    with pytest.raises(UnsupportedModelError, match=r"no config\.json"):
        resolve("BAAI/bge-reranker-base", kind="reranker")
    assert asked["revision"] == known_models()["reranker", "BAAI/bge-reranker-base"].revision
