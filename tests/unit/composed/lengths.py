"""Backends whose scores and times a test decides."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from rerank_plugins.backends.protocol import SimplePairScorer, reranker_spec


class Numbers(SimplePairScorer):
    """Scores a document by the number at a place of it: ``"3 7"`` scores 3 by place 0 and 7 by place 1.

    Args:
        place: Which number.
        name: What it is called.
        seconds: How long each call takes.
        error: What every call raises; None for nothing.
        spec: Further facts of its spec.
    """

    batch_pairs = 10_000

    def __init__(
        self, place: int, *, name: str = "", seconds: float = 0.0, error: Exception | None = None, **spec: Any
    ) -> None:
        self.spec = reranker_spec(name or f"tests/place-{place}", **spec)
        self.place, self.seconds, self.error = place, seconds, error
        self.asked: list[list[str]] = []
        self.is_closed = False

    def score_texts(self, pairs: Sequence[tuple[str, str]]) -> Sequence[float]:
        self.asked.append([document for _, document in pairs])
        time.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return [float(document.split()[self.place]) for _, document in pairs]

    def close(self) -> None:
        self.is_closed = True
