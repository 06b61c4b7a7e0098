"""Questions to a chat model, and what becomes of them: read, asked once more if they cannot be read, counted.

A method is a generator: it yields questions that may be asked at the same time and is sent what was read of each, None
where there is nothing. It never sees a failure, and so cannot lose a document over one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, fields, replace
from numbers import Integral
from typing import Any, TypeVar

from rerank_plugins.chat.fencing import Fence, Fencing
from rerank_plugins.chat.model import ChatAnswer, ChatMessage, ChatModel, ChatOptions
from rerank_plugins.chat.prompts import PassagePrompt, filled
from rerank_plugins.chat.reading import Read
from rerank_plugins.types import ChatUsage

__all__ = [
    "CallCounts",
    "ChatContext",
    "Question",
    "Request",
    "Requests",
    "Steps",
    "answered",
    "passage_question",
    "together",
]

Q = TypeVar("Q")
T = TypeVar("T")

_CHARACTERS_PER_TOKEN = 4

_AGAIN = "This answer cannot be used: {fault}. {wanted} Say nothing else."


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """One call of a chat model."""

    messages: Sequence[ChatMessage]
    options: ChatOptions


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """A request, how its answer is read, and what the model is sent where that fails.

    Attributes:
        request: What is asked.
        read: Reads the answer.
        wanted: The form of an answer, in a sentence for the model; empty if asking again is no use.
    """

    request: Request
    read: Callable[[ChatAnswer], Read[Any]]
    wanted: str = ""


@dataclass(slots=True, eq=False)
class CallCounts:
    """Counts of one query in a call of a reranker, or of all together."""

    calls: int = 0
    failed: int = 0
    skipped: int = 0
    repairs: int = 0
    unread: int = 0
    missing: int = 0
    unknown: int = 0
    doubled: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0
    is_estimate: bool = False

    @classmethod
    def sum_of(cls, some: Sequence[CallCounts]) -> CallCounts:
        """Return what several counts come to."""
        total = cls()
        for one in fields(cls):
            setattr(total, one.name, sum(getattr(counts, one.name) for counts in some))
        total.is_estimate = any(counts.is_estimate for counts in some)
        return total

    def note(self, request: Request, answer: ChatAnswer | None) -> None:
        """Count a call; tokens that it does not tell, or not as counts, are estimated at four characters each."""
        self.calls += 1
        if answer is None:
            self.failed += 1
            return
        if answer.usage is not None and all(map(_is_count, (answer.usage.prompt, answer.usage.answer))):
            self.prompt_tokens += int(answer.usage.prompt)
            self.answer_tokens += int(answer.usage.answer)
            return
        self.is_estimate = True
        self.prompt_tokens += -(-sum(len(one.content) for one in request.messages) // _CHARACTERS_PER_TOKEN)
        self.answer_tokens += -(-len(answer.text) // _CHARACTERS_PER_TOKEN)

    def usage(self, cost: float | None) -> ChatUsage:
        """Return the counts as part of a call's usage."""
        return ChatUsage(
            calls=self.calls,
            failed_calls=self.failed,
            skipped_calls=self.skipped,
            repair_calls=self.repairs,
            unread_answers=self.unread,
            missing=self.missing,
            unknown=self.unknown,
            doubled=self.doubled,
            prompt_tokens=self.prompt_tokens,
            answer_tokens=self.answer_tokens,
            is_estimate=self.is_estimate,
            cost=cost,
        )


@dataclass(frozen=True, slots=True, eq=False)
class ChatContext:
    """The chat model that ranking methods ask, and the settings of their requests.

    Attributes:
        model: The model.
        fencing: Fences passages.
        temperature: Of every request.
        no_logprobs: Set once the model was found to tell no log-probabilities; shared by all calls.
        has_logprobs: Set once it told some; one answer without them then says nothing of the others.
    """

    model: ChatModel
    fencing: Fencing
    temperature: float | None = 0.0
    no_logprobs: threading.Event = field(default_factory=threading.Event)
    has_logprobs: threading.Event = field(default_factory=threading.Event)

    def request(self, messages: Sequence[ChatMessage], fence: Fence, options: ChatOptions) -> Request:
        """Return a request whose conversation begins with what the fences mean, at the temperature of all."""
        if fence.rule:
            first, rest = messages[0], messages[1:]
            messages = [replace(first, content=_with_rule(first, fence.rule)), *rest]
        return Request(messages, replace(options, temperature=self.temperature))


def passage_question(
    context: ChatContext,
    prompt: PassagePrompt,
    query: str,
    passages: Sequence[str],
    *,
    labels: Sequence[str] = ("",),
    options: ChatOptions | None = None,
) -> Request:
    """Return a request about passages, each with its label.

    Args:
        context: The model, and the settings of requests.
        prompt: The question.
        query: What the passages are judged by.
        passages: Their texts.
        labels: A label for each.
        options: Of the request; its schema is used where the model offers that. None takes the defaults.
    """
    fence = context.fencing.of([query, *passages])
    shown = [
        filled(prompt.passage, {"text": fence.fenced(text), "label": label})
        for text, label in zip(passages, labels, strict=True)
    ]
    user_text = filled(prompt.user, {"query": query, "passages": prompt.between.join(shown)})
    options = options or ChatOptions()
    is_json = options.schema is not None and context.model.offers_schema
    messages = [ChatMessage("user", user_text + (prompt.answer_json if is_json else ""))]
    if prompt.system:
        messages.insert(0, ChatMessage("system", prompt.system))
    return context.request(messages, fence, replace(options, schema=options.schema if is_json else None))


Steps = Generator[list[Question], list[Any], T]
"""A method: it yields questions, is sent what was read of each, and returns its result."""

Requests = Generator[list[Request], list[ChatAnswer | None], T]
"""The same with requests and answers; None where a call failed."""


def together(methods: Sequence[Generator[list[Q], list[Any], T]]) -> Generator[list[Q], list[Any], list[T]]:
    """Run methods side by side: the questions, or requests, of each are one batch. Returns the result of each."""
    results: dict[int, T] = {}
    taken: dict[int, list[Any] | None] = dict.fromkeys(range(len(methods)))
    while taken:
        questions_of: dict[int, list[Q]] = {}
        for number, answers in taken.items():
            try:
                questions_of[number] = methods[number].send(answers)  # type: ignore[arg-type]
            except StopIteration as end:
                results[number] = end.value
        found = (
            yield [question for questions in questions_of.values() for question in questions] if questions_of else []
        )
        start, taken = 0, {}
        for number, questions in questions_of.items():
            taken[number] = found[start : start + len(questions)]
            start += len(questions)
    return [results[number] for number in range(len(methods))]


def answered(method: Steps[T], counts: CallCounts, *, is_repaired: bool, max_calls: int | None) -> Requests[T]:
    """Run a method: its questions become requests, and it is sent what could be read of their answers.

    Args:
        method: Yields questions.
        counts: Counts.
        is_repaired: Whether a question whose answer will not do is asked once more, with the fault.
        max_calls: Requests at most; questions beyond them are not asked, and nothing is read. None for no limit.
    """
    values: list[Any] | None = None
    while True:
        try:
            questions = method.send(values)  # type: ignore[arg-type]
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        answers = yield from _answered([one.request for one in questions], counts, max_calls)
        reads: list[Read[Any]] = [
            Read(value=None) if answer is None else question.read(answer)
            for question, answer in zip(questions, answers, strict=True)
        ]
        unread_places = [number for number, read in enumerate(reads) if read.fault and questions[number].wanted]
        if is_repaired and unread_places:
            repairs = [_repair(questions[number], answers[number], reads[number]) for number in unread_places]
            n_before = counts.calls
            second = yield from _answered(repairs, counts, max_calls)
            counts.repairs += counts.calls - n_before
            for number, answer in zip(unread_places, second, strict=True):
                if answer is not None:
                    reads[number] = _better(reads[number], questions[number].read(answer))
        for read, answer in zip(reads, answers, strict=True):
            counts.missing += read.missing
            counts.unknown += read.unknown
            counts.doubled += read.doubled
            counts.unread += answer is not None and read.value is None
        values = [read.value for read in reads]


def _answered(
    requests: Sequence[Request], counts: CallCounts, max_calls: int | None
) -> Requests[list[ChatAnswer | None]]:
    """Yield as many requests as the limit allows, and count them; return the answers, None for the others."""
    allowed = list(requests if max_calls is None else requests[: max(0, max_calls - counts.calls)])
    answers = (yield allowed) if allowed else []
    for request, answer in zip(allowed, answers, strict=True):
        counts.note(request, answer)
    n_skipped = len(requests) - len(allowed)
    counts.skipped += n_skipped
    return [*answers, *[None] * n_skipped]


def _repair(question: Question, answer: ChatAnswer | None, read: Read[Any]) -> Request:
    reply = "" if answer is None else answer.text
    fault = filled(_AGAIN, {"fault": read.fault, "wanted": question.wanted})
    messages = [*question.request.messages, ChatMessage("assistant", reply[:2_000] or "-"), ChatMessage("user", fault)]
    return replace(question.request, messages=messages)


def _better(first: Read[Any], second: Read[Any]) -> Read[Any]:
    """Return the reading that says more; the second of equals."""
    if second.value is None:
        return first
    return first if first.value is not None and first.missing < second.missing else second


def _is_count(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 0


def _with_rule(message: ChatMessage, rule: str) -> str:
    return f"{message.content}\n\n{rule}" if message.role == "system" else f"{rule}\n\n{message.content}"
