"""Lists of documents, put into order window by window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from rerank_plugins.chat.asking import ChatContext, Question, Steps
from rerank_plugins.chat.method import scores_of_order, single_field
from rerank_plugins.chat.model import ChatAnswer, ChatMessage, ChatOptions
from rerank_plugins.chat.prompts import RANK_GPT, ListPrompt, filled
from rerank_plugins.chat.reading import Read, read_order
from rerank_plugins.chat.sorting import windows
from rerank_plugins.checks.arguments import checked_fields
from rerank_plugins.checks.kinds import Count, Within
from rerank_plugins.errors import InvalidInputError

__all__ = ["Listwise"]


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class Listwise:
    """Lets the model order lists of documents: windows that slide from the last document to the first.

    One pass takes ceil((n - window) / step) + 1 calls, one behind the other, and brings at most the best ``step``
    documents up to where they belong; n up to ``window`` takes one call. A window whose answer cannot be read stays as
    it is.

    Attributes:
        window: Documents in a list.
        step: How far the window moves; neighbours share ``window - step`` documents.
        passes: How often all of that is done; a pass that changes nothing is the last.
        prompt: The prompt: :data:`~rerank_plugins.chat.prompts.RANK_GPT`,
            :data:`~rerank_plugins.chat.prompts.RANK_ZEPHYR`, or your own.
    """

    window: Annotated[int, Within(2)] = 20
    step: Count = 10
    passes: Count = 1
    prompt: ListPrompt = RANK_GPT

    def __post_init__(self) -> None:
        if self.step >= self.window:
            msg = (
                f"step={self.step} must be less than window={self.window}: windows that share no document never "
                "compare what stands in two of them"
            )
            raise InvalidInputError(msg)

    @property
    def compares(self) -> bool:
        """Yes: a score is a rank."""
        return True

    def scores(self, context: ChatContext, query: str, documents: Sequence[str]) -> Steps[list[float | None]]:
        """See :class:`RankingMethod`."""
        order = list(range(len(documents)))
        for _ in range(self.passes):
            before = list(order)
            for start, end in windows(len(order), window=self.window, step=self.step):
                (found,) = yield [self._question(context, query, [documents[one] for one in order[start:end]])]
                if found is not None:
                    order[start:end] = [order[start + place] for place in found]
            if order == before:
                break
        return scores_of_order(order)

    def _question(self, context: ChatContext, query: str, texts: Sequence[str]) -> Question:
        n, fence = len(texts), context.fencing.of([query, *texts])
        is_json = context.model.offers_schema
        fields = {"query": query, "num": str(n)}
        shown = [
            filled(self.prompt.passage, {"rank": str(rank), "text": fence.fenced(text)})
            for rank, text in enumerate(texts, start=1)
        ]
        after = filled(self.prompt.after_json if is_json else self.prompt.after, fields)
        messages = [ChatMessage("system", self.prompt.system)] if self.prompt.system else []
        if self.prompt.passage_answer:
            messages += self._turns(filled(self.prompt.before, fields), shown)
            messages.append(ChatMessage("user", after))
        else:
            messages.append(ChatMessage("user", filled(self.prompt.before, fields) + "".join(shown) + after))
        schema = single_field("ranking", {"type": "array", "items": {"type": "integer"}}) if is_json else None
        wanted = (
            f'Answer with a JSON object such as {{"ranking": [2, 1]}} that holds all identifiers from 1 to {n}.'
            if is_json
            else f"Answer with all identifiers from [1] to [{n}], best first, such as [2] > [1]."
        )
        return Question(context.request(messages, fence, ChatOptions(schema=schema)), partial(_read_order, n), wanted)

    def _turns(self, before: str, shown: Sequence[str]) -> list[ChatMessage]:
        turns = [(before, self.prompt.before_answer)]
        turns += [
            (one, filled(self.prompt.passage_answer, {"rank": str(rank)})) for rank, one in enumerate(shown, start=1)
        ]
        return [
            message
            for user_text, reply in turns
            for message in (ChatMessage("user", user_text), ChatMessage("assistant", reply))
        ]


def _read_order(n: int, answer: ChatAnswer) -> Read[list[int]]:
    return read_order(answer.text, n)
