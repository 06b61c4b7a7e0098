"""Which windows a long text is read in, and from which of them each chunk takes its states. Pure functions.

The published code of late chunking (jina-ai/late-chunking, ``_embed_with_overlap``) takes every token from the earlier
of two windows, so that the last tokens of a window have no context behind them. The rule here is this project's: each
chunk is taken from the window in which it stands furthest from the edges, where an edge of the text itself counts as no
edge. With two windows that share the tokens from c to b, that is the earlier one if the middle of the chunk lies before
``(c + b) / 2``.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Piece", "chunk_pieces", "context_windows", "token_ranges"]

_Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Piece:
    """Tokens of a chunk that one window holds; most chunks are one piece.

    Attributes:
        window: Number of the window.
        chunk: Number of the chunk.
        start: First token, counted in the text.
        end: Behind the last token.
    """

    window: int
    chunk: int
    start: int
    end: int


def context_windows(n_tokens: int, *, room: int, overlap: int) -> list[_Range]:
    """Return the half-open token ranges of the windows of one text.

    Args:
        n_tokens: Tokens of the text.
        room: Tokens a window can hold, at least 1.
        overlap: Tokens that neighbouring windows share at least, capped at half of ``room``.

    Returns:
        None for an empty text. All but those of a text that is shorter are full: the last one ends with the text.
    """
    stride = room - min(overlap, room // 2)
    last = max(n_tokens - room, 0)
    starts = [*range(0, last, stride), last] if n_tokens else []
    return [(start, min(start + room, n_tokens)) for start in starts]


def token_ranges(offsets: Sequence[_Range], spans: Sequence[_Range]) -> list[_Range]:
    """Return the tokens of each span of characters; a token belongs where its last character does.

    Args:
        offsets: The (start, end) characters of each token.
        spans: Spans of characters, in any order; they may overlap.

    Returns:
        Half-open ranges, empty for a span in which no token ends.
    """
    # Tokens of one character share its offsets, and some tokenizers give empty ones at the end of a text.
    last = np.maximum.accumulate(np.array([max(end - 1, start) for start, end in offsets], dtype=np.int64))
    first = np.searchsorted(last, [start for start, _ in spans], side="left")
    ends = np.searchsorted(last, [end for _, end in spans], side="left")
    return list(zip(first.tolist(), np.maximum(first, ends).tolist(), strict=True))


def chunk_pieces(windows: Sequence[_Range], extents: Sequence[_Range]) -> list[Piece]:
    """Return the pieces of all chunks, from the windows in which they stand furthest from the edges.

    A chunk that no window holds whole takes each of its tokens from the window in which that token stands furthest from
    the edges.

    Args:
        windows: See :func:`context_windows`.
        extents: Token range of each chunk; an empty one has no piece.
    """
    bounds = [(end + start) / 2 for (_, end), (start, _) in itertools.pairwise(windows)]
    middles = [(start + end) / 2 for start, end in extents]
    nearest = np.searchsorted(bounds, middles, side="left").tolist() if windows else []
    pieces = []
    for chunk, ((start, end), window) in enumerate(zip(extents, nearest, strict=False)):
        holding = next((one for one in (window, window - 1, window + 1) if _holds(windows, one, start, end)), None)
        if end > start and holding is not None:
            pieces.append(Piece(holding, chunk, start, end))
        elif end > start:
            pieces += _parts(chunk, start, end, np.array(bounds))
    return pieces


def _holds(windows: Sequence[_Range], number: int, start: int, end: int) -> bool:
    return 0 <= number < len(windows) and windows[number][0] <= start and end <= windows[number][1]


def _parts(chunk: int, start: int, end: int, bounds: npt.NDArray[np.float64]) -> list[Piece]:
    owners = np.searchsorted(bounds, np.arange(start, end) + 0.5, side="left")
    cuts = [0, *(np.flatnonzero(np.diff(owners)) + 1).tolist(), len(owners)]
    return [Piece(int(owners[first]), chunk, start + first, start + last) for first, last in itertools.pairwise(cuts)]
