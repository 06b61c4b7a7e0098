"""Write what the reranker is trained and measured on, in FlagEmbedding's format, from retrieval sets in BEIR layout.

    python -m recipe.lists --texts SETS --sample demo/src/rerank_plugins_demo/sample --out LISTS

``train/`` has lists with teacher's scores; ``dev.jsonl`` (by which a checkpoint is chosen) and ``calibration.jsonl``
have queries and their candidates, half of the part dev each. A query belongs to one of three parts by a hash of the
text that answers it (of its own text in the two sets whose texts belong to one query each), so no answer is in two
parts: train, dev, and test, which nothing here reads. The questions of the bundled sample are always test.

The teacher is the embedder's cosine / T less w * log2(1 + rank by BM25), with w by set. Some lists are changed: queries
without their function words, documents without title or of the title alone, passages between their neighbours.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log2
from pathlib import Path
from typing import Any

from rerank_plugins import Embedder
from rerank_plugins.evaluation import BM25Index, Dataset, read_dataset

logger = logging.getLogger(__name__)

TEACHER_TEMPERATURE = 0.015
_POOL, _NEGATIVES, _CANDIDATES = 30, 6, 12
_TOKENS_OF_TEACHER = 144


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPlan:
    """What is taken of a set.

    Attributes:
        splits: Its judgements.
        lists: Training lists at most.
        rank_weight: w of the teacher.
        test: Percent of its queries that are test.
        characters: Length to which most documents are cut; one in four keeps twice as much.
        lists_a_query: Lists of one query at most, each with another positive or other negatives.
        dev: Dev queries.
        filters: Whether a candidate that the teacher puts above the positive is left out: it may answer too.
    """

    splits: tuple[str, ...] = ("train",)
    lists: int
    rank_weight: float
    test: int = 10
    characters: int
    lists_a_query: int = 1
    dev: int = 14
    filters: bool = False


PLANS: Mapping[str, SetPlan] = {
    "t2ranking_sample": SetPlan(lists=450, rank_weight=0.4, test=40, characters=280, lists_a_query=9),
    "dureader_demo": SetPlan(lists=450, rank_weight=0.0, test=40, characters=280, lists_a_query=9, dev=20),
    "drcd": SetPlan(splits=("dev",), lists=550, rank_weight=1.0, test=30, characters=420),
    "cmrc2018": SetPlan(lists=350, rank_weight=1.0, test=30, characters=420, dev=10),
    "zh_medical_dialogue": SetPlan(lists=800, rank_weight=0.2, test=30, characters=220, filters=True),
    "nq_qed": SetPlan(lists=450, rank_weight=0.15, characters=600, filters=True),
    "squad_parts": SetPlan(lists=400, rank_weight=0.7, characters=800),
    "boolq": SetPlan(splits=("train", "dev"), lists=200, rank_weight=0.3, characters=600, filters=True, dev=0),
    "medquad": SetPlan(lists=250, rank_weight=0.2, characters=500, filters=True, dev=0),
    "selqa": SetPlan(splits=("dev", "test"), lists=300, rank_weight=0.3, characters=400, dev=10),
    "scifact": SetPlan(lists=300, rank_weight=1.0, characters=900, dev=10),
    "pubmedqa": SetPlan(lists=120, rank_weight=0.4, characters=700, dev=0),
    "tatqa": SetPlan(splits=("dev",), lists=200, rank_weight=0.8, characters=500, dev=10),
}

_OWN_TEXTS = ("t2ranking_sample", "dureader_demo")
_WITH_NEIGHBOURS = ("drcd", "cmrc2018", "squad_parts", "nq_qed")
_SHARES = {"keywords": 0.2, "untitled": 0.3, "title": 0.08, "neighbours": 0.1}
_CHINESE_FUNCTION_WORDS = (
    "请问|您好|你好|谢谢|麻烦|为什么|是什么|什么时候|什么样|什么|怎么办|怎么样|怎么|怎样|如何|哪里|哪儿|哪一年|哪一|哪些|"
    "哪个|哪位|哪|多少|多久|多大|是不是|能不能|可不可以|有没有|可以|吗|呢|吧|呀|啊|的|了|着|过|是|在|被|把|我|您|你|它|"
    "他|她|請問|為什麼|是什麼|什麼|怎麼|誰|谁|於|于|與|与|和|為|为|會|会|這|这|那|[?？!！。，,、；;：:…]"
)
_ENGLISH_FUNCTION_WORDS = (
    "a an the is are was were be been being do does did done has have had having can could will would shall "
    "should may might must what who whom whose which when where why how of in on at by for with about against "
    "between into through to from up down out off over under and or but if because as until while it its they "
    "them their this that these those i me my we our you your he him his she her there so than too very s t not "
    "no"
)


def part_of(plan: SetPlan, key: str) -> str:
    """Return ``train``, ``dev`` or ``test``, by the hash of a text alone."""
    place = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") % 100
    if place < plan.test:
        return "test"
    return "dev" if place < plan.test + 10 else "train"


def read_set(folder: Path) -> Dataset:
    """Return a set with all its splits."""
    plan = PLANS[folder.name]
    read = [read_dataset(folder, split=split) for split in plan.splits]
    queries: dict[str, str] = {}
    qrels: dict[str, Mapping[str, int]] = {}
    candidates: dict[str, tuple[str, ...]] = {}
    for one in read:
        queries.update(one.queries)
        qrels.update(one.qrels)
        candidates.update(one.candidates)
    return Dataset(name=folder.name, documents=read[0].documents, queries=queries, qrels=qrels, candidates=candidates)


def parts_of(data: Dataset, sample: frozenset[str]) -> dict[str, list[str]]:
    """Return the ids of the answerable queries by part, each in a random order that never changes."""
    plan = PLANS[data.name]
    found: dict[str, list[str]] = {"train": [], "dev": [], "test": []}
    for query_id, query in data.queries.items():
        relevant = [one for one in data.relevant_ids(query_id) if one in data.documents]
        if relevant:
            key = query if data.name in _OWN_TEXTS else data.documents[min(relevant)].contents
            found["test" if query.strip() in sample else part_of(plan, key)].append(query_id)
    for listed in found.values():
        random.Random(0).shuffle(listed)
    return found


def sample_questions(folder: Path) -> frozenset[str]:
    """Return the questions of the bundled sample."""
    return frozenset(
        json.loads(line)["text"].strip()
        for path in folder.glob("*/queries.jsonl")
        for line in path.read_text(encoding="utf-8").splitlines()
    )


def keywords(query: str) -> str:
    """Return a question without its function words; as it is where nothing would be left."""
    if re.search(r"[\u3400-\u9fff]", query):
        kept = " ".join(re.sub(_CHINESE_FUNCTION_WORDS, " ", query).split())
    else:
        words = re.findall(r"[\w.%$'-]+", query)
        kept = " ".join(word for word in words if word.lower() not in _ENGLISH_FUNCTION_WORDS.split())
    return kept if len(kept) > 2 else query


@dataclass(slots=True)
class _List:
    """A training list before its texts are written: document ids, the relevant one first."""

    query: str
    ids: list[str]
    scores: list[float]
    draws: random.Random


class Lists:
    """Lists of one set.

    Args:
        data: The set.
        embedder: The teacher.
    """

    def __init__(self, data: Dataset, embedder: Embedder) -> None:
        self._data, self._embedder, self._plan = data, embedder, PLANS[data.name]
        self._texts = data.texts
        self._index = BM25Index(self._texts)
        keys = list(data.documents)
        self._before = {second: first for first, second in pairwise(keys)}
        self._after = dict(pairwise(keys))

    def ranked(self, query_id: str, *, depth: int = _POOL) -> list[str]:
        """Return the candidates of a query by BM25: its own where the set names them, else the best of all."""
        own = self._data.candidates.get(query_id)
        found = self._index.search(self._data.queries[query_id], top_k=len(self._texts) if own else depth)
        if own is None:
            return list(found)
        return sorted(own, key=lambda key: -found.get(key, 0.0))

    def training(self, query_ids: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield rows."""
        drawn = [one for query_id in query_ids for one in self._drawn(query_id)][: self._plan.lists]
        self._teach(drawn)
        for one in drawn:
            yield from self._row(one)

    def candidates(self, query_ids: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield dev queries with their candidates; those whose candidates hold no answer, or nothing else, not."""
        left = self._plan.dev
        for query_id in query_ids:
            relevant = self._data.relevant_ids(query_id)
            listed = self.ranked(query_id, depth=_CANDIDATES)
            kept = set(
                [one for one in listed if one in relevant][:6]
                + [one for one in listed if one not in relevant][:_CANDIDATES]
            )
            texts = [(one in relevant, self._cut(self._texts[one], 1)) for one in listed if one in kept]
            if left and any(right for right, _ in texts) and not all(right for right, _ in texts):
                left -= 1
                yield {
                    "query": self._data.queries[query_id],
                    "pos": [text for right, text in texts if right],
                    "neg": [text for right, text in texts if not right],
                }

    def _drawn(self, query_id: str) -> Iterator[_List]:
        relevant = sorted(one for one in self._data.relevant_ids(query_id) if one in self._texts)
        ranked = self.ranked(query_id)
        others = [one for one in ranked if one not in relevant]
        draws = random.Random(f"{self._data.name}:{query_id}")
        draws.shuffle(relevant)
        ranks = {one: place for place, one in enumerate(ranked, start=1)}
        n_lists = min(self._plan.lists_a_query, max(len(relevant), 6) if self._data.name in _OWN_TEXTS else 1)
        for number in range(n_lists):
            near, far = others[:10], others[10:]
            negatives = draws.sample(near, min(4, len(near))) + draws.sample(far, min(_NEGATIVES - 4, len(far)))
            if len(negatives) >= 3:
                ids = [relevant[number % len(relevant)], *negatives]
                penalties = [-self._plan.rank_weight * log2(1 + ranks.get(one, len(ranked) + 1)) for one in ids]
                yield _List(self._data.queries[query_id], ids, penalties, draws)

    def _teach(self, drawn: Sequence[_List]) -> None:
        """Add the cosines to the scores, and leave out what may answer too."""
        needed = sorted({key for one in drawn for key in one.ids})
        vectors = dict(zip(needed, self._embedder.embed_documents([self._texts[key] for key in needed]), strict=True))
        queries = self._embedder.embed_queries([one.query for one in drawn])
        for one, query in zip(drawn, queries, strict=True):
            cosines = [float(vectors[key] @ query) for key in one.ids]
            kept = [
                place
                for place, cosine in enumerate(cosines)
                if not place or not self._plan.filters or cosine <= cosines[0]
            ]
            one.scores = [one.scores[place] + cosines[place] / TEACHER_TEMPERATURE for place in kept]
            one.ids = [one.ids[place] for place in kept]

    def _row(self, one: _List) -> Iterator[dict[str, Any]]:
        chosen = {name: one.draws.random() < share for name, share in _SHARES.items()}
        factor = 2 if one.draws.random() < 0.25 else 1
        documents = [self._data.documents[key] for key in one.ids]
        texts = [self._cut(document.contents, factor) for document in documents]
        is_titled = all(document.title for document in documents)
        if chosen["title"] and is_titled:
            texts = [document.title for document in documents]
        elif chosen["neighbours"] and self._data.name in _WITH_NEIGHBOURS:
            texts = [self._cut(self._with_neighbours(key, one.ids[0]), 3) for key in one.ids]
        elif chosen["untitled"] and is_titled:
            texts = [self._cut(document.text, factor) for document in documents]
        different = [
            place for place, text in enumerate(texts) if text.strip() and (not place or text not in texts[:place])
        ]
        if len(different) < 4 or different[0]:
            return
        query = keywords(one.query) if chosen["keywords"] else one.query
        yield {
            "query": query[:200],
            "pos": [texts[0]],
            "neg": [texts[place] for place in different[1:]],
            "pos_scores": [round(one.scores[0], 3)],
            "neg_scores": [round(one.scores[place], 3) for place in different[1:]],
        }

    def _with_neighbours(self, key: str, relevant: str) -> str:
        """Return a passage with those before and after it, without the answer's."""
        around = [self._before.get(key), key, self._after.get(key)]
        return " ".join(
            self._data.documents[one].text for one in around if one is not None and (one == key or one != relevant)
        )

    def _cut(self, text: str, factor: int) -> str:
        return text[: self._plan.characters * factor]


def write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write JSON lines."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def main() -> None:
    """Write the files of each set, and the dev queries of all in two."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="*", help="those of the recipe if none are named")
    for name in ("texts", "sample", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("rerank_plugins").setLevel(logging.ERROR)
    (options.out / "train").mkdir(parents=True, exist_ok=True)
    (options.out / "dev").mkdir(exist_ok=True)
    sample = sample_questions(options.sample)
    embedder = Embedder("mini-zh", device="cpu", dtype="bfloat16", max_length=_TOKENS_OF_TEACHER)
    for name in options.sets or PLANS:
        data = read_set(options.texts / name)
        parts, lists = parts_of(data, sample), Lists(data, embedder)
        trained = list(lists.training(parts["train"]))
        measured = list(lists.candidates(parts["dev"]))
        write_lines(options.out / "train" / f"{name}.jsonl", trained)
        write_lines(options.out / "dev" / f"{name}.jsonl", measured)
        sizes = {part: len(listed) for part, listed in parts.items()}
        logger.info("%s: queries %s, %d lists, %d dev queries", name, sizes, len(trained), len(measured))
    paths = sorted((options.out / "dev").glob("*.jsonl"))
    rows = [line for path in paths for line in path.read_text(encoding="utf-8").splitlines(keepends=True)]
    for name, half in (("dev", rows[::2]), ("calibration", rows[1::2])):
        (options.out / f"{name}.jsonl").write_text("".join(half), encoding="utf-8")


if __name__ == "__main__":
    main()
