"""Two stages in one object: retrieve many, rerank them, keep the best."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

from rerank_plugins.arguments import checked_call
from rerank_plugins.elsewhere import RETRIEVER_NAMES, NamesFromElsewhere
from rerank_plugins.embedder import Embedder
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.inputs import check_texts
from rerank_plugins.kinds import Count
from rerank_plugins.ranking.results import Selection
from rerank_plugins.reranker import Reranker
from rerank_plugins.retrieval.build import DEFAULT_EMBEDDER, RetrieverName, build_first_stage, check_retriever
from rerank_plugins.retrieval.first_stage import FirstStage, check_search, check_texts_by_id
from rerank_plugins.retrieval.hybrid import Fusion
from rerank_plugins.types import RankedDocument, ScoreUnit, WindowSpan

__all__ = ["RetrievedDocument", "TwoStageRetriever", "texts_by_id"]


@dataclass(frozen=True, slots=True)
class RetrievedDocument:
    """One result, with what each stage thought of it.

    Attributes:
        id: The document's id.
        text: Its text.
        rank: 1 for the best result.
        retrieval_rank: Its rank in the first stage, 1 for the best.
        retrieval_score: Its score in the first stage: BM25, a cosine, or a fused score.
        rerank_score: The reranker's raw score; None without a reranker.
        probability: The same in [0, 1]; None without a reranker.
        window: Characters that the rerank score was read from; see :class:`~rerank_plugins.types.RankedDocument`.
        truncated: Whether some of the text was never read by the reranker.
    """

    id: str
    text: str
    rank: int
    retrieval_rank: int
    retrieval_score: float
    rerank_score: float | None = None
    probability: float | None = None
    window: WindowSpan | None = None
    truncated: bool = False


class TwoStageRetriever(NamesFromElsewhere):
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

    _names_from_elsewhere = RETRIEVER_NAMES

    @checked_call(own=("texts",))
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
        self._selection = Selection.checked(top_n=top_n, threshold=threshold, unit=threshold_unit)
        if threshold is not None and reranker is None:
            msg = f"threshold={threshold} is for rerank scores, and there is no reranker; name one or leave it out"
            raise InvalidInputError(msg)
        self._texts = check_texts_by_id(texts)
        self._first_stage, self._top_k = first_stage, top_k
        self._opened: list[Embedder | Reranker] = []
        if isinstance(reranker, (str, Path)):
            reranker = Reranker(reranker)
            self._opened.append(reranker)
        self._reranker = reranker

    @classmethod
    @checked_call(own=("documents",))
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
    ) -> TwoStageRetriever:
        """Index texts and return a retriever over them.

        Args:
            documents: Texts, whose ids are then their positions (``"0"``, ``"1"``, ...), or id to text.
            retriever: ``bm25``, ``dense`` or ``hybrid``.
            embedder: An object or a model's name; BM25 needs none and loads none.
            reranker: See the constructor.
            top_k: Documents retrieved.
            top_n: See the constructor.
            threshold: See the constructor.
            threshold_unit: See the constructor.
            faiss_index: See :class:`~rerank_plugins.retrieval.dense.DenseIndex`.
            fusion: See :class:`~rerank_plugins.retrieval.hybrid.HybridIndex`.
            weights: Of the dense stage and of BM25 in a hybrid; None counts both alike.

        Raises:
            InvalidInputError: An option cannot work, or a document is not a string.
            MissingExtraError: bm25s or FAISS is not installed.
            ModelError: A model cannot be loaded.
        """
        texts = texts_by_id(documents)
        check_retriever(retriever)
        opened = retriever != "bm25" and not isinstance(embedder, Embedder)
        if opened:
            embedder = Embedder(str(embedder))
        first_stage = build_first_stage(
            texts, retriever=retriever, embedder=embedder, faiss_index=faiss_index, fusion=fusion, weights=weights
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
        if opened and isinstance(embedder, Embedder):
            made._opened.append(embedder)
        return made

    @property
    def first_stage(self) -> FirstStage:
        """What finds the candidates."""
        return self._first_stage

    @property
    def reranker(self) -> Reranker | None:
        """What reranks them; None for the first stage alone."""
        return self._reranker

    @property
    def top_k(self) -> int:
        """Documents retrieved."""
        return self._top_k

    @checked_call()
    def search(self, query: str) -> list[RetrievedDocument]:
        """Return the results from best to worst; without a match there are none.

        Raises:
            InvalidInputError: The query is blank or no string, or the first stage found a document without a text.
            ScoringError: A model returned NaN or infinity.
            EngineClosedError: A model was closed.
        """
        found = self._first_stage.search(check_search(query, self._top_k), top_k=self._top_k)
        if self._reranker is None:
            return self._first_stage_only(found)
        return self._merged(found, self._reranker.rank(query, self._found_texts(found)))

    @checked_call()
    async def asearch(self, query: str) -> list[RetrievedDocument]:
        """Return what :meth:`search` returns, without blocking the event loop."""
        found = await self._first_stage.asearch(check_search(query, self._top_k), top_k=self._top_k)
        if self._reranker is None:
            return self._first_stage_only(found)
        return self._merged(found, await self._reranker.arank(query, self._found_texts(found)))

    def close(self) -> None:
        """Give back the models that were named, not those that were passed as objects. Idempotent."""
        for model in self._opened:
            model.close()

    def __copy__(self) -> TwoStageRetriever:
        # Its own all the way down, or closing one would close what the other searches with.
        return deepcopy(self)

    def __enter__(self) -> TwoStageRetriever:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _found_texts(self, found: Mapping[str, float]) -> list[str]:
        unknown = next((document_id for document_id in found if document_id not in self._texts), None)
        if unknown is not None:
            msg = f"the first stage found document {unknown!r}, which texts does not have; pass what was indexed"
            raise InvalidInputError(msg)
        return [self._texts[document_id] for document_id in found]

    def _first_stage_only(self, found: Mapping[str, float]) -> list[RetrievedDocument]:
        results = [
            RetrievedDocument(document_id, text, rank, rank, score)
            for rank, ((document_id, score), text) in enumerate(
                zip(found.items(), self._found_texts(found), strict=True), start=1
            )
        ]
        return results[: self._selection.top_n]

    def _merged(self, found: Mapping[str, float], ranked: Sequence[RankedDocument]) -> list[RetrievedDocument]:
        hits = list(found.items())
        return [
            RetrievedDocument(
                id=hits[one.index][0],
                text=one.document or "",
                rank=one.rank,
                retrieval_rank=one.index + 1,
                retrieval_score=hits[one.index][1],
                rerank_score=one.score,
                probability=one.probability,
                window=one.window,
                truncated=one.truncated,
            )
            for one in self._selection.of(ranked)
        ]


@checked_call(own=("documents",))
def texts_by_id(documents: Mapping[str, str] | Iterable[str]) -> dict[str, str]:
    """Return id to text; texts without ids get their positions (``"0"``, ``"1"``, ...).

    Raises:
        InvalidInputError: A document is not a string, or it is one string where several are meant.
    """
    if isinstance(documents, Mapping):
        return check_texts_by_id(documents)
    if isinstance(documents, (str, bytes)):
        msg = "documents must be texts or id to text, got one string; put a single text into a list"
        raise InvalidInputError(msg)
    return check_texts_by_id(
        {str(position): text for position, text in enumerate(check_texts(documents, name="documents"))}
    )
