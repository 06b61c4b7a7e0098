"""``torch_compile``: the same scores, compiled once for all lengths, and a clear word where it cannot be."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import tiny_checkpoints
import tiny_rerankers
import torch
from llm_checkpoints import llm_checkpoint
from torch._dynamo.utils import counters

from rerank_plugins import Embedder, EngineOptions, Reranker, SourceOptions
from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.nn import dense

QUERY = "What do pandas eat?"
TEXTS = [*tiny_checkpoints.SENTENCES, " ".join(tiny_checkpoints.SENTENCES[:3]), "no", "no bamboo"]
PAIRS: list[tuple[str, str | None]] = [(QUERY, text) for text in TEXTS]
OTHERS: list[tuple[str, str | None]] = [(QUERY, f"{text} {text} bamboo") for text in TEXTS[::2]]
KINDS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "qwen3": (tiny_rerankers.qwen_reranker, "qwen3"),
    "mxbai-v2": (tiny_rerankers.mxbai_reranker, "mxbai-v2"),
    # A copy: an open model of another test would be shared, and nothing be compiled for this one.
    "gemma": (lambda folder: Path(shutil.copytree(llm_checkpoint("tiny-gemma"), folder)), "bge"),
}

compiler = pytest.mark.skipif(
    shutil.which(os.environ.get("CXX", "g++")) is None, reason="torch.compile needs a C++ compiler"
)


@pytest.fixture(autouse=True)
def _fresh_compiler() -> None:
    torch._dynamo.reset()
    counters.clear()


def compiled_graphs() -> int:
    return int(counters["stats"]["unique_graphs"])


@compiler
@pytest.mark.slow
@pytest.mark.parametrize("kind", list(KINDS))
def test_compiled_decoders_score_the_same_at_any_length(kind: str, tmp_path: Path) -> None:
    # Graphs of other tests' models would be used again, and none be counted here.
    torch._dynamo.reset()
    make, family = KINDS[kind]
    folder = make(tmp_path / kind)
    with Reranker(folder, device="cpu", max_length=400, source=SourceOptions(family=family)) as eager:
        expected, others = eager.score(PAIRS), eager.score(OTHERS)
    with Reranker(
        folder,
        device="cpu",
        max_length=400,
        source=SourceOptions(family=family),
        engine=EngineOptions(torch_compile=True),
    ) as fast:
        assert compiled_graphs() > 0
        assert fast.score(PAIRS) == pytest.approx(expected, abs=1e-5)
        seen = compiled_graphs()
        assert fast.score(OTHERS) == pytest.approx(others, abs=1e-5)
        with ThreadPoolExecutor(16) as pool:
            alone = list(pool.map(lambda pair: fast.score([pair])[0], PAIRS * 4))
        assert alone == pytest.approx(expected * 4, abs=1e-5)
        # One pair or many, of any length: nothing is compiled again.
        assert compiled_graphs() == seen


@compiler
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bert-reranker", "xlmr-reranker"])
def test_compiled_encoders_share_one_graph_among_their_layers(
    kind: str, checkpoints: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dense, "has_packed_products", lambda _dtype: False)  # as on a GPU
    with Reranker(checkpoints / kind, device="cpu") as eager:
        expected, others = eager.score(PAIRS), eager.score(OTHERS)
    with Reranker(checkpoints / kind, device="cpu", engine=EngineOptions(torch_compile=True)) as fast:
        assert fast.score(PAIRS) == pytest.approx(expected, abs=1e-5)
        seen = compiled_graphs()
        assert 0 < seen <= 2
        assert fast.score(OTHERS) == pytest.approx(others, abs=1e-5)
        assert compiled_graphs() == seen


def test_what_is_fused_already_stays_as_it_is(checkpoints: Path, caplog: pytest.LogCaptureFixture) -> None:
    if not dense.has_packed_products(torch.float32):
        pytest.skip("this torch has no packed products")
    folder = checkpoints / "bert-reranker"
    caplog.set_level(logging.INFO, logger="rerank_plugins")
    with (
        Reranker(folder, device="cpu") as eager,
        Reranker(folder, device="cpu", engine=EngineOptions(torch_compile=True)) as same,
    ):
        assert same.score(PAIRS) == eager.score(PAIRS)
    assert "torch_compile changes nothing" in caplog.text
    assert compiled_graphs() == 0


@pytest.mark.slow
def test_without_a_compiler_the_error_tells_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch._inductor.config as inductor

    monkeypatch.setattr(inductor.cpp, "cxx", (str(tmp_path / "no-such-compiler"),))
    monkeypatch.setattr(inductor, "force_disable_caches", True)
    folder = tiny_rerankers.qwen_reranker(tmp_path / "qwen3")
    with pytest.raises(UnsupportedModelError, match=r"C\+\+ compiler .* leave torch_compile out"):
        Reranker(folder, device="cpu", source=SourceOptions(family="qwen3"), engine=EngineOptions(torch_compile=True))
    # Nothing half-made stays behind.
    with Reranker(folder, device="cpu", source=SourceOptions(family="qwen3")) as eager:
        assert len(eager.score(PAIRS)) == len(PAIRS)


def test_embedders_take_the_option_too(checkpoints: Path) -> None:
    with (
        Embedder(checkpoints / "bert-embedder", device="cpu") as eager,
        Embedder(checkpoints / "bert-embedder", device="cpu", engine=EngineOptions(torch_compile=True)) as fast,
    ):
        assert fast.embed_documents(TEXTS) == pytest.approx(eager.embed_documents(TEXTS), abs=1e-5)
