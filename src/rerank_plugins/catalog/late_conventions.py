"""How a late-interaction model is used: its catalog entry, with what its own files say put over it."""

from __future__ import annotations

from dataclasses import replace

from rerank_plugins.catalog.checkpoint import CheckpointFiles
from rerank_plugins.catalog.late_formats import M3_PROJECTION, m3_late_interaction
from rerank_plugins.catalog.late_interaction import LateInteraction
from rerank_plugins.catalog.scorer_traits import LATE_FAMILY, LATE_INTERACTION, MULTI_VECTOR, traits_of
from rerank_plugins.catalog.sentence_settings import check_transformer
from rerank_plugins.catalog.spec import ModelKind, ModelSpec
from rerank_plugins.catalog.table import find_by_id
from rerank_plugins.errors import UnsupportedModelError

__all__ = ["as_late_interaction", "has_m3_projection", "is_late_interaction", "late_spec_of_either_kind"]

_ENCODERS = ("Model", "ForMaskedLM")
_OWN_SETTINGS = ("query_length", "document_length", "query_expansion")


def late_spec_of_either_kind(name: str, *, kind: ModelKind, family: str | None) -> ModelSpec | None:
    """Return the entry of a model whose token vectors are to be compared; None if the name is no such model's.

    Args:
        name: A hub id.
        kind: What the model is needed for: a ColBERT reranks and embeds.
        family: ``colbert`` asks for the token vectors of an embedder that has them (BGE-M3) as a reranker: without it
            the name would more likely be a slip for a reranker's.
    """
    found = find_by_id(name, kind="reranker")
    if found is not None and traits_of(found.scorer).is_late_interaction:
        return replace(found, kind=kind)
    embedder = find_by_id(name, kind="embedder")
    if kind == "reranker" and family == LATE_FAMILY and embedder is not None and embedder.scorer == MULTI_VECTOR:
        return replace(embedder, kind=kind, scorer=LATE_INTERACTION)
    return None


def is_late_interaction(files: CheckpointFiles, *, kind: ModelKind) -> bool:
    """Return whether a folder without a catalog entry is one: a ColBERT, or as a reranker an encoder like BGE-M3."""
    if files.late_interaction is not None:
        return True
    return kind == "reranker" and files.architecture.endswith(_ENCODERS) and has_m3_projection(files)


def as_late_interaction(spec: ModelSpec, files: CheckpointFiles) -> ModelSpec:
    """Return the complete spec of a late-interaction model.

    Raises:
        UnsupportedModelError: The folder says nothing of token vectors, or a setting would change a number here.
    """
    limit = files.max_length_tokens
    late = files.late_interaction
    if late is None and has_m3_projection(files):
        late = m3_late_interaction(min(files.saved_length or limit, limit))
    if late is None:
        msg = (
            f"{str(files.folder)!r} is no late-interaction model: it has no projection of tokens (HF_ColBERT with "
            "artifact.metadata, modules.json of PyLate or of a MultiVectorEncoder, or colbert_linear). An encoder gets "
            "one by training: rerank-plugins train colbert"
        )
        raise UnsupportedModelError(msg)
    own = {key: value for key, value in files.sentence_bert.items() if key not in _OWN_SETTINGS}
    model_type = str(files.config.get("model_type", ""))
    check_transformer(files.folder, own, files.tokenizer_config, task="feature-extraction", model_type=model_type)
    _check_query(late, files)
    length = late.document.length or min(files.saved_length or limit, limit)
    return replace(
        spec,
        scorer=LATE_INTERACTION,
        late_interaction=late,
        score_scale="cosine",
        highest_score=late.highest_score,
        normalize=late.normalizes,
        dimensions=late.width(files.width),
        max_length_tokens=limit,
        default_max_length_tokens=min(length, limit),
        truncation="only_second",
    )


def _check_query(late: LateInteraction, files: CheckpointFiles) -> None:
    length, limit = late.query_length or 0, files.max_length_tokens
    if length > limit:
        msg = (
            f"{str(files.folder)!r} fills queries up to {length} tokens, and its positions end at {limit}; download "
            "the checkpoint again"
        )
        raise UnsupportedModelError(msg)


def has_m3_projection(files: CheckpointFiles) -> bool:
    """Return whether a folder has the layer that makes BGE-M3's token vectors."""
    return any((files.folder / f"{M3_PROJECTION}.{kind}").is_file() for kind in ("safetensors", "pt"))
