"""The modules that sentence-transformers runs one after the other, read into typed steps; nothing is run here.

Reference: sentence-transformers 6.2 ``base/model.py`` (``modules.json``), ``sentence_transformer/modules`` and
``base/modules``. Only modules whose meaning is known are taken, and of each every setting is used, known not to change
a number, or refused: a setting that is skipped gives other vectors without a word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from rerank_plugins.catalog.spec import Pooling
from rerank_plugins.errors import UnsupportedModelError

__all__ = ["CutStep", "DenseStep", "LayerNormStep", "NormalizeStep", "SentenceModules", "Step", "read_modules"]

_PACKAGE = "sentence_transformers."
_KNOWN = ("Transformer", "Pooling", "Normalize", "Dense", "LayerNorm", "Dropout", "LogitScore")
_LONGEST_PATH = 200
_VECTOR = "sentence_embedding"
_DEFAULT_ACTIVATION = "torch.nn.modules.activation.Tanh"
_ACTIVATION_PACKAGES = ("torch.nn", "torch.nn.modules.activation", "torch.nn.modules.linear")
_ACTIVATIONS = (  # noqa: SIM905 - a list literal would take a line for each
    "CELU ELU GELU Hardsigmoid Hardshrink Hardswish Hardtanh Identity LeakyReLU LogSigmoid Mish ReLU ReLU6 SELU SiLU "
    "Sigmoid Softplus Softshrink Softsign Tanh Tanhshrink"
).split()
"""Of torch, without weights and without arguments: sentence-transformers saves the name alone."""

_POOLINGS: Mapping[str, Pooling] = {
    "cls": "cls",
    "max": "max",
    "mean": "mean",
    "mean_sqrt_len_tokens": "mean_sqrt_len",
    "weightedmean": "weighted_mean",
    "lasttoken": "last_token",
}
_POOLING_KEYS: Mapping[str, str] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""Version 5 and older say it so; vectors of several are joined in this order."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerNormStep:
    """A layer normalisation of vectors of ``width`` numbers; its weights are in ``folder``."""

    folder: Path
    width: int


@dataclass(frozen=True, slots=True)
class NormalizeStep:
    """Scale to length 1."""


@dataclass(frozen=True, slots=True)
class CutStep:
    """Keep the first ``width`` numbers (``truncate_dim``), without scaling them again."""

    width: int


Step = DenseStep | LayerNormStep | NormalizeStep | CutStep


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceModules:
    """What sentence-transformers runs.

    Attributes:
        kinds: Class names in order; empty without a ``modules.json``.
        folders: Folders of their own that modules have.
        poolings: How token states become one vector; those of several are joined. Empty if nothing says it.
        pools_instruction: ``include_prompt`` of the Pooling module; None if it does not say.
        steps: What comes behind pooling, but a last Normalize.
        normalizes: Whether vectors are scaled to length 1 at the end.
    """

    kinds: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()
    poolings: tuple[Pooling, ...] = ()
    pools_instruction: bool | None = None
    steps: tuple[Step, ...] = ()
    normalizes: bool = False

    def width(self, hidden: int | None) -> int | None:
        """Return the length of a vector made from token states of ``hidden`` numbers; None if that is not known."""
        found = None if hidden is None else hidden * max(len(self.poolings), 1)
        for step in self.steps:
            if isinstance(step, DenseStep):
                found = step.n_out
            elif isinstance(step, LayerNormStep):
                found = step.width
            elif isinstance(step, CutStep):
                found = step.width if found is None else min(found, step.width)
        return found

    def cut(self, width: int) -> SentenceModules:
        """Return the modules with ``truncate_dim`` behind them, which sentence-transformers cuts without rescaling."""
        normalize = (NormalizeStep(),) if self.normalizes else ()
        return replace(self, steps=(*self.steps, *normalize, CutStep(width)), normalizes=False)


def read_modules(folder: Path, read_json: Callable[[Path], Any]) -> SentenceModules:
    """Return the modules of a checkpoint.

    Args:
        folder: The checkpoint.
        read_json: Reads a JSON file; an empty mapping if it is not there.

    Raises:
        UnsupportedModelError: A module, its place or one of its settings is not known here.
    """
    listed = read_json(folder / "modules.json") or []
    if not listed:
        return _pooled(SentenceModules(), _Module(folder / "1_Pooling", "Pooling", read_json))
    modules = [_Module.listed(folder, entry, read_json) for entry in _entries(folder, listed)]
    kinds = tuple(module.kind for module in modules)
    _check_order(folder, modules)
    found = SentenceModules(kinds=kinds, folders=tuple(module.folder for module in modules[1:]))
    if kinds[1:2] == ("Pooling",):
        found = _pooled(found, modules[1])
    for module in modules[2:]:
        found = _extended(found, module)
    if found.steps and isinstance(found.steps[-1], NormalizeStep):
        return replace(found, steps=found.steps[:-1], normalizes=True)
    return found


@dataclass(frozen=True, slots=True)
class _Module:
    """One entry of ``modules.json``."""

    folder: Path
    kind: str
    read_json: Callable[[Path], Any]

    @classmethod
    def listed(cls, folder: Path, entry: Mapping[str, Any], read_json: Callable[[Path], Any]) -> _Module:
        """Return a checked entry: a class of sentence-transformers, in a folder inside the checkpoint."""
        name, path = str(entry.get("type", "")), str(entry.get("path") or "")
        kind = name.rsplit(".", 1)[-1]
        if kind not in _KNOWN or not name.startswith(_PACKAGE):
            msg = (
                f"{str(folder / 'modules.json')!r} needs the module {name!r}, which this package does not run; it runs "
                f"sentence-transformers' {', '.join(_KNOWN)}. Use the model with sentence-transformers itself, or "
                "choose another one."
            )
            raise UnsupportedModelError(msg)
        inside = PurePosixPath(path)
        if inside.is_absolute() or ".." in inside.parts or set(path) & set("\\:\0") or len(path) > _LONGEST_PATH:
            name = path[:_LONGEST_PATH]
            msg = f"{str(folder / 'modules.json')!r} names the folder {name!r}, which is not inside the checkpoint"
            raise UnsupportedModelError(msg)
        return cls(folder / path, kind, read_json)

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


def _entries(folder: Path, listed: object) -> list[Mapping[str, Any]]:
    if not isinstance(listed, list) or not all(isinstance(entry, Mapping) for entry in listed):
        msg = f"{str(folder / 'modules.json')!r} is not a list of modules; download the checkpoint again"
        raise UnsupportedModelError(msg)
    return listed


def _check_order(folder: Path, modules: Sequence[_Module]) -> None:
    kinds = [module.kind for module in modules]
    behind = kinds[2:]
    is_embedder = kinds[1:2] == ["Pooling"] and not {"Transformer", "Pooling", "LogitScore"} & set(behind)
    is_reranker = kinds[1:] in ([], ["LogitScore"])
    if kinds[0] != "Transformer" or not (is_embedder or is_reranker):
        msg = (
            f"{str(folder / 'modules.json')!r} runs {' -> '.join(kinds)}, an order that this package does not know: an "
            "embedder is Transformer -> Pooling -> any of Dense, LayerNorm, Normalize and Dropout; a reranker is a "
            "Transformer alone. Use the model with sentence-transformers itself, or choose another one."
        )
        raise UnsupportedModelError(msg)
    if modules[0].folder != folder:
        msg = (
            f"{str(folder / 'modules.json')!r} keeps the transformer in {modules[0].folder.name!r}, as very old "
            "versions did. Save it once with SentenceTransformer(folder).save_pretrained(new_folder)."
        )
        raise UnsupportedModelError(msg)


def _pooled(found: SentenceModules, module: _Module) -> SentenceModules:
    widths = ("embedding_dimension", "word_embedding_dimension")
    config = module.settings((*widths, "pooling_mode", "include_prompt", *_POOLING_KEYS))
    if not config:
        return found
    modes = config.get("pooling_mode")
    if modes is None:
        modes = [mode for key, mode in _POOLING_KEYS.items() if config.get(key)] or ["mean"]
    modes = [modes] if isinstance(modes, str) else modes
    if not isinstance(modes, list) or not modes or any(mode not in list(_POOLINGS) for mode in modes):
        module.refuse(f"asks for the pooling {modes!r}, expected one or more of {', '.join(_POOLINGS)}")
    includes = config.get("include_prompt")
    if includes is not None and not isinstance(includes, bool):
        module.refuse(f"has include_prompt={includes!r}, expected true or false")
    return replace(found, poolings=tuple(_POOLINGS[mode] for mode in modes), pools_instruction=includes)


def _extended(found: SentenceModules, module: _Module) -> SentenceModules:
    if module.kind == "Dropout":
        # Off where nothing is trained.
        return found
    step: Step
    if module.kind == "Dense":
        step = _dense(module)
    elif module.kind == "LayerNorm":
        step = LayerNormStep(folder=module.folder, width=_size(module, module.settings(("dimension",)), "dimension"))
    else:
        _check_names(module, module.settings(("module_input_name", "module_output_name")))
        step = NormalizeStep()
    return replace(found, steps=(*found.steps, step))


def _dense(module: _Module) -> DenseStep:
    names = ("module_input_name", "module_output_name")
    config = module.settings(("in_features", "out_features", "bias", "activation_function", "use_residual", *names))
    _check_names(module, config)
    flags = {"bias": config.get("bias", True), "use_residual": config.get("use_residual", False)}
    if not all(isinstance(flag, bool) for flag in flags.values()):
        module.refuse(f"has {flags}, expected true or false")
    activation = config.get("activation_function", _DEFAULT_ACTIVATION)
    package, _, name = str(activation).rpartition(".")
    if package not in _ACTIVATION_PACKAGES or name not in _ACTIVATIONS:
        module.refuse(f"has the activation {activation!r}, expected one of torch.nn's {', '.join(_ACTIVATIONS)}")
    return DenseStep(
        folder=module.folder,
        n_in=_size(module, config, "in_features"),
        n_out=_size(module, config, "out_features"),
        has_bias=flags["bias"],
        activation=name,
        is_residual=flags["use_residual"],
    )


def _check_names(module: _Module, config: Mapping[str, Any]) -> None:
    """Refuse a module that works on something else than the vector of a text (on tokens, or on scores)."""
    takes = config.get("module_input_name", _VECTOR)
    gives = config.get("module_output_name") or takes
    if (takes, gives) != (_VECTOR, _VECTOR):
        module.refuse(f"makes {gives!r} of {takes!r}; this package runs modules on {_VECTOR!r} alone")


def _size(module: _Module, config: Mapping[str, Any], key: str) -> int:
    value = config.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 1_000_000:
        module.refuse(f"has {key}={value!r}, expected a number of dimensions")
    return value
