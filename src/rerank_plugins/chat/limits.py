"""How many calls of a chat model run at the same time, how long one may take, and what they cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from rerank_plugins.checks.arguments import checked_fields
from rerank_plugins.checks.kinds import Count, Seconds, Within

__all__ = ["ChatLimits", "ChatPrice"]


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class ChatLimits:
    """How a chat model is called.

    Attributes:
        concurrency: Calls at the same time at most, of all threads and event loops that use the reranker. Servers such
            as Ollama refuse more than they have slots for.
        timeout_s: Seconds for one call, the client's own retries included; a call that takes longer counts as failed.
        max_calls: Calls for one ``rank()`` at most, for each query of a ``score()``; what would need more keeps the
            order that it has. None for no limit.
        repairs: Whether an answer that cannot be used is asked for once more, with what was wrong with it.
        on_failure: What happens when a call fails for a reason that may pass (a time-out, too many requests, a broken
            connection): ``keep_order`` leaves the documents that it was about in the order that they had and counts it;
            ``raise`` raises the error. A wrong key, an unknown model, or a server that nobody can reach is an error in
            any case.
    """

    concurrency: Count = 8
    timeout_s: Seconds = 120.0
    max_calls: Count | None = None
    repairs: bool = True
    on_failure: Literal["keep_order", "raise"] = "keep_order"


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class ChatPrice:
    """What a model costs, in any currency.

    Attributes:
        prompt_per_million: Price of a million tokens of questions.
        answer_per_million: Price of a million tokens of answers.
    """

    prompt_per_million: Annotated[float, Within(0.0)]
    answer_per_million: Annotated[float, Within(0.0)]

    def of(self, *, prompt_tokens: int, answer_tokens: int) -> float:
        """Return the price of some tokens."""
        return (prompt_tokens * self.prompt_per_million + answer_tokens * self.answer_per_million) / 1e6
