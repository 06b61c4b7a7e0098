"""The embedding facade: texts in, float32 vectors out, with the model's own instructions."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from rerank_plugins.arguments import checked_call
from rerank_plugins.backends.handles import ModelHandle, opened_with
from rerank_plugins.backends.opening import LoadedModel, open_model
from rerank_plugins.calls.observing import StartedCall
from rerank_plugins.catalog.resolve import SourceOptions, resolve
from rerank_plugins.catalog.spec import Instruction, ModelSpec
from rerank_plugins.elsewhere import EMBEDDER_NAMES, NamesFromElsewhere
from rerank_plugins.embedding.cache import CacheStatistics, QueryVectorCache
from rerank_plugins.embedding.instructions import choose_instruction, query_surroundings
from rerank_plugins.embedding.layout import special_ids, text_layout
from rerank_plugins.embedding.methods import MultiVectorMethods
from rerank_plugins.embedding.multi import Group, VectorAssembly, grouped
from rerank_plugins.embedding.rows import finished_rows
from rerank_plugins.embedding.vectors import TextVectors
from rerank_plugins.engine.calls import Answer, usage_of, usage_of_all
from rerank_plugins.engine.deadline import Deadline
from rerank_plugins.engine.registry import Lease
from rerank_plugins.engine.reply import Reply
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.inputs import check_engine, check_examples, check_texts
from rerank_plugins.kinds import Count, ModelName
from rerank_plugins.protocols import TokenInput
from rerank_plugins.text.pairs import TextLayout
from rerank_plugins.text.single import SingleTextEncoder, Surroundings
from rerank_plugins.types import EngineOptions, EngineStats, QueryExample

__all__ = ["Embedder"]

logger = logging.getLogger(__name__)

_Vectors = npt.NDArray[np.float32]


class Embedder(MultiVectorMethods, ModelHandle, NamesFromElsewhere):
    """Turns queries and documents into vectors with an embedding model.

    A query gets the instruction that the model was trained with, a document its own (most have
    none). A text that is too long loses its end; instruction and special tokens always stay. Weights are shared,
    copied and pickled as in :class:`~rerank_plugins.reranker.Reranker`, and any number of threads and event loops
    may use one object.

    Args:
        model: A hub id, a local folder (its name does not matter), or ``mini``.
        task: Which of the model's instructions to use (llm-embedder has six); for models with a template for it
            (E5-mistral, Qwen3-Embedding, bge-en-icl, ...) also a task in your own words, such as ``Given a
            question, retrieve code that answers it``. None takes the default.
        query_instruction: Text put in front of each query, as it is; None takes the task's, ``""`` puts none.
        document_instruction: Text put in front of each document; likewise.
        examples: Solved examples of the task put in front of each query, for models that were trained with
            them (bge-en-icl). They are not counted in ``max_length``.
        dimensions: Keep so many numbers of each vector (its beginning), scaled to length 1 again if vectors are
            normalised; None keeps all. The catalog's ``matryoshka_from`` says which models were trained for that.
        query_cache_entries: Keep the vectors of so many queries, those used last; None keeps none.
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``; None takes the best one there is.
        dtype: ``auto`` (on CUDA float16, or bfloat16 for models trained in it; elsewhere float32), ``float32``,
            ``float16``, ``bfloat16``.
        max_length: Tokens of a text, its instruction and special tokens included; None takes the model's default.
        normalize: Scale vectors to length 1; None does what the model's authors do.
        engine: How calls are run, as in :class:`~rerank_plugins.reranker.Reranker`; None takes the defaults.
        family: Conventions to use for a local folder that its name does not tell (``bge``, ...).
        revision: Commit, tag or branch on the hub; None takes the pinned one.
        local_files_only: Never touch the network.
        allow_pickle: Accept ``*.bin`` and ``*.pt`` weights, whose loading can run code.
        trust_remote_code: Let transformers run Python code from the checkpoint.
        torch_compile: Compile what works token by token in each block with ``torch.compile``, once for all lengths;
            loading then takes up to a minute longer. For GPUs, and for LLMs that transformers runs: BERT-like models
            on a CPU are fused already and stay as they are.

    Raises:
        InvalidInputError: An option has a value that cannot work.
        ModelError: The model cannot be resolved or loaded; see :mod:`rerank_plugins.errors`.
        DeviceUnavailableError: The device is not on this machine.
    """

    _names_from_elsewhere = EMBEDDER_NAMES

    _lease: Lease[LoadedModel]

    @checked_call(own=("examples",))
    def __init__(
        self,
        model: ModelName = "BAAI/bge-m3",
        *,
        task: str | None = None,
        query_instruction: str | None = None,
        document_instruction: str | None = None,
        examples: Sequence[QueryExample] | None = None,
        dimensions: Count | None = None,
        query_cache_entries: Count | None = None,
        device: str | None = None,
        dtype: str = "auto",
        max_length: Count | None = None,
        normalize: bool | None = None,
        engine: EngineOptions | None = None,
        family: str | None = None,
        revision: str | None = None,
        local_files_only: bool = False,
        allow_pickle: bool = False,
        trust_remote_code: bool = False,
        torch_compile: bool = False,
    ) -> None:
        self._opened_with = opened_with(Embedder, locals())
        self._engine = check_engine(engine)
        options = SourceOptions(
            revision=revision,
            local_files_only=local_files_only,
            allow_pickle=allow_pickle,
            trust_remote_code=trust_remote_code,
        )
        resolved = resolve(model, kind="embedder", family=family, options=options)
        self._name, self._spec = str(model), resolved.spec
        self._instruction = choose_instruction(
            resolved.spec, task=task, query=query_instruction, document=document_instruction
        )
        self._examples = tuple(check_examples(examples))
        around = query_surroundings(resolved.spec, self._instruction, examples)
        self._dimensions = _checked_dimensions(dimensions, resolved.spec)
        self._normalize = resolved.spec.normalize if normalize is None else normalize
        self._max_length = resolved.spec.input_length_tokens(max_length)
        self._lease = open_model(resolved, device=device, dtype=dtype, options=options, torch_compile=torch_compile)
        loaded = self._lease.value
        self._device, self._dtype = loaded.device, loaded.dtype
        layout = text_layout(loaded.encoder, resolved.spec) if loaded.special_tokens else TextLayout()
        self._skipped_ids = special_ids(loaded.encoder, resolved.files, layout)
        if max_length is None and around.examples:
            room = resolved.spec.max_length_tokens - len(loaded.encoder.encode_one(around.examples))
            self._max_length = min(self._max_length, room)
        self._queries = self._side(layout, around)
        self._documents = self._side(layout, Surroundings(instruction=self._instruction.document))
        _check_total(self._queries, resolved.spec)
        self._cache = None
        if query_cache_entries is not None:
            self._cache = QueryVectorCache(query_cache_entries, settings=self._vector_settings(resolved.source))

    @property
    def spec(self) -> ModelSpec:
        """What is known about the model, with the checkpoint's own files applied."""
        return self._spec

    @property
    def model(self) -> str:
        """The model as it was asked for: a hub id, a folder or an alias."""
        return self._name

    @property
    def instruction(self) -> Instruction:
        """The texts put in front of queries and documents."""
        return self._instruction

    @property
    def examples(self) -> tuple[QueryExample, ...]:
        """The solved examples put in front of queries."""
        return self._examples

    @property
    def dimensions(self) -> int | None:
        """Length of a vector; None if it shows only at run time."""
        return self._dimensions or self._spec.dimensions

    @property
    def device(self) -> str:
        """Where the model runs."""
        return self._device

    @property
    def dtype(self) -> str:
        """Precision of the backbone; pooling runs in float32."""
        return self._dtype

    @property
    def normalize(self) -> bool:
        """Whether vectors are scaled to length 1."""
        return self._normalize

    @property
    def max_length(self) -> int:
        """Tokens of a text, its instruction and special tokens included."""
        return self._max_length

    @checked_call(own=("queries",))
    def embed_queries(self, queries: Sequence[str]) -> _Vectors:
        """Return one vector per query, the instruction included.

        No vector is zero: a text in which the model finds nothing (blank, or unknown tokens alone, for ``mini``)
        gets :func:`~rerank_plugins.embedding.rows.neutral_vector`, whose length is 1 with ``normalize=False`` too.

        Returns:
            Shape: (n, dim), float32; (0, 0) for no query when the model's dimension is unknown.

        Raises:
            InvalidInputError: An element is not a string.
            ScoringError: The model returned NaN or infinity.
            DeadlineExceededError: The time that the engine options allow is over.
            OverloadedError: More work waits than the engine options allow.
            EngineClosedError: ``close()`` was called.
        """
        texts = check_texts(queries, name="queries")
        if self._cache is None or not texts:
            return self._embed(texts, self._queries)
        found, missing = self._cache.look_up(texts)
        return self._cache.complete(texts, found, missing, self._embed(missing, self._queries))

    @checked_call(own=("documents",))
    def embed_documents(self, documents: Sequence[str]) -> _Vectors:
        """Return one vector per document; see :meth:`embed_queries`."""
        return self._embed(check_texts(documents, name="documents"), self._documents)

    @checked_call(own=("queries",))
    async def aembed_queries(self, queries: Sequence[str]) -> _Vectors:
        """Return what :meth:`embed_queries` returns, without blocking the event loop."""
        texts = check_texts(queries, name="queries")
        if self._cache is None or not texts:
            return await self._aembed(texts, self._queries)
        found, missing = self._cache.look_up(texts)
        return self._cache.complete(texts, found, missing, await self._aembed(missing, self._queries))

    @checked_call(own=("documents",))
    async def aembed_documents(self, documents: Sequence[str]) -> _Vectors:
        """Return what :meth:`embed_documents` returns, without blocking the event loop."""
        return await self._aembed(check_texts(documents, name="documents"), self._documents)

    def query_cache_statistics(self) -> CacheStatistics | None:
        """Return the counters of the query cache; None without one."""
        return None if self._cache is None else self._cache.statistics()

    def stats(self) -> EngineStats:
        """Return what the model has done since it was loaded, for every object that shares it.

        Raises:
            EngineClosedError: ``close()`` was called.
        """
        return self._lease.value.stats()

    def close(self) -> None:
        """Give the model back; the last holder's call frees the weights. Idempotent."""
        super().close()
        if self._cache is not None:
            self._cache.clear()

    def __enter__(self) -> Embedder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Embedder({self.model!r}, device={self.device!r}, dtype={self.dtype!r}, max_length={self.max_length})"

    def _side(self, layout: TextLayout, around: Surroundings) -> SingleTextEncoder:
        return SingleTextEncoder(
            self._lease.value.encoder,
            layout,
            around,
            max_length_tokens=self._max_length,
            pools_instruction=self._spec.pools_instruction,
            use_cache=self._engine.token_cache,
        )

    def _become_independent(self) -> None:
        # Closing an embedder empties its cache.
        self._cache = None if self._cache is None else self._cache.empty_copy()

    def _vector_settings(self, source: str) -> Hashable:
        settings = (source, self._spec, self._queries.around, self._max_length, self._dimensions, self._normalize)
        return (*map(repr, settings), self._device, self._dtype)

    def _embed(self, texts: list[str], side: SingleTextEncoder) -> _Vectors:
        deadline = Deadline(self._engine.deadline_s)
        with self._started() as call:
            inputs, tokenize_s = _timed_inputs(side, texts)
            deadline.check()
            answer = deadline.wait(self._submit(inputs))
            call.usage = usage_of(answer, inputs, tokenize_s=tokenize_s)
        return self._finish(answer.rows)

    async def _aembed(self, texts: list[str], side: SingleTextEncoder) -> _Vectors:
        deadline = Deadline(self._engine.deadline_s)
        with self._started() as call:
            inputs, tokenize_s = await asyncio.to_thread(_timed_inputs, side, texts)
            deadline.check()
            answer = await deadline.await_result(self._submit(inputs))
            call.usage = usage_of(answer, inputs, tokenize_s=tokenize_s)
        return self._finish(answer.rows)

    def _encode(self, texts: list[str], outputs: tuple[str, ...], *, as_queries: bool) -> TextVectors:
        deadline, side = Deadline(self._engine.deadline_s), self._queries if as_queries else self._documents
        with self._started() as call:
            inputs, tokenize_s = _timed_inputs(side, texts)
            deadline.check()
            groups = grouped(inputs, outputs)
            with self._submitted(inputs, groups) as futures:
                answers = [deadline.wait(future) for future in futures]
            call.usage = usage_of_all(answers, inputs, tokenize_s=tokenize_s)
        return self._assembly().build(inputs, groups, [answer.rows for answer in answers], outputs)

    async def _aencode(self, texts: list[str], outputs: tuple[str, ...], *, as_queries: bool) -> TextVectors:
        deadline, side = Deadline(self._engine.deadline_s), self._queries if as_queries else self._documents
        with self._started() as call:
            inputs, tokenize_s = await asyncio.to_thread(_timed_inputs, side, texts)
            deadline.check()
            groups = grouped(inputs, outputs)
            with self._submitted(inputs, groups) as futures:
                answers = [await deadline.await_result(future) for future in futures]
            call.usage = usage_of_all(answers, inputs, tokenize_s=tokenize_s)
        rows = [answer.rows for answer in answers]
        return await asyncio.to_thread(self._assembly().build, inputs, groups, rows, outputs)

    @contextmanager
    def _submitted(self, inputs: list[TokenInput], groups: list[Group]) -> Iterator[list[Reply[Answer]]]:
        """Queue the groups for a block; what has not run when it ends is dropped."""
        futures: list[Reply[Answer]] = []
        try:
            futures += (self._submit([inputs[index] for index in one.indices], one.layout) for one in groups)
            yield futures
        finally:
            for future in futures:
                future.cancel()

    def _assembly(self) -> VectorAssembly:
        whole = int(self._spec.dimensions or 0)
        return VectorAssembly(
            dimensions=whole,
            kept_dimensions=self._dimensions or whole,
            normalize=self._normalize,
            skipped_ids=self._skipped_ids,
        )

    def _started(self) -> StartedCall:
        return StartedCall("embed", model=self._spec.id, device=self._device)

    def _submit(self, inputs: list[TokenInput], options: Hashable = None) -> Reply[Answer]:
        return self._lease.value.batcher.submit(inputs, options=options, limits=self._engine)

    def _finish(self, rows: _Vectors) -> _Vectors:
        if not len(rows):
            return np.zeros((0, self.dimensions or 0), dtype=np.float32)
        if self._dimensions is not None:
            _checked_dimensions(self._dimensions, self._spec, found=rows.shape[1])
        return finished_rows(rows, normalize=self._normalize, dimensions=self._dimensions)


def _checked_dimensions(asked: int | None, spec: ModelSpec, *, found: int | None = None) -> int | None:
    """Return the dimensions to keep, or raise InvalidInputError if the model has fewer."""
    has = found or spec.dimensions
    if asked is None or has is None or asked == has:
        return asked
    if asked > has:
        msg = f"dimensions={asked} is more than the {has} that vectors of {spec.id!r} have"
        raise InvalidInputError(msg)
    if found is None and (spec.matryoshka_from is None or asked < spec.matryoshka_from):
        logger.warning("%s is not known to be trained for vectors cut to %d dimensions", spec.id, asked)
    return asked


def _check_total(side: SingleTextEncoder, spec: ModelSpec) -> None:
    if side.longest_tokens > spec.max_length_tokens:
        msg = (
            f"examples and max_length together make inputs of up to {side.longest_tokens} tokens, and {spec.id!r} "
            f"reads {spec.max_length_tokens}. Lower max_length, or give fewer or shorter examples."
        )
        raise InvalidInputError(msg)


def _timed_inputs(side: SingleTextEncoder, texts: list[str]) -> tuple[list[TokenInput], float]:
    start_s = time.perf_counter()
    inputs = side.encode(texts)
    return inputs, time.perf_counter() - start_s
