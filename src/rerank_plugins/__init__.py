"""Two-stage retrieval for pipelines that already work: one shared scoring core.

Importing this package imports neither torch nor a framework; names are resolved on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rerank_plugins.catalog import ModelSpec as ModelSpec
    from rerank_plugins.embedder import Embedder as Embedder
    from rerank_plugins.engine.score_cache import ScoreCache as ScoreCache
    from rerank_plugins.errors import RerankPluginsError as RerankPluginsError
    from rerank_plugins.reranker import Reranker as Reranker
    from rerank_plugins.types import EngineOptions as EngineOptions
    from rerank_plugins.types import EngineStats as EngineStats
    from rerank_plugins.types import LayerOptions as LayerOptions
    from rerank_plugins.types import LongDocuments as LongDocuments
    from rerank_plugins.types import RankedDocument as RankedDocument
    from rerank_plugins.types import Ranking as Ranking
    from rerank_plugins.types import WindowSpan as WindowSpan

__version__ = "0.1.0"

__all__ = [
    "Embedder",
    "EngineOptions",
    "EngineStats",
    "LayerOptions",
    "LongDocuments",
    "ModelSpec",
    "RankedDocument",
    "Ranking",
    "RerankPluginsError",
    "Reranker",
    "ScoreCache",
    "WindowSpan",
    "__version__",
]

_HOME = {
    "Embedder": "embedder",
    "EngineOptions": "types",
    "EngineStats": "types",
    "LayerOptions": "types",
    "LongDocuments": "types",
    "ModelSpec": "catalog",
    "RankedDocument": "types",
    "Ranking": "types",
    "RerankPluginsError": "errors",
    "Reranker": "reranker",
    "ScoreCache": "engine.score_cache",
    "WindowSpan": "types",
}


def __getattr__(name: str) -> object:
    """Import a public name's module on first use (PEP 562).

    Raises:
        AttributeError: ``name`` is not public.
    """
    home = _HOME.get(name)
    if home is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
