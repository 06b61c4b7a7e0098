"""The rerank step as a run of its own, so that traces, callbacks and event streams show it.

It is a chain run and not a retriever run: a chain run records the documents that came in as well as
those that went out, and applications that listen for retriever events do not see documents twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.callbacks import (
    AsyncCallbackManager,
    AsyncCallbackManagerForChainRun,
    CallbackManager,
    CallbackManagerForChainRun,
    Callbacks,
)
from langchain_core.documents import Document
from langchain_core.runnables.config import ensure_config

__all__ = ["RerankStep"]

_TAGS = ["rerank"]


@dataclass(frozen=True, slots=True, eq=False)
class RerankStep:
    """What a trace shows of one call.

    Attributes:
        name: The run's name.
        query: The question.
        documents: What came in.
        metadata: Model and options.
    """

    name: str
    query: str
    documents: Sequence[Document]
    metadata: dict[str, Any]

    def start(self, callbacks: Callbacks) -> CallbackManagerForChainRun:
        """Start the run. Without ``callbacks``, those of the runnable that is running are used."""
        manager = CallbackManager.configure(**self._settings(callbacks))
        return manager.on_chain_start(None, self._inputs(), name=self.name)

    async def astart(self, callbacks: Callbacks) -> AsyncCallbackManagerForChainRun:
        """Start the run from a coroutine; see :meth:`start`."""
        manager = AsyncCallbackManager.configure(**self._settings(callbacks))
        return await manager.on_chain_start(None, self._inputs(), name=self.name)

    def _inputs(self) -> dict[str, Any]:
        return {"query": self.query, "documents": self.documents}

    def _settings(self, callbacks: Callbacks) -> dict[str, Any]:
        own: dict[str, Any] = {"local_tags": _TAGS, "local_metadata": self.metadata}
        if callbacks is not None:
            return {"inheritable_callbacks": callbacks, **own}
        config = ensure_config()
        return {
            "inheritable_callbacks": config.get("callbacks"),
            "inheritable_tags": config.get("tags"),
            "inheritable_metadata": config.get("metadata"),
            **own,
        }
