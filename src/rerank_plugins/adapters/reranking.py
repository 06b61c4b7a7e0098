"""The options of a reranking model, and an object that has them: opened, checked, stored, overridden."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, Field, InstanceOf, PrivateAttr, model_validator
from pydantic.json_schema import SkipJsonSchema
from typing_extensions import Self

from rerank_plugins.adapters.checks import check_kind, check_model, known_before_loading
from rerank_plugins.adapters.descriptions import OPTIONS
from rerank_plugins.adapters.fields import Count, Flag, LayerNumbers, Layers, Long, Name, Number, Text, option
from rerank_plugins.adapters.options import ModelOptions, engine_fields
from rerank_plugins.adapters.overrides import in_effect, override
from rerank_plugins.calibration import Calibration
from rerank_plugins.calls.flat_options import RERANKER_OPTIONS
from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.checks.moved import Moved
from rerank_plugins.embedding.kept import TokenVectorStore
from rerank_plugins.engine.score_cache import ScoreCache
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.reranker import Reranker
from rerank_plugins.types import LayerOptions, ScoreUnit, TruncationRule

__all__ = [
    "AnyRerankerOptions",
    "CompressionOptions",
    "CutoffOptions",
    "PromptOptions",
    "RerankerOptions",
]

_LAYER_NAMES = frozenset(LayerOptions.__dataclass_fields__)
_Cache = Annotated[InstanceOf[ScoreCache], SkipJsonSchema()]


def _as_store(current: ScoreCache | None, folder: str | Path | None) -> ScoreCache | TokenVectorStore | None:
    """Return the vectors of a folder, in place of a score cache."""
    if folder is None:
        return current
    if current is not None:
        msg = "score_cache and vectors were given; kept vectors leave little to cache, so leave score_cache out"
        raise InvalidInputError(msg)
    return TokenVectorStore(folder)


class PromptOptions(BaseModel):
    """What an LLM reranker takes."""

    prompt: Text | None = option("prompt", None)
    peft_path: Name | None = option("peft_path", None)


class CutoffOptions(PromptOptions):
    """How deep a layerwise LLM reranker runs."""

    cutoff_layers: LayerNumbers | None = option("cutoff_layers", None, frozen=False)


class CompressionOptions(CutoffOptions):
    """How a lightweight LLM reranker runs: how deep, and with how many of the document's tokens."""

    compress_ratio: Count | None = option("compress_ratio", None, frozen=False)
    compress_layers: LayerNumbers | None = option("compress_layers", None, frozen=False)
    head_by_layer: Flag | None = option("head_by_layer", None, frozen=False)
    attention_softcap: Flag | None = option("attention_softcap", None, frozen=False)


class RerankerOptions(ModelOptions):
    """Options of a core :class:`rerank_plugins.Reranker`, which is opened when the object is made."""

    _scorers: ClassVar[frozenset[str]] = frozenset()
    _any_model: ClassVar[str] = ""
    _grouped = RERANKER_OPTIONS

    model: Name = Field(frozen=True, description=OPTIONS["model"])
    query_max_length: Count | None = option("query_max_length", None)
    long_documents: Long = option("long_documents", "truncate")
    truncation: TruncationRule | None = option("truncation", None)
    calibration: Name | Calibration | None = option("calibration", None)
    score_cache: _Cache | None = option("score_cache", None, exclude=True)
    score_unit: ScoreUnit = option("score_unit", "raw", frozen=False)
    deadline_s: Number | None = option("deadline_s", None, frozen=False, gt=0)

    _named_by_blocks: frozenset[str] = PrivateAttr(default=frozenset())
    _stands_in_for: tuple[Any, Mapping[str, Any]] | None = PrivateAttr(default=None)

    @property
    def reranker(self) -> Reranker:
        """The core object that scores; copies share it, and other adapters may."""
        core: Reranker = self._core
        return core

    @contextmanager
    def using(self, **settings: Any) -> Iterator[Self]:
        """Use other settings in a block, where a framework's engine or retriever holds this object and calls it.

        They count for calls made by this thread or task, and by those that the framework or asyncio start in the
        block (``batch``, ``abatch``, ``run_in_executor``); calls from elsewhere, at the same time, are not touched.
        Blocks nest: an inner one changes what it names.

        Args:
            **settings: Options of the class, as in :meth:`with_settings`, whose checks and costs they share.

        Yields:
            The copy that is used.

        Raises:
            ValueError: As :meth:`with_settings`, before the block is entered.

        Example:
            >>> with reranker.using(top_n=3):
            ...     answer = query_engine.query("...")
        """
        current = self._in_effect()
        made = current.with_settings(**settings)
        # A setting counts because a block names it, also where its value is that of the object.
        made._named_by_blocks = current._named_by_blocks | settings.keys()
        with override(self, made) as copy:
            yield copy

    def _standing_in(self, **settings: Any) -> Self:
        """Return a copy with other settings for what was given this object to hold: blocks of this one reach it."""
        made = self.with_settings(**settings)
        made._stands_in_for = self, settings
        return made

    def _in_effect(self) -> Self:
        """Return what a call of this object uses: the copy of the innermost block of :meth:`using`, or this one."""
        current = in_effect(self)
        if current is not self or self._stands_in_for is None:
            return current
        original, own = self._stands_in_for
        of_block = original._in_effect()
        if of_block is original:
            return self
        made: Self = of_block.with_settings(
            **{name: value for name, value in own.items() if name not in of_block._named_by_blocks}
        )
        made._named_by_blocks = of_block._named_by_blocks
        return made

    def model_dump(self, **how: Any) -> dict[str, Any]:
        """Return the options, as pydantic does; LlamaIndex's ``to_dict`` and ``to_json`` are made of them.

        Raises:
            InvalidInputError: What scores is a backend that was passed in memory, which no options open again. A pickle
                takes it along.
        """
        self._check_storable()
        return super().model_dump(**how)

    def model_dump_json(self, **how: Any) -> str:
        """Return the options as JSON; raises as :meth:`model_dump`."""
        self._check_storable()
        return super().model_dump_json(**how)

    def _check_storable(self) -> None:
        # What another library loaded has a name that may open it; the name of a backend in memory opens nothing.
        if self.reranker.is_reopenable and not self.reranker.is_named:
            owner = type(self).__name__
            msg = (
                f"this {owner} scores with a backend that was passed in memory, which {self.model!r} does not open, so "
                f"its options cannot be stored; register the backend (rerank_plugins.backends.named.register_backend) "
                f"and name it: {owner}(model=...), describe a cascade or an ensemble in a file "
                f'({owner}(model="cascade:FILE.yaml")), or pickle the object'
            )
            raise InvalidInputError(msg)

    @model_validator(mode="after")
    def _check_loaded(self) -> Self:
        self._check(self.reranker.spec, default=self.reranker.layers)
        return self

    @classmethod
    def _around_reranker(cls, reranker: Reranker, overrides: Mapping[str, Any]) -> Self:
        """Return an object that uses ``reranker``, with the options that it was made with, then ``overrides``."""
        expected = (
            "a rerank_plugins.Reranker (wrap the model of another library with Reranker.from_loaded(...); a model's "
            "name goes to the constructor)"
        )
        check_kind("reranker", reranker, Reranker, expected=expected)
        return cls._from_core(reranker, cls._described(reranker), overrides)

    @classmethod
    def _described(cls, reranker: Reranker) -> dict[str, Any]:
        """Return the options that a core object was made with."""
        return {
            "query_max_length": reranker.query_max_length,
            "long_documents": reranker.long_documents,
            "truncation": reranker.truncation,
            "prompt": reranker.spec.prompt or None,
            "peft_path": reranker.peft_path,
            "calibration": reranker.calibration,
            "score_cache": reranker.cache,
            "vectors": None if reranker.vectors is None else str(reranker.vectors.folder),
            **engine_fields(reranker.engine),
            **cls._layers_of(reranker),
        }

    def _open(self) -> Reranker:
        known = known_before_loading(self.model, family=self.family)
        if known is not None:
            self._check(known)
        return Reranker(self.model, **self._loading_options())

    def _check(self, spec: ModelSpec, *, default: LayerOptions | None = None) -> None:
        owner, layers = type(self).__name__, self._layer_options()
        check_model(spec, owner=owner, scorers=self._scorers, instead=self._any_model, layers=layers, default=default)

    def _layer_options(self) -> LayerOptions | None:
        """Return the layers that calls ask for; a class without such options asks for none."""
        names = _LAYER_NAMES & type(self).model_fields.keys()
        return LayerOptions(**{name: getattr(self, name) for name in names}) if names else None

    @classmethod
    def _layers_of(cls, reranker: Reranker) -> dict[str, Any]:
        """Return the layers that a core object was made with, as options of this class."""
        if reranker.layers is None:
            return {}
        return {name: getattr(reranker.layers, name) for name in _LAYER_NAMES}

    def _call_options(self) -> dict[str, Any]:
        return {"layers": self._layer_options(), "deadline_s": self.deadline_s}


class AnyRerankerOptions(PromptOptions, RerankerOptions):
    """Options of the classes that take every model."""

    _grouped: ClassVar[Mapping[str, Moved]] = MappingProxyType(
        {**RERANKER_OPTIONS, "vectors": Moved("cache", "cache=TokenVectorStore(...)", _as_store)}
    )

    layers: Layers | None = option("layers", None, frozen=False)
    vectors: Name | None = option("vectors", None)

    def _layer_options(self) -> LayerOptions | None:
        return self.layers

    @classmethod
    def _layers_of(cls, reranker: Reranker) -> dict[str, Any]:
        return {"layers": reranker.layers}
