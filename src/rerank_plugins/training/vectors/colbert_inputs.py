"""Queries and texts as a ColBERT reads them: markers, tokens that fill queries up, tokens that are not compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.text.pairs import TextLayout
from rerank_plugins.text.single import SingleTextTokenizer, TextAffixes
from rerank_plugins.text.tokenizer import TextTokenizer
from rerank_plugins.training.batches import PairPadding
from rerank_plugins.training.groups import Group
from rerank_plugins.training.kind import Lengths
from rerank_plugins.training.settings_colbert import ColbertTrainingSettings
from rerank_plugins.training.vectors.batches import TextInputs
from rerank_plugins.training.vectors.colbert_files import TokenFormat

__all__ = ["ColbertInputs", "colbert_inputs"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ColbertInputs:
    """Makes the tensors of queries and of texts, with ``counts``: which tokens are compared.

    Attributes:
        inputs: Makes the transformer's tensors.
        markers: What stands in front of a query or a text that has its instruction.
        expansion_id: Token that fills queries up; None fills none up.
        query_length: To how many tokens.
        attends: Whether the other tokens see it.
        skipped: Ids of texts that are not compared.
    """

    inputs: TextInputs
    markers: tuple[str, str]
    expansion_id: int | None
    query_length: int
    attends: bool
    skipped: Tensor

    def queries(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Return the tensors of queries with their instruction. Shape of each: (queries, longest)."""
        tensors = self.inputs.queries([self.markers[0] + text for text in texts])
        if self.expansion_id is None:
            return {**tensors, "counts": tensors["attention_mask"]}
        missing = self.query_length - tensors["attention_mask"].shape[1]
        tensors = {name: functional.pad(one, (0, missing)) for name, one in tensors.items()}
        mask = tensors["attention_mask"]
        tensors["input_ids"] = torch.where(mask == 1, tensors["input_ids"], self.expansion_id)
        counts = torch.ones_like(mask)
        return {**tensors, "attention_mask": counts if self.attends else mask, "counts": counts}

    def texts(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Return the tensors of texts with their instruction. Shape of each: (texts, longest)."""
        tensors = self.inputs.texts([self.markers[1] + text for text in texts])
        counts = tensors["attention_mask"] * ~torch.isin(tensors["input_ids"], self.skipped)
        return {**tensors, "counts": counts}

    def lengths(self, groups: Sequence[Group]) -> Lengths:
        """Return the tokens of queries and texts of some groups, without those that fill queries up."""
        return self.inputs.lengths(groups)


def colbert_inputs(
    tokenizer: Any, config: Any, token_format: TokenFormat, settings: ColbertTrainingSettings, spec: ModelSpec
) -> ColbertInputs:
    """Return what makes a ColBERT's inputs.

    Args:
        tokenizer: transformers' own, with the markers.
        config: The transformer's.
        token_format: How texts are read and compared.
        settings: The run's.
        spec: The encoder that it is made from.

    Raises:
        InvalidInputError: The lengths are more than the model can read, or leave no room for a text.
    """
    uses_types = "token_type_ids" in tokenizer.model_input_names
    texts = TextTokenizer(tokenizer.backend_tokenizer, uses_segments=uses_types)
    layout = TextLayout.of(texts)

    def side(max_length: int) -> SingleTextTokenizer:
        return SingleTextTokenizer(texts, layout, TextAffixes(), max_length_tokens=spec.input_length_tokens(max_length))

    has_types = uses_types and getattr(config, "type_vocab_size", 0) > 1
    padding = PairPadding(pad_id=max(config.pad_token_id or 0, 0), has_types=has_types)
    inputs = TextInputs(
        tokenizer=texts,
        query_side=side(token_format.query_length),
        text_side=side(token_format.text_length),
        padding=padding,
        prefixes=settings.data.prefixes,
    )
    prefixes, data = token_format.prefixes, settings.data.prefixes
    skipped = [
        one for one in tokenizer.convert_tokens_to_ids(list(token_format.skipped)) if one != tokenizer.unk_token_id
    ]
    return ColbertInputs(
        inputs=inputs,
        markers=(prefixes[0].removesuffix(data[0]), prefixes[1].removesuffix(data[1])),
        expansion_id=None
        if token_format.expansion is None
        else tokenizer.convert_tokens_to_ids(token_format.expansion),
        query_length=token_format.query_length,
        attends=token_format.attends,
        skipped=torch.tensor(sorted(set(skipped)), dtype=torch.int64),
    )
