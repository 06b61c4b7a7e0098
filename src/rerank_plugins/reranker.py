"""The reranking facade: pairs in, scores out; a query and documents in, an order out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rerank_plugins import inputs
from rerank_plugins.backends.handles import opened_with
from rerank_plugins.backends.held import hold_backend
from rerank_plugins.backends.local import LocalScorer
from rerank_plugins.backends.protocol import PairScorer
from rerank_plugins.backends.texts import TextBackend
from rerank_plugins.calibration import Calibration
from rerank_plugins.calls.driving import adrive, drive
from rerank_plugins.calls.explaining import Explanation
from rerank_plugins.calls.facts import RerankerFacts, Use
from rerank_plugins.calls.streaming import CHUNK_PAIRS, score_stream
from rerank_plugins.catalog.adapter import read_adapter
from rerank_plugins.catalog.resolve import SourceOptions, resolve
from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.checks.kinds import Count, ModelName, Seconds
from rerank_plugins.checks.optional import needs_torch
from rerank_plugins.engine.calls import KnownRows
from rerank_plugins.engine.registry import Lease, ModelRegistry
from rerank_plugins.engine.score_cache import ScoreCache
from rerank_plugins.ranking.results import Selection
from rerank_plugins.text.pair_encoder import PairSettings
from rerank_plugins.types import (
    Document,
    EngineOptions,
    LayerOptions,
    LongDocuments,
    LongDocumentStrategy,
    Ranking,
    ScoreUnit,
    TruncationRule,
)

if TYPE_CHECKING:
    from rerank_plugins.backends.opening import LoadedModel

__all__ = ["Reranker"]

_USUAL_MODEL = "BAAI/bge-reranker-v2-m3"


class Reranker(RerankerFacts):
    """Scores documents against a query with a reranking model.

    Objects with the same model, revision, device and dtype share one set of weights in the process,
    and any number of threads and event loops may use one object. Copies share the weights, each with a share of its
    own; pickling keeps the options and opens the model again (one of ``from_loaded`` cannot be pickled).

    Args:
        model: A hub id, a local folder (its name does not matter), ``mini``, or the name of a registered backend
            (``acme:large``, see :func:`~rerank_plugins.backends.named.register_backend`).
        backend: What scores, instead of a checkpoint: any object with the methods of a
            :class:`~rerank_plugins.backends.protocol.PairScorer`. It stays the caller's to close. Options that say how
            a checkpoint is loaded and run cannot be given beside it; ``max_length`` counts words.
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``; None takes the best one there is. ``cuda:0,cuda:1`` or
            ``cuda:all`` puts a copy of the model on each and shares the work out.
        dtype: ``auto`` (on CUDA float16, for LLM rerankers bfloat16; elsewhere float32), ``float32``,
            ``float16``, ``bfloat16``.
        max_length: Tokens of an input, query and special tokens included; None takes the model's default. The
            prompts of FlagEmbedding's and mxbai's LLM rerankers come on top, those of Qwen3 and monoT5 are counted.
        query_max_length: Tokens of a query kept at most; None takes the rule of the model's family.
        long_documents: A strategy's name (``truncate``, ``maxp``, ``firstp``, ``meanp``, ``topkmean``)
            or a :class:`~rerank_plugins.types.LongDocuments`.
        truncation: Rule for pairs that are too long; None takes the family's own.
        prompt: Instruction of a model that reads one; None takes the model's own.
        layers: Layers and compression of a layerwise LLM reranker, for calls that ask for none.
        calibration: A :class:`~rerank_plugins.calibration.Calibration` or its file: ``probability``, and thresholds
            in that unit, are then its own. None takes the model's own scale.
        engine: How calls are run: batch size, deadline, what happens when too much waits; None takes the defaults.
        score_cache: Keeps scores, so that a pair that comes again is not run again; None keeps none. Several
            rerankers may share one.
        peft_path: Folder or hub id of a LoRA adapter that is merged into the weights at load.
        family: Conventions to use for a local folder that its name does not tell (``bge``, ``qwen3``).
        revision: Commit, tag or branch on the hub; None takes the pinned one.
        local_files_only: Never touch the network.
        allow_pickle: Accept ``*.bin`` weights, whose loading can run code.
        trust_remote_code: Let transformers run Python code from the checkpoint.
        torch_compile: Compile what works token by token in each block with ``torch.compile``, once for all lengths;
            loading then takes up to a minute longer. For GPUs, and for LLMs that transformers runs: BERT-like models
            on a CPU are fused already, and layerwise, lightweight and monoT5 rerankers stay as they are.

    Raises:
        InvalidInputError: An option has a value that cannot work.
        ModelError: The model cannot be resolved or loaded; see :mod:`rerank_plugins.errors`.
        DeviceUnavailableError: The device is not on this machine.

    Example:
        >>> reranker = Reranker("mini")
        >>> [d.index for d in reranker.rank("capital of France", ["Berlin", "Paris is the capital."])]
        [1, 0]
    """

    @checked_call(own=("backend",))
    def __init__(
        self,
        model: ModelName = _USUAL_MODEL,
        *,
        backend: PairScorer | None = None,
        device: str | None = None,
        dtype: str = "auto",
        max_length: Count | None = None,
        query_max_length: Count | None = None,
        long_documents: LongDocumentStrategy | LongDocuments = "truncate",
        truncation: TruncationRule | None = None,
        prompt: str | None = None,
        layers: LayerOptions | None = None,
        calibration: str | Path | Calibration | None = None,
        engine: EngineOptions | None = None,
        score_cache: ScoreCache | None = None,
        peft_path: str | Path | None = None,
        family: str | None = None,
        revision: str | None = None,
        local_files_only: bool = False,
        allow_pickle: bool = False,
        trust_remote_code: bool = False,
        torch_compile: bool = False,
    ) -> None:
        self._opened_with = opened_with(Reranker, locals())
        use = Use(
            max_length=max_length,
            query_max_length=query_max_length,
            truncation=truncation,
            long_documents=inputs.check_long_documents(long_documents),
            layers=layers,
            calibration=calibration,
            engine=inputs.check_engine(engine),
            score_cache=score_cache,
        )
        self._peft_path = None if peft_path is None else str(peft_path)
        held = hold_backend(self._opened_with[1], usual_model=_USUAL_MODEL, kind="reranker")
        if held is not None:
            scorer = held.value.backend
            settings = self._settle(str(model) if backend is None else scorer.spec.id, scorer.spec, use)
            self._attach(held, TextBackend(held, settings, cache=score_cache))
            return
        # Before anything is fetched.
        with needs_torch():
            from rerank_plugins.backends.opening import open_model
        options = SourceOptions(
            revision=revision,
            local_files_only=local_files_only,
            allow_pickle=allow_pickle,
            trust_remote_code=trust_remote_code,
        )
        resolved = resolve(model, kind="reranker", family=family, options=options)
        spec = replace(resolved.spec.with_prompt(prompt), revision=revision or resolved.spec.revision)
        settings = self._settle(str(model), spec, use)
        adapter = None if peft_path is None else read_adapter(peft_path, local_files_only=local_files_only)
        lease = open_model(
            resolved, device=device, dtype=dtype, options=options, adapter=adapter, torch_compile=torch_compile
        )
        self._attach_local(lease, spec, settings)

    @classmethod
    @checked_call(own=("loaded",))
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
                sentence-transformers ``CrossEncoder``. Its truncation rule is kept, its device and
                precision too; the object itself is not changed.
            max_length: Tokens of an input; None takes the object's own setting.
            long_documents: As in the constructor; None takes what the object does itself (BCEmbedding
                splits and takes the best window, the others truncate).
            calibration: As in the constructor.
            engine: As in the constructor.

        Raises:
            InvalidInputError: It is none of these.
            UnsupportedModelError: It has more than one label.
        """
        with needs_torch():
            from rerank_plugins.backends.opening import run_loaded
            from rerank_plugins.scorers.adopted import adopt

        adopted = adopt(loaded)
        use = Use(
            max_length=max_length,
            query_max_length=adopted.query_limit_tokens,
            truncation=None,
            long_documents=inputs.check_long_documents(long_documents or adopted.long_documents),
            layers=None,
            calibration=calibration,
            engine=inputs.check_engine(engine),
            score_cache=None,
        )
        reranker = cls.__new__(cls)
        reranker._peft_path, reranker._opened_with = None, None
        settings = reranker._settle(adopted.spec.id, adopted.spec, use)

        def run() -> LoadedModel:
            name, place, dtype = adopted.spec.id, adopted.device, adopted.dtype
            return run_loaded([adopted.parts], device=place, dtype=dtype, name=name, identity=None)

        # A registry of its own: nobody else can ask for these weights by name.
        lease = ModelRegistry().acquire(adopted.spec.id, run)
        reranker._attach_local(lease, adopted.spec, settings)
        return reranker

    def _attach_local(self, lease: Lease[LoadedModel], spec: ModelSpec, settings: PairSettings) -> None:
        known = None if self._score_cache is None else KnownRows(self._score_cache, lease.value.identity)
        self._attach(lease, LocalScorer(lease, spec, settings, engine=self._engine, known=known))

    @checked_call(own=("pairs",))
    def score(
        self,
        pairs: Sequence[tuple[str, str | None]],
        *,
        layers: LayerOptions | None = None,
        deadline_s: Seconds | None = None,
    ) -> list[float]:
        """Return the raw score of each (query, document) pair, in input order.

        Args:
            pairs: What to score. A blank or None document scores ``BLANK_DOCUMENT_SCORE``.
            layers: The one layer of a layerwise LLM reranker that scores are read from; None takes the object's own.
            deadline_s: Seconds after which to give up; None takes the object's own deadline.

        Raises:
            InvalidInputError: An element is not a pair of strings, or the model cannot do what ``layers`` asks.
            ScoringError: The model returned NaN or infinity.
            DeadlineExceededError: The time is over.
            OverloadedError: More work waits than the engine options allow.
            EngineClosedError: ``close()`` was called.
        """
        return drive(self._backend, self._calls.score(pairs, layers=layers, deadline_s=deadline_s))

    @checked_call(own=("pairs",))
    async def ascore(
        self,
        pairs: Sequence[tuple[str, str | None]],
        *,
        layers: LayerOptions | None = None,
        deadline_s: Seconds | None = None,
    ) -> list[float]:
        """Return what :meth:`score` returns, without blocking the event loop."""
        return await adrive(self._backend, self._calls.score(pairs, layers=layers, deadline_s=deadline_s))

    @checked_call()
    def probability(self, score: float) -> float:
        """Return a raw score in [0, 1], by the calibration if there is one, else by the model's own scale."""
        return self._calls.probability(score)

    @checked_call()
    def explain(
        self,
        query: str,
        document: str,
        *,
        max_spans: int = 64,
        layers: LayerOptions | None = None,
        deadline_s: Seconds | None = None,
    ) -> Explanation:
        """Return which words of a document carried its score, by leaving each of them out in turn.

        All versions are scored in one call. See :class:`~rerank_plugins.calls.explaining.Explanation` for what the
        figures mean and what they do not.

        Args:
            query: The question.
            document: A text of at least two words. Of a long one, only the window that the score is read from.
            max_spans: Parts left out at most; where there are more words, neighbours are left out together.
            layers: See :meth:`score`.
            deadline_s: Seconds for all of it; see :meth:`score`.

        Raises:
            InvalidInputError: A wrong type, fewer than two words, or ``max_spans`` below 2.
            ScoringError: The model returned NaN or infinity.
            DeadlineExceededError: The time is over.
            EngineClosedError: ``close()`` was called.
        """
        steps = self._calls.explain(query, document, max_spans=max_spans, layers=layers, deadline_s=deadline_s)
        return drive(self._backend, steps)

    @checked_call()
    async def aexplain(
        self,
        query: str,
        document: str,
        *,
        max_spans: int = 64,
        layers: LayerOptions | None = None,
        deadline_s: Seconds | None = None,
    ) -> Explanation:
        """Return what :meth:`explain` returns, without blocking the event loop."""
        steps = self._calls.explain(query, document, max_spans=max_spans, layers=layers, deadline_s=deadline_s)
        return await adrive(self._backend, steps)

    @checked_call(own=("pairs",))
    def score_layers(
        self,
        pairs: Sequence[tuple[str, str | None]],
        *,
        layers: LayerOptions | None = None,
        deadline_s: Seconds | None = None,
    ) -> list[list[float]]:
        """Return for each pair the raw scores of all asked layers, in the order of ``cutoff_layers``.

        The model runs once, to the deepest layer.

        Raises:
            InvalidInputError: As in :meth:`score`, or the model has no layers to choose.
        """
        return drive(self._backend, self._calls.score_layers(pairs, layers=layers, deadline_s=deadline_s))

    @checked_call(own=("pairs",))
    async def ascore_layers(
        self,
        pairs: Sequence[tuple[str, str | None]],
        *,
        layers: LayerOptions | None = None,
        deadline_s: Seconds | None = None,
    ) -> list[list[float]]:
        """Return what :meth:`score_layers` returns, without blocking the event loop."""
        return await adrive(self._backend, self._calls.score_layers(pairs, layers=layers, deadline_s=deadline_s))

    @checked_call(own=("pairs",))
    def score_stream(
        self,
        pairs: Iterable[tuple[str, str | None]],
        *,
        layers: LayerOptions | None = None,
        chunk_pairs: Count = CHUNK_PAIRS,
        deadline_s: Seconds | None = None,
    ) -> Iterator[float]:
        """Yield the raw score of each pair, in order, for any number of pairs in flat memory.

        Pairs are read, tokenised and queued a little ahead of the one whose score is wanted. To go on after a break,
        pass the pairs that have no score yet (``rerank-plugins score`` does that with files).

        Args:
            pairs: What to score; a generator is read as its scores are taken.
            layers: See :meth:`score`.
            chunk_pairs: Pairs that are sorted by length and queued together; more read further ahead.
            deadline_s: Seconds from now for the whole stream; None never gives up, whatever the engine options say of
                other calls.

        Raises:
            InvalidInputError: As in :meth:`score`, when the wrong element is reached.
            ScoringError: The model returned NaN or infinity.
            EngineClosedError: ``close()`` was called.
        """
        options = self._calls.stream_options(layers, deadline_s)
        checked = inputs.check_iterable(pairs, name="pairs")
        return score_stream(self._backend, checked, options, self._calls.scores, chunk_pairs=chunk_pairs)

    @checked_call(own=("documents",))
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

    @checked_call(own=("documents",))
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
