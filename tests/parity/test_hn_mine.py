"""Mining finds what FlagEmbedding's ``scripts/hn_mine.py`` finds on the same vectors and range (a golden)."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from training_rows import write_rows

from rerank_plugins import Embedder
from rerank_plugins.backends.vectors import SimpleTextEmbedder, embedder_spec
from rerank_plugins.training import MiningSettings, TrainingRecord, mine_negatives, read_records

GOLDENS = Path(__file__).parent / "goldens"
sys.path.insert(0, str(GOLDENS))

from golden_io import read_json  # noqa: E402
from hashed_vectors import DIMENSIONS, NEGATIVES, RANGE, pool, rows, vectors  # noqa: E402


class Hashed(SimpleTextEmbedder):
    spec = embedder_spec("tests/hashed", dimensions=DIMENSIONS)

    def embed_texts(self, texts: Sequence[str], *, is_query: bool) -> npt.NDArray[np.float32]:
        return vectors(texts)


def mined(
    folder: Path, *, with_pool: bool, faiss_index: str | None = "Flat", **changes: object
) -> list[TrainingRecord]:
    data = write_rows(folder / "data.jsonl", rows())
    texts = write_rows(folder / "pool.jsonl", [{"text": text} for text in pool()])
    options = {
        "retrievers": ("dense",),
        "range_for_sampling": f"{RANGE[0]}-{RANGE[1]}",
        "negative_number": NEGATIVES,
        "sampling_strategy": "top",
        "keep_labelled": False,
        "random_fill": False,
        "candidate_pool": texts if with_pool else None,
        "faiss_index": faiss_index,
        **changes,
    }
    settings = MiningSettings(data=(data,), output=folder / "out.jsonl", **options)
    mine_negatives(settings, embedder=Embedder(backend=Hashed()))
    return list(read_records(folder / "out.jsonl"))


@pytest.mark.parametrize("faiss_index", ["Flat", None])
@pytest.mark.parametrize("with_pool", [True, False])
def test_the_same_texts_in_the_same_order(with_pool: bool, faiss_index: str | None, tmp_path: Path) -> None:
    golden = read_json(GOLDENS / "hn_mine.json")["with_pool" if with_pool else "without_pool"]
    found = mined(tmp_path, with_pool=with_pool, faiss_index=faiss_index)
    assert [list(one.neg) for one in found] == golden
    # Positives and queries that stand in the range were left out.
    assert any(len(one) < NEGATIVES for one in golden)


def test_draws_are_from_the_same_texts(tmp_path: Path) -> None:
    golden = read_json(GOLDENS / "hn_mine.json")["with_pool"]
    for record, whole in zip(
        mined(tmp_path, with_pool=True, negative_number=15, sampling_strategy="random"), golden, strict=True
    ):
        assert len(set(record.neg)) == 15
        assert set(record.neg) < set(whole)
