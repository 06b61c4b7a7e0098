"""The texts of a corpus by their ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import count

from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.inputs import check_texts
from rerank_plugins.retrieval.first_stage import check_new_ids, check_texts_by_id

__all__ = ["new_texts", "texts_by_id"]


def new_texts(documents: Mapping[str, str] | Iterable[str], known: Mapping[str, str]) -> dict[str, str]:
    """Return id to text of the added documents; texts without ids get the next free positions."""
    texts = texts_by_id(documents)
    if not isinstance(documents, Mapping):
        free = (str(position) for position in count(len(known)) if str(position) not in known)
        return dict(zip(free, texts.values(), strict=False))
    check_new_ids(texts, known)
    return texts


@checked_call(unchecked=("documents",))
def texts_by_id(documents: Mapping[str, str] | Iterable[str]) -> dict[str, str]:
    """Return id to text; texts without ids get their positions (``"0"``, ``"1"``, ...).

    Raises:
        InvalidInputError: A document is not a string, or it is one string where several are meant.
    """
    if isinstance(documents, Mapping):
        return check_texts_by_id(documents)
    if isinstance(documents, (str, bytes)):
        msg = "documents must be texts or id to text, got one string; put a single text into a list"
        raise InvalidInputError(msg)
    return check_texts_by_id(
        {str(position): text for position, text in enumerate(check_texts(documents, name="documents"))}
    )
