"""What a check of training data is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from rerank_plugins.checks.arguments import checked_fields
from rerank_plugins.checks.kinds import Count, Within
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.training.data.checking.findings import check_kinds
from rerank_plugins.training.data.checking.lengths import LengthLimits

__all__ = ["CheckOptions", "Task"]

Task = Literal["reranker", "embedder", "colbert"]

GroupSize = Annotated[int, Within(2), "2 or more: one positive and its negatives; with 1 the loss is 0 for ever"]

_DEFAULT_LENGTH = 512


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """What the data are for.

    Attributes:
        task: What is trained; a reranker cannot do without negatives, the others take those of the batch.
        group_size: Texts of a query in a step: one positive, the others negatives (``train_group_size``).
        needs_scores: Whether each text needs a teacher's score (distillation).
        reads_types: Whether the rows' ``type`` counts (:mod:`~rerank_plugins.training.row_kinds`); None where it is not
            known.
        tokenizer: Folder, ``tokenizer.json``, ``mini`` or hub id whose tokens are counted; None counts none.
        max_length: Tokens of a pair; None takes 512 if a tokenizer is named and no length is given.
        query_max_length: Tokens of a query; None if queries are not cut on their own.
        passage_max_length: Tokens of a text; None likewise.
        allow: Kinds of errors that count as warnings.
    """

    task: Task = "reranker"
    group_size: GroupSize = 8
    needs_scores: bool = False
    reads_types: bool | None = None
    tokenizer: str | Path | None = None
    max_length: Count | None = None
    query_max_length: Count | None = None
    passage_max_length: Count | None = None
    allow: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check what a type cannot say."""
        check_kinds(self.allow)
        if self.tokenizer is None and self.has_lengths:
            msg = "lengths count tokens: name whose with tokenizer=... (--model), for example mini"
            raise InvalidInputError(msg)

    @property
    def has_lengths(self) -> bool:
        """Whether a length was given."""
        return (self.max_length, self.query_max_length, self.passage_max_length) != (None, None, None)

    @property
    def limits(self) -> LengthLimits:
        """The lengths, with the default if none was given."""
        return LengthLimits(
            pair=self.max_length if self.has_lengths else _DEFAULT_LENGTH,
            query=self.query_max_length,
            passage=self.passage_max_length,
        )
