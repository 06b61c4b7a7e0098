"""What one row shows by itself."""

from __future__ import annotations

from collections.abc import Iterator

from rerank_plugins.training.data.checking.findings import shown
from rerank_plugins.training.data.digests import alike
from rerank_plugins.training.data.records import TrainingRecord

__all__ = ["faults_of_row", "is_broken"]

Fault = tuple[str, str]
"""Kind, and what the example says."""


def faults_of_row(record: TrainingRecord) -> Iterator[Fault]:
    """Yield what is wrong with a row, whatever is trained and whatever the others are."""
    query = shown(record.query)
    if not record.query.strip():
        yield "blank_query", query
    if not record.pos:
        yield "no_positive", f"query {query}"
    if any(not text.strip() for text in record.pos):
        yield "blank_positive", f"query {query}"
    if any(not text.strip() for text in record.neg):
        yield "blank_negative", f"query {query}"
    yield from _equal_texts(record, query)
    yield from _scores(record, query)
    if is_broken(record):
        yield "broken_characters", f"query {query}"


def _equal_texts(record: TrainingRecord, query: str) -> Iterator[Fault]:
    positives, negatives = {alike(text) for text in record.pos}, {alike(text) for text in record.neg}
    for text in [one for one in record.pos if alike(one) in negatives][:1]:
        yield "positive_is_negative", f"query {query}, text {shown(text)}"
    if len(positives) < len(record.pos) or len(negatives) < len(record.neg):
        yield "repeated_text", f"query {query}"
    if alike(record.query) in positives:
        yield "query_is_positive", f"query {query}"


def _scores(record: TrainingRecord, query: str) -> Iterator[Fault]:
    pos, neg = record.pos_scores, record.neg_scores
    if pos is None and neg is None:
        return
    if (pos is None and record.pos) or (neg is None and record.neg):
        yield "one_sided_scores", f"query {query}"
        return
    scores = (*(pos or ()), *(neg or ()))
    if len(scores) > 1 and len(set(scores)) == 1:
        yield "constant_scores", f"query {query}, score {scores[0]:g}"
    elif pos and neg and max(neg) > max(pos):
        yield "scores_against_labels", f"query {query}, {max(neg):g} against {max(pos):g}"


def is_broken(record: TrainingRecord) -> bool:
    """Return whether a text has half of a surrogate pair, which JSON can hold and UTF-8 cannot."""
    for text in (record.query, *record.pos, *record.neg):
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                return True
    return False
