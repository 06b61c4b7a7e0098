"""Scores of queries with texts by each kind of vectors, differentiable.

With ``own`` a query is scored with the texts of its own group alone: shape (queries, group), not (queries, texts).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["dense_scores", "late_scores", "sparse_scores"]


def dense_scores(queries: Tensor, texts: Tensor, *, own: bool, normalize: bool) -> Tensor:
    """Return inner products, of vectors of length 1 with ``normalize``: cosines.

    Args:
        queries: Shape: (queries, dim).
        texts: Group by group. Shape: (texts, dim).
        own: See the module.
        normalize: Whether vectors are scaled to length 1 first.
    """
    if normalize:
        queries, texts = functional.normalize(queries, dim=1), functional.normalize(texts, dim=1)
    if own:
        return torch.einsum("qd,qgd->qg", queries, texts.view(len(queries), -1, texts.shape[1]))
    return queries @ texts.T


def sparse_scores(
    queries: tuple[Tensor, Tensor], texts: tuple[Tensor, Tensor], *, own: bool, without: frozenset[int]
) -> Tensor:
    """Return the inner products of lexical weights: of each token id the highest weight in a text.

    Args:
        queries: Token ids and weights. Shape of each: (queries, longest).
        texts: The same, group by group; the width may differ.
        own: See the module.
        without: Ids that have no weight: special tokens.
    """
    # Ids of the batch alone become columns: a vocabulary has hundreds of thousands.
    ids, columns = torch.unique(torch.cat([queries[0].flatten(), texts[0].flatten()]), return_inverse=True)
    n_query_ids = queries[0].numel()
    counts = torch.tensor([one not in without for one in ids.tolist()], device=ids.device)
    parts = []
    for (shape, weights), places in zip((queries, texts), (columns[:n_query_ids], columns[n_query_ids:]), strict=True):
        empty = weights.new_zeros(len(shape), len(ids))
        highest = empty.scatter_reduce(1, places.view(shape.shape), weights, reduce="amax")
        parts.append(highest * counts)
    return dense_scores(parts[0], parts[1], own=own, normalize=False)


def late_scores(queries: tuple[Tensor, Tensor], texts: tuple[Tensor, Tensor], *, own: bool, is_mean: bool) -> Tensor:
    """Return MaxSim: for each token of a query the highest cosine with a token of the text, summed.

    Args:
        queries: Token vectors, shape (queries, longest, dim), and which count, shape (queries, longest).
        texts: The same, group by group; the width may differ.
        own: See the module.
        is_mean: Whether the sum is divided by the number of the query's tokens.
    """
    vectors, counts = functional.normalize(queries[0], dim=2), queries[1].bool()
    others, others_count = functional.normalize(texts[0], dim=2), texts[1].bool()
    group = len(others) // len(vectors)
    lowest = torch.finfo(vectors.dtype).min
    scores = []
    # Query by query: all at once would be (queries, tokens, texts, tokens).
    for row, query in enumerate(vectors):
        part = slice(row * group, (row + 1) * group) if own else slice(None)
        cosines = torch.einsum("qd,ptd->pqt", query, others[part])
        highest = cosines.masked_fill(~others_count[part].unsqueeze(1), lowest).amax(dim=2)
        scores.append(highest.masked_fill(~counts[row], 0.0).sum(dim=1))
    found = torch.stack(scores)
    return found / counts.sum(dim=1, keepdim=True) if is_mean else found
