"""Embedders as the Trainer takes them: padded queries and texts in, their vectors out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from rerank_plugins.scorers.trained import TrainedModule
from rerank_plugins.training.chunks import pass_cost_on, similar_lengths
from rerank_plugins.training.settings_retrieval import VectorPooling

__all__ = ["ColbertModule", "M3Module", "TextModule", "VectorModule", "pooled"]


def pooled(states: Tensor, mask: Tensor, pooling: VectorPooling) -> Tensor:
    """Return one vector for each text that is padded on the right. Shape: (texts, hidden), float32.

    Args:
        states: Shape: (texts, longest, hidden).
        mask: 1 for tokens. Shape: (texts, longest).
        pooling: The first token's state, the last one's, or the mean of all.
    """
    states = states.float()
    if pooling == "cls":
        return states[:, 0]
    if pooling == "last_token":
        return states[torch.arange(len(states), device=states.device), mask.sum(dim=1) - 1]
    counts = mask.unsqueeze(2).float()
    return (states * counts).sum(dim=1) / counts.sum(dim=1)


class TextModule(TrainedModule):
    """A transformer that encodes queries and texts in chunks of similar length.

    Args:
        network: A model of transformers.
        sub_batch_size: Texts of a chunk, whose activations are computed again for the gradient (a gradient cache, Gao
            et al. 2021, arXiv 2101.06983); None keeps all.
    """

    def __init__(self, network: Any, *, sub_batch_size: int | None = None) -> None:
        super().__init__(network)
        self._sub_batch_size = sub_batch_size

    def forward(
        self, queries: Mapping[str, Tensor], passages: Mapping[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return the vectors of queries and of texts, each as :meth:`encode` gives them."""
        return self.encode(queries), self.encode(passages)

    def encode(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the vectors of padded texts, in order.

        Args:
            tensors: The transformer's. Shape of each: (texts, longest), padded on the right.
        """
        lengths = self._lengths(tensors).tolist()
        longest = tensors["attention_mask"].shape[1]
        chunks = self._chunks(lengths, tensors["attention_mask"].device)
        parts = [self._of_rows(tensors, rows, longest=longest) for rows in chunks]
        place = [row for rows in chunks for row in rows]
        order = torch.argsort(torch.tensor(place, device=tensors["attention_mask"].device))
        return {name: torch.cat([part[name] for part in parts])[order] for name in parts[0]}

    def _chunks(self, lengths: list[int], device: torch.device) -> list[list[int]]:
        if self._sub_batch_size is None:
            return similar_lengths(lengths, pass_cost=pass_cost_on(device))
        order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
        return [order[start : start + self._sub_batch_size] for start in range(0, len(order), self._sub_batch_size)]

    def _of_rows(self, tensors: Mapping[str, Tensor], rows: list[int], *, longest: int) -> dict[str, Tensor]:
        chosen = torch.tensor(rows, device=tensors["attention_mask"].device)
        width = int(self._lengths(tensors)[chosen].max())
        cut = {name: one[chosen, :width] for name, one in tensors.items()}
        if self._sub_batch_size is not None and torch.is_grad_enabled():
            return checkpoint(self._vectors, cut, longest, use_reentrant=False)  # type: ignore[no-any-return]
        return self._vectors(cut, longest)

    def _lengths(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Return the tokens of each text."""
        return tensors["attention_mask"].sum(dim=1)

    def _vectors(self, tensors: Mapping[str, Tensor], longest: int) -> dict[str, Tensor]:
        """Return the vectors of a chunk; what has a row for each token is padded to ``longest``."""
        raise NotImplementedError

    def _states(self, tensors: Mapping[str, Tensor]) -> Tensor:
        return self.network(**tensors).last_hidden_state  # type: ignore[no-any-return]


class VectorModule(TextModule):
    """An embedder: one vector for each text.

    Args:
        network: A model of transformers.
        pooling: How token states become one vector.
        sub_batch_size: See :class:`TextModule`.
    """

    def __init__(self, network: Any, *, pooling: VectorPooling, sub_batch_size: int | None = None) -> None:
        super().__init__(network, sub_batch_size=sub_batch_size)
        self._pooling = pooling

    def _vectors(self, tensors: Mapping[str, Tensor], longest: int) -> dict[str, Tensor]:
        return {"dense": pooled(self._states(tensors), tensors["attention_mask"], self._pooling)}


class M3Module(VectorModule):
    """bge-m3: one vector for each text, and a weight and a vector for each token.

    References as :class:`~rerank_plugins.scorers.multi_vector.MultiVectorEmbedder`.

    Args:
        network: A model of transformers.
        pooling: How token states become one vector.
        sparse: The head of weights.
        colbert: The head of token vectors.
        sub_batch_size: See :class:`TextModule`.
    """

    def __init__(
        self,
        network: Any,
        *,
        pooling: VectorPooling,
        sparse: nn.Linear,
        colbert: nn.Linear,
        sub_batch_size: int | None = None,
    ) -> None:
        super().__init__(network, pooling=pooling, sub_batch_size=sub_batch_size)
        self.sparse_linear, self.colbert_linear = sparse, colbert

    def _vectors(self, tensors: Mapping[str, Tensor], longest: int) -> dict[str, Tensor]:
        states = self._states(tensors)
        missing = longest - states.shape[1]
        with torch.autocast(device_type=states.device.type, enabled=False):
            weights = torch.relu(self.sparse_linear(states.float())).squeeze(2)
            # The first token is the dense vector's.
            tokens = self.colbert_linear(states[:, 1:].float())
        return {
            "dense": pooled(states, tensors["attention_mask"], self._pooling),
            "sparse": nn.functional.pad(weights, (0, missing)),
            "colbert": nn.functional.pad(tokens, (0, 0, 0, missing)),
        }


class ColbertModule(TextModule):
    """A ColBERT: a vector for each token, a linear layer behind the transformer.

    Beside the transformer's tensors it takes ``counts``: which tokens are compared.

    Args:
        network: A model of transformers.
        linear: The layer.
        sub_batch_size: See :class:`TextModule`.
    """

    def __init__(self, network: Any, linear: nn.Linear, *, sub_batch_size: int | None = None) -> None:
        super().__init__(network, sub_batch_size=sub_batch_size)
        self.linear = linear

    def _lengths(self, tensors: Mapping[str, Tensor]) -> Tensor:
        # Tokens that fill a query up are compared, and may not be seen by the others.
        return torch.maximum(tensors["attention_mask"], tensors["counts"]).sum(dim=1)

    def _vectors(self, tensors: Mapping[str, Tensor], longest: int) -> dict[str, Tensor]:
        states = self._states({name: one for name, one in tensors.items() if name != "counts"})
        with torch.autocast(device_type=states.device.type, enabled=False):
            tokens = self.linear(states.float())
        return {"tokens": nn.functional.pad(tokens, (0, 0, 0, longest - tokens.shape[1]))}
