"""What the dialects of ``documents`` have in common: their keys, and the members of a result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rerank_plugins.serving.dialects.base import dropped_nulls
from rerank_plugins.serving.fields import Fields
from rerank_plugins.serving.outcomes import Costs, Ranked
from rerank_plugins.serving.refusals import Refusal
from rerank_plugins.serving.requests import Reading, RerankRequest
from rerank_plugins.types import RankedDocument

__all__ = ["DETAILS", "Keys", "details_of", "instruction_of", "results_of", "usages_of"]

DETAILS = "x_rerank_plugins"
"""Key of our own: ``true`` in a request puts facts that no dialect has into each result, under the same key."""

_LONGEST_INSTRUCTION = 4_000
_MOST_LEVELS = 200
"""Of a document that is given back as it came: orjson reads four times as many as it writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """How a body of ``documents`` is read.

    Attributes:
        documents: Key of the texts.
        top: Key of the number of results.
        zero_is_all: Whether 0 results means all of them, and not an error.
        returns_documents: Whether documents are given back where the body does not say.
        objects: Whether a document may be an object with a ``text``, or any object at all.
        needs_model: Whether the model must be named.
        raw: Key that asks for the model's own numbers; empty for none.
    """

    documents: str = "documents"
    top: str = "top_n"
    zero_is_all: bool = False
    returns_documents: bool = False
    objects: bool = True
    needs_model: bool = False
    raw: str = ""

    def read(self, fields: Fields, *, reading: Reading | None = None, **more: Any) -> RerankRequest:
        """Return the request of a body.

        Args:
            fields: The body.
            reading: How texts are read; None as the model is served.
            **more: Fields of the request that only one dialect has.
        """
        originals = fields.raw(self.documents)
        originals = [originals] if isinstance(originals, str) else fields.objects(self.documents)
        ranked_by = fields.texts("rank_fields") if fields.raw("rank_fields") not in (None, []) else []
        returns_documents = fields.flag("return_documents", default=self.returns_documents)
        if returns_documents:
            self._check_levels(originals)
        return RerankRequest(
            model=fields.text("model") if self.needs_model else fields.optional_text("model"),
            query=fields.text("query"),
            documents=[self._text(fields, item, index, ranked_by) for index, item in enumerate(originals)],
            originals=originals,
            top_n=fields.count(self.top, lowest=0 if self.zero_is_all else 1) or None,
            returns_documents=returns_documents,
            raw=bool(self.raw) and fields.flag(self.raw, default=False),
            whole=not fields.flag("truncation", default=True),
            details=fields.flag(DETAILS, default=False),
            reading=reading or Reading(),
            **more,
        )

    def _text(self, fields: Fields, item: object, index: int, ranked_by: list[str]) -> str:
        if isinstance(item, str):
            return item
        name = f"{self.documents}[{index}]"
        if not self.objects or not isinstance(item, dict):
            raise fields.wrong(name, "a string or an object with a text" if self.objects else "a string", item)
        if ranked_by:
            return "\n".join(f"{key}: {item[key]}" for key in ranked_by if isinstance(item.get(key), str))
        return Fields(item, within=name).text("text")

    def _check_levels(self, originals: Sequence[Any]) -> None:
        for index, original in enumerate(originals):
            if isinstance(original, dict) and _is_deep(original):
                msg = f"{self.documents}[{index}] has more than {_MOST_LEVELS} levels; send less, or its text alone"
                raise Refusal(msg, kind="invalid", param=self.documents)


def instruction_of(fields: Fields, name: str) -> str | None:
    """Return the instruction of a body; None if there is none.

    Raises:
        Refusal: It is longer than any instruction.
    """
    found = fields.optional_text(name)
    if found is not None and len(found) > _LONGEST_INSTRUCTION:
        msg = f"{name} has more than {_LONGEST_INSTRUCTION} characters"
        raise Refusal(msg, kind="invalid", param=name)
    return found if found and found.strip() else None


def results_of(request: RerankRequest, ranked: Ranked, *, as_text: bool = False) -> list[dict[str, Any]]:
    """Return ``index``, ``relevance_score`` and, if it was asked for, ``document`` of each result, best first.

    Args:
        request: What was asked.
        ranked: What came of it.
        as_text: Whether a document is given back as a text and not as an object.
    """
    found = []
    for one in ranked.documents:
        member = {"index": one.index, "relevance_score": one.score if request.raw else one.probability}
        extra: dict[str, Any] = {}
        if request.returns_documents:
            original = request.originals[one.index]
            extra["document"] = request.documents[one.index] if as_text else _as_object(original)
        if request.details:
            extra[DETAILS] = details_of(one)
        found.append(member | extra)
    return found


def details_of(one: RankedDocument) -> dict[str, Any]:
    """Return the facts of a result that no dialect has."""
    window = None if one.window is None else asdict(one.window)
    return dropped_nulls({"raw_score": one.score, "truncated": one.truncated, "window": window})


def usages_of(costs: Costs) -> dict[str, Any]:
    """Return what a request took in the words of all who look: each application reads another of them."""
    tokens = {"input_tokens": costs.tokens, "output_tokens": 0}
    meta = {"api_version": {"version": "1"}, "billed_units": {"search_units": 1}, "tokens": tokens}
    usage = {"prompt_tokens": costs.tokens, "total_tokens": costs.tokens}
    return {"usage": usage, "meta": meta, "tokens": tokens}


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_MOST_LEVELS):
        found = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, (dict, list))]
        level = [inner for members in found for inner in members]
        if not level:
            return False
    return True


def _as_object(original: Any) -> Any:
    return {"text": original} if isinstance(original, str) else original
