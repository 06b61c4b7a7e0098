"""The peers that are installed beside us, on the same tiny weights, in one process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_checkpoints
import torch
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast

from rerank_plugins import Embedder, Reranker

pytestmark = pytest.mark.slow

TOLERANCE = 1e-4

QUERIES = ["What do pandas eat?", "鹦鹉的生活习性是什么", "revenue " * 300, "passport " * 600, "a"]
DOCUMENTS = [
    *tiny_checkpoints.SENTENCES,
    "  double  spaces\nnewlines\tand tabs 👍 ﬁ é  ",
    "大熊猫是中国特有的物种，" * 200,
    "The giant panda eats bamboo. " * 150,
    "x",
]
PAIRS = [(query, document) for query in QUERIES for document in DOCUMENTS]
MANY = (PAIRS * 4)[:200]

KINDS = ["bert-reranker", "xlmr-reranker"]


def assert_equal(found: list[float], expected: Any) -> None:
    assert np.abs(np.array(found) - np.asarray(expected, dtype=np.float64).reshape(-1)).max() <= TOLERANCE


@pytest.fixture(params=KINDS)
def folder(request: pytest.FixtureRequest, checkpoints: Path) -> Path:
    return checkpoints / request.param  # type: ignore[no-any-return]


@pytest.mark.parametrize("max_length", [512, 64])
def test_plain_transformers(folder: Path, max_length: int) -> None:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    expected = []
    with torch.inference_mode():
        for query, document in PAIRS:
            inputs = tokenizer(query, document, truncation=True, max_length=max_length, return_tensors="pt")
            expected.append(float(model(**inputs).logits[0, 0]))
    assert_equal(Reranker(folder, max_length=max_length).score(PAIRS), expected)


@pytest.mark.parametrize("pairs", [PAIRS[:1], PAIRS, MANY], ids=["one", "60", "200"])
def test_sentence_transformers_cross_encoder(folder: Path, pairs: list[tuple[str, str]]) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers")
    peer = sentence_transformers.CrossEncoder(str(folder), device="cpu", max_length=256, local_files_only=True)
    expected = peer.predict(pairs, activation_fn=torch.nn.Identity(), show_progress_bar=False)
    assert_equal(Reranker(folder, max_length=256).score(pairs), expected)
    assert_equal(Reranker.from_loaded(peer).score(pairs), expected)


def test_sentence_transformers_rank(folder: Path) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers")
    peer = sentence_transformers.CrossEncoder(str(folder), device="cpu", max_length=256, local_files_only=True)
    expected = peer.rank(QUERIES[0], DOCUMENTS, show_progress_bar=False)
    found = Reranker(folder, max_length=256).rank(QUERIES[0], DOCUMENTS)
    assert [one.index for one in found] == [one["corpus_id"] for one in expected]
    assert_equal([one.probability for one in found], [one["score"] for one in expected])


def test_from_loaded_flag_embedding(folder: Path) -> None:
    flag_embedding = pytest.importorskip("FlagEmbedding")
    peer = flag_embedding.FlagReranker(str(folder), use_fp16=False, devices="cpu")
    adopted = Reranker.from_loaded(peer)
    # Not compared with the peer itself: 1.4.2 decodes ids and tokenises again (see the goldens for 1.3.5).
    expected = Reranker(folder, truncation="only_second").score(PAIRS)
    assert_equal(adopted.score(PAIRS), expected)
    short = [(query, document) for query, document in PAIRS if len(query) < 60 and len(document) < 70]
    plain = [pair for pair in short if "  " not in pair[1] and "鹦" not in pair[0]]
    peer_scores = dict(zip(plain, peer.compute_score(plain), strict=True))
    ours = dict(zip(plain, adopted.score(plain), strict=True))
    assert sum(abs(ours[pair] - peer_scores[pair]) <= TOLERANCE for pair in plain) >= len(plain) // 2


def test_from_loaded_bcembedding(folder: Path) -> None:
    bcembedding = pytest.importorskip("BCEmbedding")
    peer = bcembedding.RerankerModel(model_name_or_path=str(folder), use_fp16=False, device="cpu")
    adopted = Reranker.from_loaded(peer)
    expected = Reranker(folder, long_documents="maxp").score(PAIRS)
    assert_equal(adopted.score(PAIRS), expected)
    # compute_score truncates where rerank splits; both agree on short pairs.
    short = [(query, document) for query, document in PAIRS if len(query) < 100 and len(document) < 100]
    probabilities = peer.compute_score([list(pair) for pair in short], enable_tqdm=False)
    ranked = [adopted.rank(query, [document])[0].probability for query, document in short]
    assert_equal(ranked, probabilities)


@pytest.mark.parametrize(("kind", "pooling"), [("bert-embedder", "cls"), ("xlmr-embedder", "mean")])
def test_sentence_transformers_embeddings(checkpoints: Path, kind: str, pooling: str) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers")
    peer = sentence_transformers.SentenceTransformer(str(checkpoints / kind), device="cpu", local_files_only=True)
    embedder = Embedder(checkpoints / kind, device="cpu")
    assert embedder.spec.pooling == pooling
    expected = peer.encode(DOCUMENTS, show_progress_bar=False)
    assert np.abs(embedder.embed_documents(DOCUMENTS) - expected).max() <= TOLERANCE


@pytest.mark.parametrize("instruction", ["", "为这个句子生成表示以用于检索相关文章："])
def test_flag_embedding_flag_model(checkpoints: Path, instruction: str) -> None:
    flag_embedding = pytest.importorskip("FlagEmbedding")
    folder = checkpoints / "bert-embedder"
    peer = flag_embedding.FlagModel(
        str(folder), query_instruction_for_retrieval=instruction, use_fp16=False, devices="cpu", pooling_method="cls"
    )
    embedder = Embedder(folder, query_instruction=instruction, device="cpu")
    assert np.abs(embedder.embed_queries(QUERIES) - peer.encode_queries(QUERIES)).max() <= TOLERANCE
    assert np.abs(embedder.embed_documents(DOCUMENTS) - peer.encode_corpus(DOCUMENTS)).max() <= TOLERANCE
