"""Two processes with half of the batch each train as one does with the whole."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_checkpoints import bert_reranker
from tiny_rerankers import change_config
from training_rows import rows, tiny_run, write_rows

pytest.importorskip("accelerate")
pytest.importorskip("ir_measures")

from rerank_plugins.training import train_reranker


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


CHANGES = {"max_steps": 6, "logging_steps": 1, "dev_fraction": 0.0, "per_device_train_batch_size": 8}


def losses(folder: Path) -> list[float]:
    log = json.loads((folder / "training.json").read_text())["log"]
    return [entry["loss"] for entry in log if "loss" in entry]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="gloo by torch.distributed.run")
def test_two_processes_have_the_loss_curve_of_one(tmp_path: Path) -> None:
    # Processes draw different dropout.
    model = bert_reranker(tmp_path / "start")
    change_config(model, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    # Three whole batches an epoch: a smaller last one would be filled up, so that both processes have as many.
    data = write_rows(tmp_path / "train.jsonl", rows(24))
    train_reranker(tiny_run(model, tmp_path, train_data=data, output_dir=tmp_path / "one", **CHANGES))
    half = CHANGES | {"per_device_train_batch_size": 4}
    both = tiny_run(model, tmp_path, train_data=data, output_dir=tmp_path / "two", **half)
    config = tmp_path / "both.yaml"
    config.write_text(json.dumps({name: value for name, value in both.flat().items() if value is not None}))
    launcher = ["torch.distributed.run", "--nproc_per_node=2", f"--master_port={free_port()}"]
    command = [sys.executable, "-m", *launcher, "-m", "rerank_plugins", "train", "reranker", "-c", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(losses(tmp_path / "one")) == 6
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-4)
