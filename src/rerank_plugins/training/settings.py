"""What a training of a reranker is asked to do: frozen groups of settings.

Names are FlagEmbedding's where they mean the same.

A default of None is worked out from the model or the data. The same names stand in a YAML file and on the command line;
there the groups do not matter (:func:`reranker_settings`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from rerank_plugins.checks.arguments import checked_fields
from rerank_plugins.checks.kinds import Count
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.training.arguments import Task
from rerank_plugins.training.settings_common import (
    CommonDataSettings,
    CommonRunSettings,
    ModelSettings,
    Positive,
    TeacherScale,
    text_before,
)
from rerank_plugins.training.settings_flat import flat_settings, groups_of, settings_of
from rerank_plugins.training.settings_llm import LayerSettings, LoraSettings

__all__ = [
    "DataSettings",
    "LayerSettings",
    "LoraSettings",
    "LossName",
    "ModelSettings",
    "RerankerTrainingSettings",
    "RunSettings",
    "TeacherScale",
    "reranker_settings",
    "usual_learning_rate",
]

_RATE, _RATE_WIDTH = 5e-5, 768

LossName = Literal["group_ce", "kl_div", "stable_kl", "margin_mse", "pointwise_bce", "pairwise_ranknet", "listwise_ce"]
"""The losses of :mod:`rerank_plugins.training.losses`."""


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class DataSettings(CommonDataSettings):
    """What a training of a reranker reads, and how a row becomes a group of pairs.

    Attributes:
        query_max_len: With ``passage_max_len`` the length of a pair in tokens, which is their sum; a query keeps
            ``query_max_len + passage_max_len // 4`` of it at most (FlagEmbedding). None, for both, takes what the model
            is used with: training then sees what inference sees.
        passage_max_len: See ``query_max_len``.
        query_instruction_for_rerank: Text in front of every query, saved as the model's own: ``Reranker`` puts it there
            itself. A row's ``query_prompt`` replaces it, and is not read without it. None takes the model's own, if it
            has one. The measured sets get it too, so their queries have none. Where a format puts something behind the
            text, it is not saved: whoever asks writes it.
        passage_instruction_for_rerank: The same for the texts (``passage_prompt``).
    """

    query_max_len: Count | None = None
    passage_max_len: Count | None = None
    query_instruction_for_rerank: str | None = None
    passage_instruction_for_rerank: str | None = None

    @property
    def instructions(self) -> tuple[str | None, str | None]:
        """What stands in front of queries, and of texts; None for nothing."""
        return self.query_instruction_for_rerank, self.passage_instruction_for_rerank

    @property
    def prefixes(self) -> tuple[str, str]:
        """What stands in front of queries, and of texts, as the folder says it; empty where a format does more."""
        query, passage = (
            text_before(form, one)
            for form, one in zip(
                (self.query_instruction_format, self.passage_instruction_format), self.instructions, strict=True
            )
        )
        return ("", "") if query is None or passage is None else (query, passage)

    def __post_init__(self) -> None:
        CommonDataSettings.__post_init__(self)
        if (self.query_max_len is None) != (self.passage_max_len is None):
            msg = (
                f"query_max_len={self.query_max_len} and passage_max_len={self.passage_max_len}: the length of a pair "
                "is their sum, so give both, or neither for the model's own"
            )
            raise InvalidInputError(msg)


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings(CommonRunSettings):
    """How a training of a reranker runs, and where its result goes.

    Attributes:
        loss: The loss, see :mod:`rerank_plugins.training.losses`.
        temperature: What student's and teacher's scores are divided by in ``kl_div`` and in the distilling part of
            ``group_ce``; in ``stable_kl`` the teacher's alone.
        learning_rate: Peak of the schedule. None takes :func:`usual_learning_rate` of the model's width.
    """

    loss: LossName = "group_ce"
    temperature: Positive = 1.0


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class RerankerTrainingSettings:
    """The settings of :func:`~rerank_plugins.training.train_reranker`.

    Attributes:
        model: Where it starts.
        data: What it reads.
        run: How it runs, and where the result goes.
        lora: Whether adapters are trained instead of all weights.
        layers: Heads on several layers.
    """

    task: ClassVar[Task] = "reranker"

    model: ModelSettings
    data: DataSettings
    run: RunSettings
    lora: LoraSettings = field(default_factory=LoraSettings)
    layers: LayerSettings = field(default_factory=LayerSettings)

    def __post_init__(self) -> None:
        needs_teacher = self.run.loss in ("kl_div", "stable_kl", "margin_mse")
        if needs_teacher and not self.data.knowledge_distillation:
            msg = (
                f"loss={self.run.loss!r} learns from a teacher's scores: set knowledge_distillation and give every row "
                "pos_scores and neg_scores"
            )
            raise InvalidInputError(msg)

    def flat(self) -> dict[str, Any]:
        """Return all settings by name, as plain values for JSON and YAML."""
        return flat_settings(self)


GROUPS: Mapping[str, type] = groups_of(RerankerTrainingSettings)
"""The groups of :class:`RerankerTrainingSettings` by its own names for them."""


def usual_learning_rate(width: int | None) -> float:
    """Return the learning rate for a model whose tokens are vectors of so many numbers.

    5e-5 from 768 numbers on, which is FlagEmbedding's default and that of transformers; above that, more in inverse
    proportion to the width, as the step of Adam that a matrix bears is (Yang et al. 2022, arXiv 2203.03466, table 3):
    1e-4 for 384. None, a width that is not known, takes 5e-5.
    """
    return _RATE * max(1.0, _RATE_WIDTH / width) if width else _RATE


def reranker_settings(flat: Mapping[str, Any]) -> RerankerTrainingSettings:
    """Return the settings that a flat mapping names, as a YAML file or a command line has them.

    Args:
        flat: Name to value. What is None counts as not given, unless None is a choice beside another default
            (``early_stopping_patience``); dashes in a name count as underscores.

    Raises:
        UnknownOptionError: There is no such setting; the message says what does the same here, or names its neighbour.
        InvalidInputError: A value cannot work, or one that has no default is missing.
    """
    return settings_of(RerankerTrainingSettings, flat)
