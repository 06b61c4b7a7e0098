"""Trainings of rerankers: groups of pairs through one network, a loss over each group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from transformers import TrainingArguments

from rerank_plugins.catalog.resolve import ResolvedModel
from rerank_plugins.checks.arguments import checked_call
from rerank_plugins.errors import RerankPluginsError, TrainingError
from rerank_plugins.reranker import Reranker
from rerank_plugins.training.batches import GroupBatches, GroupDataset
from rerank_plugins.training.card import model_card
from rerank_plugins.training.course import run_training
from rerank_plugins.training.data.checking import CheckOptions
from rerank_plugins.training.dev import DevSet
from rerank_plugins.training.groups import Group, instructed_pairs
from rerank_plugins.training.kind import Kind, Lengths, Saved, SetScores
from rerank_plugins.training.layer_losses import over_layers
from rerank_plugins.training.losses import group_loss
from rerank_plugins.training.planning import plan_training
from rerank_plugins.training.preparing import Prepared, order_of
from rerank_plugins.training.results import TrainingPlan, TrainingResult
from rerank_plugins.training.scoring import DevScorer, module_scores
from rerank_plugins.training.settings import RerankerTrainingSettings, usual_learning_rate
from rerank_plugins.training.trainable import (
    Opening,
    TrainableReranker,
    open_trainable,
    pair_settings,
    resolve_trainable,
    with_own_instructions,
)
from rerank_plugins.training.trainer import GroupTrainer, TrainingGroups

__all__ = ["RERANKER", "plan_reranker_training", "train_reranker"]

_COMPARED_PAIRS = 8
_TOLERANCE = 1e-3


@checked_call()
def train_reranker(settings: RerankerTrainingSettings) -> TrainingResult | None:
    """Train a reranker and put it into its output folder, whole, with a card of what was measured.

    Checkpoints stand in ``NAME.training`` beside the output folder until the trained model is there. With the same
    settings, data and versions a run gives the same weights, bit for bit on a CPU with the same number of threads, also
    if it was killed and went on with ``resume``.

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
def plan_reranker_training(settings: RerankerTrainingSettings) -> TrainingPlan:
    """Return what :func:`train_reranker` would do; nothing of it is kept.

    All data is read and checked, the model is loaded, and three steps are done.

    Args:
        settings: As for the training itself.

    Raises:
        InvalidInputError: Settings or data cannot work.
        ModelError: The model cannot be loaded, or is of a kind that is not trained today.
        MissingExtraError: Something that training needs is not installed.
        TrainingError: The loss or a gradient is not finite within three steps.
    """
    return plan_training(settings)


def _completed(settings: RerankerTrainingSettings, resolved: ResolvedModel) -> RerankerTrainingSettings:
    run = settings.run
    if run.learning_rate is None:
        run = replace(run, learning_rate=usual_learning_rate(resolved.files.width))
    return replace(settings, data=with_own_instructions(settings.data, resolved.spec), run=run)


def _check_options(settings: RerankerTrainingSettings, resolved: ResolvedModel) -> CheckOptions:
    folder = resolved.files.folder
    has_tokenizer = (folder / "tokenizer.json").is_file()
    return CheckOptions(
        group_size=settings.data.train_group_size,
        needs_scores=settings.data.knowledge_distillation,
        tokenizer=folder if has_tokenizer else None,
        max_length=pair_settings(resolved.spec, settings.data).max_length_tokens if has_tokenizer else None,
        allow=settings.data.allow,
    )


def _trainer(prepared: Prepared, trainable: TrainableReranker, arguments: TrainingArguments) -> GroupTrainer:
    settings, run = prepared.settings, prepared.settings.run
    groups = TrainingGroups(
        dataset=GroupDataset(prepared.rows, settings.data, seed=run.seed),
        order=order_of(prepared),
        batches=GroupBatches(trainable.pairs, trainable.padding),
        where=prepared.rows.where,
    )
    loss = group_loss(run.loss, temperature=run.temperature, teacher_scale=settings.data.teacher_scale)
    return GroupTrainer(
        trainable.module,
        arguments,
        groups=groups,
        loss=over_layers(loss, reduction=settings.layers.layer_reduction, temperature=run.temperature),
        dev=None if prepared.dev is None else _scorer(prepared.dev, prepared, trainable),
    )


def _scorer(dev: DevSet, prepared: Prepared, trainable: TrainableReranker) -> DevScorer:
    batch_size = prepared.settings.run.per_device_eval_batch_size
    return DevScorer(dev, _read(dev.pairs, prepared), trainable.pairs, trainable.padding, batch_size=batch_size)


def _read(pairs: Sequence[tuple[str, str]], prepared: Prepared) -> list[tuple[str, str]]:
    """Return pairs as the model is trained to read them."""
    return instructed_pairs(pairs, prepared.settings.data)


def _asked(pairs: Sequence[tuple[str, str]], prepared: Prepared, own: tuple[str, str]) -> list[tuple[str, str]]:
    """Return pairs as a model is asked that puts its own texts in front itself: those of the run, or none."""
    return list(pairs) if any(own) else _read(pairs, prepared)


def _measure_start(prepared: Prepared, trainable: TrainableReranker) -> SetScores:
    spec = prepared.resolved.spec
    own = (spec.query_prefix, spec.document_prefix)
    reads_otherwise = any(own) and own != prepared.settings.data.prefixes
    if trainable.start is None or reads_otherwise:
        return [_scorer(one, prepared, trainable).scores(trainable.module) for one in prepared.sets]
    with _reranker_of(trainable.start, prepared) as reranker:
        return [reranker.score(_asked(one.pairs, prepared, own)) for one in prepared.sets]


def _lengths(prepared: Prepared, trainable: TrainableReranker, groups: Sequence[Group]) -> Lengths:
    encoded = trainable.pairs.encode([(group.query, text) for group in groups for text in group.texts])
    n_tokens = sum(len(one) for pair in encoded for one in pair.inputs)
    return Lengths(
        longest=pair_settings(prepared.resolved.spec, prepared.settings.data).max_length_tokens,
        mean=n_tokens / len(encoded),
        share_cut=sum(pair.truncated for pair in encoded) / len(encoded),
    )


def _reranker_of(opening: Opening, prepared: Prepared) -> Reranker:
    """Open the model that a run starts from, or the one that it made, with the run's lengths, in float32."""
    settings = prepared.settings
    lengths = pair_settings(prepared.resolved.spec, settings.data)
    return Reranker(
        opening.model,
        device=settings.run.device,
        dtype="float32",
        max_length=lengths.max_length_tokens,
        long_documents=replace(lengths.long_documents, truncation=lengths.truncation),
        layers=opening.layers,
        source=replace(settings.model.source, peft_path=opening.peft_path),
    )


def _check_saved(prepared: Prepared, trainable: TrainableReranker, folder: Path) -> Saved:
    """Return the scores of a saved model, which must score as the module in memory does."""
    some = _some_pairs(prepared)
    encoded = [pair.inputs[0] for pair in trainable.pairs.encode(_read(some, prepared))]
    own = trainable.prefixes or ("", "")
    wanted = module_scores(trainable.module, encoded, trainable.padding, batch_size=_COMPARED_PAIRS)
    saved = Saved(scores=[])
    for number, opening in enumerate(trainable.openings(folder)):
        try:
            with _reranker_of(opening, prepared) as reranker:
                found = reranker.score(_asked(some, prepared, own))
                if not number:
                    scores = [reranker.score(_asked(one.pairs, prepared, own)) for one in prepared.sets]
                    saved = Saved(scores=scores, source=reranker.score_source)
        except RerankPluginsError as error:
            msg = f"the trained model was saved and cannot be used ({error}); its checkpoints are intact"
            raise TrainingError(msg) from error
        _compare(found, wanted)
    return saved


def _compare(found: Sequence[float], wanted: Sequence[float]) -> None:
    """Raise if a saved model does not score as the trained one."""
    furthest = max(abs(one - other) / max(1.0, abs(other)) for one, other in zip(found, wanted, strict=True))
    if furthest > _TOLERANCE:
        msg = f"the saved model scores {found[0]} where the trained one scores {wanted[0]}; its checkpoints are intact"
        raise TrainingError(msg)


def _some_pairs(prepared: Prepared) -> list[tuple[str, str]]:
    records = [prepared.rows[row] for row in range(min(len(prepared.rows), _COMPARED_PAIRS // 2))]
    return [(record.query, text) for record in records for text in (record.pos[0], record.neg[0])]


RERANKER = Kind(
    resolve=resolve_trainable,
    completed=_completed,
    check_options=_check_options,
    open=open_trainable,
    trainer=_trainer,
    measure_start=_measure_start,
    check_saved=_check_saved,
    lengths=_lengths,
    unit="pairs",
    inputs_per_group=lambda n_texts: n_texts,
    card=model_card,
)
