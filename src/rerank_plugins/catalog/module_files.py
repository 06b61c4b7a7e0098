"""Single entries of ``modules.json``: what a module is, where it lies, and what its config says.

Reference: sentence-transformers 6.2 ``base/model.py`` and ``base/modules/dense.py``. Of each module every setting is
used, known not to change a number, or refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from rerank_plugins.catalog.file_names import named_folder
from rerank_plugins.errors import UnsupportedModelError

__all__ = [
    "TEXT_VECTOR",
    "TOKEN_VECTORS",
    "DenseStep",
    "ModuleFile",
    "check_names",
    "dense_step",
    "module_entries",
    "size_of",
]

_PACKAGE = "sentence_transformers."
TEXT_VECTOR, TOKEN_VECTORS = "sentence_embedding", "token_embeddings"
"""What a module works on, in sentence-transformers' words."""

_DEFAULT_ACTIVATION = "torch.nn.modules.activation.Tanh"
_ACTIVATION_PACKAGES = ("torch.nn", "torch.nn.modules.activation", "torch.nn.modules.linear")
_ACTIVATIONS = (  # noqa: SIM905 - a list literal would take a line for each
    "CELU ELU GELU Hardsigmoid Hardshrink Hardswish Hardtanh Identity LeakyReLU LogSigmoid Mish ReLU ReLU6 SELU SiLU "
    "Sigmoid Softplus Softshrink Softsign Tanh Tanhshrink"
).split()
"""Of torch, without weights and without arguments: sentence-transformers saves the name alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseStep:
    """A linear layer and its activation: ``activation(x @ weight.T + bias)``, plus ``x`` or its projection.

    Attributes:
        folder: Where the weights are.
        n_in: Width of what comes in.
        n_out: Width of what goes out.
        has_bias: Whether there is a bias.
        activation: Name of a class in ``torch.nn``.
        is_residual: Whether what comes in is added, projected where the widths differ.
    """

    folder: Path
    n_in: int
    n_out: int
    has_bias: bool
    activation: str
    is_residual: bool


@dataclass(frozen=True, slots=True)
class ModuleFile:
    """One entry of ``modules.json``."""

    folder: Path
    kind: str
    read_json: Callable[[Path], Any]

    @classmethod
    def listed(
        cls,
        folder: Path,
        entry: Mapping[str, Any],
        read_json: Callable[[Path], Any],
        *,
        known: Sequence[str],
        packages: Sequence[str] = (_PACKAGE,),
    ) -> ModuleFile:
        """Return a checked entry: a class of sentence-transformers, in a folder inside the checkpoint."""
        name = str(entry.get("type", ""))
        kind = name.rsplit(".", 1)[-1]
        if kind not in known or not name.startswith(tuple(packages)):
            msg = (
                f"{str(folder / 'modules.json')!r} needs the module {name!r}, which this package does not run; it runs "
                f"sentence-transformers' {', '.join(known)}. Use the model with sentence-transformers itself, or "
                "choose another one."
            )
            raise UnsupportedModelError(msg)
        return cls(named_folder(folder, entry.get("path"), named_by="modules.json"), kind, read_json)

    def settings(self, known: Sequence[str]) -> Mapping[str, Any]:
        """Return the module's config, or raise UnsupportedModelError if it has a key that is not ``known``."""
        config = self.read_json(self.folder / "config.json")
        if not isinstance(config, Mapping):
            self.refuse("is not a JSON object")
        unknown = sorted(set(config) - set(known))
        if unknown:
            self.refuse(f"has the settings {unknown}, which this package does not know for {self.kind}")
        return config

    def refuse(self, why: str) -> NoReturn:
        """Raise the error that names the file."""
        msg = (
            f"{str(self.folder / 'config.json')!r} {why}; the vectors would be others than those of "
            "sentence-transformers. Use the model with sentence-transformers itself, or choose another one."
        )
        raise UnsupportedModelError(msg)


def module_entries(folder: Path, listed: object) -> list[Mapping[str, Any]]:
    """Return the entries of a ``modules.json``, or raise UnsupportedModelError if it holds something else."""
    if not isinstance(listed, list) or not all(isinstance(entry, Mapping) for entry in listed):
        msg = f"{str(folder / 'modules.json')!r} is not a list of modules; download the checkpoint again"
        raise UnsupportedModelError(msg)
    return listed


def dense_step(module: ModuleFile, *, works_on: str = TEXT_VECTOR) -> DenseStep:
    """Return the layer that a Dense module is, or raise UnsupportedModelError if it is another."""
    names = ("module_input_name", "module_output_name")
    config = module.settings(("in_features", "out_features", "bias", "activation_function", "use_residual", *names))
    check_names(module, config, works_on=works_on)
    flags = {"bias": config.get("bias", True), "use_residual": config.get("use_residual", False)}
    if not all(isinstance(flag, bool) for flag in flags.values()):
        module.refuse(f"has {flags}, expected true or false")
    activation = config.get("activation_function", _DEFAULT_ACTIVATION)
    package, _, name = str(activation).rpartition(".")
    if package not in _ACTIVATION_PACKAGES or name not in _ACTIVATIONS:
        module.refuse(f"has the activation {activation!r}, expected one of torch.nn's {', '.join(_ACTIVATIONS)}")
    return DenseStep(
        folder=module.folder,
        n_in=size_of(module, config, "in_features"),
        n_out=size_of(module, config, "out_features"),
        has_bias=flags["bias"],
        activation=name,
        is_residual=flags["use_residual"],
    )


def check_names(module: ModuleFile, config: Mapping[str, Any], *, works_on: str = TEXT_VECTOR) -> None:
    """Refuse a module that works on something else: the vector of a text, its tokens, or scores."""
    takes = config.get("module_input_name", works_on)
    gives = config.get("module_output_name") or takes
    if (takes, gives) != (works_on, works_on):
        module.refuse(f"makes {gives!r} of {takes!r}; this package runs modules on {works_on!r} alone")


def size_of(module: ModuleFile, config: Mapping[str, Any], key: str) -> int:
    """Return a number of dimensions, or raise UnsupportedModelError if the setting is none."""
    value = config.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 1_000_000:
        module.refuse(f"has {key}={value!r}, expected a number of dimensions")
    return value
