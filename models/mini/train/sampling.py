"""Options of a training run and the drawing of its groups: one query with a few candidates."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from train.data import TRAIN_SETS, Candidates, load_candidates


@dataclass(frozen=True)
class TrainOptions:
    """What a run depends on.

    Attributes:
        data: Folder of the unpacked sets.
        cache: Folder written by `train.data`.
        out: Folder for checkpoints.
        minutes: Wall-clock budget; the learning rate falls linearly to zero at its end.
        processes: Data-parallel single-thread processes.
        queries: Queries per step and process.
        candidates: Documents per query.
        learning_rate: Peak rate of the backbone.
        head_learning_rate: Peak rate of the head's vectors.
        scalar_learning_rate: Peak rate of the head's three scales, which start near 10.
        label_weight: Weight of the cross-entropy on labels beside the KL term.
        temperature: Teacher softmax temperature on cosines.
        rank_weight: How much the teacher's logit falls per doubling of the BM25 rank.
        hold_out: Queries per set kept for calibration.
        frozen_layers: Lower layers that stay as they are, as the embeddings do; a step is a fifth cheaper.
        start: Checkpoint to start from, instead of the bi-encoder.
    """

    data: Path
    cache: Path
    out: Path
    minutes: float = 65.0
    processes: int = 2
    queries: int = 3
    candidates: int = 6
    learning_rate: float = 7e-5
    head_learning_rate: float = 2e-3
    scalar_learning_rate: float = 4e-2
    label_weight: float = 0.7
    temperature: float = 0.05
    rank_weight: float = 0.0
    hold_out: int = 30
    frozen_layers: int = 2
    start: Path | None = None


@dataclass(frozen=True)
class Group:
    """One query with its candidates.

    Attributes:
        query: Query text.
        documents: Candidate texts.
        teacher: Teacher logits, or none where the set has labels only. Shape: (candidates,)
        labels: 1 for labelled relevant documents. Shape: (candidates,)
        max_tokens: Truncation of the pair.
    """

    query: str
    documents: list[str]
    teacher: np.ndarray | None
    labels: np.ndarray
    max_tokens: int


def split_queries(sets: dict[str, Candidates], *, hold_out: int, held: bool) -> list[tuple[str, str]]:
    """Return (set, query id) pairs, either the held-out ones or all others."""
    chosen = []
    for name, candidates in sets.items():
        ids = sorted(candidates.data.queries)
        random.Random(name).shuffle(ids)
        chosen += [(name, q) for q in (ids[:hold_out] if held else ids[hold_out:])]
    return chosen


def document_text(candidates: Candidates, document_id: str, *, style: int) -> str:
    r"""Return a document as `title text`, `title. text`, `title\\ntext`, or without its title."""
    title, text = candidates.data.titles[document_id], candidates.data.documents[document_id]
    if not title or style == 0:
        return text
    body = text.removeprefix(title).strip()
    return [f"{title}. {body}", f"{title}\n{body}", body][style - 1]


def teacher_logits(
    candidates: Candidates, query_id: str, document_ids: list[str], *, options: TrainOptions
) -> np.ndarray:
    """Return cosine / temperature - rank_weight * log2(BM25 rank + 2), ranks from 0. Shape: (documents,)."""
    rank = {d: i for i, d in enumerate(candidates.rows[query_id])}
    penalty = np.log2(np.array([rank[d] for d in document_ids], dtype=np.float32) + 2)
    return candidates.teacher(query_id, document_ids) / options.temperature - options.rank_weight * penalty


def make_group(candidates: Candidates, query_id: str, *, options: TrainOptions, rng: random.Random) -> Group:
    """Draw the candidates of one query."""
    n = options.candidates
    row = candidates.rows[query_id]
    relevant = set(candidates.data.qrels[query_id])
    positives = [d for d in row if d in relevant]
    others = [d for d in row if d not in relevant]
    by_teacher = [others[i] for i in np.argsort(-candidates.teacher(query_id, others))] if others else []
    chosen = [rng.choice(positives)] if positives else []
    n_hard = (n - len(chosen)) // 2
    hard = rng.sample(by_teacher[: 2 * n_hard], min(n_hard, len(by_teacher)))
    rest = [d for d in others if d not in hard]
    chosen += hard + rng.sample(rest, min(n - len(chosen) - len(hard), len(rest)))
    style = rng.choices([0, 1, 2, 3], weights=[5, 1, 1, 2])[0]
    return Group(
        query=candidates.data.queries[query_id],
        documents=[document_text(candidates, d, style=style) for d in chosen],
        teacher=teacher_logits(candidates, query_id, chosen, options=options) if candidates.has_teacher else None,
        labels=np.array([d in relevant for d in chosen], dtype=np.float32),
        max_tokens=rng.choices([64, 96, 128, 192, 256, 384], weights=[3, 4, 3, 2, 1.2, 0.3])[0],
    )


def load_ready(options: TrainOptions) -> dict[str, Candidates]:
    """Read the training sets whose candidates are ready."""
    return {
        name: load_candidates(options.data / name, splits=splits, cache=options.cache)
        for name, splits in TRAIN_SETS.items()
        if (options.cache / f"{name}.npz").exists()
    }


def groups(options: TrainOptions, *, rank: int, refresh: int = 120) -> Iterator[Group]:
    """Yield training groups for ever, without replacement within an epoch; processes see disjoint queries.

    Sets that become ready later join at the next of every `refresh` groups, so that training can start while
    the teacher still scores the larger sets.
    """
    rng = random.Random(1000 + rank)
    sets: dict[str, Candidates] = {}
    pool: list[tuple[str, str]] = []
    count = 0
    while True:
        if count % refresh == 0:
            added = {name: value for name, value in load_ready(options).items() if name not in sets}
            sets |= added
            pool += split_queries(added, hold_out=options.hold_out, held=False)[rank :: options.processes]
            rng.shuffle(pool)
        if not pool:
            pool = split_queries(sets, hold_out=options.hold_out, held=False)[rank :: options.processes]
            rng.shuffle(pool)
        name, query_id = pool.pop()
        count += 1
        yield make_group(sets[name], query_id, options=options, rng=rng)
