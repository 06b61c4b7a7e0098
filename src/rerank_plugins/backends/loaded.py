"""A checkpoint in memory, whatever runs it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field, replace

from rerank_plugins.engine.batcher import MicroBatcher
from rerank_plugins.protocols import PaddingExplainer, PrefixSharer, PrefixSharing
from rerank_plugins.text.tokenizer import TextTokenizer
from rerank_plugins.types import EngineStats
from rerank_plugins.weights.base import LoadedParts

__all__ = ["LoadedModel"]

_WHOLE = PrefixSharing(is_used=False, reason="only decoders that answer at the last token, run packed, share it")


@dataclass(frozen=True, slots=True, eq=False)
class LoadedModel:
    """Weights in memory, their tokenizer, and the worker that runs them.

    Attributes:
        tokenizer: The tokenizer.
        batcher: Runs the scorer; closing it frees the weights.
        device: Where the model runs, in torch's words; several are separated by commas.
        dtype: Precision of the backbone.
        special_tokens: Whether texts are wrapped in special tokens.
        name: The model's id, for people.
        is_padded: Whether batches are padded.
        padding_reason: Why they are, if the scorer tells.
        prefix_sharing: Whether tokens that several inputs begin with are computed once.
        identity: What tells these weights from all others, for caches.
        runtime: What computes: ``torch`` or ``onnx``.
        told: What users of the weights were told once, whichever of the objects that share them they called.
    """

    tokenizer: TextTokenizer
    batcher: MicroBatcher
    device: str
    dtype: str
    special_tokens: bool = True
    name: str = ""
    is_padded: bool = False
    padding_reason: str = ""
    prefix_sharing: PrefixSharing = _WHOLE
    identity: Hashable = None
    runtime: str = "torch"
    told: dict[Hashable, object] = field(default_factory=dict)

    @classmethod
    def of(
        cls, parts: LoadedParts, batcher: MicroBatcher, *, device: str, dtype: str, name: str, identity: Hashable
    ) -> LoadedModel:
        """Return a model with the worker that runs it; the arguments are the attributes."""
        scorer = parts.scorer
        return cls(
            parts.tokenizer,
            batcher,
            device,
            dtype,
            special_tokens=parts.special_tokens,
            name=name,
            is_padded=scorer.is_padded,
            padding_reason=scorer.padding_reason if isinstance(scorer, PaddingExplainer) else "",
            prefix_sharing=scorer.prefix_sharing if isinstance(scorer, PrefixSharer) else _WHOLE,
            identity=identity,
        )

    def stats(self) -> EngineStats:
        """Return what the model has done since it was loaded."""
        hits, misses = self.tokenizer.cache.counts()
        return replace(self.batcher.stats(), token_cache_hits=hits, token_cache_misses=misses)

    def close(self) -> None:
        """Free the weights; calls that wait get EngineClosedError."""
        self.batcher.close()
