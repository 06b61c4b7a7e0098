"""Saves retrievers in folders: texts, vectors and settings, written atomically, with nothing that could run code.

::

    retriever.json   settings, and the models by name
    texts.jsonl      one JSON array [id, text] a line, in the order of the vectors
    vectors-N.npy    the vectors of each dense stage. Shape: (n, dim), float32
    tokens-N.npz     those of a multi-vector stage; see :mod:`rerank_plugins.retrieval.saved_vectors`
    attached.jsonl   of a framework's adapter only: its own form of each document

Indexes are built again when they are loaded: FAISS' own files are read by code that trusts them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rerank_plugins.calibration import Calibration
from rerank_plugins.calls.flat_options import EMBEDDER_OPTIONS, RERANKER_OPTIONS
from rerank_plugins.checks.moved import regrouped
from rerank_plugins.embedder import Embedder
from rerank_plugins.embedding.kept import TokenVectorStore
from rerank_plugins.embedding.kept.header import HEADER
from rerank_plugins.errors import InvalidInputError, RerankPluginsError
from rerank_plugins.reranker import Reranker
from rerank_plugins.retrieval.attached import Attached, read_attached, write_attached
from rerank_plugins.retrieval.bm25 import BM25Index
from rerank_plugins.retrieval.dense import DenseIndex
from rerank_plugins.retrieval.first_stage import FirstStage
from rerank_plugins.retrieval.folders import with_folders
from rerank_plugins.retrieval.hybrid import HybridIndex
from rerank_plugins.retrieval.multi_vector import MultiVectorIndex
from rerank_plugins.retrieval.parts import embedder_settings, reranker_settings, stage_settings
from rerank_plugins.retrieval.same_model import check_identity, check_same_vector, check_weights
from rerank_plugins.retrieval.saved_vectors import read_token_rows, read_vectors, write_token_rows
from rerank_plugins.system.files import reason_of, write_atomically, write_folder_with
from rerank_plugins.types import LayerOptions, LongDocuments, QueryExample

__all__ = [
    "SavedRetriever",
    "read_folder",
    "saved_settings_errors",
    "write_folder",
]

_SETTINGS, _TEXTS, _CALIBRATION = "retriever.json", "texts.jsonl", "calibration.json"
_SCHEMA, _VERSION = "rerank-plugins/retriever", 1

_Vectors = npt.NDArray[np.float32]


class SavedRetriever:
    """The contents of a saved retriever's folder, checked as far as possible without a model.

    Args:
        folder: The folder.
        settings: Its ``retriever.json``.
        texts: Document id to text.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], texts: dict[str, str]) -> None:
        self._folder, self._settings, self.texts = folder, settings, texts

    @property
    def folder(self) -> Path:
        """The folder."""
        return self._folder

    @property
    def selection(self) -> dict[str, Any]:
        """The constructor's options: ``top_k``, ``top_n``, ``threshold`` and its unit."""
        return dict(self._settings["selection"])

    def attached(self, name: str) -> Attached:
        """Return what an adapter of that name put beside the core's part, or raise InvalidInputError."""
        return read_attached(self._folder, self._settings.get("attached"), name=name, ids=list(self.texts))

    def embedder(self, model: str | Path | None) -> Embedder | None:
        """Open the embedder that the vectors were made with, or its model by another name; None without vectors.

        Raises:
            InvalidInputError: It was made of a model in memory, which no name opens.
        """
        saved = with_folders(self._settings["embedder"])
        if saved is None:
            return None
        if saved["model"] is None and model is None:
            msg = f"{self._folder}: its embedder was made of a model in memory, so no name opens it; pass embedder=..."
            raise InvalidInputError(msg)
        examples = tuple(QueryExample(**one) for one in saved["options"]["examples"])
        options = {**saved["options"], "examples": examples or None}
        return Embedder(saved["model"] if model is None else model, **regrouped(options, EMBEDDER_OPTIONS))

    def reranker(self, model: str | Path | None) -> Reranker | None:
        """Open a reranker by its name, or the saved one with its settings; None if there was none.

        Raises:
            InvalidInputError: It was made of a model in memory, which no name opens.
        """
        if model is not None:
            return Reranker(model)
        saved = with_folders(self._settings["reranker"])
        if saved is None:
            return None
        if saved["model"] is None:
            msg = f"{self._folder}: its reranker was made of a model in memory, so no name opens it; pass reranker=..."
            raise InvalidInputError(msg)
        options = dict(saved["options"])
        options["long_documents"] = LongDocuments(**options["long_documents"])
        options["layers"] = None if options["layers"] is None else LayerOptions(**options["layers"])
        calibration = Calibration.load(path) if (path := self._folder / _CALIBRATION).is_file() else None
        cache = None if saved.get("vectors") is None else TokenVectorStore(saved["vectors"])
        return Reranker(saved["model"], calibration=calibration, cache=cache, **regrouped(options, RERANKER_OPTIONS))

    def first_stage(self, embedder: Embedder | None) -> FirstStage:
        """Build the first stage again.

        Raises:
            InvalidInputError: The embedder is another than the vectors were made with, or they are damaged.
        """
        return self._stage(self._settings["first_stage"], embedder)

    def _stage(self, saved: Mapping[str, Any], embedder: Embedder | None) -> FirstStage:
        kind = saved["kind"]
        if kind == "bm25":
            return BM25Index(self.texts, k1=saved["k1"], b=saved["b"])
        if kind == "hybrid":
            stages = [self._stage(one, embedder) for one in saved["stages"]]
            return HybridIndex(
                stages,
                fusion=saved["fusion"],
                weights=saved["weights"],
                rrf_k=saved["rrf_k"],
                depth=saved["depth"],
            )
        if embedder is None:
            msg = f"{self._folder}: its first stage needs an embedder and none is saved; the folder is damaged"
            raise InvalidInputError(msg)
        if kind == "multi_vector":
            return self._multi_vector(saved, embedder)
        vectors = read_vectors(self._folder / f"vectors-{int(saved['number'])}.npy")
        self._check_embedder(embedder, vectors)
        options = {name: saved[name] for name in ("faiss_index", "n_probe") if name in saved}
        return DenseIndex(self.texts, embedder, vectors=vectors, **options)

    def _multi_vector(self, saved: Mapping[str, Any], embedder: Embedder) -> MultiVectorIndex:
        check_identity(self._folder, self._settings["embedder"]["identity"], embedder)
        vectors = read_token_rows(self._folder, int(saved["number"]), list(self.texts.values()), embedder)
        check_weights(self._folder, self._settings["embedder"]["identity"], embedder)
        options = {name: saved[name] for name in ("faiss_index", "candidates_per_token", "n_probe")}
        index = MultiVectorIndex(self.texts, embedder, vectors=vectors, **options)
        # On another machine it need not be there, and nothing of it is needed before documents are added. A folder that
        # is no store does not become one by opening a file that names it.
        named = saved.get("vectors")
        if not isinstance(named, str) or not (Path(named) / HEADER).is_file():
            return index
        return index._with_store(TokenVectorStore(named))

    def _check_embedder(self, embedder: Embedder, vectors: _Vectors) -> None:
        check_identity(self._folder, self._settings["embedder"]["identity"], embedder)
        if len(vectors):
            (found,) = embedder.embed_documents([next(iter(self.texts.values()))])
            check_same_vector(self._folder, found, vectors[0])
        check_weights(self._folder, self._settings["embedder"]["identity"], embedder)


def write_folder(
    folder: Path,
    *,
    texts: Mapping[str, str],
    first_stage: FirstStage,
    reranker: Reranker | None,
    selection: Mapping[str, Any],
    attached: Attached | None = None,
) -> None:
    """Write a retriever; an earlier one in the folder is replaced when the new one is complete.

    Args:
        folder: Where to.
        texts: Document id to text.
        first_stage: Of these documents.
        reranker: None for none.
        selection: The options of the retriever's constructor.
        attached: What an adapter puts beside it; None for the core's own.

    Raises:
        InvalidInputError: The first stage is none of this package's, holds other documents than ``texts``, the folder
            holds something else, or it cannot be written.
    """
    dense: list[DenseIndex | MultiVectorIndex] = []
    settings = {
        "schema": _SCHEMA,
        "version": _VERSION,
        "n_texts": len(texts),
        "selection": dict(selection),
        "first_stage": stage_settings(first_stage, list(texts), dense),
        "embedder": embedder_settings(dense),
        "reranker": None if reranker is None else reranker_settings(reranker),
        "attached": None if attached is None else attached.header,
    }
    if folder.exists() and not (folder / _SETTINGS).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        msg = f"{folder} is there and is no saved retriever; name a new or an empty folder"
        raise InvalidInputError(msg)

    def save(written: Path) -> None:
        _write(written, settings, texts, dense)
        if attached is not None:
            write_attached(written, attached)
        if reranker is not None and reranker.calibration is not None:
            reranker.calibration.save(written / _CALIBRATION)

    try:
        write_folder_with(folder, save)
    except OSError as error:
        msg = (
            f"the retriever cannot be saved in {str(folder)!r} ({reason_of(error)}); make room, or name another folder"
        )
        raise InvalidInputError(msg) from error


def read_folder(folder: Path) -> SavedRetriever:
    """Read what :func:`write_folder` wrote.

    Raises:
        InvalidInputError: It is something else, damaged, or of a later version.
    """
    try:
        settings = json.loads((folder / _SETTINGS).read_text(encoding="utf-8"))
        lines = (folder / _TEXTS).read_text(encoding="utf-8").split("\n")
        texts = dict(_entry(json.loads(line)) for line in lines if line)
    except (OSError, ValueError, RecursionError) as error:
        msg = f"no saved retriever could be read from {str(folder)!r} ({error}); TwoStageRetriever.save makes one"
        raise InvalidInputError(msg) from error
    if not isinstance(settings, dict) or settings.get("schema") != _SCHEMA:
        msg = f"{str(folder)!r} holds no saved retriever; TwoStageRetriever.save makes one"
        raise InvalidInputError(msg)
    if settings.get("version") != _VERSION:
        msg = (
            f"{str(folder)!r} has version {settings.get('version')!r} of the format, this release reads {_VERSION}; "
            "save it again, or upgrade rerank-plugins"
        )
        raise InvalidInputError(msg)
    # Folders from before it was noted have none.
    if settings.get("n_texts", len(texts)) != len(texts):
        msg = (
            f"{str(folder)!r} has {len(texts)} texts in {_TEXTS} and should have {settings['n_texts']}: the file was "
            "cut off; save the retriever again"
        )
        raise InvalidInputError(msg)
    return SavedRetriever(folder, settings, texts)


@contextmanager
def saved_settings_errors(folder: Path) -> Iterator[None]:
    """Turn errors that broken settings in a folder cause into InvalidInputError."""
    try:
        yield
    except RerankPluginsError:
        raise
    except Exception as error:
        msg = f"{str(folder)!r} holds broken settings ({type(error).__name__}: {error}); save it again"
        raise InvalidInputError(msg) from error


def _write(
    folder: Path, settings: Mapping[str, Any], texts: Mapping[str, str], dense: list[DenseIndex | MultiVectorIndex]
) -> None:
    # ASCII: a text may hold half of a surrogate pair, which UTF-8 cannot.
    lines = (f"{json.dumps([key, text])}\n" for key, text in texts.items())
    with (folder / _TEXTS).open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(lines)
    for number, index in enumerate(dense):
        if isinstance(index, MultiVectorIndex):
            write_token_rows(folder, number, index.vectors)
        else:
            np.save(folder / f"vectors-{number}.npy", index.vectors, allow_pickle=False)
    write_atomically(folder / _SETTINGS, (json.dumps(settings, indent=2) + "\n").encode())


def _entry(line: object) -> tuple[str, str]:
    if isinstance(line, list) and len(line) == 2 and all(isinstance(one, str) for one in line):
        return line[0], line[1]
    msg = "texts.jsonl must have one JSON array [id, text] a line"
    raise ValueError(msg)
