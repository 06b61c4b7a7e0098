"""What LlamaIndex's components have beside the options of every adapter: a class name, and callbacks."""

from __future__ import annotations

from typing import Any, ClassVar

from llama_index.core.bridge.pydantic import field_validator, model_validator
from llama_index.core.callbacks import CallbackManager
from llama_index.core.schema import BaseComponent
from typing_extensions import Self

from rerank_plugins.adapters.checks import check_kind
from rerank_plugins.adapters.embedding import EmbedderOptions

__all__ = ["ComponentOptions", "EmbeddingOptions", "check_callbacks"]

_VECTORS_KEY = "vectors_key"


class ComponentOptions(BaseComponent):
    """Base of the components here: inherited in front of the options of a model.

    A pickle holds no callback manager, and unpickling starts with a new one. What LlamaIndex leaves out of the stored
    forms (``to_dict``, ``to_json``), such as the callback manager, does not count when objects are compared.
    """

    _not_pickled: ClassVar[frozenset[str]] = frozenset({"callback_manager"})
    _stored_beside: ClassVar[frozenset[str]] = frozenset({"class_name"})

    @classmethod
    def class_name(cls) -> str:
        """Return the name by which LlamaIndex serialises the class."""
        return cls.__name__

    @model_validator(mode="before")
    @classmethod
    def _options_of_a_stored_form(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("class_name") == cls.class_name():
            return {name: value for name, value in data.items() if name not in cls._stored_beside}
        return data

    @field_validator("callback_manager", mode="before", check_fields=False)
    @classmethod
    def _check_callbacks(cls, callback_manager: Any) -> Any:
        check_callbacks(callback_manager)
        return CallbackManager() if callback_manager is None else callback_manager


class EmbeddingOptions(ComponentOptions, EmbedderOptions):
    """Base of the components that make vectors.

    ``to_dict`` holds, beside the options, what the vectors of documents are known by
    (:meth:`rerank_plugins.Embedder.vectors_key`): the cache of an ``IngestionPipeline`` knows a component by it, and
    has no vectors of another model in a folder of the same name. What makes an object of it leaves that out.
    """

    _stored_beside: ClassVar[frozenset[str]] = frozenset({"class_name", _VECTORS_KEY})

    def to_dict(self, **kwargs: Any) -> dict[str, Any]:
        """Return the stored form, from which ``from_dict`` makes an equal object."""
        return {**super().to_dict(**kwargs), _VECTORS_KEY: self._vectors_key(is_query=False)}

    @classmethod
    def from_dict(cls, data: dict[str, Any], **kwargs: Any) -> Self:
        """Return an object with the options of a stored form."""
        # The base takes the class's name away, by which a stored form is told from options.
        return super().from_dict({name: value for name, value in data.items() if name != _VECTORS_KEY}, **kwargs)


def check_callbacks(callback_manager: object) -> None:
    """Raise InvalidInputError unless it is None or a callback manager; LlamaIndex's own type accepts anything."""
    kinds = (CallbackManager, type(None))
    check_kind("callback_manager", callback_manager, kinds, expected="a CallbackManager or None")
