"""The options of a reranking model, shared by the compressors and the cross-encoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

from pydantic import model_validator
from typing_extensions import Self

from langchain_rerank_plugins.layers import PromptOptions
from langchain_rerank_plugins.options import CoreBacked
from rerank_plugins import EngineOptions, LayerOptions, ModelSpec, Reranker
from rerank_plugins.adapting import check_model, known_before_loading, stand_in, using
from rerank_plugins.calibration import Calibration
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.fields import Count, Layers, Long, Name, Number, option
from rerank_plugins.types import ScoreUnit, TruncationRule

__all__ = ["AnyModelOptions", "RerankerBacked", "check_reranker"]

_ENGINE_NAMES = ("max_waiting_tokens", "max_wait_ms", "max_batch_tokens")
_LAYER_NAMES = frozenset(LayerOptions.__dataclass_fields__)


class RerankerBacked(CoreBacked):
    """Options of a core :class:`rerank_plugins.Reranker`, which is opened when the object is made."""

    _scorers: ClassVar[frozenset[str]] = frozenset()

    query_max_length: Count | None = option("query_max_length", None)
    long_documents: Long = option("long_documents", "truncate")
    truncation: TruncationRule | None = option("truncation", None)
    calibration: Name | Calibration | None = option("calibration", None)
    score_unit: ScoreUnit = option("score_unit", "raw", frozen=False)
    deadline_s: Number | None = option("deadline_s", None, frozen=False, gt=0)
    max_waiting_tokens: Count | None = option("max_waiting_tokens", None)
    max_wait_ms: Number = option("max_wait_ms", 0.0, ge=0)
    max_batch_tokens: Count | None = option("max_batch_tokens", None)

    @property
    def reranker(self) -> Reranker:
        """The core object; other adapters may use it too."""
        core: Reranker = self._core
        return core

    @contextmanager
    def using(self, **settings: Any) -> Iterator[Self]:
        """Use other settings in a block, where a retriever holds this object and calls it.

        They count for calls made by this thread or task and by those that LangChain or asyncio start in the
        block (``batch``, ``abatch``, ``run_in_executor``); calls from elsewhere, at the same time, are not
        touched. Blocks nest: an inner one changes what it names.

        Args:
            **settings: Options of the class, as in :meth:`with_settings`, whose checks and costs they share.

        Yields:
            The copy that is used.

        Raises:
            ValueError: As :meth:`with_settings`, before the block is entered.

        Example:
            >>> with compressor.using(top_n=3):
            ...     documents = retriever.invoke("...")
        """
        with using(self, stand_in(self).with_settings(**settings)) as copy:
            yield copy

    @model_validator(mode="after")
    def _check_loaded(self) -> Self:
        self._check(self.reranker.spec, usual=self.reranker.layers)
        return self

    @classmethod
    def _around(cls, reranker: object, given: Mapping[str, Any]) -> Self:
        """Return an object that uses ``reranker``, with the options that it was made with and those given."""
        core = check_reranker(reranker)
        described = {
            "query_max_length": core.query_max_length,
            "long_documents": core.long_documents,
            "truncation": core.truncation,
            "prompt": core.spec.prompt or None,
            "peft_path": core.peft_path,
            "calibration": core.calibration,
            "deadline_s": core.engine.deadline_s,
            **{name: getattr(core.engine, name) for name in _ENGINE_NAMES},
            **cls._layers_of(core),
        }
        known = {name: value for name, value in described.items() if name in cls.model_fields}
        return cls._from_core(core, known, given)

    def _check(self, spec: ModelSpec, *, usual: LayerOptions | None = None) -> None:
        owner, instead = type(self).__name__, "RerankCompressor"
        asked = self._asked_layers()
        check_model(spec, owner=owner, scorers=self._scorers, instead=instead, asked=asked, usual=usual)

    def _open(self) -> Reranker:
        known = known_before_loading(self.model, family=self.family)
        if known is not None:
            self._check(known)
        options = self._loading_options()
        engine = EngineOptions(**{name: options.pop(name) for name in _ENGINE_NAMES})
        return Reranker(**options, engine=engine)

    def _asked_layers(self) -> LayerOptions | None:
        """Return the layers that calls ask for; a class without such options asks for none."""
        names = _LAYER_NAMES & type(self).model_fields.keys()
        return LayerOptions(**{name: getattr(self, name) for name in names}) if names else None

    @classmethod
    def _layers_of(cls, reranker: Reranker) -> dict[str, Any]:
        """Return the layers that a core object was made with, as options of this class."""
        if reranker.layers is None:
            return {}
        return {name: getattr(reranker.layers, name) for name in _LAYER_NAMES}


class AnyModelOptions(PromptOptions, RerankerBacked):
    """Options of the classes that take every model."""

    layers: Layers | None = option("layers", None, frozen=False)

    def _asked_layers(self) -> LayerOptions | None:
        return self.layers

    @classmethod
    def _layers_of(cls, reranker: Reranker) -> dict[str, Any]:
        return {"layers": reranker.layers}


def check_reranker(reranker: object) -> Reranker:
    """Return ``reranker``, or raise InvalidInputError if it is not a core ``Reranker``."""
    if isinstance(reranker, Reranker):
        return reranker
    msg = (
        f"reranker must be a rerank_plugins.Reranker, got {type(reranker).__name__}. "
        "Wrap another library's loaded model with Reranker.from_loaded(...)."
    )
    raise InvalidInputError(msg)
