"""What the data of embedders and ColBERT are checked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rerank_plugins.catalog.resolve import ResolvedModel
from rerank_plugins.training.arguments import Task
from rerank_plugins.training.data.checking import CheckOptions
from rerank_plugins.training.rows import Rows

__all__ = ["has_own_texts_only", "retrieval_checks"]

_OWN_TEXTS_ONLY = "no_in_batch_neg"
"""How FlagEmbedding lets the name of a file say that its rows' texts are no negatives of each other."""

_WITHOUT_NEGATIVES = "no_negative_in_some"


def retrieval_checks(settings: Any, resolved: ResolvedModel, *, task: Task) -> CheckOptions:
    """Return what the data of a run are checked for."""
    data, spec, folder = settings.data, resolved.spec, resolved.files.folder
    has_tokenizer = (folder / "tokenizer.json").is_file()
    takes_negatives = data.train_group_size > 1
    return CheckOptions(
        task=task,
        group_size=max(data.train_group_size, 2),
        needs_scores=data.knowledge_distillation,
        reads_types=data.same_dataset_within_batch,
        tokenizer=folder if has_tokenizer else None,
        query_max_length=spec.input_length_tokens(data.query_max_len) if has_tokenizer else None,
        passage_max_length=spec.input_length_tokens(data.passage_max_len) if has_tokenizer else None,
        allow=data.allow if takes_negatives else tuple(dict.fromkeys((*data.allow, _WITHOUT_NEGATIVES))),
    )


def has_own_texts_only(rows: Rows, row: int) -> bool:
    """Return whether the name of a row's file, or of its folder, ends in ``no_in_batch_neg``."""
    path = Path(rows.sources[rows.places[2 * row]])
    return path.name.split(".")[0].endswith(_OWN_TEXTS_ONLY) or path.parent.name.endswith(_OWN_TEXTS_ONLY)
