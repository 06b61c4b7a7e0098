"""What comes out: documents in order, with their scores, and what it took. Small, of plain Python types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, SupportsIndex, overload

from rerank_plugins.checks.arguments import checked_fields
from rerank_plugins.types.stages import StageScore, StageUsage

__all__ = [
    "BLANK_DOCUMENT_SCORE",
    "CallUsage",
    "ChatUsage",
    "Document",
    "EngineStats",
    "RankedDocument",
    "Ranking",
    "RemoteUsage",
    "ScoreUnit",
    "WindowSpan",
]

ScoreUnit = Literal["raw", "probability"]
"""``raw`` is the model's own number (a logit for most rerankers); ``probability`` is in [0, 1]."""

BLANK_DOCUMENT_SCORE = -10_000.0
"""Raw score of an empty, blank or None document: below any model's range, its probability is
exactly 0.0, and finite, so that results stay valid JSON."""


@dataclass(frozen=True, slots=True)
class WindowSpan:
    """A slice of a document, in characters: ``document[start:end]``."""

    start: int
    end: int


@checked_fields()
@dataclass(frozen=True, slots=True)
class Document:
    """A text to rank that brings its own name and facts along.

    Attributes:
        text: What is scored; None counts as blank.
        id: Its name where it comes from; None for none.
        metadata: Anything that the result is to give back. It is never read, copied or changed.
    """

    text: str | None
    id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RankedDocument:
    """One document with its score.

    Attributes:
        index: Position of the document in the list that was passed in.
        score: The model's raw score, a Python float. A blank document has ``BLANK_DOCUMENT_SCORE``.
        probability: The same score in [0, 1] (the sigmoid of a logit).
        rank: 1 for the best document.
        document: The text as it was passed in; None if None was passed.
        window: Characters of ``document`` that the score was read from: the winning window when a
            long document was split, the kept part when it was truncated. None when the whole
            document was read, when the strategy has no single winner (MeanP, TopKMean), or when
            the document is blank.
        truncated: True if some of the document was never read by the model.
        id: What the :class:`Document` that was passed in is called; None for a plain text.
        metadata: The metadata of that :class:`Document`, the same object; empty for a plain text.
        stages: Which models of a cascade or an ensemble scored the document, in the order in which they ran; the last
            stage of a cascade placed it. Empty for a document that none of them scored, and for other rerankers.
    """

    index: int
    score: float
    probability: float
    rank: int
    document: str | None
    window: WindowSpan | None = None
    truncated: bool = False
    id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    stages: tuple[StageScore, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatUsage:
    """What a chat model was asked in one call of a reranker, and what of its answers had to be put right.

    Attributes:
        calls: Calls of the chat model.
        failed_calls: Of these, those without an answer: time-outs, too many requests, broken connections.
        skipped_calls: Calls that were not made because ``ChatLimits(max_calls=...)`` was reached.
        repair_calls: Of ``calls``, those that asked once more because the first answer would not do.
        unread_answers: Answers of which nothing could be read; what they were about stays in the order that it had.
        missing: Documents that answers left out; they stand behind the others, in the order that they had.
        unknown: Identifiers, labels and numbers in answers that there are none of.
        doubled: Identifiers that answers named again.
        prompt_tokens: Tokens of the questions.
        answer_tokens: Tokens of the answers.
        is_estimate: Whether the model did not tell the tokens of all calls, and some are estimated.
        cost: What that cost by the prices that the reranker was given; None without prices.
    """

    calls: int = 0
    failed_calls: int = 0
    skipped_calls: int = 0
    repair_calls: int = 0
    unread_answers: int = 0
    missing: int = 0
    unknown: int = 0
    doubled: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0
    is_estimate: bool = False
    cost: float | None = None

    def __add__(self, other: ChatUsage) -> ChatUsage:
        """Return the usage of both together."""
        added: dict[str, Any] = {
            one.name: getattr(self, one.name) + getattr(other, one.name)
            for one in fields(self)
            if one.name not in ("is_estimate", "cost")
        }
        costs = [one.cost for one in (self, other) if one.cost is not None]
        return ChatUsage(**added, is_estimate=self.is_estimate or other.is_estimate, cost=sum(costs) if costs else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteUsage:
    """What a service was asked in one call of a reranker, in its own words.

    Attributes:
        requests: Requests that it answered.
        tokens: Tokens that it counted; 0 if it does not tell.
        searches: Searches that it counted (Cohere's unit of account); 0 if it does not tell.
        cost: What that cost by the prices that the object was given; None without prices.
    """

    requests: int = 0
    tokens: int = 0
    searches: int = 0
    cost: float | None = None

    def __add__(self, other: RemoteUsage) -> RemoteUsage:
        """Return the usage of both together."""
        costs = [one.cost for one in (self, other) if one.cost is not None]
        return RemoteUsage(
            requests=self.requests + other.requests,
            tokens=self.tokens + other.tokens,
            searches=self.searches + other.searches,
            cost=sum(costs) if costs else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CallUsage:
    """What one call took. A stream makes the ids of its next inputs while others wait or run, so its stages overlap.

    Attributes:
        tokenize_ms: Text to ids.
        queue_ms: From handing the ids over until their first batch started.
        forward_ms: From there until the numbers were back, batches of other calls in between included.
        inputs: Model inputs, windows of long documents counted one by one.
        tokens: Tokens of these inputs, special tokens included.
        reused_inputs: Inputs that did not run because an equal one did, in this call or in the score cache.
        chat: What chat models were asked, by all stages together; None where none was.
        stages: What became of each stage of a cascade or member of an ensemble; empty for other models.
        remote: What services were asked, by all stages together; None where all models ran here.
    """

    tokenize_ms: float
    queue_ms: float
    forward_ms: float
    inputs: int
    tokens: int
    reused_inputs: int
    chat: ChatUsage | None = None
    stages: tuple[StageUsage, ...] = ()
    remote: RemoteUsage | None = None


class Ranking(list[RankedDocument]):
    """Documents from best to worst, a list like any other, and what the call took. A part of it is a ranking too.

    Args:
        documents: The documents in their order.
        usage: Timings and token counts; None for a ranking that was not made by a model.
    """

    def __init__(self, documents: Iterable[RankedDocument] = (), *, usage: CallUsage | None = None) -> None:
        super().__init__(documents)
        self.usage = usage

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> RankedDocument: ...
    @overload
    def __getitem__(self, index: slice, /) -> Ranking: ...
    def __getitem__(self, index: SupportsIndex | slice, /) -> RankedDocument | Ranking:
        """Return a document, or for a slice a ranking of its documents that took what the whole did."""
        if isinstance(index, slice):
            return Ranking(super().__getitem__(index), usage=self.usage)
        return super().__getitem__(index)

    def copy(self) -> Ranking:
        """Return another ranking of the same documents."""
        return Ranking(self, usage=self.usage)

    def _repr_html_(self) -> str:
        """Show the documents as a table in a notebook: ranks before and after, scores, the window that won."""
        from rerank_plugins.display import ranking_html

        return ranking_html(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStats:
    """What a loaded model has done since it was loaded, for all objects that share it.

    Attributes:
        calls: Calls that were taken.
        calls_failed: Of these, those that ended with an error.
        calls_cancelled: Of these, those whose caller gave up, deadlines included.
        calls_refused: Calls that were not taken because too much waited.
        calls_merged: Calls that shared a run of batches with another call.
        inputs: Model inputs of the calls taken.
        inputs_reused: Inputs that did not run because an equal one did.
        inputs_dropped: Inputs that did not run because their caller gave up.
        batches: Forward passes.
        tokens: Tokens of the inputs that ran, each counted whole even if its beginning was computed with another's.
        padding_tokens: Slots that ran without holding a token.
        out_of_memory: Batches that were split because the device had no room.
        queue_s: Seconds that calls waited before their first batch, summed over calls.
        forward_s: Seconds that the model ran.
        batch_tokens: Token slots of a batch now; less than at the start after the device ran out of memory.
        waiting_calls: Calls that are not finished now.
        waiting_tokens: Their tokens that have not run.
        token_cache_hits: Texts whose ids were at hand.
        token_cache_misses: Texts that were tokenised.
    """

    calls: int = 0
    calls_failed: int = 0
    calls_cancelled: int = 0
    calls_refused: int = 0
    calls_merged: int = 0
    inputs: int = 0
    inputs_reused: int = 0
    inputs_dropped: int = 0
    batches: int = 0
    tokens: int = 0
    padding_tokens: int = 0
    out_of_memory: int = 0
    queue_s: float = 0.0
    forward_s: float = 0.0
    batch_tokens: int = 0
    waiting_calls: int = 0
    waiting_tokens: int = 0
    token_cache_hits: int = 0
    token_cache_misses: int = 0
