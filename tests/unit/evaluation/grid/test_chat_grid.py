"""Chat models in an evaluation: by name, and never with ranks of several calls read as one list."""

from __future__ import annotations

from pathlib import Path

import pytest
from chat_models import OracleChat
from tiny import tiny_dataset

from rerank_plugins import ChatScorer
from rerank_plugins.backends.named import register_backend
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.evaluation.grid import GridOptions, ModelChoice, run_evaluation


def options(*, retrievers: tuple[str, ...] = ("bm25",), top_ks: tuple[int, ...] = (8,), method: str) -> GridOptions:
    register_backend("oracle-chat", lambda rest: ChatScorer(OracleChat(), method=rest.partition("=")[2]))  # type: ignore[arg-type]
    return GridOptions(
        retrievers=retrievers,
        embedders=(),
        rerankers=(f"oracle-chat:x?method={method}",),
        top_ks=top_ks,
        top_ns=(5,),
        n_resamples=20,
        n_permutations=20,
    )


@pytest.mark.parametrize("method", ["listwise", "pointwise"])
def test_one_list_a_query_is_measured(method: str, tmp_path: Path) -> None:
    results = run_evaluation([tiny_dataset()], options(method=method), tmp_path)
    assert {cell.system.reranker for cell in results.cells} == {None, f"oracle-chat:x?method={method}"}


def test_every_depth_and_retriever_has_lists_of_its_own(tmp_path: Path) -> None:
    results = run_evaluation([tiny_dataset()], options(method="listwise", top_ks=(5, 8)), tmp_path / "a")
    assert {cell.system.top_k for cell in results.cells if cell.system.reranker} == {5, 8}
    results = run_evaluation([tiny_dataset()], options(method="setwise", retrievers=("bm25", "candidates")), tmp_path)
    assert len({cell.system.retriever for cell in results.cells if cell.system.reranker}) == 2
    run_evaluation([tiny_dataset()], options(method="pointwise", top_ks=(5, 8)), tmp_path / "d")


def test_settings_of_a_backend_are_part_of_its_name() -> None:
    choice = ModelChoice.parse("chat=openai-chat:org/gpt:x?method=pointwise&max_length=300&base_url=http://a.b/v1")
    assert choice.name == "chat"
    assert choice.model == "openai-chat:org/gpt:x?method=pointwise&base_url=http%3A%2F%2Fa.b%2Fv1"
    assert choice.options == (("max_length", 300),)
    # A service has a prompt of its own too; of a model here it is an option of the reranker.
    assert ModelChoice.parse("openai-chat:x?prompt=a&max_length=300").model == "openai-chat:x?prompt=a"
    assert ModelChoice.parse("mini?prompt=a").keywords() == {"prompt": "a"}
    with pytest.raises(InvalidInputError, match="cannot use method"):
        ModelChoice.parse("mini?method=pointwise")
    with pytest.raises(InvalidInputError, match="gives the option 'max_length' twice"):
        ModelChoice.parse("mini?max_length=8&max_length=16")
