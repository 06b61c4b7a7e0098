"""Short keys of everything that a stored result depends on: when any of it changes, so does the key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from rerank_plugins import __version__
from rerank_plugins.backends.leases import spec_of_backend
from rerank_plugins.backends.named_files import named_files
from rerank_plugins.backends.runtimes import chosen_runtime
from rerank_plugins.catalog.resolve import resolve
from rerank_plugins.catalog.spec import ModelKind
from rerank_plugins.evaluation.grid.plan import ModelChoice, StageChoice

__all__ = ["corpus_key", "key_of", "model_key", "query_key", "stage_key"]

_LENGTH = 20


def key_of(*parts: Any) -> str:
    """Return a key of plain values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:_LENGTH]


def corpus_key(texts: Mapping[str, str]) -> str:
    """Return the key of a corpus: its ids and texts in their order."""
    digest = hashlib.sha256()
    for document_id, text in texts.items():
        digest.update(json.dumps([document_id, text]).encode())
    return digest.hexdigest()[:_LENGTH]


def query_key(text: str) -> str:
    """Return the key under which a query's results are stored."""
    return key_of(text)


def model_key(choice: ModelChoice, *, kind: ModelKind, device: str | None) -> str:
    """Return the key of a model with its options, device and runtime: the files' names, sizes and times are part of it.

    The key of a backend is made of its name and revision, which must change when its scores do, and of its files.

    Raises:
        ModelError: The model cannot be found.
        MissingExtraError: Nothing that runs it is installed.
    """
    backend = spec_of_backend(choice.model, kind=kind)
    if backend is not None:
        files = named_files(choice.model, kind=kind)
        return key_of(__version__, kind, choice.model, backend.id, backend.revision, files, choice.options, device)
    resolved = resolve(choice.model, kind=kind)
    # Scores of torch and of ONNX Runtime differ in the last digits; results of one run are not mixed.
    runtime = chosen_runtime(dict(choice.options).get("backend"), choice.model, kind=kind)
    return key_of(__version__, kind, resolved.spec.id, resolved.files.fingerprint, choice.options, device, runtime)


def stage_key(stage: StageChoice, *, device: str | None) -> str:
    """Return the key of a first stage, without the corpus."""
    embedder = None if stage.embedder is None else model_key(stage.embedder, kind="embedder", device=device)
    return key_of(__version__, stage.retriever, embedder)
