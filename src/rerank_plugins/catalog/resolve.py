"""From what a user typed to a folder and a complete ModelSpec.

Order of belief: an explicit argument (applied by the facade); the checkpoint's own files; the catalog
entry; what can be inferred from the config; else a clear error that lists what is known. A part of a
name never decides: a name is compared whole, and a renamed folder is recognised by the facts of its
config within the family that was asked for.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from rerank_plugins.boundary import checkpoint_errors
from rerank_plugins.catalog.checkpoint import CheckpointFiles, read_checkpoint
from rerank_plugins.catalog.conventions import (
    as_family_member,
    cross_encoder_with_own_files,
    embedder_with_own_files,
    family_members,
)
from rerank_plugins.catalog.hub_settings import check_hub_settings
from rerank_plugins.catalog.layers import layers_of_config
from rerank_plugins.catalog.llm import llm_scorer
from rerank_plugins.catalog.locate import SourceOptions, locate
from rerank_plugins.catalog.names import all_known
from rerank_plugins.catalog.spec import ModelKind, ModelSpec, Signature
from rerank_plugins.catalog.table import find_by_id, find_by_name, specs_of_kind
from rerank_plugins.errors import InvalidInputError, UnknownModelError, UnsupportedModelError
from rerank_plugins.types import TruncationRule

__all__ = ["ResolvedModel", "SourceOptions", "infer_spec", "resolve"]

logger = logging.getLogger(__name__)

_DEFAULT_INFERRED_TOKENS = 512
_CLASSIFIER = "ForSequenceClassification"
_ENCODERS = ("Model", "ForMaskedLM")
_OF_ONE_FAMILY = {"layerwise", "lightweight", "encoder-t5"}
"""Scorers whose architecture tells the family."""
_INFERRED = "inferred"
_NO_FAMILY = (_INFERRED, "adopted")
_T5_NAMES = {
    "d_model": "hidden_size",
    "num_layers": "num_hidden_layers",
    "d_ff": "intermediate_size",
    "n_positions": "max_position_embeddings",
}


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
def resolve(
    model: str | Path, *, kind: ModelKind, family: str | None = None, options: SourceOptions | None = None
) -> ResolvedModel:
    """Find a model and say how it is used.

    Args:
        model: A hub id, a local folder, or an alias such as ``mini``.
        kind: What it is needed for.
        family: Family whose conventions apply when the name does not tell (a renamed folder).
        options: Where files may come from.

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
    family = _known_family(family, kind=kind)
    name = str(model)
    listed = None if isinstance(model, Path) else find_by_id(name, kind=kind)
    folder, source = locate(model, listed=listed, kind=kind, options=options)
    files = read_checkpoint(folder)
    spec = listed or _recognise(files, kind=kind, family=family) or infer_spec(files, kind=kind, family=family)
    if kind == "reranker":
        _check_reranker(files, name, spec, family)
    return ResolvedModel(spec=_with_own_files(spec, files), files=files, source=source)


def _known_family(family: str | None, *, kind: ModelKind) -> str | None:
    """Return the family, or None for the names that models of no family get: adapters' saved options hold them.

    Raises:
        InvalidInputError: No model is of it; a misspelt one would quietly change nothing.
    """
    if family is None or family in _NO_FAMILY:
        return None
    known = sorted({spec.family for spec in specs_of_kind(kind)})
    if family not in known:
        msg = f"family must be one of {', '.join(map(repr, known))} or None for a {kind}; got {family!r}"
        raise InvalidInputError(msg)
    return family


def _recognise(files: CheckpointFiles, *, kind: ModelKind, family: str | None) -> ModelSpec | None:
    """Return the catalog entry of a folder, by its whole name, then by its facts within the family."""
    cached_as = next((part for part in reversed(files.folder.parts) if part.startswith("models--")), "")
    names = [
        cached_as.removeprefix("models--").replace("--", "/"),
        str(files.config.get("_name_or_path", "")),
    ]
    found = signature_of(files)
    for name in [*names, files.folder.name]:
        spec = find_by_name(name, kind=kind) if name else None
        if (
            spec is not None
            and (spec.signature is None or spec.signature.matches(found))
            and family in (None, spec.family)
        ):
            return spec
    if family is None:
        return None
    return next(
        (s for s in specs_of_kind(kind) if s.family == family and s.signature and s.signature.matches(found)), None
    )


def signature_of(files: CheckpointFiles) -> Signature | None:
    """Return the facts that tell models of a family apart, or None if the config lacks one."""
    # T5 writes the same facts under names of its own.
    config = {_T5_NAMES.get(key, key): value for key, value in files.config.items() if isinstance(value, int)}
    model_type = files.config.get("model_type")
    hidden, layers, vocabulary = (config.get(key) for key in ("hidden_size", "num_hidden_layers", "vocab_size"))
    if not model_type or hidden is None or layers is None or vocabulary is None:
        return None
    return Signature(
        model_type=str(model_type),
        hidden_size=hidden,
        num_hidden_layers=layers,
        vocab_size=vocabulary,
        max_position_embeddings=config.get("max_position_embeddings"),
        intermediate_size=config.get("intermediate_size"),
    )


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
        scorer="cross-encoder" if kind == "reranker" else "transformer",
        default_max_length_tokens=min(_inferred_length(files), limit),
        max_length_tokens=limit,
        license="see the checkpoint",
        truncation=_family_truncation(family),
        normalize=False,
    )
    if kind == "reranker":
        return _as_llm(spec, files)
    if files.config.get("model_type") == "model2vec":
        return replace(spec, scorer="static", pooling="mean", normalize=bool(files.config.get("normalize", True)))
    # Embedders made of a decoder keep its architecture's name; their Pooling file says what they are.
    is_decoder = files.architecture.endswith("ForCausalLM") and (bool(files.modules.poolings) or family is not None)
    if not is_decoder and not files.architecture.endswith(_ENCODERS):
        msg = (
            f"{spec.id!r} has the architecture {files.architecture!r}, which is not an embedder; expected a name "
            f"ending in {' or '.join(_ENCODERS)}. {all_known(kind)}"
        )
        raise UnsupportedModelError(msg)
    members = family_members(family, str(files.config.get("model_type", "")))
    if not files.modules.poolings and not members:
        msg = (
            f"nothing says how {spec.id!r} pools its tokens: it is not in the catalog and has no "
            "1_Pooling/config.json. Add that file, or pass family='bge' (or another known family) if it is one. "
            f"{all_known(kind)}"
        )
        raise UnknownModelError(msg)
    return as_family_member(spec, members)


def _inferred_length(files: CheckpointFiles) -> int:
    """Return the tokens to read: what sentence-transformers saved, else what it may read; else a usual number."""
    usual = files.max_length_tokens if files.is_from_sentence_transformers else _DEFAULT_INFERRED_TOKENS
    return min(usual, files.saved_length or usual)


def _family_truncation(family: str | None) -> TruncationRule:
    """Return the rule of a family's cross-encoders; transformers' own for a family that has none."""
    known = (spec for spec in specs_of_kind("reranker") if spec.family == family and spec.scorer == "cross-encoder")
    return next((spec.truncation for spec in known), "longest_first")


def _as_llm(spec: ModelSpec, files: CheckpointFiles) -> ModelSpec:
    """Return the spec of a language model with its family's conventions; of anything else as it is.

    Raises:
        UnknownModelError: Models of this architecture rerank with different prompts, and no family was named.
    """
    scorer = llm_scorer(files.architecture)
    if scorer is None:
        return spec
    models = [model for model in specs_of_kind("reranker") if model.scorer == scorer]
    of_family = [model for model in models if model.family == spec.family]
    if not of_family and (scorer in _OF_ONE_FAMILY or files.config.get("model_type") == "gemma"):
        of_family = [model for model in models if model.family == "bge"] or models
    if not of_family:
        families = {model.family: model.id for model in reversed(models)}
        choices = " or ".join(f"family={family!r} (as {families[family]})" for family in sorted(families))
        msg = (
            f"{spec.id!r} is a language model ({files.architecture}), and nothing says with which prompt it reranks. "
            f"If it was trained as a reranker, pass {choices}."
        )
        raise UnknownModelError(msg)
    return _like(of_family[0], spec)


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
    )


def _check_reranker(files: CheckpointFiles, name: str, spec: ModelSpec, family: str | None) -> None:
    if files.own_format is not None:
        return
    if llm_scorer(files.architecture) is not None and llm_scorer(files.architecture) == spec.scorer:
        if files.modules.kinds and spec.id == str(files.folder) and family is None:
            msg = (
                f"{name!r} is a language model that sentence-transformers reranks with "
                f"({' -> '.join(files.modules.kinds)}), and its prompt is not known here. If it was made from a model "
                "of a family whose prompts are known, pass family=; else use it with sentence-transformers itself."
            )
            raise UnsupportedModelError(msg)
        return
    if not files.architecture.endswith(_CLASSIFIER):
        msg = (
            f"{name!r} has the architecture {files.architecture or 'none'!r}, which is not a cross-encoder "
            f"(...{_CLASSIFIER}). {all_known('reranker')}"
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
    if spec.kind == "reranker":
        layered = spec.scorer in ("layerwise", "lightweight")
        if spec.scorer == "cross-encoder" and files.own_format is None:
            spec = cross_encoder_with_own_files(spec, files)
        return replace(
            spec,
            layers=layers_of_config(files.config, compresses=spec.scorer == "lightweight") if layered else None,
            max_length_tokens=min(spec.max_length_tokens, files.max_length_tokens),
            truncation=spec.truncation if files.own_format is None else files.own_format.truncation,
        )
    return embedder_with_own_files(spec, files)
