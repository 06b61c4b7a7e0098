"""The reranking facade: pairs in, scores out; a query and documents in, an order out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rerank_plugins import inputs
from rerank_plugins.calibrating import calibration_for, score_source
from rerank_plugins.calibration import Calibration, ScoreSource
from rerank_plugins.catalog.layers import settle_layers
from rerank_plugins.catalog.resolve import SourceOptions, resolve
from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.engine.registry import Lease, ModelRegistry
from rerank_plugins.opening import LoadedModel, open_model, run_loaded
from rerank_plugins.ranking.results import Selection
from rerank_plugins.scoring import PairScoring
from rerank_plugins.text.pair_encoder import PairSettings
from rerank_plugins.types import (
    LayerOptions,
    LongDocuments,
    LongDocumentStrategy,
    RankedDocument,
    ScoreUnit,
    TruncationRule,
)

__all__ = ["Reranker"]


class Reranker:
    """Scores documents against a query with a reranking model.

    Objects with the same model, revision, device and dtype share one set of weights in the process,
    and any number of threads and event loops may use one object.

    Args:
        model: A hub id, a local folder (its name does not matter), or ``mini``.
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``; None takes the best one there is.
        dtype: ``auto`` (on CUDA float16, for LLM rerankers bfloat16; elsewhere float32), ``float32``,
            ``float16``, ``bfloat16``.
        max_length: Tokens of an input, query and special tokens included; None takes the model's default.
            The prompt of an LLM reranker comes on top.
        query_max_length: Tokens of a query kept at most; None takes the rule of the model's family.
        long_documents: A strategy's name (``truncate``, ``maxp``, ``firstp``, ``meanp``, ``topkmean``)
            or a :class:`~rerank_plugins.types.LongDocuments`.
        truncation: Rule for pairs that are too long; None takes the family's own.
        prompt: Instruction of an LLM reranker; None takes the model's own.
        layers: Layers and compression of a layerwise LLM reranker, for calls that ask for none.
        calibration: A :class:`~rerank_plugins.calibration.Calibration` or its file: ``probability``, and thresholds
            in that unit, are then its own. None takes the model's own scale.
        family: Conventions to use for a local folder that its name does not tell (``bge``, ``bce``).
        revision: Commit, tag or branch on the hub; None takes the pinned one.
        local_files_only: Never touch the network.
        allow_pickle: Accept ``*.bin`` weights, whose loading can run code.
        trust_remote_code: Let transformers run Python code from the checkpoint.

    Raises:
        InvalidInputError: An option has a value that cannot work.
        ModelError: The model cannot be resolved or loaded; see :mod:`rerank_plugins.errors`.
        DeviceUnavailableError: The device is not on this machine.

    Example:
        >>> reranker = Reranker("mini")
        >>> [d.index for d in reranker.rank("capital of France", ["Berlin", "Paris is the capital."])]
        [1, 0]
    """

    def __init__(
        self,
        model: str | Path = "BAAI/bge-reranker-v2-m3",
        *,
        device: str | None = None,
        dtype: str = "auto",
        max_length: int | None = None,
        query_max_length: int | None = None,
        long_documents: LongDocumentStrategy | LongDocuments = "truncate",
        truncation: TruncationRule | None = None,
        prompt: str | None = None,
        layers: LayerOptions | None = None,
        calibration: str | Path | Calibration | None = None,
        family: str | None = None,
        revision: str | None = None,
        local_files_only: bool = False,
        allow_pickle: bool = False,
        trust_remote_code: bool = False,
    ) -> None:
        inputs.check_positive("max_length", max_length)
        inputs.check_positive("query_max_length", query_max_length)
        options = SourceOptions(
            revision=revision,
            local_files_only=local_files_only,
            allow_pickle=allow_pickle,
            trust_remote_code=trust_remote_code,
        )
        resolved = resolve(model, kind="reranker", family=family, options=options)
        spec = replace(
            resolved.spec,
            prompt=inputs.check_prompt(prompt, usual=resolved.spec.prompt),
            revision=revision or resolved.spec.revision,
        )
        settled = settle_layers(spec.layers, asked=layers)
        settings = PairSettings(
            max_length_tokens=spec.input_length_tokens(max_length),
            truncation=inputs.check_truncation(truncation) or spec.truncation,
            query_limit_tokens=query_max_length,
            long_documents=inputs.check_long_documents(long_documents),
        )
        made = calibration_for(calibration, score_source(spec, settings, settled))
        lease = open_model(resolved, device=device, dtype=dtype, options=options)
        self._attach(str(model), spec, settings, lease, layers, made)

    @classmethod
    def from_loaded(
        cls,
        loaded: object,
        *,
        max_length: int | None = None,
        long_documents: LongDocumentStrategy | LongDocuments | None = None,
        calibration: str | Path | Calibration | None = None,
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

        Raises:
            InvalidInputError: It is none of these.
            UnsupportedModelError: It has more than one label.
        """
        from rerank_plugins.scorers.adopted import adopt

        adopted = adopt(loaded)
        settings = PairSettings(
            max_length_tokens=adopted.spec.input_length_tokens(max_length),
            truncation=adopted.spec.truncation,
            query_limit_tokens=adopted.query_limit_tokens,
            long_documents=inputs.check_long_documents(long_documents or adopted.long_documents),
        )
        made = calibration_for(calibration, score_source(adopted.spec, settings, None))
        reranker = cls.__new__(cls)
        # A registry of its own: nobody else can ask for these weights by name.
        lease = ModelRegistry().acquire(
            adopted.spec.id,
            lambda: run_loaded(adopted.parts, device=adopted.device, dtype=adopted.dtype, name=adopted.spec.id),
        )
        reranker._attach(adopted.spec.id, adopted.spec, settings, lease, None, made)
        return reranker

    def _attach(
        self,
        name: str,
        spec: ModelSpec,
        settings: PairSettings,
        lease: Lease[LoadedModel],
        layers: LayerOptions | None,
        calibration: Calibration | None,
    ) -> None:
        self._name, self._spec = name, spec
        self._lease, self._settings = lease, settings
        self._device, self._dtype = lease.value.device, lease.value.dtype
        self._calibration = calibration
        self._scoring = PairScoring(lease, spec, settings, layers=layers, calibration=calibration)

    @property
    def spec(self) -> ModelSpec:
        """What is known about the model, with the checkpoint's own files applied."""
        return self._spec

    @property
    def model(self) -> str:
        """The model as it was asked for: a hub id, a folder or an alias."""
        return self._name

    @property
    def device(self) -> str:
        """Where the model runs."""
        return self._device

    @property
    def dtype(self) -> str:
        """Precision of the backbone; the head runs in float32."""
        return self._dtype

    @property
    def max_length(self) -> int:
        """Tokens of an input, special tokens included."""
        return self._settings.max_length_tokens

    @property
    def query_max_length(self) -> int | None:
        """Tokens of a query kept at most; None means the rule of ``truncation``."""
        return self._settings.query_limit_tokens

    @property
    def truncation(self) -> TruncationRule:
        """How a pair that is too long is cut."""
        return self._settings.truncation

    @property
    def long_documents(self) -> LongDocuments:
        """What happens to documents that do not fit."""
        return self._settings.long_documents

    @property
    def layers(self) -> LayerOptions | None:
        """What counts where a call asks for no layers, complete; None for a model without layers to choose."""
        return self._scoring.layers

    @property
    def calibration(self) -> Calibration | None:
        """What makes the probabilities; None means the model's own scale."""
        return self._calibration

    @property
    def score_source(self) -> ScoreSource:
        """What makes the scores, for ``fit_calibration(..., source=reranker.score_source)``."""
        return score_source(self._spec, self._settings, self._scoring.layers)

    def score(self, pairs: Sequence[tuple[str, str | None]], *, layers: LayerOptions | None = None) -> list[float]:
        """Return the raw score of each (query, document) pair, in input order.

        A blank or None document scores ``BLANK_DOCUMENT_SCORE``. ``layers`` chooses the one layer of a layerwise LLM
        reranker that the scores are read from.

        Raises:
            InvalidInputError: An element is not a pair of strings, or the model cannot do what ``layers`` asks.
            ScoringError: The model returned NaN.
            EngineClosedError: ``close()`` was called.
        """
        options = self._scoring.one_layer(layers)
        encoded = self._scoring.encode(inputs.check_pairs(pairs))
        return self._scoring.scores(encoded, self._scoring.submit(encoded, options).result())

    async def ascore(
        self, pairs: Sequence[tuple[str, str | None]], *, layers: LayerOptions | None = None
    ) -> list[float]:
        """Return what :meth:`score` returns, without blocking the event loop."""
        options = self._scoring.one_layer(layers)
        encoded = await asyncio.to_thread(self._scoring.encode, inputs.check_pairs(pairs))
        return self._scoring.scores(encoded, await asyncio.wrap_future(self._scoring.submit(encoded, options)))

    def probability(self, score: float) -> float:
        """Return a raw score in [0, 1], by the calibration if there is one, else by the model's own scale."""
        return self._scoring.probability(score)

    def score_layers(
        self, pairs: Sequence[tuple[str, str | None]], *, layers: LayerOptions | None = None
    ) -> list[list[float]]:
        """Return for each pair the raw scores of all asked layers, in the order of ``cutoff_layers``.

        The model runs once, to the deepest layer.

        Raises:
            InvalidInputError: As in :meth:`score`, or the model has no layers to choose.
        """
        options = self._scoring.all_layers(layers)
        encoded = self._scoring.encode(inputs.check_pairs(pairs))
        return self._scoring.layer_scores(encoded, self._scoring.submit(encoded, options).result(), options)

    def rank(
        self,
        query: str,
        documents: Sequence[str | None],
        *,
        top_n: int | None = None,
        threshold: float | None = None,
        threshold_unit: ScoreUnit = "probability",
        layers: LayerOptions | None = None,
    ) -> list[RankedDocument]:
        """Return the documents from best to worst.

        Args:
            query: The question.
            documents: Texts. Ties keep input order; blank and None documents rank last.
            top_n: Documents returned at most; None returns all.
            threshold: Documents below it are left out; None keeps all.
            threshold_unit: What ``threshold`` is compared with.
            layers: See :meth:`score`.

        Raises:
            InvalidInputError: A wrong type, ``top_n`` below 1, or a threshold that cannot be one.
            ScoringError: The model returned NaN.
            EngineClosedError: ``close()`` was called.
        """
        selection = Selection.checked(top_n=top_n, threshold=threshold, unit=threshold_unit)
        options = self._scoring.one_layer(layers)
        pairs = inputs.query_and_documents(query, documents)
        encoded = self._scoring.encode(pairs)
        rows = self._scoring.submit(encoded, options).result()
        return selection.of(self._scoring.ranked(pairs, encoded, rows))

    async def arank(
        self,
        query: str,
        documents: Sequence[str | None],
        *,
        top_n: int | None = None,
        threshold: float | None = None,
        threshold_unit: ScoreUnit = "probability",
        layers: LayerOptions | None = None,
    ) -> list[RankedDocument]:
        """Return what :meth:`rank` returns, without blocking the event loop."""
        selection = Selection.checked(top_n=top_n, threshold=threshold, unit=threshold_unit)
        options = self._scoring.one_layer(layers)
        pairs = inputs.query_and_documents(query, documents)
        encoded = await asyncio.to_thread(self._scoring.encode, pairs)
        rows = await asyncio.wrap_future(self._scoring.submit(encoded, options))
        return selection.of(self._scoring.ranked(pairs, encoded, rows))

    def close(self) -> None:
        """Give the model back; the last holder's call frees the weights. Idempotent."""
        self._lease.close()

    def __enter__(self) -> Reranker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Reranker({self.model!r}, device={self.device!r}, dtype={self.dtype!r}, max_length={self.max_length})"
