"""Trainings of embedders: queries and texts to vectors, a loss over their scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import TrainingArguments

from rerank_plugins.catalog.resolve import ResolvedModel
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.embedder import Embedder
from rerank_plugins.embedding.instructions import choose_instruction
from rerank_plugins.errors import RerankPluginsError, TrainingError
from rerank_plugins.training.batches import GroupDataset
from rerank_plugins.training.course import run_training
from rerank_plugins.training.groups import Group
from rerank_plugins.training.kind import Kind, Lengths, Saved, SetScores
from rerank_plugins.training.planning import plan_training
from rerank_plugins.training.preparing import Prepared, order_of, training_device
from rerank_plugins.training.results import TrainingPlan, TrainingResult
from rerank_plugins.training.settings_retrieval import EmbedderTrainingSettings
from rerank_plugins.training.trainer import TrainingGroups
from rerank_plugins.training.vectors.batches import VectorBatches
from rerank_plugins.training.vectors.card import embedder_card
from rerank_plugins.training.vectors.checking import has_own_texts_only, retrieval_checks
from rerank_plugins.training.vectors.embedder import TrainableEmbedder, open_embedder, resolve_embedder
from rerank_plugins.training.vectors.landmarks import LandmarkBatches, LandmarkObjective
from rerank_plugins.training.vectors.losses import RetrievalLoss
from rerank_plugins.training.vectors.measuring import VectorScorer, dense_pair, vector_scores
from rerank_plugins.training.vectors.module import M3Module
from rerank_plugins.training.vectors.objectives import DenseObjective, M3Objective
from rerank_plugins.training.vectors.trainer import Objective, VectorTrainer
from rerank_plugins.types import VectorOptions

__all__ = ["EMBEDDER", "objective_of", "plan_embedder_training", "train_embedder"]

_COMPARED_ROWS = 4
_TOLERANCE = 1e-4


@checked_call()
def train_embedder(settings: EmbedderTrainingSettings) -> TrainingResult | None:
    """Train an embedder and put it into its output folder, whole, with a card of what was measured.

    See :func:`~rerank_plugins.training.train_reranker`, which it is like in everything but the loss. Dev measures rank
    the candidates by the inner product of the dense vectors: their cosine, unless ``normalize_embeddings`` is off.

    Args:
        settings: What to train, on what, and how.

    Returns:
        What was measured; None in the processes of a distributed run that are not the first.

    Raises:
        InvalidInputError: Settings or data cannot work, the output folder is used, or a run goes on otherwise than it
            began. Nothing was trained.
        ModelError: The model cannot be loaded, or is of a kind that is not trained today.
        MissingExtraError: Something that training needs is not installed.
        TrainingError: The loss or a gradient is not finite, or a checkpoint cannot be written; what was saved before is
            intact.
    """
    return run_training(settings)


@checked_call()
def plan_embedder_training(settings: EmbedderTrainingSettings) -> TrainingPlan:
    """Return what :func:`train_embedder` would do; nothing of it is kept.

    Args:
        settings: As for the training itself.

    Raises:
        InvalidInputError: Settings or data cannot work.
        ModelError: The model cannot be loaded, or is of a kind that is not trained today.
        MissingExtraError: Something that training needs is not installed.
        TrainingError: The loss or a gradient is not finite within three steps.
    """
    return plan_training(settings)


def objective_of(settings: EmbedderTrainingSettings, trainable: TrainableEmbedder) -> Objective:
    """Return what an embedder is trained for."""
    run, vectors, m3 = settings.run, settings.vectors, settings.m3
    loss = RetrievalLoss(
        temperature=run.temperature,
        teacher_loss=run.kd_loss_type,
        contrastive_weight=run.contrastive_weight,
        teacher_scale=settings.data.teacher_scale,
    )
    if settings.landmark.landmarks:
        return LandmarkObjective(
            temperature=run.temperature, normalize=vectors.normalize_embeddings, uses_others=run.use_inbatch_neg
        )
    dense = DenseObjective(
        loss=loss,
        normalize=vectors.normalize_embeddings,
        dimensions=vectors.mrl_dims,
        uses_others=run.use_inbatch_neg,
        crosses_devices=run.negatives_cross_device,
    )
    if not isinstance(trainable.module, M3Module):
        return dense
    return M3Objective(
        dense=dense,
        without=trainable.without,
        self_distils=m3.use_self_distill,
        start_step=m3.self_distill_start_step,
    )


def _completed(settings: EmbedderTrainingSettings, resolved: ResolvedModel) -> EmbedderTrainingSettings:
    """Return settings with the instructions of the model where none are given."""
    data, own = settings.data, choose_instruction(resolved.spec, task=None, query=None, document=None)
    if data.query_instruction_for_retrieval is None and own.query:
        data = replace(data, query_instruction_for_retrieval=own.query, query_instruction_format="{}{}")
    if data.passage_instruction_for_retrieval is None and own.document:
        data = replace(data, passage_instruction_for_retrieval=own.document, passage_instruction_format="{}{}")
    return replace(settings, data=data)


def _trainer(prepared: Prepared, trainable: TrainableEmbedder, arguments: TrainingArguments) -> VectorTrainer:
    settings = prepared.settings
    groups = TrainingGroups(
        dataset=GroupDataset(prepared.rows, settings.data, seed=settings.run.seed),
        order=order_of(prepared),
        batches=_batches(prepared, trainable),  # type: ignore[arg-type]
        where=prepared.rows.where,
    )
    dev = prepared.dev
    return VectorTrainer(
        trainable.module,
        arguments,
        groups=groups,
        objective=objective_of(settings, trainable),
        dev=dev and VectorScorer(dev, trainable.embed_queries, trainable.embed_texts, dense_pair),
    )


def _batches(prepared: Prepared, trainable: TrainableEmbedder) -> VectorBatches | LandmarkBatches:
    inputs, own_texts_only = trainable.inputs, partial(has_own_texts_only, prepared.rows)
    if not prepared.settings.landmark.landmarks:
        return VectorBatches(inputs.queries, inputs.texts, own_texts_only=own_texts_only)
    return LandmarkBatches(
        inputs.queries,
        inputs.padding,
        inputs.document_side(trainable.spec, prepared.settings.data),
        instruction=inputs.prefixes[1],
        landmark_id=inputs.tokenizer.token_to_id(trainable.spec.landmark) or 0,
        decay=prepared.settings.landmark.landmark_decay,
        own_texts_only=own_texts_only,
    )


def _measure_start(prepared: Prepared, trainable: TrainableEmbedder) -> SetScores:
    trainable.module.to(training_device(prepared.settings.run))
    embed_queries, embed_texts = trainable.embed_queries, trainable.embed_texts
    return [vector_scores(one, embed_queries, embed_texts, dense_pair) for one in prepared.sets]


def _lengths(_prepared: Prepared, trainable: TrainableEmbedder, groups: Sequence[Group]) -> Lengths:
    return trainable.inputs.lengths(groups)


def _check_saved(prepared: Prepared, trainable: TrainableEmbedder, folder: Path) -> Saved:
    """Return the scores of a saved model, whose vectors must be those of the module in memory."""
    records = [prepared.rows[row] for row in range(min(len(prepared.rows), _COMPARED_ROWS))]
    queries, texts = [one.query for one in records], [one.pos[0] for one in records]
    wanted = torch.stack([*trainable.embed_queries(queries), *trainable.embed_texts(texts)])
    data, spec, run = prepared.settings.data, trainable.spec, prepared.settings.run
    options: dict[str, Any] = {
        "device": run.device,
        "dtype": "float32",
        "vectors": VectorOptions(normalize=trainable.normalize),
        "source": replace(prepared.settings.model.source, revision=None),
    }
    try:
        with (
            Embedder(folder, max_length=spec.input_length_tokens(data.query_max_len), **options) as asking,
            Embedder(folder, max_length=spec.input_length_tokens(data.passage_max_len), **options) as reading,
        ):
            found = np.concatenate([asking.embed_queries(queries), reading.embed_documents(texts)])
            embed_queries, embed_texts = _as_tensors(asking.embed_queries), _as_tensors(reading.embed_documents)
            scores = [vector_scores(one, embed_queries, embed_texts, dense_pair) for one in prepared.sets]
    except RerankPluginsError as error:
        msg = f"the trained model was saved and cannot be used ({error}); its checkpoints are intact"
        raise TrainingError(msg) from error
    furthest = float(np.abs(found - wanted.numpy()).max() / max(1.0, float(wanted.abs().max())))
    if furthest > _TOLERANCE:
        msg = f"the saved model's vectors are {furthest:.2g} away from the trained one's; its checkpoints are intact"
        raise TrainingError(msg)
    return Saved(scores=scores)


def _as_tensors(embed: Any) -> Any:
    def embedded(texts: Sequence[str]) -> list[Tensor]:
        return list(torch.from_numpy(embed(list(texts))))

    return embedded


EMBEDDER = Kind(
    resolve=resolve_embedder,
    completed=_completed,
    check_options=partial(retrieval_checks, task="embedder"),
    open=open_embedder,
    trainer=_trainer,
    measure_start=_measure_start,
    check_saved=_check_saved,
    lengths=_lengths,
    unit="texts",
    inputs_per_group=lambda n_texts: n_texts + 1,
    card=embedder_card,
)
