"""Scorers: the forward passes of model families. Token ids in, float32 rows out; each is one small file.

``SCORERS`` names them; another package adds one with an entry point of the group
``rerank_plugins.scorers`` that resolves to a :data:`ScorerLoader`.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING

from rerank_plugins.catalog.plugins import broken_plugins, plugins_of
from rerank_plugins.errors import UnsupportedModelError

if TYPE_CHECKING:
    from rerank_plugins.weights.base import ScorerLoader

__all__ = ["ENTRY_POINT_GROUP", "SCORERS", "load_scorer", "scorer_loader"]

ENTRY_POINT_GROUP = "rerank_plugins.scorers"

SCORERS = {
    "cross-encoder": "rerank_plugins.scorers.cross_encoder:load",
    "decoder": "rerank_plugins.scorers.decoder:load",
    "encoder-t5": "rerank_plugins.scorers.encoder_t5:load",
    "late-interaction": "rerank_plugins.scorers.late_interaction:load",
    "layerwise": "rerank_plugins.scorers.layered:load_minicpm",
    "lightweight": "rerank_plugins.scorers.layered:load_gemma2",
    "multi-vector": "rerank_plugins.scorers.multi_vector:load",
    "sequence-to-sequence": "rerank_plugins.scorers.sequence_to_sequence:load",
    "transformer": "rerank_plugins.scorers.transformer:load",
    "static": "rerank_plugins.scorers.static:load",
}
"""Scorer name to ``module:function``; a module is imported when a model needs it."""


def scorer_loader(name: str) -> ScorerLoader:
    """Return the function that loads models of a scorer.

    Raises:
        UnsupportedModelError: No scorer has that name.
    """
    if name in SCORERS:
        module, _, function = SCORERS[name].partition(":")
        return getattr(import_module(module), function)  # type: ignore[no-any-return]
    for loader in plugins_of(ENTRY_POINT_GROUP, load_scorer, name=name):
        return loader
    broken = [one for one in broken_plugins() if one.origin.startswith(f"{ENTRY_POINT_GROUP}: {name} = ")]
    if broken:
        msg = f"scorer {name!r} cannot be used ({broken[0].origin}): {broken[0].error}"
        raise UnsupportedModelError(msg)
    msg = f"no scorer is called {name!r}; known: {', '.join(SCORERS)}. Is the package that registers it installed?"
    raise UnsupportedModelError(msg)


def load_scorer(point: EntryPoint) -> ScorerLoader:
    """Return what an entry point registers; raises UnsupportedModelError if it is no function."""
    loader = point.load()
    if not callable(loader):
        msg = f"a scorer must be a callable, got {type(loader).__name__}"
        raise UnsupportedModelError(msg)
    return loader  # type: ignore[no-any-return]
