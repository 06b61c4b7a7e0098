"""A model of a server under its name, opened in a thread of its own, once, with the variants that requests ask for."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, Literal, TypeVar

from rerank_plugins.catalog.scorer_traits import traits_of
from rerank_plugins.catalog.spec import ModelKind
from rerank_plugins.composed.named import asks_services
from rerank_plugins.embedder import Embedder
from rerank_plugins.errors import InvalidInputError, RerankPluginsError
from rerank_plugins.reranker import Reranker
from rerank_plugins.serving.admission import Admission, estimated_tokens
from rerank_plugins.serving.opening import long_documents_of, options_of
from rerank_plugins.serving.refusals import Refusal, refusal_of
from rerank_plugins.serving.requests import EmbedRequest, Reading
from rerank_plugins.serving.settings import ModelPlan, ServeSettings
from rerank_plugins.types import VectorOptions

__all__ = ["Served", "ServedEmbedder", "ServedReranker"]

logger = logging.getLogger(__name__)

_VARIANTS = 16
_NEXT_TRY_S = 30
_WARM_UP = [f"{number} " + "words of a text that is as long as a passage " * 8 for number in range(8)]

H = TypeVar("H", Reranker, Embedder)

State = Literal["waiting", "loading", "ready", "failed"]


class Served(Generic[H]):
    """A model under a name, and its variants: the same weights used with other options.

    Args:
        plan: What is opened.
        settings: How it is served.
    """

    kind: ModelKind

    def __init__(self, plan: ModelPlan, settings: ServeSettings) -> None:
        self.plan, self._settings = plan, settings
        self.admission = Admission(settings.limits.max_waiting_tokens)
        self.state: State = "waiting"
        self._handle: H | None = None
        self._variants: OrderedDict[Any, H] = OrderedDict()
        self._loading: asyncio.Future[H] | None = None

    @property
    def name(self) -> str:
        """What callers call it."""
        return self.plan.name

    @property
    def handle(self) -> H | None:
        """The facade; None before it is open."""
        return self._handle

    async def opened(self) -> H:
        """Return the facade, opened now if it is not yet; callers that come meanwhile wait for the same load.

        Raises:
            RerankPluginsError: It cannot be opened. The next call tries again.
            Refusal: The same, where a request opens it.
        """
        if self._handle is not None:
            return self._handle
        if self._loading is None or self._loading.done():
            self._loading = asyncio.ensure_future(self._load())
        # A caller who hangs up leaves the load to the others.
        return await asyncio.shield(self._loading)

    async def variant(self, use: Any) -> H:
        """Return the facade for a request's own options.

        Args:
            use: The options, as :meth:`_reopen` takes them.

        Raises:
            Refusal: The model does not have them.
        """
        default = await self.opened()
        if self._is_default(use, default):
            return default
        found = self._variants.get(use)
        if found is None:
            try:
                found = await asyncio.to_thread(self._reopen, use, default)
            except InvalidInputError as error:
                raise refusal_of(error) from error
            # The oldest is dropped, not closed: a request may be using it, and the weights are shared.
            self._variants[use] = found
            while len(self._variants) > _VARIANTS:
                self._variants.popitem(last=False)
        else:
            self._variants.move_to_end(use)
        return found

    async def _load(self) -> H:
        self.state = "loading"
        # A thread of its own: those of the loop tokenise for the models that are open.
        thread = ThreadPoolExecutor(1, thread_name_prefix="load")
        try:
            handle = await asyncio.get_running_loop().run_in_executor(thread, self._open)
            await self._warm_up(handle)
        except RerankPluginsError as error:
            self.state = "failed"
            logger.error("%s %r cannot be opened: %s", self.kind, self.name, error)
            if self._settings.on_demand:
                # Whatever is wrong with the server's options, nothing is with the caller's request.
                raise Refusal(str(error), kind="unavailable", retry_after_s=_NEXT_TRY_S) from error
            raise
        finally:
            thread.shutdown(wait=False)
        self._handle, self.state = handle, "ready"
        return handle

    async def _warm_up(self, handle: H) -> None:
        """Run two small calls: the first one pays what is done once, the second one is measured.

        A model whose speed is not known would take more requests than it can answer in time. Nothing is asked of a
        service before a caller does, as a stage of a cascade neither: it is loaded already, may cost money, and may
        have models of one kind only.
        """
        if asks_services(self.plan.model, kind=self.kind):
            return
        await self._try(handle)
        tokens = sum(estimated_tokens(text) for text in _WARM_UP)
        with self.admission.admitted(tokens, time_left_s=None):
            await self._try(handle)

    def close(self) -> None:
        """Give the model back."""
        for handle in (*self._variants.values(), self._handle):
            if handle is not None:
                handle.close()

    @property
    def _options(self) -> dict[str, Any]:
        return options_of(self.plan, self._settings, kind=self.kind)

    def _open(self) -> H:
        raise NotImplementedError

    async def _try(self, handle: H) -> None:
        raise NotImplementedError

    def _reopen(self, use: Any, default: H) -> H:
        raise NotImplementedError

    def _is_default(self, use: Any, default: H) -> bool:
        raise NotImplementedError


class ServedReranker(Served[Reranker]):
    """A reranker; its variants are made for a :class:`~rerank_plugins.serving.requests.Reading`."""

    kind = "reranker"

    def _open(self) -> Reranker:
        return Reranker(self.plan.model, **self._options)

    async def _try(self, handle: Reranker) -> None:
        await handle.arank("", _WARM_UP)

    def _is_default(self, use: Reading, default: Reranker) -> bool:
        windows = default.long_documents.strategy != "truncate"
        return use == Reading(windows=windows if use.windows is not None else None)

    def _reopen(self, use: Reading, default: Reranker) -> Reranker:
        options = self._options
        options["long_documents"] = long_documents_of(use, default.long_documents)
        if use.max_length is not None:
            options["max_length"] = min(use.max_length, default.max_length)
        if use.instruction is not None:
            options["prompt"] = use.instruction
        return Reranker(self.plan.model, **options)


class ServedEmbedder(Served[Embedder]):
    """An embedder; its variants are made for (dimensions, normalize)."""

    kind = "embedder"

    def _open(self) -> Embedder:
        return Embedder(self.plan.model, **self._options)

    async def _try(self, handle: Embedder) -> None:
        if traits_of(handle.spec.scorer).has_text_vectors:
            await handle.aembed_documents(_WARM_UP)
        else:
            await handle.aencode_documents(_WARM_UP)

    def _is_default(self, use: tuple[int | None, bool | None], default: Embedder) -> bool:
        dimensions, normalize = use
        return dimensions in {None, default.dimensions} and normalize in {None, default.normalize}

    def _reopen(self, use: tuple[int | None, bool | None], default: Embedder) -> Embedder:
        dimensions, normalize = use
        options = self._options
        kept = default.normalize if normalize is None else normalize
        options["vectors"] = VectorOptions(dimensions=dimensions, normalize=kept)
        return Embedder(self.plan.model, **options)

    @staticmethod
    def use_of(request: EmbedRequest) -> tuple[int | None, bool | None]:
        """Return the options of a request."""
        return request.dimensions, request.normalize
