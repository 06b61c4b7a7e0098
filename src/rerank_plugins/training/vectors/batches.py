"""Groups as padded queries and texts, tokenised as inference does it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.embedding.layout import text_layout
from rerank_plugins.text.single import SingleTextTokenizer, TextAffixes
from rerank_plugins.text.tokenizer import TextTokenizer
from rerank_plugins.training.batches import PairPadding
from rerank_plugins.training.groups import Group
from rerank_plugins.training.kind import Lengths
from rerank_plugins.training.settings_retrieval import RetrievalDataSettings
from rerank_plugins.training.vectors.known_positives import KEYS, batch_keys
from rerank_plugins.training.vectors.objectives import OWN_TEXTS_ONLY

__all__ = ["TextInputs", "VectorBatches", "text_inputs"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TextInputs:
    """Makes the tensors of queries and of texts.

    Attributes:
        tokenizer: Counts tokens.
        query_side: Makes the inputs of queries that have their instruction.
        text_side: The same for texts.
        padding: The model's tensors.
        prefixes: The instructions, of queries and of texts, for those that have none yet.
    """

    tokenizer: TextTokenizer
    query_side: SingleTextTokenizer
    text_side: SingleTextTokenizer
    padding: PairPadding
    prefixes: tuple[str, str]

    def queries(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Return the tensors of queries with their instruction. Shape of each: (queries, longest)."""
        return self.padding(self.query_side.encode(texts))

    def texts(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Return the tensors of texts with their instruction. Shape of each: (texts, longest)."""
        return self.padding(self.text_side.encode(texts))

    def document_side(self, spec: ModelSpec, data: RetrievalDataSettings) -> SingleTextTokenizer:
        """Return what makes windows of whole documents, the instruction in front of each, with the run's length."""
        return SingleTextTokenizer(
            self.tokenizer,
            text_layout(self.tokenizer, spec),
            TextAffixes(instruction=self.prefixes[1]),
            max_length_tokens=spec.input_length_tokens(data.passage_max_len),
        )

    def lengths(self, groups: Sequence[Group]) -> Lengths:
        """Return the tokens of queries and texts of some groups."""
        sides = (
            (self.query_side, [group.query for group in groups]),
            (self.text_side, [text for group in groups for text in group.texts]),
        )
        n_tokens = n_cut = n_inputs = 0
        for side, texts in sides:
            for text, encoded in zip(texts, side.encode(texts), strict=True):
                n_inputs += 1
                n_tokens += len(encoded)
                whole = len(self.tokenizer.encode_one(text + side.affixes.suffix))
                n_cut += len(encoded) >= side.longest_tokens and whole > _own_tokens(side, encoded)
        longest = max(side.longest_tokens for side, _ in sides)
        return Lengths(longest=longest, mean=n_tokens / n_inputs, share_cut=n_cut / n_inputs)


def _own_tokens(side: SingleTextTokenizer, encoded: Any) -> int:
    return len(encoded) - side.n_special


def text_inputs(
    tokenizer: TextTokenizer, spec: ModelSpec, data: RetrievalDataSettings, *, padding: PairPadding
) -> TextInputs:
    """Return what makes the inputs of a model, with the run's lengths.

    Raises:
        InvalidInputError: The lengths are more than the model can read, or leave no room for a text.
    """
    layout = text_layout(tokenizer, spec)

    def side(max_length: int | None, suffix: str) -> SingleTextTokenizer:
        affixes = TextAffixes(suffix=suffix)
        return SingleTextTokenizer(tokenizer, layout, affixes, max_length_tokens=spec.input_length_tokens(max_length))

    return TextInputs(
        tokenizer=tokenizer,
        query_side=side(data.query_max_len, spec.query_suffix),
        text_side=side(data.passage_max_len, ""),
        padding=padding,
        prefixes=data.prefixes,
    )


class VectorBatches:
    """Makes a batch of groups: ``queries``, ``passages`` (group by group), ``rows``, and ``teacher`` with a teacher.

    ``keys`` tell the texts that are no negatives (:mod:`~rerank_plugins.training.vectors.known_positives`).

    Args:
        queries: Makes tensors of queries.
        texts: Makes tensors of texts.
        own_texts_only: Whether the other rows' texts are no negatives of a row.
    """

    def __init__(
        self,
        queries: Callable[[Sequence[str]], dict[str, Tensor]],
        texts: Callable[[Sequence[str]], dict[str, Tensor]],
        *,
        own_texts_only: Callable[[int], bool],
    ) -> None:
        self._queries, self._texts, self._own_texts_only = queries, texts, own_texts_only

    def __call__(self, groups: Sequence[Group]) -> dict[str, Any]:
        """Return the batch of some groups of equal size."""
        batch: dict[str, Any] = {
            "queries": self._queries([group.query for group in groups]),
            "passages": self._texts([text for group in groups for text in group.texts]),
            "rows": torch.tensor([group.row for group in groups]),
            OWN_TEXTS_ONLY: any(self._own_texts_only(group.row) for group in groups),
            KEYS: batch_keys(groups),
        }
        teachers = [group.teacher for group in groups if group.teacher is not None]
        if teachers:
            batch["teacher"] = torch.tensor(teachers)
        return batch
