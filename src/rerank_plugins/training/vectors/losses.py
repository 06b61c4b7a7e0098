"""Losses over the scores of queries with texts, of which each query has a group of its own, the positive first.

Scores have the shape (queries, texts). ``starts`` is the column at which each query's own group begins: all texts of
the batch are its columns where the other queries' texts are negatives too, else its own group alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from rerank_plugins.training.losses import kl_to_teacher, margin_mse
from rerank_plugins.training.settings_common import TeacherScale

__all__ = [
    "M3Scores",
    "RetrievalLoss",
    "TeacherLoss",
    "contrastive",
    "group_starts",
    "m3_kd",
    "own_scores",
    "unified",
]

TeacherLoss = Literal["kl_div", "m3_kd_loss", "margin_mse"]

_EPS = 1e-6
_SPARSE_IN_SUM, _SPARSE_IN_LOSS = 0.3, 0.1


def group_starts(scores: Tensor, *, group_size: int) -> Tensor:
    """Return the first column of each query's group; 0 where the columns are its own group alone. Shape: (queries,)."""
    n_queries = len(scores)
    step = 0 if scores.shape[1] == group_size and n_queries > 1 else group_size
    return torch.arange(n_queries, device=scores.device) * step


def own_scores(scores: Tensor, starts: Tensor, *, group_size: int) -> Tensor:
    """Return the scores of each query with its own group. Shape: (queries, group)."""
    return scores.gather(1, starts.unsqueeze(1) + torch.arange(group_size, device=scores.device))


def contrastive(scores: Tensor, starts: Tensor) -> Tensor:
    """Return the mean of ``-log softmax(z)[start]``: the positive against all other columns (InfoNCE).

    FlagEmbedding 1.4.2 ``abc/finetune/embedder/AbsModeling.py`` (``_compute_in_batch_neg_loss`` and its sisters);
    sentence-transformers' ``MultipleNegativesRankingLoss`` with scale = 1 / temperature.

    Args:
        scores: Divided by the temperature. Shape: (queries, texts).
        starts: Column of each positive. Shape: (queries,).
    """
    return functional.cross_entropy(scores, starts)


def m3_kd(scores: Tensor, teacher: Tensor, starts: Tensor) -> Tensor:
    """Return ``sum_i mean_b softmax(t)_i * -log softmax(z without the group's texts before i)[start + i]``.

    FlagEmbedding 1.4.2 ``AbsEmbedderModel.distill_loss`` (``m3_kd_loss``); LLM-Embedder's ``stable_distill`` is this
    with the group in the teacher's order.

    Args:
        scores: Divided by the temperature. Shape: (queries, texts).
        teacher: The teacher's logits. Shape: (queries, group).
        starts: First column of each group. Shape: (queries,).
    """
    targets = functional.softmax(teacher.detach(), dim=1)
    loss = scores.new_zeros(())
    for place in range(teacher.shape[1]):
        columns = starts + place
        loss = loss + (targets[:, place] * functional.cross_entropy(scores, columns, reduction="none")).mean()
        # Not minus infinity, whose product with a probability of 0 is no number.
        scores = scores.scatter(1, columns.unsqueeze(1), torch.finfo(scores.dtype).min)
    return loss


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalLoss:
    """The loss of a batch: contrastive, or with a teacher also or only to the teacher's scores.

    ``kl_div`` and ``margin_mse`` are added to the contrastive loss (FlagEmbedding's sum for ``kl_div``), ``m3_kd_loss``
    stands in its place.

    Attributes:
        temperature: What scores are divided by.
        teacher_loss: How a teacher's scores are learnt from.
        contrastive_weight: Weight of the contrastive loss beside a teacher's.
        teacher_scale: What the teacher's scores are; logits are made of probabilities.
    """

    temperature: float
    teacher_loss: TeacherLoss = "kl_div"
    contrastive_weight: float = 1.0
    teacher_scale: TeacherScale = "logit"

    def __call__(
        self, scores: Tensor, teacher: Tensor | None, *, group_size: int, no_negatives: Tensor | None = None
    ) -> Tensor:
        """Return the loss, a mean over the queries.

        Args:
            scores: Divided by the temperature. Shape: (queries, texts), or (queries, group) without others' texts.
            teacher: The teacher's scores. Shape: (queries, group); None without one.
            group_size: Texts of a group.
            no_negatives: Which texts outside of a query's own group are not compared with its positive. Shape as
                ``scores``; None for none.
        """
        if no_negatives is not None:
            # Not minus infinity, see m3_kd.
            scores = scores.masked_fill(no_negatives, torch.finfo(scores.dtype).min)
        starts = group_starts(scores, group_size=group_size)
        if teacher is None:
            return contrastive(scores, starts)
        logits = torch.logit(teacher, eps=_EPS) if self.teacher_scale == "probability" else teacher
        if self.teacher_loss == "m3_kd_loss":
            return m3_kd(scores, logits, starts)
        own = own_scores(scores, starts, group_size=group_size)
        if self.teacher_loss == "margin_mse":
            # The student's scores on their own scale: a margin is no matter of temperature.
            distilled = margin_mse(own * self.temperature, logits)
        else:
            distilled = kl_to_teacher(own, logits)
        return distilled + self.contrastive_weight * contrastive(scores, starts)


@dataclass(frozen=True, slots=True, kw_only=True)
class M3Scores:
    """Scores of bge-m3's three kinds, each divided by the temperature. Shape of each: (queries, texts).

    Attributes:
        dense: Of the dense vectors.
        sparse: Of the lexical weights.
        colbert: Of the token vectors.
    """

    dense: Tensor
    sparse: Tensor
    colbert: Tensor

    @property
    def ensemble(self) -> Tensor:
        """``dense + 0.3 sparse + colbert``."""
        return self.dense + _SPARSE_IN_SUM * self.sparse + self.colbert


def unified(
    scores: M3Scores,
    teacher: Tensor | None,
    loss: RetrievalLoss,
    *,
    dense_loss: Tensor,
    group_size: int,
    self_distils: bool,
    no_negatives: Tensor | None = None,
) -> Tensor:
    """Return the loss of bge-m3's three kinds together.

    ``(dense + ensemble + 0.1 sparse + colbert) / 4`` of the losses; with self-distillation the mean of that and
    ``(dense + 0.1 sparse + colbert) / 3`` of the KL to softmax(ensemble) over all columns. FlagEmbedding 1.4.2
    ``finetune/embedder/encoder_only/m3/modeling.py``; Chen et al. 2024 (arXiv 2402.03216), section 3.3. Where others'
    texts are no negatives FlagEmbedding's ensemble loss is 0 (it takes one column of each query's group); here it is
    that of the group.

    Args:
        scores: Of all three kinds.
        teacher: The teacher's scores; None without one.
        loss: Of one kind.
        dense_loss: That of the dense scores, which may have more columns: those of other devices.
        group_size: Texts of a group.
        self_distils: Whether each kind learns from their sum.
        no_negatives: See :class:`RetrievalLoss`.
    """
    ensemble = scores.ensemble
    losses = [
        loss(one, teacher, group_size=group_size, no_negatives=no_negatives)
        for one in (ensemble, scores.sparse, scores.colbert)
    ]
    whole = (dense_loss + losses[0] + _SPARSE_IN_LOSS * losses[1] + losses[2]) / 4
    if not self_distils:
        return whole
    dense, sparse, colbert = (kl_to_teacher(one, ensemble) for one in (scores.dense, scores.sparse, scores.colbert))
    return (whole + (dense + _SPARSE_IN_LOSS * sparse + colbert) / 3) / 2
