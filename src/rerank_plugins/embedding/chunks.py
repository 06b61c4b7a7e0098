"""Vectors of the chunks of long texts: what a model is given, and what is made of its rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log2

import numpy as np
import numpy.typing as npt

from rerank_plugins.embedding.chunk_windows import Piece, chunk_pieces, context_windows, token_ranges
from rerank_plugins.embedding.rows import finished_rows
from rerank_plugins.scorers.chunk_rows import ChunkedInput, ChunkRow
from rerank_plugins.text.single import SingleTextTokenizer
from rerank_plugins.types import WindowSpan

__all__ = ["ChunkPlan", "ChunkVectors", "ChunkedText", "Chunking", "plan_chunks"]

_SMALLEST_SLOTS = 4

_Rows = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class ChunkedText:
    """A text and the chunks of it that get vectors.

    Attributes:
        text: The text.
        spans: Characters of each chunk.
    """

    text: str
    spans: tuple[WindowSpan, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ChunkVectors:
    """The chunks of one text with a vector each.

    Attributes:
        spans: Characters of each chunk: ``text[span.start:span.end]``.
        vectors: In the order of ``spans``. Shape: (chunks, dim), float32.
    """

    spans: tuple[WindowSpan, ...]
    vectors: _Rows

    def __len__(self) -> int:
        return len(self.spans)


@dataclass(frozen=True, slots=True, eq=False)
class ChunkPlan:
    """What a model is given for the chunks of some texts, and where its rows belong.

    Attributes:
        inputs: One per window that some chunk is taken from.
        places: For each input, the number of the chunk that each of its ranges belongs to, over all texts.
        weights: Likewise the tokens of that range.
        texts: The texts.
    """

    inputs: list[ChunkedInput]
    places: list[list[int]]
    weights: list[list[int]]
    texts: Sequence[ChunkedText]

    def groups(self) -> list[tuple[list[int], ChunkRow]]:
        """Return the inputs in groups with a similar number of chunks, whose rows have the same length."""
        by_slots: dict[int, list[int]] = defaultdict(list)
        for index, one in enumerate(self.inputs):
            by_slots[2 ** ceil(log2(max(len(one.chunks), _SMALLEST_SLOTS)))].append(index)
        return [(indices, ChunkRow(slots)) for slots, indices in sorted(by_slots.items())]

    def means(self, rows: Sequence[_Rows], *, dimensions: int) -> _Rows:
        """Return the vectors of all chunks of all texts, not finished. Shape: (chunks, dim), float32.

        A chunk of several pieces has the mean of their vectors, weighted by their tokens; one without any token has
        the zero vector.

        Args:
            rows: Of each of :meth:`groups`. Shape of each: (group, slots * dim).
            dimensions: Length of a vector where there is no row to see it by.
        """
        groups = self.groups()
        width = next((of.shape[1] // layout.slots for of, (_, layout) in zip(rows, groups, strict=True)), dimensions)
        sums = np.zeros((sum(len(one.spans) for one in self.texts), width), dtype=np.float64)
        counts = np.zeros(len(sums))
        for (indices, layout), of_group in zip(groups, rows, strict=True):
            for index, row in zip(indices, of_group, strict=True):
                places, weights = self.places[index], np.array(self.weights[index], dtype=np.float64)
                found = layout.split(row, n_chunks=len(places))
                np.add.at(sums, places, found * weights[:, None])
                np.add.at(counts, places, weights)
        return (sums / np.maximum(counts, 1)[:, None]).astype(np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunking:
    """How chunks are read in their context, and how their vectors are finished.

    Attributes:
        overlap: Tokens that neighbouring windows share at least; None shares a quarter of a window.
        dimensions: Length of the model's vectors; 0 if it shows only at run time.
        kept: Numbers of each vector that are kept; None keeps all.
        normalize: Whether vectors are scaled to length 1.
    """

    overlap: int | None
    dimensions: int
    kept: int | None
    normalize: bool

    def vectors(self, plan: ChunkPlan, rows: Sequence[_Rows]) -> list[ChunkVectors]:
        """Return the chunks of each text with their vectors; see :meth:`ChunkPlan.means`.

        A chunk without any token has :func:`~rerank_plugins.embedding.rows.neutral_vector`.
        """
        means = plan.means(rows, dimensions=self.dimensions)
        finished = finished_rows(means, normalize=self.normalize, dimensions=self.kept)
        counts = [len(one.spans) for one in plan.texts]
        ends = np.cumsum(counts).tolist()
        return [
            ChunkVectors(one.spans, finished[end - n : end])
            for one, n, end in zip(plan.texts, counts, ends, strict=True)
        ]


def plan_chunks(
    texts: Sequence[ChunkedText], side: SingleTextTokenizer, *, overlap: int | None, landmark_id: int | None = None
) -> ChunkPlan:
    """Return the windows of texts with their chunks.

    Every window has the instruction in front and the special tokens around it; none of them counts in a mean.

    Args:
        texts: Texts and their chunks.
        side: Makes the inputs.
        overlap: Tokens that neighbouring windows share, see
            :func:`~rerank_plugins.embedding.chunk_windows.context_windows`; None shares a quarter.
        landmark_id: Token that is put behind each chunk, and whose state alone is the chunk's vector; None takes the
            mean of the chunk's tokens.
    """
    plan = ChunkPlan([], [], [], texts)
    n_before = 0
    for one in texts:
        _add(plan, _read(one, side, landmark_id), n_before, side, overlap)
        n_before += len(one.spans)
    return plan


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    """The tokens of a text.

    Attributes:
        before: Ids of its instruction. Shape: (tokens,), int32.
        ids: Its own, landmarks included. Shape: (tokens,), int32.
        extents: Token range of each chunk, its landmark included.
        has_landmarks: Whether the last token of an extent is the landmark that is read.
    """

    before: npt.NDArray[np.int32]
    ids: npt.NDArray[np.int32]
    extents: list[tuple[int, int]]
    has_landmarks: bool

    def pooled(self, piece: Piece) -> tuple[int, int] | None:
        """Return the tokens of a piece that are read; None if it has none."""
        if not self.has_landmarks:
            return piece.start, piece.end
        end = self.extents[piece.chunk][1]
        return (end - 1, end) if piece.end == end else None


def _read(one: ChunkedText, side: SingleTextTokenizer, landmark_id: int | None) -> _Read:
    before, tokens = side.whole(one.text)
    extents = token_ranges(tokens.offsets, [(span.start, span.end) for span in one.spans]) if len(tokens) else []
    if landmark_id is None:
        return _Read(before, tokens.ids, extents, has_landmarks=False)
    return _with_landmarks(before, tokens.ids, extents, landmark_id)


def _with_landmarks(
    before: npt.NDArray[np.int32], ids: npt.NDArray[np.int32], extents: list[tuple[int, int]], landmark_id: int
) -> _Read:
    """Return the tokens with a landmark behind each chunk that has some; of several with one end, each has its own."""
    filled = [number for number, (start, end) in enumerate(extents) if start < end]
    ends = np.array([extents[number][1] for number in filled], dtype=np.int64)
    order = np.argsort(ends, kind="stable")
    # Where each chunk's landmark comes to stand: behind its last token and the landmarks before.
    places = np.empty(len(ends), dtype=np.int64)
    places[order] = ends[order] + np.arange(len(ends))
    starts = np.array([extents[number][0] for number in filled], dtype=np.int64)
    moved = starts + np.searchsorted(np.sort(ends), starts, side="right")
    whole = np.insert(ids, np.sort(ends), landmark_id)
    found = [(0, 0)] * len(extents)
    for number, start, place in zip(filled, moved.tolist(), places.tolist(), strict=True):
        found[number] = start, place + 1
    return _Read(before, whole, found, has_landmarks=True)


def _add(plan: ChunkPlan, read: _Read, n_before: int, side: SingleTextTokenizer, overlap: int | None) -> None:
    layout, room = side.layout, side.room_tokens(len(read.before))
    if read.has_landmarks:
        # A window ends in a landmark or in the middle of a sentence, not in the token behind a whole text.
        room += len(layout.suffix)
    windows = context_windows(len(read.ids), room=room, overlap=room // 4 if overlap is None else overlap)
    by_window: dict[int, list[tuple[Piece, tuple[int, int]]]] = defaultdict(list)
    for piece in chunk_pieces(windows, read.extents):
        pooled = read.pooled(piece)
        if pooled is not None:
            by_window[piece.window].append((piece, pooled))
    for number, found in sorted(by_window.items()):
        start, end = windows[number]
        suffix = () if read.has_landmarks else layout.suffix
        ids = np.array([*layout.prefix, *read.before, *read.ids[start:end], *suffix], dtype=np.int32)
        shift = len(layout.prefix) + len(read.before) - start
        chunks = tuple((first + shift, stop + shift) for _, (first, stop) in found)
        plan.inputs.append(ChunkedInput(ids, np.zeros_like(ids), chunks=chunks))
        plan.places.append([n_before + piece.chunk for piece, _ in found])
        plan.weights.append([stop - first for _, (first, stop) in found])
