"""``python -m benchmarks.distillation --sets FOLDER --teacher cosine:FOLDER fiqa_closed``: does a teacher help?

Half of a set's queries is trained on with the same rows and the same number of steps: by labels alone, and with a
teacher's scores, by each ``--loss`` (``group_ce`` adds the labels to them). The other half is measured, BM25's best 20
for each query. Several teachers are averaged, as ``label`` does.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from benchmarks.finetuning import halves, mined_rows
from rerank_plugins.evaluation import Dataset, read_dataset
from rerank_plugins.training import LabelSettings, label_records, reranker_settings, train_reranker

__all__ = ["main"]


def main(
    name: Annotated[str, typer.Argument(help="A set: FOLDER[:SPLIT].")],
    *,
    sets: Annotated[Path, typer.Option(help="Folder of sets in BEIR layout.")],
    teacher: Annotated[list[str], typer.Option(help="A reranker; repeat it, and they are averaged.")],
    model: Annotated[str, typer.Option(help="What is trained.")] = "mini",
    rows: Annotated[int, typer.Option(help="Questions that are trained on at most.")] = 400,
    queries: Annotated[int, typer.Option(help="Questions that are measured at most.")] = 150,
    max_length: Annotated[int, typer.Option(help="Tokens of a pair.")] = 256,
    ranks: Annotated[str, typer.Option(help="Ranks of BM25 that negatives are taken from, as mine does.")] = "2-50",
    epochs: Annotated[int, typer.Option(help="Epochs of each training.")] = 3,
    loss: Annotated[
        list[str] | None, typer.Option(help="What learns from the teacher; repeat it. Default: group_ce")
    ] = None,
    dropout: Annotated[float | None, typer.Option(help="Dropout of each training. Default: the model's own")] = None,
    bf16: Annotated[bool, typer.Option("--bf16", help="Train with bfloat16 autocast.")] = False,
) -> None:
    """Train on half of a set by labels, and by labels and teachers, and measure all on the other half."""
    place, _, split = name.partition(":")
    data = read_dataset(sets / place, split=split or None)
    seen, unseen = halves(data)
    with TemporaryDirectory() as scratch:
        train = mined_rows(data, seen[:rows], Path(scratch), ranks=ranks)
        test = _written_set(data, unseen, Path(scratch) / f"{data.name}-unseen")
        labelled = Path(scratch) / "labelled.jsonl"
        result = label_records(LabelSettings(data=(train,), output=labelled, standardise=True), teacher)
        _say(f"{result.n_rows} rows, {result.n_scores} scores of {' and '.join(teacher)} ({result.scale})")
        _say("| learnt from | queries | nDCG@10 before | after | p |")
        _say("|---|---|---|---|---|")
        common = {
            "model_name_or_path": model,
            "keep_data": [test],
            "keep_queries": queries,
            "query_max_len": max_length // 4,
            "passage_max_len": max_length - max_length // 4,
            "num_train_epochs": epochs,
            "dropout": dropout,
            "bf16": bf16,
            # All take the last step: a few held out rows would choose by chance.
            "dev_fraction": 0.0,
        }
        _measure("labels", {**common, "train_data": train, "output_dir": Path(scratch) / "labels"})
        distilled = {"train_data": labelled, "knowledge_distillation": True}
        for one in loss or ["group_ce"]:
            output = Path(scratch) / f"distilled-{one}"
            _measure(f"the teacher by {one}", {**common, **distilled, "loss": one, "output_dir": output})


def _measure(what: str, settings: Mapping[str, Any]) -> None:
    result = train_reranker(reranker_settings(settings))
    if result is None:
        return
    one = result.kept[0]
    ndcg = one.changes[0]
    _say(f"| {what} | {one.n_queries} | {ndcg.before:.3f} | {ndcg.after:.3f} | {ndcg.comparison.p_value:.4f} |")


def _written_set(data: Dataset, chosen: list[str], folder: Path) -> Path:
    """Write some queries of a set in BEIR layout."""
    (folder / "qrels").mkdir(parents=True)
    documents = ({"_id": key, "title": one.title or "", "text": one.text} for key, one in data.documents.items())
    (folder / "corpus.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in documents), encoding="utf-8")
    queries = ({"_id": one, "text": data.queries[one]} for one in chosen)
    (folder / "queries.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in queries), encoding="utf-8")
    judged = [f"{one}\t{key}\t{grade}" for one in chosen for key, grade in data.qrels[one].items()]
    (folder / "qrels" / "test.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *judged]) + "\n")
    return folder


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    typer.run(main)
