"""What needs a model's own tokenizer: cutting a document to some tokens, and TEI's ``/tokenize``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice
from typing import Any

from rerank_plugins.backends.local import LocalScorer
from rerank_plugins.embedder import Embedder
from rerank_plugins.reranker import Reranker
from rerank_plugins.serving.refusals import Refusal
from rerank_plugins.text.tokenizer import TextTokenizer

__all__ = ["cut_to_tokens", "cuts_query", "tokens_of"]

_WORD = re.compile(r"\S+")


def cut_to_tokens(handle: Reranker, documents: Sequence[str], n_tokens: int) -> list[str]:
    """Return the beginning of each document; at most so many of the model's tokens.

    A model without a tokenizer here counts words.
    """
    tokenizer = _tokenizer_of(handle)
    # No token is shorter than a character, but for rare characters that are spelled in bytes.
    longer = [text for text in documents if len(text.encode("utf-8", "replace")) > n_tokens]
    cut: dict[str, str] = {}
    if tokenizer is None:
        cut = {text: _first_words(text, n_tokens) for text in longer}
    else:
        for text, tokens in zip(longer, tokenizer.encode(longer), strict=True):
            if len(tokens) > n_tokens:
                cut[text] = text[: tokens.offsets[n_tokens - 1][1]]
    return [cut.get(text, text) for text in documents]


def cuts_query(handle: Reranker, query: str, documents: Sequence[str]) -> bool:
    """Return whether a model reads a query without its end; results tell it of documents only.

    False where it is not known: a backend of texts tells nothing of how it reads them.
    """
    backend = handle._backend
    if not isinstance(backend, LocalScorer):
        return False
    return any(pair.cuts_query for pair in backend.encode([(query, document) for document in documents]))


def tokens_of(handle: Reranker | Embedder, texts: Sequence[str], *, special_tokens: bool) -> list[list[dict[str, Any]]]:
    """Return the tokens of each text as TEI writes them.

    Raises:
        Refusal: The model has no tokenizer on this machine.
    """
    tokenizer = _tokenizer_of(handle)
    if tokenizer is None:
        msg = "this model has no tokenizer on this server"
        raise Refusal(msg, kind="invalid")
    found = []
    for text in texts:
        whole = tokenizer.encode_with_special_tokens(text) if special_tokens else None
        encoding = tokenizer.encode_one(text).encoding if whole is None else whole
        columns = zip(encoding.ids, encoding.tokens, encoding.special_tokens_mask, encoding.offsets, strict=True)
        found.append([_token(*column) for column in columns])
    return found


def _first_words(text: str, n_words: int) -> str:
    """Return the beginning of a text as it is written, so that places in it are places in the text."""
    ends = [match.end() for match in islice(_WORD.finditer(text), n_words + 1)]
    return text if len(ends) <= n_words else text[: ends[n_words - 1]]


def _token(identity: int, text: str, special: int, offsets: tuple[int, int]) -> dict[str, Any]:
    start, stop = (None, None) if special else offsets
    return {"id": identity, "text": text, "special": bool(special), "start": start, "stop": stop}


def _tokenizer_of(handle: Reranker | Embedder) -> TextTokenizer | None:
    """Return the tokenizer of a checkpoint on this machine; a backend of texts has none."""
    found = getattr(handle._leased, "tokenizer", None)
    return found if isinstance(found, TextTokenizer) else None
