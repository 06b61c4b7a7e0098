"""What is known of each scorer before it is loaded: the checkpoints that it runs, and what can be asked of them.

Everything else asks for a trait; only here, and where :mod:`rerank_plugins.scorers` says which module loads a scorer,
does a scorer's name decide anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = [
    "CROSS_ENCODER",
    "LATE_FAMILY",
    "LATE_INTERACTION",
    "MULTI_VECTOR",
    "SCORER_TRAITS",
    "STATIC",
    "TRANSFORMER",
    "ScorerTraits",
    "scorer_of",
    "traits_of",
]

CROSS_ENCODER, TRANSFORMER, MULTI_VECTOR, STATIC = "cross-encoder", "transformer", "multi-vector", "static"
LATE_INTERACTION, LATE_FAMILY = "late-interaction", "colbert"
"""The scorers of models that no catalog entry names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScorerTraits:
    """What a scorer does.

    Attributes:
        architectures: Names in ``architectures`` of ``config.json`` that it reranks with.
        endings: The same for every name that ends so and is nobody's by its whole name.
        checks_itself: Whether its own loader says which checkpoints it takes (scorers of other packages).
        is_classifier: Whether it reads a head with one label, saved by transformers or sentence-transformers.
        trained_as: What it is for a training: a ``classifier``, a language model that answers (``answer``), or one with
            a head on each of several ``layers``; empty for what is not trained.
        reads_prompt: Whether it reads query and document inside a prompt.
        tells_family: Whether one family alone has this architecture, so that no name is needed.
        is_encoder: Whether it is a transformer that sentence-transformers' modules say how to use (embedders).
        has_positions: Whether its inputs end where its position table does.
        has_token_vectors: Whether it gives a vector for each token.
        has_text_vectors: Whether it gives one vector for a whole text (embedders).
        is_late_interaction: Whether it compares token vectors, so that one checkpoint reranks and embeds.
    """

    architectures: tuple[str, ...] = ()
    endings: tuple[str, ...] = ()
    checks_itself: bool = False
    is_classifier: bool = False
    trained_as: str = ""
    reads_prompt: bool = False
    tells_family: bool = False
    is_encoder: bool = False
    has_positions: bool = True
    has_token_vectors: bool = False
    has_text_vectors: bool = True
    is_late_interaction: bool = False


SCORER_TRAITS: Mapping[str, ScorerTraits] = MappingProxyType(
    {
        CROSS_ENCODER: ScorerTraits(
            endings=("ForSequenceClassification",), is_classifier=True, trained_as="classifier"
        ),
        "decoder": ScorerTraits(endings=("ForCausalLM",), reads_prompt=True, trained_as="answer"),
        "encoder-t5": ScorerTraits(
            architectures=("EncT5ForSequenceClassification",), reads_prompt=True, tells_family=True
        ),
        "layerwise": ScorerTraits(
            architectures=("LayerWiseMiniCPMForCausalLM",), reads_prompt=True, tells_family=True, trained_as="layers"
        ),
        "lightweight": ScorerTraits(
            architectures=("CostWiseGemmaForCausalLM",), reads_prompt=True, tells_family=True, trained_as="layers"
        ),
        "sequence-to-sequence": ScorerTraits(architectures=("T5ForConditionalGeneration",), reads_prompt=True),
        TRANSFORMER: ScorerTraits(is_encoder=True),
        MULTI_VECTOR: ScorerTraits(is_encoder=True, has_token_vectors=True),
        STATIC: ScorerTraits(has_positions=False),
        LATE_INTERACTION: ScorerTraits(
            architectures=("HF_ColBERT",),
            checks_itself=True,
            has_token_vectors=True,
            has_text_vectors=False,
            is_late_interaction=True,
        ),
    }
)

_OF_ANOTHER_PACKAGE = ScorerTraits(checks_itself=True)


def traits_of(scorer: str) -> ScorerTraits:
    """Return what a scorer does; of one of another package, nothing but that it checks its checkpoints itself."""
    return SCORER_TRAITS.get(scorer, _OF_ANOTHER_PACKAGE)


def scorer_of(architecture: str) -> str | None:
    """Return the scorer that reranks with an architecture; None if none does."""
    whole = (name for name, traits in SCORER_TRAITS.items() if architecture in traits.architectures)
    ending = (name for name, traits in SCORER_TRAITS.items() if architecture.endswith(traits.endings))
    return next(whole, None) or next(ending, None)
