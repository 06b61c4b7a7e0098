"""Two processes with half of the batch each train as one does with the whole."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_rerankers import change_config
from training_rows import rows, write_rows

pytest.importorskip("accelerate")
pytest.importorskip("ir_measures")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def losses(model: Path, data: Path, output: Path, *, processes: int) -> list[float]:
    launcher = ["-m", "torch.distributed.run", f"--nproc_per_node={processes}", f"--master_port={free_port()}"]
    options = {
        "model": model,
        "output": output,
        "dev-fraction": 0,
        "train-group-size": 4,
        "per-device-train-batch-size": 8 // processes,
        "max-steps": 6,
        "logging-steps": 1,
        "learning-rate": 1e-3,
        "device": "cpu",
    }
    command = ["-m", "rerank_plugins", "train", "reranker", str(data)]
    command += [str(word) for name, value in options.items() for word in (f"--{name}", value)]
    done = subprocess.run([sys.executable, *launcher, *command], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    log = json.loads((output / "training.json").read_text())["log"]
    return [entry["loss"] for entry in log if "loss" in entry]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="gloo by torch.distributed.run")
def test_two_processes_have_the_loss_curve_of_one(tmp_path: Path) -> None:
    from tiny_checkpoints import bert_reranker

    # Processes draw different dropout.
    model = bert_reranker(tmp_path / "start")
    change_config(model, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    # Three whole batches an epoch: a smaller last one would be filled up, so that both processes have as many.
    data = write_rows(tmp_path / "train.jsonl", rows(24))
    one = losses(model, data, tmp_path / "one", processes=1)
    two = losses(model, data, tmp_path / "two", processes=2)
    assert len(one) == 6
    assert two == pytest.approx(one, rel=1e-4)
