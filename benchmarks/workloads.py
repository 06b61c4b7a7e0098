"""Queries and passages of exact lengths in tokens, made of real words and always the same.

Mixed lengths follow a lognormal distribution, as passages cut out of documents do: mean about 105 tokens a pair with
the query and special tokens, longest 256. They are the distribution's quantiles in random order, so that a small
request has the same mean as a large one.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import NormalDist

from tokenizers import Tokenizer

from benchmarks.texts import passages, queries

__all__ = ["LONGEST", "PairMaker", "Workload", "mixed_lengths"]

LONGEST = 256
SHORTEST = 24
MEAN = 105
_MEDIAN = 92.0
_SIGMA = 0.55
_FILLER = "the"

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Pairs to score.

    Attributes:
        name: How the results call it.
        pairs: (query, passage) of each pair.
        lengths: Tokens of each pair, special tokens included.
    """

    name: str
    pairs: tuple[Pair, ...]
    lengths: tuple[int, ...]

    @property
    def mean(self) -> float:
        """Mean tokens a pair."""
        return sum(self.lengths) / len(self.lengths)

    def facts(self) -> dict[str, float | str]:
        """Return what the results say about it."""
        return {
            "workload": self.name,
            "pairs": len(self.pairs),
            "tokens": sum(self.lengths),
            "mean_tokens": round(self.mean, 1),
            "longest_tokens": max(self.lengths),
        }


def mixed_lengths(n: int, *, seed: int) -> list[int]:
    """Return ``n`` lengths: quantiles of the clipped lognormal in random order; the longest is 256 from 20 on."""
    if n == 1:
        return [MEAN]
    normal = NormalDist()
    lengths = [
        min(LONGEST, max(SHORTEST, round(_MEDIAN * math.exp(_SIGMA * normal.inv_cdf((index + 0.5) / n)))))
        for index in range(n)
    ]
    if n >= 20:
        lengths[-1] = LONGEST
    random.Random(seed).shuffle(lengths)
    return lengths


class PairMaker:
    """Makes pairs of given lengths for one tokenizer.

    Args:
        folder: A checkpoint; its tokenizer counts.
    """

    def __init__(self, folder: Path) -> None:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self._special = len(tokenizer.encode("", "").ids)
        self._word_length: Callable[[str], int] = lru_cache(maxsize=100_000)(self._counted)

    def _counted(self, word: str) -> int:
        # A word in the middle of a text, as pre-tokenizers that mark blanks see it.
        filler = len(self._tokenizer.encode(_FILLER, add_special_tokens=False).ids)
        return len(self._tokenizer.encode(f"{_FILLER} {word}", add_special_tokens=False).ids) - filler

    def count(self, pair: Pair) -> int:
        """Return the tokens of a pair, special tokens included."""
        return len(self._tokenizer.encode(*pair).ids)

    def mixed(self, n_documents: int, *, n_queries: int = 1, seed: int = 1) -> Workload:
        """Return ``n_queries`` queries with ``n_documents`` passages of mixed lengths each."""
        lengths = [mixed_lengths(n_documents, seed=seed + query) for query in range(n_queries)]
        return self._workload(f"{n_queries} x {n_documents} mixed", lengths, seed=seed)

    def fixed(self, n_documents: int, *, length: int = 128, n_queries: int = 1, seed: int = 1) -> Workload:
        """Return ``n_queries`` queries with passages such that every pair has ``length`` tokens."""
        lengths = [[length] * n_documents for _ in range(n_queries)]
        return self._workload(f"{n_queries} x {n_documents} of {length} tokens", lengths, seed=seed)

    def _workload(self, name: str, lengths: Sequence[Sequence[int]], *, seed: int) -> Workload:
        generator = random.Random(seed)
        pairs = []
        for wanted in lengths:
            query = self._cut(generator.choice(queries()).split(), room=14)
            taken = self._special + len(self._tokenizer.encode(query, add_special_tokens=False).ids)
            pairs += [(query, self._passage(length - taken, generator)) for length in wanted]
        counted = tuple(self.count(pair) for pair in pairs)
        return Workload(name=name, pairs=tuple(pairs), lengths=counted)

    def _cut(self, words: Sequence[str], *, room: int) -> str:
        kept: list[str] = []
        for word in words:
            room -= self._word_length(word)
            if room < 0:
                break
            kept.append(word)
        return " ".join(kept) or _FILLER

    def _passage(self, n_tokens: int, generator: random.Random) -> str:
        """Return words of one or more passages with exactly so many tokens."""
        kept: list[str] = []
        room = max(n_tokens, 1)
        while room > 0:
            words = generator.choice(passages()).split()
            for word in words[generator.randrange(len(words)) :]:
                length = self._word_length(word)
                if length > room:
                    kept += [_FILLER] * room
                    room = 0
                    break
                kept.append(word)
                room -= length
        return " ".join(kept)
