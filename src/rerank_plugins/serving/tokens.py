"""What needs a model's own tokenizer: cutting a document to some tokens, and TEI's ``/tokenize``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rerank_plugins.embedder import Embedder
from rerank_plugins.reranker import Reranker
from rerank_plugins.serving.refusals import Refusal
from rerank_plugins.serving.requests import Side
from rerank_plugins.text.tokenizer import TextTokenizer

__all__ = ["check_lengths", "cut_to_tokens", "tokens_of"]


_MOST_SPECIAL = 8
"""Special tokens around a text at most, for a bound."""


def cut_to_tokens(handle: Reranker, documents: Sequence[str], n_tokens: int) -> list[str]:
    """Return the beginning of each document; at most so many of the model's tokens.

    A model without a tokenizer here counts words.
    """
    tokenizer = _tokenizer_of(handle)
    # No token is shorter than a character, but for rare characters that are spelled in bytes.
    longer = [text for text in documents if len(text.encode("utf-8", "replace")) > n_tokens]
    cut: dict[str, str] = {}
    if tokenizer is None:
        cut = {text: " ".join(text.split()[:n_tokens]) for text in longer}
    else:
        for text, tokens in zip(longer, tokenizer.encode(longer), strict=True):
            if len(tokens) > n_tokens:
                cut[text] = text[: tokens.offsets[n_tokens - 1][1]]
    return [cut.get(text, text) for text in documents]


def check_lengths(embedder: Embedder, texts: Sequence[str], side: Side | None) -> None:
    """Refuse texts of which the model would not read the end; a model without a tokenizer here is not asked.

    Raises:
        Refusal: A text has more tokens than the model reads, special tokens and instruction included.
    """
    tokenizer, most = _tokenizer_of(embedder), embedder.max_length
    if tokenizer is None:
        return
    before = embedder.instruction.query if side == "query" else embedder.instruction.document
    for place, text in enumerate(texts):
        # Most texts are not counted: no token is shorter than a byte, and special tokens are few.
        if len(before) + len(text.encode("utf-8", "replace")) + _MOST_SPECIAL <= most:
            continue
        encoding = tokenizer.encode_with_special_tokens(before + text)
        found = len(tokenizer.encode_one(before + text)) if encoding is None else len(encoding.ids)
        if found > most:
            # The words of TEI.
            msg = f"`inputs` must have less than {most} tokens. Given: {found} (text {place}). Allow truncation"
            raise Refusal(msg, kind="invalid", param="truncate")


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


def _token(identity: int, text: str, special: int, offsets: tuple[int, int]) -> dict[str, Any]:
    start, stop = (None, None) if special else offsets
    return {"id": identity, "text": text, "special": bool(special), "start": start, "stop": stop}


def _tokenizer_of(handle: Reranker | Embedder) -> TextTokenizer | None:
    """Return the tokenizer of a checkpoint on this machine; a backend of texts has none."""
    found = getattr(handle._leased, "tokenizer", None)
    return found if isinstance(found, TextTokenizer) else None
