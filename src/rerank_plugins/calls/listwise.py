"""What cannot be asked of a reranker whose scores depend on the other documents of the call."""

from __future__ import annotations

from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.errors import InvalidInputError

__all__ = ["check_pointwise"]


def check_pointwise(spec: ModelSpec, what: str, way_out: str) -> None:
    """Raise InvalidInputError for a listwise model: a score of one call says nothing in another.

    Args:
        spec: The model.
        what: What was asked for that needs scores which do not depend on the call.
        way_out: What to do instead.
    """
    if spec.is_listwise:
        msg = (
            f"{what} needs scores that are the same in every call, and {spec.id!r} is listwise: it scores a document "
            f"beside the others of its query, in the same call; {way_out}"
        )
        raise InvalidInputError(msg)
