from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import hub_caches
import pytest
import tiny_rerankers
import transformers
from typer.testing import CliRunner

from rerank_plugins.catalog import known_models
from rerank_plugins.cli import app, diagnosis
from rerank_plugins.cli.diagnosis import Finding, find_extras, find_hub, find_models
from rerank_plugins.cli.speed import find_model_speed, find_speed


class Refusing(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_response(404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Refusing) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_offline_is_fine() -> None:
    # The test session sets HF_HUB_OFFLINE.
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 0, result.output
    for told in ("default device", "transformers", "switched off by HF_HUB_OFFLINE"):
        assert told in result.stdout


def test_an_answer_of_any_kind_is_reachable(online: pytest.MonkeyPatch, server: str) -> None:
    online.setattr("huggingface_hub.constants.ENDPOINT", server)
    assert find_hub()[0] == Finding(server, "reachable")


@pytest.mark.parametrize(
    "endpoint", [f"http://127.0.0.1:{closed_port()}", "file:///etc", "nonsense"], ids=["closed", "file", "nonsense"]
)
def test_unreachable_hub_is_told_without_alarm(online: pytest.MonkeyPatch, endpoint: str) -> None:
    online.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
    finding = find_hub()[0]
    assert finding.state == "info"
    assert "not reachable" in finding.value
    assert "HF_ENDPOINT" in finding.value


def test_missing_parts_come_with_their_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "_EXTRAS", ("mini", "evaluation"))
    brought = {"mini": ["not-there-at-all"], "evaluation": ["pytest"]}
    monkeypatch.setattr(diagnosis, "distributions_of_extras", lambda: brought)
    missing, installed = find_extras()
    assert missing.way_out == 'pip install "rerank-plugins[mini]"'
    assert installed.state == "ok"
    monkeypatch.setenv("COLUMNS", "100")
    assert 'pip install "rerank-plugins[mini]"' in CliRunner().invoke(app, ["doctor"]).stdout


def test_models_in_the_cache_are_found_and_what_a_half_one_lacks_is_told(
    monkeypatch: pytest.MonkeyPatch, checkpoints: Path, tmp_path: Path
) -> None:
    listed = known_models()
    renamed = listed["reranker", "cross-encoder/ms-marco-MiniLM-L6-v2"]
    half = listed["reranker", "BAAI/bge-reranker-base"]
    other = listed["reranker", "BAAI/bge-reranker-large"]
    embedder = listed["embedder", "BAAI/bge-small-en-v1.5"]
    fill, reranker = hub_caches.fill_cache, checkpoints / "xlmr-reranker"
    whole = fill(tmp_path, renamed.aliases[0], checkpoints / "bert-reranker", commit=str(renamed.revision))
    fill(tmp_path, half.id, reranker, commit=str(half.revision), without=["tokenizer.json"])
    fill(tmp_path, other.id, reranker, branch="main")
    lost = ["1_Pooling/config.json"]
    fill(tmp_path, embedder.id, checkpoints / "bert-embedder", commit=str(embedder.revision), without=lost)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    found = {finding.name: finding for finding in find_models()}
    assert found[f"{renamed.id} (reranker)"] == Finding(f"{renamed.id} (reranker)", str(whole))
    told = found[f"{half.id} (reranker)"]
    assert told.state == "missing"
    assert told.value.endswith("lacks tokenizer.json")
    assert told.way_out == f"hf download {half.id} --revision {half.revision}"
    assert found[f"{embedder.id} (embedder)"].value.endswith("lacks 1_Pooling/config.json")
    assert f"{other.id} (reranker)" not in found, "another commit is not used"
    assert "mini (reranker)" in found
    monkeypatch.setenv("COLUMNS", "200")
    assert told.way_out in CliRunner().invoke(app, ["doctor"]).stdout


def test_how_a_model_runs(bert_reranker_folder: Path) -> None:
    result = CliRunner().invoke(app, ["doctor", "--model", str(bert_reranker_folder)], catch_exceptions=False)
    assert "packed, no padding" in result.output
    assert "512 tokens" in result.output
    assert "not shared: only decoders" in " ".join(result.output.split())


def test_how_a_backend_of_texts_runs_is_its_own_affair() -> None:
    found = [(finding.name, finding.value) for finding in find_model_speed("bm25")]
    assert found == [("runs on", "as its backend says"), ("input", "no limit of tokens known")]


@pytest.mark.skipif(not hasattr(transformers, "AttentionInterface"), reason="decoders are padded there")
def test_a_decoder_shares_the_prefix_of_a_query(tmp_path: Path) -> None:
    folder = tiny_rerankers.mxbai_reranker(tmp_path / "mxbai-rerank-base-v2")
    assert ("query prefix", "ok") in [(finding.name, finding.state) for finding in find_model_speed(str(folder))]


def test_speed_is_told_without_a_model() -> None:
    names = [finding.name for finding in find_speed()]
    assert names[0] == "batches"
    assert "bfloat16" in names
