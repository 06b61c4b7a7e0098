"""The settings of a retriever's parts that are saved, with their models by name."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from rerank_plugins.embedder import Embedder
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.reranker import Reranker
from rerank_plugins.retrieval.bm25 import BM25Index
from rerank_plugins.retrieval.dense import DenseIndex
from rerank_plugins.retrieval.first_stage import FirstStage
from rerank_plugins.retrieval.folders import folders_of
from rerank_plugins.retrieval.hybrid import HybridIndex
from rerank_plugins.retrieval.multi_vector import MultiVectorIndex

__all__ = ["embedder_identity", "embedder_settings", "reranker_settings", "stage_settings"]


def embedder_identity(embedder: Embedder) -> dict[str, Any]:
    """Return everything that decides a document's vector. A local folder is known by its name, without its path.

    ``weights`` are a digest of the files of weights and tokenizer; None where it is not known.
    """
    spec = embedder.spec
    return {
        "model": Path(spec.id).name if Path(spec.id).is_absolute() else spec.id,
        "revision": spec.revision,
        "document_instruction": embedder.instruction.document,
        "max_length": embedder.max_length,
        "dimensions": embedder.dimensions,
        "pooling": spec.pooling,
        "weights": embedder._weights_digest(),
    }


def stage_settings(stage: FirstStage, ids: list[str], dense: list[DenseIndex | MultiVectorIndex]) -> dict[str, Any]:
    """Return the settings of a first stage; its dense stages are appended to ``dense``.

    Raises:
        InvalidInputError: It is not a stage of this package, or holds other documents than ``ids``.
    """
    if isinstance(stage, HybridIndex):
        return {**stage.settings, "stages": [stage_settings(one, ids, dense) for one in stage.stages]}
    if not isinstance(stage, (BM25Index, DenseIndex, MultiVectorIndex)):
        msg = f"a first stage of {type(stage).__name__} cannot be saved: only those of this package can"
        raise InvalidInputError(msg)
    if stage.ids != ids:
        msg = "the first stage holds other documents than the retriever's texts, or in another order; index those texts"
        raise InvalidInputError(msg)
    if isinstance(stage, BM25Index):
        return stage.settings
    if dense and dense[0].embedder is not stage.embedder:
        msg = "dense stages with different embedders cannot be saved together; save a retriever for each"
        raise InvalidInputError(msg)
    dense.append(stage)
    return {**stage.settings, "number": len(dense) - 1}


def embedder_settings(dense: list[DenseIndex | MultiVectorIndex]) -> dict[str, Any] | None:
    """Return the settings that open the embedder of dense stages again, its model None if no name does.

    None without dense stages.
    """
    if not dense:
        return None
    embedder = dense[0].embedder
    options = {
        "query_instruction": embedder.instruction.query,
        "document_instruction": embedder.instruction.document,
        "examples": [asdict(one) for one in embedder.examples],
        "dimensions": embedder._dimensions,
        "max_length": None if embedder.examples else embedder.max_length,
        "normalize": embedder.normalize,
        **_source_options(embedder),
    }
    model = embedder.model if embedder.is_named else None
    folders = folders_of({"model": model}, kind="embedder")
    return {"model": model, "options": options, "identity": embedder_identity(embedder), "folders": folders}


def reranker_settings(reranker: Reranker) -> dict[str, Any]:
    """Return what opens a reranker again; its model is None if no name does."""
    layers = reranker.layers
    options = {
        "max_length": reranker.max_length,
        "long_documents": asdict(reranker.long_documents),
        "prompt": reranker.spec.prompt or None,
        "layers": None if layers is None else asdict(layers),
        "peft_path": reranker.peft_path,
        **_source_options(reranker),
    }
    named = {
        "model": reranker.model if reranker.is_named else None,
        "vectors": None if reranker.vectors is None else str(reranker.vectors.folder),
    }
    return {**named, "options": options, "folders": folders_of({**options, **named}, kind="reranker")}


def _source_options(model: Embedder | Reranker) -> dict[str, Any]:
    # Not what a file may contain (pickles, remote code): whoever loads the folder decides that.
    return {"family": model.source.family, "revision": model.source.revision}
