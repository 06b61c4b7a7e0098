"""What notebooks show: numbers, moves and windows are there, and no text becomes markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from rerank_plugins import RankedDocument, WindowSpan
from rerank_plugins.calls.explaining import ExplainedSpan, Explanation, TokenExplanation
from rerank_plugins.ranking.matches import TokenMatch
from rerank_plugins.types import BLANK_DOCUMENT_SCORE, Ranking


class Reader(HTMLParser):
    """Collects the tags, and the text between them; complains about what is not closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


OWN_TAGS = {"table", "thead", "tbody", "tr", "th", "td", "b", "em", "span", "mark", "p", "div"}


def document(text: str | None, *, index: int = 0, rank: int = 1, window: WindowSpan | None = None) -> RankedDocument:
    score = BLANK_DOCUMENT_SCORE if text is None else 1.25
    return RankedDocument(index=index, score=score, probability=0.777, rank=rank, document=text, window=window)


def test_ranks_moves_and_scores_are_shown() -> None:
    html = Ranking([document("first", index=2, rank=1), document("second", index=1, rank=2), document("third", rank=3)])
    text = Reader(html._repr_html_()).text
    assert "3 ▲2" in text
    assert "2 =" in text
    assert "1 ▼2" in text
    assert "1.25" in text
    assert "0.777" in text


def test_a_blank_document_has_no_score_to_show() -> None:
    html = Ranking([document(None)])._repr_html_()
    assert "blank" in html
    assert "10000" not in html


def test_the_window_is_marked_with_some_text_around_it() -> None:
    text = "a" * 500 + "THE WINDOW" + "b" * 500
    html = Ranking([document(text, window=WindowSpan(500, 510))])._repr_html_()
    assert re.search(r"…a{60}<mark [^>]*>THE WINDOW</mark>b{60}…", html)


def test_an_empty_and_a_very_long_list() -> None:
    assert "no document" in Ranking()._repr_html_()
    many = Ranking([document(str(i), index=i, rank=i + 1) for i in range(60)])._repr_html_()
    assert many.count("<tr>") == 51
    assert "and 10 more" in many


@given(text=st.text(max_size=40) | st.sampled_from(["<script>x</script>", "&amp;", '"><img src=x onerror=y>']))
def test_no_text_becomes_markup(text: str) -> None:
    window = WindowSpan(0, len(text) // 2) if text.strip() else None
    for html in (
        Ranking([document(text, window=window)])._repr_html_(),
        Explanation(
            query=text, document=text, score=0.0, spans=(ExplainedSpan(0, len(text), text, -1.0),)
        )._repr_html_(),
    ):
        assert Reader(html).tags <= OWN_TAGS


def test_lone_surrogates_can_be_sent_to_a_page() -> None:
    text = "half \ud83d of a pair"
    match = TokenMatch(
        query_token="\udc00",
        query_span=None,
        is_expansion=False,
        document_token=text,
        document_span=(0, 6),
        similarity=1.0,
        share=1.0,
    )
    spans = (ExplainedSpan(0, 6, text[:6], 1.0),)
    for html in (
        Ranking([document(text)])._repr_html_(),
        Explanation(query=text, document=text, score=0.0, spans=spans)._repr_html_(),
        TokenExplanation(query=text, document=text, score=0.0, spans=spans, matches=(match,))._repr_html_(),
    ):
        assert "half \ufffd of a pair" in Reader(html.encode().decode()).text


def test_spans_are_coloured_by_what_they_gave() -> None:
    spans = (ExplainedSpan(0, 4, "good", 2.0), ExplainedSpan(5, 8, "bad", -1.0))
    html = Explanation(query="q", document="good bad!", score=3.0, spans=spans)._repr_html_()
    assert re.search(r'title="\+2\.00"[^>]*rgba\(0, 114, 178, 0\.75\)[^>]*>good<', html)
    assert re.search(r'title="-1\.00"[^>]*rgba\(213, 94, 0, 0\.38\)[^>]*>bad</span>!', html)


def test_the_strongest_colour_of_nothing_is_none() -> None:
    spans = (ExplainedSpan(0, 4, "good", 0.0),)
    for html in (
        Explanation(query="q", document="good", score=3.0, spans=spans)._repr_html_(),
        Explanation(query="q", document="", score=3.0, spans=())._repr_html_(),
    ):
        assert "the strongest colour is 0.00" in html
