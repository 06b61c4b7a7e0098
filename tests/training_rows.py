"""Small training data for tests: queries that name a word, texts that hold it or not, and a run that takes seconds."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from rerank_plugins.training import RerankerTrainingSettings, reranker_settings

WORDS = [
    *("panda", "bamboo", "revenue", "capital", "France", "doctor", "salt", "passport"),
    *("photo", "form", "fee", "Berlin", "Germany", "China", "blood"),
]


def rows(n: int, *, seed: int = 1, n_neg: int = 5, teacher: bool = False) -> list[dict[str, Any]]:
    """Return rows: the positive holds the query's word; a teacher agrees, with noise."""
    draws = random.Random(seed)
    made = []
    for number in range(n):
        word = draws.choice(WORDS)
        others = [one for one in WORDS if one != word]
        row: dict[str, Any] = {
            "query": f"what is {word} {seed} {number}",
            "pos": [f"{word} is {draws.choice(WORDS)}", f"{word} of {draws.choice(WORDS)}"],
            "neg": [f"{draws.choice(others)} is {draws.choice(others)}" for _ in range(n_neg)],
        }
        if teacher:
            row["pos_scores"] = [draws.uniform(1.0, 4.0) for _ in row["pos"]]
            row["neg_scores"] = [draws.uniform(-4.0, 0.0) for _ in row["neg"]]
        made.append(row)
    return made


def write_rows(path: Path, made: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in made), encoding="utf-8")
    return path


def tiny_run(model: str | Path, folder: Path, **changes: Any) -> RerankerTrainingSettings:
    """Return settings of a short training of a tiny model; data is written into the folder unless it is given."""
    return reranker_settings(tiny_settings(model, folder, **changes))


def tiny_settings(model: str | Path, folder: Path, **changes: Any) -> dict[str, Any]:
    """Return what any training of a tiny model has, by name; data is written into the folder unless it is given."""
    flat: dict[str, Any] = {
        "model_name_or_path": model,
        "output_dir": folder / "trained",
        "train_group_size": 4,
        "per_device_train_batch_size": 4,
        "max_steps": 6,
        "learning_rate": 1e-3,
        "device": "cpu",
        **changes,
    }
    teacher = bool(flat.get("knowledge_distillation"))
    if "train_data" not in flat:
        flat["train_data"] = write_rows(folder / "train.jsonl", rows(22, teacher=teacher))
    if "dev_data" not in flat and "dev_fraction" not in flat:
        flat["dev_data"] = write_rows(folder / "dev.jsonl", rows(8, seed=2))
    return flat
