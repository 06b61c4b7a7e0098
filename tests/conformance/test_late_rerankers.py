"""Late-interaction models of each format pass the conformance suite, with and without windows, and from a store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import colbert_checkpoints as tiny
import pytest
from reranker_conformance import DOCUMENTS, RerankerConformance

from rerank_plugins import Reranker, TokenVectorStore

MAKERS = {"stanford": tiny.stanford, "pylate": tiny.pylate, "sentence-transformers": tiny.multi_vector_encoder}


@pytest.fixture(scope="module")
def late_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """Folders by format; their weights stay loaded until the last test."""
    root = tmp_path_factory.mktemp("late")
    folders = {name: make(root / name) for name, make in MAKERS.items()}
    with ExitStack() as stack:
        for folder in folders.values():
            stack.enter_context(Reranker(folder, device="cpu"))
        yield folders


@pytest.mark.parametrize("model", MAKERS, scope="class")
@pytest.mark.parametrize("long_documents", ["truncate", "maxp", "meanp"], scope="class")
class TestLateInteraction(RerankerConformance):
    @pytest.fixture
    def reranker(self, late_folders: dict[str, Path], model: str, long_documents: str) -> Iterator[Reranker]:
        with Reranker(late_folders[model], device="cpu", long_documents=long_documents) as opened:
            yield opened


@pytest.mark.parametrize("long_documents", ["truncate", "maxp"], scope="class")
class TestKeptVectors(RerankerConformance):
    @pytest.fixture
    def reranker(self, late_folders: dict[str, Path], tmp_path: Path, long_documents: str) -> Iterator[Reranker]:
        store = TokenVectorStore(tmp_path / "vectors")
        folder = late_folders["stanford"]
        with Reranker(folder, device="cpu", long_documents=long_documents, cache=store) as opened:
            opened.keep_vectors(DOCUMENTS[:4])
            yield opened
