"""A killed training of an embedder, of bge-m3 and of a ColBERT ends with the weights of one that was not killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import embedder_checkpoints as builders
import pytest
from tiny_checkpoints import bert_embedder
from training_rows import tiny_settings

pytest.importorskip("accelerate")
pytest.importorskip("ir_measures")

from rerank_plugins.training import (
    colbert_settings,
    embedder_settings,
    train_colbert,
    train_embedder,
)

# Ends the process as kill -9 does: when the second checkpoint is about to be marked whole.
KILLED = """
import json, os, signal, sys
from rerank_plugins import training
from rerank_plugins.training import trainer
task, calls, real = sys.argv[1], [], trainer.mark_whole
def counted(checkpoint):
    calls.append(checkpoint)
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    real(checkpoint)
trainer.mark_whole = counted
getattr(training, f"train_{task}")(getattr(training, f"{task}_settings")(json.loads(sys.argv[2])))
"""


def m3(folder: Path) -> Path:
    return builders.bge_m3(folder, pickled=False)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("task", "make", "changes"),
    [
        ("embedder", bert_embedder, {"sub_batch_size": 3}),
        ("embedder", m3, {"unified_finetuning": True, "use_self_distill": True, "self_distill_start_step": 5}),
        ("colbert", bert_embedder, {"knowledge_distillation": True}),
    ],
    ids=["dense", "m3", "colbert"],
)
def test_a_killed_run_ends_with_the_weights_of_one_that_was_not(
    task: str, make: Any, changes: dict[str, Any], tmp_path: Path
) -> None:
    start = make(tmp_path / "start")
    train, settings = {"embedder": (train_embedder, embedder_settings), "colbert": (train_colbert, colbert_settings)}[
        task
    ]
    flat = tiny_settings(start, tmp_path, max_steps=12, save_steps=2, dev_fraction=0.0, **changes)
    flat["train_data"] = str(flat["train_data"])
    unbroken = train(settings({**flat, "output_dir": tmp_path / "a"}))  # type: ignore[operator]
    given = settings({**flat, "output_dir": tmp_path / "b"}).flat()  # type: ignore[operator]
    command = [sys.executable, "-c", KILLED, task, json.dumps(given)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == -9, done.stderr[-2000:]
    resumed = train(settings({**given, "resume": True}))  # type: ignore[operator]
    assert unbroken is not None
    assert resumed is not None
    stored = [sorted(one.folder.rglob("*.safetensors")) for one in (unbroken, resumed)]
    assert len(stored[0]) == (1 if make is bert_embedder and task == "embedder" else 2 + (task == "embedder"))
    assert [one.read_bytes() for one in stored[0]] == [one.read_bytes() for one in stored[1]]
