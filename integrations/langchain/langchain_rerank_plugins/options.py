"""What every class here has in common: the options that open a model, and the opened model itself.

The core shares weights per process, so opening the same model again (a copy, an unpickled object, a
second compressor with another ``top_n``) costs no second set of weights.
"""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator
from typing_extensions import Self

from rerank_plugins.adapting import is_same, same_model
from rerank_plugins.described import OPTIONS
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.fields import Count, Name, Switch, Text, option

__all__ = ["CoreBacked", "Given"]


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """A core object that exists already, passed as validation context instead of opening one.

    Attributes:
        core: A ``Reranker`` or an ``Embedder``.
        adopted: Whether a caller made it; its options are then not all known.
    """

    core: Any
    adopted: bool


class CoreBacked(BaseModel, ABC):
    """Base of all classes here: options as fields, one core object behind them.

    The fields that choose the model are frozen, because a change could not reach weights that are
    loaded. The others may be assigned, and are checked when they are; a refused value changes nothing.
    :meth:`with_settings` gives a copy with other options of either kind.

    ``copy.copy`` and ``copy.deepcopy`` share the loaded model. Pickling keeps the options only: unpickling opens the
    model again, on the machine where it happens. An object made from an existing core object (``from_reranker``,
    ``from_embedder``) is pickled with what that was made with, and cannot be if another library loaded its model.

    Objects are equal when their class, options and model are; ``model_dump()`` gives the options, and the class called
    with them an equal object.

    Raises:
        pydantic.ValidationError: (a ``ValueError``) An unknown option, or a value that cannot work.
        rerank_plugins.errors.ModelError: The model cannot be resolved or loaded; the message says
            the way out.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    model: Name = Field(frozen=True, description=OPTIONS["model"])
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
    _adopted: bool = PrivateAttr(default=False)

    @model_validator(mode="before")
    @classmethod
    def _only_known_options(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            for name in data:
                if name not in cls.model_fields:
                    raise InvalidInputError(_unknown_option(cls, str(name)))
        return data

    def model_post_init(self, context: Any, /) -> None:
        """Open the model, unless the validation context brings one."""
        if isinstance(context, Given):
            self._core, self._adopted = context.core, context.adopted
        else:
            self._core = self._open()

    @abstractmethod
    def _open(self) -> Any:
        """Return the core object that these options describe."""

    def close(self) -> None:
        """Give the model back; the last holder's call frees the weights.

        Copies share the core object, so this closes them too, and one that was passed in likewise.
        """
        self._core.close()

    def with_settings(self, **settings: Any) -> Self:
        """Return a copy with other options; it shares the loaded weights.

        A copy takes less than a millisecond while only options that may be assigned differ (``top_n``, ``threshold``,
        layers, ...). For one of the others (``max_length``, ``prompt``, ``long_documents``, ...) the model's
        files are looked up again, and its weights are shared if it is the same model, device and dtype.

        Raises:
            pydantic.ValidationError: (a ``ValueError``) An unknown option, or a value that cannot work.
            InvalidInputError: An option of the model changes, and the object was made from an existing
                core object.
        """
        return self.model_copy(update=settings)

    def __setattr__(self, name: str, value: Any) -> None:
        field = type(self).model_fields.get(name)
        if field is not None and not field.frozen:
            # pydantic keeps a value that a check of the whole object refuses; this refuses it before.
            self.model_copy(update={name: value})
        super().__setattr__(name, value)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with other options, all checked; the model is opened again only if they need it.

        Args:
            update: Options to change.
            deep: Not needed: options are immutable values, and the loaded model is always shared.

        Raises:
            InvalidInputError: An option of the model changes, and the object was made from an
                existing core object.
        """
        before = self._options()
        options = {**before, **(update or {})}
        if all(is_same(options[name], before[name]) for name in _frozen_fields(type(self))):
            return type(self).model_validate(options, context=Given(self._core, self._adopted))
        if self._adopted:
            msg = (
                f"this {type(self).__name__} uses a model that it did not open, so {sorted(update or {})} cannot "
                f"change how it is loaded; make a new one with {type(self).__name__}(model=...)"
            )
            raise InvalidInputError(msg)
        return type(self)(**options)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CoreBacked) or type(self) is not type(other):
            return NotImplemented
        # One that was opened by name is told by its options; one that was passed in memory is not.
        same = not (self._adopted or other._adopted) or same_model(self._core, other._core)
        return same and self._options() == other._options()

    def __copy__(self) -> Self:
        return self.model_copy()

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self.model_copy()

    def __reduce__(self) -> tuple[Any, ...]:
        if self._adopted:
            # A core object knows whether it can be made again elsewhere, and says so if it cannot.
            return _around_again, (type(self), self._options(), self._core)
        return _reopen, (type(self), self._options())

    def _options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in type(self).model_fields}

    def _loading_options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _frozen_fields(type(self))}

    @classmethod
    def _from_core(cls, core: Any, described: dict[str, Any], given: Mapping[str, Any] | None = None) -> Self:
        """Return an object that uses ``core``.

        Args:
            core: What does the work.
            described: The options that it was made with.
            given: What the caller asks for beside them.

        Raises:
            InvalidInputError: An option is one that the core object decides.
        """
        fixed = [name for name in given or {} if name in _frozen_fields(cls)]
        if fixed:
            msg = (
                f"{', '.join(fixed)} cannot be set here: the {type(core).__name__} that was passed decides it. Set it "
                f"there, or call {cls.__name__}(model=...) instead"
            )
            raise InvalidInputError(msg)
        known = {
            "model": core.model,
            "device": core.device,
            "dtype": core.dtype,
            "max_length": core.max_length,
            "family": core.spec.family,
        }
        return cls.model_validate({**known, **described, **(given or {})}, context=Given(core, adopted=True))


def _frozen_fields(owner: type[BaseModel]) -> list[str]:
    return [name for name, field in owner.model_fields.items() if field.frozen]


def _unknown_option(owner: type[BaseModel], name: str) -> str:
    close = difflib.get_close_matches(name, owner.model_fields, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"{owner.__name__} has no option {name!r}.{hint} Its options: {', '.join(owner.model_fields)}"


def _reopen(owner: type[CoreBacked], options: dict[str, Any]) -> CoreBacked:
    return owner(**options)


def _around_again(owner: type[CoreBacked], options: dict[str, Any], core: Any) -> CoreBacked:
    return owner.model_validate(options, context=Given(core, adopted=True))
