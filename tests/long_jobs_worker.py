"""What ``tests/unit/training/test_long_jobs.py`` runs and kills: labels or mines a file, and tells its memory.

python tests/long_jobs_worker.py label|mine DATA OUTPUT [POOL]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rerank_plugins import Reranker
from rerank_plugins.backends.protocol import SimplePairScorer, reranker_spec
from rerank_plugins.training import LabelSettings, MiningSettings, label_records, mine_negatives


class WordOverlap(SimplePairScorer):
    """Counts the words that query and text have in common: costs next to nothing."""

    spec = reranker_spec("tests/word-overlap", revision="1")

    def score_texts(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        return [float(len(set(query.split()) & set(text.split()))) for query, text in pairs]


def peak_bytes() -> int:
    """The most memory so far; what getrusage says would be the parent's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmHWM")))


def run(command: str, data: Path, output: Path, pool: Path | None) -> None:
    reranker = Reranker(backend=WordOverlap())
    # What the work needs once, whatever the number of rows: libraries, and for mining the pool's index.
    start = peak_bytes()
    if command == "label":
        result = label_records(LabelSettings(data=(data,), output=output, batch_pairs=1024), reranker)
        told = {"n_rows": result.n_rows, "n_resumed": result.n_resumed}
    else:
        settings = MiningSettings(
            data=(data,),
            output=output,
            candidate_pool=pool,
            retrievers=("bm25",),
            range_for_sampling="5-25",
            negative_number=5,
            batch_rows=256,
        )
        mined = mine_negatives(settings, filter_model=reranker)
        told = {"n_rows": mined.n_rows, "n_resumed": mined.n_resumed, **mined.counts}
    sys.stdout.write(json.dumps({**told, "start": start, "peak": peak_bytes()}) + "\n")


if __name__ == "__main__":
    run(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]) if len(sys.argv) > 4 else None)
