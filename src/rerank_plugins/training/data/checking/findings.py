"""What can be found in training data: one entry a kind, with its sentence and whether it stops a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from rerank_plugins.errors import InvalidInputError

__all__ = ["EXAMPLES", "KINDS", "Finding", "Findings", "Kind", "Severity", "check_kinds", "shown"]

Severity = Literal["error", "warning"]

EXAMPLES = 3
"""Examples that are kept of each kind."""

_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of finding.

    Attributes:
        severity: ``error`` stops a run before its first step.
        sentence: What it is, and the way out.
    """

    severity: Severity
    sentence: str


_ERROR: Severity = "error"
_WARNING: Severity = "warning"

KINDS: dict[str, Kind] = {
    "not_json": Kind(_ERROR, "lines that are no JSON object; write one whole object a line"),
    "malformed": Kind(_ERROR, "rows with a missing key or a value of another type"),
    "misspelt_key": Kind(_ERROR, "rows with a key that looks misspelt"),
    "score_count": Kind(_ERROR, "rows with more or fewer scores than texts, or scores among labels; score them again"),
    "score_not_finite": Kind(
        _ERROR, "rows with a score that is NaN, infinite or too large for float32; score them again"
    ),
    "id_count": Kind(_ERROR, "rows with more or fewer ids than texts"),
    "scattered": Kind(_ERROR, "rows of one query that do not stand together; sort them, or use data convert --regroup"),
    "no_rows": Kind(_ERROR, "training set without a row that could be trained on"),
    "blank_query": Kind(_ERROR, "rows with a blank query"),
    "no_positive": Kind(_ERROR, "rows without a positive; with labels, look at --positive-from"),
    "blank_positive": Kind(_ERROR, "rows with a blank positive"),
    "no_negative": Kind(_ERROR, "rows without a negative, which a reranker cannot be trained on; mine some"),
    "positive_is_negative": Kind(_ERROR, "rows with the same text as positive and negative"),
    "dev_query": Kind(
        _ERROR, "queries that stand in the dev set too: its measure would be of what was learnt by heart"
    ),
    "no_scores": Kind(_ERROR, "rows without a teacher's score for each text, which distillation needs; label them"),
    "all_scores_constant": Kind(_ERROR, "every row has the same score for all its texts: the teacher says nothing"),
    "constant_scores": Kind(_WARNING, "rows with the same score for all their texts: nothing to distil from them"),
    "some_scores": Kind(_WARNING, "rows without scores among rows with scores"),
    "one_sided_scores": Kind(_WARNING, "rows with scores for positives or negatives only"),
    "scores_against_labels": Kind(
        _WARNING, "rows whose best negative is scored above every positive: a false negative?"
    ),
    "scores_are_probabilities": Kind(
        _WARNING,
        "all scores lie between -1 and 1, as probabilities and cosines do: a softmax over them is almost flat; distil "
        "from raw scores, label with --standardise, or set teacher_scale to 'probability'",
    ),
    "no_negative_in_some": Kind(_WARNING, "rows without a negative among rows with negatives"),
    "few_negatives": Kind(_WARNING, "rows with fewer negatives than a group takes; they are repeated to fill it"),
    "blank_negative": Kind(_WARNING, "rows with a blank negative: too easy to teach anything"),
    "repeated_text": Kind(_WARNING, "rows with a text twice on one side"),
    "repeated_query": Kind(
        _WARNING, "rows whose query stands in an earlier row: a positive of one may be a negative of the other"
    ),
    "repeated_row": Kind(_WARNING, "rows that stand in an earlier row already, query and texts"),
    "query_is_positive": Kind(_WARNING, "rows whose positive is the query itself"),
    "dev_positive": Kind(_WARNING, "rows with a positive that is a positive in the dev set too"),
    "some_prompts": Kind(_WARNING, "rows without a prompt among rows with one (FlagEmbedding then writes None)"),
    "unread_type": Kind(
        _WARNING, "rows with a type, which counts with same_dataset_within_batch only: batches here mix all files"
    ),
    "broken_characters": Kind(_WARNING, "rows with half of a surrogate pair, which tokenizers refuse or replace"),
    "cut_positive": Kind(_WARNING, "rows with a positive that is cut at the length; raise it, or split the texts"),
    "cut_query": Kind(_WARNING, "rows with a query that is cut at its length"),
}
"""By the word that ``allow`` and ``--allow`` take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """How often something was found, and where.

    Attributes:
        kind: The word for it.
        severity: ``error`` stops a run; an allowed one is a ``warning``.
        count: How many rows.
        sentence: What it is, and the way out.
        examples: Up to three, ``FILE:LINE: what``.
    """

    kind: str
    severity: Severity
    count: int
    sentence: str
    examples: tuple[str, ...]

    def to_mapping(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "kind": self.kind,
            "severity": self.severity,
            "count": self.count,
            "sentence": self.sentence,
            "examples": list(self.examples),
        }


@dataclass(slots=True)
class Findings:
    """Counts what is found, with examples of the first."""

    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, example: str = "", *, count: int = 1) -> None:
        """Count something; the example is kept if there is room."""
        self.counts[kind] = self.counts.get(kind, 0) + count
        kept = self.examples.setdefault(kind, [])
        if example and len(kept) < EXAMPLES:
            kept.append(example)

    def found(self, allowed: Sequence[str]) -> tuple[Finding, ...]:
        """Return what was found, errors first, in the order of the table."""
        listed = [
            Finding(
                kind=kind,
                severity=_WARNING if kind in allowed else known.severity,
                count=self.counts[kind],
                sentence=known.sentence,
                examples=tuple(self.examples[kind]),
            )
            for kind, known in KINDS.items()
            if self.counts.get(kind)
        ]
        return tuple(sorted(listed, key=lambda one: one.severity != _ERROR))


def check_kinds(names: Sequence[str]) -> None:
    """Refuse words that are no kind.

    Raises:
        InvalidInputError: There is no such kind.
    """
    for name in names:
        if name not in KINDS:
            msg = f"allow takes kinds of findings, and {name!r} is none; the kinds: {', '.join(KINDS)}"
            raise InvalidInputError(msg)


def shown(text: str) -> str:
    """Return the beginning of a text, for an example."""
    line = " ".join(text.split())
    return repr(line if len(line) <= _SHOWN else line[:_SHOWN] + "...")
