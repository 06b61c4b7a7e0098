"""The embedding facade: texts in, float32 vectors out, with the model's own instructions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rerank_plugins.catalog.resolve import SourceOptions, resolve
from rerank_plugins.catalog.spec import Instruction, ModelSpec
from rerank_plugins.engine.calls import Answer, usage_of
from rerank_plugins.engine.deadline import Deadline
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.inputs import check_engine, check_positive, check_texts
from rerank_plugins.observing import StartedCall
from rerank_plugins.opening import open_model
from rerank_plugins.protocols import TokenInput
from rerank_plugins.text.pairs import TextLayout
from rerank_plugins.types import EngineOptions, EngineStats

__all__ = ["Embedder"]

_Vectors = npt.NDArray[np.float32]

_MAX_CHARACTERS = 128_000


class Embedder:
    """Turns queries and documents into vectors with an embedding model.

    A query gets the instruction that the model was trained with, a document its own (most have
    none). Weights are shared as in :class:`~rerank_plugins.reranker.Reranker`, and any number of
    threads and event loops may use one object.

    Args:
        model: A hub id, a local folder (its name does not matter), or ``mini``.
        task: Which of the model's instructions to use (llm-embedder has six); None takes the default.
        query_instruction: Text put in front of each query; None takes the task's, ``""`` puts none.
        document_instruction: Text put in front of each document; likewise.
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``; None takes the best one there is.
        dtype: ``auto`` (float16 on CUDA, else float32), ``float32``, ``float16``, ``bfloat16``.
        max_length: Tokens of a text, special tokens included; None takes the model's default.
        normalize: Scale vectors to length 1; None does what the model's authors do.
        engine: How calls are run, as in :class:`~rerank_plugins.reranker.Reranker`; None takes the defaults.
        family: Conventions to use for a local folder that its name does not tell (``bge``, ...).
        revision: Commit, tag or branch on the hub; None takes the pinned one.
        local_files_only: Never touch the network.
        allow_pickle: Accept ``*.bin`` weights, whose loading can run code.
        trust_remote_code: Let transformers run Python code from the checkpoint.

    Raises:
        InvalidInputError: An option has a value that cannot work.
        ModelError: The model cannot be resolved or loaded; see :mod:`rerank_plugins.errors`.
        DeviceUnavailableError: The device is not on this machine.
    """

    def __init__(
        self,
        model: str | Path = "BAAI/bge-m3",
        *,
        task: str | None = None,
        query_instruction: str | None = None,
        document_instruction: str | None = None,
        device: str | None = None,
        dtype: str = "auto",
        max_length: int | None = None,
        normalize: bool | None = None,
        engine: EngineOptions | None = None,
        family: str | None = None,
        revision: str | None = None,
        local_files_only: bool = False,
        allow_pickle: bool = False,
        trust_remote_code: bool = False,
    ) -> None:
        check_positive("max_length", max_length)
        self._engine = check_engine(engine)
        options = SourceOptions(
            revision=revision,
            local_files_only=local_files_only,
            allow_pickle=allow_pickle,
            trust_remote_code=trust_remote_code,
        )
        resolved = resolve(model, kind="embedder", family=family, options=options)
        self._name, self._spec = str(model), resolved.spec
        own = _instruction(resolved.spec, task)
        self._instruction = Instruction(
            query=own.query if query_instruction is None else query_instruction,
            document=own.document if document_instruction is None else document_instruction,
        )
        self._normalize = resolved.spec.normalize if normalize is None else normalize
        self._max_length = resolved.spec.input_length_tokens(max_length)
        self._lease = open_model(resolved, device=device, dtype=dtype, options=options)
        loaded = self._lease.value
        self._device, self._dtype = loaded.device, loaded.dtype
        self._layout = TextLayout.of(loaded.encoder) if loaded.special_tokens else TextLayout()
        if self._max_length <= self._layout.n_special:
            msg = f"max_length={max_length} leaves no room for a text; it must be more than {self._layout.n_special}"
            raise InvalidInputError(msg)

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
        """Tokens of a text, special tokens included."""
        return self._max_length

    def embed_queries(self, queries: Sequence[str]) -> _Vectors:
        """Return one vector per query, the instruction included.

        Returns:
            Shape: (n, dim), float32; (0, 0) for no query when the model's dimension is unknown.

        Raises:
            InvalidInputError: An element is not a string.
            ScoringError: The model returned NaN.
            DeadlineExceededError: The time that the engine options allow is over.
            OverloadedError: More work waits than the engine options allow.
            EngineClosedError: ``close()`` was called.
        """
        return self._embed(check_texts(queries, name="queries"), self._instruction.query)

    def embed_documents(self, documents: Sequence[str]) -> _Vectors:
        """Return one vector per document; see :meth:`embed_queries`."""
        return self._embed(check_texts(documents, name="documents"), self._instruction.document)

    async def aembed_queries(self, queries: Sequence[str]) -> _Vectors:
        """Return what :meth:`embed_queries` returns, without blocking the event loop."""
        return await self._aembed(check_texts(queries, name="queries"), self._instruction.query)

    async def aembed_documents(self, documents: Sequence[str]) -> _Vectors:
        """Return what :meth:`embed_documents` returns, without blocking the event loop."""
        return await self._aembed(check_texts(documents, name="documents"), self._instruction.document)

    def stats(self) -> EngineStats:
        """Return what the model has done since it was loaded, for every object that shares it.

        Raises:
            EngineClosedError: ``close()`` was called.
        """
        return self._lease.value.stats()

    def close(self) -> None:
        """Give the model back; the last holder's call frees the weights. Idempotent."""
        self._lease.close()

    def __enter__(self) -> Embedder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Embedder({self.model!r}, device={self.device!r}, dtype={self.dtype!r}, max_length={self.max_length})"

    def _embed(self, texts: list[str], instruction: str) -> _Vectors:
        deadline, call = Deadline(self._engine.deadline_s), self._started()
        try:
            inputs, tokenize_s = self._timed_inputs(texts, instruction)
            answer = deadline.wait(self._submit(inputs))
        except BaseException as error:
            call.failed(error)
            raise
        call.succeeded(usage_of(answer, inputs, tokenize_s=tokenize_s))
        return self._finish(answer.rows)

    async def _aembed(self, texts: list[str], instruction: str) -> _Vectors:
        deadline, call = Deadline(self._engine.deadline_s), self._started()
        try:
            inputs, tokenize_s = await asyncio.to_thread(self._timed_inputs, texts, instruction)
            answer = await deadline.await_result(self._submit(inputs))
        except BaseException as error:
            call.failed(error)
            raise
        call.succeeded(usage_of(answer, inputs, tokenize_s=tokenize_s))
        return self._finish(answer.rows)

    def _started(self) -> StartedCall:
        return StartedCall("embed", model=self._spec.id, device=self._device)

    def _timed_inputs(self, texts: list[str], instruction: str) -> tuple[list[TokenInput], float]:
        start_s = time.perf_counter()
        inputs = self._inputs(texts, instruction)
        return inputs, time.perf_counter() - start_s

    def _inputs(self, texts: list[str], instruction: str) -> list[TokenInput]:
        # The instruction and the text are one string, as in FlagEmbedding: joining ids could differ.
        encoder = self._lease.value.encoder
        prefixed = [instruction + text[:_MAX_CHARACTERS] for text in texts]
        tokenized = encoder.encode(prefixed, use_cache=self._engine.token_cache)
        room = self._max_length - self._layout.n_special
        return [self._layout.wrap(one.ids[:room]) for one in tokenized]

    def _submit(self, inputs: list[TokenInput]) -> Future[Answer]:
        return self._lease.value.batcher.submit(inputs, limits=self._engine)

    def _finish(self, rows: _Vectors) -> _Vectors:
        if not len(rows):
            return np.zeros((0, self._spec.dimensions or 0), dtype=np.float32)
        if not self._normalize:
            return rows
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return rows / np.maximum(lengths, 1e-12)  # type: ignore[no-any-return]


def _instruction(spec: ModelSpec, task: str | None) -> Instruction:
    wanted = task or spec.default_task
    if wanted is None:
        return Instruction()
    if wanted not in spec.instructions:
        known = ", ".join(map(repr, spec.instructions)) or "none"
        msg = f"{spec.id!r} has no task {wanted!r}; its tasks: {known}. Pass query_instruction for your own text."
        raise InvalidInputError(msg)
    return spec.instructions[wanted]
