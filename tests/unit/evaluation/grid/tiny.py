"""A small dataset whose grid runs in a second on the tiny checkpoints."""

from __future__ import annotations

from pathlib import Path

from rerank_plugins.evaluation import Dataset, Document
from rerank_plugins.evaluation.grid import GridOptions

_WORDS = "panda bamboo China Paris France Berlin Germany revenue passport photo salt doctor bear capital fee".split()  # noqa: SIM905


def tiny_dataset(*, n_documents: int = 40, n_queries: int = 12) -> Dataset:
    """Every query's words are those of one document, which is relevant, and of its neighbour, which is half so."""
    # The tiny vocabulary does not have every number: words alone must tell the documents apart.
    texts = [
        " ".join(_WORDS[(i * step + i // len(_WORDS) * (step + 1)) % len(_WORDS)] for step in (1, 2, 4, 7)) + f" {i}"
        for i in range(n_documents)
    ]
    return Dataset(
        name="tiny",
        documents={f"d {i}": Document(text) for i, text in enumerate(texts)},
        queries={f"q{i}": " ".join([*texts[i * 3].split()[:2], f"x{i}"]) for i in range(n_queries)},
        qrels={f"q{i}": {f"d {i * 3}": 2, f"d {i * 3 + 1}": 1} for i in range(n_queries)},
        candidates={f"q{i}": tuple(f"d {(i * 3 + step) % n_documents}" for step in range(4)) for i in range(n_queries)},
    )


def tiny_options(checkpoints: Path, **changes: object) -> GridOptions:
    """A grid on the tiny checkpoints with few draws."""
    given = {
        "embedders": (str(checkpoints / "bert-embedder"),),
        "rerankers": (str(checkpoints / "bert-reranker"),),
        "top_ks": (8,),
        "top_ns": (5,),
        "n_resamples": 20,
        "n_permutations": 20,
        "device": "cpu",
    }
    return GridOptions(**{**given, **changes})
