"""The settings and read-only properties of an open reranker; its calls are in :mod:`rerank_plugins.reranker`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rerank_plugins.backends.handles import ModelHandle
from rerank_plugins.backends.late_interaction import LateInteractionScorer
from rerank_plugins.backends.local import LocalScorer
from rerank_plugins.backends.texts import TextBackend
from rerank_plugins.calibration import Calibration, ScoreSource
from rerank_plugins.calls.calibrating import calibration_for, check_scope, score_source
from rerank_plugins.calls.pairs import PairCalls
from rerank_plugins.catalog.layers import resolve_layers
from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.checks.foreign_names import RERANKER_NAMES, ForeignNames
from rerank_plugins.engine.registry import Lease
from rerank_plugins.engine.score_cache import ScoreCache
from rerank_plugins.protocols import PrefixSharing
from rerank_plugins.text.pair_tokenizer import PairSettings
from rerank_plugins.types import EngineOptions, LayerOptions, LongDocuments, TruncationRule

__all__ = ["RerankerFacts", "RerankerSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankerSettings:
    """The options of a reranker as they were passed; see :class:`~rerank_plugins.reranker.Reranker` for the fields."""

    max_length: int | None
    long_documents: LongDocuments
    layers: LayerOptions | None
    calibration: str | Path | Calibration | None
    engine: EngineOptions
    cache: ScoreCache | None


class RerankerFacts(ModelHandle, ForeignNames):
    """A share in a model and the settings it is used with; the subclass opens it."""

    _foreign_names = RERANKER_NAMES

    _settings: PairSettings
    _backend: LocalScorer | LateInteractionScorer | TextBackend
    _calls: PairCalls
    _calibration: Calibration | None
    _cache: ScoreCache | None
    _peft_path: str | None

    @property
    def peft_path(self) -> str | None:
        """The LoRA adapter that was merged into the weights; None for none."""
        return self._peft_path

    @property
    def is_padded(self) -> bool:
        """Whether batches are padded: True where a model, or this transformers, cannot run packed."""
        return self._leased.is_padded

    @property
    def padding_reason(self) -> str:
        """Why batches are padded; empty if they are not, or if nothing is known."""
        return self._leased.padding_reason

    @property
    def prefix_sharing(self) -> PrefixSharing:
        """Whether the model computes what the prompts of one query begin with once, and if not, why.

        ``EngineOptions(share_prefix=False)`` leaves this as it is: that is a setting of calls.
        """
        return self._leased.prefix_sharing

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
        return self._calls.layers

    @property
    def calibration(self) -> Calibration | None:
        """What makes the probabilities; None means the model's own scale."""
        return self._calibration

    @property
    def cache(self) -> ScoreCache | None:
        """What keeps scores; None for nothing."""
        return self._cache

    @property
    def score_source(self) -> ScoreSource:
        """What makes the scores, for ``fit_calibration(..., source=reranker.score_source)``.

        Raises:
            InvalidInputError: The scores mean something else in each call, such as ranks in a list.
        """
        check_scope(self._spec, {"score_source": True})
        return score_source(self._spec, self._settings, self._calls.layers, peft_path=self._peft_path)

    def _settle(self, name: str, spec: ModelSpec, options: RerankerSettings) -> PairSettings:
        """Keep what the object is used with, checked, before anything is loaded; return how pairs are cut."""
        settings = PairSettings(
            max_length_tokens=spec.input_length_tokens(options.max_length),
            truncation=options.long_documents.truncation or spec.truncation,
            query_limit_tokens=options.long_documents.query_max_length,
            long_documents=options.long_documents,
        )
        check_scope(spec, {"calibration": options.calibration, "cache": options.cache})
        self._name, self._spec, self._settings = name, spec, settings
        self._engine, self._cache = options.engine, options.cache
        resolved = resolve_layers(spec.layers, requested=options.layers)
        source = score_source(spec, settings, resolved, peft_path=self._peft_path)
        self._calibration = calibration_for(options.calibration, source)
        self._calls = PairCalls(
            spec, settings, layers=options.layers, calibration=self._calibration, deadline_s=options.engine.deadline_s
        )
        return settings

    def _attach(self, lease: Lease[Any], backend: LocalScorer | LateInteractionScorer | TextBackend) -> None:
        self._lease, self._backend = lease, backend
        self._device, self._dtype = lease.value.device, lease.value.dtype
        self._calls.told = lease.value.told

    def _become_independent(self) -> None:
        self._backend = self._backend.on(self._lease)
