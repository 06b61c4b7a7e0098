"""Scores of colbert-ai 0.2.22 and of PyLate 1.6.0 on the committed late-interaction checkpoints.

Each runs in an environment of its own (neither runs on the transformers that this project is tested with)::

    pip install "torch<2.14" "transformers==4.57.1" ujson tqdm scipy bitarray datasets ninja
    pip install gitpython python-dotenv flask
    pip install --no-deps colbert-ai==0.2.22
    python make_colbert_goldens.py colbert-ai

    pip install "torch<2.14" "transformers==5.3.0" "sentence-transformers==5.3.0" pandas ujson datasets accelerate
    pip install --no-deps pylate==1.6.0
    python make_colbert_goldens.py pylate

Without its dependencies PyLate lacks its indexes (fast-plaid has no wheel for this torch), so that only its model and
its scores are imported here. ``python make_colbert_goldens.py checkpoints`` writes the checkpoints, in this project's
own environment.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
CHECKPOINTS = HERE / "checkpoints"
NAMES = {"colbert-ai": ("colbert-stanford", "colbert-stanford-attend"), "pylate": ("colbert-pylate",)}
QUERIES = [
    "What do pandas eat?",
    "renew passport",
    (
        "The giant panda is a bear species endemic to China, eats bamboo and sleeps most of the day in "
        "Sichuan; where else?"
    ),
    "鹦鹉吃什么？",
]
TEXTS = [
    "The giant panda is a bear species endemic to China.",
    "Net revenue grew by 12.5 % in 2019, compared with 8.1 % in 2018.",
    "鹦鹉的生活习性是什么？鹦鹉吃种子、水果和小鱼。",
    "How do I renew a passport? You need a photo, a form and a fee.",
    "a",
    "...",
    "x! y? z, w; (v) bamboo",
    "Paris is the capital of France; Berlin is the capital of Germany. " * 6,
]


def colbert_ai(folder: Path) -> list[list[float]]:
    """Return the scores of each query with each text."""
    import torch
    from colbert.infra import ColBERTConfig
    from colbert.modeling.checkpoint import Checkpoint
    from colbert.modeling.colbert import ColBERT

    # A C++ extension for its search, which scoring does not need.
    ColBERT.try_load_torch_extensions = classmethod(lambda cls, use_gpu: None)
    model = Checkpoint(str(folder), colbert_config=ColBERTConfig.load_from_checkpoint(str(folder)), verbose=0)
    queries = model.queryFromText(QUERIES).float()
    documents = [model.docFromText([text], keep_dims=False)[0].float() for text in TEXTS]
    with torch.inference_mode():
        return [[float((one @ query.T).amax(0).sum()) for one in documents] for query in queries]


def pylate(folder: Path) -> list[list[float]]:
    """Return the scores of each query with each text."""
    import torch
    from pylate.models import ColBERT

    model = ColBERT(str(folder), device="cpu")
    queries = model.encode(QUERIES, is_query=True, convert_to_tensor=True)
    documents = model.encode(TEXTS, is_query=False, convert_to_tensor=True)
    with torch.inference_mode():
        return [[float((one @ query.T).amax(0).sum()) for one in documents] for query in queries]


def write_checkpoints() -> None:
    """Write the committed checkpoints."""
    sys.path.insert(0, str(HERE.parents[1]))
    import colbert_checkpoints

    colbert_checkpoints.stanford(CHECKPOINTS / "colbert-stanford")
    colbert_checkpoints.stanford(CHECKPOINTS / "colbert-stanford-attend", dim=16, attend=True)
    colbert_checkpoints.pylate(CHECKPOINTS / "colbert-pylate", widths=(48, 16))


def main() -> None:
    """Write one library's goldens."""
    name = sys.argv[1]
    if name == "checkpoints":
        write_checkpoints()
        return
    score: Any = {"colbert-ai": colbert_ai, "pylate": pylate}[name]
    names = (name, "torch", "transformers")
    document = {
        "versions": {one: importlib.metadata.version(one) for one in names},
        "queries": QUERIES,
        "texts": TEXTS,
        "scores": {one: [[round(x, 6) for x in row] for row in score(CHECKPOINTS / one)] for one in NAMES[name]},
    }
    path = HERE / f"{name.replace('-', '_')}.json"
    path.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
