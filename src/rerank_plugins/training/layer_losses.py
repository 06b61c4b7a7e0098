"""The loss of a model with heads on several layers: that of every layer, and what the lower ones learn from the last.

FlagEmbedding 1.4.2 ``finetune/reranker/decoder_only/layerwise/modeling.py`` adds all of it up, so that a model with 33
heads begins with a loss near 100 and, where gradients are clipped, is trained by their direction alone. Here the mean
over the layers is the default: loss and gradient are then of the size of a model with one head, and a learning rate
means the same for both. The two differ by the factor of the number of layers.

As released (1.3.5 and 1.4.2) its trainer asks the model for no layer and gets the last one alone, so that its own sum
never has a second part. The older ``research/llm_reranker/finetune_for_layerwise`` asks for all, and so does this one.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rerank_plugins.training.losses import GroupLoss, kl_to_teacher
from rerank_plugins.training.settings_llm import LayerReduction

__all__ = ["over_layers"]


def over_layers(loss: GroupLoss, *, reduction: LayerReduction = "mean", temperature: float = 1.0) -> GroupLoss:
    """Return the loss of scores of several layers, z_first to z_last.

    ``sum_l loss(z_l, t) + sum_{l < last} -sum softmax(z_last / T) log softmax(z_l / T)``, the second part without a
    gradient through z_last and only where there is no teacher: with one every layer learns from it.

    Args:
        loss: Of the scores of one layer.
        reduction: ``sum`` is this; ``mean`` divides it by the number of layers.
        temperature: T.

    Returns:
        A function of scores of shape (groups, texts, layers) and the teacher's scores. Scores of shape (groups, texts)
        get the loss of one layer.
    """

    def total(scores: Tensor, teacher: Tensor | None) -> Tensor:
        if scores.dim() == 2:
            return loss(scores, teacher)
        layers = scores.unbind(dim=2)
        parts = [loss(one, teacher) for one in layers]
        if teacher is None:
            parts += [kl_to_teacher(one, layers[-1], temperature=temperature) for one in layers[:-1]]
        added = torch.stack(parts).sum()
        return added if reduction == "sum" else added / len(layers)

    return total
