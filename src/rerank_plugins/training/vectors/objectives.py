"""What embedders are trained for: a loss over the scores of their vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rerank_plugins.training.vectors.gathering import gathered, local_part, scaled_gradient
from rerank_plugins.training.vectors.known_positives import KEYS, known_positives
from rerank_plugins.training.vectors.losses import M3Scores, RetrievalLoss, unified
from rerank_plugins.training.vectors.scores import dense_scores, late_scores, sparse_scores

__all__ = ["OWN_TEXTS_ONLY", "ColbertObjective", "DenseObjective", "M3Objective"]

OWN_TEXTS_ONLY = "own_texts_only"
"""In a batch: whether other queries' texts are no negatives, whatever the run says."""

_Vectors = dict[str, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseObjective:
    """A loss over cosines, or over those of beginnings of the vectors.

    Attributes:
        loss: Of scores.
        normalize: Whether vectors are scaled to length 1.
        dimensions: Lengths of beginnings whose losses are averaged (Matryoshka); none takes the whole vectors.
        uses_others: Whether other queries' texts are negatives.
        crosses_devices: Whether those of other devices are, too.
    """

    loss: RetrievalLoss
    normalize: bool
    dimensions: tuple[int, ...] = ()
    uses_others: bool = True
    crosses_devices: bool = False

    def __call__(self, queries: _Vectors, passages: _Vectors, batch: dict[str, Any], steps: int) -> Tensor:
        """Return the loss; see :data:`~rerank_plugins.training.vectors.trainer.Objective`."""
        dense = queries["dense"], passages["dense"]
        widths = self.dimensions or (dense[0].shape[1],)
        losses = [self.of(dense[0][:, :width], dense[1][:, :width], batch)[0] for width in widths]
        return sum(losses[1:], losses[0]) / len(losses)

    def of(self, queries: Tensor, texts: Tensor, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Return the loss of vectors, and their scores on this device, divided by the temperature."""
        n_queries, n_texts, own = len(queries), len(texts), not _uses_others(batch, self.uses_others)
        crosses, teacher = self.crosses_devices and not own, batch.get("teacher")
        if crosses:
            queries, texts = gathered(queries), gathered(texts)
            teacher = None if teacher is None else gathered(teacher)
        scores = dense_scores(queries, texts, own=own, normalize=self.normalize) / self.loss.temperature
        group_size = n_texts // n_queries
        no_negatives = None if own else _no_negatives(batch, scores, group_size=group_size, crosses=crosses)
        loss = self.loss(scores, teacher, group_size=group_size, no_negatives=no_negatives)
        if not crosses:
            return loss, scores
        return scaled_gradient(loss), local_part(scores, rows=n_queries, columns=n_texts)


@dataclass(frozen=True, slots=True, kw_only=True)
class M3Objective:
    """The loss over bge-m3's three kinds of vectors.

    Attributes:
        dense: That of the dense vectors.
        without: Token ids that have no lexical weight.
        self_distils: Whether each kind learns from their sum.
        start_step: After how many steps it does.
    """

    dense: DenseObjective
    without: frozenset[int]
    self_distils: bool
    start_step: int

    def __call__(self, queries: _Vectors, passages: _Vectors, batch: dict[str, Any], steps: int) -> Tensor:
        """Return the loss; see :data:`~rerank_plugins.training.vectors.trainer.Objective`."""
        own, temperature = not _uses_others(batch, self.dense.uses_others), self.dense.loss.temperature
        dense_loss, dense = self.dense.of(queries["dense"], passages["dense"], batch)
        ids = [batch[side]["input_ids"] for side in ("queries", "passages")]
        masks = [batch[side]["attention_mask"][:, 1:] for side in ("queries", "passages")]
        sparse = sparse_scores((ids[0], queries["sparse"]), (ids[1], passages["sparse"]), own=own, without=self.without)
        colbert = late_scores((queries["colbert"], masks[0]), (passages["colbert"], masks[1]), own=own, is_mean=True)
        group_size = len(passages["dense"]) // len(queries["dense"])
        return unified(
            M3Scores(dense=dense, sparse=sparse / temperature, colbert=colbert / temperature),
            batch.get("teacher"),
            self.dense.loss,
            dense_loss=dense_loss,
            group_size=group_size,
            self_distils=self.self_distils and steps > self.start_step,
            no_negatives=None if own else _no_negatives(batch, sparse, group_size=group_size),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ColbertObjective:
    """A loss over MaxSim.

    Attributes:
        loss: Of scores.
        is_mean: Whether MaxSim is divided by the number of the query's tokens.
        uses_others: Whether other queries' texts are negatives.
    """

    loss: RetrievalLoss
    is_mean: bool
    uses_others: bool = True

    def __call__(self, queries: _Vectors, passages: _Vectors, batch: dict[str, Any], steps: int) -> Tensor:
        """Return the loss; see :data:`~rerank_plugins.training.vectors.trainer.Objective`."""
        own = not _uses_others(batch, self.uses_others)
        scores = late_scores(
            (queries["tokens"], batch["queries"]["counts"]),
            (passages["tokens"], batch["passages"]["counts"]),
            own=own,
            is_mean=self.is_mean,
        )
        group_size = len(passages["tokens"]) // len(queries["tokens"])
        no_negatives = None if own else _no_negatives(batch, scores, group_size=group_size)
        scores = scores / self.loss.temperature
        return self.loss(scores, batch.get("teacher"), group_size=group_size, no_negatives=no_negatives)


def _no_negatives(batch: dict[str, Any], scores: Tensor, *, group_size: int, crosses: bool = False) -> Tensor | None:
    """Return which texts of other queries are a query's own positives. Shape as the scores; None in a bare batch."""
    if KEYS not in batch:
        return None
    owners = torch.arange(scores.shape[1], device=scores.device) // group_size
    return known_positives(batch[KEYS], owners, crosses=crosses)


def _uses_others(batch: dict[str, Any], default: bool) -> bool:  # noqa: FBT001
    return default and not batch.get(OWN_TEXTS_ONLY, False)
