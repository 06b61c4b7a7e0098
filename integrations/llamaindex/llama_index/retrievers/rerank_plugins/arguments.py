"""What the retrievers take: each argument is turned into what is used, or refused with the way out."""

from __future__ import annotations

from pathlib import Path

from llama_index.core.callbacks import CallbackManager
from llama_index.core.schema import TransformComponent
from llama_index.embeddings.rerank_plugins import InstructionEmbedding
from llama_index.postprocessor.rerank_plugins import BaseRerankPostprocessor, RerankPostprocessor

from rerank_plugins.adapting import check_kind, checked_limits
from rerank_plugins.described import as_name
from rerank_plugins.embedder import Embedder
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.reranker import Reranker
from rerank_plugins.types import ScoreUnit

__all__ = [
    "OWN",
    "AnyReranker",
    "check_callbacks",
    "checked_embedder",
    "checked_transformations",
    "postprocessor_of",
    "second_stage",
]

OWN = (
    "first_stage",
    "nodes",
    "documents",
    "embedder",
    "reranker",
    "top_k",
    "top_n",
    "threshold",
    "threshold_unit",
    "transformations",
    "callback_manager",
    "verbose",
    "vector_store",
    "embed_model",
)
"""Arguments that are checked where they are used; the core checks the others, and refuses other names."""

AnyReranker = BaseRerankPostprocessor | Reranker | str | Path


def postprocessor_of(reranker: object) -> BaseRerankPostprocessor | None:
    """Return what reranks nodes, or raise InvalidInputError for what cannot.

    Args:
        reranker: A postprocessor of this package, of any class, is returned as it is. A core reranker and a model's
            name get the options of :class:`RerankPostprocessor`. None stays None.
    """
    if reranker is None or isinstance(reranker, BaseRerankPostprocessor):
        return reranker
    if isinstance(reranker, Reranker):
        return RerankPostprocessor.from_reranker(reranker)
    told = (
        "a postprocessor of this package, a rerank_plugins.Reranker, a model's name, or None. Wrap a model that "
        "another library has loaded with Reranker.from_loaded(...); another postprocessor goes into a query engine's "
        "node_postprocessors"
    )
    check_kind("reranker", reranker, (str, Path), told=told)
    return RerankPostprocessor(model=str(reranker))


def second_stage(
    reranker: object, *, top_n: int | None, threshold: float | None, threshold_unit: ScoreUnit
) -> BaseRerankPostprocessor | None:
    """Return what reranks nodes, with what a retriever was told about it.

    Args:
        reranker: See :func:`postprocessor_of`.
        top_n: Nodes returned at most; None returns all that were retrieved.
        threshold: None leaves what the reranker has.
        threshold_unit: What ``threshold`` is compared with.

    Raises:
        InvalidInputError: An option cannot work, or a reranker that was passed has a threshold of its own.
    """
    top_n, threshold = checked_limits(top_n=top_n, threshold=threshold, threshold_unit=threshold_unit)
    if threshold is not None and (reranker is None or isinstance(reranker, BaseRerankPostprocessor)):
        owner = "there is no reranker" if reranker is None else "the postprocessor that was passed has its own"
        msg = f"threshold={threshold} cannot be used here: {owner}; leave it out, or name a reranking model"
        raise InvalidInputError(msg)
    made = postprocessor_of(reranker)
    if made is None:
        return None
    changes = {} if threshold is None else {"threshold": threshold, "threshold_unit": threshold_unit}
    return made.with_settings(**changes, top_n=top_n)


def checked_embedder(embedder: object) -> Embedder | str | Path:
    """Return a core embedder or a model's name, or raise InvalidInputError for anything else."""
    if isinstance(embedder, InstructionEmbedding):
        return embedder.embedder
    told = (
        "an embedding of this package, a rerank_plugins.Embedder, or a model's name. With another embedding, build an "
        "index of your own and pass its retriever: TwoStageRetriever(index.as_retriever(similarity_top_k=50), ...)"
    )
    check_kind("embedder", embedder, (Embedder, str, Path), told=told)
    return embedder if isinstance(embedder, Embedder) else as_name(embedder)  # type: ignore[arg-type]


def checked_transformations(transformations: object) -> list[TransformComponent]:
    """Return transformations as a list, or raise InvalidInputError for anything but a list of them."""
    if transformations is None:
        return []
    check_kind("transformations", transformations, (list, tuple), told="a list of transformations, or None")
    for one in transformations:  # type: ignore[attr-defined]
        if not callable(one):
            msg = f"transformations must hold components such as SentenceSplitter(), got {type(one).__name__}"
            raise InvalidInputError(msg)
    return list(transformations)  # type: ignore[call-overload,no-any-return]


def check_callbacks(callback_manager: object) -> None:
    """Raise InvalidInputError unless it is None or a callback manager."""
    check_kind("callback_manager", callback_manager, (CallbackManager, type(None)), told="a CallbackManager or None")
