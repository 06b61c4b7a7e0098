"""Trainings of ColBERT: queries and texts to a vector for each token, a loss over MaxSim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from transformers import TrainingArguments

from rerank_plugins.catalog.late_interaction import LateInteraction
from rerank_plugins.catalog.resolve import ResolvedModel
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.errors import RerankPluginsError, TrainingError
from rerank_plugins.training.batches import GroupDataset
from rerank_plugins.training.course import run_training
from rerank_plugins.training.dev import DevSet
from rerank_plugins.training.groups import Group
from rerank_plugins.training.kind import Kind, Lengths, Saved, SetScores
from rerank_plugins.training.planning import plan_training
from rerank_plugins.training.preparing import Prepared, order_of, training_device
from rerank_plugins.training.results import TrainingPlan, TrainingResult
from rerank_plugins.training.settings_colbert import ColbertTrainingSettings
from rerank_plugins.training.settings_retrieval import RetrievalDataSettings
from rerank_plugins.training.trainer import TrainingGroups
from rerank_plugins.training.vectors.batches import VectorBatches
from rerank_plugins.training.vectors.card import colbert_card
from rerank_plugins.training.vectors.checking import has_own_texts_only, retrieval_checks
from rerank_plugins.training.vectors.colbert import TrainableColbert, open_colbert, resolve_colbert
from rerank_plugins.training.vectors.colbert_start import QUERY_LENGTH, TEXT_LENGTH, lengths_of
from rerank_plugins.training.vectors.losses import RetrievalLoss
from rerank_plugins.training.vectors.measuring import VectorScorer, late_pair
from rerank_plugins.training.vectors.objectives import ColbertObjective
from rerank_plugins.training.vectors.trainer import VectorTrainer

__all__ = ["COLBERT", "plan_colbert_training", "train_colbert"]

_COMPARED_ROWS = 4
_TOLERANCE = 1e-4


@checked_call()
def train_colbert(settings: ColbertTrainingSettings) -> TrainingResult | None:
    """Train a ColBERT and put it into its output folder, whole, with a card of what was measured.

    It starts from an encoder, which gets a linear layer and two markers, or from a ColBERT in the format of
    sentence-transformers 6, whose own markers, similarity and expansion count then. Queries have 32 tokens and texts
    180 at most unless the data settings say otherwise. The folder opens in sentence-transformers
    (``MultiVectorEncoder``) and as a :class:`~rerank_plugins.reranker.Reranker`. Dev measures rank the candidates by
    MaxSim. See :func:`~rerank_plugins.training.train_reranker` for the rest.

    Args:
        settings: What to train, on what, and how.

    Returns:
        What was measured; None in the processes of a distributed run that are not the first.

    Raises:
        InvalidInputError: Settings or data cannot work, the output folder is used, or a run goes on otherwise than it
            began. Nothing was trained.
        ModelError: The model cannot be loaded, or is no encoder.
        MissingExtraError: Something that training needs is not installed.
        TrainingError: The loss or a gradient is not finite, or a checkpoint cannot be written; what was saved before is
            intact.
    """
    return run_training(settings)


@checked_call()
def plan_colbert_training(settings: ColbertTrainingSettings) -> TrainingPlan:
    """Return what :func:`train_colbert` would do; nothing of it is kept.

    Args:
        settings: As for the training itself.

    Raises:
        InvalidInputError: Settings or data cannot work.
        ModelError: The model cannot be loaded, or is no encoder.
        MissingExtraError: Something that training needs is not installed.
        TrainingError: The loss or a gradient is not finite within three steps.
    """
    return plan_training(settings)


def _completed(settings: ColbertTrainingSettings, resolved: ResolvedModel) -> ColbertTrainingSettings:
    """Return settings with the lengths of ColBERT, or of the model, and its instructions where none are given."""
    late, data = resolved.files.late_interaction, settings.data
    lengths = (QUERY_LENGTH, TEXT_LENGTH)
    if late is not None:
        lengths = lengths_of(late)
        data = _with_own_instructions(data, late, settings)
    data = replace(
        data,
        query_max_len=data.query_max_len or lengths[0],
        passage_max_len=data.passage_max_len or min(lengths[1], resolved.spec.max_length_tokens),
    )
    return replace(settings, data=data)


def _with_own_instructions(
    data: RetrievalDataSettings, late: LateInteraction, settings: ColbertTrainingSettings
) -> RetrievalDataSettings:
    """Return settings with what a ColBERT has behind its markers where no instruction is given."""
    query, document = (side.marker + side.prompt for side in (late.query, late.document))
    query_marker, document_marker = settings.tokens.query_marker, settings.tokens.document_marker
    if data.query_instruction_for_retrieval is None and query_marker and query.startswith(query_marker):
        own = query.removeprefix(query_marker)
        data = replace(data, query_instruction_for_retrieval=own or None, query_instruction_format="{}{}")
    if data.passage_instruction_for_retrieval is None and document_marker and document.startswith(document_marker):
        own = document.removeprefix(document_marker)
        data = replace(data, passage_instruction_for_retrieval=own or None, passage_instruction_format="{}{}")
    return data


def _trainer(prepared: Prepared, trainable: TrainableColbert, arguments: TrainingArguments) -> VectorTrainer:
    settings, run = prepared.settings, prepared.settings.run
    groups = TrainingGroups(
        dataset=GroupDataset(prepared.rows, settings.data, seed=run.seed),
        order=order_of(prepared),
        batches=VectorBatches(  # type: ignore[arg-type]
            trainable.inputs.queries,
            trainable.inputs.texts,
            own_texts_only=partial(has_own_texts_only, prepared.rows),
        ),
        where=prepared.rows.where,
    )
    objective = ColbertObjective(
        loss=RetrievalLoss(
            temperature=run.temperature,
            teacher_loss=run.kd_loss_type,
            contrastive_weight=run.contrastive_weight,
            teacher_scale=settings.data.teacher_scale,
        ),
        is_mean=trainable.token_format.similarity == "meanmaxsim",
        uses_others=run.use_inbatch_neg,
    )
    dev = None if prepared.dev is None else _scorer(prepared.dev, trainable)
    return VectorTrainer(trainable.module, arguments, groups=groups, objective=objective, dev=dev)


def _scorer(dev: DevSet, trainable: TrainableColbert) -> VectorScorer:
    return VectorScorer(dev, trainable.embed_queries, trainable.embed_texts, late_pair)


def _measure_start(prepared: Prepared, trainable: TrainableColbert) -> SetScores:
    trainable.module.to(training_device(prepared.settings.run))
    return [_scorer(one, trainable).scores() for one in prepared.sets]


def _lengths(_prepared: Prepared, trainable: TrainableColbert, groups: Sequence[Group]) -> Lengths:
    return trainable.inputs.lengths(groups)


def _check_saved(prepared: Prepared, trainable: TrainableColbert, folder: Path) -> Saved:
    """Return the scores of a saved model, whose token vectors must be those of the module in memory."""
    settings = prepared.settings
    model = replace(settings.model, model_name_or_path=str(folder), revision=None)
    try:
        again = replace(settings, model=model)
        saved = open_colbert(resolve_colbert(again), again)
    except RerankPluginsError as error:
        msg = f"the trained model was saved and cannot be used ({error}); its checkpoints are intact"
        raise TrainingError(msg) from error
    records = [prepared.rows[row] for row in range(min(len(prepared.rows), _COMPARED_ROWS))]
    queries, texts = [one.query for one in records], [one.pos[0] for one in records]
    wanted = [*trainable.embed_queries(queries), *trainable.embed_texts(texts)]
    found = [*saved.embed_queries(queries), *saved.embed_texts(texts)]
    furthest = max(float((one - other).abs().max()) for one, other in zip(found, wanted, strict=True))
    if furthest > _TOLERANCE:
        msg = f"the saved model's vectors are {furthest:.2g} away from the trained one's; its checkpoints are intact"
        raise TrainingError(msg)
    saved.module.to(training_device(settings.run))
    return Saved(scores=[_scorer(one, saved).scores() for one in prepared.sets])


COLBERT = Kind(
    resolve=resolve_colbert,
    completed=_completed,
    check_options=partial(retrieval_checks, task="colbert"),
    open=open_colbert,
    trainer=_trainer,
    measure_start=_measure_start,
    check_saved=_check_saved,
    lengths=_lengths,
    unit="texts",
    inputs_per_group=lambda n_texts: n_texts + 1,
    card=colbert_card,
)
