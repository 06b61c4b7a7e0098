"""Write hn_mine.json with the functions of FlagEmbedding's own ``scripts/hn_mine.py``, on vectors that are given.

    python make_hn_mine_goldens.py FLAGEMBEDDING_CHECKOUT/scripts/hn_mine.py

Needs faiss-cpu, transformers and tqdm. The checkout was at 7ed43d67 (1.4.2). FlagEmbedding itself is not needed: what
the script imports of it only opens models, and stand-ins do here (1.4.2 cannot be imported with transformers 5.24).
The fill with random texts is switched off: it has no seed there.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import sys
import tempfile
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from golden_io import HERE, write_json
from hashed_vectors import NEGATIVES, RANGE, pool, rows, vectors

SOURCE = "1.4.2, scripts/hn_mine.py at 7ed43d67"
LIBRARIES = ("faiss-cpu", "numpy")


def script(path: Path) -> ModuleType:
    """Return the script as a module."""
    names = ("FlagEmbedding", "FlagEmbedding.abc", "FlagEmbedding.abc.inference")
    sys.modules |= {name: ModuleType(name) for name in names}
    sys.modules[names[0]].FlagAutoModel = sys.modules[names[2]].AbsEmbedder = object  # type: ignore[attr-defined]
    spec = importlib.util.spec_from_file_location("hn_mine", path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["hn_mine"] = module
    spec.loader.exec_module(module)
    module.random = SimpleNamespace(sample=lambda population, k: [])  # type: ignore[attr-defined]
    return module


def mined(module: ModuleType, *, with_pool: bool) -> list[list[str]]:
    """Return the negatives of each row, as the script writes them."""
    model = SimpleNamespace(encode=vectors, encode_queries=vectors)
    with tempfile.TemporaryDirectory() as folder:
        data, texts, output = (Path(folder) / name for name in ("data.jsonl", "pool.jsonl", "out.jsonl"))
        data.write_text("".join(json.dumps(row) + "\n" for row in rows()))
        texts.write_text("".join(json.dumps({"text": text}) + "\n" for text in pool()))
        options: dict[str, Any] = {"sample_range": list(RANGE), "negative_number": NEGATIVES}
        module.find_knn_neg(model, str(data), str(output), str(texts) if with_pool else None, **options)
        return [json.loads(line)["neg"] for line in output.read_text().splitlines()]


if __name__ == "__main__":
    path = Path(sys.argv[1])
    module = script(path)
    write_json(
        HERE / "hn_mine.json",
        {
            "versions": {"FlagEmbedding": SOURCE, **{name: importlib.metadata.version(name) for name in LIBRARIES}},
            "script_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "with_pool": mined(module, with_pool=True),
            "without_pool": mined(module, with_pool=False),
        },
    )
