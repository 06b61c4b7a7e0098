"""Embedders with instructions against their reference code or its recipe, on the same tiny weights, in float32."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import embedder_checkpoints
import numpy as np
import pytest
import torch
from declared import parity
from transformers import AutoModel, PreTrainedTokenizerFast

from rerank_plugins import Embedder, QueryExample
from rerank_plugins.calls.flat_options import EMBEDDER_OPTIONS
from rerank_plugins.checks.moved import regrouped

pytestmark = pytest.mark.slow

TOLERANCE = 1e-4

QUERIES = ["What do pandas eat?", "鹦鹉的生活习性是什么", "How do I renew a passport?\nQuickly!", "a", "salt " * 400]
DOCUMENTS = [
    *embedder_checkpoints.TEXTS,
    "  double  spaces\nnewlines\tand tabs 👍 é  ",
    "The giant panda eats bamboo. " * 150,
    "x",
]
FAMILIES = {
    "e5-mistral-7b-instruct": "e5",
    "bge-en-icl": "bge",
    "Qwen3-Embedding-0.6B": "qwen",
    "bge-multilingual-gemma2": "bge",
    "instructor-base": "instructor",
    "tart-dual-contriever-msmarco": "tart",
    "bge-m3": "bge",
}
WEB = "Given a web search query, retrieve relevant passages that answer the query"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("embedders")

    @cache
    def folder(name: str) -> Path:
        if not embedder_checkpoints.available(name):
            pytest.skip(f"this transformers has no {name}")
        return embedder_checkpoints.BUILDERS[name](root / name)

    return folder


def opened(folder: Path, **options: Any) -> Embedder:
    """Open a checkpoint of a family, with options by the names that they have alone."""
    return Embedder(folder, device="cpu", **regrouped({"family": FAMILIES[folder.name], **options}, EMBEDDER_OPTIONS))


def assert_equal(found: Any, expected: Any) -> None:
    assert np.abs(np.asarray(found) - np.asarray(expected)).max() <= TOLERANCE


def last_states(folder: Path, texts: list[str], *, ends_in: str, max_length: int) -> Any:
    """The recipe of the e5-mistral card: cut to one token less, append the end token, take its state."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval()
    end = tokenizer.convert_tokens_to_ids(ends_in)
    rows = []
    with torch.inference_mode():
        for text in texts:
            ids = tokenizer(text, truncation=True, max_length=max_length - 1)["input_ids"] + [end]
            rows.append(model(input_ids=torch.tensor([ids])).last_hidden_state[0, -1])
    return torch.nn.functional.normalize(torch.stack(rows), dim=-1).numpy()


@parity("e5", kind="embedder", architectures=["mistral"], reference="transformers")
@pytest.mark.parametrize("max_length", [256, 64])
def test_e5_mistral_card(folders: Any, max_length: int) -> None:
    folder = folders("e5-mistral-7b-instruct")
    embedder = opened(folder, max_length=max_length)
    instructed = [f"Instruct: {WEB}\nQuery: {query}" for query in QUERIES]
    settings: dict[str, Any] = {"ends_in": "</s>", "max_length": max_length}
    assert_equal(embedder.embed_queries(QUERIES), last_states(folder, instructed, **settings))
    assert_equal(embedder.embed_documents(DOCUMENTS), last_states(folder, DOCUMENTS, **settings))


@pytest.fixture
def peers() -> Any:
    return pytest.importorskip("sentence_transformers")


@parity("qwen", kind="embedder", architectures=["qwen3"], reference="sentence-transformers")
@pytest.mark.parametrize("task", [None, "Given a claim, find documents that refute it"])
def test_qwen3_embedding(folders: Any, peers: Any, task: str | None) -> None:
    folder = folders("Qwen3-Embedding-0.6B")
    peer = peers.SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    embedder = opened(folder, task=task)
    prompt = f"Instruct: {task or WEB}\nQuery:"
    assert embedder.instruction.query == prompt
    assert_equal(embedder.embed_queries(QUERIES), peer.encode(QUERIES, prompt=prompt))
    assert_equal(embedder.embed_documents(DOCUMENTS), peer.encode(DOCUMENTS))
    assert_equal(opened(folder, dimensions=8).embed_documents(DOCUMENTS), normalized(peer.encode(DOCUMENTS)[:, :8]))


def normalized(vectors: Any) -> Any:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_sentence_transformers_truncate_dim(folders: Any, peers: Any) -> None:
    folder = folders("Qwen3-Embedding-0.6B")
    peer = peers.SentenceTransformer(str(folder), device="cpu", local_files_only=True, truncate_dim=8)
    expected = peer.encode(DOCUMENTS, normalize_embeddings=True)
    assert_equal(opened(folder, dimensions=8).embed_documents(DOCUMENTS), expected)


@parity("instructor", kind="embedder", architectures=["t5"], reference="sentence-transformers")
@pytest.mark.parametrize("prompt", [None, "Represent the Science sentence for clustering:", ""])
def test_instructor_in_sentence_transformers(folders: Any, peers: Any, prompt: str | None) -> None:
    folder = folders("instructor-base")
    peer = peers.SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    peer.set_pooling_include_prompt(False)
    embedder = opened(folder, query_instruction=prompt, document_instruction=prompt)
    queries = peer.encode(QUERIES, prompt=embedder.instruction.query)
    assert_equal(embedder.embed_queries(QUERIES), queries)
    assert_equal(embedder.embed_documents(DOCUMENTS), peer.encode(DOCUMENTS, prompt=embedder.instruction.document))
    if prompt is None:
        peer.set_pooling_include_prompt(True)
        assert np.abs(queries - peer.encode(QUERIES, prompt=embedder.instruction.query)).max() > 0.01


def test_instructor_by_hand(folders: Any) -> None:
    """InstructorEmbedding/instructor.py: the mask of the instruction's own tokens, without its </s>, is taken off."""
    from transformers import T5EncoderModel

    folder = folders("instructor-base")
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    model = T5EncoderModel.from_pretrained(folder).eval()
    embedder = opened(folder, normalize=False)
    from safetensors.torch import load_file

    dense = load_file(str(folder / "2_Dense" / "model.safetensors"))["linear.weight"]
    expected = []
    with torch.inference_mode():
        for text in DOCUMENTS[:8]:
            instruction = embedder.instruction.document
            inputs = tokenizer(instruction + text, return_tensors="pt", truncation=True, max_length=128)
            n_instruction = len(tokenizer(instruction)["input_ids"]) - 1
            states = model(input_ids=inputs["input_ids"]).last_hidden_state[0, n_instruction:]
            expected.append(dense @ states.mean(0))
    assert_equal(embedder.embed_documents(DOCUMENTS[:8]), torch.stack(expected).numpy())


@parity("tart", kind="embedder", architectures=["bert"], reference="transformers")
def test_tart_dual(folders: Any) -> None:
    """src/beir_utils.py and src/contriever.py: "instruction [SEP] query", the mean of all tokens, not normalised."""
    folder = folders("tart-dual-contriever-msmarco")
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval()
    task = "retrieve a scientific paper that supports this claim"
    expected = []
    with torch.inference_mode():
        for query in QUERIES:
            inputs = tokenizer(f"{task} [SEP] {query}", return_tensors="pt", truncation=True, max_length=512)
            expected.append(model(**inputs).last_hidden_state[0].mean(0))
    assert_equal(opened(folder, task=task).embed_queries(QUERIES), torch.stack(expected).numpy())


@pytest.fixture
def flag() -> Any:
    return pytest.importorskip("FlagEmbedding")


@parity("bge", kind="embedder", architectures=["gemma2"], reference="FlagEmbedding 1.4.2")
def test_bge_multilingual_gemma2(folders: Any, flag: Any) -> None:
    folder = folders("bge-multilingual-gemma2")
    instruction = "Given a question, retrieve passages that answer it."
    peer = flag.FlagLLMModel(
        str(folder),
        query_instruction_for_retrieval=instruction,
        query_instruction_format="<instruct>{}\n<query>{}",
        use_fp16=False,
        devices="cpu",
        query_max_length=128,
        passage_max_length=128,
    )
    embedder = opened(folder, task=instruction, max_length=128)
    assert_equal(embedder.embed_queries(QUERIES), peer.encode_queries(QUERIES))
    assert_equal(embedder.embed_documents(DOCUMENTS), peer.encode_corpus(DOCUMENTS))


def test_attention_is_soft_capped_on_every_transformers(folders: Any) -> None:
    """Fused attention, the default of some versions, would leave the cap out without a word."""
    folder = folders("bge-multilingual-gemma2")
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    expected = []
    with torch.inference_mode():
        for text in DOCUMENTS[:6]:
            expected.append(model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0, -1])
    found = opened(folder, normalize=False).embed_documents(DOCUMENTS[:6])
    assert_equal(found, torch.stack(expected).numpy())


EXAMPLES = [
    {"instruct": "Given a question, find an answer.", "query": "what is {query}?", "response": "A {task} in braces."},
    {"query": "who eats bamboo", "response": "Pandas do.\nAll day."},
]


@parity("bge", kind="embedder", architectures=["mistral"], reference="FlagEmbedding 1.4.2")
@pytest.mark.parametrize("n_examples", [0, 1, 2])
@pytest.mark.parametrize("max_length", [256, 64])
def test_bge_en_icl(folders: Any, flag: Any, n_examples: int, max_length: int) -> None:
    folder = folders("bge-en-icl")
    instruction = "Given a web search query, retrieve relevant passages that answer the query."
    peer = flag.FlagICLModel(
        str(folder),
        query_instruction_for_retrieval=instruction,
        examples_for_task=EXAMPLES[:n_examples] or None,
        use_fp16=False,
        devices="cpu",
        query_max_length=max_length,
        passage_max_length=max_length,
    )
    examples = [
        QueryExample(query=one["query"], response=one["response"], task=one.get("instruct"))
        for one in EXAMPLES[:n_examples]
    ]
    embedder = opened(folder, examples=examples, max_length=max_length)
    assert_equal(embedder.embed_queries(QUERIES), peer.encode_queries(QUERIES))
    assert_equal(embedder.embed_documents(DOCUMENTS), peer.encode_corpus(DOCUMENTS))


@pytest.fixture
def m3(folders: Any, flag: Any) -> Any:
    return flag.BGEM3FlagModel(
        str(folders("bge-m3")), use_fp16=False, devices="cpu", query_max_length=128, passage_max_length=128
    )


@parity("bge", kind="embedder", architectures=["xlm-roberta"], reference="FlagEmbedding 1.4.2")
def test_bge_m3_vectors_of_three_kinds(folders: Any, m3: Any) -> None:
    embedder = opened(folders("bge-m3"), allow_pickle=True, max_length=128)
    # One text at a time: a padded batch of the reference rounds differently.
    for text in DOCUMENTS:
        expected = m3.encode([text], return_dense=True, return_sparse=True, return_colbert_vecs=True)
        found = embedder.encode_documents([text])
        assert_equal(found.dense, expected["dense_vecs"])
        assert_equal(embedder.embed_documents([text]), expected["dense_vecs"])
        weights = {int(token): float(weight) for token, weight in expected["lexical_weights"][0].items()}
        assert found.sparse[0] == pytest.approx(weights, abs=TOLERANCE)
        assert found.colbert[0].shape == expected["colbert_vecs"][0].shape
        assert_equal(found.colbert[0], expected["colbert_vecs"][0])


@pytest.mark.parametrize("weights", [None, [0.4, 0.2, 0.4]])
def test_bge_m3_scores(folders: Any, m3: Any, weights: list[float] | None) -> None:
    embedder = opened(folders("bge-m3"), allow_pickle=True, max_length=128)
    pairs = [(query, document) for query in QUERIES for document in DOCUMENTS[:6]]
    # One pair at a time: in a padded batch the reference's best token may be padding, with a product of 0.
    expected = m3.compute_score(pairs, batch_size=1, weights_for_different_modes=weights)
    found = embedder.score_pairs(pairs, **({"weights": weights} if weights else {}))
    assert_equal([one.dense for one in found], expected["dense"])
    assert_equal([one.sparse for one in found], expected["sparse"])
    assert_equal([one.colbert for one in found], expected["colbert"])
    assert_equal([one.sparse_dense for one in found], expected["sparse+dense"])
    assert_equal([one.combined for one in found], expected["colbert+sparse+dense"])
