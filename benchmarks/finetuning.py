"""``python -m benchmarks.finetuning --sets FOLDER fiqa_closed stackfaq``: does fine-tuning help?

Each set in BEIR layout is halved by its queries. One half is trained on, with negatives from BM25 and the defaults of
``train reranker``; the other half and the sets of ``--keep`` are measured before and after, and once more with the
average of both models. A set may name its split and its model: ``wikiqa:train``, ``zh_medical_dialogue=mini-zh``.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

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

__all__ = ["half_of", "main", "mined_rows", "written_set"]


def main(
    names: Annotated[list[str], typer.Argument(help="Sets: FOLDER[:SPLIT][=MODEL], without a model mini.")],
    *,
    sets: Annotated[Path, typer.Option(help="Folder of sets in BEIR layout.")],
    keep: Annotated[list[str], typer.Option(help="A set that must not get worse; repeat it.")],
    rows: Annotated[int, typer.Option(help="Questions that are trained on at most.")] = 400,
    queries: Annotated[int, typer.Option(help="Questions of each measured set at most.")] = 150,
    max_length: Annotated[int, typer.Option(help="Tokens of a pair.")] = 256,
    ranks: Annotated[str, typer.Option(help="Ranks of BM25 that negatives are taken from, as mine does.")] = "10-210",
    dropout: Annotated[float | None, typer.Option(help="Dropout of the training. Default: the model's own")] = None,
    bf16: Annotated[bool, typer.Option("--bf16", help="Train with bfloat16 autocast.")] = False,
) -> None:
    """Train on half of each set, and measure on the other half."""
    options = {"rows": rows, "queries": queries, "max_length": max_length, "ranks": ranks}
    options |= {"dropout": dropout, "bf16": bf16}
    _say("| set | model | measured on | queries | nDCG@10 before | after | p | merged | weight |")
    _say("|---|---|---|---|---|---|---|---|---|")
    for name in names:
        place, _, model = name.partition("=")
        folder_name, _, split = place.partition(":")
        others = [sets / one for one in keep if one != folder_name]
        with TemporaryDirectory() as scratch:
            data = read_dataset(sets / folder_name, split=split or None)
            for line in _one(data, model or "mini", others, Path(scratch), options):
                _say(line)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _one(data: Dataset, model: str, others: list[Path], scratch: Path, options: dict[str, Any]) -> list[str]:
    # A question without an answer teaches nothing, and no order of its documents is better than another.
    answered = [one for one in data.queries if data.relevant_ids(one)]
    halves = ([one for one in answered if half_of(data.queries[one]) == half] for half in (0, 1))
    seen, unseen = halves
    train = mined_rows(data, seen[: options["rows"]], scratch, ranks=options["ranks"])
    # Another name than the whole set, so that the table tells them apart.
    test = written_set(data, unseen, scratch / f"{data.name}-unseen")
    result = train_reranker(
        reranker_settings(
            {
                "model_name_or_path": model,
                "train_data": train,
                "output_dir": scratch / "tuned",
                "keep_data": [test, *others],
                "keep_queries": options["queries"],
                "query_max_len": options["max_length"] // 4,
                "passage_max_len": options["max_length"] - options["max_length"] // 4,
                "dropout": options["dropout"],
                "bf16": options["bf16"],
            }
        )
    )
    if result is None:
        return []
    # The weight is no choice here (the default without a dev set), so a few of the training rows do.
    dev = scratch / "some.jsonl"
    dev.write_text("\n".join(train.read_text(encoding="utf-8").splitlines()[:20]), encoding="utf-8")
    return _lines(data.name, model, result, _merged(result, model, dev, [test, *others], options))


def half_of(query: str) -> int:
    """Return 0 or 1: which half of its set a query is in, by its text."""
    return hashlib.sha256(query.encode()).digest()[0] % 2


def mined_rows(data: Dataset, chosen: list[str], scratch: Path, *, ranks: str) -> Path:
    """Return training rows of some queries, with negatives that BM25 has at these ranks."""
    texts = data.texts
    asked = scratch / "asked.jsonl"
    rows = ({"query": data.queries[one], "pos": [texts[key] for key in data.relevant_ids(one)]} for one in chosen)
    asked.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    pool = scratch / "pool.jsonl"
    pool.write_text("".join(f"{json.dumps({'text': text})}\n" for text in texts.values()), encoding="utf-8")
    mined = scratch / "train.jsonl"
    mine_negatives(
        MiningSettings(data=(asked,), output=mined, candidate_pool=pool, retrievers=("bm25",), range_for_sampling=ranks)
    )
    return mined


def written_set(data: Dataset, chosen: list[str], folder: Path) -> Path:
    """Write some queries of a set in BEIR layout."""
    (folder / "qrels").mkdir(parents=True)
    documents = ({"_id": key, "title": one.title or "", "text": one.text} for key, one in data.documents.items())
    (folder / "corpus.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in documents), encoding="utf-8")
    queries = ({"_id": one, "text": data.queries[one]} for one in chosen)
    (folder / "queries.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in queries), encoding="utf-8")
    judged = [f"{one}\t{key}\t{grade}" for one in chosen for key, grade in data.qrels[one].items()]
    (folder / "qrels" / "test.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *judged]) + "\n")
    return folder


def _merged(result: TrainingResult, model: str, dev: Path, measured: list[Path], options: dict[str, Any]) -> Any:
    """Return what the average of both models reaches on the measured sets, each with the same weight."""
    return merge_models(
        MergeSettings(
            models=(str(result.folder),),
            base=model,
            weights=(0.5,),
            output_dir=result.folder.parent / "merged",
            dev_data=dev,
            max_drop=1.0,
            keep_queries=options["queries"],
            keep_data=tuple(measured),
            max_length=options["max_length"],
            dev_top_k=20,
        )
    )


def _lines(name: str, model: str, result: TrainingResult, merged: Any) -> list[str]:
    chosen = next(one for one in merged.trials if one.weight)
    lines = []
    for one in result.kept:
        ndcg = one.changes[0]
        figures = f"{ndcg.before:.3f} | {ndcg.after:.3f} | {ndcg.comparison.p_value:.4f}"
        lines.append(
            f"| {name} | {model} | {one.name} | {one.n_queries} | {figures} | {chosen.keep[one.name]:.3f} | "
            f"{chosen.weight:g} |"
        )
    return lines


if __name__ == "__main__":
    typer.run(main)
