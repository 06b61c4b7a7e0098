"""Trainers of rerankers: ours, sentence-transformers' and FlagEmbedding's, on the same rows, and what their steps take.

All three are transformers' Trainer inside, so one callback times the steps of each: model, data and optimizer are set
up before the first one ends.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import transformers

from benchmarks.systems.base import import_peer

__all__ = ["TRAINERS", "Row", "TrainTask", "TrainerSpec"]

_QUERY_TOKENS, _PASSAGE_TOKENS = 64, 192
_SEED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A query with the texts of its group, the positive first."""

    query: str
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainTask:
    """What is trained: the same for all.

    Attributes:
        folder: The checkpoint.
        rows: One a query; all groups have one size.
        batch: Groups of a step.
    """

    folder: Path
    rows: Sequence[Row]
    batch: int

    def options(self, scratch: str) -> dict[str, Any]:
        """Return arguments that all three take, in transformers' words."""
        return {
            "output_dir": scratch,
            "learning_rate": 5e-5,
            "num_train_epochs": 1,
            "per_device_train_batch_size": self.batch,
            "optim": "adamw_torch",
            "seed": _SEED,
            "use_cpu": True,
            "save_strategy": "no",
            "report_to": "none",
            "logging_steps": 10_000,
            "disable_tqdm": True,
        }


class _Clock(transformers.TrainerCallback):
    """Takes the time at the end of each step."""

    def __init__(self) -> None:
        self.ends_s: list[float] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.ends_s.append(time.perf_counter())


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerSpec:
    """A trainer.

    Attributes:
        name: How the results call it.
        build: Makes a Trainer of a task, with a folder for its files.
    """

    name: str
    build: Callable[[TrainTask, str], Any]

    def seconds(self, task: TrainTask) -> float:
        """Return what the steps behind the first one take."""
        with tempfile.TemporaryDirectory(prefix="rerank-plugins-benchmarks-") as scratch:
            trainer, clock = self.build(task, scratch), _Clock()
            trainer.add_callback(clock)
            trainer.train()
        return clock.ends_s[-1] - clock.ends_s[0]


def _json_lines(task: TrainTask, scratch: str) -> Path:
    path = Path(scratch) / "rows.jsonl"
    rows = ({"query": row.query, "pos": [row.texts[0]], "neg": list(row.texts[1:])} for row in task.rows)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def _ours(task: TrainTask, scratch: str) -> Any:
    from rerank_plugins.training import reranker_settings
    from rerank_plugins.training.preparing import prepare, trainer_for
    from rerank_plugins.training.trainable import open_trainable

    settings = reranker_settings(
        {
            "model_name_or_path": str(task.folder),
            "train_data": str(_json_lines(task, scratch)),
            "output_dir": f"{scratch}/out",
            "train_group_size": len(task.rows[0].texts),
            "query_max_len": _QUERY_TOKENS,
            "passage_max_len": _PASSAGE_TOKENS,
            "num_train_epochs": 1,
            "per_device_train_batch_size": task.batch,
            "dev_fraction": 0,
            "device": "cpu",
            "seed": _SEED,
            # Beyond the steps: nothing is measured and nothing saved while they are timed.
            "save_steps": 10_000,
            "logging_steps": 10_000,
        }
    )
    prepared = prepare(settings, Path(scratch))
    trainer = trainer_for(prepared, open_trainable(prepared.resolved, prepared.settings), Path(scratch))
    trainer.args.save_strategy = transformers.trainer_utils.SaveStrategy.NO
    return trainer


def _sentence_transformers(task: TrainTask, scratch: str) -> Any:
    module = import_peer("sentence_transformers.cross_encoder", install="pip install sentence-transformers[train]")
    losses = import_peer("sentence_transformers.cross_encoder.losses", install="pip install sentence-transformers")
    datasets = import_peer("datasets", install="pip install datasets")
    model = module.CrossEncoder(
        str(task.folder), device="cpu", max_length=_QUERY_TOKENS + _PASSAGE_TOKENS, num_labels=1, local_files_only=True
    )
    size = len(task.rows[0].texts)
    columns = {
        "query": [row.query for row in task.rows],
        "docs": [list(row.texts) for row in task.rows],
        # One-hot after its softmax: the group's cross-entropy.
        "labels": [[100.0] + [0.0] * (size - 1)] * len(task.rows),
    }
    return module.CrossEncoderTrainer(
        model=model,
        args=module.CrossEncoderTrainingArguments(**task.options(scratch)),
        train_dataset=datasets.Dataset.from_dict(columns),
        loss=losses.ListNetLoss(model),
    )


def _flag_embedding(task: TrainTask, scratch: str) -> Any:
    abc = import_peer("FlagEmbedding.abc.finetune.reranker", install="pip install FlagEmbedding")
    base = import_peer("FlagEmbedding.finetune.reranker.encoder_only.base", install="pip install FlagEmbedding")
    data = {
        "train_data": [str(_json_lines(task, scratch))],
        "train_group_size": len(task.rows[0].texts),
        "query_max_len": _QUERY_TOKENS,
        "passage_max_len": _PASSAGE_TOKENS,
    }
    runner = base.EncoderOnlyRerankerRunner(
        model_args=abc.AbsRerankerModelArguments(model_name_or_path=str(task.folder)),
        data_args=abc.AbsRerankerDataArguments(**data),
        training_args=abc.AbsRerankerTrainingArguments(**task.options(scratch)),
    )
    return runner.trainer


TRAINERS = (
    TrainerSpec(name="rerank_plugins, train reranker", build=_ours),
    TrainerSpec(name="sentence-transformers CrossEncoderTrainer", build=_sentence_transformers),
    TrainerSpec(name="FlagEmbedding encoder_only.base", build=_flag_embedding),
)
"""Ours first."""
