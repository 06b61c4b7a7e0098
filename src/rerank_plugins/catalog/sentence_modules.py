"""The modules that sentence-transformers runs one after the other, read into typed steps; nothing is run here.

Reference: sentence-transformers 6.2 ``base/model.py`` (``modules.json``), ``sentence_transformer/modules`` and
``base/modules``. Only modules whose meaning is known are taken, and of each every setting is used, known not to change
a number, or refused: a setting that is skipped gives other vectors without a word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rerank_plugins.catalog.module_files import DenseStep, ModuleFile, check_names, dense_step, module_entries, size_of
from rerank_plugins.catalog.spec import Pooling
from rerank_plugins.errors import UnsupportedModelError

__all__ = ["CutStep", "DenseStep", "LayerNormStep", "NormalizeStep", "SentenceModules", "Step", "read_modules"]

_KNOWN = ("Transformer", "Pooling", "Normalize", "Dense", "LayerNorm", "Dropout", "LogitScore")
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
        return _pooled(SentenceModules(), ModuleFile(folder / "1_Pooling", "Pooling", read_json))
    modules = [ModuleFile.listed(folder, entry, read_json, known=_KNOWN) for entry in module_entries(folder, listed)]
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


def _check_order(folder: Path, modules: Sequence[ModuleFile]) -> None:
    kinds = [module.kind for module in modules]
    following = kinds[2:]
    is_embedder = kinds[1:2] == ["Pooling"] and not {"Transformer", "Pooling", "LogitScore"} & set(following)
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


def _pooled(found: SentenceModules, module: ModuleFile) -> SentenceModules:
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


def _extended(found: SentenceModules, module: ModuleFile) -> SentenceModules:
    if module.kind == "Dropout":
        # Off where nothing is trained.
        return found
    step: Step
    if module.kind == "Dense":
        step = dense_step(module)
    elif module.kind == "LayerNorm":
        step = LayerNormStep(folder=module.folder, width=size_of(module, module.settings(("dimension",)), "dimension"))
    else:
        check_names(module, module.settings(("module_input_name", "module_output_name")))
        step = NormalizeStep()
    return replace(found, steps=(*found.steps, step))
