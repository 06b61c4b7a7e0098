"""Fine-tune a bundled model on a domain, in English or Chinese: find negatives, check, train, average.

Run it with ``python examples/finetune.py --language en`` (health questions and answers, `mini`) or ``--language zh``
(web queries and passages, `mini-zh`); it needs ``pip install "rerank-plugins[train,retrieval,mini]"`` and downloads
nothing. The bundled samples are small and easy, so this shows how it is done and no more. For your own domain replace
``write_questions``: one JSON object a line with ``query`` and ``pos``, and one with ``text`` for each text to choose
negatives from.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rerank_plugins_demo.samples import SAMPLE_FOLDER

from rerank_plugins.evaluation import Dataset, read_dataset
from rerank_plugins.training import (
    MergeSettings,
    MiningSettings,
    TrainingResult,
    merge_models,
    mine_negatives,
    reranker_settings,
    train_reranker,
)

DOMAINS = {"en": ("medquad", "mini"), "zh": ("t2ranking_sample", "mini-zh")}
"""Language to the bundled sample and the model."""


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write JSON lines."""
    path.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows), encoding="utf-8")
    return path


def write_questions(data: Dataset, path: Path, *, held_out: bool) -> Path:
    """Write questions with the texts that answer them; every fourth is held out."""
    chosen = [one for number, one in enumerate(data.queries) if (number % 4 == 3) == held_out]
    texts = data.texts
    return write_lines(
        path, ({"query": data.queries[one], "pos": [texts[key] for key in data.relevant_ids(one)]} for one in chosen)
    )


def with_negatives(questions: Path, pool: Path, output: Path) -> Path:
    """Write the questions with texts that BM25 finds for them and that are not known to answer."""
    mine_negatives(
        MiningSettings(
            data=(questions,),
            output=output,
            candidate_pool=pool,
            retrievers=("bm25",),
            range_for_sampling="0-20",
            negative_number=7,
        )
    )
    return output


def main(language: str, folder: Path, *, max_steps: int = 40) -> TrainingResult | None:
    """Fine-tune, print what changed, and return the result; None in all but the first of several processes."""
    name, model = DOMAINS[language]
    data = read_dataset(SAMPLE_FOLDER / name)
    folder.mkdir(parents=True)
    pool = write_lines(folder / "pool.jsonl", ({"text": text} for text in data.texts.values()))
    rows = {
        part: with_negatives(
            write_questions(data, folder / f"{part}-questions.jsonl", held_out=part == "dev"),
            pool,
            folder / f"{part}.jsonl",
        )
        for part in ("train", "dev")
    }
    result = train_reranker(
        reranker_settings(
            {
                "model_name_or_path": model,
                "train_data": rows["train"],
                "dev_data": rows["dev"],
                "output_dir": folder / "tuned",
                "train_group_size": 6,
                "per_device_train_batch_size": 4,
                "query_max_len": 32,
                "passage_max_len": 128,
                "learning_rate": 3e-5,
                "max_steps": max_steps,
                "eval_steps": max(1, max_steps // 2),
            }
        )
    )
    if result is None:
        return None
    for change in result.changes:
        print(f"{change.name:8} {change.before:.3f} -> {change.after:.3f}  p = {change.comparison.p_value:.3f}")
    merged = merge_models(
        MergeSettings(
            models=(str(result.folder),),
            base=model,
            dev_data=rows["dev"],
            weights=(0.5,),
            max_length=160,
            output_dir=folder / "merged",
        )
    )
    for trial in merged.trials:
        print(trial)
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--language", choices=sorted(DOMAINS), default="en")
    parser.add_argument("--output", type=Path, default=Path("finetuned"))
    asked = parser.parse_args()
    main(asked.language, asked.output)
