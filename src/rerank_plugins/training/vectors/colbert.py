"""A ColBERT in memory that can be trained, and how it is opened."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from torch.nn import functional

from rerank_plugins.backends.named import refuse_backend
from rerank_plugins.catalog.checkpoint import CheckpointFiles, read_checkpoint
from rerank_plugins.catalog.late_conventions import has_m3_projection
from rerank_plugins.catalog.late_interaction import LateInteraction
from rerank_plugins.catalog.locate import locate
from rerank_plugins.catalog.resolve import ResolvedModel
from rerank_plugins.catalog.scorer_traits import TRANSFORMER
from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.catalog.table import find_by_id
from rerank_plugins.checks.boundary import checkpoint_errors
from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.scorers.transformer import load_transformer
from rerank_plugins.training.freezing import freeze
from rerank_plugins.training.settings_colbert import ColbertTrainingSettings
from rerank_plugins.training.vectors.colbert_files import TokenFormat, punctuation, write_token_format
from rerank_plugins.training.vectors.colbert_inputs import ColbertInputs, colbert_inputs
from rerank_plugins.training.vectors.colbert_start import (
    QUERY_LENGTH,
    TEXT_LENGTH,
    check_colbert,
    check_same_tokens,
    projection_of,
    token_format_of,
)
from rerank_plugins.training.vectors.measuring import encoded_texts
from rerank_plugins.training.vectors.module import ColbertModule
from rerank_plugins.weights.base import LoadRequest

__all__ = ["TrainableColbert", "open_colbert", "resolve_colbert"]

logger = logging.getLogger(__name__)

_ENDINGS = ("Model", "ForMaskedLM", "ForPreTraining")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TrainableColbert:
    """A ColBERT in memory.

    Attributes:
        module: Gives the vectors of tokens, as ``tokens``, not normalised.
        spec: The encoder that it is made from.
        files: The checkpoint that it comes from.
        inputs: Makes its tensors.
        token_format: How texts are read and compared.
        tokenizer: transformers' own, with the markers.
        batch_size: Texts of a forward pass that measures.
    """

    module: ColbertModule
    spec: ModelSpec
    files: CheckpointFiles
    inputs: ColbertInputs
    token_format: TokenFormat
    tokenizer: Any
    batch_size: int

    @property
    def n_parameters(self) -> int:
        """Number of weights that are trained."""
        return sum(one.numel() for one in self.module.parameters() if one.requires_grad)

    def save(self, folder: Path) -> None:
        """Write the model in the format of sentence-transformers' ``MultiVectorEncoder``.

        Raises:
            OSError: It cannot be written.
        """
        self.module.network.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        write_token_format(folder, self.token_format, self.module.linear)

    def embed_queries(self, queries: Sequence[str]) -> list[Tensor]:
        """Return the token vectors of queries that have no instruction yet, of length 1. Shape: (tokens, dim)."""
        return self._embedded(self.inputs.queries, [self._instructions[0] + query for query in queries])

    def embed_texts(self, texts: Sequence[str]) -> list[Tensor]:
        """Return those of texts that have no instruction yet; only tokens that are compared."""
        return self._embedded(self.inputs.texts, [self._instructions[1] + text for text in texts])

    @property
    def _instructions(self) -> tuple[str, str]:
        prefixes, markers = self.token_format.prefixes, self.inputs.markers
        return prefixes[0].removeprefix(markers[0]), prefixes[1].removeprefix(markers[1])

    def _embedded(self, inputs: Any, texts: list[str]) -> list[Tensor]:
        def vectors(found: dict[str, Tensor], tensors: dict[str, Tensor]) -> list[Tensor]:
            normal = functional.normalize(found["tokens"], dim=2)
            return [one[counts] for one, counts in zip(normal, tensors["counts"].bool(), strict=True)]

        return encoded_texts(self.module, inputs, texts, batch_size=self.batch_size, vectors=vectors)


@checkpoint_errors("read the model's settings")
def resolve_colbert(settings: ColbertTrainingSettings) -> ResolvedModel:
    """Return the encoder, or the ColBERT, that a training starts from.

    Raises:
        UnsupportedModelError: It is no encoder, or a ColBERT that works otherwise.
        ModelError: It cannot be found or read.
    """
    model = settings.model
    name = model.model_name_or_path
    refuse_backend(name, kind="embedder")
    listed = None if isinstance(name, Path) else find_by_id(str(name), kind="embedder")
    folder, source = locate(name, listed=listed, kind="embedder", options=model.source)
    files = read_checkpoint(folder)
    if files.late_interaction is not None:
        check_colbert(files, files.late_interaction)
    elif not files.architecture.endswith(_ENDINGS) or files.config.get("model_type") == "model2vec":
        msg = (
            f"{str(name)!r} has the architecture {files.architecture or 'none'!r}; a ColBERT is made from an encoder "
            f"(a name that ends in {', '.join(_ENDINGS)}), such as BERT, XLM-R or ModernBERT"
        )
        raise UnsupportedModelError(msg)
    elif has_m3_projection(files):
        logger.warning(
            "%r has a projection of its own (BGE-M3), which is not taken: a new one begins. Its own goes on with "
            "'train embedder --unified-finetuning'",
            str(name),
        )
    limit = files.max_length_tokens
    spec = ModelSpec(
        id=str(folder) if listed is None else listed.id,
        kind="embedder",
        family="colbert",
        scorer=TRANSFORMER,
        default_max_length_tokens=min(TEXT_LENGTH, limit),
        max_length_tokens=limit,
        license="see the checkpoint" if listed is None else listed.license,
    )
    return ResolvedModel(spec=spec, files=files, source=source)


def open_colbert(resolved: ResolvedModel, settings: ColbertTrainingSettings) -> TrainableColbert:
    """Load an encoder, or a ColBERT, for training, in float32.

    Raises:
        ModelError: It cannot be loaded.
        InvalidInputError: Lengths cannot work, or there are not as many layers as shall be frozen.
    """
    folder, model = resolved.files.folder, settings.model
    request = LoadRequest(
        spec=resolved.spec,
        files=resolved.files,
        device=torch.device("cpu"),
        dtype=torch.float32,
        allow_pickle=model.allow_pickle,
        trust_remote_code=model.trust_remote_code,
    )
    network: Any = load_transformer(request)
    with checkpoint_errors("load the tokenizer"):
        tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    late = resolved.files.late_interaction
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.run.seed)
        if late is None:
            token_format = _new_format(settings, tokenizer)
            _add_markers(network, tokenizer, (settings.tokens.query_marker, settings.tokens.document_marker))
            linear = nn.Linear(network.config.hidden_size, settings.tokens.colbert_dim, bias=False)
        else:
            stored = token_format_of(resolved.files, late, tokenizer)
            _add_markers(network, tokenizer, _markers(late, stored))
            check_same_tokens(resolved.files, late, tokenizer, stored)
            token_format, linear = _with_settings(stored, settings), projection_of(late, request)
    freeze(network, embeddings=model.freeze_embeddings, layers=model.frozen_layers)
    return TrainableColbert(
        module=ColbertModule(network, linear, sub_batch_size=settings.run.sub_batch_size),
        spec=resolved.spec,
        files=resolved.files,
        inputs=colbert_inputs(tokenizer, network.config, token_format, settings, resolved.spec),
        token_format=token_format,
        tokenizer=tokenizer,
        batch_size=settings.run.per_device_eval_batch_size,
    )


def _markers(late: LateInteraction, stored: TokenFormat) -> tuple[str, str]:
    """Return the markers of a ColBERT that are tokens of their own; empty where they are part of its prompts."""
    query, document = stored.prefixes
    return query.removesuffix(late.query.prompt), document.removesuffix(late.document.prompt)


def _with_settings(found: TokenFormat, settings: ColbertTrainingSettings) -> TokenFormat:
    """Return the format of a ColBERT with the run's lengths, and the run's instruction behind its markers."""
    data = settings.data
    query, document = found.prefixes
    if data.query_instruction_for_retrieval is not None:
        query = _behind(query, settings.tokens.query_marker, data.prefixes[0])
    if data.passage_instruction_for_retrieval is not None:
        document = _behind(document, settings.tokens.document_marker, data.prefixes[1])
    return replace(
        found,
        prefixes=(query, document),
        query_length=data.query_max_len or found.query_length,
        text_length=data.passage_max_len or found.text_length,
    )


def _behind(stored: str, marker: str, instruction: str) -> str:
    """Return what stands in front of a side with another instruction; behind an unknown marker it comes on top."""
    if marker and stored.startswith(marker):
        return marker + instruction
    return stored.removesuffix(instruction) + instruction


def _new_format(settings: ColbertTrainingSettings, tokenizer: Any) -> TokenFormat:
    tokens, data = settings.tokens, settings.data
    expansion = tokenizer.mask_token or tokenizer.eos_token or tokenizer.sep_token
    if tokens.query_expansion and expansion is None:
        msg = "the tokenizer has no mask token with which queries could be filled up; set query_expansion to False"
        raise UnsupportedModelError(msg)
    return TokenFormat(
        prefixes=(tokens.query_marker + data.prefixes[0], tokens.document_marker + data.prefixes[1]),
        query_length=data.query_max_len or QUERY_LENGTH,
        text_length=data.passage_max_len or TEXT_LENGTH,
        expansion=expansion if tokens.query_expansion else None,
        attends=tokens.attend_to_expansion,
        skipped=punctuation() if tokens.skip_punctuation else (),
        similarity=tokens.similarity,
    )


def _add_markers(network: Any, tokenizer: Any, markers: tuple[str, str]) -> None:
    """Make each marker one token, with a row of its own in the embeddings."""
    added = [
        transformers.AddedToken(one, normalized=False) for one in markers if one and tokenizer.tokenize(one) != [one]
    ]
    if added and tokenizer.add_tokens(added) and len(tokenizer) > network.get_input_embeddings().num_embeddings:
        network.resize_token_embeddings(len(tokenizer))
