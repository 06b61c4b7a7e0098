"""Which texts a model reads without their end, and what its vectors are known by in stores."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
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


class Elsewhere(Lengths):
    """Says where its numbers come from."""

    def __init__(self, address: str) -> None:
        self.identity = ("acme", address)


def test_a_key_of_vectors_changes_with_all_that_decides_them(tmp_path: Path) -> None:
    folder = tiny_checkpoints.bert_embedder(tmp_path / "m")
    other = tiny_checkpoints.bert_embedder(tmp_path / "other", pooling="mean")
    make = partial(Embedder, device="cpu")
    of_query = make(folder, instruction=InstructionOptions(query="Find: "))
    of_document = make(folder, instruction=InstructionOptions(document="Keep: "))
    others = [
        make(other),
        make(folder, max_length=16),
        make(folder, vectors=VectorOptions(dimensions=8)),
        make(folder, vectors=VectorOptions(normalize=False)),
        make(folder, dtype="bfloat16"),
        Embedder(backend=Lengths()),
        Embedder(backend=Elsewhere("a")),
        Embedder(backend=Elsewhere("b")),
    ]
    for is_query, changed, same in ((True, of_query, of_document), (False, of_document, of_query)):
        keys = [one.vectors_key(is_query=is_query) for one in (make(folder), changed, *others)]
        assert len(set(keys)) == len(keys)
        assert make(folder).vectors_key(is_query=is_query) == keys[0] == same.vectors_key(is_query=is_query)
        assert Embedder(backend=Lengths()).vectors_key(is_query=is_query) in keys
        assert make(folder).vectors_key(is_query=not is_query) not in keys


def test_a_key_of_token_vectors_changes_with_the_words_that_get_none(tmp_path: Path) -> None:
    def keys(name: str, **options: Any) -> list[str]:
        folder = colbert_checkpoints.multi_vector_encoder(tmp_path / name, **options)
        with Embedder(folder, device="cpu") as embedder:
            return [embedder.vectors_key(is_query=is_query) for is_query in (True, False)]

    first, same = keys("one"), keys("same")
    assert first == same
    assert not set(first) & set(keys("other", skipped=["."]))


def test_a_key_of_vectors_is_the_same_in_another_process_and_of_a_closed_model(tmp_path: Path) -> None:
    folder = tiny_checkpoints.bert_embedder(tmp_path / "m")
    embedder = Embedder(folder, device="cpu")
    ask = "import sys; from rerank_plugins import Embedder; print(Embedder(sys.argv[1]).vectors_key(is_query=True))"
    said = subprocess.run([sys.executable, "-c", ask, str(folder)], check=True, capture_output=True, text=True)
    copied = copy.copy(embedder)
    embedder.close()
    assert said.stdout.strip() == embedder.vectors_key(is_query=True) == copied.vectors_key(is_query=True)
