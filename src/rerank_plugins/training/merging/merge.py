"""The whole course of a merge: models checked, weights tried on a dev set, the chosen one put into its folder."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rerank_plugins.backends.named import refuse_backend
from rerank_plugins.catalog.resolve import ResolvedModel, resolve
from rerank_plugins.catalog.spec import ModelKind
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.embedder import Embedder
from rerank_plugins.embedding.instructions import choose_instruction
from rerank_plugins.errors import InvalidInputError, ModelError, TrainingError
from rerank_plugins.reranker import Reranker
from rerank_plugins.system.files import made_folder, reason_of, scratch_folder, write_atomically, write_folder_with
from rerank_plugins.training.dev import DevSet
from rerank_plugins.training.merging.averaging import write_average
from rerank_plugins.training.merging.card import merge_card
from rerank_plugins.training.merging.folders import ModelFolder, check_mergeable
from rerank_plugins.training.merging.measuring import measured, sets_of
from rerank_plugins.training.merging.settings import MergeResult, MergeSettings, WeightTrial

__all__ = ["merge_models"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class _Parts:
    """The models of a merge, the base last.

    Attributes:
        names: As they were asked for.
        resolved: What they are.
        folders: Their weights.
        kind: What all of them are.
    """

    names: tuple[str, ...]
    resolved: tuple[ResolvedModel, ...]
    folders: tuple[ModelFolder, ...]
    kind: ModelKind


@checked_call()
def merge_models(settings: MergeSettings) -> MergeResult:
    """Average a tuned model with the one it started from, or several models, and save the result as one model.

    Each weight that is tried makes a model, which is measured on the dev set and the other sets like the base. The best
    on the dev set wins of those that do not lose more than ``max_drop`` against the base on any other set; of equal
    ones that with the smaller weight. The folder has the first model's config, tokenizer, modules and instructions, so
    that it opens wherever that one does; the base is measured with its own.

    Args:
        settings: What is merged, and how the weight is chosen.

    Raises:
        InvalidInputError: The settings cannot work, the output folder is used, or a set cannot be read.
        ModelError: A model cannot be found, or they cannot be averaged: another architecture, shape or vocabulary.
        TrainingError: No weight keeps the other sets, or the folder cannot be written; there is none then.
    """
    output = Path(settings.output_dir)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        msg = f"output folder {str(output)!r} is there already and is not empty; name another one"
        raise InvalidInputError(msg)
    parts = _parts(settings)
    check_mergeable(parts.folders)
    sets = sets_of(settings)
    trials = _tried(parts, sets, settings) if sets else ()
    shares = _shares(_chosen(trials, settings) if trials else settings.tried[0], settings)
    weights = dict(zip(parts.names, shares, strict=True))
    dev = sets[0].dataset.name if sets else None
    counted: list[int] = []

    def filled(draft: Path) -> None:
        counted.append(write_average(parts.folders, shares, draft))
        _check_opens(draft, parts.kind, settings)
        card = merge_card(
            output.name,
            settings,
            kind=parts.kind,
            parts={
                name: (weights[name], one.spec.license) for name, one in zip(parts.names, parts.resolved, strict=True)
            },
            instructions=_instructions(parts.resolved[0]),
            dev=dev,
            trials=trials,
        )
        write_atomically(draft / "README.md", card.encode())
        write_atomically(draft / "merge.json", json.dumps({"weights": weights}, indent=2).encode())

    try:
        write_folder_with(output, filled)
    except OSError as error:
        msg = f"the merged model could not be saved in {str(output)!r} ({reason_of(error)}); make room and try again"
        raise TrainingError(msg) from error
    return MergeResult(folder=output, kind=parts.kind, weights=weights, dev=dev, trials=trials, n_tensors=counted[0])


def _parts(settings: MergeSettings) -> _Parts:
    names = (*settings.models, *(() if settings.base is None else (settings.base,)))
    kind = settings.kind or _kind_of(names[0], settings)
    for name in names:
        refuse_backend(name, kind=kind)
    resolved = tuple(resolve(name, kind=kind, options=settings.source) for name in names)
    folders = tuple(ModelFolder(one.files.folder, allow_pickle=settings.allow_pickle) for one in resolved)
    if not folders[0].is_of_colbert_ai:
        for one in folders[1:]:
            one.use_module_names()
    paths = tuple(map(str, names))
    if len({one.path.resolve() for one in folders}) < len(paths):
        msg = f"a model is named twice ({', '.join(paths)}); its weights would be counted twice"
        raise InvalidInputError(msg)
    _tell_instructions(paths, resolved)
    return _Parts(paths, resolved, folders, kind)


def _instructions(resolved: ResolvedModel) -> tuple[str, str]:
    """Return what a model puts in front of queries, and of texts."""
    spec = resolved.spec
    if spec.kind == "reranker":
        return spec.query_prefix, spec.document_prefix
    own = choose_instruction(spec, task=None, query=None, document=None)
    return own.query, own.document


def _tell_instructions(names: Sequence[str], resolved: Sequence[ResolvedModel]) -> None:
    """Warn of models that were trained to read something else in front of texts."""
    found = [_instructions(one) for one in resolved]
    if len(set(found)) > 1:
        listed = "; ".join(f"{name}: {query!r} and {text!r}" for name, (query, text) in zip(names, found, strict=True))
        logger.warning(
            "the models have different instructions in front of texts (%s); the merged one has those of the first",
            listed,
        )


def _kind_of(model: str | Path, settings: MergeSettings) -> ModelKind:
    """Return what a model is; what is both by its name is a reranker."""
    refuse_backend(model, kind="reranker")
    try:
        resolve(model, kind="reranker", options=settings.source)
    except ModelError as refused:
        try:
            resolve(model, kind="embedder", options=settings.source)
        except ModelError:
            raise refused from None
        return "embedder"
    return "reranker"


def _shares(weight: float, settings: MergeSettings) -> tuple[float, ...]:
    if settings.base is None:
        return settings.weights or ()
    # Rounded, so that a file says 0.3 and not 0.30000000000000004.
    return weight, round(1.0 - weight, 12)


def _tried(parts: _Parts, sets: Sequence[DevSet], settings: MergeSettings) -> tuple[WeightTrial, ...]:
    """Return what each weight reaches, the base first."""
    trials = [_trial(0.0, measured(parts.names[-1], sets, kind=parts.kind, settings=settings), sets)]
    output = Path(settings.output_dir).resolve()
    made_folder(output.parent)
    for weight in settings.tried:
        with scratch_folder(output) as draft:
            folder = draft / "model"
            folder.mkdir()
            write_average(parts.folders, _shares(weight, settings), folder)
            trials.append(_trial(weight, measured(folder, sets, kind=parts.kind, settings=settings), sets))
    return tuple(trials)


def _trial(weight: float, values: Sequence[float], sets: Sequence[DevSet]) -> WeightTrial:
    names = [one.dataset.name for one in sets]
    return WeightTrial(weight=weight, dev=values[0], keep=dict(zip(names[1:], values[1:], strict=True)))


def _chosen(trials: Sequence[WeightTrial], settings: MergeSettings) -> float:
    """Return the weight that is best on the dev set and keeps the other sets; the first trial is the base."""
    base, *others = trials
    keeping = [one for one in others if all(one.keep[name] >= base.keep[name] - settings.max_drop for name in one.keep)]
    if not keeping:
        drops = "; ".join(
            f"{one.weight:g}: " + ", ".join(f"{name} {one.keep[name] - base.keep[name]:+.4f}" for name in one.keep)
            for one in others
        )
        msg = (
            f"every weight loses more than {settings.max_drop:g} on another set ({drops}), so nothing was saved; try "
            "smaller weights, or train less"
        )
        raise TrainingError(msg)
    return max(keeping, key=lambda one: (one.dev, -one.weight)).weight


def _check_opens(folder: Path, kind: ModelKind, settings: MergeSettings) -> None:
    """Raise ModelError or ScoringError if a merged model cannot be used."""
    if kind == "reranker":
        with Reranker(folder, device="cpu", source=settings.source) as reranker:
            reranker.score([("a question", "an answer")])
        return
    with Embedder(folder, device="cpu", source=settings.source) as embedder:
        embedder.embed_queries(["a question"])
