"""The graph of a checkpoint: its encoder, and the head that its scorer reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from rerank_plugins.catalog.checkpoint import CheckpointFiles
from rerank_plugins.catalog.scorer_traits import CROSS_ENCODER, TRANSFORMER
from rerank_plugins.catalog.sentence_modules import NormalizeStep
from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.graphs.builder import GraphBuilder, Weights
from rerank_plugins.graphs.encoder import add_encoder, declare_inputs
from rerank_plugins.graphs.heads import add_first_token_head, add_mean, add_segment_similarity
from rerank_plugins.graphs.settings import EncoderSettings, encoder_settings, refuse
from rerank_plugins.graphs.shapes import check_encoder, check_head, check_segment_similarity

__all__ = ["ModelGraph", "build_graph", "build_states_graph"]

_OUTPUT = "rows"


@dataclass(frozen=True, slots=True, eq=False)
class ModelGraph:
    """A graph and what it was made of.

    Attributes:
        graph: The graph; its one result has a row for each text.
        settings: The facts of its encoder.
        prefix: What the checkpoint puts in front of the names of the encoder's weights.
    """

    graph: GraphBuilder
    settings: EncoderSettings
    prefix: str


def build_graph(spec: ModelSpec, files: CheckpointFiles, weights: Weights, *, is_int8: bool = False) -> ModelGraph:
    """Make the graph of a checkpoint.

    Args:
        spec: How the model is used.
        files: Its checkpoint.
        weights: Its float32 tensors by their names in the checkpoint.
        is_int8: Whether the layers' products are in eight bits.

    Raises:
        UnsupportedModelError: It is no BERT-like model, or one with parts that are not done here.
    """
    if spec.scorer not in (CROSS_ENCODER, TRANSFORMER):
        raise refuse(files, f"its scorer is {spec.scorer!r}")
    settings, named = _encoder_of(files, weights, is_int8=is_int8)
    graph, prefix = GraphBuilder(), named.prefix
    inputs = declare_inputs(graph, settings)
    if spec.kind == "embedder":
        _check_embedder(spec, files)
        reads_first = spec.pooling == "cls"
        encoded = add_encoder(graph, named, settings, inputs, reads="first" if reads_first else "all")
        graph.output(encoded.states if reads_first else add_mean(graph, encoded), _OUTPUT, ("texts", settings.hidden))
        return ModelGraph(graph, settings, prefix)
    if files.own_format is not None:
        check_segment_similarity(named, hidden=settings.hidden, folder=files.folder)
        encoded = add_encoder(graph, named, settings, inputs, reads="all")
        scores = add_segment_similarity(graph, named, encoded, eps=files.own_format.eps)
    else:
        encoded = add_encoder(graph, named, settings, inputs, reads="first")
        dense, last = _head(settings)
        check_head(named, (dense, last), hidden=settings.hidden, folder=files.folder)
        scores = add_first_token_head(graph, named, encoded.states, dense=dense, last=last)
    graph.output(scores, _OUTPUT, ("texts", 1))
    return ModelGraph(graph, settings, prefix)


def build_states_graph(files: CheckpointFiles, weights: Weights, *, is_int8: bool) -> GraphBuilder:
    """Make the graph of a checkpoint's encoder alone, which gives the final state of every token.

    The result has the shape (tokens, hidden); the arguments and errors are those of :func:`build_graph`.
    """
    settings, named = _encoder_of(files, weights, is_int8=is_int8)
    graph = GraphBuilder()
    encoded = add_encoder(graph, named, settings, declare_inputs(graph, settings), reads="all")
    graph.output(encoded.states, _OUTPUT, ("tokens", settings.hidden))
    return graph


def _encoder_of(files: CheckpointFiles, weights: Weights, *, is_int8: bool) -> tuple[EncoderSettings, _Weights]:
    """Return the facts and the weights of a checkpoint's encoder, checked."""
    settings = replace(encoder_settings(files), is_int8=is_int8)
    named = _Weights(weights, _prefix(weights), files)
    check_encoder(named, settings, files.config, folder=files.folder)
    return settings, named


def _head(settings: EncoderSettings) -> tuple[str, str]:
    """Return the names of the two products of a classifier's head: BERT's pooler and classifier, or RoBERTa's."""
    return (
        ("pooler.dense", "classifier") if settings.padding_id is None else ("classifier.dense", "classifier.out_proj")
    )


def _check_embedder(spec: ModelSpec, files: CheckpointFiles) -> None:
    if spec.pooling not in ("cls", "mean") or not spec.pools_instruction:
        how = spec.pooling if spec.pools_instruction else "mean without the instruction"
        raise refuse(files, f"its pooling is {how!r}, and only 'cls' and 'mean' are done")
    others = [type(step).__name__.removesuffix("Step") for step in files.modules.steps if step != NormalizeStep()]
    if others:
        raise refuse(files, f"modules follow its pooling ({', '.join(others)})")


def _prefix(weights: Weights) -> str:
    """Return what is in front of the encoder's names: ``bert.`` in a classifier, nothing in a bare encoder."""
    ending = "embeddings.word_embeddings.weight"
    return next((name.removesuffix(ending) for name in weights if name.endswith(ending)), "")


class _Weights(Mapping[str, npt.NDArray[np.generic]]):
    """A checkpoint's weights by their names without the encoder's prefix, checked when they are asked for."""

    def __init__(self, weights: Weights, prefix: str, files: CheckpointFiles) -> None:
        self._weights, self.prefix, self._files = weights, prefix, files

    def __getitem__(self, name: str) -> npt.NDArray[np.generic]:
        # BERT checkpoints of 2018 have TensorFlow's names.
        old = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        named = (self._weights.get(one) for one in (self.prefix + name, name, self.prefix + old))
        found = next((one for one in named if one is not None), None)
        if found is None:
            msg = (
                f"{str(self._files.folder)!r} lacks the weights {name!r} that the model needs; its scores would be "
                "random numbers. Is it the right kind of model, and complete?"
            )
            raise UnsupportedModelError(msg)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._weights)

    def __len__(self) -> int:
        return len(self._weights)
