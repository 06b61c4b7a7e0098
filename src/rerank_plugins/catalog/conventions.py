"""How an embedder is used: what its family has in common, then what the checkpoint's own files say."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, get_args

from rerank_plugins.catalog.checkpoint import CheckpointFiles
from rerank_plugins.catalog.scorer_traits import MULTI_VECTOR, traits_of
from rerank_plugins.catalog.sentence_settings import activation_scale, check_transformer, default_prompt
from rerank_plugins.catalog.spec import Instruction, ModelSpec, Pooling, Similarity
from rerank_plugins.catalog.table import specs_of_kind

__all__ = [
    "LANDMARK_KEY",
    "as_family_member",
    "cross_encoder_with_own_files",
    "embedder_with_own_files",
    "family_members",
]

logger = logging.getLogger(__name__)

LANDMARK_KEY = "landmark_token"
"""Key of ``config.json``: the token behind each sentence of a document, of embedders trained with landmarks."""

_LENGTH = "max_seq_length"
_SHARED = (
    "pooling",
    "normalize",
    "similarity",
    "instructions",
    "task_template",
    "query_suffix",
    "example_template",
    "ends_in",
    "pools_instruction",
    "half_precision",
    "matryoshka_from",
)


def family_members(family: str | None, model_type: str) -> list[ModelSpec]:
    """Return the listed embedders of a family with one architecture."""
    specs = specs_of_kind("embedder")
    return [one for one in specs if one.family == family and one.signature and one.signature.model_type == model_type]


def as_family_member(spec: ModelSpec, members: Sequence[ModelSpec]) -> ModelSpec:
    """Return an inferred spec with every convention on which all members agree.

    Where they take different instructions (Chinese and English BGE models do), none is chosen and a warning says so.
    """
    agreed: dict[str, Any] = {}
    for name in _SHARED:
        values = [getattr(one, name) for one in members]
        if values and all(value == values[0] for value in values):
            agreed[name] = values[0]
    if members and "instructions" not in agreed:
        logger.warning(
            "models of the family %r take different instructions, and none of them is %s: pass query_instruction",
            spec.family,
            spec.id,
        )
    longest = min((one.default_max_length_tokens for one in members), default=spec.default_max_length_tokens)
    return replace(spec, default_max_length_tokens=min(longest, spec.max_length_tokens), **agreed)


def embedder_with_own_files(spec: ModelSpec, files: CheckpointFiles) -> ModelSpec:
    """Return an embedder's spec with what the checkpoint's own files say put over it."""
    default_prompt(files.folder, files.sentence_transformers, always=("query", "document"))
    traits = traits_of(spec.scorer)
    is_transformer = traits.is_encoder
    similarity = files.sentence_transformers.get("similarity_fn_name")
    if similarity not in (None, "cosine") and not files.modules.normalizes:
        logger.warning(
            "%s was saved for comparing its vectors by %s; first stages of this package compare by cosine",
            files.folder.name,
            similarity,
        )
    if is_transformer and (files.modules.kinds or spec.id == str(files.folder)):
        _check_transformer(files, task="feature-extraction")
    limit = min(spec.max_length_tokens, files.max_length_tokens) if traits.has_positions else spec.max_length_tokens
    # A listed model's own default stands against a tokenizer's limit that nobody chose.
    says_length = spec.id == str(files.folder) or files.keeps_length_in_tokenizer or files.sentence_bert.get(_LENGTH)
    # model2vec keeps its own in config.json.
    own_length = files.sentence_bert.get(_LENGTH) or files.config.get("max_length")
    own_length = files.saved_length if is_transformer else own_length
    default = own_length if own_length and (says_length or not is_transformer) else spec.default_max_length_tokens
    landmark = str(files.config.get(LANDMARK_KEY) or "") if is_transformer else ""
    return replace(
        spec,
        scorer=MULTI_VECTOR if is_transformer and files.has_multi_vector_heads else spec.scorer,
        pooling=_pooling(files) or spec.pooling,
        # A True may only be what sentence-transformers writes by default, so the catalog's False stands.
        pools_instruction=spec.pools_instruction and files.modules.pools_instruction is not False,
        normalize=files.modules.normalizes if files.modules.kinds else spec.normalize,
        similarity=next((one for one in get_args(Similarity) if one == similarity), spec.similarity),
        dimensions=files.vector_size or spec.dimensions,
        ends_in=spec.ends_in or landmark or (files.ends_in if is_transformer else ""),
        landmark=landmark,
        max_length_tokens=limit,
        default_max_length_tokens=min(int(default), limit),
        instructions=_own_instructions(spec, files),
    )


def cross_encoder_with_own_files(spec: ModelSpec, files: CheckpointFiles) -> ModelSpec:
    """Return a classifier's spec with the length, the prompt and the activation that sentence-transformers saved."""
    is_listed = spec.id != str(files.folder)
    if files.is_from_sentence_transformers or not is_listed:
        _check_transformer(files, task="sequence-classification")
    default = (files.keeps_length_in_tokenizer and files.saved_length) or spec.default_max_length_tokens
    scale = spec.score_scale
    if not is_listed or files.keeps_length_in_tokenizer:
        scale = activation_scale(files.folder, files.sentence_transformers, files.config)
    return replace(
        spec,
        default_max_length_tokens=min(default, files.max_length_tokens),
        score_scale=scale,
        truncation="longest_first" if files.keeps_length_in_tokenizer else spec.truncation,
        query_prefix=default_prompt(files.folder, files.sentence_transformers)
        if files.modules.kinds
        else spec.query_prefix,
    )


def _check_transformer(files: CheckpointFiles, *, task: str) -> None:
    model_type = str(files.config.get("model_type", ""))
    check_transformer(files.folder, files.sentence_bert, files.tokenizer_config, task=task, model_type=model_type)


def _pooling(files: CheckpointFiles) -> Pooling | tuple[Pooling, ...] | None:
    found = files.modules.poolings
    return (found if len(found) > 1 else found[0]) if found else None


def _own_instructions(spec: ModelSpec, files: CheckpointFiles) -> Mapping[str, Instruction]:
    """Return the instructions with the saved prompts, as sentence-transformers' encode_query and encode_document.

    Those two take the prompts ``query`` and ``document``, which are empty where nothing is saved; a default prompt or
    one by another name (``passage``) is for its ``encode`` alone.
    """
    query, document = files.prompt("query"), files.prompt("document")
    if query is None and document is None:
        return spec.instructions
    if spec.default_task is None:
        return MappingProxyType({"retrieval": Instruction(query or "", document or "")} if query or document else {})
    if query is None:
        return spec.instructions
    # Not into a task by another name (llm-embedder has six): what is saved is the default from now on.
    default = spec.instructions[spec.default_task]
    own = Instruction(query, document if document is not None else default.document)
    return MappingProxyType({**spec.instructions, "retrieval": own})
