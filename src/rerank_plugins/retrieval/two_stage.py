"""Two-stage retrieval in one object: retrieve candidates, rerank them, keep the best."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

from rerank_plugins.backends.handles import closed_on_error
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.checks.foreign_names import RETRIEVER_NAMES, ForeignNames
from rerank_plugins.checks.kinds import Count
from rerank_plugins.embedder import Embedder
from rerank_plugins.ranking.results import Selection
from rerank_plugins.reranker import Reranker
from rerank_plugins.retrieval.build import (
    DEFAULT_EMBEDDER,
    AnyTokenVectorStore,
    RetrieverName,
    build_first_stage,
    check_retriever,
)
from rerank_plugins.retrieval.corpus import new_texts, texts_by_id
from rerank_plugins.retrieval.first_stage import AddingLock, FirstStage, check_search, check_texts_by_id, grown_stage
from rerank_plugins.retrieval.hybrid import Fusion
from rerank_plugins.retrieval.results import (
    RetrievedDocument,
    checked_selection,
    first_stage_only,
    found_texts,
    merged,
)
from rerank_plugins.retrieval.saved import SavedRetriever, read_folder, saved_settings_errors, write_folder
from rerank_plugins.types import ScoreUnit

__all__ = ["RetrievedDocument", "TwoStageRetriever"]


class TwoStageRetriever(ForeignNames):
    """Retrieves ``top_k`` documents, reranks them, and returns the best ``top_n``.

    Any number of threads and event loops may use one object. A copy has its own index and its own share in the
    models, whose weights are shared; pickling opens them again.

    Args:
        first_stage: Finds candidates.
        texts: Document id to text, of every document that the first stage can find.
        reranker: An object or a model's name; None returns the first stage's order.
        top_k: Documents retrieved.
        top_n: Documents returned at most; None returns all that were retrieved.
        threshold: Reranked documents below it are left out; None keeps all.
        threshold_unit: What ``threshold`` is compared with.

    Raises:
        InvalidInputError: An option cannot work, or there is a threshold without a reranker.
        ModelError: The reranker cannot be loaded.

    Example:
        >>> retriever = TwoStageRetriever.from_documents(
        ...     ["Berlin is in Germany.", "Paris is the capital of France."],
        ...     embedder="mini", reranker="mini", top_k=2, top_n=1,
        ... )
        >>> retriever.search("capital of France")[0].text
        'Paris is the capital of France.'
    """

    _foreign_names = RETRIEVER_NAMES

    @checked_call(unchecked=("texts",))
    def __init__(
        self,
        first_stage: FirstStage,
        texts: Mapping[str, str],
        *,
        reranker: Reranker | str | Path | None = None,
        top_k: Count = 50,
        top_n: Count | None = 5,
        threshold: float | None = None,
        threshold_unit: ScoreUnit = "probability",
    ) -> None:
        self._selection = checked_selection(reranker, top_n=top_n, threshold=threshold, threshold_unit=threshold_unit)
        # One attribute for both, so that a search never combines an old index with new texts, or the reverse.
        self._corpus = (first_stage, check_texts_by_id(texts))
        self._adding, self._top_k = AddingLock(), top_k
        self._opened: list[Embedder | Reranker] = []
        if isinstance(reranker, (str, Path)):
            reranker = Reranker(reranker)
            self._opened.append(reranker)
        self._reranker = reranker

    @classmethod
    @checked_call(unchecked=("documents",))
    def from_documents(
        cls,
        documents: Mapping[str, str] | Iterable[str],
        *,
        retriever: RetrieverName = "hybrid",
        embedder: Embedder | str | Path = DEFAULT_EMBEDDER,
        reranker: Reranker | str | Path | None = "BAAI/bge-reranker-v2-m3",
        top_k: Count = 50,
        top_n: Count | None = 5,
        threshold: float | None = None,
        threshold_unit: ScoreUnit = "probability",
        faiss_index: str | None = "Flat",
        fusion: Fusion = "rrf",
        weights: Sequence[float] | None = None,
        vectors: AnyTokenVectorStore | None = None,
    ) -> TwoStageRetriever:
        """Index texts and return a retriever over them.

        Args:
            documents: Texts, whose ids are then their positions (``"0"``, ``"1"``, ...), or id to text.
            retriever: ``bm25``, ``dense``, ``hybrid`` or ``multi_vector``.
            embedder: An object or a model's name; BM25 needs none and loads none.
            reranker: See the constructor.
            top_k: Documents retrieved.
            top_n: See the constructor.
            threshold: See the constructor.
            threshold_unit: See the constructor.
            faiss_index: See :class:`~rerank_plugins.retrieval.dense.DenseIndex`.
            fusion: See :class:`~rerank_plugins.retrieval.hybrid.HybridIndex`.
            weights: Of the dense stage and of BM25 in a hybrid; None weighs both the same.
            vectors: See :func:`~rerank_plugins.retrieval.build.build_first_stage`.

        Raises:
            InvalidInputError: An option cannot work, or a document is not a string.
            MissingExtraError: bm25s or FAISS is not installed.
            ModelError: A model cannot be loaded.
        """
        texts = texts_by_id(documents)
        check_retriever(retriever)
        # What cannot work shows before the documents are embedded, which may take hours.
        checked_selection(reranker, top_n=top_n, threshold=threshold, threshold_unit=threshold_unit)
        opened: list[Embedder | Reranker] = []
        with closed_on_error(opened):
            if isinstance(reranker, (str, Path)):
                reranker = Reranker(reranker)
                opened.append(reranker)
            if retriever != "bm25" and not isinstance(embedder, Embedder):
                embedder = Embedder(str(embedder))
                opened.append(embedder)
            first_stage = build_first_stage(
                texts,
                retriever=retriever,
                embedder=embedder,
                faiss_index=faiss_index,
                fusion=fusion,
                weights=weights,
                vectors=vectors,
            )
            made = cls(
                first_stage,
                texts,
                reranker=reranker,
                top_k=top_k,
                top_n=top_n,
                threshold=threshold,
                threshold_unit=threshold_unit,
            )
        made._opened += opened
        return made

    @property
    def first_stage(self) -> FirstStage:
        """The first stage, which finds the candidates."""
        return self._corpus[0]

    @property
    def reranker(self) -> Reranker | None:
        """The reranker; None for the first stage alone."""
        return self._reranker

    @property
    def top_k(self) -> int:
        """Documents retrieved."""
        return self._top_k

    def __len__(self) -> int:
        """Return the number of documents."""
        return len(self._corpus[1])

    @checked_call()
    def search(self, query: str, *, top_k: Count | None = None, top_n: Count | None = None) -> list[RetrievedDocument]:
        """Return the results from best to worst; an empty list without a match.

        Args:
            query: The question.
            top_k: Documents retrieved for this call; None takes the object's own.
            top_n: Documents returned at most by this call; None takes the object's own.

        Raises:
            InvalidInputError: The query is blank or no string, or the first stage found a document without a text.
            ScoringError: A model returned NaN or infinity.
            EngineClosedError: A model was closed.
        """
        stage, texts = self._corpus
        depth, selection = top_k or self._top_k, self._selection_of(top_n)
        found = stage.search(check_search(query, depth), top_k=depth)
        if self._reranker is None:
            return first_stage_only(found, found_texts(found, texts))[: selection.top_n]
        return merged(found, selection.of(self._reranker.rank(query, found_texts(found, texts))))

    @checked_call()
    async def asearch(
        self, query: str, *, top_k: Count | None = None, top_n: Count | None = None
    ) -> list[RetrievedDocument]:
        """Return what :meth:`search` returns, without blocking the event loop."""
        stage, texts = self._corpus
        depth, selection = top_k or self._top_k, self._selection_of(top_n)
        found = await stage.asearch(check_search(query, depth), top_k=depth)
        if self._reranker is None:
            return first_stage_only(found, found_texts(found, texts))[: selection.top_n]
        return merged(found, selection.of(await self._reranker.arank(query, found_texts(found, texts))))

    @checked_call(unchecked=("documents",))
    def add_documents(self, documents: Mapping[str, str] | Iterable[str]) -> list[str]:
        """Index more texts and return their ids. Searches that run meanwhile see all of them or none.

        Dense stages embed the new texts only. BM25 indexes all texts again, so add many at a time.

        Args:
            documents: Id to text; or texts, which get the next free positions as ids.

        Raises:
            InvalidInputError: A document is not a string, an id is there already, or the first stage takes none.
            ScoringError: The embedder returned NaN or infinity.
        """
        with self._adding:
            stage, texts = self._corpus
            added = new_texts(documents, texts)
            if added:
                self._corpus = (grown_stage(stage, added), {**texts, **added})
            return list(added)

    @checked_call(unchecked=("documents",))
    async def aadd_documents(self, documents: Mapping[str, str] | Iterable[str]) -> list[str]:
        """Do what :meth:`add_documents` does, without blocking the event loop."""
        return await asyncio.to_thread(self.add_documents, documents)

    @checked_call()
    def save(self, folder: str | Path) -> Path:
        """Write texts, vectors and settings into a folder, and return it.

        The folder is complete or not there at all, and holds nothing that runs code. Models are kept by name and
        settings, not their weights, nor where they ran.

        Args:
            folder: New, empty, or an earlier saved retriever, which is replaced.

        Raises:
            InvalidInputError: The first stage is none of this package's, or the folder cannot be written.
        """
        stage, texts = self._corpus
        selection = {
            "top_k": self._top_k,
            "top_n": self._selection.top_n,
            "threshold": self._selection.threshold,
            "threshold_unit": self._selection.unit,
        }
        target = Path(folder).expanduser()
        write_folder(target, texts=texts, first_stage=stage, reranker=self._reranker, selection=selection)
        return target

    @classmethod
    @checked_call()
    def load(
        cls,
        folder: str | Path,
        *,
        embedder: Embedder | str | Path | None = None,
        reranker: Reranker | str | Path | None = None,
    ) -> TwoStageRetriever:
        """Return a retriever that :meth:`save` wrote. Indexes are built again; no text is embedded again.

        Args:
            folder: The folder.
            embedder: An object or a model's name; None opens the one that the vectors were made with, by its name.
                Another one is refused: its settings are compared, and the vector of one text.
            reranker: An object or a model's name, which may be another; None opens the one that was saved, if any.

        Raises:
            InvalidInputError: The folder holds something else or is damaged, or the embedder is another one.
            ModelError: A model cannot be loaded.
        """
        source = Path(folder).expanduser()
        saved = read_folder(source)
        opened: list[Embedder | Reranker] = []
        with closed_on_error(opened), saved_settings_errors(source):
            return cls._restored(saved, embedder, reranker, opened)

    @classmethod
    def _restored(
        cls,
        saved: SavedRetriever,
        embedder: Embedder | str | Path | None,
        reranker: Reranker | str | Path | None,
        opened: list[Embedder | Reranker],
    ) -> TwoStageRetriever:
        vectors_by = embedder if isinstance(embedder, Embedder) else saved.embedder(embedder)
        if vectors_by is not None and vectors_by is not embedder:
            opened.append(vectors_by)
        stage = saved.first_stage(vectors_by)
        scored_by = reranker if isinstance(reranker, Reranker) else saved.reranker(reranker)
        if scored_by is not None and scored_by is not reranker:
            opened.append(scored_by)
        made = cls(stage, saved.texts, reranker=scored_by, **saved.selection)
        made._opened += opened
        return made

    def close(self) -> None:
        """Close the models that were opened by name, not those that were passed as objects. Idempotent."""
        for model in self._opened:
            model.close()

    def __copy__(self) -> TwoStageRetriever:
        # A deep copy, because closing one object must not close the models of the other.
        return deepcopy(self)

    def __enter__(self) -> TwoStageRetriever:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _selection_of(self, top_n: int | None) -> Selection:
        return self._selection if top_n is None else replace(self._selection, top_n=top_n)
