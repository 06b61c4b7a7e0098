"""Which texts a model reads without their end: those whose vectors do not change when a word is added."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import colbert_checkpoints
import numpy as np
import pytest
import tiny_checkpoints

from rerank_plugins import Embedder, InstructionOptions, VectorOptions
from rerank_plugins.backends.vectors import SimpleTextEmbedder, embedder_spec
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.text.single import MAX_CHARACTERS


class Lengths(SimpleTextEmbedder):
    """Counts characters, so that each word more gives another vector."""

    spec = embedder_spec("acme/lengths", dimensions=2, max_length=8)

    def embed_texts(self, texts: Sequence[str], *, is_query: bool) -> list[list[float]]:
        return [[float(len(text)), 1.0] for text in texts]


KINDS: dict[str, Callable[[Path], Embedder]] = {
    "bert": lambda root: Embedder(tiny_checkpoints.bert_embedder(root / "m"), device="cpu", max_length=16),
    "instruction": lambda root: Embedder(
        tiny_checkpoints.bert_embedder(root / "m"),
        device="cpu",
        max_length=16,
        instruction=InstructionOptions(query="Find what a panda eats: ", document="Keep: "),
    ),
    "colbert": lambda root: Embedder(colbert_checkpoints.stanford(root / "m"), device="cpu", max_length=16),
    "backend": lambda _: Embedder(
        backend=Lengths(), instruction=InstructionOptions(query="Find: "), vectors=VectorOptions(normalize=False)
    ),
}


def vectors(embedder: Embedder, text: str, *, is_query: bool) -> Any:
    if embedder.spec.late_interaction is None:
        return (embedder.embed_queries if is_query else embedder.embed_documents)([text])[0]
    encode = embedder.encode_queries if is_query else embedder.encode_documents
    return (encode([text], outputs=("colbert",)).colbert or ())[0]


@pytest.mark.parametrize("is_query", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_a_text_is_truncated_where_a_word_more_changes_nothing(kind: str, is_query: bool, tmp_path: Path) -> None:
    with KINDS[kind](tmp_path) as embedder:
        truncated = embedder.truncated_queries if is_query else embedder.truncated_documents
        texts = [" ".join(["panda"] * n_words) for n_words in range(1, 40)]
        made = [vectors(embedder, text, is_query=is_query) for text in texts]
        same = [np.array_equal(one, other) for one, other in pairwise(made)]
        assert truncated(texts)[1:] == same
        assert {True, False} == set(same)
        assert truncated([]) == []
        assert truncated([""]) == [False]
        with pytest.raises(InvalidInputError, match=r"\[1\]"):
            truncated(["a", None])


@pytest.mark.parametrize("kind", ["bert", "colbert"])
def test_characters_that_are_never_tokenised_are_cut_too(kind: str, tmp_path: Path) -> None:
    blank = " " * MAX_CHARACTERS
    with KINDS[kind](tmp_path) as embedder:
        assert embedder.truncated_documents([blank, f"{blank}panda"]) == [False, True]
        first, second = (vectors(embedder, text, is_query=False) for text in (blank, f"{blank}panda"))
    assert np.array_equal(first, second)
