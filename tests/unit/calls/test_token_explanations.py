"""An explanation of late interaction is what the score is made of, and points at the right characters."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import colbert_checkpoints as tiny
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rerank_plugins import InvalidInputError, Reranker
from rerank_plugins.calls.explaining import TokenExplanation
from rerank_plugins.types import LongDocumentStrategy


@pytest.fixture(scope="module", params=[tiny.stanford, tiny.m3], ids=["sum", "mean"])
def reranker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reranker]:
    with Reranker(request.param(tmp_path_factory.mktemp("late") / "model"), device="cpu") as opened:
        yield opened


@given(query=st.text(max_size=40), document=st.text(min_size=1, max_size=80))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_shares_are_the_score_and_the_spans_are_in_the_texts(reranker: Reranker, query: str, document: str) -> None:
    if not document.strip():
        return
    found = reranker.explain(query, document)
    assert isinstance(found, TokenExplanation)
    assert sum(one.share for one in found.matches) == pytest.approx(found.score, abs=1e-5)
    assert found.score == pytest.approx(reranker.score([(query, document)])[0], abs=1e-5 * 32)
    for one in found.matches:
        for span, text in ((one.query_span, query), (one.document_span, document)):
            assert span is None or 0 <= span[0] <= span[1] <= len(text)
    assert all(span.text == document[span.start : span.end] for span in found.spans)


def test_words_are_answered_by_themselves_and_expansions_are_marked(tmp_path: Path) -> None:
    with Reranker(tiny.stanford(tmp_path / "model"), device="cpu") as reranker:
        found = reranker.explain("bamboo passport", "You need a passport.")
    assert [one.query_token for one in found.matches][:2] == ["[CLS]", "[unused0]"]
    assert len(found.matches) == 32
    assert [one.is_expansion for one in found.matches] == [one.query_token == "[MASK]" for one in found.matches]
    spelled = {"bamboo passport"[slice(*one.query_span)] for one in found.matches if one.query_span}
    assert spelled == {"bamboo", "passport"}
    # The skip list answers nothing.
    assert all(one.document_token != "." for one in found.matches)


def test_of_a_long_document_the_window_with_the_best_score(tmp_path: Path) -> None:
    text = " ".join(tiny.SENTENCES) * 3
    with Reranker(tiny.stanford(tmp_path / "model"), device="cpu", long_documents="maxp") as reranker:
        found, (ranked,) = reranker.explain("renew a passport", text), reranker.rank("renew a passport", [text])
        assert (found.window, found.score) == (ranked.window, pytest.approx(ranked.score, abs=1e-4))
        again = asyncio.run(reranker.aexplain("renew a passport", text))
        assert (again.window, again.score) == (found.window, pytest.approx(found.score, abs=1e-4))
    assert found.window is not None
    assert all(found.window.start <= span.start < span.end <= found.window.end for span in found.spans)


@pytest.mark.parametrize("strategy", ["truncate", "firstp"])
def test_of_a_document_that_was_cut_the_part_that_was_read(tmp_path: Path, strategy: LongDocumentStrategy) -> None:
    text = " ".join(tiny.SENTENCES) * 3
    folder = tiny.stanford(tmp_path / "model")
    with Reranker(folder, device="cpu", max_length=16, long_documents=strategy) as reranker:
        found, (ranked,) = reranker.explain("renew a passport", text), reranker.rank("renew a passport", [text])
        assert reranker.explain("renew a passport", "You need a passport.").window is None
    assert ranked.truncated
    assert found.window == ranked.window
    assert found.window is not None
    assert found.window.end < len(text)


def test_a_blank_document_has_no_explanation(reranker: Reranker) -> None:
    with pytest.raises(InvalidInputError, match="blank document"):
        reranker.explain("a", " ")


def test_the_picture_escapes_and_says_who_answered(tmp_path: Path) -> None:
    with Reranker(tiny.stanford(tmp_path / "model"), device="cpu") as reranker:
        html = reranker.explain("<b>bamboo", "<script>bamboo & panda")._repr_html_()
    assert "<script>" not in html
    assert "&lt;" in html
    assert "32 matches" in html
    assert html.count("<tr") == 33


def test_a_document_of_which_no_token_counts_has_no_matches(tmp_path: Path) -> None:
    folder = tiny.multi_vector_encoder(tmp_path / "model", skipped=["[CLS]", "[SEP]", "[D]", "."])
    with Reranker(folder, device="cpu") as opened:
        found = opened.explain("What do pandas eat?", ". .")
        assert isinstance(found, TokenExplanation)
        assert found.matches == found.spans == ()
        assert found.score == opened.score([("What do pandas eat?", ". .")])[0] < 0
        assert found._repr_html_()
