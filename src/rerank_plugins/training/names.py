"""What other trainers call things: what a misspelt or foreign setting is answered with."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

from rerank_plugins.training.arguments import Dialect, arguments_of
from rerank_plugins.training.arguments.argument import EVERY, Argument

__all__ = ["TRAINED_TODAY", "unknown_setting"]

TRAINED_TODAY = (
    "cross-encoders with one label are trained today (bge-reranker-*, bce-reranker, any ...ForSequenceClassification, "
    "mini), and language models that rerank (bge-reranker-v2-gemma, Qwen3-Reranker, mxbai-rerank-v2; layerwise and "
    "lightweight ones); T5 rerankers, embedders and ColBERT are not yet"
)
"""What there is, for every message that refuses something else."""

_DIALECTS: tuple[Dialect, ...] = ("rag-retrieval", "flagembedding-old", "flagembedding")
_ALSO = {
    "batch_size": "per_device_train_batch_size",
    "max_length": "query_max_len and passage_max_len, whose sum it is",
    "model": "model_name_or_path",
    "output": "output_dir",
    "resume_from_checkpoint": "resume, which finds the newest whole checkpoint itself",
}
"""Names of nobody's tables that people try."""


def unknown_setting(name: str, known: Collection[str]) -> str:
    """Return the message for a setting that there is none of: what does the same here, why not, or a neighbour.

    Args:
        name: What was given.
        known: The settings that there are.
    """
    plain, start = name.replace("-", "_"), f"a reranker's training has no setting {name!r}"
    if plain in _ALSO:
        return f"{start}: it is {_ALSO[plain]}"
    found = _elsewhere(plain)
    if found is not None:
        one, is_of_rerankers = found
        ours = [setting for setting in (one.ours or "").split(",") if setting in known and setting != plain]
        if ours:
            return f"{start}: it is {' and '.join(ours)}"
        return (
            f"{start} ({one.meaning}): {TRAINED_TODAY}"
            if one.ours or not is_of_rerankers
            else f"{start}: {one.meaning}"
        )
    close = get_close_matches(plain, known, n=1, cutoff=0.7)
    return f"{start}: " + (f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}")


def _elsewhere(name: str) -> tuple[Argument, bool] | None:
    """Return another trainer's argument of a name, and whether it belongs to rerankers; None if nobody has it."""
    for task in EVERY:
        for dialect in _DIALECTS:
            one = arguments_of(dialect, task).get(name)
            if one is not None:
                return one, task == "reranker"
    return None
