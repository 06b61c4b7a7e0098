"""Losses of rerankers over groups: raw scores of one query's texts, one row a group, the positive first.

All take scores ``z`` and return one number, the mean over the groups. The formulas are those of the libraries that the
names come from, so that their runs can be repeated.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from rerank_plugins.training.reward_losses import stable_reward_kl
from rerank_plugins.training.settings import LossName, TeacherScale

__all__ = [
    "GroupLoss",
    "group_cross_entropy",
    "group_loss",
    "kl_to_teacher",
    "listwise_cross_entropy",
    "margin_mse",
    "pairwise_ranknet",
    "pointwise_bce",
]

GroupLoss = Callable[[Tensor, Tensor | None], Tensor]
"""(scores, teacher's scores or None), both of shape (groups, texts), to the loss."""

_EPS = 1e-6
"""Least distance of a probability from 0 and 1, so that its logit is finite in float32."""


def group_cross_entropy(scores: Tensor) -> Tensor:
    """Return the mean of ``-log softmax(z)[0]``: the positive against the negatives of its group.

    FlagEmbedding 1.4.2 ``abc/finetune/reranker/AbsModeling.py`` (``CrossEntropyLoss(logits, 0)``); the localised
    contrastive estimation of Gao, Dai and Callan 2021 (arXiv 2101.08751), as luyug/Reranker has it. It is
    sentence-transformers' ``ListNetLoss`` with labels [100, 0, ...].

    Args:
        scores: Shape: (groups, texts), the positive first.
    """
    return -functional.log_softmax(scores, dim=1)[:, 0].mean()


def kl_to_teacher(scores: Tensor, teacher: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Return the mean of ``-sum softmax(t / T) log softmax(z / T)``: the KL divergence but for the teacher's entropy.

    FlagEmbedding 1.4.2 ``abc/finetune/reranker/AbsModeling.py`` (``knowledge_distillation``, T = 1), which adds it to
    :func:`group_cross_entropy` without a weight. sentence-transformers' ``ListNetLoss`` with the teacher's logits as
    labels is the same.

    Args:
        scores: Shape: (groups, texts).
        teacher: The teacher's logits. Shape: (groups, texts).
        temperature: T. The gradients become smaller by T, as there is no factor T ** 2 here.
    """
    target = functional.softmax(teacher.detach() / temperature, dim=1)
    return -(target * functional.log_softmax(scores / temperature, dim=1)).sum(dim=1).mean()


def margin_mse(scores: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean of ``((z_0 - z_j) - (t_0 - t_j)) ** 2`` over the negatives j.

    Hofstätter et al. 2020 (arXiv 2010.02666): student and teacher may have scores of different height. sentence-
    transformers' ``MarginMSELoss`` with one score per text is the same.

    Args:
        scores: Shape: (groups, texts), the positive first.
        teacher: The teacher's scores on the scale that the student's shall have. Shape: (groups, texts).
    """
    margins, wanted = (one[:, :1] - one[:, 1:] for one in (scores, teacher.detach()))
    return functional.mse_loss(margins, wanted)


def pointwise_bce(scores: Tensor, labels: Tensor) -> Tensor:
    """Return the mean of ``-y log sigmoid(z) - (1 - y) log(1 - sigmoid(z))`` over all texts.

    RAG-Retrieval ``train/reranker`` (``pointwise_bce``); sentence-transformers' ``BinaryCrossEntropyLoss``.

    Args:
        scores: Shape: (groups, texts).
        labels: From 0 to 1. Shape: (groups, texts).
    """
    return functional.binary_cross_entropy_with_logits(scores, labels)


def pairwise_ranknet(scores: Tensor, labels: Tensor) -> Tensor:
    """Return the mean of ``-(y_i - y_j) log sigmoid(z_i - z_j)`` over the pairs of a group with ``y_i > y_j``.

    RankNet (Burges et al. 2005) with RAG-Retrieval's weight (``pairwise_ranknet``): pairs of all groups count alike.
    With labels 0 and 1 it is sentence-transformers' ``RankNetLoss(reduction_log="natural")``.

    Args:
        scores: Shape: (groups, texts).
        labels: Any real numbers. Shape: (groups, texts).

    Returns:
        0 where no two labels of a group differ.
    """
    differences = labels.unsqueeze(2) - labels.unsqueeze(1)
    margins = scores.unsqueeze(2) - scores.unsqueeze(1)
    is_better = differences > 0
    losses = -differences[is_better] * functional.logsigmoid(margins[is_better])
    return losses.sum() / max(losses.numel(), 1)


def listwise_cross_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    """Return the mean of ``-sum softmax(y) log softmax(z)``, with labels of 0 at minus infinity in the first.

    RAG-Retrieval ``train/reranker`` (``listwise_ce``): texts of label 0 are negatives and have no part in the target.

    Args:
        scores: Shape: (groups, texts).
        labels: 0 for a negative, else how relevant. Shape: (groups, texts).

    Returns:
        The mean, to which a group whose labels are all 0 adds 0: it has no target (RAG-Retrieval's loss is NaN then).
    """
    is_negative = labels == 0
    target = functional.softmax(labels.masked_fill(is_negative, float("-inf")), dim=1)
    target = target.masked_fill(is_negative.all(dim=1, keepdim=True), 0.0)
    return -(target * functional.log_softmax(scores, dim=1)).sum(dim=1).mean()


def group_loss(name: LossName, *, temperature: float = 1.0, teacher_scale: TeacherScale = "logit") -> GroupLoss:
    """Return a loss by its name.

    With a teacher ``group_ce`` adds :func:`kl_to_teacher` (FlagEmbedding's sum), and the labels of ``pointwise_bce``,
    ``pairwise_ranknet`` and ``listwise_ce`` are the teacher's probabilities; without one they are 1 for the first text
    of a group and 0 for the others.

    Args:
        name: The loss.
        temperature: See :func:`kl_to_teacher`.
        teacher_scale: What the teacher's scores are. Where logits are needed and probabilities are given, or the other
            way round, one is made of the other.

    Returns:
        A function of (scores, teacher); only ``kl_div``, ``stable_kl`` and ``margin_mse`` need a teacher.
    """
    is_probability = teacher_scale == "probability"

    def logits(teacher: Tensor | None) -> Tensor:
        if teacher is None:
            msg = f"{name} needs a teacher's scores"
            raise ValueError(msg)
        return torch.logit(teacher, eps=_EPS) if is_probability else teacher

    def distilled(scores: Tensor, teacher: Tensor | None) -> Tensor:
        return kl_to_teacher(scores, logits(teacher), temperature=temperature)

    def labels(scores: Tensor, teacher: Tensor | None) -> Tensor:
        if teacher is None:
            first = torch.zeros_like(scores)
            first[:, 0] = 1.0
            return first
        return teacher if is_probability else torch.sigmoid(teacher)

    losses: dict[LossName, GroupLoss] = {
        "group_ce": lambda z, t: group_cross_entropy(z) if t is None else group_cross_entropy(z) + distilled(z, t),
        "kl_div": distilled,
        "stable_kl": lambda z, t: stable_reward_kl(z, logits(t), temperature=temperature),
        "margin_mse": lambda z, t: margin_mse(z, logits(t)),
        "pointwise_bce": lambda z, t: pointwise_bce(z, labels(z, t)),
        "pairwise_ranknet": lambda z, t: pairwise_ranknet(z, labels(z, t)),
        "listwise_ce": lambda z, t: listwise_cross_entropy(z, labels(z, t)),
    }
    return losses[name]
