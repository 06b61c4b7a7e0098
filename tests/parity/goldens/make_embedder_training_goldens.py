"""Write embedder_training.json: the first step of FlagEmbedding 1.4.2's embedder and m3 on the committed checkpoints.

It needs ``pip install FlagEmbedding==1.4.2 transformers==5.23.0 torch==2.13.0``: the package cannot be imported with
later releases.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Any

from golden_io import CHECKPOINTS, HERE, write_json

sys.path.insert(0, str(HERE.parent))

from reference_embedder_training import DENSE, UNIFIED, first_step


def main() -> None:
    steps: dict[str, Any] = {}
    for checkpoint, cases, unified in (("tiny-bert-embedder", DENSE, False), ("tiny-xlmr-embedder", UNIFIED, True)):
        for name, case in cases.items():
            found = first_step(CHECKPOINTS / checkpoint, case, unified=unified)
            steps[name] = {"checkpoint": checkpoint, **found}
    versions = {name: version(name) for name in ("FlagEmbedding", "transformers", "torch")}
    write_json(HERE / "embedder_training.json", {"versions": versions, "steps": steps})


if __name__ == "__main__":
    main()
