"""``python -m benchmarks.finetuning --sets FOLDER fiqa_closed stackfaq``: does fine-tuning help?

Each set in BEIR layout is halved by its queries. One half is trained on, with negatives from BM25 and the defaults of
``train reranker``; the other half and the sets of ``--keep`` are measured before and after, and once more with the
average of both models: the candidates of a set, or BM25's best 20. A set may name its split, one that is trained on its
model too: ``wikiqa:train``, ``zh_medical_dialogue=mini-zh``.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from benchmarks.rankings import Candidates, ndcg_of
from rerank_plugins import Reranker
from rerank_plugins.evaluation import Dataset, read_dataset, sample_queries, usable_dataset
from rerank_plugins.evaluation.statistics import compare_paired
from rerank_plugins.training import (
    MergeSettings,
    MiningSettings,
    merge_models,
    mine_negatives,
    reranker_settings,
    train_reranker,
)

__all__ = ["halves", "main", "mined_rows"]

_CANDIDATES = 20


def main(
    names: Annotated[list[str], typer.Argument(help="Sets: FOLDER[:SPLIT][=MODEL], without a model mini.")],
    *,
    sets: Annotated[Path, typer.Option(help="Folder of sets in BEIR layout.")],
    keep: Annotated[list[str], typer.Option(help="A set that must not get worse: FOLDER[:SPLIT]; repeat it.")],
    rows: Annotated[int, typer.Option(help="Questions that are trained on at most.")] = 400,
    queries: Annotated[int, typer.Option(help="Questions of each measured set at most.")] = 150,
    max_length: Annotated[int, typer.Option(help="Tokens of a pair.")] = 256,
    ranks: Annotated[str, typer.Option(help="Ranks of BM25 that negatives are taken from, as mine does.")] = "10-210",
    dropout: Annotated[float | None, typer.Option(help="Dropout of the training. Default: the model's own")] = None,
    bf16: Annotated[bool, typer.Option("--bf16", help="Train and measure in bfloat16.")] = False,
) -> None:
    """Train on half of each set, and measure on the other half."""
    course = {"dropout": dropout, "bf16": bf16, "query_max_len": max_length // 4}
    course["passage_max_len"] = max_length - max_length // 4
    _say("| set | model | measured on | queries | nDCG@10 before | after | p | average of both | p |")
    _say("|---|---|---|---|---|---|---|---|---|")
    for name in names:
        place, _, model = name.partition("=")
        folder, _, split = place.partition(":")
        data = read_dataset(sets / folder, split=split or None)
        seen, unseen = halves(data)
        with TemporaryDirectory() as scratch:
            train = mined_rows(data, seen[:rows], Path(scratch), ranks=ranks)
            models = _models(train, model or "mini", Path(scratch), course)
            if not models:
                continue  # of several processes another one trains
            half = replace(
                data,
                queries={one: data.queries[one] for one in unseen},
                qrels={one: data.qrels[one] for one in unseen},
            )
            others = (_opened(sets, one) for one in keep if one != place)
            measured = [(f"{data.name}, the other half", half), *others]
            for line in _lines(models, measured, queries=queries, max_length=max_length, bf16=bf16):
                _say(f"| {data.name} | {model or 'mini'} | {line} |")


def _opened(sets: Path, name: str) -> tuple[str, Dataset]:
    folder, _, split = name.partition(":")
    return name, read_dataset(sets / folder, split=split or None)


def _models(train: Path, model: str, scratch: Path, course: Mapping[str, Any]) -> list[str]:
    """Return what is compared: the model before, what it is after a training, and the average of both."""
    tuned, merged = scratch / "tuned", scratch / "merged"
    files = {"model_name_or_path": model, "train_data": train, "output_dir": tuned}
    if train_reranker(reranker_settings({**files, **course})) is None:
        return []
    # The weight is given, so the dev set chooses nothing.
    dev = scratch / "some.jsonl"
    dev.write_text("\n".join(train.read_text(encoding="utf-8").splitlines()[:20]), encoding="utf-8")
    merge_models(
        MergeSettings(
            models=(str(tuned),),
            base=model,
            weights=(0.5,),
            output_dir=merged,
            dev_data=dev,
            max_drop=1.0,
            dev_top_k=20,
        )
    )
    return [model, str(tuned), str(merged)]


def _lines(
    models: Sequence[str], sets: Sequence[tuple[str, Dataset]], *, queries: int, max_length: int, bf16: bool
) -> Iterator[str]:
    """Yield a line of each set: before, after, and of the average, with the paired test to before."""
    dtype = "bfloat16" if bf16 else "float32"
    with ExitStack() as stack:
        opened = (Reranker(model, dtype=dtype, max_length=max_length) for model in models)
        rerankers = [stack.enter_context(one) for one in opened]
        for name, data in sets:
            usable = sample_queries(usable_dataset(data, on_bad="drop"), n_queries=queries, seed=0)
            candidates = Candidates.of(usable, top_k=_CANDIDATES)
            before, *others = [ndcg_of(candidates.measured(candidates.ranked(one))) for one in rerankers]
            cells = [f"{name} | {len(before)} | {mean(before.values()):.3f}"]
            for values in others:
                p_value = compare_paired([values[key] for key in before], list(before.values())).p_value
                cells.append(f"{mean(values.values()):.3f} | {p_value:.4f}")
            yield " | ".join(cells)


def halves(data: Dataset) -> tuple[list[str], list[str]]:
    """Return the ids of a set's queries in two halves, told by their texts, so that they are the same in every run."""
    # A question without an answer teaches nothing, and no order of its documents is better than another.
    answered = [key for key in data.queries if data.relevant_ids(key)]
    digests = {key: hashlib.sha256(data.queries[key].encode()).digest() for key in answered}
    first, second = ([key for key in answered if digests[key][0] % 2 == half] for half in (0, 1))
    return first, second


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


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    typer.run(main)
