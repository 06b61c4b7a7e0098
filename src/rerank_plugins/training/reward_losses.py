"""LLM-Embedder's stabilised loss towards a language model's preferences."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["stable_reward_kl"]


def stable_reward_kl(
    scores: Tensor, teacher: Tensor, *, columns: Tensor | None = None, temperature: float = 1.0
) -> Tensor:
    """Return the mean over the groups of ``sum_i p_i * CE(z without the i - 1 better ones, i)``, best text first.

    ``p = softmax(t)`` and CE is ``-log softmax`` over all candidates of a group but those of its own texts that the
    teacher finds better. So each text has to win against the worse ones and against other groups' texts, by the weight
    of its reward; the best by far does not drown the rest as in a plain KL divergence.

    Source: FlagEmbedding ``research/llm_embedder/src/retrieval/modeling_dense.py`` (``stable_distill``; LLM-Embedder,
    arXiv 2310.07554). It is ``m3_kd_loss`` of FlagEmbedding's embedder trainers on groups that ``data.py`` sorts by the
    teacher's score; here they are sorted in this function. There T is always 1.

    Args:
        scores: z, student's scores. Shape: (groups, candidates).
        teacher: t, log-likelihoods or other rewards of a group's own texts. Shape: (groups, texts).
        columns: Where a group's own texts stand among the candidates, whole numbers. Shape: (groups, texts). None
            where they are the only candidates, in this order.
        temperature: T, by which ``t`` is divided.
    """
    own = torch.arange(teacher.shape[1], device=scores.device).expand(teacher.shape) if columns is None else columns
    rewards, order = torch.sort(teacher.detach(), dim=1, descending=True, stable=True)
    own = own.gather(1, order)
    weights = functional.softmax(rewards / temperature, dim=1)
    left, total = scores, scores.new_zeros(())
    for place in range(own.shape[1]):
        wanted = own[:, place]
        total = total + (weights[:, place] * functional.cross_entropy(left, wanted, reduction="none")).mean()
        # The smallest number and not minus infinity, which makes NaN of gradients where nothing is left.
        left = left.scatter(1, wanted.unsqueeze(1), torch.finfo(scores.dtype).min)
    return total
