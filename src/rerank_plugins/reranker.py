"""The reranking facade: pairs in, scores out; a query and documents in, an order out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rerank_plugins.backends.handles import opened_with
from rerank_plugins.backends.leases import lease_backend
from rerank_plugins.backends.local_scoring import local_backend
from rerank_plugins.backends.protocol import CutElsewhere, PairScorer
from rerank_plugins.backends.runtimes import Runtime, chosen_runtime, open_checkpoint
from rerank_plugins.backends.texts import TextBackend
from rerank_plugins.calibration import Calibration
from rerank_plugins.calls.driving import adrive, drive
from rerank_plugins.calls.facts import RerankerSettings
from rerank_plugins.calls.flat_options import RERANKER_OPTIONS
from rerank_plugins.calls.kept_methods import KeptVectorMethods
from rerank_plugins.calls.scoring_methods import ScoringMethods
from rerank_plugins.catalog.checkpoint import CheckpointFiles
from rerank_plugins.catalog.resolve import resolve
from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.checks.kinds import Count, ModelName, Seconds
from rerank_plugins.checks.optional import needs_torch
from rerank_plugins.embedding.kept import TokenVectorStore
from rerank_plugins.engine.registry import Lease, ModelRegistry
from rerank_plugins.engine.score_cache import ScoreCache
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.inputs import check_long_documents
from rerank_plugins.ranking.results import Selection
from rerank_plugins.text.pair_tokenizer import PairSettings
from rerank_plugins.types import (
    Document,
    EngineOptions,
    LayerOptions,
    LongDocuments,
    LongDocumentStrategy,
    Ranking,
    ScoreUnit,
    SourceOptions,
)

if TYPE_CHECKING:
    from rerank_plugins.backends.loaded import LoadedModel

__all__ = ["Reranker"]

_DEFAULT_MODEL = "BAAI/bge-reranker-v2-m3"


class Reranker(KeptVectorMethods, ScoringMethods):
    """Scores documents against a query with a reranking model.

    Objects with the same model, revision, device and dtype share one set of weights in the process,
    and any number of threads and event loops may use one object. Copies share the weights, each with a share of its
    own; pickling keeps the options and opens the model again (one of ``from_loaded`` cannot be pickled).

    Args:
        model: A hub id, a local folder (its name does not matter), ``mini``, or the name of a registered backend
            (``acme:large``, see :func:`~rerank_plugins.backends.named.register_backend`).
        backend: What runs the checkpoint, ``torch`` or ``onnx`` (ONNX Runtime on the CPU, for BERT-like models); None
            takes torch where it is installed. Or what scores instead of a checkpoint: any object with the methods of a
            :class:`~rerank_plugins.backends.protocol.PairScorer`. It stays the caller's to close. Options that say how
            a checkpoint is loaded and run cannot be given beside it; ``max_length`` counts words.
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``; None takes the best one there is. ``cuda:0,cuda:1`` or
            ``cuda:all`` puts a copy of the model on each and shares the work out.
        dtype: ``auto`` (on CUDA float16, for LLM rerankers bfloat16; elsewhere float32), ``float32``,
            ``float16``, ``bfloat16``, or ``int8``: the products of BERT-like encoders, on CPUs that have them (AVX-512
            VNNI, AMX); a model that this would change too much runs in float32, with a warning.
        max_length: Tokens of an input, query and special tokens included; None takes the model's default. The
            prompts of FlagEmbedding's and mxbai's LLM rerankers come on top, those of Qwen3 and monoT5 are counted.
        prompt: Instruction of a model that reads one; None takes the model's own. Of a cross-encoder that was trained
            with one it is the text in front of queries.
        long_documents: How a document, or a query, that does not fit is read: a strategy's name (``truncate``,
            ``maxp``, ``firstp``, ``meanp``, ``topkmean``) or a :class:`~rerank_plugins.types.LongDocuments`.
        layers: Layers and compression of a layerwise LLM reranker, for calls that ask for none.
        calibration: A :class:`~rerank_plugins.calibration.Calibration` or its file: ``probability``, and thresholds
            in that unit, are then its own. None takes the model's own scale.
        engine: How calls are run: batch size, deadline, what happens when too much waits; None takes the defaults.
        cache: Keeps scores, so that a pair that comes again is not run again; several rerankers may share one. For
            late interaction also a :class:`~rerank_plugins.embedding.kept.TokenVectorStore`: documents whose token
            vectors are in it are compared without running the model on them. None keeps none.
        source: Where the model's files come from and how they are read: revision, family, LoRA adapter, network,
            what files may contain; None takes the defaults.

    Raises:
        InvalidInputError: An option has a value that cannot work.
        ModelError: The model cannot be resolved or loaded; see :mod:`rerank_plugins.errors`.
        DeviceUnavailableError: The device is not on this machine.
        VectorStoreError: The vectors on disk are damaged, or another model's.

    Example:
        >>> reranker = Reranker("mini")
        >>> [d.index for d in reranker.rank("capital of France", ["Berlin", "Paris is the capital."])]
        [1, 0]
    """

    @checked_call(unchecked=("backend",), moved=RERANKER_OPTIONS)
    def __init__(
        self,
        model: ModelName = _DEFAULT_MODEL,
        *,
        backend: PairScorer | Runtime | None = None,
        device: str | None = None,
        dtype: str = "auto",
        max_length: Count | None = None,
        prompt: str | None = None,
        long_documents: LongDocumentStrategy | LongDocuments = "truncate",
        layers: LayerOptions | None = None,
        calibration: str | Path | Calibration | None = None,
        engine: EngineOptions | None = None,
        cache: ScoreCache | TokenVectorStore | None = None,
        source: SourceOptions | None = None,
    ) -> None:
        self._opened_with = opened_with(Reranker, locals())
        scores, vectors = (None, cache) if isinstance(cache, TokenVectorStore) else (cache, None)
        options = RerankerSettings(
            max_length=max_length,
            long_documents=check_long_documents(long_documents),
            layers=layers,
            calibration=calibration,
            engine=engine or EngineOptions(),
            cache=scores,
        )
        files = source or SourceOptions()
        self._peft_path = None if files.peft_path is None else str(files.peft_path)
        leased = lease_backend(self._opened_with[1], default_model=_DEFAULT_MODEL, kind="reranker")
        if leased is not None:
            scorer = leased.value.backend
            if (
                isinstance(scorer, CutElsewhere)
                and options.max_length is None
                and options.long_documents.strategy != "truncate"
            ):
                options = replace(options, max_length=scorer.window_words)
            settings = self._settle(str(model) if backend is None else scorer.spec.id, scorer.spec, options)
            self._attach(leased, TextBackend(leased, settings, cache=scores))
            return
        # Before anything is fetched.
        runtime = chosen_runtime(backend, model, kind="reranker")
        resolved = resolve(model, kind="reranker", options=files)
        spec = replace(resolved.spec.with_prompt(prompt), revision=files.revision or resolved.spec.revision)
        settings = self._settle(str(model), spec, options)
        compiles = options.engine.torch_compile
        lease = open_checkpoint(resolved, runtime, device=device, dtype=dtype, options=files, torch_compile=compiles)
        self._attach_local(lease, spec, settings, files=resolved.files, vectors=vectors)

    @classmethod
    @checked_call(unchecked=("loaded",))
    def from_loaded(
        cls,
        loaded: object,
        *,
        max_length: Count | None = None,
        long_documents: LongDocumentStrategy | LongDocuments | None = None,
        calibration: str | Path | Calibration | None = None,
        engine: EngineOptions | None = None,
    ) -> Reranker:
        """Score with a model that another library has already loaded; its weights are not copied.

        Args:
            loaded: A FlagEmbedding ``FlagReranker``, a BCEmbedding ``RerankerModel`` or a
                sentence-transformers ``CrossEncoder``. Its truncation rule, instructions, device and
                precision are kept; the object itself is not changed.
            max_length: Tokens of an input; None takes the object's own setting.
            long_documents: As in the constructor; None takes what the object does itself (BCEmbedding
                splits and takes the best window, the others truncate).
            calibration: As in the constructor.
            engine: As in the constructor, without ``torch_compile``: the model is the other library's.

        Raises:
            InvalidInputError: It is none of these, or an option cannot work.
            UnsupportedModelError: It has more than one label, or reads texts in a way that is not done here.
        """
        with needs_torch():
            from rerank_plugins.backends.opening import run_loaded
            from rerank_plugins.scorers.adopted import adopt

        adopted = adopt(loaded)
        long = check_long_documents(long_documents or adopted.long_documents)
        options = RerankerSettings(
            max_length=max_length,
            long_documents=replace(long, query_max_length=long.query_max_length or adopted.query_limit_tokens),
            layers=None,
            calibration=calibration,
            engine=_for_loaded(engine),
            cache=None,
        )
        reranker = cls.__new__(cls)
        reranker._peft_path, reranker._opened_with = None, None
        settings = reranker._settle(adopted.spec.id, adopted.spec, options)

        def run() -> LoadedModel:
            name, place, dtype = adopted.spec.id, adopted.device, adopted.dtype
            return run_loaded([adopted.parts], device=place, dtype=dtype, name=name, identity=None)

        # A registry of its own: nobody else can ask for these weights by name.
        lease = ModelRegistry().acquire(adopted.spec.id, run)
        reranker._attach_local(lease, adopted.spec, settings)
        return reranker

    def _attach_local(
        self,
        lease: Lease[LoadedModel],
        spec: ModelSpec,
        settings: PairSettings,
        *,
        files: CheckpointFiles | None = None,
        vectors: TokenVectorStore | None = None,
    ) -> None:
        made = local_backend(
            lease, spec, settings, files=files, engine=self._engine, cache=self._cache, vectors=vectors
        )
        self._attach(lease, made)

    @checked_call()
    def probability(self, score: float) -> float:
        """Return a raw score in [0, 1], by the calibration if there is one, else by the model's own scale."""
        return self._calls.probability(score)

    @checked_call(unchecked=("documents",))
    def rank(
        self,
        query: str,
        documents: Sequence[str | Document | None],
        *,
        top_n: Count | None = None,
        threshold: float | None = None,
        threshold_unit: ScoreUnit = "probability",
        layers: LayerOptions | None = None,
        deadline_s: Seconds | None = None,
    ) -> Ranking:
        """Return the documents from best to worst, with what the call took in ``usage``.

        Args:
            query: The question.
            documents: Texts, or :class:`~rerank_plugins.types.Document` objects, whose id and metadata the results
                give back. Ties keep input order; blank and None documents rank last.
            top_n: Documents returned at most; None returns all.
            threshold: Documents below it are left out; None keeps all.
            threshold_unit: What ``threshold`` is compared with.
            layers: See :meth:`score`.
            deadline_s: See :meth:`score`.

        Raises:
            InvalidInputError: A wrong type, ``top_n`` below 1, or a threshold that its unit does not allow.
            ScoringError: The model returned NaN or infinity.
            DeadlineExceededError: The time is over.
            OverloadedError: More work waits than the engine options allow.
            EngineClosedError: ``close()`` was called.
        """
        selection = Selection.checked(top_n=top_n, threshold=threshold, unit=threshold_unit)
        steps = self._calls.rank(query, documents, selection, layers=layers, deadline_s=deadline_s)
        return drive(self._backend, steps)

    @checked_call(unchecked=("documents",))
    async def arank(
        self,
        query: str,
        documents: Sequence[str | Document | None],
        *,
        top_n: Count | None = None,
        threshold: float | None = None,
        threshold_unit: ScoreUnit = "probability",
        layers: LayerOptions | None = None,
        deadline_s: Seconds | None = None,
    ) -> Ranking:
        """Return what :meth:`rank` returns, without blocking the event loop."""
        selection = Selection.checked(top_n=top_n, threshold=threshold, unit=threshold_unit)
        steps = self._calls.rank(query, documents, selection, layers=layers, deadline_s=deadline_s)
        return await adrive(self._backend, steps)

    def __enter__(self) -> Reranker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Reranker({self.model!r}, device={self.device!r}, dtype={self.dtype!r}, max_length={self.max_length})"


def _for_loaded(engine: EngineOptions | None) -> EngineOptions:
    """Return the options that a model of another library is run with."""
    options = engine or EngineOptions()
    if options.torch_compile:
        msg = "torch_compile is for models that are opened here; compile this one with the library that loaded it"
        raise InvalidInputError(msg)
    return options
