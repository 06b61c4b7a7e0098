"""Recognises a checkpoint's catalog entry, or the families that it fits, by its name and its config."""

from __future__ import annotations

import logging
from functools import lru_cache

from rerank_plugins.catalog.checkpoint import CheckpointFiles
from rerank_plugins.catalog.scorer_traits import traits_of
from rerank_plugins.catalog.spec import ModelKind, ModelSpec, Signature
from rerank_plugins.catalog.table import find_by_name, specs_of_kind

__all__ = ["fitting", "log_fitting_families", "recognise", "signature_of"]

logger = logging.getLogger(__name__)

_T5_NAMES = {
    "d_model": "hidden_size",
    "num_layers": "num_hidden_layers",
    "d_ff": "intermediate_size",
    "n_positions": "max_position_embeddings",
}


def recognise(files: CheckpointFiles, *, kind: ModelKind, family: str | None) -> ModelSpec | None:
    """Return the catalog entry of a folder by its whole name, or by the facts of its config within the family."""
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
    """Return the facts that distinguish models of a family, or None if the config lacks one."""
    # T5 has its own names for the same facts.
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


def fitting(files: CheckpointFiles, *, kind: ModelKind) -> list[ModelSpec]:
    """Return the first entry of each family whose signature a checkpoint's config matches."""
    found = signature_of(files)
    by_family: dict[str, ModelSpec] = {}
    for spec in specs_of_kind(kind):
        if spec.signature is not None and spec.signature.matches(found):
            by_family.setdefault(spec.family, spec)
    return list(by_family.values())


def log_fitting_families(spec: ModelSpec, files: CheckpointFiles, *, name: str) -> None:
    """Log, once, that a model without a catalog entry has the config of models that are used in another way.

    A fine-tuned and renamed E5, for example, would run without "query: " and "passage: ", and only worse results would
    show it. Nothing is logged if the checkpoint's own files decide, or if all entries that fit are used in the same
    way.

    Args:
        spec: What was inferred, with the checkpoint's own files applied.
        files: The checkpoint's files.
        name: What the user called it.
    """
    if traits_of(spec.scorer).is_late_interaction:
        return
    if spec.kind == "embedder":
        _log_instructions(spec, files, name)
    elif spec.template is None:
        _log_lengths(spec, files, name)
    elif not traits_of(spec.scorer).tells_family:
        taken = next((one for one in specs_of_kind("reranker") if one.template == spec.template), None)
        if taken is None:
            return
        way_out = f"pass family={taken.family!r} if it was made from that, else the family that it was made from"
        _log_once(logging.WARNING, name, f"gets the prompt of {taken.id}, by its architecture alone: {way_out}")


def _log_instructions(spec: ModelSpec, files: CheckpointFiles, name: str) -> None:
    """Log the families whose models take instructions, if the files name none."""
    if spec.instructions or any(files.prompt(side) is not None for side in ("query", "document")):
        return
    near = [
        f"family={one.family!r} (as {one.id}: {_query_instruction(one)!r} in front of queries)"
        for one in fitting(files, kind="embedder")
        if one.instructions and (one.pooling, one.normalize) == (spec.pooling, spec.normalize)
    ]
    if near:
        _log_once(
            logging.WARNING,
            name,
            "gets no instruction, as its files name none, but has the config and the pooling of models that need one: "
            f"pass {' or '.join(near)} if it was made from one of them, else family='inferred'",
        )


def _log_lengths(spec: ModelSpec, files: CheckpointFiles, name: str) -> None:
    """Log the families of cross-encoders that read more tokens or truncate by another rule."""
    others = [one for one in fitting(files, kind="reranker") if _reads(one) != _reads(spec)]
    if not others:
        return
    near = " or ".join(f"family={one.family!r} (as {one.id}: {_reads(one)})" for one in others)
    # How an over-long pair is cut seldom matters; a document of which half is read does.
    is_longer = any(one.default_max_length_tokens > spec.default_max_length_tokens for one in others)
    _log_once(
        logging.WARNING if is_longer else logging.INFO,
        name,
        f"is read as any cross-encoder is ({_reads(spec)}), but has the config of models that are read otherwise: "
        f"pass {near} if it was made from one of them, else family='inferred'",
    )


def _reads(spec: ModelSpec) -> str:
    return f"{spec.default_max_length_tokens} tokens, cut {spec.truncation}"


def _query_instruction(spec: ModelSpec) -> str:
    return spec.instructions[spec.default_task or ""].query


@lru_cache(maxsize=1024)
def _log_once(level: int, name: str, text: str) -> None:
    logger.log(level, "%s is not in the catalog and %s (this is logged once)", name, text)
