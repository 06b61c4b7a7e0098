"""How a service is asked, what it costs, and how much fits into one request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

from rerank_plugins.checks.arguments import checked_fields
from rerank_plugins.checks.kinds import Count, Seconds, Within

__all__ = ["BatchLimits", "RemoteLimits", "RemotePrice", "batches"]


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteLimits:
    """How a service is asked.

    Attributes:
        concurrency: Requests at the same time at most, of all threads and event loops that use the object.
        batch_items: Texts of one request at most; None takes what the service is known to allow.
        failures: Requests in a row that end without an answer, their retries included, before the service is left
            alone.
        pause_s: Seconds for which it is left alone. Calls fail at once meanwhile; then one request is tried.
    """

    concurrency: Count = 4
    batch_items: Count | None = None
    failures: Count = 5
    pause_s: Seconds = 10.0


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class RemotePrice:
    """What a service costs, in any currency.

    Attributes:
        per_million_tokens: Price of a million tokens, as the service counts them.
        per_thousand_searches: Price of a thousand searches (Cohere's unit).
    """

    per_million_tokens: Annotated[float, Within(0.0)] = 0.0
    per_thousand_searches: Annotated[float, Within(0.0)] = 0.0

    def of(self, *, tokens: int, searches: int) -> float:
        """Return the price of what was used."""
        return tokens * self.per_million_tokens / 1e6 + searches * self.per_thousand_searches / 1e3


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLimits:
    """How much a service takes in one request.

    Attributes:
        items: Texts.
        tokens: Tokens of all texts, the query counted with each; None for no limit. They are estimated: a token has two
            bytes of UTF-8, which is more tokens than there are in most texts.
        n_bytes: Bytes of all texts.
    """

    items: int
    tokens: int | None = None
    n_bytes: int = 4_000_000


def batches(
    texts: Sequence[str], *, shared_text: str, limits: BatchLimits, most_items: int
) -> Iterator[tuple[int, Sequence[str]]]:
    """Yield texts in order, in runs that fit into one request, each with the place of its first.

    A text that is too large by itself goes alone: the service says what becomes of it.

    Args:
        texts: The texts.
        shared_text: What the service reads with each of them (the query); empty for nothing.
        limits: What fits.
        most_items: Texts of a run at most, if that is fewer than the limits allow.
    """
    shared_tokens, shared_bytes = _tokens(shared_text), _bytes(shared_text)
    start, tokens, n_bytes = 0, 0, shared_bytes
    for place, text in enumerate(texts):
        more_tokens, more_bytes = _tokens(text) + shared_tokens, _bytes(text)
        is_full = (
            place - start >= min(limits.items, most_items)
            or (limits.tokens is not None and tokens + more_tokens > limits.tokens)
            or n_bytes + more_bytes > limits.n_bytes
        )
        if is_full and place > start:
            yield start, texts[start:place]
            start, tokens, n_bytes = place, 0, shared_bytes
        tokens, n_bytes = tokens + more_tokens, n_bytes + more_bytes
    if start < len(texts):
        yield start, texts[start:]


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def _tokens(text: str) -> int:
    return -(-_bytes(text) // 2)
