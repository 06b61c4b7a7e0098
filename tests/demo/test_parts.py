from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rerank_plugins_demo.chart import save_chart
from rerank_plugins_demo.pipelines import Hit
from rerank_plugins_demo.samples import SAMPLE_FOLDER, load_samples, reads
from rerank_plugins_demo.tables import comparison_table, snippet
from rich.console import Console

from rerank_plugins.catalog import ModelSpec, find_by_name
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.evaluation import Dataset, Document
from rerank_plugins.evaluation.movements import Movement, movements, pick_cases


def spec(kind: str, *languages: str) -> ModelSpec:
    mini = find_by_name("mini", kind="reranker" if kind == "reranker" else "embedder")
    assert mini is not None
    return replace(mini, id=f"a-{kind}", languages=languages)


DATASET = Dataset(
    name="t",
    documents={key: Document(f"text of {key}") for key in "abcd"},
    queries={"q1": "one", "q2": "two"},
    qrels={"q1": {"a": 1, "b": 0}, "q2": {"c": 1, "d": 2}},
)


def test_sample_is_complete_and_has_its_notice() -> None:
    sets, left_out = load_samples(spec("reranker", "multilingual"), spec("embedder"))
    assert left_out == []
    sizes = {one.name: (len(one.documents), len(one.queries)) for one in sets}
    assert sizes == {"tatqa": (500, 120), "scifact": (170, 60), "medquad": (160, 60), "t2ranking_sample": (185, 10)}
    for one in sets:
        judged = {document for grades in one.qrels.values() for document in grades}
        assert judged <= one.documents.keys()
    notice = (SAMPLE_FOLDER / "NOTICE.md").read_text(encoding="utf-8")
    assert all(one.name in notice for one in sets)


def test_chinese_needs_both_models() -> None:
    sets, left_out = load_samples(spec("reranker", "zh", "en"), spec("embedder", "en"), max_queries=3)
    assert [one.name for one in sets] == ["tatqa", "scifact", "medquad"]
    assert left_out == ["t2ranking_sample (Chinese) is left out: embedder a-embedder cannot read it."]
    assert all(len(one.queries) == len(one.qrels) == 3 for one in sets)


def test_one_language_alone() -> None:
    for code, names in (("zh", ["t2ranking_sample"]), ("en", ["tatqa", "scifact", "medquad"])):
        sets, left_out = load_samples(spec("reranker"), spec("embedder"), language=code)
        assert ([one.name for one in sets], left_out) == (names, [])
    with pytest.raises(InvalidInputError, match="English and Chinese"):
        load_samples(spec("reranker"), spec("embedder"), language="ar")


def test_nothing_to_show_is_an_error() -> None:
    with pytest.raises(InvalidInputError, match="English and Chinese"):
        load_samples(spec("reranker", "ar"), spec("embedder", "en"))


def test_languages() -> None:
    assert reads(spec("reranker"), "zh")
    assert reads(spec("reranker", "multilingual"), "zh")
    assert not reads(spec("reranker", "en"), "zh")


def test_movements_of_what_the_first_stage_found() -> None:
    before = {"q1": {"b": 2.0, "a": 1.0}, "q2": {"c": 3.0, "a": 2.0}}
    after = {"q1": {"a": 9.0, "b": 1.0}, "q2": {"a": 5.0, "c": 4.0}}
    assert movements(before, after, DATASET) == [Movement("q1", "a", 2, 1), Movement("q2", "c", 1, 2)]


def test_three_cases_the_best_a_typical_and_the_worst() -> None:
    moves = [
        Movement("same", "d", 1, 1),
        Movement("most", "d", 20, 1),
        Movement("worst", "d", 1, 4),
        Movement("some", "d", 2, 1),
    ]
    cases = pick_cases(moves)
    assert [case.move.query_id for case in cases] == ["most", "some", "worst"]
    assert cases[-1].reason == "hurt most"


def test_cases_when_nothing_was_hurt_or_little_is_there() -> None:
    assert pick_cases([]) == []
    assert [case.reason for case in pick_cases([Movement("q", "d", 3, 1)])] == ["helped most"]
    two = pick_cases([Movement("q", "d", 3, 1), Movement("r", "d", 1, 1)])
    assert two[-1].reason.startswith("none was hurt")


def test_cases_when_nothing_was_helped() -> None:
    stayed = pick_cases([Movement(query, "d", 1, 1) for query in "abc"])
    assert [case.reason.split(";")[0] for case in stayed] == [
        "none was helped",
        "one of those that stayed",
        "none was hurt",
    ]
    hurt = pick_cases([Movement("a", "d", 1, 2), Movement("b", "d", 1, 3)])
    assert [case.reason.split(";")[0] for case in hurt] == ["none was helped", "hurt most"]


def test_a_query_counts_by_its_best_document() -> None:
    (case,) = pick_cases([Movement("q", "a", 5, 2), Movement("q", "b", 3, 9)])
    assert (case.move.before, case.move.after) == (3, 2)


def test_comparison_shows_ranks_and_marks() -> None:
    before = [Hit(key, 1.0) for key in "abc"]
    table = comparison_table(DATASET, "q2", before=before, after=[Hit("c", 2.0), Hit("b", 1.0)])
    console = Console(width=100, record=True, quiet=False)
    with console.capture() as captured:
        console.print(table)
    first, second = captured.get().splitlines()[3:5]
    assert "↑ 3→1" in first
    assert "✔ text of c" in first
    assert "text of a" in first
    assert "=" in second


def test_snippet() -> None:
    assert snippet(Document("body", title="Title")) == "Title"
    assert snippet(Document("one\n two"), n_characters=50) == "one two"
    assert snippet(Document("abcdefgh ijkl"), n_characters=10) == "abcdefgh…"


@pytest.mark.parametrize("n_groups", [1, 3])
def test_picture_is_a_png(tmp_path: Path, n_groups: int) -> None:
    moves = [Movement("q", "d", 12, 1), Movement("r", "d", 1, 3), Movement("s", "d", 2, 2)]
    groups = {f"set {i}": moves for i in range(n_groups)} | {"empty": []}
    path = save_chart(groups, tmp_path / "a.png", title="t", top_k=20)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size > 10_000
