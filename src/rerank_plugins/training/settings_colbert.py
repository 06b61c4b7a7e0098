"""What a training of a ColBERT is asked to do: frozen groups of settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from rerank_plugins.checks.arguments import checked_fields
from rerank_plugins.checks.kinds import Count
from rerank_plugins.training.arguments import Task
from rerank_plugins.training.settings_common import Positive
from rerank_plugins.training.settings_flat import flat_settings, settings_of
from rerank_plugins.training.settings_retrieval import (
    EmbedderModelSettings,
    RetrievalDataSettings,
    RetrievalRunSettings,
    check_negatives,
)

__all__ = ["ColbertRunSettings", "ColbertSettings", "ColbertTrainingSettings", "colbert_settings"]


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class ColbertRunSettings(RetrievalRunSettings):
    """How a training of a ColBERT runs, and where its result goes.

    Attributes:
        temperature: What scores are divided by: 1 for ``maxsim``; 0.02 is usual for ``meanmaxsim``.
        kd_loss_type: How a teacher's scores are learnt from, see :mod:`rerank_plugins.training.vectors.losses`.
    """

    temperature: Positive = 1.0
    kd_loss_type: Literal["kl_div", "margin_mse"] = "kl_div"


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class ColbertSettings:
    """Vectors of tokens and how they are compared (Khattab and Zaharia 2020, arXiv 2004.12832).

    Attributes:
        colbert_dim: Length of a token's vector, where the model has no such layer yet.
        similarity: ``maxsim``: the sum over the query's tokens of the highest cosine with a token of the text;
            ``meanmaxsim``: its mean.
        query_marker: Text in front of every query; it is added to the vocabulary if it is not one token.
        document_marker: The same for the texts.
        query_expansion: Whether queries are filled up to ``query_max_len`` (32 if there is none) with mask tokens,
            which are compared like the others.
        attend_to_expansion: Whether the other tokens see these.
        skip_punctuation: Whether tokens of a text that are punctuation are not compared.
    """

    colbert_dim: Count = 128
    similarity: Literal["maxsim", "meanmaxsim"] = "maxsim"
    query_marker: str = "[Q] "
    document_marker: str = "[D] "
    query_expansion: bool = True
    attend_to_expansion: bool = False
    skip_punctuation: bool = True


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class ColbertTrainingSettings:
    """The settings of :func:`~rerank_plugins.training.train_colbert`.

    Attributes:
        model: Where it starts.
        data: What it reads.
        run: How it runs, and where the result goes.
        tokens: Vectors of tokens and how they are compared.
    """

    task: ClassVar[Task] = "colbert"

    model: EmbedderModelSettings
    data: RetrievalDataSettings
    run: ColbertRunSettings
    tokens: ColbertSettings = field(default_factory=ColbertSettings)

    def __post_init__(self) -> None:
        check_negatives(self.data, self.run)

    def flat(self) -> dict[str, Any]:
        """Return all settings by name, as plain values for JSON and YAML."""
        return flat_settings(self)


def colbert_settings(flat: Mapping[str, Any]) -> ColbertTrainingSettings:
    """Return the settings that a flat mapping names, see :func:`~rerank_plugins.training.reranker_settings`.

    Raises:
        UnknownOptionError: There is no such setting.
        InvalidInputError: A value cannot work, or one that has no default is missing.
    """
    return settings_of(ColbertTrainingSettings, flat)
