"""nDCG@10 of BM25's candidates in the order of BM25, of the embedder's cosine, and of rerankers, on queries held out.

    python -m recipe.measure --texts SETS --sample SAMPLE --keep VALUES.json t2ranking_sample cail2019_rc

Of a set that was trained on, only queries of the part ``test`` of recipe.lists are taken. Candidates are those of the
set where it has some, else BM25's best. Each reranker is followed by its mean difference to BM25 and to the cosine over
the queries, with the standard error of that mean. What stands in VALUES.json is not computed again.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from recipe.evaluate import cosines, first_stage
from recipe.lists import PLANS, parts_of, read_set, sample_questions
from rerank_plugins import Embedder, Reranker
from rerank_plugins.evaluation import Dataset, evaluate, open_dataset, sample_queries, usable_dataset

logger = logging.getLogger(__name__)
_MEASURE = "nDCG@10"
Scores = Mapping[str, Mapping[str, float]]


def held_out(folder: Path, sample: frozenset[str], *, n_queries: int) -> Dataset:
    """Return a set with some of the queries that were not trained on."""
    if folder.name not in PLANS:
        return sample_queries(usable_dataset(open_dataset(folder), on_bad="drop"), n_queries=n_queries, seed=0)
    data = read_set(folder)
    kept = [key for key in parts_of(data, sample)["test"] if data.queries[key].strip()][:n_queries]
    return replace(
        data,
        queries={key: data.queries[key] for key in kept},
        qrels={key: data.qrels[key] for key in kept},
        candidates={key: data.candidates[key] for key in kept if key in data.candidates},
    )


def reranked(reranker: Reranker, data: Dataset, runs: Scores) -> Scores:
    """Return a reranker's scores of the same candidates."""
    texts = data.texts
    pairs = [(data.queries[query_id], texts[key]) for query_id, scores in runs.items() for key in scores]
    found = iter(reranker.score(pairs))
    return {query_id: {key: next(found) for key in scores} for query_id, scores in runs.items()}


def measured(data: Dataset, run: Scores) -> dict[str, float]:
    """Return nDCG@10 by query."""
    return dict(evaluate(run, data.qrels).per_query[_MEASURE])


def difference(one: Sequence[float], other: Sequence[float]) -> str:
    """Return the mean difference, and its standard error."""
    gains = np.array(one) - np.array(other)
    return f"{gains.mean():+.3f} ({gains.std(ddof=1) / len(gains) ** 0.5:.3f})"


def show(name: str, values: Mapping[str, Mapping[str, float]], rerankers: Sequence[str]) -> None:
    """Log the means of a set, and the differences."""
    by_system = {which: [one[key] for key in values["BM25"]] for which, one in values.items()}
    means = {which: round(float(np.mean(one)), 3) for which, one in by_system.items()}
    logger.info("%s: %d queries, %s", name, len(values["BM25"]), means)
    for which in rerankers:
        to_bm25, to_cosine = (difference(by_system[which], by_system[other]) for other in ("BM25", "cosine"))
        logger.info("  %s: to BM25 %s, to the cosine %s", which, to_bm25, to_cosine)


def main() -> None:
    """Log one line a set, and one a reranker."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="+")
    for name in ("texts", "sample", "keep"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--queries", type=int, default=60)
    parser.add_argument("--top-k", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--rerankers", nargs="+", default=["mini", "mini-zh"])
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("rerank_plugins").setLevel(logging.ERROR)
    how = {"device": "cpu", "dtype": options.dtype, "max_length": options.tokens}
    embedder = Embedder("mini-zh", **how)
    rerankers = {name: Reranker(name, **how) for name in options.rerankers}
    sample = sample_questions(options.sample)
    kept = json.loads(options.keep.read_text(encoding="utf-8")) if options.keep.exists() else {}
    for name in options.sets:
        data = held_out(options.texts / name, sample, n_queries=options.queries)
        bm25 = first_stage(data, options.top_k)
        values = kept.setdefault(name, {"BM25": measured(data, bm25)})
        if "cosine" not in values:
            values["cosine"] = measured(data, cosines(embedder, data, bm25))
        for which, reranker in rerankers.items():
            if which not in values:
                values[which] = measured(data, reranked(reranker, data, bm25))
        options.keep.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        show(name, values, options.rerankers)


if __name__ == "__main__":
    main()
