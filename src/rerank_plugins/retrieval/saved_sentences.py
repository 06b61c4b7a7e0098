"""Keeps sentence indexes in folders: texts, spans, vectors and settings, written atomically, with nothing that runs.

::

    sentences.json   settings, and the embedder by name
    texts.jsonl      one JSON array [id, text, [[start, end], ...]] a line
    vectors.npy      the vectors of all sentences. Shape: (sentences, dim), float32
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rerank_plugins.backends.handles import closed_on_error
from rerank_plugins.embedder import Embedder
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.retrieval.attached import Attached, read_attached, write_attached
from rerank_plugins.retrieval.dense import DenseIndex
from rerank_plugins.retrieval.parts import embedder_settings
from rerank_plugins.retrieval.same_model import check_identity, check_same_vector, check_weights
from rerank_plugins.retrieval.saved import (
    SavedRetriever,
    saved_settings_errors,
)
from rerank_plugins.retrieval.saved_vectors import read_vectors
from rerank_plugins.retrieval.sentence_vectors import sentence_vectors
from rerank_plugins.system.files import reason_of, write_atomically, write_folder_with
from rerank_plugins.types import WindowSpan

__all__ = ["SavedSentences", "attached_documents", "read_sentences", "write_sentences"]

_SETTINGS, _TEXTS, _VECTORS = "sentences.json", "texts.jsonl", "vectors.npy"
_SCHEMA, _VERSION = "rerank-plugins/sentences", 1

_KEPT = ("before", "after", "in_context", "overlap", "passage_characters")

_Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SavedSentences:
    """What an index is made of, but for its embedder.

    Attributes:
        texts: Document id to text.
        chunks: Document id to the characters of its sentences.
        vectors: Of all sentences, in this order. Shape: (sentences, dim).
        settings: ``before``, ``after`` and how the index made its vectors.
        faiss_index: Argument of ``faiss.index_factory``; None for numpy.
    """

    texts: dict[str, str]
    chunks: dict[str, tuple[WindowSpan, ...]]
    vectors: _Vectors
    settings: Mapping[str, Any]
    faiss_index: str | None


def write_sentences(
    folder: Path, saved: SavedSentences, dense: DenseIndex, *, attached: Attached | None = None
) -> Path:
    """Write an index; an earlier one in the folder is replaced when the new one is complete.

    Args:
        folder: Where to.
        saved: The index.
        dense: The same vectors with their embedder.
        attached: What an adapter puts beside it; None for the core's own.

    Raises:
        InvalidInputError: The folder holds something else, or cannot be written.
    """
    if folder.exists() and not (folder / _SETTINGS).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        msg = f"{folder} is there and is no saved sentence index; name a new or an empty folder"
        raise InvalidInputError(msg)
    settings = {
        "schema": _SCHEMA,
        "version": _VERSION,
        "settings": dict(saved.settings),
        "faiss_index": saved.faiss_index,
        "embedder": embedder_settings([dense]),
        "attached": None if attached is None else attached.header,
    }

    def save(written: Path) -> None:
        with (written / _TEXTS).open("w", encoding="utf-8", newline="\n") as file:
            for key, text in saved.texts.items():
                spans = [[one.start, one.end] for one in saved.chunks[key]]
                # ASCII: a text may hold half of a surrogate pair, which UTF-8 cannot.
                file.write(f"{json.dumps([key, text, spans])}\n")
        if attached is not None:
            write_attached(written, attached)
        np.save(written / _VECTORS, saved.vectors, allow_pickle=False)
        write_atomically(written / _SETTINGS, (json.dumps(settings, indent=2) + "\n").encode())

    try:
        return write_folder_with(folder, save)
    except OSError as error:
        msg = f"the index cannot be saved in {str(folder)!r} ({reason_of(error)}); make room, or name another folder"
        raise InvalidInputError(msg) from error


def read_sentences(folder: Path, embedder: Embedder | str | Path | None) -> tuple[SavedSentences, Embedder]:
    """Read what :func:`write_sentences` wrote, and open its embedder if it was not passed.

    Raises:
        InvalidInputError: It is something else, damaged or of a later version, or the embedder is another one.
        ModelError: The embedder cannot be loaded.
    """
    try:
        settings = json.loads((folder / _SETTINGS).read_text(encoding="utf-8"))
        lines = (folder / _TEXTS).read_text(encoding="utf-8").split("\n")
        entries = [_entry(json.loads(line)) for line in lines if line]
    except (OSError, ValueError, TypeError, RecursionError) as error:
        msg = f"no saved sentence index could be read from {str(folder)!r} ({error}); SentenceIndex.save makes one"
        raise InvalidInputError(msg) from error
    if not isinstance(settings, dict) or (settings.get("schema"), settings.get("version")) != (_SCHEMA, _VERSION):
        msg = (
            f"{str(folder)!r} holds no sentence index of version {_VERSION}, which this release reads; "
            "SentenceIndex.save makes one"
        )
        raise InvalidInputError(msg)
    with saved_settings_errors(folder):
        saved = SavedSentences(
            texts={key: text for key, text, _ in entries},
            chunks={key: spans for key, _, spans in entries},
            vectors=read_vectors(folder / _VECTORS),
            settings={name: settings["settings"][name] for name in _KEPT},
            faiss_index=settings["faiss_index"],
        )
        opened = embedder if isinstance(embedder, Embedder) else SavedRetriever(folder, settings, {}).embedder(embedder)
        with closed_on_error([] if opened is None or opened is embedder else [opened]):
            _check(folder, settings, saved, opened)
    return saved, opened  # type: ignore[return-value]


def attached_documents(folder: Path, *, name: str, ids: list[str]) -> Attached:
    """Return what an adapter of that name put beside an index, or raise InvalidInputError."""
    try:
        settings = json.loads((folder / _SETTINGS).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        msg = f"no saved sentence index could be read from {str(folder)!r} ({error}); save one there"
        raise InvalidInputError(msg) from error
    header = settings.get("attached") if isinstance(settings, dict) else None
    return read_attached(folder, header, name=name, ids=ids)


def _check(folder: Path, settings: Mapping[str, Any], saved: SavedSentences, embedder: Embedder | None) -> None:
    n_sentences = sum(map(len, saved.chunks.values()))
    if embedder is None or len(saved.vectors) != n_sentences:
        msg = f"{folder} has {n_sentences} sentences and {len(saved.vectors)} vectors; it is damaged: make it again"
        raise InvalidInputError(msg)
    check_identity(folder, settings["embedder"]["identity"], embedder)
    filled = [key for key in saved.texts if saved.chunks[key]]
    shortest = min(filled, key=lambda key: len(saved.texts[key]), default=None)
    if shortest is None:
        return
    document = {shortest: (saved.texts[shortest], saved.chunks[shortest])}
    found = sentence_vectors(document, embedder, saved.settings)[0]
    place = sum(len(saved.chunks[key]) for key in list(saved.texts)[: list(saved.texts).index(shortest)])
    check_same_vector(folder, found, saved.vectors[place])
    check_weights(folder, settings["embedder"]["identity"], embedder)


def _entry(line: Any) -> tuple[str, str, tuple[WindowSpan, ...]]:
    key, text, spans = line
    made = tuple(WindowSpan(int(start), int(end)) for start, end in spans)
    is_inside = all(0 <= one.start <= one.end <= len(text) for one in made)
    if not isinstance(key, str) or not isinstance(text, str) or not is_inside:
        msg = "texts.jsonl must have one JSON array [id, text, spans] a line"
        raise ValueError(msg)
    return key, text, made
