"""Chooses the pair tokenizer of a model by its catalog entry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.text.pair_tokenizer import EncodedPair, PairSettings, PairTokenizer
from rerank_plugins.text.pairs import PairLayout
from rerank_plugins.text.prompts import PromptLayout
from rerank_plugins.text.tokenizer import TextTokenizer
from rerank_plugins.text.whole_pairs import WholePairTokenizer

__all__ = ["PairInputs", "pair_inputs"]


class PairInputs(Protocol):
    """Turns pairs of texts into model inputs."""

    def encode(self, pairs: Sequence[tuple[str, str | None]]) -> list[EncodedPair]:
        """Return the inputs of each pair, in order."""
        ...


def pair_inputs(tokenizer: TextTokenizer, spec: ModelSpec, settings: PairSettings) -> PairInputs:
    """Return the tokenizer of pairs for a model.

    Raises:
        InvalidInputError: The settings leave no room for texts.
        UnsupportedModelError: The tokenizer is not made for this model.
    """
    pairs = _with_own_documents(tokenizer, spec, settings)
    return _Prefixed(pairs, spec.query_prefix) if spec.query_prefix else pairs


def _with_own_documents(tokenizer: TextTokenizer, spec: ModelSpec, settings: PairSettings) -> PairInputs:
    """Return a tokenizer that puts the model's own text in front of documents, and of every window of one."""
    template, own = spec.template, spec.document_prefix
    if template is not None and template.tokenised == "together":
        template = replace(template, before_document=template.before_document + own)
        return WholePairTokenizer(tokenizer, template, spec.prompt, settings)
    layout = PairLayout.of(tokenizer) if template is None else PromptLayout.of(tokenizer, template, spec.prompt)
    return PairTokenizer(tokenizer, replace(layout, document_prefix=layout.document_prefix + own), settings)


class _Prefixed:
    """Puts a text of the model's own before each query, as part of it: it is cut with it, as it was in training."""

    def __init__(self, pairs: PairInputs, prefix: str) -> None:
        self._pairs, self._prefix = pairs, prefix

    def encode(self, pairs: Sequence[tuple[str, str | None]]) -> list[EncodedPair]:
        """Return the inputs of each pair, in order."""
        return self._pairs.encode([(self._prefix + query, document) for query, document in pairs])
