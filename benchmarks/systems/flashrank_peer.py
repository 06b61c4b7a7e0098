"""FlashRank's ``Ranker``. It downloads its own models; here it finds this checkpoint in the cache folder instead."""

from __future__ import annotations

import logging
import shutil
from itertools import groupby
from typing import Any

from benchmarks.systems.base import CannotLoadError, OpenRequest, Pairs, System, SystemSpec, import_peer, logit
from benchmarks.systems.exported import as_onnx

__all__ = ["FLASHRANK", "FlashRankPeer"]

_NAME = "ms-marco-MiniLM-L-12-v2"
_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


class FlashRankPeer:
    """FlashRank's own code on the exported checkpoint, its probabilities turned back into logits.

    Args:
        request: What to open.
    """

    def __init__(self, request: OpenRequest) -> None:
        module = import_peer("flashrank", install="pip install -r benchmarks/requirements.txt")
        file_names: dict[str, str] = import_peer("flashrank.Config", install="").model_file_map
        if _NAME not in file_names:
            msg = f"this version of FlashRank knows no {_NAME}, whose place the checkpoint would take"
            raise CannotLoadError(msg)
        cache = request.scratch / "flashrank" / request.folder.name
        target = cache / _NAME
        target.mkdir(parents=True, exist_ok=True)
        for name in _FILES:
            shutil.copyfile(request.folder / name, target / name)
        shutil.copyfile(as_onnx(request), target / file_names[_NAME])
        self._request_class: Any = module.RerankRequest
        self._ranker: Any = module.Ranker(
            model_name=_NAME, cache_dir=str(cache), max_length=request.max_length, log_level="WARNING"
        )
        logging.getLogger("flashrank").setLevel(logging.WARNING)

    def score(self, pairs: Pairs) -> list[float]:
        """Return the raw logit of each pair, in order; one request per run of equal queries."""
        scores: list[float] = []
        for query, run in groupby(pairs, key=lambda pair: pair[0]):
            found = self._ranker.rerank(
                self._request_class(
                    query=query,
                    passages=[{"id": index, "text": document} for index, (_, document) in enumerate(run)],
                )
            )
            scores += [logit(float(one["score"])) for one in sorted(found, key=lambda one: int(one["id"]))]
        return scores

    def close(self) -> None:
        """Give memory back."""
        self._ranker = None


def _open(request: OpenRequest) -> System:
    return FlashRankPeer(request)


FLASHRANK = SystemSpec(name="FlashRank", dtype="float32", open=_open)
