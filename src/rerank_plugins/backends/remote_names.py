"""Services by name: ``cohere:rerank-v3.5``, ``tei:http://host:8080``, ``vllm:http://host:8000/v1#model``.

What stands behind a question mark are settings: ``base_url`` and ``key_env``, for rerankers ``scores`` and ``prompt``,
for embedders ``dimensions``. Everything else is said where the object is made: ``Reranker(backend=RemoteScorer(...))``.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

from rerank_plugins.backends.remote import RemoteScorer
from rerank_plugins.backends.remote_embedder import RemoteEmbedder
from rerank_plugins.catalog.spec import ModelKind
from rerank_plugins.errors import InvalidInputError

__all__ = ["open_remote"]

_ADDRESS = re.compile(r"https?://", re.IGNORECASE)
_SETTINGS: dict[ModelKind, tuple[str, ...]] = {
    "reranker": ("base_url", "key_env", "scores", "prompt"),
    "embedder": ("base_url", "key_env", "dimensions"),
}


def open_remote(kind: ModelKind, service: str, rest: str) -> RemoteScorer | RemoteEmbedder:
    """Open ``SERVICE:MODEL[?SETTINGS]`` or ``SERVICE:URL[#MODEL][?SETTINGS]``.

    Raises:
        InvalidInputError: The name is none of these, or the service cannot do what it says.
    """
    model, settings = _parts(service, rest, _SETTINGS[kind])
    if kind == "reranker":
        return RemoteScorer(service, model, **settings)  # type: ignore[arg-type]
    dimensions = settings.pop("dimensions", None)
    if dimensions is not None and not (dimensions.isascii() and dimensions.isdigit()):
        msg = f"dimensions in the name of a model at {service!r} must be a number, got {dimensions!r}"
        raise InvalidInputError(msg)
    length = None if dimensions is None else int(dimensions)
    return RemoteEmbedder(service, model, dimensions=length, **settings)  # type: ignore[arg-type]


def _parts(service: str, rest: str, known: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    name, _, query = rest.partition("?")
    query, _, fragment = query.partition("#")
    settings = dict(parse_qsl(query, keep_blank_values=True))
    unknown = next((one for one in settings if one not in known), None)
    if unknown is not None or (query and not settings):
        # What has no value, or is no name, is not shown: it may be a key.
        is_name = unknown is not None and settings[unknown] and unknown.isidentifier()
        what = repr(unknown) if is_name else "what stands behind the question mark"
        msg = (
            f"{what} is no setting in the name of a model at {service!r}; there are {', '.join(known)}. A key is never "
            "part of a name: key_env names the environment variable that holds it"
        )
        raise InvalidInputError(msg)
    if not _ADDRESS.match(name):
        return name, settings
    address, _, model = name.partition("#")
    if "base_url" in settings:
        msg = f"the name of a model at {service!r} holds two addresses; give one"
        raise InvalidInputError(msg)
    return model or fragment, {**settings, "base_url": address}
