"""From what a user typed to a folder and a complete ModelSpec.

Order of belief: an explicit argument (applied by the facade); the checkpoint's own files; the catalog
entry; what can be inferred from the config; else a clear error that lists what is known. A part of a
name never decides: a name is compared whole, and a renamed folder is recognised by the facts of its
config within the family that was asked for.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rerank_plugins.catalog.checkpoint import CheckpointFiles, read_checkpoint
from rerank_plugins.catalog.conventions import (
    as_family_member,
    cross_encoder_with_own_files,
    embedder_with_own_files,
    family_members,
)
from rerank_plugins.catalog.fetch import version_of_package
from rerank_plugins.catalog.hub_settings import check_hub_settings
from rerank_plugins.catalog.late_conventions import as_late_interaction, is_late_interaction, late_spec_of_either_kind
from rerank_plugins.catalog.layers import layers_of_config
from rerank_plugins.catalog.locate import locate
from rerank_plugins.catalog.names import all_known
from rerank_plugins.catalog.pair_instructions import with_adapters_instructions, with_pair_instructions
from rerank_plugins.catalog.recognise import fitting, log_fitting_families, recognise
from rerank_plugins.catalog.scorer_traits import (
    CROSS_ENCODER,
    LATE_INTERACTION,
    STATIC,
    TRANSFORMER,
    scorer_of,
    traits_of,
)
from rerank_plugins.catalog.spec import ModelKind, ModelSpec
from rerank_plugins.catalog.table import find_by_id, specs_of_kind
from rerank_plugins.checks.boundary import checkpoint_errors
from rerank_plugins.errors import InvalidInputError, UnknownModelError, UnsupportedModelError
from rerank_plugins.types import SourceOptions, TruncationRule

__all__ = ["ResolvedModel", "infer_spec", "resolve"]

logger = logging.getLogger(__name__)

_DEFAULT_INFERRED_TOKENS = 512
_ENCODERS = ("Model", "ForMaskedLM")
_INFERRED = "inferred"
_ANY_FAMILY = "family='bge' (or another known family)"
_NO_FAMILY = (_INFERRED, "adopted")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedModel:
    """A model that can be loaded.

    Attributes:
        spec: Complete: the checkpoint's own files are already applied.
        files: The checkpoint's files.
        source: What the weights are known by: ``id@revision``, or a folder.
    """

    spec: ModelSpec
    files: CheckpointFiles
    source: str


@checkpoint_errors("read the model's settings")
def resolve(model: str | Path, *, kind: ModelKind, options: SourceOptions | None = None) -> ResolvedModel:
    """Find a model and say how it is used.

    Args:
        model: A hub id, a local folder, or an alias such as ``mini``.
        kind: What it is needed for.
        options: Where files may come from, and whose conventions apply when the name does not tell; None takes the
            defaults.

    Raises:
        InvalidInputError: ``model`` is not a string or path, or is empty; there is no such family of this kind; or
            an environment variable of huggingface_hub is broken.
        ModelUnavailableError: The files are not here and could not be fetched.
        UnknownModelError: Nothing says how it is used.
        UnsupportedModelError: It is not of this kind.
    """
    options = options or SourceOptions()
    if not isinstance(model, (str, Path)) or not str(model).strip():
        msg = f"model must be a hub id, a local folder or 'mini'; got {model!r}"
        raise InvalidInputError(msg)
    check_hub_settings()
    family = _known_family(options.family, kind=kind)
    name = str(model)
    listed = (
        None
        if isinstance(model, Path)
        else find_by_id(name, kind=kind) or late_spec_of_either_kind(name, kind=kind, family=family)
    )
    folder, source = locate(model, listed=listed, kind=kind, options=options)
    files = read_checkpoint(folder)
    spec = listed or recognise(files, kind=kind, family=family) or infer_spec(files, kind=kind, family=family)
    if kind == "reranker" and files.late_interaction is None:
        _check_reranker(files, name, spec, family)
    complete = _with_own_files(spec, files)
    if kind == "reranker":
        complete = with_adapters_instructions(complete, options)
    if kind == "reranker" and listed is not None and listed.package is not None:
        # Another version has other weights, and a calibration of it would be silently wrong.
        complete = replace(complete, revision=version_of_package(listed) or complete.revision)
    if listed is None and files.training_digest is not None:
        # Weights of their own, whatever the model is called that they started from.
        complete = replace(complete, revision=f"trained-{files.training_digest}")
    if options.family is None and spec.id == str(files.folder):
        log_fitting_families(complete, files, name=name)
    return ResolvedModel(spec=complete, files=files, source=source)


def _known_family(family: str | None, *, kind: ModelKind) -> str | None:
    """Return the family, or None for the names that models of no family get: adapters' saved options hold them.

    Raises:
        InvalidInputError: No model is of it; a misspelt one would quietly change nothing.
    """
    if family is None or family in _NO_FAMILY:
        return None
    known = sorted({spec.family for spec in specs_of_kind(kind)})
    if family not in known:
        msg = f"family must be one of {', '.join(map(repr, known))} or None for {kind}s; got {family!r}"
        raise InvalidInputError(msg)
    return family


def infer_spec(files: CheckpointFiles, *, kind: ModelKind, family: str | None = None) -> ModelSpec:
    """Return a spec made of what the checkpoint's files say.

    Raises:
        UnknownModelError: They do not say enough.
        UnsupportedModelError: They say that it is something else.
    """
    limit = files.max_length_tokens
    spec = ModelSpec(
        id=str(files.folder),
        kind=kind,
        family=family or _INFERRED,
        scorer=CROSS_ENCODER if kind == "reranker" else TRANSFORMER,
        default_max_length_tokens=min(_inferred_length(files), limit),
        max_length_tokens=limit,
        license="see the checkpoint",
        truncation=_family_truncation(family),
        normalize=False,
    )
    if is_late_interaction(files, kind=kind):
        return replace(spec, scorer=LATE_INTERACTION)
    if kind == "reranker":
        return _as_llm(spec, files)
    if files.config.get("model_type") == "model2vec":
        return replace(spec, scorer=STATIC, pooling="mean", normalize=bool(files.config.get("normalize", True)))
    # Embedders made of a decoder keep its architecture's name; their Pooling file says what they are.
    is_decoder = files.architecture.endswith("ForCausalLM") and (bool(files.modules.poolings) or family is not None)
    if not is_decoder and not files.architecture.endswith(_ENCODERS):
        msg = (
            f"{spec.id!r} has the architecture {files.architecture!r}, which is not an embedder; expected a name "
            f"ending in {' or '.join(_ENCODERS)}. {all_known(kind)}"
        )
        raise UnsupportedModelError(msg)
    members = family_members(family, str(files.config.get("model_type", "")))
    if not files.modules.poolings and len({one.pooling for one in members}) != 1:
        near = " or ".join(f"family={one.family!r} (as {one.id})" for one in fitting(files, kind=kind))
        msg = (
            f"nothing says how {spec.id!r} pools its tokens: it is not in the catalog and has no "
            f"1_Pooling/config.json. Add that file, or pass {near or _ANY_FAMILY} if it was made from one. "
            f"{all_known(kind)}"
        )
        raise UnknownModelError(msg)
    return as_family_member(spec, members)


def _inferred_length(files: CheckpointFiles) -> int:
    """Return the tokens to read: what sentence-transformers saved, else what it may read; else a usual number."""
    default = files.max_length_tokens if files.is_from_sentence_transformers else _DEFAULT_INFERRED_TOKENS
    return min(default, files.saved_length or default)


def _family_truncation(family: str | None) -> TruncationRule:
    """Return the rule of a family's cross-encoders; transformers' own for a family that has none."""
    listed = (spec for spec in specs_of_kind("reranker") if spec.family == family)
    known = (spec for spec in listed if traits_of(spec.scorer).is_classifier)
    return next((spec.truncation for spec in known), "longest_first")


def _as_llm(spec: ModelSpec, files: CheckpointFiles) -> ModelSpec:
    """Return the spec of a language model with its family's conventions; of anything else as it is.

    Raises:
        UnknownModelError: Models of this architecture rerank with different prompts, and no family was named.
    """
    scorer = _prompted_scorer(files)
    if scorer is None:
        return spec
    models = [model for model in specs_of_kind("reranker") if model.scorer == scorer]
    of_family = [model for model in models if model.family == spec.family]
    if not of_family:
        of_family = models if traits_of(scorer).tells_family else _alone_with(models, files)
    if not of_family:
        families = {model.family: model.id for model in reversed(models)}
        choices = " or ".join(f"family={family!r} (as {families[family]})" for family in sorted(families))
        msg = (
            f"{spec.id!r} is a language model ({files.architecture}), and nothing says with which prompt it reranks. "
            f"If it was trained as a reranker, pass {choices}."
        )
        raise UnknownModelError(msg)
    return _like(of_family[0], spec)


def _prompted_scorer(files: CheckpointFiles) -> str | None:
    """Return the scorer of a checkpoint that reads a prompt; None for any other."""
    scorer = scorer_of(files.architecture)
    return scorer if scorer is not None and traits_of(scorer).reads_prompt else None


def _alone_with(models: Sequence[ModelSpec], files: CheckpointFiles) -> list[ModelSpec]:
    """Return the models that have the checkpoint's ``model_type`` by their signature, if they are of one family."""
    model_type = files.config.get("model_type")
    found = [model for model in models if model.signature is not None and model.signature.model_type == model_type]
    return found if len({model.family for model in found}) == 1 else []


def _like(known: ModelSpec, spec: ModelSpec) -> ModelSpec:
    """Return the conventions of a known model with the facts of another checkpoint."""
    limit = spec.max_length_tokens
    return replace(
        known,
        id=spec.id,
        family=spec.family,
        default_max_length_tokens=min(known.default_max_length_tokens, limit),
        max_length_tokens=limit,
        license=spec.license,
        languages=(),
        revision=None,
        signature=None,
        package=None,
        sources={},
        notes="",
        shape=None,
    )


def _check_reranker(files: CheckpointFiles, name: str, spec: ModelSpec, family: str | None) -> None:
    if files.own_format is not None or traits_of(spec.scorer).checks_itself:
        return
    if _prompted_scorer(files) == spec.scorer:
        if files.modules.kinds and spec.id == str(files.folder) and family is None:
            msg = (
                f"{name!r} is a language model that sentence-transformers reranks with "
                f"({' -> '.join(files.modules.kinds)}), and its prompt is not known here. If it was made from a model "
                "of a family whose prompts are known, pass family=; else use it with sentence-transformers itself."
            )
            raise UnsupportedModelError(msg)
        return
    endings = traits_of(CROSS_ENCODER).endings
    if not files.architecture.endswith(endings):
        msg = (
            f"{name!r} has the architecture {files.architecture or 'none'!r}, which is not a cross-encoder "
            f"(...{' or ...'.join(endings)}). {all_known('reranker')}"
        )
        raise UnsupportedModelError(msg)
    if files.n_labels != 1:
        msg = (
            f"{name!r} is a classifier with {files.n_labels} labels; a reranker has one. Which label means "
            "'relevant' is not known, so its scores would be a guess."
        )
        raise UnsupportedModelError(msg)
    if files.modules.kinds not in ((), ("Transformer",)):
        msg = (
            f"{name!r} runs {' -> '.join(files.modules.kinds)} by its modules.json, not a Transformer alone. "
            "Use it with sentence-transformers itself."
        )
        raise UnsupportedModelError(msg)


def _with_own_files(spec: ModelSpec, files: CheckpointFiles) -> ModelSpec:
    """Return the spec with what the checkpoint's own files say put over it."""
    if traits_of(spec.scorer).is_late_interaction or files.late_interaction is not None:
        return as_late_interaction(spec, files)
    if spec.kind == "reranker":
        if traits_of(spec.scorer).is_classifier and files.own_format is None:
            spec = cross_encoder_with_own_files(spec, files)
        return replace(
            with_pair_instructions(spec, files.sentence_transformers),
            layers=spec.layers and layers_of_config(files.config, compresses=spec.layers.compresses),
            max_length_tokens=min(spec.max_length_tokens, files.max_length_tokens),
            truncation=spec.truncation if files.own_format is None else files.own_format.truncation,
        )
    return embedder_with_own_files(spec, files)
