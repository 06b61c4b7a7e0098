"""How a training reads pairs: with the layout of inference, and the run's lengths."""

from __future__ import annotations

import logging
from dataclasses import replace

from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.text.pair_tokenizer import PairSettings
from rerank_plugins.training.settings import DataSettings
from rerank_plugins.types import LongDocuments

__all__ = ["pair_settings", "with_own_instructions"]

logger = logging.getLogger(__name__)


def pair_settings(spec: ModelSpec, data: DataSettings) -> PairSettings:
    """Return how pairs are cut: as at inference, with the run's lengths if it has its own.

    Raises:
        InvalidInputError: The model cannot read pairs of that length.
    """
    max_length, query_limit = None, None
    if data.query_max_len is not None and data.passage_max_len is not None:
        max_length = data.query_max_len + data.passage_max_len
        query_limit = data.query_max_len + data.passage_max_len // 4
    return PairSettings(
        max_length_tokens=spec.input_length_tokens(max_length),
        truncation=spec.truncation,
        query_limit_tokens=query_limit,
        long_documents=LongDocuments(query_max_length=query_limit),
        # An epoch sees each text a few times at most.
        use_token_cache=False,
    )


def with_own_instructions(data: DataSettings, spec: ModelSpec) -> DataSettings:
    """Return settings with the instructions that the model has where none are given.

    Those that its own layout puts in front of texts anyway are taken out: FlagEmbedding's trainers leave "A: " and
    "B: " to the command line, its inference puts them in front itself.
    """
    data = _without_own_prefixes(data, spec)
    if data.query_instruction_for_rerank is None and spec.query_prefix:
        data = replace(data, query_instruction_for_rerank=spec.query_prefix, query_instruction_format="{}{}")
    if data.passage_instruction_for_rerank is None and spec.document_prefix:
        data = replace(data, passage_instruction_for_rerank=spec.document_prefix, passage_instruction_format="{}{}")
    return data


def _without_own_prefixes(data: DataSettings, spec: ModelSpec) -> DataSettings:
    if spec.template is None:
        return data
    if _is_own(
        data.query_instruction_for_rerank, data.query_instruction_format, spec.template.query_prefix(spec.prompt)
    ):
        data = replace(data, query_instruction_for_rerank=None)
    if _is_own(data.passage_instruction_for_rerank, data.passage_instruction_format, spec.template.before_document):
        data = replace(data, passage_instruction_for_rerank=None)
    return data


def _is_own(instruction: str | None, form: str, prefix: str) -> bool:
    if instruction is None or not prefix or form.replace("\\n", "\n").format(instruction, "") != prefix:
        return False
    logger.warning("the instruction %r stands in the model's own layout, and is not put there twice", prefix)
    return True
