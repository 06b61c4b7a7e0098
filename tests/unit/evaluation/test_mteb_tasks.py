"""MTEB tasks through the real mteb package, whose loader reads a folder here instead of the hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.evaluation import evaluate
from rerank_plugins.evaluation.formats import open_dataset
from rerank_plugins.evaluation.measures import parse_measures

mteb = pytest.importorskip("mteb")

CORPUS = [{"_id": "x", "title": "T", "text": "A"}, {"_id": "y", "title": "", "text": "B"}, {"_id": "z", "text": "C"}]
QUERIES = [{"_id": "1", "text": "甲?"}, {"_id": "2", "text": "乙?"}, {"_id": "3", "text": "nobody judged this"}]
QRELS = [("1", "x", 1), ("1", "y", 0), ("2", "z", 1), ("2", "x", 1)]
TOP_RANKED = [{"query-id": "1", "corpus-ids": ["y", "x"]}, {"query-id": "2", "corpus-ids": ["z", "y", "x"]}]


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """A repository in the layout that mteb 2 reads: a configuration for each part."""
    parts: dict[str, list[dict[str, Any]]] = {
        "corpus": [{"title": "", **row} for row in CORPUS],
        "queries": QUERIES,
        "qrels": [{"query-id": query, "corpus-id": document, "score": score} for query, document, score in QRELS],
        "top_ranked": TOP_RANKED,
    }
    lines = ["---", "configs:"]
    for name, rows in parts.items():
        text = "\n".join(json.dumps(row) for row in rows)
        (tmp_path / f"{name}.jsonl").write_text(text + "\n", encoding="utf-8")
        lines += [f"- config_name: {'default' if name == 'qrels' else name}", "  data_files:"]
        lines += ["  - split: dev", f"    path: {name}.jsonl"]
    (tmp_path / "README.md").write_text("\n".join([*lines, "---", ""]), encoding="utf-8")
    return tmp_path


@pytest.fixture
def t2reranking(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(mteb.get_task("T2Reranking").metadata.dataset, "path", str(hub))


@pytest.mark.usefixtures("t2reranking")
def test_a_reranking_task() -> None:
    dataset = open_dataset("mteb:T2Reranking")
    assert dataset.name == "T2Reranking"
    assert dataset.texts == {"x": "T A", "y": "B", "z": "C"}
    assert dataset.queries == {"1": "甲?", "2": "乙?"}
    assert dataset.qrels == {"1": {"x": 1, "y": 0}, "2": {"z": 1, "x": 1}}
    assert dataset.candidates == {"1": ("y", "x"), "2": ("z", "y", "x")}
    assert open_dataset("mteb:T2Reranking/default", split="dev") == dataset


class Fixed:
    """A reranker for mteb with scores by document text."""

    def __init__(self) -> None:
        self.mteb_model_meta = mteb.models.ModelMeta.create_empty()

    def predict(self, inputs1: Any, inputs2: Any, **_: Any) -> Any:
        import numpy as np

        return np.array([SCORES[text] for batch in inputs2 for text in batch["text"]])


SCORES = {"T A": 0.5, "B": 0.7, "C": 0.1}


@pytest.mark.usefixtures("t2reranking")
def test_mteb_measures_the_same_map() -> None:
    result = mteb.evaluate(Fixed(), mteb.get_task("T2Reranking"), cache=None, co2_tracker=False)
    theirs = result.task_results[0].get_score()
    dataset = open_dataset("mteb:T2Reranking")
    run = {
        query_id: {document_id: SCORES[dataset.texts[document_id]] for document_id in listed}
        for query_id, listed in dataset.candidates.items()
    }
    ours = evaluate(run, dataset.qrels, measures=parse_measures(["MAP"])).mean("MAP")
    # By hand: x is second of two; x and z are second and third of three.
    assert ours == pytest.approx((1 / 2 + (1 / 2 + 2 / 3) / 2) / 2)
    assert theirs == pytest.approx(ours, abs=1e-5)


@pytest.mark.usefixtures("t2reranking")
def test_a_task_that_reads_data_in_the_old_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    task_type = type(mteb.get_task("T2Reranking"))

    def load_data(task: Any, **_: Any) -> None:
        task.corpus = {"dev": {"x": {"title": "T", "text": "A"}, "y": {"text": "B"}}}
        task.queries = {"dev": {"1": "a?"}}
        task.relevant_docs = {"dev": {"1": {"x": 1}}}
        task.top_ranked = {"dev": {"1": ["y", "x"]}}
        task.data_loaded = True

    monkeypatch.setattr(task_type, "load_data", load_data)
    dataset = open_dataset("mteb:T2Reranking")
    assert dataset.texts == {"x": "T A", "y": "B"}
    assert (dataset.queries, dataset.qrels, dataset.candidates) == ({"1": "a?"}, {"1": {"x": 1}}, {"1": ("y", "x")})


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"text": "q", "instruction": "Only laws."}, "q Only laws."),
        ({"text": "q", "instruction": None}, "q"),
        ({"text": ["one", "two"]}, None),
    ],
)
def test_instructions_follow_the_query(monkeypatch: pytest.MonkeyPatch, row: Any, expected: str | None) -> None:
    def load_data(task: Any, **_: Any) -> None:
        part = {"corpus": [{"id": "x", "text": "A"}], "queries": [{"id": "1", **row}], "relevant_docs": {"1": {"x": 1}}}
        task.dataset = {"default": {"dev": part}}

    monkeypatch.setattr(type(mteb.get_task("T2Reranking")), "load_data", load_data)
    if expected is None:
        with pytest.raises(InvalidInputError, match="conversations"):
            open_dataset("mteb:T2Reranking")
    else:
        assert open_dataset("mteb:T2Reranking").queries == {"1": expected}


@pytest.mark.parametrize("name", ["T2Reranking", "MMarcoReranking", "CMedQAv1-reranking", "CMedQAv2-reranking"])
def test_the_tasks_of_the_reproduction_page_exist(name: str) -> None:
    task = mteb.get_task(name)
    assert isinstance(task, mteb.abstasks.AbsTaskRetrieval)
    assert task.metadata.type == "Reranking"
    assert task.metadata.main_score == "map_at_1000"


@pytest.mark.parametrize(
    ("task", "split", "match"),
    [
        ("Unheard", None, "knows no task 'Unheard'"),
        ("T2Reranking", "test", "no split 'test'; there are dev"),
        ("T2Reranking/en", None, "no subset 'en'; there are default"),
        ("MIRACLReranking", None, "several subsets and none was chosen .NAME/SUBSET.; there are ar, bn"),
        ("STS12", None, "is no retrieval or reranking task"),
        ("VidoreArxivQARetrieval", None, "is about text, image|is about image, text"),
    ],
)
def test_what_cannot_be_read_is_told_before_a_download(task: str, split: str | None, match: str) -> None:
    with pytest.raises(InvalidInputError, match=match):
        open_dataset(f"mteb:{task}", split=split)
