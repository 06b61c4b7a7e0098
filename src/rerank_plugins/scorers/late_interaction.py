"""Late interaction: an encoder, and a projection of every token's state, in float32.

References: colbert-ai 0.2.22 ``modeling/colbert.py`` (``linear``, then L2 of each token's vector); PyLate 1.6.0
``models/Dense.py``; sentence-transformers 6.2 ``base/modules/dense.py``; FlagEmbedding 1.3.5 (``colbert_linear``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from rerank_plugins.catalog.late_interaction import RootProjection
from rerank_plugins.catalog.module_files import DenseStep
from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.nn.backbone import Backbone, TokenStates
from rerank_plugins.protocols import Batch
from rerank_plugins.scorers.multi_vector import in_slots
from rerank_plugins.scorers.sentence_head import load_layer
from rerank_plugins.scorers.transformer import load_backbone
from rerank_plugins.scorers.vector_rows import TokenRow
from rerank_plugins.weights.base import LoadedParts, LoadRequest
from rerank_plugins.weights.side_files import read_side_file
from rerank_plugins.weights.weight_files import WeightFiles

__all__ = ["TokenEncoder", "load", "root_weights"]

_Step = Callable[[torch.Tensor], torch.Tensor]


class TokenEncoder:
    """A transformer with a projection of each token.

    Args:
        backbone: The transformer.
        projection: What makes a vector of a token's state, one step after the other.
    """

    def __init__(self, backbone: Backbone, projection: Sequence[_Step]) -> None:
        self._backbone: Backbone | None = backbone
        self._projection = list(projection)
        self.is_padded, self.padding_reason = backbone.is_padded, backbone.padding_reason

    @property
    def is_thread_safe(self) -> bool:
        """Whether several threads may call :meth:`forward` at once."""
        return self._backbone.is_thread_safe  # type: ignore[union-attr]

    def forward(self, batch: Batch) -> torch.Tensor:
        """Return the vectors of each text's tokens in one row, as ``batch.options`` lays it out.

        Returns:
            Shape: (inputs, slots * width), float32.
        """
        states: TokenStates = self._backbone(batch)  # type: ignore[misc]
        vectors = states.flat
        for step in self._projection:
            vectors = step(vectors)
        layout = batch.options
        if not isinstance(layout, TokenRow):
            msg = f"token vectors need a TokenRow as the batch's options, got {type(layout).__name__}"
            raise TypeError(msg)
        vectors = vectors[:, : layout.dimensions]
        if layout.normalizes:
            vectors = torch.nn.functional.normalize(vectors, dim=1)
        return in_slots(vectors, states.row, layout.slots)

    def compile(self) -> str:
        """Compile the backbone, see :meth:`Backbone.compile`."""
        return self._backbone.compile()  # type: ignore[union-attr]

    def close(self) -> None:
        """Free the weights."""
        self._backbone = None
        self._projection = []


def load(request: LoadRequest) -> LoadedParts:
    """Load a late-interaction model from its checkpoint."""
    late = request.spec.late_interaction
    if late is None:
        msg = f"{request.spec.id!r} does not say how its tokens are compared; open it with Reranker or Embedder"
        raise UnsupportedModelError(msg)
    projection = [_step(step, request) for step in late.projection]
    backbone, tokenizer = load_backbone(request)
    return LoadedParts(tokenizer=tokenizer, scorer=TokenEncoder(backbone, projection))


def _step(step: DenseStep | RootProjection, request: LoadRequest) -> _Step:
    if isinstance(step, DenseStep):
        return load_layer(step, request)
    weights = root_weights(step, request)
    weight = weights.get("weight")
    if weight is None or weight.dim() != 2:
        msg = f"{str(request.files.folder)!r} has no matrix {step.name}.weight; download the checkpoint again"
        raise UnsupportedModelError(msg)
    linear = torch.nn.Linear(weight.shape[1], weight.shape[0], bias="bias" in weights)
    linear.load_state_dict(weights)
    return linear.eval().to(request.device)


def root_weights(step: RootProjection, request: LoadRequest) -> dict[str, torch.Tensor]:
    """Return the tensors of a projection that lies beside the transformer: ``weight`` and, if there is one, ``bias``.

    Raises:
        ModelError: They cannot be read.
    """
    folder = request.files.folder
    if step.has_own_file:
        safe, pickled = folder / f"{step.name}.safetensors", folder / f"{step.name}.pt"
        return read_side_file(safe, pickled, allow_pickle=request.allow_pickle)
    names = [f"{step.name}.weight", f"{step.name}.bias"]
    if any(folder.glob("*.safetensors")):
        stored = WeightFiles(folder)
        found = stored.read([one for one in names if one in stored], device=torch.device("cpu"), dtype=torch.float32)
    else:
        whole = read_side_file(
            folder / "model.safetensors", folder / "pytorch_model.bin", allow_pickle=request.allow_pickle
        )
        found = {name: whole[name] for name in names if name in whole}
    return {name.rpartition(".")[2]: tensor for name, tensor in found.items()}
