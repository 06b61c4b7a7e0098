"""Language models that rerank: their instructions, and the scorer of each architecture.

References: FlagEmbedding 1.3.5, ``inference/reranker/decoder_only``: ``base.py``, ``layerwise.py``, ``lightweight.py``;
the model card of Qwen/Qwen3-Reranker-0.6B.
"""

from __future__ import annotations

__all__ = ["ANSWER_PROMPT", "LIGHTWEIGHT_PROMPT", "WEB_SEARCH_PROMPT", "llm_scorer"]

ANSWER_PROMPT = (
    "Given a query A and a passage B, determine whether the passage contains an answer to the query by providing a "
    "prediction of either 'Yes' or 'No'."
)
LIGHTWEIGHT_PROMPT = "Predict whether passage B contains an answer to query A."
WEB_SEARCH_PROMPT = "Given a web search query, retrieve relevant passages that answer the query"

_SCORERS = {
    "CostWiseGemmaForCausalLM": "lightweight",
    "EncT5ForSequenceClassification": "encoder-t5",
    "LayerWiseMiniCPMForCausalLM": "layerwise",
    "T5ForConditionalGeneration": "sequence-to-sequence",
}


def llm_scorer(architecture: str) -> str | None:
    """Return the name of the scorer that runs an architecture, or None if it is no language model."""
    return _SCORERS.get(architecture, "decoder" if architecture.endswith("ForCausalLM") else None)
