"""Chat models behind an HTTP interface in OpenAI's form: OpenAI itself, vLLM, Ollama, llama.cpp and many more.

Fields of the request and the answer: https://platform.openai.com/docs/api-reference/chat/create.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping, Sequence
from typing import Any

from rerank_plugins.chat.model import ChatAnswer, ChatMessage, ChatOptions, ChatTokens
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.errors import InvalidInputError, RemoteError
from rerank_plugins.remote import HttpClient, HttpSettings

__all__ = ["OPENAI_URL", "OpenAIChat", "first_logprobs"]

OPENAI_URL = "https://api.openai.com/v1"

_PATH = "/chat/completions"
_KEY = "OPENAI_API_KEY"
_OWN = ("model", "messages", "stream", "n")

_LARGEST_LOGPROB = 1e9

_INSTEAD = {"max_tokens": "max_completion_tokens"}
"""Newer models of OpenAI refuse the one, other servers know no other."""

_ALONG = {"logprobs": ("top_logprobs",), "top_logprobs": ("logprobs",)}


class OpenAIChat:
    """A model behind an endpoint in OpenAI's form. Safe from any number of threads and event loops.

    What an endpoint refuses (``response_format``, ``logprobs``, ``temperature``, ``max_tokens``) is left out from then
    on, after one request that it answered with an error.

    Args:
        model: Its name there.
        base_url: Address of the endpoint, with ``/v1`` where that is part of it.
        key_env: Environment variable that holds the key, which is read at each request. None: ``OPENAI_API_KEY`` for
            OpenAI itself, and no key for any other address.
        http: Time-outs and retries; None takes the defaults.
        extra: Further fields of each request, such as ``{"reasoning_effort": "low"}``; None for none.

    Raises:
        InvalidInputError: The address or a field cannot work.
    """

    @checked_call()
    def __init__(
        self,
        model: str,
        *,
        base_url: str = OPENAI_URL,
        key_env: str | None = None,
        http: HttpSettings | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        if not model.strip():
            msg = "model must be the name that the endpoint knows the model by, got a blank one"
            raise InvalidInputError(msg)
        own = [name for name in extra or {} if name in _OWN]
        if own:
            msg = f"extra holds {own[0]!r}, which is set here; pass model=..., or leave it out"
            raise InvalidInputError(msg)
        is_own = base_url.strip().rstrip("/") == OPENAI_URL
        self._client = HttpClient(base_url, key_env=key_env or (_KEY if is_own else None), settings=http)
        self._model, self._extra = model, dict(extra or {})
        self._refused: set[str] = set()

    @property
    def name(self) -> str:
        """The model's name at its endpoint."""
        return self._model

    @property
    def host(self) -> str:
        """The endpoint's name, for people."""
        return self._client.host

    @property
    def offers_schema(self) -> bool:
        """Whether answers follow a JSON schema: yes, until the endpoint refuses it."""
        return "response_format" not in self._refused

    def complete(self, messages: Sequence[ChatMessage], options: ChatOptions) -> ChatAnswer:
        """Return the answer to a conversation.

        Raises:
            RemoteError: There is none.
            DeadlineExceededError: The time is over.
            InvalidInputError: The environment variable of the key is not set.
        """
        steps = self._steps(messages, options)
        body = next(steps)
        while True:
            try:
                outcome: Any = self._client.post(_PATH, body, deadline=options.deadline)
            except RemoteError as error:
                outcome = error
            try:
                body = steps.send(outcome)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]

    async def acomplete(self, messages: Sequence[ChatMessage], options: ChatOptions) -> ChatAnswer:
        """Return what :meth:`complete` returns, without blocking the event loop."""
        steps = self._steps(messages, options)
        body = next(steps)
        while True:
            try:
                outcome: Any = await self._client.apost(_PATH, body, deadline=options.deadline)
            except RemoteError as error:
                outcome = error
            try:
                body = steps.send(outcome)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __repr__(self) -> str:
        return f"OpenAIChat({self._model!r}, base_url={self._client.base_url!r})"

    def _steps(
        self, messages: Sequence[ChatMessage], options: ChatOptions
    ) -> Generator[dict[str, Any], Any, ChatAnswer]:
        """Yield request bodies, each without what the endpoint has refused, until it takes one."""
        while True:
            body = self._body(messages, options)
            outcome = yield body
            if not isinstance(outcome, RemoteError):
                return _answer(outcome, host=self.host)
            # What the caller asks for in extra is sent again whatever is refused.
            refused = _refused(outcome, body.keys() - self._extra.keys())
            if not refused:
                raise outcome
            self._refused |= refused

    def _body(self, messages: Sequence[ChatMessage], options: ChatOptions) -> dict[str, Any]:
        optional: dict[str, Any] = {}
        if options.temperature is not None:
            optional["temperature"] = options.temperature
        if options.max_tokens is not None:
            optional["max_tokens"] = options.max_tokens
        if options.top_logprobs:
            optional |= {"logprobs": True, "top_logprobs": options.top_logprobs}
        if options.schema is not None:
            form = {"name": "answer", "strict": True, "schema": dict(options.schema)}
            optional["response_format"] = {"type": "json_schema", "json_schema": form}
        for name, instead in _INSTEAD.items():
            if name in self._refused and name in optional:
                optional[instead] = optional[name]
        kept = {name: value for name, value in optional.items() if name not in self._refused}
        turns = [{"role": one.role, "content": one.content} for one in messages]
        return {"model": self._model, "messages": turns, **kept, **self._extra}


def _refused(error: RemoteError, sent: Collection[str]) -> set[str]:
    """Return which of the fields that were sent an error says are not taken."""
    if error.status not in (400, 422):
        return set()
    message = str(error)
    fields = ("response_format", "top_logprobs", "logprobs", "temperature", "max_completion_tokens", "max_tokens")
    named = {name for name in fields if name in message or (name == "response_format" and "json_schema" in message)}
    found = {name for name in named if name in sent}
    # One error may name what is to be taken instead, which was not sent.
    return found | {more for name in found for more in _ALONG.get(name, ())}


def _answer(found: Any, *, host: str) -> ChatAnswer:
    """Return the answer in a response, or raise RemoteError if it has none; what else is amiss is read as absent."""
    choice = _item(_field(found, "choices"), 0)
    message = _field(choice, "message")
    if not isinstance(message, Mapping):
        msg = f"{host} answered with JSON that holds no message of a model; check base_url"
        raise RemoteError(msg, is_passing=isinstance(found, Mapping) and "choices" in found)
    text = message.get("content")
    if isinstance(text, list):  # parts, as some servers send them
        text = "".join(str(_field(part, "text") or "") for part in text)
    return ChatAnswer(
        text=text if isinstance(text, str) else "",  # a refusal has no content
        logprobs=first_logprobs(choice),
        usage=_tokens(_field(found, "usage")),
    )


def first_logprobs(choice: Any) -> dict[str, float] | None:
    """Return the candidates for the first token of an answer, from its ``logprobs``; None if it tells none."""
    first = _item(_field(_field(choice, "logprobs"), "content"), 0)
    found: dict[str, float] = {}
    top = _field(first, "top_logprobs")
    for one in [first, *(top if isinstance(top, list) else [])]:
        token, value = _field(one, "token"), _field(one, "logprob")
        # Neither NaN nor a whole number of hundreds of digits.
        if isinstance(token, str) and isinstance(value, (int, float)) and abs(value) < _LARGEST_LOGPROB:
            found[token] = float(value)
    return found or None


def _tokens(usage: Any) -> ChatTokens | None:
    prompt, answer = _field(usage, "prompt_tokens"), _field(usage, "completion_tokens")
    return ChatTokens(prompt, answer) if isinstance(prompt, int) and isinstance(answer, int) else None


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else None


def _item(value: Any, place: int) -> Any:
    return value[place] if isinstance(value, list) and len(value) > place else None
