"""The values that cross the public boundary: small, frozen, made of plain Python types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, SupportsIndex, cast, overload

from rerank_plugins.checks.arguments import checked_fields
from rerank_plugins.checks.kinds import Count, Kind, Milliseconds, Seconds, Within, kind_of

__all__ = [
    "BLANK_DOCUMENT_SCORE",
    "CallUsage",
    "Document",
    "EngineOptions",
    "EngineStats",
    "LayerOptions",
    "LongDocumentStrategy",
    "LongDocuments",
    "QueryExample",
    "RankedDocument",
    "Ranking",
    "ScoreUnit",
    "TruncationRule",
    "WindowSpan",
]

ScoreUnit = Literal["raw", "probability"]
"""``raw`` is the model's own number (a logit for most rerankers); ``probability`` is in [0, 1]."""

LongDocumentStrategy = Literal["truncate", "maxp", "firstp", "meanp", "topkmean"]

BLANK_DOCUMENT_SCORE = -10_000.0
"""Raw score of an empty, blank or None document: below any model's range, its probability is
exactly 0.0, and finite, so that results stay valid JSON."""


TruncationRule = Literal["longest_first", "only_second", "end"]
"""``longest_first``: the longer side is cut (plain transformers, sentence-transformers, BCEmbedding
``compute_score``). ``only_second``: the query is cut to three quarters of the input, then the
document takes the rest (FlagEmbedding 1.3.5, ``inference/reranker/encoder_only/base.py``). ``end``: query
and document are one text, cut at its end (the card of Qwen3-Reranker): a query that fills the input
leaves nothing of the document, unless ``query_max_length`` limits it."""


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


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class LongDocuments:
    """How a document longer than the model's input is scored.

    Attributes:
        strategy: ``truncate`` reads the beginning only. The others split the document into
            overlapping windows and combine the windows' raw scores: ``maxp`` takes the best
            (BCEmbedding's rule; MaxP in Dai & Callan 2019, arXiv:1905.09217), ``firstp`` the
            first window, ``meanp`` the mean, ``topkmean`` the mean of the best ``top_k``.
        overlap_tokens: Tokens shared by neighbouring windows, never more than a quarter of the
            room a window has (BCEmbedding: 80).
        top_k: Windows averaged by ``topkmean``.
        max_characters: Characters of a document that are read at most (BCEmbedding: 128,000).
    """

    strategy: LongDocumentStrategy = "truncate"
    overlap_tokens: Annotated[int, Within(0)] = 80
    top_k: Count = 3
    max_characters: Count = 128_000


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class QueryExample:
    """A solved example of the task, for embedders that learn from examples in front of the query (bge-en-icl).

    Attributes:
        query: A query.
        response: A text that answers it.
        task: The task in words; None takes the one that the queries have.
    """

    query: str
    response: str
    task: str | None = None


_LAYERS = cast("Kind", kind_of(tuple[int, ...]))


@checked_fields(own=("cutoff_layers", "compress_layers"))
@dataclass(frozen=True, slots=True, kw_only=True)
class LayerOptions:
    """How far an LLM reranker with a head on many layers runs; for each call, or for all calls of an object.

    None everywhere takes what the object was made with, then the model's default.

    Attributes:
        cutoff_layers: Layers whose scores are asked for; the model runs to the deepest of them. An int counts as one.
        compress_ratio: How many document tokens become one: 1 (off), 2, 4 or 8.
        compress_layers: Layers in front of which the document is compressed, each time once more.
        head_by_layer: Whether a layer's state goes through that layer's own head. False is what FlagEmbedding
            1.3.5 does: the n-th lowest of the asked layers gets the n-th head.
        attention_softcap: Whether attention logits are soft-capped as the config says. False is what
            FlagEmbedding 1.3.5 does with its default attention.
    """

    cutoff_layers: tuple[int, ...] | None = None
    compress_ratio: int | None = None
    compress_layers: tuple[int, ...] | None = None
    head_by_layer: bool | None = None
    attention_softcap: bool | None = None

    def __post_init__(self) -> None:
        for name in ("cutoff_layers", "compress_layers"):
            given: object = getattr(self, name)
            if given is not None:
                listed = (given,) if isinstance(given, int) else given
                object.__setattr__(self, name, _LAYERS.check(name, listed))


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """How the calls of one object are run; objects with different options still share weights and batches.

    Attributes:
        max_batch_tokens: Token slots of a batch; None takes the device's default, 2,048 on a CPU and 32,768 on a GPU.
            Only an input that is longer exceeds it, alone.
        max_wait_ms: How long a call may wait for others to share its batch while the model is free, at most an hour.
            Calls that come while the model is busy share batches whatever this is.
        max_waiting_tokens: A call that finds so much unfinished work raises OverloadedError instead of queueing; None
            never does. A call on an idle model is always taken.
        deadline_s: Seconds after which a call raises DeadlineExceededError and what has not run of it is dropped; None
            waits for ever.
        token_cache: Whether the ids of texts that were tokenised lately are used again.
        share_prefix: Whether the tokens that prompts of one batch begin with (instruction and query of an LLM reranker)
            are computed once for all its documents, where a trial at load found that exact. Scores are the same up to
            rounding, which in half precision may move the last digit with what else is in the batch; False computes
            every prompt whole.
    """

    max_batch_tokens: Count | None = None
    max_wait_ms: Milliseconds = 0.0
    max_waiting_tokens: Count | None = None
    deadline_s: Seconds | None = None
    token_cache: bool = True
    share_prefix: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CallUsage:
    """What one call took.

    Attributes:
        tokenize_ms: Text to ids.
        queue_ms: From handing the ids over until their first batch started.
        forward_ms: From there until the numbers were back, batches of other calls in between included.
        inputs: Model inputs, windows of long documents counted one by one.
        tokens: Tokens of these inputs, special tokens included.
        reused_inputs: Inputs that did not run because an equal one did, in this call or in the score cache.
    """

    tokenize_ms: float
    queue_ms: float
    forward_ms: float
    inputs: int
    tokens: int
    reused_inputs: int


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
