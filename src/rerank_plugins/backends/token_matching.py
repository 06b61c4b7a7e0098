"""Which token of a document answers which token of a query, from their vectors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rerank_plugins.backends.token_vectors import TokenVectorModel
from rerank_plugins.embedding.maxsim import best_matches
from rerank_plugins.ranking.matches import TokenMatch
from rerank_plugins.text.late_inputs import LateText

__all__ = ["token_matches"]

_Rows = npt.NDArray[np.float32]


def token_matches(
    model: TokenVectorModel, pair: tuple[LateText, LateText], vectors: tuple[_Rows, _Rows], *, share: float
) -> tuple[TokenMatch, ...]:
    """Return the best match of each of a query's vectors in one input of a document.

    Args:
        model: Knows how its tokens are spelled.
        pair: The inputs of query and document.
        vectors: Those of their tokens that count. Shape of each: (tokens, dim).
        share: What a match gives to the score, as a part of its inner product.
    """
    if not len(vectors[1]):
        return ()
    places, products = best_matches(*vectors)
    query, document = pair
    of_query, of_document = np.flatnonzero(query.kept), np.flatnonzero(document.kept)
    query_tokens, document_tokens = model.tokens_of(query), model.tokens_of(document)
    n_real = len(query.input) - query.n_filled
    return tuple(
        TokenMatch(
            query_token=query_tokens[place],
            query_span=query.characters(int(place)),
            is_expansion=bool(place >= n_real),
            document_token=document_tokens[of_document[answer]],
            document_span=document.characters(int(of_document[answer])),
            similarity=float(product),
            share=float(product) * share,
        )
        for place, answer, product in zip(of_query, places, products, strict=True)
    )
