"""The token vectors of a late-interaction model, for whoever keeps or compares them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from copy import copy
from typing import TYPE_CHECKING

from rerank_plugins.backends.kept_vectors import KeptVectors
from rerank_plugins.backends.local_embedder import EncodedTexts
from rerank_plugins.backends.token_vectors import TokenVectorModel
from rerank_plugins.backends.vectors import EmbedOptions
from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.embedding.kept import TokenVectorStore
from rerank_plugins.embedding.vectors import TextVectors
from rerank_plugins.engine.calls import usage_of_all
from rerank_plugins.engine.deadline import Deadline
from rerank_plugins.engine.registry import Lease
from rerank_plugins.text.late_inputs import LateText

if TYPE_CHECKING:
    from rerank_plugins.backends.loaded import LoadedModel

__all__ = ["LateEmbedder"]


class LateEmbedder:
    """Makes token vectors on one loaded model with one set of settings. Safe from any number of threads.

    Args:
        model: Makes the vectors.
        spec: How the model is used.
    """

    def __init__(self, model: TokenVectorModel, spec: ModelSpec) -> None:
        self.model, self.spec = model, spec

    @property
    def device(self) -> str:
        """Where the model runs, in torch's words."""
        return self.model.device

    def on(self, lease: Lease[LoadedModel]) -> LateEmbedder:
        """Return the same on another share in the same model."""
        made = copy(self)
        made.model = self.model.on(lease)
        return made

    def encode(
        self, texts: Sequence[str], options: EmbedOptions, _outputs: tuple[str, ...], _assembly: object
    ) -> EncodedTexts:
        """Return the vectors of each text's tokens, those that count in a score.

        Raises:
            DeadlineExceededError: The time is over.
            OverloadedError: Too much work waits already.
            ScoringError: The model returned NaN or infinity.
            EngineClosedError: The model was closed.
        """
        inputs, tokenize_s = self._timed_inputs(texts, options)
        options.deadline.check()
        with self.model.queued(inputs) as queue:
            answers = queue.wait(options.deadline)
        usage = usage_of_all(answers, [one.input for one in inputs], tokenize_s=tokenize_s)
        return EncodedTexts(TextVectors(colbert=tuple(queue.vectors(answers))), usage)

    async def aencode(
        self, texts: Sequence[str], options: EmbedOptions, _outputs: tuple[str, ...], _assembly: object
    ) -> EncodedTexts:
        """Do what :meth:`encode` does, without blocking the event loop."""
        inputs, tokenize_s = await asyncio.to_thread(self._timed_inputs, texts, options)
        options.deadline.check()
        with self.model.queued(inputs) as queue:
            answers = await queue.await_all(options.deadline)
        usage = usage_of_all(answers, [one.input for one in inputs], tokenize_s=tokenize_s)
        # Not a wait but work: an array for each text.
        vectors = await asyncio.to_thread(queue.vectors, answers)
        return EncodedTexts(TextVectors(colbert=tuple(vectors)), usage)

    def truncated(self, texts: Sequence[str], *, is_query: bool) -> list[bool]:
        """Return of each text whether the model reads it without its end."""
        return self.model.inputs.truncated(texts, is_query=is_query)

    def kept(self, store: TokenVectorStore, deadline: Deadline) -> KeptVectors:
        """Return a store as this model's own; raises as :class:`~rerank_plugins.backends.kept_vectors.KeptVectors`."""
        return KeptVectors(store, self.model, name=self.spec.id, deadline=deadline)

    def close(self) -> None:
        """Nothing: whoever holds the share in the model gives it back."""

    def _timed_inputs(self, texts: Sequence[str], options: EmbedOptions) -> tuple[list[LateText], float]:
        start_s = time.perf_counter()
        made = self.model.inputs
        inputs = made.queries(texts) if options.is_query else made.cut_documents(texts)
        return inputs, time.perf_counter() - start_s
