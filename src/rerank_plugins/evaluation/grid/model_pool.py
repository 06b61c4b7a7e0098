"""The models and indexes of an evaluation. Each is opened once, when it is first needed."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt
from rich.progress import Progress

from rerank_plugins.calls.flat_options import EMBEDDER_OPTIONS, RERANKER_OPTIONS
from rerank_plugins.checks.moved import regrouped
from rerank_plugins.embedder import Embedder
from rerank_plugins.evaluation.dataset import Dataset
from rerank_plugins.evaluation.grid.identity import corpus_key, key_of, model_key
from rerank_plugins.evaluation.grid.plan import ModelChoice, StageChoice
from rerank_plugins.evaluation.grid.store import VectorParts
from rerank_plugins.reranker import Reranker
from rerank_plugins.retrieval import BM25Index, DenseIndex, FirstStage, HybridIndex, embed_texts

__all__ = ["ModelPool"]

_PART = 512


class ModelPool:
    """Opens models, embeds corpora and builds indexes. Closing it closes the models.

    Args:
        folder: Where vectors are kept.
        device: Where models run; None chooses.
        progress: Gets a line for each corpus that is embedded.
    """

    def __init__(self, folder: Path, *, device: str | None, progress: Progress) -> None:
        self.device = device
        self._folder, self._progress = folder, progress
        self._stack = ExitStack()
        self._embedders: dict[ModelChoice, Embedder] = {}
        self._rerankers: dict[ModelChoice, Reranker] = {}

    def __enter__(self) -> ModelPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def embedder(self, choice: ModelChoice) -> Embedder:
        """Return an embedder, warmed up."""
        if choice not in self._embedders:
            model = self._stack.enter_context(
                Embedder(choice.model, device=self.device, **regrouped(choice.keywords(), EMBEDDER_OPTIONS))
            )
            model.embed_queries(["The first call of a model is slower."])
            self._embedders[choice] = model
        return self._embedders[choice]

    def reranker(self, choice: ModelChoice) -> Reranker:
        """Return a reranker, warmed up."""
        if choice not in self._rerankers:
            model = self._stack.enter_context(
                Reranker(choice.model, device=self.device, **regrouped(choice.keywords(), RERANKER_OPTIONS))
            )
            model.rank("warm up", ["The first call of a model is slower."])
            self._rerankers[choice] = model
        return self._rerankers[choice]

    def index(self, stage: StageChoice, dataset: Dataset, *, whole: Dataset | None = None) -> FirstStage:
        """Return a first stage over a dataset.

        Args:
            stage: Which.
            dataset: What is searched.
            whole: The dataset that this one is a part of, whose vectors are used; None if it is none.
        """
        texts = dataset.texts
        if stage.embedder is None:
            return BM25Index(texts)
        vectors = self.vectors(stage.embedder, dataset if whole is None else whole)
        if whole is not None:
            rows = {document_id: row for row, document_id in enumerate(whole.documents)}
            vectors = vectors[[rows[document_id] for document_id in texts]]
        dense = DenseIndex(texts, self.embedder(stage.embedder), vectors=vectors)
        return dense if stage.retriever == "dense" else HybridIndex([dense, BM25Index(texts)])

    def vectors(self, choice: ModelChoice, dataset: Dataset) -> npt.NDArray[np.float32]:
        """Return the vectors of a corpus, embedding only what the folder does not have yet."""
        texts = list(dataset.texts.values())
        key = key_of(corpus_key(dataset.texts), model_key(choice, kind="embedder", device=self.device))
        parts = VectorParts(self._folder / "vectors" / key)
        task = self._progress.add_task(f"{dataset.name}: embedding with {choice.name}", total=len(texts))
        blocks = []
        for number, start in enumerate(range(0, len(texts), _PART)):
            block = parts.read(number)
            if block is None:
                block = embed_texts(texts[start : start + _PART], self.embedder(choice))
                parts.write(number, block)
            blocks.append(block)
            self._progress.advance(task, len(block))
        self._progress.remove_task(task)
        return np.concatenate(blocks)
