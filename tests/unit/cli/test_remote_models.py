"""Commands and the evaluation grid take a service by its name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scripted_server import Answer, Request, scripted_server
from typer.testing import CliRunner

from rerank_plugins.cli.application import app

QUERY = "what do pandas eat"
DOCUMENTS = ["rivers run", "all pandas eat bamboo", "cats eat fish"]


def overlap(request: Request) -> Answer:
    words = set(request.body["query"].split())
    found = [len(words & set(text.split())) / 10 for text in request.body["documents"]]
    return Answer({"results": [{"index": n, "relevance_score": score} for n, score in enumerate(found)]})


def test_rank_and_score(tmp_path: Path) -> None:
    texts, pairs, scores = tmp_path / "documents.txt", tmp_path / "pairs.jsonl", tmp_path / "scores.jsonl"
    texts.write_text("\n".join(DOCUMENTS), encoding="utf-8")
    pairs.write_text("\n".join(json.dumps({"query": QUERY, "document": one}) for one in DOCUMENTS), encoding="utf-8")
    with scripted_server(overlap) as server:
        model = f"cohere:{server.url}#rerank-v3.5"
        done = CliRunner().invoke(app, ["rank", str(texts), "--query", QUERY, "--model", model])
        assert done.exit_code == 0, done.output
        places = [done.stdout.index(DOCUMENTS[index].split()[1]) for index in (1, 2, 0)]
        assert places == sorted(places)
        done = CliRunner().invoke(app, ["score", str(pairs), "--model", model, "-o", str(scores)])
        assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in scores.read_text(encoding="utf-8").splitlines()]
    assert [row["score"] for row in rows] == [0.0, 0.2, 0.1]


def test_evaluate(tmp_path: Path) -> None:
    pytest.importorskip("ir_measures")
    pytest.importorskip("bm25s")
    data = tmp_path / "pairs.jsonl"
    data.write_text(json.dumps({"query": QUERY, "pos": [DOCUMENTS[1]], "neg": [DOCUMENTS[0], DOCUMENTS[2]]}), "utf-8")
    with scripted_server(overlap) as server:
        model = f"cohere:{server.url}#rerank-v3.5"
        arguments = ["evaluate", str(data), "--retriever", "bm25", "--reranker", model, "-o", str(tmp_path / "out")]
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, done.output
        assert server.requests
