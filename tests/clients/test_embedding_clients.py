"""Packages that embed: each is pointed at the server as its users would, and near texts are near."""

from __future__ import annotations

from typing import Any

import pytest
from client_key import KEY

TEXTS = ["Paris is the capital of France.", "The capital of France is Paris.", "Bananas are yellow."]


def check(vectors: Any) -> None:
    def nearness(first: Any, second: Any) -> float:
        return sum(float(a) * float(b) for a, b in zip(first, second, strict=True))

    assert len(vectors) == len(TEXTS)
    assert nearness(vectors[0], vectors[1]) > nearness(vectors[0], vectors[2])


def test_openai(url: str) -> None:
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(api_key=KEY, base_url=f"{url}/v1")
    found = client.embeddings.create(model="mini", input=TEXTS)
    check([one.embedding for one in found.data])
    plain = client.embeddings.create(model="mini", input=TEXTS, encoding_format="float")
    assert plain.data[0].embedding == pytest.approx(found.data[0].embedding, abs=1e-6)
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="nobody", input=TEXTS)
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(api_key="wrong", base_url=f"{url}/v1").embeddings.create(model="mini", input=TEXTS)
    assert "mini" in [model.id for model in client.models.list()]


def test_langchain_openai(url: str) -> None:
    package = pytest.importorskip("langchain_openai")
    options: dict[str, Any] = {"model": "mini", "api_key": KEY, "base_url": f"{url}/v1"}
    check(package.OpenAIEmbeddings(check_embedding_ctx_length=False, **options).embed_documents(TEXTS))


def test_llama_index_openai_like(url: str) -> None:
    package = pytest.importorskip("llama_index.embeddings.openai_like")
    model = package.OpenAILikeEmbedding(model_name="mini", api_key=KEY, api_base=f"{url}/v1")
    check(model.get_text_embedding_batch(TEXTS))


def test_llama_index_tei(url: str) -> None:
    package = pytest.importorskip("llama_index.embeddings.text_embeddings_inference")
    model = package.TextEmbeddingsInference(model_name="mini", base_url=url, auth_token=KEY)
    check(model.get_text_embedding_batch(TEXTS))


def test_voyageai(url: str) -> None:
    voyageai = pytest.importorskip("voyageai")
    client = voyageai.Client(api_key=KEY, base_url=f"{url}/v1")
    check(client.embed(TEXTS, model="mini", input_type="document").embeddings)


def test_cohere_v1_and_v2(url: str) -> None:
    cohere = pytest.importorskip("cohere")
    options: dict[str, Any] = {"model": "mini", "texts": TEXTS, "input_type": "search_document"}
    check(cohere.Client(api_key=KEY, base_url=url).embed(**options).embeddings)
    found = cohere.ClientV2(api_key=KEY, base_url=url).embed(embedding_types=["float", "int8"], **options)
    check(found.embeddings.float_ if hasattr(found.embeddings, "float_") else found.embeddings.float)


def test_langchain_cohere(url: str) -> None:
    package = pytest.importorskip("langchain_cohere")
    check(package.CohereEmbeddings(model="mini", cohere_api_key=KEY, base_url=url).embed_documents(TEXTS))


def test_huggingface_hub(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    package = pytest.importorskip("huggingface_hub")
    # It answers with arrays and does not require numpy; Cohere's newest package brings the one without the other.
    pytest.importorskip("numpy")
    # The tests' own switch, which keeps them from the hub; the server is on this machine.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    client = package.InferenceClient(model=url, token=KEY)
    check([client.feature_extraction(text)[0] for text in TEXTS])
    near, far = client.sentence_similarity(TEXTS[0], other_sentences=TEXTS[1:])
    assert near > far
