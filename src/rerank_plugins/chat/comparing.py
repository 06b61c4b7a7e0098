"""The best of two, or of a few: methods that sort by comparing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

from rerank_plugins.chat.asking import ChatContext, Question, Steps, passage_question
from rerank_plugins.chat.method import scores_of_order, single_field
from rerank_plugins.chat.model import ChatAnswer, ChatOptions
from rerank_plugins.chat.prompts import PAIRWISE, SETWISE, PassagePrompt
from rerank_plugins.chat.reading import Read, read_label
from rerank_plugins.chat.sorting import heap_top, insertion_top
from rerank_plugins.checks.arguments import checked_fields
from rerank_plugins.checks.kinds import Count, Within

__all__ = ["Pairwise", "Setwise"]

_LABELS = tuple("ABCDEFGHIJKLMNOPQRSTUVW")
"""As in ``ielab/llm-rankers``: X and Y are no single tokens everywhere."""

_WON: Mapping[tuple[int | None, ...], bool] = {(0, 1): True, (1, 0): False}
"""Whether the first of two documents is better, by what is chosen when it stands first and when it stands second."""


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class Pairwise:
    """Compares documents two at a time, each pair in both orders: one is better that is named in both.

    An answer that cannot be read says that the two are equal, and equal documents keep their order.

    Attributes:
        sort: ``insertion`` (binary insertion, which uses the order that came: 2 calls for a document that is not among
            the best, otherwise about 2 log2(top_k)), ``heap`` (heapsort, as published: about 2 (2n + 2 top_k log2 n)
            calls), or ``all`` (every pair, n (n - 1) calls, all at the same time).
        top_k: How many of the best are put into order; the rest stays behind them as it came. ``all`` orders all.
        prompt: The question.
    """

    sort: Literal["insertion", "heap", "all"] = "insertion"
    top_k: Count = 10
    prompt: PassagePrompt = PAIRWISE

    @property
    def compares(self) -> bool:
        """Yes: a score is a rank."""
        return True

    def scores(self, context: ChatContext, query: str, documents: Sequence[str]) -> Steps[list[float | None]]:
        """See :class:`RankingMethod`."""
        n, beats = len(documents), partial(self._beats, context, query, documents)
        if self.sort == "all":
            order = yield from self._all(context, query, documents)
        elif self.sort == "heap":
            order = yield from heap_top(n, top_k=self.top_k, children=2, best=partial(_best_of_three, beats))
        else:
            order = yield from insertion_top(n, top_k=self.top_k, beats=beats)
        return scores_of_order(order)

    def _beats(self, context: ChatContext, query: str, documents: Sequence[str], one: int, other: int) -> Steps[bool]:
        answers = tuple((yield self._both(context, query, documents[one], documents[other])))
        # llm-rankers leaves the root of a heap where it is; what came first is better than what a heap put there.
        return _WON.get(answers, one < other)

    def _all(self, context: ChatContext, query: str, documents: Sequence[str]) -> Steps[list[int]]:
        pairs = [(one, other) for one in range(len(documents)) for other in range(one)]
        if not pairs:
            return list(range(len(documents)))
        in_both_orders = [self._both(context, query, documents[one], documents[other]) for one, other in pairs]
        found = yield [question for both in in_both_orders for question in both]
        points = [0.0] * len(documents)
        for number, (one, other) in enumerate(pairs):
            answers = (found[2 * number], found[2 * number + 1])
            share = float(_WON.get(answers, 0.5))
            points[one] += share
            points[other] += 1.0 - share
        return sorted(range(len(documents)), key=lambda place: -points[place])

    def _both(self, context: ChatContext, query: str, one: str, other: str) -> list[Question]:
        return [_choice(context, self.prompt, query, texts) for texts in ([one, other], [other, one])]


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class Setwise:
    """Lets the model choose the best of a few documents at a time, for a heapsort with that many children.

    About n / children calls until the heap stands, which run side by side, and then about log(n) / log(children) for
    each further document of the best. An answer that cannot be read chooses the document that came first.

    Attributes:
        children: Documents that the present best is compared with in one call.
        top_k: How many of the best are put into order; the rest stays behind them as it came.
        prompt: The question.
    """

    children: Annotated[int, Within(2, len(_LABELS) - 1)] = 3
    top_k: Count = 10
    prompt: PassagePrompt = SETWISE

    @property
    def compares(self) -> bool:
        """Yes: a score is a rank."""
        return True

    def scores(self, context: ChatContext, query: str, documents: Sequence[str]) -> Steps[list[float | None]]:
        """See :class:`RankingMethod`."""
        best = partial(self._best, context, query, documents)
        order = yield from heap_top(len(documents), top_k=self.top_k, children=self.children, best=best)
        return scores_of_order(order)

    def _best(self, context: ChatContext, query: str, documents: Sequence[str], some: Sequence[int]) -> Steps[int]:
        (chosen,) = yield [_choice(context, self.prompt, query, [documents[one] for one in some])]
        return min(some) if chosen is None else some[chosen]


def _choice(context: ChatContext, prompt: PassagePrompt, query: str, texts: Sequence[str]) -> Question:
    labels = _LABELS[: len(texts)]
    schema = single_field("best", {"type": "string", "enum": list(labels)})

    def read(answer: ChatAnswer) -> Read[int]:
        return read_label(answer.text, labels)

    request = passage_question(context, prompt, query, texts, labels=labels, options=ChatOptions(schema=schema))
    return Question(request, read, f"Answer with one label: {', '.join(labels[:-1])} or {labels[-1]}.")


def _best_of_three(beats: Callable[[int, int], Steps[bool]], some: Sequence[int]) -> Steps[int]:
    """Compare a root with its two children, one after the other, as a binary heap does."""
    best = some[0]
    for one in some[1:]:
        if (yield from beats(one, best)):
            best = one
    return best
