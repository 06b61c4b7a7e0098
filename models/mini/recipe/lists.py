"""Draw the lists that the reranker is trained and measured on, from retrieval sets in BEIR layout.

    python -m recipe.lists --texts SETS --sample demo/src/rerank_plugins_demo/sample --out DRAWN

``train.jsonl`` and ``dev.jsonl`` have FlagEmbedding's fields, the set and ``asked``, the query as it was before it was
made shorter; :mod:`recipe.teach` adds the teacher's scores. A query belongs to train or dev by a hash of the text that
answers it, so no answer is in both. The questions of the bundled sample are in neither.

A training list is one answer, three of the ten best by BM25, two of the twenty best by the static embedder, one of
BM25's ranks 11 to 50, and one text at random. :mod:`recipe.variants` changes some.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recipe.variants import Variants
from rerank_plugins import Embedder
from rerank_plugins.evaluation import BM25Index, Dataset, read_dataset

logger = logging.getLogger(__name__)

_NEAR, _FAR, _DENSE, _DEV_CANDIDATES = 10, 50, 20, 12


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPlan:
    """What is taken of a set.

    Attributes:
        splits: Its judgements.
        lists: Training lists.
        characters: Length to which most documents are cut.
        dev: Dev queries.
    """

    splits: tuple[str, ...] = ("train",)
    lists: int
    characters: int = 450
    dev: int = 14


PLANS: Mapping[str, SetPlan] = {
    "nq_qed": SetPlan(lists=3200, dev=20),
    "squad_parts": SetPlan(lists=1600, characters=650),
    "boolq": SetPlan(splits=("train", "dev"), lists=800, characters=550),
    "medquad": SetPlan(lists=1100),
    "selqa": SetPlan(splits=("dev", "test"), lists=1300),
    "scifact": SetPlan(lists=560, characters=700),
    "pubmedqa": SetPlan(lists=380, characters=600, dev=8),
    "tatqa": SetPlan(splits=("dev",), lists=300, dev=12),
}


def read_set(folder: Path) -> Dataset:
    """Return a set with all its splits."""
    read = [read_dataset(folder, split=split) for split in PLANS[folder.name].splits]
    merged: list[dict[str, Any]] = [{}, {}, {}]
    for one in read:
        for whole, part in zip(merged, (one.queries, one.qrels, one.candidates), strict=True):
            whole.update(part)
    queries, qrels, candidates = merged
    return Dataset(name=folder.name, documents=read[0].documents, queries=queries, qrels=qrels, candidates=candidates)


def sample_questions(folder: Path) -> frozenset[str]:
    """Return the questions of the bundled sample."""
    return frozenset(
        json.loads(line)["text"].strip()
        for path in folder.glob("*/queries.jsonl")
        for line in path.read_text(encoding="utf-8").splitlines()
    )


def parts_of(data: Dataset, sample: frozenset[str]) -> dict[str, list[str]]:
    """Return the ids of the answerable queries by part, each in a random order that never changes."""
    found: dict[str, list[str]] = {"train": [], "dev": []}
    for query_id, query in data.queries.items():
        relevant = [one for one in data.relevant_ids(query_id) if one in data.documents]
        if relevant and query.strip() not in sample:
            text = data.documents[min(relevant)].contents
            is_dev = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") % 10 == 0
            found["dev" if is_dev else "train"].append(query_id)
    for listed in found.values():
        random.Random(0).shuffle(listed)
    return found


class Lists:
    """Lists of one set.

    Args:
        data: The set.
        embedder: Finds candidates that share no word with the query.
    """

    def __init__(self, data: Dataset, embedder: Embedder) -> None:
        self._data, self._embedder, self._plan = data, embedder, PLANS[data.name]
        self._ids, self._texts = list(data.documents), data.texts
        self._index = BM25Index(self._texts)
        self._vectors = np.asarray(embedder.embed_documents(list(self._texts.values())))
        self._variants = Variants(data, characters=self._plan.characters)

    def training(self, query_ids: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield rows."""
        left = self._plan.lists
        for query_id in query_ids:
            draws = random.Random(f"{self._data.name}:{query_id}")
            relevant = sorted(one for one in self._data.relevant_ids(query_id) if one in self._texts)
            negatives = self._negatives(query_id, draws)
            row = self._variants.row(self._data.queries[query_id], [draws.choice(relevant), *negatives], draws)
            if row is not None and left:
                left -= 1
                yield row
            if not left:
                return

    def dev(self, query_ids: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield dev queries with their candidates; those whose candidates hold no answer, or nothing else, not."""
        left = self._plan.dev
        for query_id in query_ids:
            relevant = self._data.relevant_ids(query_id)
            listed = self._ranked(query_id)[:_DEV_CANDIDATES]
            is_mixed = any(one in relevant for one in listed) and not all(one in relevant for one in listed)
            if left and is_mixed:
                left -= 1
                query = self._data.queries[query_id]
                texts = {one: self._texts[one][: self._plan.characters * 2] for one in listed}
                yield {
                    "set": self._data.name,
                    "asked": query,
                    "query": query,
                    "pos": [text for one, text in texts.items() if one in relevant],
                    "neg": [text for one, text in texts.items() if one not in relevant],
                }

    def _ranked(self, query_id: str) -> list[str]:
        """Return the candidates of a query by BM25: its own where the set names them, else the best of all."""
        own = self._data.candidates.get(query_id)
        found = self._index.search(self._data.queries[query_id], top_k=len(self._texts) if own else _FAR)
        return list(found) if own is None else sorted(own, key=lambda key: -found.get(key, 0.0))

    def _negatives(self, query_id: str, draws: random.Random) -> list[str]:
        relevant = self._data.relevant_ids(query_id)
        ranked = [one for one in self._ranked(query_id) if one not in relevant]
        query = np.asarray(self._embedder.embed_queries([self._data.queries[query_id]])[0])
        best = np.argpartition(-(self._vectors @ query), _DENSE)[:_DENSE]
        dense = [one for one in (self._ids[place] for place in best) if one not in relevant]
        chosen: list[str] = []
        for pool, size in ((ranked[:_NEAR], 3), (dense, 2), (ranked[_NEAR:], 1), (self._ids, 1)):
            free = [one for one in pool if one not in chosen and one not in relevant]
            chosen += draws.sample(free, min(size, len(free)))
        return chosen


def write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write JSON lines."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="share of the lists")
    for name in ("texts", "sample", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    options.out.mkdir(parents=True, exist_ok=True)
    sample, embedder = sample_questions(options.sample), Embedder("mini", device="cpu")
    rows: dict[str, list[Mapping[str, Any]]] = {"train": [], "dev": []}
    for name in PLANS:
        data = read_set(options.texts / name)
        parts, lists = parts_of(data, sample), Lists(data, embedder)
        found = {"train": list(lists.training(parts["train"])), "dev": list(lists.dev(parts["dev"]))}
        for part, listed in found.items():
            rows[part] += listed
        logger.info("%s: %d lists, %d dev queries", name, len(found["train"]), len(found["dev"]))
    for part, listed in rows.items():
        random.Random(0).shuffle(listed)
        write_lines(options.out / f"{part}.jsonl", listed)


if __name__ == "__main__":
    main()
