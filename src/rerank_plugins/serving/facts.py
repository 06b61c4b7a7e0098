"""What is read with GET: probes, the list of models, TEI's ``/info``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from rerank_plugins import __version__
from rerank_plugins.backends.protocol import NO_LIMIT
from rerank_plugins.embedder import Embedder
from rerank_plugins.serving.exchange import Reply, json_reply
from rerank_plugins.serving.models import ModelStore
from rerank_plugins.serving.refusals import Refusal
from rerank_plugins.serving.served import ServedEmbedder, ServedReranker
from rerank_plugins.serving.settings import ServeSettings

__all__ = ["Facts", "Phase"]

Phase = Literal["loading", "ready", "draining"]

_STALLED_PHASES: Mapping[Phase, int] = {"loading": 503, "ready": 200, "draining": 503}


class Facts:
    """Answers GET requests.

    Args:
        store: The models.
        settings: How they are served.
    """

    def __init__(self, store: ModelStore, settings: ServeSettings) -> None:
        self._store, self._settings = store, settings
        self.phase: Phase = "loading"

    def reply(self, label: str, path_model: str | None) -> Reply:
        """Return the answer of a path.

        Args:
            label: Its label in the table of routes.
            path_model: The model in it.

        Raises:
            Refusal: There is no such model.
        """
        if label in {"/livez", "/v1/health/live"}:
            return json_reply({"status": "alive"})
        if label in {"/", "/readyz", "/health", "/ping", "/v1/health/ready"}:
            return self._readiness()
        if label == "/info":
            return json_reply(self._info())
        if label == "/v1/cluster/auth":
            # Xinference's client sends no key to a server that says false.
            return json_reply({"auth": bool(self._settings.keys)})
        if path_model is not None:
            return json_reply(self._model(path_model))
        names = dict.fromkeys(served.name for served in self._store)
        # The page waits for as long as the server does.
        headers = {"x-request-timeout-ms": str(round(1_000 * self._settings.limits.deadline_s))}
        return json_reply({"object": "list", "data": [self._model(name) for name in names]}, headers=headers)

    def _readiness(self) -> Reply:
        status = _STALLED_PHASES[self.phase]
        headers = {} if status == 200 else {"retry-after": "1"}
        return json_reply({"status": self.phase}, status=status, headers=headers)

    def _model(self, name: str) -> dict[str, Any]:
        """Return a model as OpenAI's list has it, with what Xinference's client reads."""
        found = [served for served in self._store if served.name == name]
        if not found and not self._store.is_ready:
            raise _loading()
        if not found:
            msg = "there is no model of that name here"
            raise Refusal(msg, kind="unknown_model", param="model")
        first = found[0]
        facts: dict[str, Any] = {
            "id": name,
            "object": "model",
            "created": 0,
            "owned_by": "rerank-plugins",
            "model_name": name,
            "model_type": "rerank" if first.kind == "reranker" else "embedding",
            "kinds": [served.kind for served in found],
            "state": first.state,
        }
        return facts | _lengths(first) | self._side(found[-1])

    def _side(self, served: ServedReranker | ServedEmbedder) -> dict[str, str]:
        return {"embeds": self._settings.openai_side} if served.kind == "embedder" else {}

    def _info(self) -> dict[str, Any]:
        """Return what TEI's ``/info`` tells; Dify reads the type, the length and the batch size."""
        served = next(iter(self._store), None)
        if served is None:
            raise _loading()
        limits, handle = self._settings.limits, served.handle
        most = {"reranker": limits.max_documents, "embedder": limits.max_texts}
        labels = {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}
        pooling = handle.spec.pooling if isinstance(handle, Embedder) else "cls"
        kind = {"reranker": labels} if served.kind == "reranker" else {"embedding": {"pooling": pooling}}
        return {
            "model_id": served.plan.model,
            "model_sha": None if handle is None else handle.spec.revision,
            "model_dtype": "" if handle is None else handle.dtype,
            "served_model_name": served.name,
            "model_type": kind,
            "max_concurrent_requests": 512,
            "max_input_length": 512 if handle is None else handle.max_length,
            "max_batch_tokens": self._settings.engine.max_batch_tokens or 16_384,
            "max_batch_requests": None,
            "max_client_batch_size": min(most[one.kind] for one in self._store),
            "auto_truncate": self._settings.auto_truncate,
            "tokenization_workers": 1,
            "version": __version__,
            "sha": None,
            "docker_label": None,
        }


def _loading() -> Refusal:
    msg = "the model is being loaded; try again later"
    return Refusal(msg, kind="unavailable", retry_after_s=5)


def _lengths(served: ServedReranker | ServedEmbedder) -> dict[str, int]:
    handle = served.handle
    return {} if handle is None or handle.max_length >= NO_LIMIT else {"max_length": handle.max_length}
