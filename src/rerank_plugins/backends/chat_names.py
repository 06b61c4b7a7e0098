"""Chat models by name: ``openai-chat:gpt-4o-mini``, ``local-chat:Qwen/Qwen3-4B?method=setwise``.

What stands behind the last question mark are settings: ``method``, for both; ``base_url`` and ``key_env`` for an
endpoint. Everything else is said where the object is made: ``Reranker(backend=ChatScorer(...))``.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import parse_qsl

from rerank_plugins.backends.chat import ChatScorer
from rerank_plugins.chat.model import ChatModel
from rerank_plugins.chat.openai import OPENAI_URL, OpenAIChat
from rerank_plugins.checks.optional import needs_torch
from rerank_plugins.errors import InvalidInputError

__all__ = ["open_local_chat", "open_openai_chat"]

_KEY = "OPENAI_API_KEY"


class _Owned(ChatScorer):
    """A scorer whose model was opened for it, and is closed with it."""

    def close(self) -> None:
        """Close the model."""
        self.model.close()


def open_openai_chat(rest: str) -> ChatScorer:
    """Open ``openai-chat:MODEL[?method=...&base_url=...&key_env=...]``.

    Without ``base_url`` the variable ``OPENAI_BASE_URL`` says where, as for OpenAI's own client, and the key is that of
    ``OPENAI_API_KEY``. With a ``base_url`` no key is sent, unless ``key_env`` names its variable.
    """
    model, settings = _parts(rest, ("method", "base_url", "key_env"), example="openai-chat:gpt-4o-mini")
    method = settings.pop("method", "listwise")
    if "base_url" not in settings and os.environ.get("OPENAI_BASE_URL"):
        settings = {"key_env": _KEY, **settings, "base_url": os.environ["OPENAI_BASE_URL"]}
    settings.setdefault("base_url", OPENAI_URL)
    return _scorer(OpenAIChat(model, **settings), method)


def open_local_chat(rest: str) -> ChatScorer:
    """Open ``local-chat:MODEL[?method=...]``: a causal language model in this process, by folder or hub id."""
    model, settings = _parts(rest, ("method",), example="local-chat:Qwen/Qwen3-4B-Instruct-2507")
    with needs_torch():
        from rerank_plugins.chat.local import LocalChat
    return _scorer(LocalChat(model), settings.get("method", "listwise"))


def _scorer(model: ChatModel, method: str) -> ChatScorer:
    try:
        return _Owned(model, method=method)  # type: ignore[arg-type]
    except BaseException:
        model.close()
        raise


def _parts(rest: str, known: Collection[str], *, example: str) -> tuple[str, dict[str, Any]]:
    model, _, query = rest.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    settings: Mapping[str, str] = dict(pairs)
    if len(settings) < len(pairs):
        msg = f"the name of a chat model gives a setting twice in {query!r}; leave one of them out"
        raise InvalidInputError(msg)
    unknown = next((name for name in settings if name not in known), None)
    if unknown is not None or (query and not settings):
        msg = (
            f"{unknown or query!r} is no setting in the name of a chat model; there are {', '.join(known)}, as in "
            f"{example}?method=pointwise"
        )
        raise InvalidInputError(msg)
    if not model.strip():
        msg = f"the name of a chat model is missing behind the colon; write {example}"
        raise InvalidInputError(msg)
    return model, dict(settings)
