"""The formats of other trainers' rows, one file a family, as data."""

from __future__ import annotations

from rerank_plugins.training.data.formats.flagembedding import FLAGEMBEDDING, FLAGEMBEDDING_OLD, RECORDS
from rerank_plugins.training.data.formats.format import RowFormat, RowOptions, report_grades
from rerank_plugins.training.data.formats.judged import BCEMBEDDING, EVALUATION
from rerank_plugins.training.data.formats.luyug import LUYUG
from rerank_plugins.training.data.formats.rag_retrieval import EMBEDDING, GROUPED, POINTWISE

__all__ = ["ROW_FORMATS", "RowFormat", "RowOptions", "report_grades"]

ROW_FORMATS: dict[str, RowFormat] = {
    one.name: one
    for one in (
        RECORDS,
        FLAGEMBEDDING,
        FLAGEMBEDDING_OLD,
        POINTWISE,
        GROUPED,
        EMBEDDING,
        LUYUG,
        BCEMBEDDING,
        EVALUATION,
    )
}
"""By name. The first that claims a row reads it; the two of FlagEmbedding claim the same rows as ours."""
