"""Chooses the pair tokenizer of a model by its catalog entry."""

from __future__ import annotations

from collections.abc import Sequence
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
    template = spec.template
    if template is None:
        plain = PairTokenizer(tokenizer, PairLayout.of(tokenizer), settings)
        return _Prefixed(plain, spec.query_prefix) if spec.query_prefix else plain
    if template.tokenised == "together":
        return WholePairTokenizer(tokenizer, template, spec.prompt, settings)
    return PairTokenizer(tokenizer, PromptLayout.of(tokenizer, template, spec.prompt), settings)


class _Prefixed:
    """Puts a text of the model's own before each query (sentence-transformers' default prompt)."""

    def __init__(self, pairs: PairInputs, prefix: str) -> None:
        self._pairs, self._prefix = pairs, prefix

    def encode(self, pairs: Sequence[tuple[str, str | None]]) -> list[EncodedPair]:
        """Return the inputs of each pair, in order."""
        return self._pairs.encode([(self._prefix + query, document) for query, document in pairs])
