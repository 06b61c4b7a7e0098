"""The backend of a checkpoint on this machine: pairs through the model, or texts and MaxSim."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rerank_plugins.backends.kept_vectors import KeptVectors
from rerank_plugins.backends.late_interaction import LateInteractionScorer
from rerank_plugins.backends.local import LocalScorer
from rerank_plugins.backends.token_vectors import TokenVectorModel, late_lengths
from rerank_plugins.catalog.checkpoint import CheckpointFiles
from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.embedding.kept.store import TokenVectorStore
from rerank_plugins.engine.calls import KnownRows
from rerank_plugins.engine.registry import Lease
from rerank_plugins.engine.score_cache import ScoreCache
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.text.pair_tokenizer import PairSettings
from rerank_plugins.types import EngineOptions

if TYPE_CHECKING:
    from rerank_plugins.backends.loaded import LoadedModel

__all__ = ["local_backend"]


def local_backend(
    lease: Lease[LoadedModel],
    spec: ModelSpec,
    settings: PairSettings,
    *,
    files: CheckpointFiles | None,
    engine: EngineOptions,
    cache: ScoreCache | None,
    vectors: TokenVectorStore | None = None,
) -> LocalScorer | LateInteractionScorer:
    """Return what scores pairs on a loaded model.

    Args:
        lease: The share in the model.
        spec: How it is used.
        settings: How pairs are cut.
        files: Its checkpoint; None if another library loaded it.
        engine: How calls are run.
        cache: Keeps scores; None keeps none.
        vectors: Vectors of documents on disk; None for none.

    Raises:
        InvalidInputError: The settings leave no room for texts, or vectors were given to a model that has none.
        UnsupportedModelError: The vocabulary lacks a token that the model needs.
        VectorStoreError: The vectors on disk are another model's.
    """
    if spec.late_interaction is None or files is None:
        if vectors is not None:
            msg = (
                f"cache={vectors!r}: {spec.id!r} reads query and document together and has no vectors of documents; "
                "leave it out, or choose a late-interaction model such as colbert-ir/colbertv2.0"
            )
            raise InvalidInputError(msg)
        known = None if cache is None else KnownRows(cache, lease.value.identity)
        return LocalScorer(lease, spec, settings, engine=engine, known=known)
    if settings.truncation != spec.truncation:
        msg = (
            f"truncation={settings.truncation!r}: {spec.id!r} reads query and document apart, each up to a length of "
            "its own; leave it out, and take query_max_length and max_length"
        )
        raise InvalidInputError(msg)
    tokenizer = lease.value.tokenizer
    lengths = late_lengths(
        spec, tokenizer, files, document=settings.max_length_tokens, query_tokens=settings.query_limit_tokens
    )
    model = TokenVectorModel(lease, spec, files, lengths, long_documents=settings.long_documents, engine=engine)
    kept = None if vectors is None else KeptVectors(vectors, model, name=spec.id)
    # Scores of kept vectors are rounded otherwise, and their keys are places in the store.
    store = None if vectors is None else (str(vectors.folder), vectors.precision)
    known = None if cache is None else KnownRows(cache, (model.identity, lengths.query, store))
    return LateInteractionScorer(model, spec, known=known, kept=kept)
