"""Services behind the facade: names, addresses, keys, and options that a service cannot keep."""

from __future__ import annotations

import copy
import logging
import pickle
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from scripted_server import Answer, scripted_server

from rerank_plugins import Embedder, InvalidInputError, RemoteEmbedder, RemoteScorer, Reranker, ScoreCache
from rerank_plugins.backends import named
from rerank_plugins.calibration import fit_calibration
from rerank_plugins.errors import RemoteError
from rerank_plugins.remote.dialects import EMBEDDERS, RERANKERS
from rerank_plugins.types import EngineOptions, LayerOptions, LongDocuments, SourceOptions

KEY = "sk-canary-of-the-test"
VENDORS = [name for name, one in RERANKERS.items() if one.service.base_url]


def answer(request: Any) -> Answer:
    documents = request.body["documents"]
    results = [{"index": n, "relevance_score": len(set(text)) / 100} for n, text in enumerate(documents)]
    return Answer({"id": "1", "results": results})


def test_the_names_are_those_of_the_dialects() -> None:
    assert set(named._SERVICES["reranker"].split()) == set(RERANKERS)
    assert set(named._SERVICES["embedder"].split()) == set(EMBEDDERS)
    assert set(RERANKERS) <= set(named.backend_names())
    assert set(EMBEDDERS) <= set(named.backend_names(kind="embedder"))


@pytest.mark.parametrize("service", VENDORS)
def test_a_vendors_name_alone_opens_its_model(service: str) -> None:
    with Reranker(f"{service}:some/model-v1") as reranker:
        assert reranker.spec.id == f"{service}:some/model-v1"
        assert reranker.spec.family == service
        assert reranker.device in RERANKERS[service].service.base_url


@pytest.mark.parametrize(
    ("name", "base_url", "model"),
    [
        ("vllm:http://h:8000/v1#org/model", "http://h:8000", "org/model"),
        ("vllm:http://h:8000/v1/rerank/#org/model", "http://h:8000", "org/model"),
        ("vllm:http://h:8000", "http://h:8000", ""),
        ("tei:https://h/rerank", "https://h", ""),
        ("tei:HTTP://h/prefix/rerank", "HTTP://h/prefix", ""),
        ("infinity:http://h/v1#m", "http://h/v1", "m"),
        ("rerank-plugins:http://h:8000/v1#rerank", "http://h:8000", "rerank"),
        ("nvidia:http://h/v1#m", "http://h", "m"),
        ("xinference:http://h#m?key_env=A", "http://h", "m"),
        ("xinference:http://h?key_env=A#m", "http://h", "m"),
        ("cohere:http://gateway/v2#m", "http://gateway", "m"),
        ("cohere:m?base_url=http://gateway", "http://gateway", "m"),
        ("dashscope:https://h/api/v1#m", "https://h", "m"),
    ],
)
def test_addresses_in_names(name: str, base_url: str, model: str) -> None:
    with Reranker(name) as reranker:
        backend = reranker._lease.value.backend
        assert (backend._engine.client.base_url, backend._model) == (base_url, model)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cohere", "name of the model at 'cohere' is missing; write cohere:MODEL"),
        ("cohere:", "name of the model at 'cohere' is missing"),
        ("tei", "write tei:http://host:port"),
        ("tei:model", "write tei:http://host:port"),
        ("xinference:http://h", "write xinference:http://host:port#MODEL"),
        ("cohere:m?api_key=" + KEY, "'api_key' is no setting .* key_env names"),
        ("cohere:m?" + KEY, "is no setting"),
        ("cohere:m?key_env=" + KEY, "key_env must be the name of an environment variable"),
        ("cohere:http://user:" + KEY + "@h#m", "holds a user"),
        ("cohere:http://h#m?base_url=http://other", "two addresses"),
        ("cohere:m?prompt=find answers", "takes no instruction .*siliconflow"),
        ("cohere:m?scores=stars", "scores must be"),
    ],
)
def test_names_that_say_nothing(name: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message) as caught:
        Reranker(name)
    assert KEY not in str(caught.value)


LOCAL: dict[str, Any] = {
    "device": "cpu",
    "dtype": "float16",
    "prompt": "find answers",
    "layers": LayerOptions(cutoff_layers=(8,)),
    "engine": EngineOptions(max_batch_tokens=100),
    "source": SourceOptions(revision="main"),
    "long_documents": LongDocuments(truncation="longest_first"),
}


@pytest.mark.parametrize("option", LOCAL)
def test_options_of_local_models_are_refused(option: str) -> None:
    with pytest.raises(InvalidInputError, match=f"{option}.*Leave them out"):
        Reranker("cohere:rerank-v3.5", **{option: LOCAL[option]})
    if option in ("device", "dtype", "engine", "source"):
        with pytest.raises(InvalidInputError, match=f"{option}.*Leave them out"):
            Embedder("openai:text-embedding-3-small", **{option: LOCAL[option]})


def test_the_vendors_key_goes_to_the_vendor_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COHERE_API_KEY", raising=False)
    monkeypatch.setenv("CO_API_KEY", KEY)
    assert RemoteScorer("cohere", "m")._engine.client.key_env == "CO_API_KEY"
    monkeypatch.setenv("COHERE_API_KEY", KEY)
    assert RemoteScorer("cohere", "m")._engine.client.key_env == "COHERE_API_KEY"
    with scripted_server(answer) as server:
        Reranker(f"cohere:{server.url}#m").rank("q", ["a"])
        Reranker(f"cohere:{server.url}#m?key_env=COHERE_API_KEY").rank("q", ["a"])
        sent = [one.headers.get("authorization") for one in server.requests]
    assert sent == [None, f"Bearer {KEY}"]


def test_a_missing_key_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("COHERE_API_KEY", "CO_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InvalidInputError, match="'COHERE_API_KEY' is not set"):
        Reranker("cohere:rerank-v3.5").rank("q", ["a"])


def test_the_key_is_kept_nowhere(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("COHERE_API_KEY", KEY)
    leaks = [Answer({"message": f"the key {KEY} is wrong"}, status=401), Answer({"message": KEY}, status=500)]
    with caplog.at_level(logging.DEBUG), scripted_server([*leaks, Answer({"results": []})]) as server:
        scorer = RemoteScorer("cohere", "m", base_url=server.url, key_env="COHERE_API_KEY")
        reranker = Reranker(f"cohere:{server.url}#m?key_env=COHERE_API_KEY")
        embedder = RemoteEmbedder("cohere", "m", base_url=server.url, key_env="COHERE_API_KEY")
        shown = [repr(scorer), str(vars(scorer)), repr(embedder), repr(reranker), repr(reranker.spec)]
        shown += [pickle.dumps(one).decode("latin-1") for one in (scorer, embedder, reranker)]
        shown += [repr(scorer.identity), repr(reranker.score_source)]
        for _ in range(2):
            with pytest.raises(RemoteError) as caught:
                reranker.rank("q", ["a"])
            shown += [str(caught.value), repr(caught.value), str(caught.value.__cause__)]
        assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
        assert pickle.loads(pickle.dumps(scorer)).spec == copy.deepcopy(scorer).spec == scorer.spec
        assert pickle.loads(pickle.dumps(reranker)).spec == reranker.spec
    shown += [record.getMessage() for record in caplog.records]
    assert not [text for text in shown if KEY in text]


def test_a_dialect_with_changes_stays_what_it_is() -> None:
    """It has the name of the one that it was made of, which it is not."""
    own, vectors = replace(RERANKERS["vllm"], path="/own/rerank"), replace(EMBEDDERS["vllm"], path="/own/vectors")
    with scripted_server([Answer({"results": [{"index": 0, "relevance_score": 0.5}]})]) as server:
        known, changed = RemoteScorer("vllm", base_url=server.url), RemoteScorer(own, base_url=server.url)
        again = pickle.loads(pickle.dumps(changed))
        assert Reranker(backend=again).score([("q", "a")]) == [0.5]
        assert [one.path for one in server.requests] == ["/own/rerank"]
        assert changed.identity == RemoteScorer(own, base_url=server.url).identity != known.identity
        cache = ScoreCache()
        for scorer in (known, changed, changed):
            Reranker(backend=scorer, cache=cache).score([("q", "a")])
        assert [one.path for one in server.requests[1:]] == ["/v1/rerank", "/own/rerank"]
    embedder = RemoteEmbedder(vectors, base_url="http://h")
    assert pickle.loads(pickle.dumps(embedder))._dialect.path == "/own/vectors"
    assert embedder.identity != RemoteEmbedder("vllm", base_url="http://h").identity


def test_a_cache_is_shared_by_what_is_asked_and_where() -> None:
    cache = ScoreCache()
    with scripted_server(answer) as server, scripted_server(answer) as other:
        for name in (f"cohere:{server.url}#m", f"cohere:{server.url}/v2#m", f"cohere:m?base_url={server.url}"):
            Reranker(name, cache=cache).score([("q", "abc")])
        assert len(server.requests) == 1
        Reranker(backend=RemoteScorer("cohere", "m", base_url=server.url), cache=cache).score([("q", "abc")])
        assert len(server.requests) == 1
        for name in (f"cohere:{server.url}#m2", f"jina:{server.url}#m", f"cohere:{other.url}#m"):
            Reranker(name, cache=cache).score([("q", "abc")])
        assert (len(server.requests), len(other.requests)) == (3, 1)


def test_thresholds_calibration_and_streams_work_as_for_any_model() -> None:
    with scripted_server(answer) as server:
        reranker = Reranker(f"cohere:{server.url}#m")
        ranking = reranker.rank("q", ["a", "abcdef", "abc", ""], threshold=0.02, top_n=2)
        assert [(one.index, one.score, one.probability) for one in ranking] == [(1, 0.06, 0.06), (2, 0.03, 0.03)]
        assert list(reranker.score_stream([("q", "a"), ("q", "abc")], chunk_pairs=1)) == [0.01, 0.03]
        scores, labels = [0.01, 0.02, 0.05, 0.06] * 5, [False, False, True, True] * 5
        calibration = fit_calibration(scores, labels, source=reranker.score_source)
        calibrated = Reranker(f"cohere:{server.url}#m", calibration=calibration)
        assert calibrated.rank("q", ["abcdef"])[0].probability == calibration.probability(0.06)
        with pytest.raises(InvalidInputError):
            Reranker(f"cohere:{server.url}#other", calibration=calibration)


def test_long_documents_are_split_at_words_where_no_tokenizer_is_known() -> None:
    with scripted_server(answer) as server:
        long = "nothing here " * 400 + "abcdefghijklmnopqrstuvwxyz"
        whole = Reranker(f"cohere:{server.url}#m")
        assert whole.rank("q", [long])[0].window is None
        assert server.requests[-1].body["documents"] == [long]
        windows = Reranker(f"cohere:{server.url}#m", long_documents="maxp")
        assert windows.max_length == 300
        (found,) = windows.rank("q", [long])
        assert len(server.requests[-1].body["documents"]) > 2
        assert found.window is not None
        assert long[found.window.start : found.window.end].endswith("xyz")
        cut = Reranker(f"cohere:{server.url}#m", max_length=11)
        assert cut.rank("q", [long])[0].truncated
        assert len(server.requests[-1].body["documents"][0].split()) == 10


@pytest.mark.parametrize(("service", "key"), [("openai", "dimensions"), ("voyage", "output_dimension")])
def test_a_service_is_asked_for_shorter_vectors(service: str, key: str) -> None:
    with scripted_server([Answer({"data": [{"index": 0, "embedding": [0.6, 0.8]}]})]) as server:
        embedder = Embedder(f"{service}:{server.url}#m?dimensions=2")
        assert embedder.dimensions == 2
        assert embedder.embed_queries(["a"]).tolist() == [[pytest.approx(0.6), pytest.approx(0.8)]]
        assert server.requests[0].body[key] == 2
        with pytest.raises(RemoteError, match=r"lengths \[2\], and not of dimensions=3"):
            Embedder(f"{service}:{server.url}#m?dimensions=3").embed_queries(["a"])
    with pytest.raises(InvalidInputError, match="must be a number, got 'many'"):
        Embedder("openai:m?dimensions=many")


def test_lists_of_jinas_v3_are_scores_of_one_call() -> None:
    with pytest.raises(InvalidInputError, match="cache cannot be used with 'jina:jina-reranker-v3'"):
        Reranker("jina:jina-reranker-v3", cache=ScoreCache())
    assert Reranker("jina:jina-reranker-v2-base-multilingual", cache=ScoreCache()).spec.score_scope == "model"


WITHOUT_TORCH = """
import sys
for name in ("torch", "transformers", "tokenizers"):
    sys.modules[name] = None
from rerank_plugins import Embedder, Reranker
print([one.index for one in Reranker("cohere:{url}#m").rank("q", ["a", "abc", "ab"])])
print(Embedder("tei:{url}").embed_queries(["a"]).tolist())
"""


def test_torch_is_not_needed() -> None:
    def script(request: Any) -> Answer:
        return Answer([[0.6, 0.8]]) if request.path == "/embed" else answer(request)

    with scripted_server(script) as server:
        code = WITHOUT_TORCH.replace("{url}", server.url)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "[1, 2, 0]"
