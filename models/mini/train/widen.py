"""Widen the training candidates from BM25 top-12 to top-50, without new teacher passes.

Only documents that the teacher scored already are kept (all, for sets used with labels alone). The second
training stage draws from these lists, because lists of twelve near neighbours teach that shared words mean little.

    python -m train.widen --data DATA --cache CACHE --out WIDE_CACHE
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from train.data import N_CANDIDATES, TRAIN_SETS, bm25_candidates, load_set, subset

logger = logging.getLogger(__name__)


def widen(folder: Path, *, splits: tuple[str, ...], cache: Path, out: Path) -> None:
    """Write `out/SET.candidates.json` with up to 50 scored candidates a query, and copy the vectors."""
    narrow: dict[str, list[str]] = json.loads((cache / f"{folder.name}.candidates.json").read_text())
    data = subset(load_set(folder, splits=splits))
    data = replace(data, queries={query_id: data.queries[query_id] for query_id in narrow})
    scored = set(np.load(cache / f"{folder.name}.npz")["document_ids"].tolist())
    rows = {}
    for query_id, wide in bm25_candidates(data, n=N_CANDIDATES).items():
        row = [d for d in wide if not scored or d in scored]
        rows[query_id] = row + [d for d in narrow[query_id] if d not in set(row)]
    (out / f"{folder.name}.candidates.json").write_text(json.dumps(rows))
    shutil.copy(cache / f"{folder.name}.npz", out / f"{folder.name}.npz")
    logger.info("%s: %.1f candidates a query", folder.name, np.mean([len(row) for row in rows.values()]))


def main() -> None:
    """Widen every training set."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("data", "cache", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    options.out.mkdir(parents=True, exist_ok=True)
    for name, splits in TRAIN_SETS.items():
        widen(options.data / name, splits=splits, cache=options.cache, out=options.out)


if __name__ == "__main__":
    main()
