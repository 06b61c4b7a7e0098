"""An embedding checkpoint on this machine: texts to ids, ids through the engine, rows to vectors."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rerank_plugins.backends.vectors import BackendVectors, EmbedOptions
from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.embedding.chunks import ChunkedText, Chunking, ChunkPlan, ChunkVectors, plan_chunks
from rerank_plugins.embedding.multi import VectorAssembly, grouped
from rerank_plugins.embedding.vectors import TextVectors
from rerank_plugins.engine.calls import Answer, usage_of, usage_of_all
from rerank_plugins.engine.registry import Lease
from rerank_plugins.engine.reply import Reply
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.protocols import TokenInput
from rerank_plugins.text.pairs import TextLayout
from rerank_plugins.text.single import SingleTextTokenizer, TextAffixes
from rerank_plugins.types import CallUsage, EngineOptions

if TYPE_CHECKING:
    from rerank_plugins.backends.loaded import LoadedModel

__all__ = ["EncodedChunks", "EncodedTexts", "LocalEmbedder"]

_Group = tuple[list[int], Hashable]
"""Places of inputs in a call, and what their rows hold."""


@dataclass(frozen=True, slots=True, eq=False)
class EncodedTexts:
    """Vectors of several kinds, and what the call took."""

    vectors: TextVectors
    usage: CallUsage


@dataclass(frozen=True, slots=True, eq=False)
class EncodedChunks:
    """Vectors of the chunks of each document, and what the call took."""

    vectors: list[ChunkVectors]
    usage: CallUsage


class LocalEmbedder:
    """Embeds texts on one loaded model with one set of settings. Safe from any number of threads.

    Args:
        lease: The share in the model.
        spec: How the model is used.
        layout: Special tokens around a text.
        affixes: What is put around each query, and each document.
        max_length_tokens: Tokens of an input.
        engine: How calls are run.

    Attributes:
        queries: Makes the inputs of queries.
        documents: Makes the inputs of documents.
    """

    def __init__(
        self,
        lease: Lease[LoadedModel],
        spec: ModelSpec,
        layout: TextLayout,
        affixes: tuple[TextAffixes, TextAffixes],
        *,
        max_length_tokens: int,
        engine: EngineOptions,
    ) -> None:
        self._lease, self.spec, self._engine = lease, spec, engine

        def side(one: TextAffixes) -> SingleTextTokenizer:
            return SingleTextTokenizer(
                lease.value.tokenizer,
                layout,
                one,
                max_length_tokens=max_length_tokens,
                pools_instruction=spec.pools_instruction,
                use_cache=engine.token_cache,
            )

        self.queries, self.documents = map(side, affixes)

    @property
    def device(self) -> str:
        """Where the model runs, in torch's words."""
        return self._lease.value.device

    def on(self, lease: Lease[LoadedModel]) -> LocalEmbedder:
        """Return the same on another share in the same model."""
        made = copy(self)
        made._lease = lease
        return made

    def embed(self, texts: Sequence[str], options: EmbedOptions) -> BackendVectors:
        """Send texts through the model.

        Raises:
            DeadlineExceededError: The time is over.
            OverloadedError: Too much work waits already.
            ScoringError: The model returned NaN or infinity.
            EngineClosedError: The model was closed.
        """
        inputs, tokenize_s = self._timed_inputs(texts, options)
        options.deadline.check()
        answer = options.deadline.wait(self._submit(inputs))
        return BackendVectors(answer.rows, usage_of(answer, inputs, tokenize_s=tokenize_s))

    async def aembed(self, texts: Sequence[str], options: EmbedOptions) -> BackendVectors:
        """Do what :meth:`embed` does, without blocking the event loop."""
        inputs, tokenize_s = await asyncio.to_thread(self._timed_inputs, texts, options)
        options.deadline.check()
        answer = await options.deadline.await_result(self._submit(inputs))
        return BackendVectors(answer.rows, usage_of(answer, inputs, tokenize_s=tokenize_s))

    def truncated(self, texts: Sequence[str], *, is_query: bool) -> list[bool]:
        """Return of each text whether the model reads it without its end."""
        return (self.queries if is_query else self.documents).truncated(texts)

    def encode(
        self, texts: Sequence[str], options: EmbedOptions, outputs: tuple[str, ...], assembly: VectorAssembly
    ) -> EncodedTexts:
        """Return vectors of several kinds from one forward pass; raises as :meth:`embed`.

        Args:
            texts: What to embed.
            options: What the call asks.
            outputs: Kinds of vectors.
            assembly: Makes them of the model's rows.
        """
        inputs, tokenize_s = self._timed_inputs(texts, options)
        options.deadline.check()
        groups = grouped(inputs, outputs)
        with self._submitted(inputs, [(one.indices, one.layout) for one in groups]) as replies:
            answers = [options.deadline.wait(reply) for reply in replies]
        vectors = assembly.build(inputs, groups, [answer.rows for answer in answers], outputs)
        return EncodedTexts(vectors, usage_of_all(answers, inputs, tokenize_s=tokenize_s))

    async def aencode(
        self, texts: Sequence[str], options: EmbedOptions, outputs: tuple[str, ...], assembly: VectorAssembly
    ) -> EncodedTexts:
        """Do what :meth:`encode` does, without blocking the event loop."""
        inputs, tokenize_s = await asyncio.to_thread(self._timed_inputs, texts, options)
        options.deadline.check()
        groups = grouped(inputs, outputs)
        with self._submitted(inputs, [(one.indices, one.layout) for one in groups]) as replies:
            answers = [await options.deadline.await_result(reply) for reply in replies]
        rows = [answer.rows for answer in answers]
        # Not a wait but work: a dictionary of weights and an array of token vectors for each text.
        vectors = await asyncio.to_thread(assembly.build, inputs, groups, rows, outputs)
        return EncodedTexts(vectors, usage_of_all(answers, inputs, tokenize_s=tokenize_s))

    def encode_chunks(self, texts: Sequence[ChunkedText], options: EmbedOptions, chunking: Chunking) -> EncodedChunks:
        """Return the vectors of the chunks of documents, each read in its context; raises as :meth:`embed`.

        Args:
            texts: Documents and their chunks.
            options: What the call asks.
            chunking: How they are read, and what is made of the model's rows.
        """
        plan, tokenize_s = self._timed_plan(texts, chunking)
        options.deadline.check()
        with self._submitted(plan.inputs, plan.groups()) as replies:
            answers = [options.deadline.wait(reply) for reply in replies]
        vectors = chunking.vectors(plan, [answer.rows for answer in answers])
        return EncodedChunks(vectors, usage_of_all(answers, plan.inputs, tokenize_s=tokenize_s))

    async def aencode_chunks(
        self, texts: Sequence[ChunkedText], options: EmbedOptions, chunking: Chunking
    ) -> EncodedChunks:
        """Do what :meth:`encode_chunks` does, without blocking the event loop."""
        plan, tokenize_s = await asyncio.to_thread(self._timed_plan, texts, chunking)
        options.deadline.check()
        with self._submitted(plan.inputs, plan.groups()) as replies:
            answers = [await options.deadline.await_result(reply) for reply in replies]
        vectors = await asyncio.to_thread(chunking.vectors, plan, [answer.rows for answer in answers])
        return EncodedChunks(vectors, usage_of_all(answers, plan.inputs, tokenize_s=tokenize_s))

    def close(self) -> None:
        """Nothing: whoever holds the share in the model gives it back."""

    @contextmanager
    def _submitted(self, inputs: Sequence[TokenInput], groups: Sequence[_Group]) -> Iterator[list[Reply[Answer]]]:
        """Queue the groups for a block; what has not run when it ends is dropped."""
        batches = [([inputs[index] for index in indices], layout) for indices, layout in groups]
        replies = self._lease.value.batcher.submit_groups(batches, limits=self._engine)
        try:
            yield replies
        finally:
            for reply in replies:
                reply.cancel()

    def _submit(self, inputs: Sequence[TokenInput]) -> Reply[Answer]:
        return self._lease.value.batcher.submit(inputs, limits=self._engine)

    def _timed_plan(self, texts: Sequence[ChunkedText], chunking: Chunking) -> tuple[ChunkPlan, float]:
        start_s = time.perf_counter()
        model, landmark = self._lease.value, self.spec.landmark
        if model.runtime != "torch":
            # Its graph gives whole texts' vectors alone.
            msg = (
                f"chunks in context: {self.spec.id!r} runs in ONNX Runtime, which gives vectors of whole texts only. "
                'Use torch for that: pip install "rerank-plugins[torch]", and backend="torch"; or embed the chunks '
                "with embed_documents (SentenceIndex: in_context=False)"
            )
            raise InvalidInputError(msg)
        landmark_id = model.tokenizer.token_to_id(landmark) if landmark else None
        plan = plan_chunks(texts, self.documents, overlap=chunking.overlap, landmark_id=landmark_id)
        return plan, time.perf_counter() - start_s

    def _timed_inputs(self, texts: Sequence[str], options: EmbedOptions) -> tuple[list[TokenInput], float]:
        start_s = time.perf_counter()
        inputs = (self.queries if options.is_query else self.documents).encode(texts)
        return inputs, time.perf_counter() - start_s
