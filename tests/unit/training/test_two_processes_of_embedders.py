"""Negatives across two processes: each with half of the batch, as one process with the whole."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_checkpoints import bert_embedder
from tiny_rerankers import change_config
from training_rows import rows, tiny_settings, write_rows

from rerank_plugins import Embedder

pytest.importorskip("accelerate")
pytest.importorskip("ir_measures")

from rerank_plugins.training import embedder_settings, train_embedder

CHANGES = {"max_steps": 6, "logging_steps": 1, "dev_fraction": 0.0, "per_device_train_batch_size": 8}


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def figures(folder: Path, name: str) -> list[float]:
    log = json.loads((folder / "training.json").read_text())["log"]
    return [entry[name] for entry in log if name in entry]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="gloo by torch.distributed.run")
@pytest.mark.parametrize("changes", [{}, {"knowledge_distillation": True}], ids=["contrastive", "kl_div"])
def test_two_processes_are_one_with_the_doubled_batch(tmp_path: Path, changes: dict[str, Any]) -> None:
    # Processes draw different dropout.
    model = bert_embedder(tmp_path / "start")
    change_config(model, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    made = rows(24, teacher=True)
    for number, row in enumerate(made):
        # In every batch there are answers that stand in the groups of several queries, on both devices.
        row["pos"], row["query"] = made[number % 3]["pos"], made[number % 12]["query"]
    data = write_rows(tmp_path / "train.jsonl", made)
    flat = tiny_settings(model, tmp_path, train_data=data, **CHANGES, **changes)
    train_embedder(embedder_settings({**flat, "output_dir": tmp_path / "one"}))
    both = {**flat, "output_dir": tmp_path / "two", "per_device_train_batch_size": 4, "negatives_cross_device": True}
    config = tmp_path / "both.yaml"
    config.write_text(json.dumps({k: v for k, v in embedder_settings(both).flat().items() if v is not None}))
    launcher = ["torch.distributed.run", "--nproc_per_node=2", f"--master_port={free_port()}"]
    command = [sys.executable, "-m", *launcher, "-m", "rerank_plugins", "train", "embedder", "-c", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(figures(tmp_path / "one", "loss")) == 6
    for name in ("loss", "grad_norm"):
        assert figures(tmp_path / "two", name) == pytest.approx(figures(tmp_path / "one", name), rel=1e-3)
    with Embedder(tmp_path / "one", device="cpu") as one, Embedder(tmp_path / "two", device="cpu") as two:
        vectors = [embedder.embed_documents(["panda of China", "a fee"]) for embedder in (one, two)]
    assert np.abs(vectors[0] - vectors[1]).max() < 1e-3
