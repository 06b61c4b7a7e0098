"""Where reranking made it worse, every output says so in words, and whether that is noise."""

from __future__ import annotations

import pytest

from rerank_plugins.cli.evaluation_table import results_remarks
from rerank_plugins.evaluation.results import Cell, Comparison, Estimate, EvaluationResults, System
from rerank_plugins.evaluation.worse import worse_sentence
from rerank_plugins.reports.contents import sections_of
from rerank_plugins.reports.markdown import markdown_report
from rerank_plugins.reports.page import html_report
from rerank_plugins.reports.systems import Scene


def said(difference: float, p_value: float = 0.4, n_queries: int = 24, after: float = 0.876) -> str:
    against = {"nDCG@10": Comparison(difference, p_value)}
    return worse_sentence("scifact", after={"nDCG@10": after}, against=against, n_queries=n_queries)


def test_the_sentence() -> None:
    assert said(-0.021) == (
        "scifact: reranking lowered nDCG@10 from 0.897 to 0.876 (within noise, p = 0.4); 24 questions."
    )
    assert said(-0.5, p_value=0.001, n_queries=1, after=0.4).endswith("(more than noise, p = 0.001); 1 question.")


@pytest.mark.parametrize("difference", [0.0, 0.2, -0.00001])
def test_nothing_is_said_where_it_is_no_worse(difference: float) -> None:
    assert said(difference, p_value=0.001) == ""


def test_a_comparison_of_a_measure_that_is_not_there_says_nothing() -> None:
    assert worse_sentence("s", after={}, against={"MAP": Comparison(-0.1, 0.04)}, n_queries=3) == ""


def test_each_lowered_measure_is_named_and_no_other() -> None:
    against = {"MAP": Comparison(-0.1, 0.04), "hit@5": Comparison(0.1, 0.5), "recall@5": Comparison(-0.2, 0.3)}
    text = worse_sentence("s", after=dict.fromkeys(against, 0.5), against=against, n_queries=2000)
    assert "MAP from 0.600 to 0.500 (more than noise, p = 0.04), recall@5 from 0.700 to 0.500 (within noise" in text
    assert "hit@5" not in text
    assert "2,000 questions" in text


def results(*p_values: float) -> EvaluationResults:
    def cell(dataset: str, value: float, p_value: float | None) -> Cell:
        reranker = None if p_value is None else "org/<reranker>"
        return Cell(
            dataset=dataset,
            system=System(retriever="bm25", embedder=None, reranker=reranker, top_k=20, top_n=5),
            measures={"MAP": Estimate(value)},
            against_first_stage={} if p_value is None else {"MAP": Comparison(value - 0.7, p_value)},
            n_queries=9,
        )

    pairs = [(cell(f"set{n}", 0.7, None), cell(f"set{n}", 0.6, p)) for n, p in enumerate(p_values)]
    better = (cell("better", 0.7, None), cell("better", 0.8, 0.001))
    return EvaluationResults(cells=tuple(one for pair in [*pairs, better] for one in pair))


def test_the_terminal_says_it_of_each_cell() -> None:
    lines = results_remarks(results(0.3, 0.01))
    assert [line.split(",")[0] for line in lines] == ["set0", "set1"]
    assert ["within noise" in line for line in lines] == [True, False]


def test_both_reports_say_it_with_the_test_of_their_marks() -> None:
    # 0.04 by itself is significant, and of three comparisons it is not (Holm).
    scene = Scene.of(results(0.04, 0.3))
    sections = sections_of(scene, [])
    page = html_report(sections, title="t", environment={})
    pictures = {section.picture.name: "x.png" for section in sections if section.picture}
    text = markdown_report(sections, title="t", environment={}, pictures=pictures)
    sentence = "reranking lowered MAP from 0.700 to 0.600 (within noise, p = 0.04); 9 questions."
    assert f"set0, BM25 → &lt;reranker&gt;: {sentence}" in page
    assert sentence in text
    assert text.count("reranking lowered") == page.count("reranking lowered") == 2
    assert "better, " not in text
