"""Training: data, settings, trainers, and what is measured before and after.

What reads, checks and converts data needs no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rerank_plugins.checks.optional import imported_on_use
from rerank_plugins.training.settings import (
    DataSettings,
    LayerSettings,
    LoraSettings,
    ModelSettings,
    RerankerTrainingSettings,
    RunSettings,
    reranker_settings,
)
from rerank_plugins.training.settings_colbert import (
    ColbertRunSettings,
    ColbertSettings,
    ColbertTrainingSettings,
    colbert_settings,
)
from rerank_plugins.training.settings_file import read_settings_file
from rerank_plugins.training.settings_retrieval import (
    EmbedderModelSettings,
    EmbedderRunSettings,
    EmbedderTrainingSettings,
    M3Settings,
    RetrievalDataSettings,
    VectorSettings,
    embedder_settings,
)

if TYPE_CHECKING:
    from rerank_plugins.training.colberts import plan_colbert_training, train_colbert
    from rerank_plugins.training.data import (
        CheckOptions,
        Conversion,
        DataReport,
        ReadOptions,
        RecordStream,
        TrainingRecord,
        WriteOptions,
        check_data,
        convert_data,
        open_records,
        read_records,
        write_records,
    )
    from rerank_plugins.training.embedders import plan_embedder_training, train_embedder
    from rerank_plugins.training.labelling import LabelResult, LabelSettings, label_records
    from rerank_plugins.training.merging import MergeResult, MergeSettings, merge_models
    from rerank_plugins.training.mining import (
        DroppedText,
        MiningResult,
        MiningSettings,
        ScoreFilter,
        mine_negatives,
    )
    from rerank_plugins.training.preference import LanguageModelTeacher, PreferenceSettings
    from rerank_plugins.training.reranking import plan_reranker_training, train_reranker
    from rerank_plugins.training.results import TrainingPlan, TrainingResult

__all__ = [
    "CheckOptions",
    "ColbertRunSettings",
    "ColbertSettings",
    "ColbertTrainingSettings",
    "Conversion",
    "DataReport",
    "DataSettings",
    "DroppedText",
    "EmbedderModelSettings",
    "EmbedderRunSettings",
    "EmbedderTrainingSettings",
    "LabelResult",
    "LabelSettings",
    "LanguageModelTeacher",
    "LayerSettings",
    "LoraSettings",
    "M3Settings",
    "MergeResult",
    "MergeSettings",
    "MiningResult",
    "MiningSettings",
    "ModelSettings",
    "PreferenceSettings",
    "ReadOptions",
    "RecordStream",
    "RerankerTrainingSettings",
    "RetrievalDataSettings",
    "RunSettings",
    "ScoreFilter",
    "TrainingPlan",
    "TrainingRecord",
    "TrainingResult",
    "VectorSettings",
    "WriteOptions",
    "check_data",
    "colbert_settings",
    "convert_data",
    "embedder_settings",
    "label_records",
    "merge_models",
    "mine_negatives",
    "open_records",
    "plan_colbert_training",
    "plan_embedder_training",
    "plan_reranker_training",
    "read_records",
    "read_settings_file",
    "reranker_settings",
    "train_colbert",
    "train_embedder",
    "train_reranker",
    "write_records",
]

__getattr__ = imported_on_use(
    __name__,
    {
        "CheckOptions": "training.data",
        "Conversion": "training.data",
        "DataReport": "training.data",
        "ReadOptions": "training.data",
        "RecordStream": "training.data",
        "TrainingRecord": "training.data",
        "WriteOptions": "training.data",
        "check_data": "training.data",
        "convert_data": "training.data",
        "open_records": "training.data",
        "read_records": "training.data",
        "write_records": "training.data",
        "DroppedText": "training.mining",
        "LanguageModelTeacher": "training.preference",
        "PreferenceSettings": "training.preference",
        "LabelResult": "training.labelling",
        "LabelSettings": "training.labelling",
        "MergeResult": "training.merging",
        "MergeSettings": "training.merging",
        "merge_models": "training.merging",
        "MiningResult": "training.mining",
        "MiningSettings": "training.mining",
        "ScoreFilter": "training.mining",
        "label_records": "training.labelling",
        "mine_negatives": "training.mining",
        "TrainingPlan": "training.results",
        "TrainingResult": "training.results",
        "plan_reranker_training": "training.reranking",
        "plan_colbert_training": "training.colberts",
        "train_colbert": "training.colberts",
        "plan_embedder_training": "training.embedders",
        "train_embedder": "training.embedders",
        "train_reranker": "training.reranking",
    },
)
