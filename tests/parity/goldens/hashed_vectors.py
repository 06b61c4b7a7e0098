"""Vectors that any Python makes of a text in the same way, and the texts of the mining golden."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

DIMENSIONS = 24
RANGE = (5, 45)
NEGATIVES = 40
"""As many as the range has: FlagEmbedding then draws nothing, and what it finds can be compared."""

_WORDS = ("panda", "bamboo", "capital", "france", "salt", "blood", "doctor", "fee", "photo", "form", "river", "bank")


def vectors(texts: Sequence[str]) -> npt.NDArray[np.float32]:
    """Return unit vectors: a random one for each word, added up, and a little of the whole text's, so that none tie."""
    rows = []
    for text in texts:
        row = sum((_random(word) for word in text.split()), start=np.zeros(DIMENSIONS)) + 0.1 * _random(text)
        rows.append(row / np.linalg.norm(row))
    return np.array(rows, dtype=np.float32)


def _random(name: str) -> npt.NDArray[np.float64]:
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")
    return np.random.RandomState(seed).standard_normal(DIMENSIONS)


def rows() -> list[dict[str, Any]]:
    """Return training rows; some queries and positives are texts of other rows, some positives stand in two."""
    draws = random.Random(7)

    def text(n: int) -> str:
        return " ".join(draws.choices(_WORDS, k=n))

    made = [{"query": text(3), "pos": [text(6), text(9)], "neg": [text(7) for _ in range(3)]} for _ in range(24)]
    made[1]["pos"].append(made[0]["pos"][0])
    made[3]["query"] = made[2]["pos"][1]
    made[5]["pos"] = [made[6]["neg"][0], made[7]["neg"][1]]
    return made


def pool() -> list[str]:
    """Return a candidate pool; one text stands in it twice."""
    draws = random.Random(8)
    texts = [" ".join(draws.choices(_WORDS, k=draws.randint(5, 12))) for _ in range(150)]
    return [*texts, texts[3], *(row["pos"][0] for row in rows()[:12])]
