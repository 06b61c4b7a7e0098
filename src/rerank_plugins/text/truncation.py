"""The named rules by which a pair that is too long is truncated, each exactly as in its reference.

All lengths are in tokens and count the texts only; ``room`` is the length that special tokens leave.
"""

from __future__ import annotations

from rerank_plugins.types import TruncationRule

__all__ = ["cut_lengths", "longest_first", "only_second", "query_limit_with_windows"]

BCE_MIN_WINDOW_ROOM_TOKENS = 101
"""BCEmbedding refuses a query that leaves a passage 100 tokens or fewer (``assert room > 100``)."""


def cut_lengths(
    rule: TruncationRule,
    *,
    n_query: int,
    n_document: int,
    room: int,
    query_limit: int | None = None,
    document_limit: int | None = None,
) -> tuple[int, int]:
    """Return how many tokens of the query and of the document are kept.

    Args:
        rule: The family's rule.
        n_query: Tokens of the query.
        n_document: Tokens of the document.
        room: Tokens that fit beside the special tokens, at least 2.
        query_limit: Tokens of a query kept at most; None means the rule's own limit.
        document_limit: Tokens of a document kept at most by ``only_second``; None for no limit beside ``room``.
    """
    if rule == "longest_first":
        limited = n_query if query_limit is None else min(n_query, query_limit)
        return longest_first(limited, n_document, room=room)
    if rule == "end":
        kept = min(n_query, room if query_limit is None else query_limit, room)
        return kept, min(n_document, room - kept)
    limited = n_document if document_limit is None else min(n_document, document_limit)
    return only_second(n_query, limited, room=room, query_limit=query_limit)


def longest_first(n_first: int, n_second: int, *, room: int) -> tuple[int, int]:
    """Return the kept lengths of the Rust tokenizers' ``LongestFirst`` strategy.

    Source: huggingface/tokenizers ``tokenizers/src/utils/truncation.rs``, ``truncate_encodings``.
    It cuts the longer text down to the shorter, and both to halves of the room if that is not
    enough; an odd token goes to the text that was longer.
    """
    if n_first + n_second <= room:
        return n_first, n_second
    swapped = n_first > n_second
    short, long = (n_second, n_first) if swapped else (n_first, n_second)
    long = short if short > room else max(short, room - short)
    if short + long > room:
        short = room // 2
        long = short + room % 2
    return (long, short) if swapped else (short, long)


def only_second(n_query: int, n_document: int, *, room: int, query_limit: int | None) -> tuple[int, int]:
    """Return the kept lengths of FlagEmbedding's rule: the query is cut first, and the document gets the rest.

    The reference leaves a pair over-long when the query alone fills the room (only possible when
    the caller raises the query's limit, or for inputs of 16 tokens and less). Here the query is
    then cut until the document keeps one token.
    """
    kept_query = n_query if query_limit is None else min(n_query, query_limit)
    kept_query = min(kept_query, room - min(n_document, 1))
    return kept_query, min(n_document, room - kept_query)


def query_limit_with_windows(*, max_length: int, n_special: int) -> int:
    """Return how many tokens of a query are kept when a document is split into windows.

    BCEmbedding raises an AssertionError when the query leaves 100 tokens or fewer for a window.
    Every query that it accepts is kept whole here; a longer one is cut to that length, or to three
    quarters of a short input.
    """
    return max(max_length * 3 // 4 - n_special, max_length - n_special - BCE_MIN_WINDOW_ROOM_TOKENS, 1)
