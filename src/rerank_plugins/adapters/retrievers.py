"""What the retrievers of every framework take and refuse, and how their documents are indexed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from rerank_plugins.adapters.arguments import DEFAULT_TOP_N
from rerank_plugins.adapters.checks import check_kind, checked_count, checked_limits
from rerank_plugins.adapters.corpus import Corpus
from rerank_plugins.adapters.embedding import EmbedderOptions
from rerank_plugins.adapters.ranking import RankingOptions
from rerank_plugins.adapters.values import as_name
from rerank_plugins.embedder import Embedder
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.reranker import Reranker
from rerank_plugins.retrieval import Fusion, RetrieverName, build_first_stage
from rerank_plugins.retrieval.build import AnyTokenVectorStore
from rerank_plugins.types import ScoreUnit

__all__ = ["RetrieverParts", "closed_unless_passed"]

_Reranker = TypeVar("_Reranker", bound=RankingOptions)
_Item = TypeVar("_Item")


@contextmanager
def closed_unless_passed(made: RankingOptions | None, given: object) -> Iterator[None]:
    """Close the reranker that a retriever opened, if the block that makes the retriever fails.

    Args:
        made: What reranks.
        given: What the caller passed for it: an object stays open; a model's name, and None for a saved one, do not.
    """
    try:
        yield
    except BaseException:
        if made is not None and (given is None or isinstance(given, (str, Path))):
            made.close()
        raise


@dataclass(frozen=True, kw_only=True)
class RetrieverParts(Generic[_Reranker, _Item]):
    """What the retrievers of one framework are made of.

    Attributes:
        name: The framework's name in saved folders.
        base: The class of all rerankers of the adapter.
        any_model: The one that takes any model.
        classes: Name to class, of the rerankers that a folder may name.
        embeddings: The class of the adapter's embeddings.
        accepted: Which objects of the adapter can be the reranker, in words.
        passed: What such an object is called, in words.
        other_reranker: What to do with another reranker, in words.
        other_embedder: Which objects of the adapter can be the embedder, and what to do with others, in words.
        text_of: What is indexed of a document.
        entry_of: Makes plain JSON of a document under its id, or raises InvalidInputError.
        item_of: Makes a document of what ``entry_of`` made.
    """

    name: str
    base: type[_Reranker]
    any_model: type[_Reranker]
    classes: Mapping[str, type[_Reranker]]
    embeddings: type[EmbedderOptions]
    accepted: str
    passed: str
    other_reranker: str
    other_embedder: tuple[str, str]
    text_of: Callable[[_Item], str]
    entry_of: Callable[[str, _Item], dict[str, Any]]
    item_of: Callable[[Any], _Item]

    def reranker_of(self, reranker: object) -> _Reranker | None:
        """Return what reranks, or raise InvalidInputError for what cannot.

        Args:
            reranker: An object of the adapter, of any class, is returned as it is. A core reranker and a model's name
                get the options of ``any_model``. None stays None.
        """
        if reranker is None or isinstance(reranker, self.base):
            return reranker
        if isinstance(reranker, Reranker):
            return self.any_model._around_reranker(reranker, {})
        expected = (
            f"{self.accepted} of this package, a rerank_plugins.Reranker, a model's name, or None. Wrap a model that "
            f"another library has loaded with Reranker.from_loaded(...); {self.other_reranker}"
        )
        check_kind("reranker", reranker, (str, Path), expected=expected)
        return self.any_model(model=str(reranker))

    def changed_stage(
        self, reranker: _Reranker | None, settings: Mapping[str, Any], *, top_n: int | None
    ) -> tuple[_Reranker | None, int | None]:
        """Return what reranks with other settings, and the retriever's ``top_n``, which is one of them.

        Raises:
            ValueError: An option is unknown or cannot work, or it is one of a reranker and there is none.
        """
        if reranker is not None:
            reranker = reranker.with_settings(**settings)
        elif settings.keys() - {"top_n"}:
            msg = f"there is no reranker that {', '.join(sorted(settings.keys() - {'top_n'}))} could be set of"
            raise InvalidInputError(msg)
        limit = settings.get("top_n", top_n)
        return reranker, None if limit is None else checked_count("top_n", limit)

    def second_stage(
        self, reranker: object, *, top_n: int | None, threshold: float | None, threshold_unit: ScoreUnit
    ) -> tuple[_Reranker | None, int | None]:
        """Return what reranks, with the options that the retriever was given, and the ``top_n`` that it applies itself.

        Args:
            reranker: What the caller passed; see :meth:`reranker_of`.
            top_n: Results returned at most; None returns all that were retrieved, ``DEFAULT_TOP_N`` leaves it to an
                object of the adapter.
            threshold: None leaves what the reranker has.
            threshold_unit: What ``threshold`` is compared with.

        Raises:
            InvalidInputError: An option cannot work, or a reranker that was passed has a threshold of its own.
        """
        has_own = top_n is DEFAULT_TOP_N and isinstance(reranker, self.base)
        top_n, threshold = checked_limits(top_n=top_n, threshold=threshold, threshold_unit=threshold_unit)
        if threshold is not None and (reranker is None or isinstance(reranker, self.base)):
            owner = "there is no reranker" if reranker is None else f"the {self.passed} that was passed has its own"
            msg = f"threshold={threshold} cannot be used here: {owner}; leave it out, or name a reranking model"
            raise InvalidInputError(msg)
        made = self.reranker_of(reranker)
        if made is None or has_own:
            return made, None if has_own else top_n
        changes = {} if threshold is None else {"threshold": threshold, "threshold_unit": threshold_unit}
        # top_n=None means all that were retrieved, here as everywhere.
        return made._standing_in(**changes, top_n=None) if changes or top_n is None else made, top_n

    def embedder_of(self, embedder: object) -> Embedder | str | Path:
        """Return a core embedder or a model's name, or raise InvalidInputError for anything else."""
        if isinstance(embedder, self.embeddings):
            return embedder.embedder
        accepted, others = self.other_embedder
        expected = f"{accepted} of this package, a rerank_plugins.Embedder, or a model's name. {others}"
        check_kind("embedder", embedder, (Embedder, str, Path), expected=expected)
        return embedder if isinstance(embedder, Embedder) else as_name(embedder)  # type: ignore[arg-type]

    def indexed(
        self,
        items: Mapping[str, _Item],
        *,
        retriever: RetrieverName,
        embedder: object,
        faiss_index: str | None,
        fusion: Fusion,
        weights: Sequence[float] | None,
        vectors: AnyTokenVectorStore | None,
    ) -> Corpus[_Item]:
        """Return key to document, indexed with the options of :func:`rerank_plugins.retrieval.build_first_stage`.

        ``embedder`` may be an embedding of the adapter too.
        """
        model, texts = self.embedder_of(embedder), self._texts(items)
        first_stage = build_first_stage(
            texts,
            retriever=retriever,
            embedder=model,
            faiss_index=faiss_index,
            fusion=fusion,
            weights=weights,
            vectors=vectors,
        )
        return Corpus(first_stage, items, texts)

    def grown(self, corpus: Corpus[_Item], items: Mapping[str, _Item]) -> Corpus[_Item]:
        """Return a corpus that has these documents too; see :meth:`Corpus.grown`."""
        return corpus.grown(items, self._texts(items))

    def _texts(self, items: Mapping[str, _Item]) -> dict[str, str]:
        return {key: self.text_of(one) for key, one in items.items()}
