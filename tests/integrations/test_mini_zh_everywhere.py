"""`mini-zh` by its name in both frameworks, on the command line, and with the network switched off."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rerank_plugins import Embedder

pytest.importorskip("rerank_plugins_mini_zh")
lc = pytest.importorskip("langchain_rerank_plugins")
embeddings = pytest.importorskip("llama_index.embeddings.rerank_plugins")

QUESTION = "大熊猫吃什么？"
TEXTS = ["公司去年的净收入增长了百分之十二。", "大熊猫的食物百分之九十九是竹子。", "The giant panda eats bamboo."]


@pytest.mark.slow
def test_both_adapters_give_the_facades_vectors() -> None:
    with Embedder("mini-zh", device="cpu") as embedder:
        query = embedder.embed_queries([QUESTION])[0].tolist()
        documents = embedder.embed_documents(TEXTS).tolist()
    in_langchain = lc.InstructionEmbeddings(model="mini-zh", device="cpu")
    in_llamaindex = embeddings.InstructionEmbedding(model_name="mini-zh", device="cpu")
    assert in_langchain.embed_query(QUESTION) == pytest.approx(query, abs=1e-6)
    assert in_llamaindex.get_query_embedding(QUESTION) == pytest.approx(query, abs=1e-6)
    assert in_langchain.embed_documents(TEXTS)[1] == pytest.approx(documents[1], abs=1e-6)
    assert in_llamaindex.get_text_embedding_batch(TEXTS)[1] == pytest.approx(documents[1], abs=1e-6)


def test_the_answer_in_the_questions_language_is_nearest() -> None:
    with Embedder("mini-zh", device="cpu") as embedder:
        scores = embedder.embed_queries([QUESTION, "What do pandas eat?"]) @ embedder.embed_documents(TEXTS).T
    assert scores.argmax(axis=1).tolist() == [1, 2]


@pytest.mark.slow
def test_on_the_command_line_without_a_network(tmp_path: Path) -> None:
    lines = [
        {"query": QUESTION, "pos": [TEXTS[1]], "neg": [TEXTS[0]]},
        {"query": "净收入", "pos": [TEXTS[0]], "neg": []},
    ]
    data = tmp_path / "questions.jsonl"
    data.write_text("\n".join(json.dumps(line, ensure_ascii=False) for line in lines), encoding="utf-8")
    command = [sys.executable, "-m", "rerank_plugins", "evaluate", str(data), "--output", str(tmp_path / "out")]
    options = ["--retriever", "dense", "--embedder", "mini-zh", "--reranker", "none", "--measure", "nDCG@10"]
    offline = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([*command, *options], env=offline, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "mini-zh" in (tmp_path / "out" / "results.json").read_text(encoding="utf-8")
