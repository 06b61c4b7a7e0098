"""What a server is started with: small, frozen, grouped by what they decide."""

from __future__ import annotations

import hmac
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from rerank_plugins.checks.arguments import checked_fields
from rerank_plugins.checks.kinds import Count, Seconds, Within
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.types import EngineOptions, LayerOptions

__all__ = ["KEYS_VARIABLE", "ApiKeys", "DialectName", "Limits", "ModelPlan", "ServeSettings", "Side"]

KEYS_VARIABLE = "RERANK_PLUGINS_API_KEYS"
"""Environment variable with keys, separated by commas or line ends."""

DialectName = Literal["vllm", "infinity"]
Side = Literal["query", "document"]


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much a caller may ask for, and how long it may take.

    Attributes:
        max_body_bytes: Bytes of a body; more is answered with 413.
        max_held_bytes: Bytes of all bodies in memory together; more is answered with 429.
        max_documents: Documents of a request.
        max_texts: Texts to embed, or pairs to score, of a request.
        max_waiting_tokens: Estimated tokens under way in one model; a request that finds more is answered with 429.
        receive_s: Seconds for a whole request to arrive, headers and body each; then 408.
        send_s: Seconds in which a caller must take an answer; then the connection is closed.
        deadline_s: Seconds for a request from its arrival to its answer; then 504. A caller may ask for less.
        keep_alive_s: Seconds that an idle connection is kept.
        drain_delay_s: Seconds after SIGTERM in which new requests are still taken, while ``/readyz`` says 503. Does
            nothing on Ray Serve, which itself stops sending requests to a replica that it ends.
        drain_s: Seconds after that for what is under way.
    """

    max_body_bytes: Count = 16_000_000
    max_held_bytes: Count = 256_000_000
    max_documents: Count = 1_000
    max_texts: Count = 2_048
    max_waiting_tokens: Count = 200_000
    receive_s: Seconds = 30.0
    send_s: Seconds = 30.0
    deadline_s: Seconds = 60.0
    keep_alive_s: Seconds = 75.0
    drain_delay_s: Annotated[float, Within(0.0)] = 5.0
    drain_s: Seconds = 25.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPlan:
    """A model to serve.

    Attributes:
        name: What callers call it.
        model: What is opened: a hub id, a folder, ``mini``, a registered backend.
    """

    name: str
    model: str

    @classmethod
    def of(cls, written: str) -> ModelPlan:
        """Return the plan of ``MODEL`` or ``NAME=MODEL``.

        Raises:
            InvalidInputError: There is no name or no model.
        """
        # A folder may have the sign in its name.
        name, equals, model = (written, "", "") if Path(written).exists() else written.partition("=")
        plan = cls(name=name.strip(), model=(model if equals else name).strip())
        if not plan.name or not plan.model:
            msg = f"a model is written MODEL or NAME=MODEL, got {written!r}"
            raise InvalidInputError(msg)
        return plan


class ApiKeys:
    """The keys that open the server. It holds their digests only, so that no key is in a repr, a log or a dump.

    Args:
        keys: The keys; none lets everybody in.
    """

    def __init__(self, keys: Sequence[str] = ()) -> None:
        self._digests = tuple(_digest(key) for key in keys)

    @classmethod
    def read(cls, file: Path | None) -> ApiKeys:
        """Return the keys of a file, one a line, and of the environment variable.

        Raises:
            InvalidInputError: The file cannot be read, or holds no key.
        """
        keys = _lines(os.environ.get(KEYS_VARIABLE, "").replace(",", "\n"))
        if file is not None:
            try:
                found = _lines(file.read_text(encoding="utf-8-sig"))
            except (OSError, ValueError) as error:
                msg = f"the key file {str(file)!r} cannot be read ({getattr(error, 'strerror', None) or 'no UTF-8'})"
                raise InvalidInputError(msg) from error
            if not found:
                msg = f"the key file {str(file)!r} holds no key; write one a line"
                raise InvalidInputError(msg)
            keys += found
        return cls(keys)

    def __bool__(self) -> bool:
        return bool(self._digests)

    def opens(self, offered: str) -> bool:
        """Return whether this is one of the keys. It takes the same time for every wrong one."""
        digest = _digest(offered)
        found = [hmac.compare_digest(digest, one) for one in self._digests]
        return any(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings:
    """How models are served.

    Attributes:
        models: What is served; the first one of its kind answers requests that name none.
        reranker_options: Options of :class:`~rerank_plugins.reranker.Reranker`.
        embedder_options: Options of :class:`~rerank_plugins.embedder.Embedder`.
        layers: Layers of layerwise rerankers.
        engine: How calls are run.
        on_demand: Whether a model is loaded when it is first asked for, instead of at the start.
        any_model_name: Whether an unknown name in a request means the first model of the kind.
        auto_truncate: Whether a text that does not fit is cut where a request does not say.
        dialect: Whose answer ``/rerank`` with ``documents`` gives; the requests of the two cannot be told apart.
        openai_side: What ``/v1/embeddings`` embeds where a request does not say.
        keys: Who is let in.
        open_metrics: Whether ``/metrics`` needs no key.
        cors_origins: Origins whose pages may call the server; none by default.
        page: Whether a browser finds a page at ``/``.
        trace: Whether requests are recorded as spans, which continue the caller's trace.
        limits: How much a caller may ask for.
    """

    models: tuple[ModelPlan, ...]
    reranker_options: Mapping[str, Any] = field(default_factory=dict)
    embedder_options: Mapping[str, Any] = field(default_factory=dict)
    layers: LayerOptions | None = None
    engine: EngineOptions = field(default_factory=EngineOptions)
    on_demand: bool = False
    any_model_name: bool = False
    auto_truncate: bool = True
    dialect: DialectName = "vllm"
    openai_side: Side = "document"
    keys: ApiKeys = field(default_factory=ApiKeys)
    open_metrics: bool = False
    cors_origins: tuple[str, ...] = ()
    page: bool = True
    trace: bool = False
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        for origin in self.cors_origins:
            _check_origin(origin)


def _check_origin(origin: str) -> None:
    """Raise InvalidInputError for what no browser sends as a page's origin (RFC 6454, 6.2); it would do nothing."""
    try:
        parts = urlsplit(origin)
        port, usual = parts.port, {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        parts, port, usual = urlsplit(""), None, None
    is_origin = bool(parts.hostname) and origin == f"{parts.scheme}://{parts.netloc}" == origin.lower()
    if origin != "null" and (not is_origin or "*" in origin or "@" in origin or (port is not None and port == usual)):
        msg = (
            f"--cors-origin {origin!r} is no origin as browsers send it: scheme, host in lower case, and the port "
            "unless it is the usual one, such as https://app.example:8443; each origin is named, without a path"
        )
        raise InvalidInputError(msg)


def _digest(key: str) -> bytes:
    return sha256(key.encode("utf-8", "surrogateescape")).digest()


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]
