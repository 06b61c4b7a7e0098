"""What callers pass as texts: subclasses of ``str`` count for the text they hold."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path

import numpy as np
import pytest

from rerank_plugins import Document, Embedder, Reranker
from rerank_plugins.backends.vectors import SimpleTextEmbedder, embedder_spec
from rerank_plugins.catalog.spec import Instruction


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
