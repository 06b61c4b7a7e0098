"""Options that every adapter with a model of its own has, and how such an object is copied and pickled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from typing import Any, TypeVar

from llama_index.core.bridge.pydantic import ConfigDict, PrivateAttr, field_validator, model_validator
from llama_index.core.callbacks import CallbackManager
from llama_index.core.schema import BaseComponent
from typing_extensions import Self

from rerank_plugins.adapting import check_kind, is_same, same_model
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.fields import Count, Switch, Text, option

__all__ = ["Given", "LocalModelOptions", "check_is_a"]

_Model = TypeVar("_Model")


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """A core object that exists already, passed as validation context instead of opening one.

    Attributes:
        core: A ``Reranker`` or an ``Embedder``.
        adopted: Whether a caller made it; its options are then not all known.
    """

    core: Any
    adopted: bool


class LocalModelOptions(BaseComponent):
    """Base of the adapters: the options that decide which weights are loaded, and where.

    These are fixed once the object exists, because the weights are loaded then; the others may be
    changed at any time, and a refused value changes nothing. :meth:`with_settings` gives a copy with
    other options of either kind. A misspelt option is an error. A copy, deep or not, shares the loaded
    model. A pickle holds the options only: unpickling opens the model again, and starts with a new
    callback manager; around a core object that was passed in, it holds what that one was made with.

    Objects are equal if their class, their options and their model are. What LlamaIndex leaves out of the
    stored forms (``to_dict``, ``to_json``), such as the callback manager, does not count.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    device: Text | None = option("device", None)
    dtype: Text = option("dtype", "auto")
    max_length: Count | None = option("max_length", None)
    family: Text | None = option("family", None)
    revision: Text | None = option("revision", None)
    local_files_only: Switch = option("local_files_only", default=False)
    allow_pickle: Switch = option("allow_pickle", default=False)
    trust_remote_code: Switch = option("trust_remote_code", default=False)
    torch_compile: Switch = option("torch_compile", default=False)

    _core: Any = PrivateAttr(default=None)
    _is_adopted: bool = PrivateAttr(default=False)

    def with_settings(self, **settings: Any) -> Self:
        """Return a copy with other options; it shares the loaded weights.

        A copy takes less than a millisecond while only options that may be changed differ (``top_n``, ``threshold``,
        layers, ...). For one of the others (``max_length``, ``prompt``, ``long_documents``, ...) the model's
        files are looked up again, and its weights are shared if it is the same model, device and dtype.

        Raises:
            ValueError: An option is unknown, cannot work, or decides how a model is loaded that this object
                did not open itself.
        """
        return self.model_copy(update=settings)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with other options, all checked; see :meth:`with_settings`.

        Args:
            update: Options to change.
            deep: Not needed: options are values, and the loaded model is always shared.
        """
        changed = dict(update or {})
        before = {name: getattr(self, name) for name in type(self).model_fields}
        frozen = [name for name, field in type(self).model_fields.items() if field.frozen]
        if all(is_same(changed.get(name, before[name]), before[name]) for name in frozen):
            return type(self).model_validate({**before, **changed}, context=Given(self._core, self._is_adopted))
        if self._is_adopted:
            msg = (
                f"this {type(self).__name__} uses a model that was passed to it in memory, so {sorted(changed)} cannot "
                f"change how it is loaded; create it by name, {type(self).__name__}(...), instead"
            )
            raise InvalidInputError(msg)
        return type(self)(**{**before, **changed})

    def __setattr__(self, name: str, value: Any) -> None:
        field = type(self).model_fields.get(name)
        if field is not None and not field.frozen:
            # pydantic keeps a value that a check of the whole object refuses; this refuses it before.
            self.model_copy(update={name: value})
        super().__setattr__(name, value)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        if data.get("class_name") == cls.class_name():
            data = {name: value for name, value in data.items() if name != "class_name"}
        known = cls._option_names()
        unknown = [str(name) for name in data if name not in known]
        if unknown:
            raise InvalidInputError(_unknown_option(cls.__name__, unknown[0], known))
        return data

    @field_validator("callback_manager", mode="before", check_fields=False)
    @classmethod
    def _check_callbacks(cls, callback_manager: Any) -> Any:
        # LlamaIndex's own type accepts anything.
        if callback_manager is None:
            return CallbackManager()
        check_kind("callback_manager", callback_manager, CallbackManager, told="a CallbackManager or None")
        return callback_manager

    @classmethod
    def _option_names(cls) -> list[str]:
        aliases = [field.validation_alias for field in cls.model_fields.values()]
        names = [one for alias in aliases for one in getattr(alias, "choices", [])]
        return sorted({*cls.model_fields, *names})

    @classmethod
    def _adopt(cls, model: Any, described: dict[str, Any], options: dict[str, Any]) -> Self:
        """Return an object that uses a model which is already in memory."""
        fixed = [name for name in options if name in cls.model_fields and cls.model_fields[name].frozen]
        if fixed:
            msg = (
                f"{', '.join(fixed)} cannot be set here: the {type(model).__name__} that was passed decides it. "
                f"Set it there, or call {cls.__name__}(...) with the model's name instead"
            )
            raise InvalidInputError(msg)
        return cls.model_validate({**described, **options}, context=Given(model, adopted=True))

    def _given_or(self, context: Any, open_model: Callable[[], _Model]) -> _Model:
        """Return the model that the validation context brings, or open one."""
        if isinstance(context, Given):
            self._core, self._is_adopted = context.core, context.adopted
        else:
            self._core = open_model()
        model: _Model = self._core
        return model

    def _loading_options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in LocalModelOptions.model_fields}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LocalModelOptions) or type(self) is not type(other):
            return NotImplemented
        # One that was opened by name is told by its options; one that was passed in memory is not.
        same = not (self._is_adopted or other._is_adopted) or same_model(self._core, other._core)
        return same and self._stored_options() == other._stored_options()

    def _stored_options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name, field in type(self).model_fields.items() if not field.exclude}

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self.model_copy()

    def __reduce__(self) -> tuple[Any, ...]:
        options = {name: getattr(self, name) for name in type(self).model_fields if name != "callback_manager"}
        if self._is_adopted:
            # A core object knows whether it can be made again elsewhere, and says so if it cannot.
            return _around_again, (type(self), options, self._core)
        return partial(type(self), **options), ()


def check_is_a(model: object, expected: type[Any]) -> None:
    """Raise InvalidInputError unless ``model`` is an ``expected``."""
    if not isinstance(model, expected):
        msg = (
            f"expected a {expected.__name__} of rerank_plugins, got {type(model).__name__}. Wrap the model of "
            "another library first, or pass its name to the constructor instead"
        )
        raise InvalidInputError(msg)


def _around_again(owner: type[LocalModelOptions], options: dict[str, Any], core: Any) -> LocalModelOptions:
    return owner.model_validate(options, context=Given(core, adopted=True))


def _unknown_option(owner: str, name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    return f"{owner} has no option {name!r}{hint} Its options: {', '.join(known)}"
