"""What is answered is what the facades give, in each dialect's own numbers, order and errors."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import colbert_checkpoints
import embedder_checkpoints
import numpy as np
import pytest
from served import Opened, client_of
from transformers import AutoTokenizer

from rerank_plugins import Embedder, Reranker
from rerank_plugins.calls.observing import CallRecord, add_observer
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.serving.app import serving_app
from rerank_plugins.serving.models import ModelStore
from rerank_plugins.serving.settings import ModelPlan, ServeSettings
from rerank_plugins.types import LayerOptions

QUERY = "which animal eats bamboo"
TEXTS = ["the panda eats bamboo", "", "a train leaves at noon", "bamboo grows fast", "the panda eats bamboo"]


@pytest.fixture
def ranking(checkpoints: Path):
    with Reranker(checkpoints / "bert-reranker", device="cpu") as reranker:
        yield reranker.rank(QUERY, TEXTS)


async def test_order_and_probabilities_are_those_of_the_facade(opened: Opened, ranking) -> None:
    body = {"model": "ranker", "query": QUERY, "documents": TEXTS}
    async with opened() as client:
        answer = (await client.post("/v1/rerank", json=body)).json()
    assert [one["index"] for one in answer["results"]] == [one.index for one in ranking]
    assert [one["relevance_score"] for one in answer["results"]] == pytest.approx([one.probability for one in ranking])
    assert answer["results"][0]["document"] == {"text": TEXTS[ranking[0].index]}
    assert answer["usage"]["total_tokens"] == ranking.usage.tokens


async def test_raw_scores_where_the_dialect_has_them(opened: Opened, ranking) -> None:
    raw = pytest.approx([one.score for one in ranking], abs=1e-5)
    async with opened() as client:
        tei = await client.post("/rerank", json={"query": QUERY, "texts": TEXTS, "raw_scores": True})
        infinity, prefixed = [
            await client.post(path, json={"query": QUERY, "documents": TEXTS, "raw_scores": True})
            for path in ("/rerank", "/v1/rerank")
        ]
        asked = {"model": "ranker", "query": QUERY, "documents": TEXTS, "use_activation": False}
        vllm, second = [await client.post(path, json=asked) for path in ("/rerank", "/v2/rerank")]
        body = {"query": {"text": QUERY}, "passages": [{"text": text} for text in TEXTS]}
        nvidia = await client.post("/v1/ranking", json=body)
    assert [one["score"] for one in tei.json()] == raw
    for answer in (infinity, prefixed, vllm, second):
        assert [one["relevance_score"] for one in answer.json()["results"]] == raw
    # What their own clients insist on.
    assert prefixed.json()["object"] == "rerank"
    assert second.json()["results"][0]["document"]["text"] in TEXTS
    async with opened(dialect="infinity") as client:
        answer = await client.post("/rerank", json=asked)
    assert [one["relevance_score"] for one in answer.json()["results"]] == raw
    assert [one["logit"] for one in nvidia.json()["rankings"]] == raw


async def test_zero_results_mean_all_or_are_an_error(opened: Opened) -> None:
    body = {"model": "ranker", "query": QUERY, "documents": TEXTS, "top_n": 0}
    async with opened() as client:
        vllm = await client.post("/rerank", json=body)
        cohere = await client.post("/v2/rerank", json=body)
        infinity = await client.post("/rerank", json=body | {"raw_scores": False})
    assert len(vllm.json()["results"]) == len(TEXTS)
    assert (cohere.status_code, list(cohere.json())) == (400, ["id", "message"])
    assert infinity.status_code == 422


async def test_documents_as_objects_are_given_back_as_they_came(opened: Opened) -> None:
    documents = [{"title": "Pandas", "body": "bamboo"}, {"title": "Trains", "body": "noon"}]
    body = {"query": QUERY, "documents": documents, "rank_fields": ["title", "body"], "return_documents": True}
    async with opened() as client:
        answer = (await client.post("/v1/rerank", json=body)).json()
    assert [one["document"] for one in answer["results"]] == [documents[one["index"]] for one in answer["results"]]


async def test_spans_are_sentences_in_code_points_best_first(opened: Opened) -> None:
    text = "😀 The panda eats bamboo. 火车中午开。Bamboo grows fast!"
    asked = {"mode": "enabled", "threshold": 0.0}
    body = {"model": "ranker", "query": QUERY, "documents": [text, ""], "relevant_spans": asked}
    async with opened() as client:
        results = (await client.post("/v2/rerank", json=body)).json()["results"]
        fewer = (await client.post("/v2/rerank", json=body | {"relevant_spans": asked | {"max_spans": 2}})).json()
    spans = {one["index"]: one["relevant_spans"] for one in results}
    found = {text[one["start"] : one["end"]] for one in spans[0]}
    assert found == {"😀 The panda eats bamboo.", "火车中午开。", "Bamboo grows fast!"}
    assert [one["score"] for one in spans[0]] == sorted((one["score"] for one in spans[0]), reverse=True)
    assert spans[1] == []
    assert fewer["results"][0]["relevant_spans"] == spans[0][:2]


async def test_facts_of_our_own_come_only_when_asked_for(opened: Opened) -> None:
    body = {"query": QUERY, "documents": ["bamboo " * 600]}
    async with opened() as client:
        plain = (await client.post("/v1/rerank", json=body)).json()["results"][0]
        detailed = (await client.post("/v1/rerank", json=body | {"x_rerank_plugins": True})).json()["results"][0]
    assert "x_rerank_plugins" not in plain
    assert detailed["x_rerank_plugins"]["truncated"] is True
    assert detailed["x_rerank_plugins"]["window"]["start"] == 0


async def test_a_document_that_the_request_cuts_is_told_to_be_cut(opened: Opened) -> None:
    body = {"query": QUERY, "documents": ["bamboo bamboo panda", "bamboo"], "max_tokens_per_doc": 1}
    async with opened() as client:
        answer = await client.post("/v1/rerank", json=body | {"x_rerank_plugins": True})
    facts = {one["index"]: one["x_rerank_plugins"] for one in answer.json()["results"]}
    assert facts[0]["truncated"] is True
    assert facts[0]["window"] == {"start": 0, "end": len("bamboo")}
    assert facts[1]["truncated"] is False
    assert "window" not in facts[1]


async def test_a_request_chooses_windows_or_the_beginning(opened: Opened, checkpoints: Path) -> None:
    long = "train " * 700 + "the panda eats bamboo"
    with Reranker(checkpoints / "bert-reranker", device="cpu", long_documents="maxp") as reranker:
        windows = reranker.rank(QUERY, [long])[0].probability
    with Reranker(checkpoints / "bert-reranker", device="cpu") as reranker:
        beginning = reranker.rank(QUERY, [long])[0].probability
        short = reranker.rank(QUERY, ["train train train"])[0].probability
    body = {"model": "ranker", "query": QUERY, "documents": [long], "overlap_tokens": 80}
    async with opened() as client:
        maxp = await client.post("/v1/rerank", json=body | {"max_chunks_per_doc": 1024})
        first = await client.post("/v1/rerank", json=body | {"max_chunks_per_doc": 1})
        tokens = await client.post("/tokenize", json={"inputs": "train train train", "add_special_tokens": False})
        fewer = {"model": "ranker", "query": QUERY, "documents": [long], "max_tokens_per_doc": len(tokens.json()[0])}
        cut = await client.post("/v2/rerank", json=fewer)
    scores = [one.json()["results"][0]["relevance_score"] for one in (maxp, first, cut)]
    assert windows != beginning
    assert scores == pytest.approx([windows, beginning, short], abs=1e-6)


async def test_what_does_not_fit_is_an_error_only_where_that_was_asked(opened: Opened) -> None:
    long = "panda " * 700
    async with opened() as client:
        usual = await client.post("/rerank", json={"query": QUERY, "texts": [long]})
        strict = await client.post("/rerank", json={"query": QUERY, "texts": [long], "truncate": False})
        nim = {"query": {"text": QUERY}, "passages": [{"text": long}], "truncate": "NONE"}
        nvidia = await client.post("/v1/ranking", json=nim)
        alone = [
            await client.post("/rerank", json={"query": QUERY, "texts": texts, "truncate": False, "top_n": 1})
            for texts in ([long, *TEXTS], TEXTS)
        ]
    assert usual.status_code == 200
    # Whichever is returned.
    assert [one.status_code for one in alone] == [422, 200]
    assert len(alone[1].json()) == 1
    assert strict.status_code == 422
    assert strict.json()["error_type"] == "Validation"
    assert "must have less than 512 tokens" in strict.json()["error"]
    assert nvidia.status_code == 422
    async with opened(auto_truncate=False) as client:
        assert (await client.post("/rerank", json={"query": QUERY, "texts": [long]})).status_code == 422


@pytest.mark.parametrize("long_documents", ["truncate", "maxp"])
async def test_a_query_that_does_not_fit_is_an_error_where_that_was_asked(opened: Opened, long_documents: str) -> None:
    body = {"query": "panda " * 700, "texts": ["bamboo", ""]}
    options = {"device": "cpu", "long_documents": long_documents}
    async with opened(reranker_options=options) as client:
        usual = await client.post("/rerank", json=body)
        strict = await client.post("/rerank", json=body | {"truncate": False})
        short = await client.post("/rerank", json=body | {"truncate": False, "query": QUERY})
    assert (usual.status_code, strict.status_code, short.status_code) == (200, 422, 200)
    assert "the query has more" in strict.json()["error"]


@pytest.mark.parametrize("more", [{}, {"max_chunks_per_doc": 1}, {"kwargs": "{}"}, {"raw_scores": False}])
@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank"])
async def test_truncation_may_be_forbidden_in_any_dialect_of_documents(
    opened: Opened, path: str, more: dict[str, Any]
) -> None:
    body = {"query": QUERY, "documents": ["panda " * 700], "top_n": 1, "truncation": False, **more}
    async with opened() as client:
        refused = await client.post(path, json=body)
        taken = await client.post(path, json=body | {"truncation": True})
    assert (refused.status_code in (400, 422), taken.status_code) == (True, 200)


async def test_windows_are_asked_for_on_either_path(opened: Opened) -> None:
    body = {"query": QUERY, "documents": ["train " * 700 + "panda"], "max_chunks_per_doc": 64, "x_rerank_plugins": True}
    async with opened() as client:
        found = [(await client.post(path, json=body)).json()["results"][0] for path in ("/rerank", "/v1/rerank")]
    assert found[0] == found[1]
    assert found[0]["x_rerank_plugins"]["truncated"] is False


async def test_results_of_voyage_are_counted_on_either_path(opened: Opened) -> None:
    body = {"model": "ranker", "query": QUERY, "documents": TEXTS, "top_k": 1}
    async with opened() as client:
        found = [(await client.post(path, json=body)).json()["data"] for path in ("/rerank", "/v1/rerank")]
    assert [len(one) for one in found] == [1, 1]


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank"])
async def test_a_document_that_is_nested_too_deeply_to_be_given_back(opened: Opened, path: str) -> None:
    deep: list[Any] = []
    for _ in range(300):
        deep = [deep]
    body = {"query": QUERY, "documents": ["panda", {"text": "bamboo", "more": deep}], "return_documents": True}
    async with opened() as client:
        refused = await client.post(path, json=body)
        taken = await client.post(path, json=body | {"return_documents": False})
    assert (refused.status_code in (400, 422), taken.status_code) == (True, 200)
    assert "documents[1] has more than 200 levels" in refused.text


REFUSE_CUTS = {
    "/embed": {"inputs": "{}", "truncate": False},
    "/embed_sparse": {"inputs": "{}", "truncate": False},
    "/embed_all": {"inputs": "{}", "truncate": False},
    "/v1/embed": {"texts": ["{}"], "truncate": "NONE"},
    "/v2/embed": {"model": "m3", "texts": ["{}"], "truncate": "NONE", "input_type": "search_document"},
    "/v1/embeddings": {"input": ["{}"], "truncation": False},
    "/embeddings": {"input": "{}", "truncate": "NONE"},
    "/similarity": {
        "inputs": {"source_sentence": "panda", "sentences": ["{}"]},
        "parameters": {"truncate": False},
    },
}
"""Bodies of each path that embeds, with what forbids to cut a text, which stands for the braces."""


@pytest.mark.parametrize("path", REFUSE_CUTS)
async def test_no_end_of_a_text_is_left_out_of_a_vector_where_that_was_forbidden(
    opened: Opened, tmp_path: Path, path: str
) -> None:
    folder = embedder_checkpoints.bge_m3(tmp_path / "m3", pickled=False)
    with Embedder(folder, device="cpu") as embedder:
        most = embedder.max_length

    def body(text: str) -> dict[str, object]:
        return json.loads(json.dumps(REFUSE_CUTS[path]).replace("{}", text))

    async with opened(models=(ModelPlan(name="m3", model=str(folder)),)) as client:
        each = len(
            (await client.post("/tokenize", json={"inputs": "panda panda", "add_special_tokens": False})).json()[0]
        )
        n_words = 2 * (most - 2) // each
        fits, longer = " ".join(["panda"] * n_words), " ".join(["panda"] * (n_words + 1))
        allows = {"truncate": None, "truncation": None, "parameters": None, "truncate_prompt_tokens": -1}
        allowed = await client.post(path, json={**body(longer), **allows})
        whole, refused = [await client.post(path, json=body(text)) for text in (fits, longer)]
    assert (allowed.status_code, whole.status_code) == (200, 200)
    assert refused.status_code in (400, 422)
    place = 1 if path == "/similarity" else 0
    assert f"must have less than {most} tokens; text {place} has more" in refused.text


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/v1/embed", {"texts": ["panda"], "truncate": "START"}, "truncate START is not supported"),
        ("/v1/embeddings", {"input": "panda", "truncate": "START"}, "truncate START is not supported"),
        ("/v1/embeddings", {"input": "panda", "truncate_prompt_tokens": 2}, "truncate_prompt_tokens is not supported"),
        ("/embed", {"inputs": "panda", "truncation_direction": "left"}, "truncation_direction left is not supported"),
    ],
)
async def test_texts_are_cut_in_no_other_way_than_was_asked(
    opened: Opened, path: str, body: dict[str, object], message: str
) -> None:
    async with opened() as client:
        refused = await client.post(path, json=body)
    assert refused.status_code in (400, 422)
    assert message in refused.text


async def test_vectors_are_those_of_the_facade_in_every_form(opened: Opened, checkpoints: Path) -> None:
    with Embedder(checkpoints / "bert-embedder", device="cpu") as embedder:
        documents, queries = embedder.embed_documents(TEXTS[2:4]), embedder.embed_queries(TEXTS[2:4])
    async with opened() as client:

        async def embedded(path: str = "/v1/embeddings", **body: object) -> list[object]:
            answer = (await client.post(path, json={"model": "vectors", "input": TEXTS[2:4], **body})).json()
            return [one["embedding"] for one in answer["data"]]

        plain = await embedded()
        packed = await embedded(encoding_format="base64")
        asked = await embedded(input_type="query")
        suffix = await embedded(model="vectors:query")
        bits = await embedded(embedding_type="ubinary")
        # As Voyage's client asks for integers.
        integers = await embedded(output_dtype="int8")
        packed_integers = await embedded(output_dtype="int8", encoding_format="base64")
        tei = (await client.post("/embed", json={"inputs": TEXTS[2:4]})).json()
    assert [np.frombuffer(base64.b64decode(str(one)), dtype="i1").tolist() for one in packed_integers] == integers
    assert np.allclose(plain, documents, atol=1e-6)
    decoded = [np.frombuffer(base64.b64decode(str(one)), dtype="<f4") for one in packed]
    assert np.allclose(decoded, documents, atol=1e-6)
    assert np.allclose(asked, queries, atol=1e-6)
    assert np.allclose(suffix, queries, atol=1e-6)
    assert np.array_equal(np.unpackbits(np.array(bits, dtype=np.uint8), axis=1)[:, : documents.shape[1]], documents > 0)
    assert np.allclose(np.linalg.norm(tei, axis=1), 1.0, atol=1e-5)


async def test_the_tokens_of_an_answer_are_those_that_were_read(opened: Opened, checkpoints: Path) -> None:
    texts = ["panda", "which animal eats bamboo"]
    folders = [checkpoints / "bert-embedder", checkpoints / "bert-reranker"]
    vectors, ranker = [AutoTokenizer.from_pretrained(folder) for folder in folders]
    wanted = [sum(map(len, vectors(texts)["input_ids"])), sum(map(len, ranker([QUERY] * 2, texts)["input_ids"]))]
    asked = {
        "/v1/embeddings": {"input": texts},
        "/score": {"text_1": QUERY, "text_2": texts},
    }
    async with opened() as client:
        found = [await client.post(path, json=body) for path, body in asked.items()]
        versions = [
            (await client.post(f"/{version}/embed", json={"model": "vectors", "texts": texts, **more})).json()["meta"]
            for version, more in (("v1", {}), ("v2", {"input_type": "search_document"}))
        ]
    assert [one.json()["usage"]["total_tokens"] for one in found] == wanted
    assert [int(one.headers["x-compute-tokens"]) for one in found] == wanted
    assert all({"x-queue-time", "x-inference-time", "x-tokenization-time"} <= set(one.headers) for one in found)
    assert [one["billed_units"]["input_tokens"] for one in versions] == [wanted[0]] * 2
    assert [one["api_version"]["version"] for one in versions] == ["1", "2"]


def taken_by(call: Callable[[], object]) -> int:
    """Return the tokens of all inputs that a call had a model read."""
    records: list[CallRecord] = []
    remove = add_observer(records.append)
    try:
        call()
    finally:
        remove()
    assert records
    return sum(one.usage.tokens for one in records if one.usage is not None)


@pytest.mark.parametrize("model", ["bert-reranker", "colbert"])
async def test_the_tokens_of_spans_and_explanations_are_those_that_were_read(
    opened: Opened, checkpoints: Path, tmp_path: Path, model: str
) -> None:
    """They were estimated from characters, and those of spans left out."""
    folder = checkpoints / model if model != "colbert" else colbert_checkpoints.stanford(tmp_path / model)
    texts = ["the panda eats bamboo. a train leaves at noon! bamboo", "", "a train leaves at noon"]
    sentences = ["the panda eats bamboo.", "a train leaves at noon!", "bamboo", "a train leaves at noon"]
    spans = {"relevant_spans": {"mode": "enabled", "threshold": 0.0}}
    async with opened(models=(ModelPlan(name="ranker", model=str(folder)),)) as client:
        ranked, blank = [
            await client.post("/v2/rerank", json={"model": "ranker", "query": QUERY, "documents": documents, **spans})
            for documents in (texts, ["", " "])
        ]
        explained = await client.post("/v1/explain", json={"query": QUERY, "document": texts[0]})
    with Reranker(folder, device="cpu") as reranker:
        ranking = taken_by(lambda: reranker.rank(QUERY, texts))
        parts = taken_by(lambda: reranker.score([(QUERY, one) for one in sentences]))
        explaining = taken_by(lambda: reranker.explain(QUERY, texts[0]))
    assert int(ranked.headers["x-compute-tokens"]) == ranking + parts
    assert ranked.json()["meta"]["tokens"]["input_tokens"] == ranking + parts
    assert int(blank.headers["x-compute-tokens"]) == 0
    assert int(explained.headers["x-compute-tokens"]) == explaining
    assert explained.json()["usage"]["total_tokens"] == explaining
    assert "x-inference-time" in explained.headers


async def test_the_tokens_of_an_ensembles_explanation_are_counted_once(opened: Opened, checkpoints: Path) -> None:
    """Its members' calls are told of too, each with tokens that its own call has in its sum."""
    folder = checkpoints / "bert-reranker"
    name = f"ensemble:{folder},{folder}*2,probability"
    async with opened(models=(ModelPlan(name="both", model=name),), reranker_options={}) as client:
        both = await client.post("/v1/explain", json={"query": QUERY, "document": TEXTS[0]})
    with Reranker(folder, device="cpu") as reranker:
        alone = taken_by(lambda: reranker.explain(QUERY, TEXTS[0]))
    assert int(both.headers["x-compute-tokens"]) == 2 * alone


async def test_tokens_that_are_told_one_by_one_are_counted(opened: Opened) -> None:
    async with opened() as client:
        found = await client.post("/tokenize", json={"inputs": ["the panda eats bamboo", "bamboo"]})
    assert int(found.headers["x-compute-tokens"]) == sum(map(len, found.json()))


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/v1/embeddings", {"input": ["panda"], "late_chunking": True}),
        ("/v2/embed", {"model": "vectors", "texts": ["panda"], "input_type": "search_query", "max_tokens": 1}),
    ],
)
async def test_what_would_give_other_vectors_is_refused(opened: Opened, path: str, more: dict[str, Any]) -> None:
    async with opened() as client:
        refused = await client.post(path, json=more)
    assert refused.status_code == 400
    assert list(more)[-1] in refused.text


async def test_token_ids_are_refused_with_the_way_out(opened: Opened) -> None:
    async with opened() as client:
        for ids in ([1, 2, 3], [[1, 2], [3]]):
            response = await client.post("/v1/embeddings", json={"model": "vectors", "input": ids})
            assert response.status_code == 400
            assert "check_embedding_ctx_length=False" in response.json()["error"]["message"]


async def test_models_are_listed_and_named(opened: Opened) -> None:
    async with opened() as client:
        listed = {one["id"]: one for one in (await client.get("/v1/models")).json()["data"]}
        one = (await client.get("/v1/models/ranker")).json()
        info = (await client.get("/info")).json()
        auth = (await client.get("/v1/cluster/auth")).json()
        unknown = await client.get("/v1/models/nobody")
        other = await client.post("/v1/rerank", json={"model": "nobody", "query": "q", "documents": ["d"]})
    assert {name: facts["model_type"] for name, facts in listed.items()} == {"ranker": "rerank", "vectors": "embedding"}
    assert one == listed["ranker"]
    assert (info["model_type"], info["max_input_length"]) == (
        {"reranker": {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}},
        512,
    )
    assert auth == {"auth": False}
    assert unknown.status_code == other.status_code == 404
    assert "ranker" in other.json()["detail"]
    async with opened(any_model_name=True) as client:
        body = {"model": "rerank-v3.5", "query": "q", "documents": ["d"]}
        assert (await client.post("/v2/rerank", json=body)).status_code == 200


async def test_a_model_is_loaded_when_it_is_first_asked_for(opened: Opened) -> None:
    async with opened(on_demand=True) as client:
        before = {one["id"]: one["state"] for one in (await client.get("/v1/models")).json()["data"]}
        assert (await client.get("/readyz")).status_code == 200
        assert (await client.post("/rerank", json={"query": "q", "texts": ["d"]})).status_code == 200
        after = {one["id"]: one["state"] for one in (await client.get("/v1/models")).json()["data"]}
    assert before == {"ranker": "waiting", "vectors": "waiting"}
    assert after == {"ranker": "ready", "vectors": "waiting"}


async def test_a_model_that_cannot_be_opened_is_told_and_tried_again(
    opened: Opened, checkpoints: Path, tmp_path
) -> None:
    folder = tmp_path / "copy=1"
    shutil.copytree(checkpoints / "bert-reranker", folder)
    weights = folder / "model.safetensors"
    kept = weights.read_bytes()
    async with opened(on_demand=True, models=(ModelPlan.of(str(folder)),)) as client:
        weights.write_bytes(b"nonsense")
        broken = await client.post("/rerank", json={"query": "q", "texts": ["d"]})
        weights.write_bytes(kept)
        whole = await client.post("/rerank", json={"query": "q", "texts": ["d"]})
    assert (broken.status_code, broken.json()["error_type"]) == (503, "Unhealthy")
    assert broken.headers["retry-after"] == "30"
    assert whole.status_code == 200


async def test_options_that_do_not_fit_a_model_are_no_fault_of_the_request(opened: Opened) -> None:
    async with opened(on_demand=True, layers=LayerOptions(cutoff_layers=(3,))) as client:
        answer = await client.post("/rerank", json={"query": "q", "texts": ["d"]})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
    assert "no layers to choose" in answer.json()["error"]


async def test_a_model_that_is_not_known_yet_may_be_there_later(serve_settings: ServeSettings) -> None:
    app = serving_app(serve_settings)
    try:
        async with client_of(app) as client:
            early = await client.get("/v1/models/ranker")
    finally:
        app.close()
    assert (early.status_code, early.headers["retry-after"]) == (503, "5")


async def test_the_batch_that_tei_tells_is_one_that_is_taken(opened: Opened, checkpoints: Path) -> None:
    plan = ModelPlan(name="vectors", model=str(checkpoints / "bert-embedder"))
    limits = {"max_documents": 9_000, "max_texts": 8}
    for more, most in (({}, 8), ({"models": (plan,)}, 8)):
        async with opened(limits=limits, **more) as client:
            assert (await client.get("/info")).json()["max_client_batch_size"] == most


@pytest.mark.parametrize(
    ("written", "name", "model"),
    [("mini", "mini", "mini"), ("a = BAAI/bge-m3", "a", "BAAI/bge-m3"), ("BAAI/bge-m3", "BAAI/bge-m3", "BAAI/bge-m3")],
)
def test_models_are_written_with_or_without_a_name(written: str, name: str, model: str) -> None:
    plan = ModelPlan.of(written)
    assert (plan.name, plan.model) == (name, model)
    for wrong in ("", "=", "a=", "=b"):
        with pytest.raises(InvalidInputError, match="MODEL or NAME=MODEL"):
            ModelPlan.of(wrong)


async def test_an_instruction_for_a_model_that_reads_none_is_an_error(opened: Opened) -> None:
    async with opened() as client:
        body = {"model": "ranker", "query": "q", "documents": ["d"], "instruction": "find it"}
        response = await client.post("/rerank", json=body)
    assert response.status_code == 400
    assert "takes no prompt" in response.json()["error"]["message"]


async def test_sparse_weights_and_vectors_of_tokens_are_those_of_the_facade(opened: Opened, tmp_path: Path) -> None:
    folder, texts = embedder_checkpoints.bge_m3(tmp_path / "m3", pickled=False), [text for text in TEXTS if text]
    with Embedder(folder, device="cpu") as embedder:
        found = embedder.encode_documents(texts)
    async with opened(models=(ModelPlan(name="m3", model=str(folder)),)) as client:
        sparse = (await client.post("/embed_sparse", json={"inputs": texts})).json()
        one = (await client.post("/embed_sparse", json={"inputs": texts[0]})).json()
        tokens = (await client.post("/embed_all", json={"inputs": texts})).json()
    assert found.sparse is not None
    assert found.colbert is not None
    for weights, expected in zip(sparse, found.sparse, strict=True):
        assert [item["index"] for item in weights] == sorted(expected)
        assert [item["value"] for item in weights] == pytest.approx([expected[key] for key in sorted(expected)])
    assert [item["index"] for item in one[0]] == [item["index"] for item in sparse[0]]
    for vectors, wanted in zip(tokens, found.colbert, strict=True):
        assert np.asarray(vectors).reshape(wanted.shape) == pytest.approx(wanted, abs=1e-6)


async def test_a_model_with_one_vector_a_text_says_so_by_its_name_on_the_server(opened: Opened) -> None:
    async with opened() as client:
        answers = [await client.post(path, json={"inputs": TEXTS[0]}) for path in ("/embed_sparse", "/embed_all")]
    for answer in answers:
        assert answer.status_code == 422
        assert answer.json()["error"].startswith("'vectors' has dense vectors only")


@pytest.mark.parametrize("on_demand", [False, True])
async def test_a_folder_with_vectors_of_tokens_alone_is_served_as_both_kinds(
    opened: Opened, tmp_path: Path, *, on_demand: bool
) -> None:
    folder = colbert_checkpoints.stanford(tmp_path / "colbert")
    with Reranker(folder, device="cpu") as reranker, Embedder(folder, device="cpu") as embedder:
        expected = [one.index for one in reranker.rank(QUERY, TEXTS)]
        vectors = embedder.encode_documents(TEXTS[:1]).colbert
    plan = ModelPlan(name="late", model=str(folder))
    async with opened(models=(plan,), on_demand=on_demand) as client:
        ranked = await client.post("/rerank", json={"query": QUERY, "texts": TEXTS})
        tokens = await client.post("/embed_all", json={"inputs": TEXTS[:1]})
        whole = await client.post("/embed", json={"inputs": TEXTS[:1]})
    assert [one["index"] for one in ranked.json()] == expected
    assert vectors is not None
    assert np.asarray(tokens.json()[0]) == pytest.approx(vectors[0], abs=1e-6)
    assert whole.status_code == 422


async def test_what_asks_for_another_reading_is_read_wherever_it_is_sent(opened: Opened) -> None:
    # Of those who share this path, whose client it is shows by no other key.
    body = {"model": "ranker", "query": QUERY, "documents": TEXTS[2:4], "return_documents": False}
    keys = ({"activation": False}, {"max_tokens_per_query": 1}, {"max_tokens_per_doc": 1})
    async with opened() as client:
        answers = [
            [(await client.post(path, json=body | key)).json()["results"] for path in ("/v1/rerank", "/rerank")]
            for key in ({}, *keys)
        ]
        left = await client.post("/v1/rerank", json=body | {"truncation_side": "left"})
        instructed = await client.post("/v1/rerank", json=body | {"instruction": "find it"})
    assert all(one == other for one, other in answers)
    assert all(one != answers[0][0] for one, _ in answers[1:])
    assert (left.status_code, left.json()["error"]["param"]) == (400, "truncation_side")
    assert instructed.status_code == 422
    assert "takes no prompt" in instructed.json()["detail"]


async def test_pairs_are_cut_as_the_documents_of_a_ranking(opened: Opened) -> None:
    documents = ["panda bamboo train " * 9, "bamboo"]
    cut = {"model": "ranker", "max_tokens_per_doc": 2}
    async with opened() as client:
        ranking = (await client.post("/rerank", json=cut | {"query": QUERY, "documents": documents})).json()["results"]
        pairs = (await client.post("/score", json=cut | {"text_1": QUERY, "text_2": documents})).json()["data"]
    expected = {one["index"]: one["relevance_score"] for one in ranking}
    assert [one["score"] for one in pairs] == pytest.approx([expected[0], expected[1]], abs=1e-6)


async def test_no_error_shows_where_a_model_lies(
    opened: Opened, checkpoints: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkpoints)
    plans = (ModelPlan(name=r"a\1", model="./bert-embedder"), ModelPlan(name="b", model="bert-reranker"))
    async with opened(models=plans) as client:
        answer = await client.post("/v1/embeddings", json={"model": r"a\1", "input": "x", "dimensions": 9_999})
    assert answer.status_code == 400
    assert r"vectors of 'a\1' have" in answer.json()["error"]["message"]
    store = ModelStore(ServeSettings(models=plans))
    shown = store.with_served_names(
        f"{str(checkpoints / 'bert-reranker' / 'config.json')!r}, {checkpoints}/bert-reranker2"
    )
    assert shown == f"'b/config.json', {checkpoints}/bert-reranker2"
