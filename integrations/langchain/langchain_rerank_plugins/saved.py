"""Retrievers that grow and that are kept in a folder: LangChain's documents and compressors beside the core's part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any
from uuid import uuid4

from langchain_core.documents import Document
from pydantic import TypeAdapter

from langchain_rerank_plugins import models
from langchain_rerank_plugins.arguments import checked_embedder
from langchain_rerank_plugins.compressor import BaseRerankCompressor, RerankCompressor
from rerank_plugins import Embedder
from rerank_plugins.calibration import Calibration
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.retrieval import FirstStage
from rerank_plugins.retrieval.attached import NOT_KEPT, Attached, as_json, check_kept
from rerank_plugins.retrieval.saved import SavedRetriever, read_folder, told_if_damaged, write_folder

__all__ = [
    "ADAPTER",
    "check_new",
    "compressor_entry",
    "listed",
    "open_folder",
    "opened_compressor",
    "opened_stage",
    "with_ids",
    "write",
]

ADAPTER = "langchain"

_COMPRESSORS: dict[str, type[BaseRerankCompressor]] = {
    "RerankCompressor": RerankCompressor,
    **{name: getattr(models, name) for name in models.__all__},
}


def listed(documents: object) -> list[Document]:
    """Return documents and texts as documents of their own, or raise InvalidInputError for anything else."""
    if isinstance(documents, (str, bytes)) or not isinstance(documents, Sequence):
        msg = f"documents must be a list of documents, got {type(documents).__name__}; put a single one into a list"
        raise InvalidInputError(msg)
    return [_document(one, position) for position, one in enumerate(documents)]


def with_ids(documents: Sequence[Document], ids: object) -> list[Document]:
    """Return documents that have ids: those given, else their own, else new ones.

    Raises:
        InvalidInputError: ``ids`` is no list of one string for each document, or two are the same.
    """
    if ids is None:
        given = [one.id or str(uuid4()) for one in documents]
    elif isinstance(ids, (list, tuple)) and all(isinstance(one, str) and one for one in ids):
        given = list(ids)
    else:
        msg = "ids must be a list of strings that are not empty, one for each document, or None"
        raise InvalidInputError(msg)
    if len(given) != len(documents):
        msg = f"there are {len(given)} ids for {len(documents)} documents; give one for each, or none"
        raise InvalidInputError(msg)
    often, times = max(Counter(given).items(), key=itemgetter(1), default=("", 0))
    if times > 1:
        msg = f"{times} of the documents have the id {often!r}; give each document its own id"
        raise InvalidInputError(msg)
    return [one.model_copy(update={"id": key}) for one, key in zip(documents, given, strict=True)]


def write(
    folder: str | Path,
    first_stage: FirstStage,
    documents: Mapping[str, Document],
    *,
    top_k: int,
    top_n: int | None = None,
    reranker: BaseRerankCompressor | None = None,
) -> Path:
    """Write a retriever into a folder, and return it.

    Raises:
        InvalidInputError: A document is not JSON, or the folder cannot be written.
    """
    target = Path(folder).expanduser()
    settings = {"top_n": top_n, "reranker": None if reranker is None else compressor_entry(reranker)}
    if top_n is None and reranker is not None:
        top_n = reranker.top_n
    write_folder(
        target,
        texts={key: one.page_content for key, one in documents.items()},
        first_stage=first_stage,
        reranker=None if reranker is None else reranker.reranker,
        selection={
            "top_k": top_k,
            "top_n": top_n,
            "threshold": None if reranker is None else reranker.threshold,
            "threshold_unit": "probability" if reranker is None else reranker.threshold_unit,
        },
        attached=Attached(ADAPTER, settings, {key: _entry(key, one) for key, one in documents.items()}),
    )
    return target


def open_folder(folder: str | Path) -> tuple[SavedRetriever, Attached]:
    """Read what :func:`write` wrote, or raise InvalidInputError."""
    source = Path(folder).expanduser()
    saved = read_folder(source)
    with told_if_damaged(source):
        return saved, saved.attached(ADAPTER)


def opened_stage(
    saved: SavedRetriever, attached: Attached, embedder: object
) -> tuple[FirstStage, dict[str, Document], int]:
    """Return the first stage, its documents, and how many it retrieves.

    Args:
        saved: The core's part.
        attached: LangChain's.
        embedder: Embeddings of this package, a core embedder, a model's name, or None for the saved one.
    """
    given = None if embedder is None else checked_embedder(embedder)
    with told_if_damaged(saved.folder):
        documents = {key: Document(**one) for key, one in attached.documents.items()}
        model = given if isinstance(given, Embedder) else saved.embedder(given)
        return saved.first_stage(model), documents, saved.selection["top_k"]


def compressor_entry(compressor: BaseRerankCompressor) -> dict[str, Any]:
    """Return what opens a compressor again; its class is None if only who made it can."""
    name = type(compressor).__name__
    if _COMPRESSORS.get(name) is not type(compressor) or not compressor.reranker.is_reopenable:
        return {"class": None, "options": {}}
    options = compressor.model_dump(mode="json", exclude={*NOT_KEPT, "calibration"})
    calibration = compressor.reranker.calibration
    kept = None if calibration is None else TypeAdapter(Calibration).dump_python(calibration, mode="json")
    return {"class": name, "options": {**options, "calibration": kept}}


def opened_compressor(saved: SavedRetriever, entry: Mapping[str, Any] | None) -> BaseRerankCompressor | None:
    """Open a compressor as it was saved; None if there was none.

    Raises:
        InvalidInputError: It was of a class of the caller's, or of a model in memory.
        ModelError: The model cannot be loaded.
    """
    if entry is None:
        return None
    with told_if_damaged(saved.folder):
        if entry["class"] is None:
            msg = f"{saved.folder}: its reranker can be opened by who made it only; pass reranker=..."
            raise InvalidInputError(msg)
        check_kept(entry["options"], folder=saved.folder)
        return _COMPRESSORS[entry["class"]](**entry["options"])


def check_new(added: Iterable[Document], known: Iterable[Document]) -> None:
    """Raise InvalidInputError if a document that is added has the id of one that is there."""
    there = {one.id for one in known}
    taken = [one.id for one in added if one.id in there]
    if taken:
        msg = f"{len(taken)} of the ids are there already, the first is {taken[0]!r}; give each document its own id"
        raise InvalidInputError(msg)


def _document(one: object, position: int) -> Document:
    if isinstance(one, str):
        return Document(page_content=one)
    if isinstance(one, Document):
        # What was indexed stays as it was, whatever becomes of the caller's object.
        return one.model_copy(update={"metadata": dict(one.metadata)})
    msg = f"documents[{position}] must be a Document or a text, got {type(one).__name__}"
    raise InvalidInputError(msg)


def _entry(key: str, document: Document) -> dict[str, Any]:
    owner = f"document {key if document.id is None else document.id!r}"
    if type(document) is not Document:
        msg = f"{owner} is a {type(document).__name__}, and only plain documents can be saved; index Document(...)"
        raise InvalidInputError(msg)
    metadata = as_json(document.metadata, owner=f"the metadata of {owner}")
    return {"page_content": document.page_content, "metadata": metadata, "id": document.id}
