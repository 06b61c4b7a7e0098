"""Scripted chat models: one that knows the right answers, and one that fails in every way."""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable, Sequence

from rerank_plugins.chat import ChatAnswer, ChatMessage, ChatOptions, ChatTokens, SimpleChatModel

__all__ = ["OracleChat", "ScriptedChat", "UnreliableChat", "overlap", "said"]

_FENCED = r"<(passage-[0-9a-f]{16})>\n(.*?)\n</\%d>"
_LISTED = re.compile(r"\[(\d+)\] " + _FENCED % 2, re.DOTALL)
_LABELLED = re.compile(r'Passage ([A-W]): "' + _FENCED % 2, re.DOTALL)
_SINGLE = re.compile(_FENCED % 1, re.DOTALL)


def overlap(query: str, text: str) -> float:
    """Return the words that two texts share, and a little for length, so that no two of a test are equal."""
    words = set(query.lower().split())
    return sum(word in words for word in text.lower().split()) + min(len(text), 999) / 1000


def said(messages: Sequence[ChatMessage]) -> str:
    return "\n".join(one.content for one in messages)


class ScriptedChat(SimpleChatModel):
    """Answers with what a function makes of a conversation, and keeps what it was asked."""

    def __init__(self, answer: Callable[[Sequence[ChatMessage]], str | ChatAnswer], *, name: str = "scripted") -> None:
        self.name, self._answer = name, answer
        self.asked: list[Sequence[ChatMessage]] = []
        self.options: list[ChatOptions] = []

    def complete(self, messages: Sequence[ChatMessage], options: ChatOptions) -> ChatAnswer:
        self.asked.append(messages)
        self.options.append(options)
        found = self._answer(messages)
        return found if isinstance(found, ChatAnswer) else ChatAnswer(text=found)


class OracleChat(SimpleChatModel):
    """Reads the fenced passages of a prompt and answers rightly by a score of (query, passage).

    Attributes:
        most_at_once: Calls that ran at the same time at most.
    """

    def __init__(
        self,
        score: Callable[[str, str], float] = overlap,
        *,
        query: str = "",
        delay_s: float = 0.0,
        has_logprobs: bool = False,
        offers_schema: bool = False,
    ) -> None:
        self.name, self.offers_schema = "oracle", offers_schema
        self._score, self._query, self._delay_s, self._has_logprobs = score, query, delay_s, has_logprobs
        self.calls = self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()

    def complete(self, messages: Sequence[ChatMessage], options: ChatOptions) -> ChatAnswer:
        with self._lock:
            self.calls += 1
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            time.sleep(self._delay_s)
            return self._answer(said(messages), options)
        finally:
            with self._lock:
                self.at_once -= 1

    def __reduce__(self) -> tuple[object, ...]:
        return OracleChat, (self._score,)

    def _answer(self, prompt: str, options: ChatOptions) -> ChatAnswer:
        usage = ChatTokens(len(prompt.split()), 3)
        listed, labelled = _LISTED.findall(prompt), _LABELLED.findall(prompt)
        query = self._query or self._query_of(prompt)
        if listed:
            ids = [number for number, _, text in sorted(listed, key=lambda one: -self._score(query, one[2]))]
            text = f'{{"ranking": [{", ".join(ids)}]}}' if options.schema else " > ".join(f"[{one}]" for one in ids)
            return ChatAnswer(text=text, usage=usage)
        if labelled:
            best = max(labelled, key=lambda one: self._score(query, one[2]))[0]
            return ChatAnswer(text=f'{{"best": "{best}"}}' if options.schema else f"Passage {best}", usage=usage)
        ((_, passage),) = _SINGLE.findall(prompt)
        value = self._score(query, passage)
        if options.top_logprobs and self._has_logprobs:
            return ChatAnswer(text="Yes", logprobs={" Yes": value - 5.0, "no": -1.0, "Maybe": -2.0}, usage=usage)
        return ChatAnswer(text=f"{min(10.0, value):.3f}", usage=usage)

    @staticmethod
    def _query_of(prompt: str) -> str:
        for pattern in (r"Search Query: (.*?)\. \n", r'Given a query "(.*?)",', r"\nQuery: (.*?)\n"):
            found = re.search(pattern, prompt, re.DOTALL)
            if found:
                return found[1]
        return ""


class UnreliableChat(SimpleChatModel):
    """Fails in a share of its answers: bad JSON, duplicates, time-outs, refusals; otherwise answers at random."""

    name = "unreliable"

    def __init__(self, *, share: float, seed: int) -> None:
        self._share, self._random, self._lock = share, random.Random(seed), threading.Lock()
        self.failures = self.calls = 0

    def complete(self, messages: Sequence[ChatMessage], options: ChatOptions) -> ChatAnswer:
        with self._lock:
            draw, kind = self._random.random(), self._random.randrange(6)
            order = list(range(1, 30))
            self._random.shuffle(order)
            self.calls += 1
            self.failures += draw < self._share
        good = " > ".join(f"[{one}]" for one in order) + " Passage A"
        if draw >= self._share:
            return ChatAnswer(text=good)
        if kind == 0:
            msg = "a time-out of the model"
            raise TimeoutError(msg)
        bad = [
            '{"ranking": [3, 1,',
            "[1] > [1] > [2] > [1] > [1]",
            "I am sorry, but I cannot help with ranking these 12 passages.",
            "[0] > [-3] > [99999999999] > [1e9]",
            "",
        ]
        return ChatAnswer(text=bad[kind - 1])
