"""Vocabularies for tiny tokenizers, the same in every process.

The trainers of ``tokenizers`` for WordPiece and Unigram walk through hash maps: the ids, and with them the scores of a
checkpoint with random weights, differ from run to run. Those for BPE do not.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from tokenizers import Tokenizer, models

_PIECE = 4
"""Words above 8 characters are cut into pieces of this many, as long words are in real vocabularies."""


def fill_wordpiece(tokenizer: Tokenizer, texts: Iterable[str], *, special: list[str]) -> None:
    """Give a WordPiece tokenizer the words of texts, whole or in pieces, and each of their characters."""
    words = _words(tokenizer, texts)
    pieces = {piece if not index else f"##{piece}" for word in words for index, piece in enumerate(_cut(word))}
    letters = {letter for word in words for letter in word}
    vocabulary = [*special, *sorted(letters | {f"##{letter}" for letter in letters} | pieces)]
    tokenizer.model = models.WordPiece(
        {token: index for index, token in enumerate(vocabulary)}, unk_token="[UNK]", max_input_chars_per_word=100
    )
    tokenizer.add_special_tokens(special)


def fill_unigram(tokenizer: Tokenizer, texts: Iterable[str], *, special: list[str]) -> None:
    """Give a Unigram tokenizer the words of texts, whole or in pieces, and each of their characters.

    Scores are logarithms of shares; a character alone is less likely than any piece.
    """
    words = _words(tokenizer, texts)
    counts: Counter[str] = Counter()
    for word, count in words.items():
        counts.update(dict.fromkeys(_cut(word), count))
    total = sum(counts.values())
    scores = {letter: -12.0 for word in words for letter in word}
    scores |= {piece: math.log(count / total) for piece, count in counts.items()}
    pieces = [(name, 0.0) for name in special] + sorted(scores.items())
    tokenizer.model = models.Unigram(pieces, unk_id=special.index("<unk>"))
    tokenizer.add_special_tokens(special)


def _words(tokenizer: Tokenizer, texts: Iterable[str]) -> Counter[str]:
    normalizer, splitter = tokenizer.normalizer, tokenizer.pre_tokenizer
    texts = [normalizer.normalize_str(text) if normalizer else text for text in texts]
    return Counter(word for text in texts for word, _ in splitter.pre_tokenize_str(text))


def _cut(word: str) -> list[str]:
    if len(word) <= 8:
        return [word]
    return [word[start : start + _PIECE] for start in range(0, len(word), _PIECE)]
