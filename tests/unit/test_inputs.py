"""What callers pass as texts: subclasses of ``str`` count for the text they hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path

import numpy as np
import pytest

from rerank_plugins import Document, Embedder, Reranker
from rerank_plugins.backends.vectors import SimpleTextEmbedder, embedder_spec
from rerank_plugins.catalog.spec import Instruction
from rerank_plugins.errors import InvalidInputError


class Label(str, Enum):
    """Members whose ``str()`` is their name."""

    QUESTION = "what do pandas eat"
    ANSWER = "Pandas eat bamboo."
    OTHER = "Fish live in water."


class Markup(str):
    """A text that changes what is put in front of it, as markupsafe's does."""

    __slots__ = ()

    def __radd__(self, before: str) -> str:
        return before.upper() + str(self)


PLAIN = [(Label.QUESTION.value, one.value) for one in (Label.ANSWER, Label.OTHER)]


@pytest.mark.parametrize("kind", [Label, Markup, np.str_])
def test_a_text_of_another_class_scores_as_the_text(bert_reranker_folder: Path, kind: type[str]) -> None:
    with Reranker(bert_reranker_folder, device="cpu") as reranker:
        pairs = [(kind(query), kind(document)) for query, document in PLAIN]
        expected = reranker.score(PLAIN)
        assert reranker.score(pairs) == expected
        assert list(reranker.score_stream(iter(pairs))) == pytest.approx(expected, abs=1e-5)
        texts = [kind(PLAIN[0][1]), Document(kind(PLAIN[1][1])), None]
        ranked = reranker.rank(kind(PLAIN[0][0]), texts)
        assert [one.score for one in sorted(ranked, key=lambda one: one.index)[:2]] == expected
        found = reranker.explain(kind(PLAIN[0][0]), kind(PLAIN[0][1]))
        assert found == reranker.explain(*PLAIN[0])


def test_a_result_gives_the_text_back_as_it_came(bert_reranker_folder: Path) -> None:
    with Reranker(bert_reranker_folder, device="cpu") as reranker:
        (found,) = reranker.rank(Label.QUESTION, [Label.ANSWER])
    assert found.document is Label.ANSWER


@pytest.mark.parametrize("kind", [Label, Markup])
def test_an_instruction_stands_as_it_is_before_a_text_of_another_class(kind: type[str]) -> None:
    shown: list[str] = []

    class Lengths(SimpleTextEmbedder):
        spec = embedder_spec("acme/lengths", instructions={"": Instruction(document="<passage> ")})

        def embed_texts(self, texts: Sequence[str], *, is_query: bool) -> list[list[float]]:
            shown.extend(texts)
            return [[float(len(text)), float(is_query)] for text in texts]

    Embedder(backend=Lengths()).embed_documents([kind(Label.ANSWER.value)])
    assert shown == [f"<passage> {Label.ANSWER.value}"]


class Table:
    """Like a table of pandas: it yields the names of its columns."""

    columns = ("text", "title")

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)


def test_a_table_is_no_list_of_texts_though_it_yields_its_columns_names(
    bert_reranker_folder: Path, checkpoints: Path
) -> None:
    with Reranker(bert_reranker_folder, device="cpu") as reranker:
        with pytest.raises(InvalidInputError, match=r"documents must be a list, got a table \(Table\). Pass its texts"):
            reranker.rank("what do pandas eat", Table())  # type: ignore[arg-type]
        with pytest.raises(InvalidInputError, match="pairs must be a list, got a table"):
            list(reranker.score_stream(Table()))  # type: ignore[arg-type]
    with (
        Embedder(checkpoints / "bert-embedder", device="cpu") as embedder,
        pytest.raises(InvalidInputError, match="documents must be a list, got a table"),
    ):
        embedder.embed_documents(Table())  # type: ignore[arg-type]


def test_rows_of_an_array_are_pairs(bert_reranker_folder: Path) -> None:
    with Reranker(bert_reranker_folder, device="cpu") as reranker:
        expected = reranker.score(PLAIN)
        assert reranker.score(np.array(PLAIN)) == expected
        assert reranker.score(np.array(PLAIN, dtype=object)) == expected
        assert list(reranker.score_stream(iter(np.array(PLAIN)))) == pytest.approx(expected, abs=1e-5)
        with pytest.raises(InvalidInputError, match=r"pairs\[0\] must be \(query, document\), got ndarray"):
            reranker.score(np.array([["a", "b", "c"]]))
