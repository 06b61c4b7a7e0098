"""The options that every adapter class with a model has, and how such an object is made, changed, copied and pickled.

The core shares weights in the process, so opening the same model again (a copy with other options, an unpickled
object, a second adapter) costs no second set of weights.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, PrivateAttr, model_validator
from typing_extensions import Self

from rerank_plugins.adapters.checks import is_same, same_model
from rerank_plugins.adapters.fields import Count, Flag, Number, Text, option
from rerank_plugins.backends.named import opener_of
from rerank_plugins.catalog.spec import ModelKind
from rerank_plugins.checks.moved import Moved, regrouped
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.types import EngineOptions

__all__ = ["ExistingModel", "ModelOptions", "engine_fields"]


@dataclass(frozen=True, slots=True, eq=False)
class ExistingModel:
    """A core object that exists already, passed as validation context instead of opening one.

    Attributes:
        core: A ``Reranker`` or an ``Embedder``.
        is_adopted: Whether a caller made it; its options are then not all known.
    """

    core: Any
    is_adopted: bool


_ENGINE_NAMES = tuple(EngineOptions.__dataclass_fields__)
_SOURCE_NAMES = ("revision", "local_files_only", "allow_pickle", "trust_remote_code")
_OF_CHECKPOINTS = ("device", "dtype", "family", "truncation")


def engine_fields(engine: EngineOptions | None) -> dict[str, Any]:
    """Return engine options as options of an adapter; None stands for the defaults."""
    used = engine or EngineOptions()
    return {name: getattr(used, name) for name in _ENGINE_NAMES}


class ModelOptions(BaseModel, ABC):
    """Base of the adapters: options as fields, one core object behind them.

    The fields that decide how the model is loaded or run are frozen, because a change could not reach what is loaded.
    The others may be assigned, and are checked when they are; a refused value changes nothing. :meth:`with_settings`
    gives a copy with other options of either kind. An unknown option is an error.

    ``copy.copy`` and ``copy.deepcopy`` share the loaded model. A pickle holds the options only: unpickling opens the
    model again, where it happens. An object around a core object that was passed in is pickled with what that was made
    with, and cannot be if another library loaded its model.

    Objects are equal if their class, their options and their model are. What is left out of the stored forms does not
    count, such as ``score_cache``, which is no plain value.

    Raises:
        pydantic.ValidationError: (a ``ValueError``) An unknown option, or a value that cannot work.
        rerank_plugins.errors.ModelError: The model cannot be resolved or loaded; the message says the way out.
        rerank_plugins.errors.DeviceUnavailableError: The device is not on this machine.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    _model_name: ClassVar[str] = "model"
    _kind: ClassVar[ModelKind] = "reranker"
    _not_pickled: ClassVar[frozenset[str]] = frozenset()
    _grouped: ClassVar[Mapping[str, Moved]] = MappingProxyType({})

    device: Text | None = option("device", None)
    dtype: Text = option("dtype", "auto")
    max_length: Count | None = option("max_length", None)
    family: Text | None = option("family", None)
    revision: Text | None = option("revision", None)
    local_files_only: Flag = option("local_files_only", default=False)
    allow_pickle: Flag = option("allow_pickle", default=False)
    trust_remote_code: Flag = option("trust_remote_code", default=False)
    torch_compile: Flag = option("torch_compile", default=False)
    deadline_s: Number | None = option("deadline_s", None, gt=0)
    max_waiting_tokens: Count | None = option("max_waiting_tokens", None)
    max_wait_ms: Number = option("max_wait_ms", 0.0, ge=0)
    max_batch_tokens: Count | None = option("max_batch_tokens", None)
    token_cache: Flag = option("token_cache", default=True)
    share_prefix: Flag = option("share_prefix", default=True)

    _core: Any = PrivateAttr(default=None)
    _is_adopted: bool = PrivateAttr(default=False)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            known = cls._option_names()
            unknown = next((str(name) for name in data if name not in known), None)
            if unknown is not None:
                raise InvalidInputError(_unknown_option(cls.__name__, unknown, known))
        return data

    def model_post_init(self, context: Any, /) -> None:
        """Open the model, unless the validation context brings one."""
        if isinstance(context, ExistingModel):
            self._core, self._is_adopted = context.core, context.is_adopted
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
            ValueError: An option is unknown, cannot work, or decides how a model is loaded that this object did not
                open itself.
        """
        return self.model_copy(update=settings)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with other options, all checked; see :meth:`with_settings`.

        Args:
            update: Options to change.
            deep: Not needed: options are values, and the loaded model is always shared.
        """
        before = self._options()
        options = {**before, **(update or {})}
        if all(is_same(options[name], before[name]) for name in self._fixed_names()):
            return self._from_existing(ExistingModel(self._core, self._is_adopted), options)
        if self._is_adopted:
            owner = type(self).__name__
            msg = (
                f"this {owner} uses a model that was passed to it in memory and that it did not open, so "
                f"{sorted(update or {})} cannot change how it is loaded; make a new one by name, "
                f"{owner}({self._model_name}=...), instead"
            )
            raise InvalidInputError(msg)
        return type(self)(**options)

    def __setattr__(self, name: str, value: Any) -> None:
        field = type(self).model_fields.get(name)
        if field is not None and not field.frozen:
            # pydantic keeps a value that a check of the whole object refuses; this refuses it before.
            self.model_copy(update={name: value})
        super().__setattr__(name, value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ModelOptions) or type(self) is not type(other):
            return NotImplemented
        # One that was opened by name is known by its options; one that was passed in memory is not.
        same = not (self._is_adopted or other._is_adopted) or same_model(self._core, other._core)
        return same and self._stored_options() == other._stored_options()

    def __copy__(self) -> Self:
        return self.model_copy()

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self.model_copy()

    def __reduce__(self) -> tuple[Any, ...]:
        options = {name: value for name, value in self._options().items() if name not in self._not_pickled}
        # A core object knows whether it can be made again elsewhere, and says so if it cannot.
        return _made_again, (type(self), options, self._core if self._is_adopted else None)

    @classmethod
    def _option_names(cls) -> list[str]:
        aliases = [field.validation_alias for field in cls.model_fields.values()]
        names = [one for alias in aliases for one in getattr(alias, "choices", [])]
        return list(dict.fromkeys([cls._model_name, *cls.model_fields, *names]))

    @classmethod
    def _fixed_names(cls) -> list[str]:
        return [name for name, field in cls.model_fields.items() if field.frozen]

    def _options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in type(self).model_fields}

    def _stored_options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name, field in type(self).model_fields.items() if not field.exclude}

    def _loading_options(self) -> dict[str, Any]:
        """Return what the core's constructor takes beside the model."""
        options = {name: getattr(self, name) for name in self._fixed_names() if name != self._model_name}
        if "family" in options and self._is_default_family() and self._names_backend():
            # The class's word for local folders whose name does not tell; a backend of texts has none.
            options["family"] = None
        engine = {name: options.pop(name) for name in _ENGINE_NAMES if name in options}
        return {**regrouped(options, self._grouped), "engine": EngineOptions(**engine)}

    def _is_default_family(self) -> bool:
        return bool(getattr(self, "family", None) == type(self).model_fields["family"].default)

    def _names_backend(self) -> bool:
        return opener_of(getattr(self, self._model_name), kind=self._kind) is not None

    @classmethod
    def _from_core(cls, core: Any, described: Mapping[str, Any], overrides: Mapping[str, Any]) -> Self:
        """Return an object that uses a core object of the caller's.

        Args:
            core: What does the work.
            described: The options that it was made with; those that the class does not have are left out.
            overrides: What the caller asks for beside them.

        Raises:
            InvalidInputError: An option is one that the core object decides.
        """
        fixed = [name for name in overrides if name in cls._fixed_names()]
        if fixed:
            msg = (
                f"{', '.join(fixed)} cannot be set here: the {type(core).__name__} that was passed decides it. Set it "
                f"there, or call {cls.__name__}({cls._model_name}=...) instead"
            )
            raise InvalidInputError(msg)
        known = {
            cls._model_name: core.model,
            "device": core.device,
            "dtype": core.dtype,
            "max_length": core.max_length,
            "family": core.spec.family,
            **{name: getattr(core.source, name) for name in _SOURCE_NAMES},
            **described,
        }
        # A backend of texts has no precision, and is asked for nothing that says how a checkpoint is read here.
        left_out = () if core.dtype else _OF_CHECKPOINTS
        options = {name: value for name, value in known.items() if name in cls.model_fields and name not in left_out}
        return cls._from_existing(ExistingModel(core, is_adopted=True), {**options, **overrides})

    @classmethod
    def _from_existing(cls, model: ExistingModel, options: Mapping[str, Any]) -> Self:
        return cls.model_validate(dict(options), context=model)


def _unknown_option(owner: str, name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"{owner} has no option {name!r}.{hint} Its options: {', '.join(known)}"


def _made_again(owner: type[ModelOptions], options: dict[str, Any], core: Any | None) -> ModelOptions:
    return owner(**options) if core is None else owner._from_existing(ExistingModel(core, is_adopted=True), options)
