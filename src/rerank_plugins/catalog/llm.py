"""Conventions of FlagEmbedding's LLM rerankers: their prompts, and the scorer of each architecture.

References: FlagEmbedding 1.3.5, ``inference/reranker/decoder_only``: ``base.py``, ``layerwise.py``, ``lightweight.py``.
"""

from __future__ import annotations

__all__ = ["ANSWER_PROMPT", "LIGHTWEIGHT_PROMPT", "llm_scorer"]

ANSWER_PROMPT = (
    "Given a query A and a passage B, determine whether the passage contains an answer to the query by providing a "
    "prediction of either 'Yes' or 'No'."
)
LIGHTWEIGHT_PROMPT = "Predict whether passage B contains an answer to query A."

_LAYERED = {"LayerWiseMiniCPMForCausalLM": "layerwise", "CostWiseGemmaForCausalLM": "lightweight"}


def llm_scorer(architecture: str) -> str | None:
    """Return the name of the scorer that runs an architecture, or None if it is no language model."""
    if architecture in _LAYERED:
        return _LAYERED[architecture]
    return "decoder" if architecture.endswith("ForCausalLM") else None
