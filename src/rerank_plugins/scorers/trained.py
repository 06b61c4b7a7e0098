"""Networks as the Trainer takes them: padded tensors in, ``logits`` out, and only what is trained in checkpoints."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from rerank_plugins.nn.heads import AnswerHead

__all__ = ["AnswerModule", "ClassifierModule", "TrainedModule"]


class TrainedModule(nn.Module):
    """A network around which a training is built.

    Its state dict holds the weights that are trained, each once, and nothing else: the checkpoint of an adapter is the
    adapter, and of two tied matrices one is written. What is loaded into it has to hold just these. It shows no
    ``config``, in which the Trainer would leave its own ``use_cache`` behind.

    Args:
        network: A model of transformers, or one with the same methods; adapters are in it already.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        # The Trainer's switch for computing activations twice, by its names in transformers 4 and 5.
        for name in ("gradient_checkpointing_enable", "activation_checkpointing_enable"):
            if hasattr(network, name):
                setattr(self, name, getattr(network, name))
        self.register_state_dict_post_hook(_keep_trained)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_post_hook(_miss_trained)  # type: ignore[no-untyped-call]

    def _trained(self) -> set[str]:
        return {name for name, one in self.named_parameters() if one.requires_grad}


class ClassifierModule(TrainedModule):
    """A sequence classifier of transformers."""

    def forward(self, **tensors: Tensor) -> dict[str, Tensor]:
        """Return the logits of padded pairs, as ``logits``. Shape: (pairs, 1)."""
        return {"logits": self.network(**tensors).logits}


class AnswerModule(TrainedModule):
    """A decoder whose score is the logit of an answer, or the difference of two.

    Args:
        network: A causal language model of transformers.
        answers: Ids of the answers, the wanted one first.
    """

    def __init__(self, network: Any, answers: list[int]) -> None:
        super().__init__(network)
        self._answers = answers

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        """Return the scores at the last token of pairs that are padded on the right, as ``logits``.

        Padding behind a text changes nothing in a decoder, whose tokens see only those before them. Of the output
        matrix only the answers' rows are used, in float32 also within autocast.

        Args:
            input_ids: Shape: (pairs, longest), int64.
            attention_mask: 1 for tokens, 0 for padding. Shape: (pairs, longest).

        Returns:
            Shape of ``logits``: (pairs, 1), float32.
        """
        decoder = self.network.base_model
        states = decoder(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).last_hidden_state
        final = states[torch.arange(len(states), device=states.device), attention_mask.sum(dim=1) - 1]
        rows = self.network.get_output_embeddings().weight[self._answers]
        softcap = getattr(self.network.config, "final_logit_softcapping", None)
        with torch.autocast(device_type=final.device.type, enabled=False):
            return {"logits": AnswerHead(rows, softcap=softcap)(final)}


def _keep_trained(module: Any, state: dict[str, Any], prefix: str, _metadata: Any) -> None:
    trained = module._trained()
    for name in [one for one in state if one.startswith(prefix) and one.removeprefix(prefix) not in trained]:
        del state[name]


def _miss_trained(module: Any, found: Any) -> None:
    trained = module._trained()
    found.missing_keys[:] = [name for name in found.missing_keys if name in trained]
