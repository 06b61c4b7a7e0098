"""Scores of the released reference code, on committed tiny checkpoints (see goldens/README.md)."""

from __future__ import annotations

import json
import shutil
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_checkpoints
from declared import parity

from rerank_plugins import Embedder, InstructionOptions, LongDocuments, Reranker
from rerank_plugins.text.pairs import PairLayout
from rerank_plugins.text.tokenizer import is_blank
from rerank_plugins.types import BLANK_DOCUMENT_SCORE

GOLDENS = Path(__file__).parent / "goldens"
TOLERANCE = 1e-4


@lru_cache
def golden(name: str) -> dict[str, Any]:
    return json.loads((GOLDENS / f"{name}.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def run_id(run: dict[str, Any]) -> str:
    parts = [run.get(key) for key in ("checkpoint", "name", "method", "library", "max_length", "overlap_tokens")]
    parts.append(f"q{run.get('query_max_length')}" if "query_max_length" in run else run.get("instruction", "")[:9])
    return "-".join(str(part) for part in parts if part not in (None, ""))


def pairs() -> dict[str, tuple[str, str]]:
    return {pair["id"]: (pair["query"], pair["passage"]) for pair in golden("pairs")["pairs"]}


def worst_difference(found: dict[str, float], expected: dict[str, float]) -> tuple[float, str]:
    assert found.keys() == expected.keys()
    return max((abs(found[key] - expected[key]), key) for key in expected)


@parity("bge", kind="reranker", architectures=["xlm-roberta"], reference="FlagEmbedding 1.3.5")
@pytest.mark.parametrize("one_by_one", [False, True], ids=["one-call", "one-by-one"])
@pytest.mark.parametrize("run", [run for run in golden("flag_reranker")["runs"] if not run["normalize"]], ids=run_id)
def test_flag_embedding_1_3_5(run: dict[str, Any], *, one_by_one: bool) -> None:
    reranker = Reranker(
        GOLDENS / "checkpoints" / run["checkpoint"],
        device="cpu",
        max_length=run["max_length"],
        long_documents=LongDocuments(query_max_length=run["query_max_length"], truncation="only_second"),
    )
    compared = {key: pair for key, pair in pairs().items() if not is_blank(pair[1])}
    # Where the query alone overflows the input, the reference leaves the pair over-long; we cut the query.
    overflowing = set() if run["query_max_length"] != 62 else _overflowing(reranker, compared, limit=62)
    keys = [key for key in run["scores"] if key in compared and key not in overflowing]
    assert len(keys) >= 40
    if one_by_one:
        scores = [reranker.score([compared[key]])[0] for key in keys]
    else:
        scores = reranker.score([compared[key] for key in keys])
    difference, where = worst_difference(
        dict(zip(keys, scores, strict=True)), {key: run["scores"][key] for key in keys}
    )
    assert difference <= TOLERANCE, where


def _overflowing(reranker: Reranker, compared: dict[str, tuple[str, str]], *, limit: int) -> set[str]:
    encoder = reranker._lease.value.tokenizer
    room = reranker.max_length - PairLayout.of(encoder).n_special
    return {key for key, (query, _) in compared.items() if min(len(encoder.encode_one(query)), limit) >= room}


@pytest.mark.parametrize("run", golden("plain_pairs")["runs"], ids=run_id)
def test_plain_transformers_longest_first(run: dict[str, Any]) -> None:
    reranker = Reranker(GOLDENS / "checkpoints" / run["checkpoint"], device="cpu", max_length=run["max_length"])
    compared = {key: pair for key, pair in pairs().items() if not is_blank(pair[1])}
    scores = reranker.score(list(compared.values()))
    expected = {key: score for key, score in run["scores"].items() if key in compared}
    difference, where = worst_difference(dict(zip(compared, scores, strict=True)), expected)
    assert difference <= TOLERANCE, where


@parity("bce", kind="reranker", architectures=["xlm-roberta"], reference="BCEmbedding 0.1.5")
@pytest.mark.parametrize(
    "case",
    [case for case in golden("bce_rerank")["cases"] if case["checkpoint"] == "tiny-xlmr-reranker"],
    ids=run_id,
)
def test_bcembedding_rerank(case: dict[str, Any]) -> None:
    # Only XLM-R: for BERT, BCEmbedding puts two separators where the model was trained with one.
    reranker = Reranker(
        GOLDENS / "checkpoints" / case["checkpoint"],
        device="cpu",
        max_length=case["max_length"],
        long_documents=LongDocuments(strategy="maxp", overlap_tokens=case["overlap_tokens"]),
    )
    passages = [_expanded(passage) for passage in case["passages"]]
    documents = [passage if isinstance(passage, str) else None for passage in passages]
    ranked = {one.index: one for one in reranker.rank(case["query"], documents)}
    # BCEmbedding drops what is not a non-empty string, and its ids count what is left.
    kept = [index for index, passage in enumerate(passages) if isinstance(passage, str) and passage]
    for position, expected in zip(case["rerank_ids"], case["rerank_scores"], strict=True):
        found = ranked[kept[position]]
        if found.score == BLANK_DOCUMENT_SCORE:
            assert is_blank(found.document)
            continue
        assert found.probability == pytest.approx(expected, abs=TOLERANCE)


def _expanded(passage: Any) -> Any:
    """Give back a passage that is stored as its two ends and the number of spaces between them."""
    if isinstance(passage, dict) and "spaces" in passage:
        return passage["start"] + " " * passage["spaces"] + passage["end"]
    return passage


@pytest.mark.parametrize("case", golden("bce_rerank")["errors"], ids=run_id)
def test_a_query_that_bcembedding_refuses_is_scored(case: dict[str, Any]) -> None:
    reranker = Reranker(GOLDENS / "checkpoints" / case["checkpoint"], device="cpu", long_documents="maxp")
    scores = reranker.score([(case["query"], text) for text in tiny_checkpoints.SENTENCES])
    assert len(set(scores)) > 1


@parity("bge", "llm-embedder", kind="embedder", architectures=["bert"], reference="FlagEmbedding 1.3.5")
@parity("bce", kind="embedder", architectures=["xlm-roberta"], reference="BCEmbedding 0.1.5")
@pytest.mark.parametrize("run", golden("embeddings")["runs"], ids=run_id)
def test_embeddings(run: dict[str, Any], tmp_path: Path) -> None:
    folder = shutil.copytree(GOLDENS / "checkpoints" / run["checkpoint"], tmp_path / "embedder")
    if not (folder / "modules.json").exists():
        tiny_checkpoints.write_modules(folder, pooling=run["pooling"], normalize=run["normalize"])
    embedder = Embedder(
        folder, device="cpu", max_length=run["max_length"], instruction=InstructionOptions(query=run["instruction"])
    )
    texts = {key: golden("embeddings")["texts"][key] for key in run["vectors"]}
    embed = embedder.embed_queries if run["method"] == "encode_queries" else embedder.embed_documents
    expected = np.array(list(run["vectors"].values()), dtype=np.float32)
    found = embed(list(texts.values()))
    assert np.abs(found - expected).max() <= TOLERANCE
    alone = np.concatenate([embed([text]) for text in texts.values()])
    assert np.abs(alone - expected).max() <= TOLERANCE
