"""Packages that rerank: each is pointed at the server as its users would, and puts the right document first."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from client_key import KEY

QUERY = "What is the capital of France?"
TEXTS = ["Berlin is the capital of Germany.", "Paris is the capital of France.", "Bananas are yellow."]
BEST = 1


def check_llama_index(postprocessor: Any) -> None:
    from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

    nodes = [NodeWithScore(node=TextNode(text=text), score=0.0) for text in TEXTS]
    found = postprocessor.postprocess_nodes(nodes, query_bundle=QueryBundle(QUERY))
    assert found[0].node.get_content() == TEXTS[BEST]
    assert len(found) == 2


def check_langchain(compressor: Any) -> None:
    from langchain_core.documents import Document

    found = compressor.compress_documents([Document(page_content=text) for text in TEXTS], QUERY)
    assert found[0].page_content == TEXTS[BEST]
    assert 0 <= found[0].metadata["relevance_score"] <= 1


def check_haystack(ranker: Any) -> None:
    from haystack import Document

    found = ranker.run(query=QUERY, documents=[Document(content=text) for text in TEXTS])["documents"]
    assert found[0].content == TEXTS[BEST]
    assert len(found) == 2


def test_cohere_v1(url: str) -> None:
    cohere = pytest.importorskip("cohere")
    client = cohere.Client(api_key=KEY, base_url=url)
    found = client.rerank(model="mini", query=QUERY, documents=TEXTS, top_n=2, return_documents=True)
    assert found.results[0].index == BEST
    assert found.results[0].document.text == TEXTS[BEST]
    with pytest.raises(cohere.NotFoundError):
        client.rerank(model="nobody", query=QUERY, documents=TEXTS)
    with pytest.raises(cohere.UnauthorizedError):
        cohere.Client(api_key="wrong", base_url=url).rerank(model="mini", query=QUERY, documents=TEXTS)


def test_cohere_v2(url: str) -> None:
    cohere = pytest.importorskip("cohere")
    found = cohere.ClientV2(api_key=KEY, base_url=url).rerank(model="mini", query=QUERY, documents=TEXTS, top_n=2)
    assert (found.results[0].index, len(found.results)) == (BEST, 2)
    assert found.results[0].relevance_score > found.results[1].relevance_score
    with pytest.raises(cohere.BadRequestError):
        cohere.ClientV2(api_key=KEY, base_url=url).rerank(model="mini", query=QUERY, documents=[], top_n=2)


def test_cohere_relevant_spans(url: str) -> None:
    cohere = pytest.importorskip("cohere", minversion="7")
    asked = {"mode": "enabled", "threshold": 0.0}
    client = cohere.ClientV2(api_key=KEY, base_url=url)
    document = "Bananas are yellow. " + TEXTS[BEST]
    found = client.rerank(model="mini", query=QUERY, documents=[document], relevant_spans=asked)
    best = found.results[0].relevant_spans[0]
    assert document[best.start : best.end] == TEXTS[BEST]


def test_langchain_cohere(url: str) -> None:
    langchain_cohere = pytest.importorskip("langchain_cohere")
    check_langchain(langchain_cohere.CohereRerank(model="mini", cohere_api_key=KEY, base_url=url, top_n=2))


def test_llama_index_cohere(url: str) -> None:
    package = pytest.importorskip("llama_index.postprocessor.cohere_rerank")
    check_llama_index(package.CohereRerank(model="mini", api_key=KEY, base_url=url, top_n=2))


def test_haystack_cohere(url: str) -> None:
    package = pytest.importorskip("haystack_integrations.components.rankers.cohere")
    secret = pytest.importorskip("haystack.utils").Secret.from_token(KEY)
    check_haystack(package.CohereRanker(model="mini", api_key=secret, api_base_url=url, top_k=2))


def test_llama_index_jina(url: str) -> None:
    package = pytest.importorskip("llama_index.postprocessor.jinaai_rerank")
    check_llama_index(package.JinaRerank(model="mini", api_key=KEY, base_url=f"{url}/v1", top_n=2))
    with pytest.raises(RuntimeError, match="no reranker of that name"):
        check_llama_index(package.JinaRerank(model="nobody", api_key=KEY, base_url=f"{url}/v1", top_n=2))


def test_langchain_jina(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    package = pytest.importorskip("langchain_community.document_compressors.jina_rerank")
    monkeypatch.setattr(package, "JINA_API_URL", f"{url}/v1/rerank")
    check_langchain(package.JinaRerank(model="mini", jina_api_key=KEY, top_n=2))


def test_haystack_jina(url: str) -> None:
    package = pytest.importorskip("haystack_integrations.components.rankers.jina")
    secret = pytest.importorskip("haystack.utils").Secret.from_token(KEY)
    check_haystack(package.JinaRanker(model="mini", api_key=secret, base_url=f"{url}/v1/rerank", top_k=2))


def test_voyageai(url: str) -> None:
    voyageai = pytest.importorskip("voyageai")
    client = voyageai.Client(api_key=KEY, base_url=f"{url}/v1")
    found = client.rerank(QUERY, TEXTS, model="mini", top_k=2)
    assert (found.results[0].index, len(found.results)) == (BEST, 2)
    assert found.total_tokens > 0
    with pytest.raises(voyageai.error.InvalidRequestError):
        client.rerank(QUERY, [], model="mini")


def test_langchain_voyageai(url: str) -> None:
    package = pytest.importorskip("langchain_voyageai")
    voyageai = pytest.importorskip("voyageai")
    reranker = package.VoyageAIRerank(model="mini", voyage_api_key=KEY, top_k=2)
    reranker.client = voyageai.Client(api_key=KEY, base_url=f"{url}/v1")
    check_langchain(reranker)


def test_llama_index_tei(url: str) -> None:
    package = pytest.importorskip("llama_index.postprocessor.tei_rerank")
    check_llama_index(package.TextEmbeddingInference(model_name="mini", base_url=url, auth_token=KEY, top_n=2))


def test_llama_index_siliconflow(url: str) -> None:
    package = pytest.importorskip("llama_index.postprocessor.siliconflow_rerank")
    address = f"{url}/v1/rerank"
    check_llama_index(package.SiliconFlowRerank(model="mini", api_key=KEY, base_url=address, top_n=2))


def test_llama_index_xinference(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    package = pytest.importorskip("llama_index.postprocessor.xinference_rerank")
    requests = pytest.importorskip("requests")
    # The class sends no key; a session of its own does.
    real = requests.Session.request

    def with_key(self: Any, **options: Any) -> Any:
        headers = {**(options.pop("headers", None) or {}), "x-api-key": KEY}
        return real(self, headers=headers, **options)

    monkeypatch.setattr(requests.Session, "request", with_key)
    check_llama_index(package.XinferenceRerank(model="mini", base_url=url, top_n=2))


def test_xinference_client(url: str) -> None:
    package = pytest.importorskip("xinference_client")
    client = package.RESTfulClient(url, api_key=KEY)
    model = client.get_model("mini")
    found = model.rerank(TEXTS, QUERY, top_n=2, return_documents=True)
    assert (found["results"][0]["index"], len(found["results"])) == (BEST, 2)
    assert found["results"][0]["document"]["text"] == TEXTS[BEST]


def test_llama_index_nvidia(url: str) -> None:
    package = pytest.importorskip("llama_index.postprocessor.nvidia_rerank")
    check_llama_index(package.NVIDIARerank(model="mini", base_url=f"{url}/v1", api_key=KEY, top_n=2))


def test_langchain_nvidia(url: str) -> None:
    package = pytest.importorskip("langchain_nvidia_ai_endpoints")
    documents = pytest.importorskip("langchain_core.documents")
    reranker = package.NVIDIARerank(model="mini", base_url=f"{url}/v1", api_key=KEY, top_n=2)
    given = [documents.Document(page_content=text) for text in TEXTS]
    assert reranker.compress_documents(given, QUERY)[0].page_content == TEXTS[BEST]


def test_dashscope(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dashscope = pytest.importorskip("dashscope")
    monkeypatch.setattr(dashscope, "base_http_api_url", f"{url}/api/v1")
    answer = dashscope.TextReRank.call(model="mini", query=QUERY, documents=TEXTS, top_n=2, api_key=KEY)
    assert answer.status_code == 200
    assert answer.output.results[0].index == BEST
    refused = dashscope.TextReRank.call(model="nobody", query=QUERY, documents=TEXTS, api_key=KEY)
    assert (refused.status_code, refused.code) == (404, "ModelNotFound")


def test_llama_index_dashscope(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    package = pytest.importorskip("llama_index.postprocessor.dashscope_rerank")
    dashscope = pytest.importorskip("dashscope")
    monkeypatch.setattr(dashscope, "base_http_api_url", f"{url}/api/v1")
    check_llama_index(package.DashScopeRerank(model="mini", api_key=KEY, top_n=2))


def test_infinity_client(url: str) -> None:
    pytest.importorskip("infinity_client")
    from infinity_client import AuthenticatedClient
    from infinity_client.api.default import rerank
    from infinity_client.models import RerankInput

    async def run() -> Any:
        async with AuthenticatedClient(base_url=url, token=KEY) as client:
            return await rerank.asyncio(client=client, body=RerankInput(query=QUERY, documents=TEXTS))

    found = asyncio.run(run())
    assert found.results[0].index == BEST


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("cohere/mini", ""),
        ("jina_ai/mini", "/v1/rerank"),
        ("voyage/mini", "/v1/rerank"),
        ("hosted_vllm/mini", ""),
        ("huggingface/mini", ""),
        ("nvidia_nim/mini", ""),
    ],
)
def test_litellm(url: str, model: str, path: str) -> None:
    litellm = pytest.importorskip("litellm")
    found = litellm.rerank(
        model=model, query=QUERY, documents=TEXTS, top_n=2, api_base=f"{url}{path}", api_key=KEY, num_retries=0
    )
    best = found.results[0]
    assert best["index"] == BEST
    assert len(found.results) == 2
