"""Explanations: each figure is the score with the part minus the score without it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_checkpoints import llm_checkpoint

from rerank_plugins import Reranker
from rerank_plugins.calls.explaining import Occlusion
from rerank_plugins.errors import InvalidInputError

QUERY = "where is the library?"
DOCUMENT = "The library is in the old town, near the river."


def test_a_drop_is_what_leaving_the_part_out_costs(bert_reranker_folder: Path) -> None:
    reranker = Reranker(bert_reranker_folder)
    found = reranker.explain(QUERY, DOCUMENT)
    assert [span.text for span in found.spans] == DOCUMENT.replace(",", "").replace(".", "").split()
    assert found.score == pytest.approx(reranker.score([(QUERY, DOCUMENT)])[0], abs=1e-6)
    for span in found.spans:
        assert DOCUMENT[span.start : span.end] == span.text
        without = reranker.score([(QUERY, DOCUMENT[: span.start] + DOCUMENT[span.end :])])[0]
        assert span.drop == pytest.approx(found.score - without, abs=1e-5)
    assert found == reranker.explain(QUERY, DOCUMENT)
    assert found.top(2) == sorted(found.spans, key=lambda span: -span.drop)[:2]


async def test_the_async_twin(bert_reranker_folder: Path) -> None:
    reranker = Reranker(bert_reranker_folder)
    assert await reranker.aexplain(QUERY, DOCUMENT) == reranker.explain(QUERY, DOCUMENT)


def test_of_a_long_document_the_winning_window_is_looked_at(bert_reranker_folder: Path) -> None:
    reranker = Reranker(bert_reranker_folder, long_documents="maxp", max_length=32)
    text = "fish live in water " * 20 + DOCUMENT + " fish live in water" * 20
    window = reranker.rank(QUERY, [text])[0].window
    found = reranker.explain(QUERY, text, max_spans=8)
    assert window is not None
    assert found.window == window
    assert all(window.start <= span.start < span.end <= window.end for span in found.spans)
    assert len(found.spans) <= 8


@pytest.mark.parametrize("name", ["tiny-gemma", "tiny-gemma2-lightweight", "tiny-minicpm-layerwise"])
def test_every_kind_of_reranker_can_be_explained(name: str) -> None:
    found = Reranker(llm_checkpoint(name)).explain("a query", "one two three")
    assert len(found.spans) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((QUERY, "word"), "at least two, got 1"),
        ((QUERY, "  "), "at least two, got 0"),
        ((QUERY, None), "must be strings, got str and NoneType"),
        ((3, DOCUMENT), "must be strings, got int and str"),
    ],
)
def test_what_cannot_be_explained(arguments: tuple, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Occlusion.of(*arguments, max_spans=64)


@pytest.mark.parametrize("max_spans", [1, 0, True, 2.5])
def test_impossible_numbers_of_spans(max_spans: object) -> None:
    with pytest.raises(InvalidInputError, match="max_spans"):
        Occlusion.of(QUERY, DOCUMENT, max_spans=max_spans)  # type: ignore[arg-type]


def test_text_without_spaces_is_cut_in_twos() -> None:
    plan = Occlusion.of("问题", "重排序模型 BGE", max_spans=64)
    assert [plan.document[start:end] for start, end in plan.parts] == ["重排", "序模", "型", "BGE"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("दिल्ली भारत की राजधानी है", ["दिल्ली", "भारत", "की", "राजधानी", "है"]),
        ("Cafe\u0301s, naive", ["Cafe\u0301s", "naive"]),
        ("می\u200cخواهم برود", ["می\u200cخواهم", "برود"]),
        ("ที่นี่ดี", ["ที่นี่", "ดี"]),
    ],
)
def test_a_word_keeps_its_accents_and_vowel_signs(text: str, parts: list[str]) -> None:
    plan = Occlusion.of("q", text, max_spans=64)
    assert [plan.document[start:end] for start, end in plan.parts] == parts


@given(words=st.lists(st.text("abc", min_size=1, max_size=4), min_size=2, max_size=80), max_spans=st.integers(2, 30))
def test_parts_cover_the_words_within_the_limit_and_never_all_at_once(words: list[str], max_spans: int) -> None:
    plan = Occlusion.of("q", " ".join(words), max_spans=max_spans)
    assert 2 <= len(plan.parts) <= max_spans
    assert " ".join(plan.document[start:end] for start, end in plan.parts) == plan.document
    assert all(text is not None and text.strip() for _, text in plan.pairs)
