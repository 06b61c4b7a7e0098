"""The rerank step as a run of its own, so that traces, callbacks and event streams show it.

It is a chain run and not a retriever run: a chain run records the documents that came in as well as
those that went out, and applications that listen for retriever events do not see documents twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from langchain_core.callbacks import (
    AsyncCallbackManager,
    AsyncCallbackManagerForChainRun,
    BaseCallbackManager,
    CallbackManager,
    CallbackManagerForChainRun,
    Callbacks,
)
from langchain_core.documents import Document
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import (
    ensure_config,
    get_async_callback_manager_for_config,
    get_callback_manager_for_config,
    patch_config,
    var_child_runnable_config,
)

__all__ = ["RerankStep", "inside"]

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

    def start(self, callbacks: Callbacks, config: RunnableConfig | None = None) -> CallbackManagerForChainRun:
        """Start the run.

        Args:
            callbacks: What a caller of ``compress_documents`` passes; None takes those of ``config``.
            config: What a chain passes to its step; None takes that of the runnable that is running.
        """
        if callbacks is None:
            manager = get_callback_manager_for_config(ensure_config(config))
        else:
            manager = CallbackManager.configure(inheritable_callbacks=callbacks)
        self._mark(manager)
        return manager.on_chain_start(None, self._inputs(), **self._run_of(config))

    async def astart(
        self, callbacks: Callbacks, config: RunnableConfig | None = None
    ) -> AsyncCallbackManagerForChainRun:
        """Start the run from a coroutine; see :meth:`start`."""
        if callbacks is None:
            manager = get_async_callback_manager_for_config(ensure_config(config))
        else:
            manager = AsyncCallbackManager.configure(inheritable_callbacks=callbacks)
        self._mark(manager)
        return await manager.on_chain_start(None, self._inputs(), **self._run_of(config))

    def _inputs(self) -> dict[str, Any]:
        return {"query": self.query, "documents": self.documents}

    def _mark(self, manager: BaseCallbackManager) -> None:
        manager.add_tags(_TAGS, inherit=False)
        manager.add_metadata(self.metadata, inherit=False)

    def _run_of(self, config: RunnableConfig | None) -> dict[str, Any]:
        """Return name and id of the run; those in a config are of this step, never of what runs around it."""
        given = config or {}
        return {"name": given.get("run_name") or self.name, "run_id": given.get("run_id")}


@contextmanager
def inside(
    run: CallbackManagerForChainRun | AsyncCallbackManagerForChainRun, config: RunnableConfig | None
) -> Iterator[None]:
    """Make a run the parent of what is invoked in the block without callbacks, as a chat model that ranks is.

    Args:
        run: The run.
        config: What the step got; None takes that of the runnable that is running.
    """
    child = patch_config(ensure_config(config), callbacks=run.get_child())
    token = var_child_runnable_config.set(child)
    try:
        yield
    finally:
        # A coroutine that never ended may be closed in another context, where the variable was not set.
        with suppress(ValueError):
            var_child_runnable_config.reset(token)
