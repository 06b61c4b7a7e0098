"""Retrievers in a folder: LlamaIndex's nodes and postprocessors beside the core's part."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import llama_index.postprocessor.rerank_plugins as postprocessors
from llama_index.core.bridge.pydantic import TypeAdapter
from llama_index.core.schema import BaseNode
from llama_index.core.storage.docstore.utils import doc_to_json, json_to_doc
from llama_index.postprocessor.rerank_plugins import BaseRerankPostprocessor
from llama_index.retrievers.rerank_plugins.arguments import checked_embedder

from rerank_plugins.calibration import Calibration
from rerank_plugins.embedder import Embedder
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.retrieval import FirstStage
from rerank_plugins.retrieval.attached import NOT_KEPT, Attached, as_json, check_kept
from rerank_plugins.retrieval.saved import SavedRetriever, read_folder, told_if_damaged, write_folder

__all__ = ["Corpus", "open_folder", "opened_postprocessor", "opened_stage", "write"]

_ADAPTER = "llamaindex"

Corpus = tuple[FirstStage, dict[str, BaseNode], dict[str, str] | None]
"""A first stage, its nodes, and the texts that were indexed of them; None if they were indexed elsewhere."""


def write(
    persist_dir: str | Path,
    corpus: Corpus,
    *,
    top_k: int,
    top_n: int | None = None,
    reranker: BaseRerankPostprocessor | None = None,
) -> Path:
    """Write a retriever into a folder, and return it.

    Raises:
        InvalidInputError: A node is not JSON, what was indexed is not known, or the folder cannot be written.
    """
    target, (first_stage, nodes, texts) = Path(persist_dir).expanduser(), corpus
    if texts is None:
        msg = "which texts were indexed of the nodes is not known, so they cannot be saved; make the retriever with "
        raise InvalidInputError(msg + "FirstStageRetriever.from_documents(...)")
    settings = {"top_n": top_n, "reranker": None if reranker is None else _postprocessor_entry(reranker)}
    if top_n is None and reranker is not None:
        top_n = reranker.top_n
    write_folder(
        target,
        texts=texts,
        first_stage=first_stage,
        reranker=None if reranker is None else reranker.reranker,
        selection={
            "top_k": top_k,
            "top_n": top_n,
            "threshold": None if reranker is None else reranker.threshold,
            "threshold_unit": "probability" if reranker is None else reranker.threshold_unit,
        },
        attached=Attached(_ADAPTER, settings, {key: _entry(node) for key, node in nodes.items()}),
    )
    return target


def open_folder(persist_dir: str | Path) -> tuple[SavedRetriever, Attached]:
    """Read what :func:`write` wrote, or raise InvalidInputError."""
    source = Path(persist_dir).expanduser()
    saved = read_folder(source)
    with told_if_damaged(source):
        return saved, saved.attached(_ADAPTER)


def opened_stage(saved: SavedRetriever, attached: Attached, embedder: object) -> Corpus:
    """Return what is searched.

    Args:
        saved: The core's part.
        attached: LlamaIndex's.
        embedder: An embedding of this package, a core embedder, a model's name, or None for the saved one.
    """
    given = None if embedder is None else checked_embedder(embedder)
    with told_if_damaged(saved.folder):
        nodes = {key: json_to_doc(entry) for key, entry in attached.documents.items()}
        model = given if isinstance(given, Embedder) else saved.embedder(given)
        return saved.first_stage(model), nodes, saved.texts


def opened_postprocessor(saved: SavedRetriever, entry: Mapping[str, Any] | None) -> BaseRerankPostprocessor | None:
    """Open a postprocessor as it was saved; None if there was none.

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
        return _known(entry["class"])(**entry["options"])


def _known(name: str) -> type[BaseRerankPostprocessor]:
    if name not in postprocessors.__all__:
        msg = f"there is no postprocessor {name!r}"
        raise InvalidInputError(msg)
    made: type[BaseRerankPostprocessor] = getattr(postprocessors, name)
    return made


def _postprocessor_entry(postprocessor: BaseRerankPostprocessor) -> dict[str, Any]:
    """Return what opens a postprocessor again; its class is None if only who made it can."""
    name = type(postprocessor).__name__
    if getattr(postprocessors, name, None) is not type(postprocessor) or not postprocessor.reranker.is_reopenable:
        return {"class": None, "options": {}}
    left_out = {*NOT_KEPT, "calibration", "class_name"}
    options = {key: value for key, value in postprocessor.to_dict().items() if key not in left_out}
    calibration = postprocessor.reranker.calibration
    kept = None if calibration is None else TypeAdapter(Calibration).dump_python(calibration, mode="json")
    return {"class": name, "options": {**options, "calibration": kept}}


def _entry(node: BaseNode) -> dict[str, Any]:
    """Return a node as LlamaIndex's document stores keep it, or raise InvalidInputError if it came back changed."""
    _ = as_json(node.metadata, owner=f"the metadata of node {node.node_id!r}")
    try:
        entry: dict[str, Any] = json.loads(json.dumps(doc_to_json(node)))
        same = type(json_to_doc(entry)) is type(node) and json_to_doc(entry) == node
    except (TypeError, ValueError, KeyError, RecursionError) as error:
        msg = f"node {node.node_id!r} ({type(node).__name__}) cannot be saved as JSON ({error}); index a TextNode of it"
        raise InvalidInputError(msg) from error
    if not same:
        msg = f"node {node.node_id!r} ({type(node).__name__}) would come back changed from JSON; index a TextNode of it"
        raise InvalidInputError(msg)
    return entry
