"""An embedder in memory that can be trained, and how it is opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rerank_plugins.backends.named import refuse_backend
from rerank_plugins.catalog.checkpoint import MULTI_VECTOR_HEADS, CheckpointFiles
from rerank_plugins.catalog.resolve import ResolvedModel, resolve
from rerank_plugins.catalog.scorer_traits import LATE_INTERACTION, traits_of
from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.checks.optional import import_extra
from rerank_plugins.embedding.layout import special_ids, text_layout
from rerank_plugins.errors import InvalidInputError, UnsupportedModelError
from rerank_plugins.scorers.transformer import load_transformer
from rerank_plugins.text.tokenizer import TextTokenizer
from rerank_plugins.training.batches import PairPadding
from rerank_plugins.training.settings_retrieval import EmbedderTrainingSettings, VectorPooling
from rerank_plugins.training.trainable.adapters import Adapter
from rerank_plugins.training.trainable.setup import TrainingSetup
from rerank_plugins.training.vectors.batches import TextInputs, text_inputs
from rerank_plugins.training.vectors.landmarks import LandmarkModule, add_landmark, check_landmarks
from rerank_plugins.training.vectors.measuring import encoded_texts
from rerank_plugins.training.vectors.module import M3Module, VectorModule
from rerank_plugins.training.vectors.saving import save_embedder
from rerank_plugins.weights.base import LoadRequest
from rerank_plugins.weights.side_files import read_side_file
from rerank_plugins.weights.tokenizers import load_tokenizer

__all__ = ["TrainableEmbedder", "open_embedder", "resolve_embedder"]

_POOLINGS: tuple[VectorPooling, ...] = ("cls", "mean", "last_token")
_TRAINED = "encoders (bge, bce, e5, gte, bge-m3) and language models that embed (Qwen3-Embedding, e5-mistral) are"
_T5_TYPES = ("t5", "mt5", "umt5")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TrainableEmbedder:
    """An embedder in memory.

    Attributes:
        module: Gives the vectors of padded texts, as ``dense``, not normalised.
        spec: How the model is used.
        files: The checkpoint that it comes from.
        inputs: Makes its tensors.
        pooling: How token states become one vector.
        normalize: Whether vectors have length 1.
        without: Token ids that have no lexical weight.
        adapter: What is trained instead of the model's own weights; None if these are.
        batch_size: Texts of a forward pass that measures.
    """

    module: VectorModule
    spec: ModelSpec
    files: CheckpointFiles
    inputs: TextInputs
    pooling: VectorPooling
    normalize: bool
    without: frozenset[int]
    adapter: Adapter | None
    batch_size: int

    @property
    def is_listed(self) -> bool:
        """Whether the catalog knows the model that it comes from."""
        return self.spec.id != str(self.files.folder)

    @property
    def n_parameters(self) -> int:
        """Number of weights that are trained."""
        return sum(one.numel() for one in self.module.parameters() if one.requires_grad)

    def save(self, folder: Path) -> None:
        """Write the model; see :func:`~rerank_plugins.training.vectors.saving.save_embedder`."""
        save_embedder(self, folder)

    def embed_queries(self, queries: Sequence[str]) -> list[Tensor]:
        """Return the vectors of queries that have no instruction yet."""
        return self._embedded(self.inputs.queries, [self.inputs.prefixes[0] + query for query in queries])

    def embed_texts(self, texts: Sequence[str]) -> list[Tensor]:
        """Return the vectors of texts that have no instruction yet."""
        return self._embedded(self.inputs.texts, [self.inputs.prefixes[1] + text for text in texts])

    def _embedded(self, inputs: Any, texts: list[str]) -> list[Tensor]:
        def vectors(found: dict[str, Tensor], _tensors: object) -> list[Tensor]:
            return list(functional.normalize(found["dense"], dim=1) if self.normalize else found["dense"])

        return encoded_texts(self.module, inputs, texts, batch_size=self.batch_size, vectors=vectors)


def resolve_embedder(settings: EmbedderTrainingSettings) -> ResolvedModel:
    """Return the model that a training starts from.

    Raises:
        UnsupportedModelError: It is of a kind that is not trained today.
        ModelError: It cannot be resolved.
        MissingExtraError: PEFT is needed and not installed.
    """
    model = settings.model
    refuse_backend(model.model_name_or_path, kind="embedder")
    resolved = resolve(model.model_name_or_path, kind="embedder", options=model.source)
    spec, files = resolved.spec, resolved.files
    if spec.scorer == LATE_INTERACTION:
        raise _refused(resolved, "gives a vector for each token (rerank-plugins train colbert trains such models)")
    if not traits_of(spec.scorer).is_encoder:
        raise _refused(resolved, f"is a {spec.scorer} embedder: a table of vectors without a transformer")
    if files.config.get("model_type") in _T5_TYPES:
        raise _refused(resolved, "is a T5")
    if not spec.pools_instruction:
        raise _refused(resolved, "leaves its instruction out of the mean (INSTRUCTOR)")
    if files.modules.steps:
        raise _refused(resolved, f"has modules behind its pooling ({' -> '.join(files.modules.kinds)})")
    check_landmarks(settings)
    pooling = _pooling(settings, spec)
    if pooling not in _POOLINGS:
        msg = f"pools by {pooling!r}, and {', '.join(_POOLINGS)} are trained: set sentence_pooling_method to one"
        raise _refused(resolved, msg)
    if _uses_lora(settings, pooling):
        import_extra("peft", extra="train")
    else:
        settings.lora.check_unused()
    return resolved


def _refused(resolved: ResolvedModel, why: str) -> UnsupportedModelError:
    return UnsupportedModelError(f"{resolved.spec.id!r} {why}; that is not trained here, {_TRAINED}")


def _pooling(settings: EmbedderTrainingSettings, spec: ModelSpec) -> Any:
    """Return how token states become one vector; a text of a model with landmarks has the vector of its last one."""
    return "last_token" if settings.landmark.landmarks else settings.vectors.sentence_pooling_method or spec.pooling


def _uses_lora(settings: EmbedderTrainingSettings, pooling: Any) -> bool:
    """Return whether an adapter is trained: by default where the last token is pooled, as language models do."""
    if settings.landmark.landmarks:
        return False
    if settings.lora.use_lora is None:
        return pooling == "last_token" or settings.lora.from_peft is not None
    return settings.lora.use_lora


def open_embedder(resolved: ResolvedModel, settings: EmbedderTrainingSettings) -> TrainableEmbedder:
    """Load an embedder for training, in float32.

    Raises:
        ModelError: It cannot be loaded.
        InvalidInputError: Lengths or dimensions cannot work, or there is not what shall be frozen or adapted.
        MissingExtraError: PEFT is needed and not installed.
    """
    spec, files, model = resolved.spec, resolved.files, settings.model
    request = LoadRequest(
        spec=spec,
        files=files,
        device=torch.device("cpu"),
        dtype=torch.bfloat16 if settings.lora.lora_base_dtype == "bfloat16" else torch.float32,
        allow_pickle=model.allow_pickle,
        trust_remote_code=model.trust_remote_code,
    )
    pooling: Any = _pooling(settings, spec)
    tokenizer = load_tokenizer(request)
    if settings.landmark.landmarks:
        token = spec.landmark or settings.landmark.landmark_token
        tokenizer = tokenizer.with_special_token(token)
        spec = replace(spec, landmark=token, ends_in=token, pooling=pooling)
    # Of what it does, the pairs alone are a reranker's.
    shared_settings: Any = settings
    setup = TrainingSetup(
        request=request, settings=shared_settings, tokenizer=tokenizer, uses_lora=_uses_lora(settings, pooling)
    )
    _check_tokens(model.additional_special_tokens, tokenizer)
    network: Any = load_transformer(request)
    if settings.landmark.landmarks:
        add_landmark(network, tokenizer.highest_id + 1, seed=settings.run.seed)
    _check_dimensions(settings.vectors.mrl_dims, network.config.hidden_size)
    adapter = setup.adapt(network)
    padding = PairPadding(
        pad_id=max(network.config.pad_token_id or 0, 0), has_types=getattr(network.config, "type_vocab_size", 0) > 1
    )
    module = _module(network, request, settings, pooling)
    _freeze(setup, module, settings)
    return TrainableEmbedder(
        module=module,
        spec=spec,
        files=files,
        inputs=text_inputs(tokenizer, spec, settings.data, padding=padding),
        pooling=pooling,
        normalize=settings.vectors.normalize_embeddings,
        without=special_ids(tokenizer, files, text_layout(tokenizer, spec)),
        adapter=adapter,
        batch_size=settings.run.per_device_eval_batch_size,
    )


def _module(
    network: Any, request: LoadRequest, settings: EmbedderTrainingSettings, pooling: VectorPooling
) -> VectorModule:
    chunk = settings.run.sub_batch_size
    if settings.landmark.landmarks:
        return LandmarkModule(network, pooling=pooling, sub_batch_size=chunk)
    if not settings.m3.unified_finetuning:
        return VectorModule(network, pooling=pooling, sub_batch_size=chunk)
    hidden = network.config.hidden_size
    width = hidden if settings.m3.colbert_dim == -1 else settings.m3.colbert_dim
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.run.seed)
        colbert, sparse = nn.Linear(hidden, width), nn.Linear(hidden, 1)
    if request.files.has_multi_vector_heads:
        sparse, colbert = (_stored_head(request, name) for name in MULTI_VECTOR_HEADS)
        if settings.m3.colbert_dim not in (-1, colbert.out_features):
            msg = f"colbert_dim={settings.m3.colbert_dim}, and the model has a head of {colbert.out_features}"
            raise InvalidInputError(msg)
    return M3Module(network, pooling=pooling, sparse=sparse, colbert=colbert, sub_batch_size=chunk)


def _stored_head(request: LoadRequest, name: str) -> nn.Linear:
    folder = request.files.folder
    safe, pickled = folder / f"{name}.safetensors", folder / f"{name}.pt"
    weights = read_side_file(safe, pickled, allow_pickle=request.allow_pickle)
    n_out, n_in = weights["weight"].shape
    linear = nn.Linear(n_in, n_out, bias="bias" in weights)
    linear.load_state_dict(weights)
    return linear


def _check_tokens(markers: Sequence[str], tokenizer: TextTokenizer) -> None:
    missing = [one for one in markers if tokenizer.token_to_id(one) is None]
    if missing:
        msg = (
            f"additional_special_tokens names {', '.join(missing)}, which the model's vocabulary lacks, and none is "
            "added here: leave them out (they are then read as text), or add them with transformers before"
        )
        raise InvalidInputError(msg)


def _check_dimensions(dimensions: Sequence[int], hidden: int) -> None:
    if any(one > hidden for one in dimensions):
        msg = f"mrl_dims={list(dimensions)}, and the model's vectors have {hidden} dimensions; leave longer ones out"
        raise InvalidInputError(msg)


def _freeze(setup: TrainingSetup, module: VectorModule, settings: EmbedderTrainingSettings) -> None:
    """Take the weights out of training that shall stay as they are."""
    if settings.m3.fix_encoder:
        module.network.requires_grad_(False)  # noqa: FBT003 - torch's signature
        return
    setup.freeze(module.network)
    if settings.model.fix_position_embedding:
        frozen = [one for name, one in module.network.named_parameters() if "position_embeddings" in name]
        if not frozen:
            msg = "fix_position_embedding, and the model has no position embeddings; leave it out"
            raise InvalidInputError(msg)
        for one in frozen:
            one.requires_grad_(requires_grad=False)
