"""FlagEmbedding's kinds of rows (the key ``type``): how many texts their groups have, and which texts are queries.

They count where a batch is of one file (``same_dataset_within_batch``), as in FlagEmbedding 1.4.2
``abc/finetune/embedder/AbsDataset.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PLAIN", "SourceTask", "has_queries_as_texts", "takes_half_batches"]

PLAIN = "normal"
_SYMMETRIC = "symmetric"
_ONE_NEGATIVE = "only_1neg"
_CLASSES = "symmetric_class"
_QUERIES_AS_TEXTS = ("symmetric_sts", "symmetric_clustering")


@dataclass(frozen=True, slots=True, order=True)
class SourceTask:
    """What the rows of one file have in common.

    Attributes:
        kind: Their ``type``.
        fewest_negatives: Negatives of the row that has fewest.
    """

    kind: str
    fewest_negatives: int

    def texts_of_group(self, size: int) -> int:
        """Return the texts of a group: one positive and negatives.

        ``only_1neg`` has one negative. ``symmetric_class`` has one of each other class and no more: as many as every
        row of the file has (FlagEmbedding looks at the first row of a batch, and doubles negatives of other rows).

        Args:
            size: What the run says (``train_group_size``).
        """
        if self.kind == _ONE_NEGATIVE:
            return min(size, 2)
        return min(size, self.fewest_negatives + 1) if self.kind == _CLASSES else size


def has_queries_as_texts(kind: str) -> bool:
    """Return whether the texts of such rows are of the same sort as their queries, and have the query's instruction."""
    return kind in _QUERIES_AS_TEXTS


def takes_half_batches(kind: str) -> bool:
    """Return whether FlagEmbedding makes batches of half the size of such rows."""
    return _SYMMETRIC in kind
