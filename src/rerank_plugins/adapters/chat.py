"""Options of the classes that rank with a framework's chat model. The framework says how its model is called."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, fields
from functools import partial
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, PlainSerializer, SkipValidation, model_validator
from pydantic.json_schema import SkipJsonSchema

from rerank_plugins.adapters.fields import Flag, Text, option
from rerank_plugins.adapters.ranking import RankingOptions
from rerank_plugins.adapters.values import as_options
from rerank_plugins.backends.chat import ChatScorer
from rerank_plugins.chat import ChatLimits, ChatPrice, Listwise, Pairwise, Pointwise, Setwise
from rerank_plugins.chat.methods import METHODS
from rerank_plugins.chat.model import ChatModel
from rerank_plugins.chat.prompts import ListPrompt, PassagePrompt
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.reranker import Reranker

__all__ = ["ChatRankingOptions"]

_CLASSES: Mapping[str, type[Any]] = MappingProxyType(
    {"pointwise": Pointwise, "pairwise": Pairwise, "setwise": Setwise, "listwise": Listwise}
)


def _as_method(value: Any) -> Any:
    """Return the method that a name or a stored mapping stands for, and anything else as it is."""
    if isinstance(value, Mapping):
        kind = _CLASSES.get(str(value.get("name")))
        if kind is None:
            msg = f"a stored method has a name of {', '.join(_CLASSES)}, got {value.get('name')!r}"
            raise InvalidInputError(msg)
        settings = {name: _as_prompt(one) for name, one in value.items() if name != "name"}
        return as_options(kind, settings)
    if isinstance(value, str) and value not in METHODS:
        msg = f"method must be one of {', '.join(METHODS)}, or an object such as Listwise(window=10); got {value!r}"
        raise InvalidInputError(msg)
    return value


def _as_prompt(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return as_options(ListPrompt if "before" in value else PassagePrompt, value)


def _stored_method(value: Any) -> Any:
    name = next((name for name, kind in _CLASSES.items() if type(value) is kind), None)
    if isinstance(value, str) or name is None:
        return value
    return {"name": name, **{one.name: _stored_field(getattr(value, one.name)) for one in fields(value)}}


def _stored_field(value: Any) -> Any:
    return asdict(value) if isinstance(value, (ListPrompt, PassagePrompt)) else value


Method = Annotated[Any, BeforeValidator(_as_method), PlainSerializer(_stored_method)]
Limits = Annotated[ChatLimits, BeforeValidator(partial(as_options, ChatLimits))]
Price = Annotated[ChatPrice, BeforeValidator(partial(as_options, ChatPrice))]


class ChatRankingOptions(RankingOptions):
    """Options of a class that ranks with a chat model.

    ``model`` is what the chat model calls itself. The model is no plain value: stored forms (``model_dump``,
    ``to_dict``) hold everything else, and are opened with it, ``Class(llm=llm, **stored)``. A pickle takes it along.
    """

    _own: ClassVar[frozenset[str]] = frozenset({"llm", "method", "limits", "price", "is_fenced"})

    llm: SkipJsonSchema[Annotated[Any, SkipValidation]] = option("llm", None, exclude=True)
    model: Text = option("model", "")
    method: Method = option("method", "listwise")
    limits: Limits | None = option("limits", None)
    price: Price | None = option("price", None)
    is_fenced: Flag = option("is_fenced", default=True)

    @classmethod
    @abstractmethod
    def _chat_model(cls, llm: Any) -> ChatModel:
        """Return a framework's chat model as one of the core, or raise InvalidInputError if it is none."""

    @model_validator(mode="before")
    @classmethod
    def _name_model(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or data.get("llm") is None or not isinstance(data.get("model", ""), str):
            return data
        return {**data, "model": cls._chat_model(data["llm"]).name}

    @classmethod
    def _described(cls, reranker: Reranker) -> dict[str, Any]:
        scorer = getattr(reranker._lease.value, "backend", None)
        chat = scorer._options() if isinstance(scorer, ChatScorer) else {}
        return {**super()._described(reranker), **{name: chat[name] for name in cls._own & chat.keys()}}

    def _open(self) -> Reranker:
        owner = type(self).__name__
        if self.llm is None:
            msg = (
                f"{owner} needs the chat model that ranks: {owner}(llm=...). A model of an endpoint is named in the "
                "class that takes every model: model='openai-chat:gpt-4o-mini'"
            )
            raise InvalidInputError(msg)
        scorer = ChatScorer(
            self._chat_model(self.llm),
            method=self.method,
            limits=self.limits,
            price=self.price,
            is_fenced=self.is_fenced,
        )
        return Reranker(backend=scorer, **self._loading_options())

    def _loading_options(self) -> dict[str, Any]:
        return {name: value for name, value in super()._loading_options().items() if name not in self._own}

    def _check_storable(self) -> None:
        """Check nothing: what is stored says that the model must be passed again."""
