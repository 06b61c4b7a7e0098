"""What other trainers call things: what a misspelt or foreign setting is answered with."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

from rerank_plugins.training.arguments import Dialect, Task, arguments_of
from rerank_plugins.training.arguments.argument import EVERY, Argument

__all__ = ["TRAINED_TODAY", "unknown_setting"]

TRAINED_TODAY = (
    "cross-encoders with one label are trained today (bge-reranker-*, bce-reranker, any ...ForSequenceClassification, "
    "mini), and language models that rerank (bge-reranker-v2-gemma, Qwen3-Reranker, mxbai-rerank-v2; layerwise and "
    "lightweight ones), and ColBERTs by 'train colbert'; T5 rerankers are not yet"
)
"""What there is, for every message that refuses something else."""

_DIALECTS: tuple[Dialect, ...] = ("rag-retrieval", "flagembedding-old", "flagembedding")
_OWNERS = {"reranker": "a reranker's", "embedder": "an embedder's", "colbert": "a ColBERT's"}
_ALSO = {
    "batch_size": "per_device_train_batch_size",
    "max_length": "query_max_len and passage_max_len, whose sum it is",
    "model": "model_name_or_path",
    "output": "output_dir",
    "resume_from_checkpoint": "resume, which finds the newest whole checkpoint itself",
}
"""Names of nobody's tables that people try."""


def unknown_setting(name: str, known: Collection[str], *, task: Task = "reranker") -> str:
    """Return the message for a setting that there is none of: what does the same here, why not, or a neighbour.

    Args:
        name: What was given.
        known: The settings that there are.
        task: What is trained.
    """
    plain, start = name.replace("-", "_"), f"{_OWNERS[task]} training has no setting {name!r}"
    if plain in _ALSO:
        return f"{start}: it is {_ALSO[plain]}"
    found = _foreign_argument(plain, task)
    if found is not None:
        one, is_of_task = found
        ours = [setting for setting in (one.ours or "").split(",") if setting in known and setting != plain]
        if ours:
            return f"{start}: it is {' and '.join(ours)}"
        if not is_of_task:
            return f"{start} ({one.meaning}): it belongs to a training of {one.tasks[0]}s"
        why = TRAINED_TODAY if task == "reranker" else "that is not offered here"
        return f"{start} ({one.meaning}): {why}" if one.ours else f"{start}: {one.meaning}"
    close = get_close_matches(plain, known, n=1, cutoff=0.7)
    return f"{start}: " + (f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}")


def _foreign_argument(name: str, task: Task) -> tuple[Argument, bool] | None:
    """Return another trainer's argument of a name, and whether it belongs to a task; None if nobody has it."""
    for other in dict.fromkeys((task, *EVERY)):
        for dialect in _DIALECTS:
            one = arguments_of(dialect, other).get(name)
            if one is not None:
                return one, other == task
    return None
