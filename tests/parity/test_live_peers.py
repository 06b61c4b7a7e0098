"""The peers that are installed beside us, on the same tiny weights, in one process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_checkpoints
import torch
from declared import parity
from transformers import (
    AutoModelForSequenceClassification,
    MPNetConfig,
    MPNetForSequenceClassification,
    PreTrainedTokenizerFast,
)

from rerank_plugins import Embedder, InstructionOptions, LongDocuments, Reranker, SourceOptions
from rerank_plugins.errors import UnsupportedModelError

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


@parity("ms-marco", "luyu", kind="reranker", architectures=["bert"], reference="transformers")
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


def test_from_loaded_mpnet_has_the_positions_of_its_code(checkpoints: Path, tmp_path: Path) -> None:
    """MPNet counts positions from 2 whatever its padding id is: of 66 positions a text has 64."""
    from sentence_transformers import CrossEncoder

    tokenizer = PreTrainedTokenizerFast.from_pretrained(checkpoints / "bert-reranker")
    sizes: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = MPNetConfig(
        vocab_size=len(tokenizer),
        intermediate_size=64,
        max_position_embeddings=66,
        pad_token_id=0,
        num_labels=1,
        **sizes,
    )
    torch.manual_seed(0)
    MPNetForSequenceClassification(config).eval().save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = CrossEncoder(str(tmp_path), max_length=64, device="cpu")
    loaded.model.eval()
    reranker = Reranker.from_loaded(loaded)
    assert reranker.spec.max_length_tokens == 64
    long = [("revenue " * 8, "passport " * 600), *PAIRS[:4]]
    assert_equal(reranker.score(long), loaded.predict(long, activation_fn=torch.nn.Identity()))


@parity("ms-marco", "luyu", kind="reranker", architectures=["bert"], reference="sentence-transformers")
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
    expected = Reranker(folder, long_documents=LongDocuments(truncation="only_second")).score(PAIRS)
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


SHORT = [("What do pandas eat?", "The giant panda eats bamboo."), ("capital", "Paris is the capital of France.")]


@pytest.mark.parametrize(
    "settings",
    [
        {"query_instruction_for_rerank": "Query: "},
        # FlagEmbedding reads the two characters of a command line as a line break.
        {"passage_instruction_for_rerank": "Passage: ", "passage_instruction_format": "{0}\\n{1}"},
        {
            "query_instruction_for_rerank": "eats",
            "query_instruction_format": "The {} one: {}",
            "passage_instruction_for_rerank": "Paris ",
        },
    ],
)
def test_from_loaded_flag_embedding_keeps_its_instructions(folder: Path, settings: dict[str, str]) -> None:
    flag_embedding = pytest.importorskip("FlagEmbedding")
    peer = flag_embedding.FlagReranker(str(folder), use_fp16=False, devices="cpu", **settings)
    adopted = Reranker.from_loaded(peer)
    whole = [(query, document) for query, document in peer.get_detailed_inputs(SHORT)]
    assert whole != SHORT
    assert_equal(adopted.score(SHORT), Reranker(folder).score(whole))


@pytest.mark.parametrize("form", ["{}{}.", "{} is asked", "{query}{}"])
def test_from_loaded_refuses_an_instruction_that_is_not_in_front(folder: Path, form: str) -> None:
    flag_embedding = pytest.importorskip("FlagEmbedding")
    settings = {"query_instruction_for_rerank": "Query: ", "query_instruction_format": form}
    peer = flag_embedding.FlagReranker(str(folder), use_fp16=False, devices="cpu", **settings)
    with pytest.raises(UnsupportedModelError, match="query_instruction_format="):
        Reranker.from_loaded(peer)


@pytest.mark.parametrize("library", ["FlagEmbedding", "BCEmbedding"])
def test_from_loaded_refuses_a_tokenizer_that_cuts_the_beginning(folder: Path, library: str) -> None:
    module: Any = pytest.importorskip(library)
    if library == "FlagEmbedding":
        peer = module.FlagReranker(str(folder), use_fp16=False, devices="cpu")
    else:
        peer = module.RerankerModel(model_name_or_path=str(folder), use_fp16=False, device="cpu")
    peer.tokenizer.truncation_side = "left"
    with pytest.raises(UnsupportedModelError, match="truncation_side='left'"):
        Reranker.from_loaded(peer)


def test_from_loaded_bcembedding_keeps_its_overlap(folder: Path) -> None:
    bcembedding = pytest.importorskip("BCEmbedding")
    peer = bcembedding.RerankerModel(model_name_or_path=str(folder), use_fp16=False, device="cpu")
    peer.overlap_tokens = 20
    expected = Reranker(folder, long_documents=LongDocuments(strategy="maxp", overlap_tokens=20)).score(PAIRS)
    assert_equal(Reranker.from_loaded(peer).score(PAIRS), expected)


def test_from_loaded_bcembedding_on_several_gpus(folder: Path) -> None:
    bcembedding = pytest.importorskip("BCEmbedding")
    peer = bcembedding.RerankerModel(model_name_or_path=str(folder), use_fp16=False, device="cpu")
    expected = Reranker.from_loaded(peer).score(SHORT)
    peer.model = torch.nn.DataParallel(peer.model)
    assert_equal(Reranker.from_loaded(peer).score(SHORT), expected)


EMBEDDERS = {
    "bert": lambda folder: tiny_checkpoints.bert_embedder(folder, pooling="mean"),
    "bert, not normalised": lambda folder: tiny_checkpoints.bert_embedder(folder, pooling="mean", normalize=False),
    "bert, first token": lambda folder: tiny_checkpoints.bert_embedder(folder, pooling="cls"),
    "xlm-roberta": lambda folder: tiny_checkpoints.xlmr_embedder(folder, pooling="mean"),
}


@parity(
    "gte",
    "m3e",
    "peg",
    "piccolo",
    "stella",
    "tao",
    kind="embedder",
    architectures=["bert"],
    reference="sentence-transformers",
)
@pytest.mark.parametrize("kind", EMBEDDERS)
def test_sentence_transformers_embeddings(tmp_path: Path, kind: str) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers")
    EMBEDDERS[kind](tmp_path / "embedder")
    peer = sentence_transformers.SentenceTransformer(str(tmp_path / "embedder"), device="cpu", local_files_only=True)
    embedder = Embedder(tmp_path / "embedder", device="cpu")
    assert embedder.spec.pooling == ("cls" if "first token" in kind else "mean")
    expected = peer.encode(DOCUMENTS, show_progress_bar=False)
    assert np.abs(embedder.embed_documents(DOCUMENTS) - expected).max() <= TOLERANCE


@parity("e5", kind="embedder", architectures=["bert", "xlm-roberta"], reference="sentence-transformers")
@pytest.mark.parametrize("kind", ["bert", "xlm-roberta"])
def test_e5_in_sentence_transformers(tmp_path: Path, kind: str) -> None:
    """The cards of the E5 models: "query: " in front of queries, "passage: " in front of documents, the mean."""
    sentence_transformers = pytest.importorskip("sentence_transformers")
    EMBEDDERS[kind](tmp_path / "embedder")
    peer = sentence_transformers.SentenceTransformer(str(tmp_path / "embedder"), device="cpu", local_files_only=True)
    # XLM-R models of the family take two kinds of instructions, so a checkpoint of another size must say which.
    said = {} if kind == "bert" else {"query": "query: ", "document": "passage: "}
    embedder = Embedder(
        tmp_path / "embedder", device="cpu", source=SourceOptions(family="e5"), instruction=InstructionOptions(**said)
    )
    queries, documents = peer.encode(QUERIES, prompt="query: "), peer.encode(DOCUMENTS, prompt="passage: ")
    assert np.abs(embedder.embed_queries(QUERIES) - queries).max() <= TOLERANCE
    assert np.abs(embedder.embed_documents(DOCUMENTS) - documents).max() <= TOLERANCE


@pytest.mark.parametrize("instruction", ["", "为这个句子生成表示以用于检索相关文章："])
def test_flag_embedding_flag_model(checkpoints: Path, instruction: str) -> None:
    flag_embedding = pytest.importorskip("FlagEmbedding")
    folder = checkpoints / "bert-embedder"
    peer = flag_embedding.FlagModel(
        str(folder), query_instruction_for_retrieval=instruction, use_fp16=False, devices="cpu", pooling_method="cls"
    )
    embedder = Embedder(folder, device="cpu", instruction=InstructionOptions(query=instruction))
    assert np.abs(embedder.embed_queries(QUERIES) - peer.encode_queries(QUERIES)).max() <= TOLERANCE
    assert np.abs(embedder.embed_documents(DOCUMENTS) - peer.encode_corpus(DOCUMENTS)).max() <= TOLERANCE
