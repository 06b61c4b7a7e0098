"""What a chat model is here: messages in, one answer out. Whatever stands behind it is one class with these methods.

::

    class Echo(SimpleChatModel):
        name = "echo"

        def complete(self, messages, options):
            return ChatAnswer(text=messages[-1].content)
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from rerank_plugins.engine.deadline import Deadline
from rerank_plugins.errors import ScoringError

__all__ = ["ChatAnswer", "ChatMessage", "ChatModel", "ChatOptions", "ChatRole", "ChatTokens", "SimpleChatModel"]

ChatRole = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One turn of a conversation."""

    role: ChatRole
    content: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChatOptions:
    """What one call asks of a chat model. A model that cannot do something does without it, and says so by its answer.

    Attributes:
        max_tokens: Tokens of the answer at most; None leaves it to the model.
        temperature: How freely the next token is drawn; None leaves it to the model.
        top_logprobs: How many of the likeliest first tokens are wanted with their log-probabilities; 0 for none.
        schema: JSON schema that the answer is to follow; None for any text.
        deadline: When the caller gives up; a model that waits for something asks ``deadline.remaining_s()``.
    """

    max_tokens: int | None = None
    temperature: float | None = 0.0
    top_logprobs: int = 0
    schema: Mapping[str, Any] | None = None
    deadline: Deadline = field(default_factory=lambda: Deadline(None))


@dataclass(frozen=True, slots=True)
class ChatTokens:
    """Tokens of one call, as the model counted them."""

    prompt: int
    answer: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatAnswer:
    """What a chat model said.

    Attributes:
        text: Its words.
        logprobs: The likeliest first tokens, each with its natural logarithm of the probability; None if the model does
            not tell.
        usage: What it took; None if the model does not tell.
    """

    text: str
    logprobs: Mapping[str, float] | None = None
    usage: ChatTokens | None = None


@runtime_checkable
class ChatModel(Protocol):
    """A chat model; :class:`SimpleChatModel` needs only one method of you.

    Time-outs and overload are raised as ``TimeoutError``, or as :class:`~rerank_plugins.errors.RemoteError` with
    ``is_passing``: the call then counts as failed, and the ranking goes on. Whatever else is raised ends the ranking.
    """

    @property
    def name(self) -> str:
        """What it is called in messages and records."""
        ...

    @property
    def offers_schema(self) -> bool:
        """Whether an answer can be made to follow ``ChatOptions.schema``."""
        ...

    def complete(self, messages: Sequence[ChatMessage], options: ChatOptions) -> ChatAnswer:
        """Return the answer to a conversation; called from any thread."""
        ...

    async def acomplete(self, messages: Sequence[ChatMessage], options: ChatOptions) -> ChatAnswer:
        """Return what :meth:`complete` returns, without blocking the event loop; a cancelled task drops the work."""
        ...

    def close(self) -> None:
        """Give back what the model holds. It is not used afterwards."""
        ...


class SimpleChatModel(ABC):
    """A chat model of which only :meth:`complete` and :attr:`name` must be written.

    Attributes:
        name: What it is called.
        offers_schema: Whether an answer can be made to follow a JSON schema.
    """

    name: str
    offers_schema: bool = False

    @abstractmethod
    def complete(self, messages: Sequence[ChatMessage], options: ChatOptions) -> ChatAnswer:
        """Return the answer to a conversation; called from any thread."""

    async def acomplete(self, messages: Sequence[ChatMessage], options: ChatOptions) -> ChatAnswer:
        """Return the answer, made in a thread of its own. Override it where there is something to await."""
        # Not one of asyncio's: these are few, so that calls would be late before they begin, and a program waits for
        # them before it ends, a model that hangs included.
        made: Future[ChatAnswer] = Future()
        run = contextvars.copy_context().run
        threading.Thread(target=run, args=(self._complete, made, messages, options), name="chat", daemon=True).start()
        return await asyncio.wrap_future(made)

    def close(self) -> None:  # noqa: B027
        """Give back what the model holds: nothing, here."""

    def _complete(self, made: Future[ChatAnswer], messages: Sequence[ChatMessage], options: ChatOptions) -> None:
        if not made.set_running_or_notify_cancel():
            return
        try:
            made.set_result(self._completed(messages, options))
        except BaseException as error:  # noqa: BLE001 - the one who waits raises it
            made.set_exception(error)

    def _completed(self, messages: Sequence[ChatMessage], options: ChatOptions) -> ChatAnswer:
        try:
            return self.complete(messages, options)
        except StopIteration as error:
            # No future of asyncio carries it: whoever awaits would wait for ever.
            msg = f"the chat model {self.name!r} failed with StopIteration: {error}"
            raise ScoringError(msg) from error
