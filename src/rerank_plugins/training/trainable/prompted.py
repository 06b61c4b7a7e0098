"""Pairs of a model that reads a prompt, in a training whose rows may bring their own."""

from __future__ import annotations

from collections.abc import Sequence

from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.text.pair_inputs import PairInputs, pair_inputs
from rerank_plugins.text.pair_tokenizer import EncodedPair, PairSettings
from rerank_plugins.text.tokenizer import TextTokenizer

__all__ = ["PromptedPairs"]

_MOST_PROMPTS = 64
"""Prompts whose tokens are kept; data have a few, one for each task."""


class PromptedPairs:
    """Turns pairs into model inputs with the model's prompt, or another one.

    Args:
        tokenizer: The model's.
        spec: How it is used.
        settings: How pairs are cut.

    Raises:
        InvalidInputError: The settings leave no room for texts.
    """

    def __init__(self, tokenizer: TextTokenizer, spec: ModelSpec, settings: PairSettings) -> None:
        self._tokenizer, self._spec, self._settings = tokenizer, spec, settings
        self._default_pairs = pair_inputs(tokenizer, spec, settings)
        self._others: dict[str, PairInputs] = {}

    def encode(self, pairs: Sequence[tuple[str, str | None]]) -> list[EncodedPair]:
        """Return the inputs of each pair with the model's prompt, in order."""
        return self._default_pairs.encode(pairs)

    def with_prompt(self, prompt: str) -> PairInputs:
        """Return what encodes pairs with another prompt.

        Raises:
            InvalidInputError: It leaves no room for texts.
        """
        if prompt == self._spec.prompt:
            return self._default_pairs
        if prompt not in self._others:
            if len(self._others) >= _MOST_PROMPTS:
                self._others.clear()
            self._others[prompt] = pair_inputs(self._tokenizer, self._spec.with_prompt(prompt), self._settings)
        return self._others[prompt]
