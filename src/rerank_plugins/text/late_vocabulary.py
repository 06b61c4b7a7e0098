"""The ids of a late-interaction model: markers, the token that fills queries up, and those that get no vector."""

from __future__ import annotations

from dataclasses import dataclass

from rerank_plugins.catalog.checkpoint import CheckpointFiles
from rerank_plugins.catalog.json_files import read_object
from rerank_plugins.catalog.late_interaction import LateInteraction, SkipRule
from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.text.tokenizer import TextTokenizer

__all__ = ["LateVocabulary", "late_vocabulary"]

_FILLING = ("mask_token", "eos_token", "pad_token")
"""What fills queries up where the files do not name a token; the first that the tokenizer has (PyLate's order)."""
_MASKS = ("[MASK]", "<mask>")
"""The mask token of a tokenizer whose config names none: transformers' defaults for BERT's and RoBERTa's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LateVocabulary:
    """Ids that a late-interaction model puts into inputs, or gives no vector.

    Attributes:
        query_marker: Put behind the first special token of a query; None for none.
        document_marker: The same for a document.
        expansion: Fills queries up; None for nothing.
        query_skipped: Tokens of queries that get no vector.
        document_skipped: The same for documents.
    """

    query_marker: int | None
    document_marker: int | None
    expansion: int | None
    query_skipped: frozenset[int]
    document_skipped: frozenset[int]


def late_vocabulary(tokenizer: TextTokenizer, files: CheckpointFiles, late: LateInteraction) -> LateVocabulary:
    """Return the ids of a model.

    A symbol of the skip list that the vocabulary lacks takes no vector away: it would otherwise stand for the unknown
    token, and every unknown token of a document would lose its vector, as in PyLate and colbert-ai. A list that names
    the unknown token itself means it (sentence-transformers 6.2, ``MultiVectorMask``).

    Raises:
        UnsupportedModelError: The vocabulary lacks a marker, or a token to fill queries up with.
    """
    return LateVocabulary(
        query_marker=_marker(tokenizer, files, late.query.marker),
        document_marker=_marker(tokenizer, files, late.document.marker),
        expansion=None if late.expansion is None else _expansion(tokenizer, files, late.expansion.token),
        query_skipped=_skipped(tokenizer, late.query.skipped, late.skip_rule),
        document_skipped=_skipped(tokenizer, late.document.skipped, late.skip_rule),
    )


def _marker(tokenizer: TextTokenizer, files: CheckpointFiles, marker: str) -> int | None:
    if not marker:
        return None
    # PyLate's default is "[Q] ", one token with its space; some files name it so and have the token without.
    for spelling in (marker, marker.strip()):
        found = tokenizer.token_to_id(spelling)
        if found is not None:
            return found
    raise _lacks(files, f"its marker {marker!r}")


def _expansion(tokenizer: TextTokenizer, files: CheckpointFiles, token: str | None) -> int:
    if token is not None:
        found = tokenizer.token_to_id(token)
        if found is None:
            raise _lacks(files, f"the token {token!r} that fills its queries up")
        return found
    others = read_object(files.folder / "special_tokens_map.json")
    for name in _FILLING:
        entry = others.get(name)
        mapped = entry.get("content") if isinstance(entry, dict) else entry
        names = [files.special_token(name), mapped if isinstance(mapped, str) else None]
        for one in (*names, *(_MASKS if name == _FILLING[0] else ())):
            found = None if one is None else tokenizer.token_to_id(one)
            if found is not None:
                return found
    raise _lacks(files, "a mask token with which its queries are filled up")


def _skipped(tokenizer: TextTokenizer, words: tuple[str, ...], rule: SkipRule) -> frozenset[int]:
    found: set[int] = set()
    for word in words:
        named = tokenizer.token_to_id(word)
        if rule == "first piece":
            pieces = tokenizer.encode_one(word).ids[:1].tolist()
            found.update(one for one in pieces if one != tokenizer.unknown_id or named == one)
        elif named is not None:
            found.add(named)
    return frozenset(found)


def _lacks(files: CheckpointFiles, what: str) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"the vocabulary of {str(files.folder)!r} lacks {what}. Is the tokenizer.json the model's own? Download the "
        "checkpoint again, with its added_tokens.json and tokenizer_config.json"
    )
