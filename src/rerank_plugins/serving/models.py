"""The models of a server by name and kind: opened at the start, or when first asked for."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator

from rerank_plugins.catalog.names import existing_folder
from rerank_plugins.catalog.spec import ModelKind
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.serving.opening import kinds_of
from rerank_plugins.serving.refusals import Refusal
from rerank_plugins.serving.served import ServedEmbedder, ServedReranker
from rerank_plugins.serving.settings import ServeSettings

__all__ = ["ModelStore"]

logger = logging.getLogger(__name__)

_NO_NAMES = ("", "default/not-specified")
"""What clients send that have no name to send."""


class ModelStore:
    """All models of a server.

    Args:
        settings: What is served.

    Raises:
        InvalidInputError: There is no model, or two have one name.
    """

    def __init__(self, settings: ServeSettings) -> None:
        self._settings = settings
        names = [plan.name for plan in settings.models]
        if not names or len(set(names)) < len(names):
            msg = f"give at least one model, and each a name of its own; got {names}"
            raise InvalidInputError(msg)
        # As errors write them: absolute, links followed. A longer one first, as another may be its beginning.
        folders = {existing_folder(plan.model): plan.name for plan in reversed(settings.models)}
        paths = {str(folder): name for folder, name in folders.items() if folder is not None}
        self._paths = [(_as_path(path), paths[path]) for path in sorted(paths, key=len, reverse=True)]
        self._served: dict[tuple[ModelKind, str], ServedReranker | ServedEmbedder] = {}
        self.is_ready = False

    async def start(self) -> None:
        """Find out what the models are, and open them unless that is left to the first request.

        Raises:
            RerankPluginsError: One cannot be found or opened.
        """
        for plan in self._settings.models:
            for kind in await asyncio.to_thread(kinds_of, plan.model, self._settings):
                made = ServedReranker if kind == "reranker" else ServedEmbedder
                self._served[kind, plan.name] = made(plan, self._settings)
        if not self._settings.on_demand:
            for served in self._served.values():
                await served.opened()
                logger.info("serving %s %r", served.kind, served.name)
        self.is_ready = True

    def __iter__(self) -> Iterator[ServedReranker | ServedEmbedder]:
        return iter(list(self._served.values()))

    def reranker(self, name: str | None) -> ServedReranker:
        """Return the reranker that a request means.

        Raises:
            Refusal: There is none of that name, or the models are not known yet.
        """
        found = self._find("reranker", name)
        if not isinstance(found, ServedReranker):
            raise TypeError(found)
        return found

    def embedder(self, name: str | None) -> ServedEmbedder:
        """Return the embedder that a request means; see :meth:`reranker`."""
        found = self._find("embedder", name)
        if not isinstance(found, ServedEmbedder):
            raise TypeError(found)
        return found

    def any(self, name: str | None) -> ServedReranker | ServedEmbedder:
        """Return the model of a name, whatever its kind, a reranker first; see :meth:`reranker`."""
        try:
            return self.reranker(name)
        except Refusal:
            return self.embedder(name)

    def with_served_names(self, message: str) -> str:
        """Return a message with the models' names on this server in place of what it opens, which may be a folder."""
        for plan in self._settings.models:
            message = message.replace(repr(plan.model), repr(plan.name))
        for path, name in self._paths:
            message = path.sub(name.replace("\\", r"\\"), message)
        return message

    def close(self) -> None:
        """Give all models back."""
        for served in self:
            served.close()

    def _find(self, kind: ModelKind, name: str | None) -> ServedReranker | ServedEmbedder:
        if not self.is_ready:
            msg = "the model is being loaded; try again later"
            raise Refusal(msg, kind="unavailable", retry_after_s=5)
        named = {served.name: served for served in self if served.kind == kind}
        if not named:
            msg = f"this server has no {kind}; start it with one"
            raise Refusal(msg, kind="unknown_model", param="model")
        if name is None or name in _NO_NAMES or (self._settings.any_model_name and name not in named):
            return next(iter(named.values()))
        if name not in named:
            msg = (
                f"there is no {kind} of that name here, only {', '.join(named)}. Serve it under another name "
                "(NAME=MODEL), or start the server with --any-model-name"
            )
            raise Refusal(msg, kind="unknown_model", param="model")
        return named[name]


def _as_path(path: str) -> re.Pattern[str]:
    """Return what finds a path, or the beginning of one in it; one whose name only begins alike is another."""
    return re.compile(rf"(?<![\w./-]){re.escape(path)}(?![\w-])")
