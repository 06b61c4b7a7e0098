"""One question a document: yes or no, or a grade."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from rerank_plugins.chat.asking import ChatContext, Question, Steps, passage_question
from rerank_plugins.chat.method import single_field
from rerank_plugins.chat.model import ChatAnswer, ChatOptions
from rerank_plugins.chat.prompts import GRADE, YES_NO, PassagePrompt
from rerank_plugins.chat.reading import Read, read_grade, yes_probability
from rerank_plugins.checks.arguments import checked_fields
from rerank_plugins.errors import ScoringError

__all__ = ["Pointwise"]

_FIRST_TOKEN = ChatOptions(max_tokens=1, top_logprobs=20)
"""20 is the most that OpenAI's interface gives."""

_HIGHEST_GRADE = 10

_NO_LOGPROBS, _NEITHER = -1.0, -2.0
"""What stands for a probability where there is none."""


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class Pointwise:
    """Asks about each document alone: n calls, all at the same time. Scores are probabilities.

    With log-probabilities the score is P(yes) / (P(yes) + P(no)) of the first token, over all spellings of both.
    Without them the model grades from 0 to 10, and the score is a tenth of that; where a model tells them and only one
    answer has none, that document alone is graded. A document whose answer cannot be read, or does not come, scores 0.

    Attributes:
        answer: ``yes_no``, ``grade``, or ``auto``: yes and no where the model tells log-probabilities, else grades.
        yes_no: The prompt of the first.
        grade: The prompt of the second.
    """

    answer: Literal["auto", "yes_no", "grade"] = "auto"
    yes_no: PassagePrompt = YES_NO
    grade: PassagePrompt = GRADE

    @property
    def compares(self) -> bool:
        """No: a score is the same in any company."""
        return False

    def scores(self, context: ChatContext, query: str, documents: Sequence[str]) -> Steps[list[float | None]]:
        """See :class:`RankingMethod`."""
        found: list[float | None] = [None] * len(documents)
        if self.answer == "grade" or (self.answer == "auto" and context.no_logprobs.is_set()):
            return (yield from self._graded(context, query, documents, range(len(documents)), found))
        readings = yield from self._yes_no_readings(context, query, documents)
        if _NO_LOGPROBS in readings and not context.has_logprobs.is_set():
            context.no_logprobs.set()
            if self.answer == "yes_no":
                msg = (
                    f"the chat model {context.model.name!r} tells no log-probabilities, which answer='yes_no' needs; "
                    "use Pointwise(answer='grade'), or answer='auto', which falls back to it"
                )
                raise ScoringError(msg)
            # All of a call on one scale.
            return (yield from self._graded(context, query, documents, range(len(documents)), found))
        found = [None if one is None or one < 0.0 else one for one in readings]
        left = [number for number, one in enumerate(readings) if one in (_NEITHER, _NO_LOGPROBS)]
        if not left or self.answer == "yes_no":
            return found
        return (yield from self._graded(context, query, documents, left, found))

    def _yes_no_readings(self, context: ChatContext, query: str, documents: Sequence[str]) -> Steps[list[float | None]]:
        """Ask about the first document alone, so that a model without log-probabilities is asked in vain only once."""
        # Where grades follow, an answer that says neither is no fault yet.
        read = partial(_read_yes, context, is_last=self.answer == "yes_no")
        questions = [
            Question(passage_question(context, self.yes_no, query, [text], options=_FIRST_TOKEN), read)
            for text in documents
        ]
        readings: list[float | None] = []
        for some in (questions[:1], questions[1:]):
            if some:
                readings += yield some
            if readings[0] == _NO_LOGPROBS and not context.has_logprobs.is_set():
                break
        return readings

    def _graded(
        self,
        context: ChatContext,
        query: str,
        documents: Sequence[str],
        places: Sequence[int],
        found: list[float | None],
    ) -> Steps[list[float | None]]:
        options = ChatOptions(
            schema=single_field("grade", {"type": "integer", "minimum": 0, "maximum": _HIGHEST_GRADE})
        )
        wanted = f"Answer with one number from 0 to {_HIGHEST_GRADE}."
        questions = [
            Question(
                passage_question(context, self.grade, query, [documents[place]], options=options), _read_grade, wanted
            )
            for place in places
        ]
        for place, grade in zip(places, (yield questions), strict=True):
            found[place] = None if grade is None else grade / _HIGHEST_GRADE
        return found


def _read_yes(context: ChatContext, answer: ChatAnswer, *, is_last: bool) -> Read[float]:
    if answer.logprobs is None:
        return Read(value=None if is_last and context.has_logprobs.is_set() else _NO_LOGPROBS)
    context.has_logprobs.set()
    probability = yes_probability(answer.logprobs)
    if probability is None:
        return Read(value=None if is_last else _NEITHER)
    return Read(value=probability)


def _read_grade(answer: ChatAnswer) -> Read[float]:
    return read_grade(answer.text, _HIGHEST_GRADE)
