"""Rerankers of every layout beyond BERT's and FlagEmbedding's, with and without windows, pass the conformance suite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import tiny_rerankers
from reranker_conformance import RerankerConformance

from rerank_plugins import Reranker, SourceOptions

# name -> (writer, family, max_length: the prompt of the chat models is part of it)
KINDS: dict[str, tuple[Callable[[Path], Path], str | None, int]] = {
    "qwen3": (tiny_rerankers.qwen_reranker, "qwen3", 400),
    "mxbai-v2": (tiny_rerankers.mxbai_reranker, "mxbai-v2", 96),
    "monot5": (tiny_rerankers.mono_t5, "monot5", 128),
    "tart": (tiny_rerankers.tart_full, None, 128),
    "deberta": (tiny_rerankers.deberta_reranker, None, 128),
    "modernbert": (tiny_rerankers.modernbert_reranker, None, 128),
}
if not tiny_rerankers.HAS_MODERNBERT:
    del KINDS["modernbert"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """Folders by kind; their weights stay loaded until the last test."""
    root = tmp_path_factory.mktemp("rerankers")
    made = {name: writer(root / name) for name, (writer, _, _) in KINDS.items()}
    with ExitStack() as stack:
        for name, (_, family, _) in KINDS.items():
            stack.enter_context(Reranker(made[name], device="cpu", source=SourceOptions(family=family)))
        yield made


@pytest.mark.parametrize("kind", list(KINDS), scope="class")
@pytest.mark.parametrize("long_documents", ["truncate", "maxp"], scope="class")
class TestPromptedReranker(RerankerConformance):
    @pytest.fixture
    def reranker(self, folders: dict[str, Path], kind: str, long_documents: str) -> Iterator[Reranker]:
        _, family, max_length = KINDS[kind]
        options = {
            "device": "cpu",
            "max_length": max_length,
            "long_documents": long_documents,
            "source": SourceOptions(family=family),
        }
        with Reranker(folders[kind], **options) as opened:  # type: ignore[arg-type]
            yield opened
