"""Fixtures shared by all tests. Nothing here or below uses the network."""

from __future__ import annotations

import gc
import os

# Before any test imports huggingface_hub, which reads it once.
os.environ["HF_HUB_OFFLINE"] = "1"

from collections import Counter
from pathlib import Path

import pytest
from account import Account
from hypothesis import settings

# The same examples in every run; how long one takes says nothing on a busy machine.
settings.register_profile("rerank-plugins", derandomize=True, deadline=None)
settings.load_profile("rerank-plugins")


def pytest_configure(config: pytest.Config) -> None:
    """Fail sessions in which a comparison with a reference ran and was none."""
    config.pluginmanager.register(Account())


# What clients' packages ask of a server has an environment of its own (make test-clients): here nearly all would skip,
# behind a server that was started for nothing.
collect_ignore = ["clients"]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files with slow tests first: with two processes the last file is then a short one, for which none waits."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


def pytest_collection_finish() -> None:
    """Spare what was imported and collected from later garbage collections: accelerate asks for a full one at each end
    of a training, which took half a second and more.
    """
    gc.collect()
    gc.freeze()
    # At ten times the usual threshold: collections took 5 % of the time.
    gc.set_threshold(7_000, 10, 20)


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of tiny checkpoints: bert-reranker, xlmr-reranker, bert-embedder, xlmr-embedder."""
    # The process that hands out tests to others imports this file, too, and needs no torch for that.
    import tiny_checkpoints

    root = tmp_path_factory.mktemp("checkpoints")
    tiny_checkpoints.bert_reranker(root / "bert-reranker")
    tiny_checkpoints.xlmr_reranker(root / "xlmr-reranker")
    tiny_checkpoints.bert_embedder(root / "bert-embedder")
    tiny_checkpoints.xlmr_embedder(root / "xlmr-embedder")
    return root


@pytest.fixture
def bert_reranker_folder(checkpoints: Path) -> Path:
    return checkpoints / "bert-reranker"


@pytest.fixture
def xlmr_reranker_folder(checkpoints: Path) -> Path:
    return checkpoints / "xlmr-reranker"
