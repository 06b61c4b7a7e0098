"""The embedding facade: texts in, float32 vectors out, with the model's own instructions."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rerank_plugins.backends.handles import opened_with
from rerank_plugins.backends.late_embedder import LateEmbedder
from rerank_plugins.backends.leases import lease_backend
from rerank_plugins.backends.local_embedder import LocalEmbedder
from rerank_plugins.backends.runtimes import Runtime, chosen_runtime, open_checkpoint
from rerank_plugins.backends.text_embedders import TextEmbedderBackend
from rerank_plugins.backends.token_vectors import TokenVectorModel, late_lengths, late_spec
from rerank_plugins.backends.vectors import TextEmbedder
from rerank_plugins.calls.chunks import ChunkMethods
from rerank_plugins.calls.driving import adrive, drive
from rerank_plugins.calls.embedder_facts import EmbedderFacts, backend_key
from rerank_plugins.calls.flat_options import EMBEDDER_OPTIONS
from rerank_plugins.calls.multi_vector import MultiVectorMethods
from rerank_plugins.calls.texts import TextCalls, checked_dimensions
from rerank_plugins.catalog.contents import contents_key, weights_key
from rerank_plugins.catalog.resolve import ResolvedModel, resolve
from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.checks.kinds import Count, ModelName, Seconds
from rerank_plugins.embedding.cache import QueryVectorCache
from rerank_plugins.embedding.instructions import choose_instruction, query_affixes
from rerank_plugins.embedding.layout import special_ids, text_layout
from rerank_plugins.embedding.multi import VectorAssembly
from rerank_plugins.engine.registry import Lease
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.text.pairs import TextLayout
from rerank_plugins.text.single import SingleTextTokenizer, TextAffixes
from rerank_plugins.types import (
    EngineOptions,
    InstructionOptions,
    LongDocuments,
    SourceOptions,
    VectorOptions,
)

if TYPE_CHECKING:
    from rerank_plugins.backends.loaded import LoadedModel

__all__ = ["Embedder"]

_Vectors = npt.NDArray[np.float32]

_DEFAULT_MODEL = "BAAI/bge-m3"


@dataclass(frozen=True, slots=True, kw_only=True)
class _EmbedderOptions:
    """The options of an embedder as they were passed; see :class:`Embedder` for the fields."""

    max_length: int | None
    instruction: InstructionOptions
    vectors: VectorOptions
    engine: EngineOptions
    cache: QueryVectorCache | None


class Embedder(ChunkMethods, MultiVectorMethods, EmbedderFacts):
    """Turns queries and documents into vectors with an embedding model.

    A query gets the instruction that the model was trained with, a document its own (most have
    none). A text that is too long loses its end; instruction and special tokens always stay. Weights are shared,
    copied and pickled as in :class:`~rerank_plugins.reranker.Reranker`, and any number of threads and event loops
    may use one object.

    Args:
        model: A hub id, a local folder (its name does not matter), ``mini``, or the name of a registered backend
            (``acme:large``, see :func:`~rerank_plugins.backends.named.register_backend`).
        backend: What runs the checkpoint, ``torch`` or ``onnx``, as in :class:`~rerank_plugins.reranker.Reranker`; or
            what embeds instead of one: any object with the methods of a
            :class:`~rerank_plugins.backends.vectors.TextEmbedder`. It stays the caller's to close. Options that say how
            a checkpoint is loaded and run cannot be given beside it; ``max_length`` counts words.
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``; None takes the best one there is.
        dtype: ``auto`` (on CUDA float16, or bfloat16 for models trained in it; elsewhere float32), ``float32``,
            ``float16``, ``bfloat16``, or ``int8``: the products of BERT-like encoders, on CPUs that have them (AVX-512
            VNNI, AMX); a model that this would change too much runs in float32, with a warning.
        max_length: Tokens of a text, its instruction and special tokens included; None takes the model's default.
        instruction: Texts in front of queries and documents, and the task or examples they come from; None takes what
            the model was trained with.
        vectors: Length and dimensions of dense vectors; None does what the model's authors do.
        engine: How calls are run, as in :class:`~rerank_plugins.reranker.Reranker`; None takes the defaults.
        cache: Keeps the vectors of queries, so that one that comes again is not run again; None keeps none. Several
            embedders may share one. A model with token vectors alone takes none.
        source: Where the model's files come from and how they are read, as in
            :class:`~rerank_plugins.reranker.Reranker` but for LoRA adapters; None takes the defaults.

    Raises:
        InvalidInputError: An option has a value that cannot work.
        ModelError: The model cannot be resolved or loaded; see :mod:`rerank_plugins.errors`.
        DeviceUnavailableError: The device is not on this machine.
    """

    @checked_call(unchecked=("backend",), moved=EMBEDDER_OPTIONS)
    def __init__(
        self,
        model: ModelName = _DEFAULT_MODEL,
        *,
        backend: TextEmbedder | Runtime | None = None,
        device: str | None = None,
        dtype: str = "auto",
        max_length: Count | None = None,
        instruction: InstructionOptions | None = None,
        vectors: VectorOptions | None = None,
        engine: EngineOptions | None = None,
        cache: QueryVectorCache | None = None,
        source: SourceOptions | None = None,
    ) -> None:
        self._opened_with = opened_with(Embedder, locals())
        options = _EmbedderOptions(
            max_length=max_length,
            instruction=instruction or InstructionOptions(),
            vectors=vectors or VectorOptions(),
            engine=engine or EngineOptions(),
            cache=cache,
        )
        files = source or SourceOptions()
        if files.peft_path is not None:
            msg = (
                f"peft_path={str(files.peft_path)!r}: adapters are merged into rerankers only; merge it with peft first"
            )
            raise InvalidInputError(msg)
        leased = lease_backend(self._opened_with[1], default_model=_DEFAULT_MODEL, kind="embedder")
        if leased is not None:
            spec = leased.value.backend.spec
            self._settle(str(model) if backend is None else spec.id, spec, options)
            made = TextEmbedderBackend(leased, self._instruction, max_length=self._max_length)
            self._weights_key = partial(backend_key, leased.value.backend)
            self._weights_digest = lambda: None
            self._attach(leased, made, assembly=None, options=options, identity=leased.value.identity)
            return
        # Before anything is fetched.
        runtime = chosen_runtime(backend, model, kind="embedder")
        resolved = resolve(model, kind="embedder", options=files)
        affixes = self._settle(str(model), resolved.spec, options)
        compiles = options.engine.torch_compile
        lease = open_checkpoint(resolved, runtime, device=device, dtype=dtype, options=files, torch_compile=compiles)
        loaded = resolved.files.fingerprint
        self._weights_key = partial(contents_key, resolved.files, loaded=loaded)
        self._weights_digest = partial(weights_key, resolved.files, loaded=loaded)
        self._attach_local(lease, resolved, affixes, options)

    def _settle(self, name: str, spec: ModelSpec, options: _EmbedderOptions) -> TextAffixes:
        """Keep what the object is used with, checked, before anything is loaded; return the texts around a query."""
        if spec.late_interaction is not None and options.cache is not None:
            msg = (
                f"cache keeps one vector a query, and {spec.id!r} gives one a token; leave it out (a "
                "TokenVectorStore keeps those of documents: stored_vectors)"
            )
            raise InvalidInputError(msg)
        self._name, self._spec, self._engine = name, spec, options.engine
        instruction = options.instruction
        self._instruction = choose_instruction(
            spec, task=instruction.task, query=instruction.query, document=instruction.document
        )
        self._examples = instruction.examples or ()
        affixes = query_affixes(spec, self._instruction, self._examples)
        self._dimensions = checked_dimensions(options.vectors.dimensions, spec)
        self._normalize = spec.normalize if options.vectors.normalize is None else options.vectors.normalize
        self._max_length = spec.input_length_tokens(options.max_length)
        return affixes

    def _attach_local(
        self, lease: Lease[LoadedModel], resolved: ResolvedModel, affixes: TextAffixes, options: _EmbedderOptions
    ) -> None:
        loaded, spec = lease.value, resolved.spec
        if spec.late_interaction is not None:
            self._attach_late(lease, resolved, options)
            return
        layout = text_layout(loaded.tokenizer, spec) if loaded.special_tokens else TextLayout()
        if options.max_length is None and affixes.examples:
            room = spec.max_length_tokens - len(loaded.tokenizer.encode_one(affixes.examples))
            self._max_length = min(self._max_length, room)
        sides = affixes, TextAffixes(instruction=self._instruction.document)
        backend = LocalEmbedder(lease, spec, layout, sides, max_length_tokens=self._max_length, engine=self._engine)
        _check_total(backend.queries, spec)
        whole = int(spec.dimensions or 0)
        assembly = VectorAssembly(
            dimensions=whole,
            kept_dimensions=self._dimensions or whole,
            normalize=self._normalize,
            skipped_ids=special_ids(loaded.tokenizer, resolved.files, layout),
        )
        # The identity of the weights, not of their folder alone: what is in a folder may change.
        self._attach(lease, backend, assembly=assembly, options=options, identity=(loaded.identity, affixes))

    def _attach_late(self, lease: Lease[LoadedModel], resolved: ResolvedModel, options: _EmbedderOptions) -> None:
        spec = late_spec(resolved.spec, self._instruction, normalize=self._normalize)
        model = TokenVectorModel(
            lease,
            spec,
            resolved.files,
            late_lengths(spec, lease.value.tokenizer, resolved.files, document=self._max_length, query_tokens=None),
            long_documents=LongDocuments(),
            engine=self._engine,
            dimensions=self._dimensions,
        )
        self._attach(lease, LateEmbedder(model, spec), assembly=None, options=options, identity=model.identity)

    def _attach(
        self,
        lease: Lease[Any],
        backend: LocalEmbedder | LateEmbedder | TextEmbedderBackend,
        *,
        assembly: VectorAssembly | None,
        options: _EmbedderOptions,
        identity: Hashable,
    ) -> None:
        self._lease, self._backend = lease, backend
        self._device, self._dtype, self._kind_of_run = lease.value.device, lease.value.dtype, lease.value.runtime
        settings = (identity, self._spec, self._instruction, self._max_length, self._dimensions, self._normalize)
        self._calls = TextCalls(
            self._spec,
            dimensions=self._dimensions,
            normalize=self._normalize,
            deadline_s=self._engine.deadline_s,
            assembly=assembly,
            cache=options.cache,
            cache_key=(*map(repr, settings), self._device, self._dtype),
        )

    @checked_call(unchecked=("queries",))
    def embed_queries(self, queries: Sequence[str], *, deadline_s: Seconds | None = None) -> _Vectors:
        """Return one vector per query, the instruction included.

        No vector is zero: a text in which the model finds nothing (blank, or unknown tokens alone, for ``mini``)
        gets :func:`~rerank_plugins.embedding.rows.neutral_vector`, whose length is 1 with ``normalize=False`` too.

        Args:
            queries: Texts.
            deadline_s: Seconds after which to give up; None takes the object's own deadline.

        Returns:
            Shape: (n, dim), float32; (0, 0) for no query when the model's dimension is unknown.

        Raises:
            InvalidInputError: An element is not a string.
            ScoringError: The model returned NaN or infinity.
            DeadlineExceededError: The time is over.
            OverloadedError: More work waits than the engine options allow.
            EngineClosedError: ``close()`` was called.
        """
        return drive(self._backend, self._calls.queries(queries, deadline_s=deadline_s))

    @checked_call(unchecked=("documents",))
    def embed_documents(self, documents: Sequence[str], *, deadline_s: Seconds | None = None) -> _Vectors:
        """Return one vector per document; see :meth:`embed_queries`."""
        return drive(self._backend, self._calls.documents(documents, deadline_s=deadline_s))

    @checked_call(unchecked=("queries",))
    async def aembed_queries(self, queries: Sequence[str], *, deadline_s: Seconds | None = None) -> _Vectors:
        """Return what :meth:`embed_queries` returns, without blocking the event loop."""
        return await adrive(self._backend, self._calls.queries(queries, deadline_s=deadline_s))

    @checked_call(unchecked=("documents",))
    async def aembed_documents(self, documents: Sequence[str], *, deadline_s: Seconds | None = None) -> _Vectors:
        """Return what :meth:`embed_documents` returns, without blocking the event loop."""
        return await adrive(self._backend, self._calls.documents(documents, deadline_s=deadline_s))

    def __enter__(self) -> Embedder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Embedder({self.model!r}, device={self.device!r}, dtype={self.dtype!r}, max_length={self.max_length})"

    def _become_independent(self) -> None:
        self._backend = self._backend.on(self._lease)


def _check_total(side: SingleTextTokenizer, spec: ModelSpec) -> None:
    if side.longest_tokens > spec.max_length_tokens:
        msg = (
            f"examples and max_length together make inputs of up to {side.longest_tokens} tokens, and {spec.id!r} "
            f"reads {spec.max_length_tokens}. Lower max_length, or give fewer or shorter examples."
        )
        raise InvalidInputError(msg)
