"""Checks before a model is loaded or called."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import tiny_checkpoints
from llm_checkpoints import llm_checkpoint

from rerank_plugins import EngineOptions, LayerOptions, Reranker
from rerank_plugins.adapters.checks import (
    check_model,
    checked_count,
    checked_limits,
    is_same,
    known_before_loading,
    same_model,
)
from rerank_plugins.catalog import ModelSpec
from rerank_plugins.errors import DeadlineExceededError, InvalidInputError, OverloadedError, UnsupportedModelError
from rerank_plugins.testing import standstill


def check(spec: ModelSpec, asked: LayerOptions | None = None, *, scorers: Collection[str] = (), **more: Any) -> None:
    check_model(spec, owner="Light", scorers=scorers, instead="Other", layers=asked, **more)


def test_a_model_must_be_of_the_kind_and_have_the_layers() -> None:
    spec = known_before_loading(llm_checkpoint("tiny-minicpm-layerwise"), family=None)
    assert spec is not None
    check(spec)
    check(spec, LayerOptions(cutoff_layers=(4,)), scorers={"layerwise"})
    with pytest.raises(InvalidInputError, match=r"asks for 2; give one layer.*score_layers\(\)"):
        check(spec, LayerOptions(cutoff_layers=(2, 4)))
    with pytest.raises(InvalidInputError, match="asks for 2"):
        check(spec, default=LayerOptions(cutoff_layers=(2, 4)))
    with pytest.raises(InvalidInputError, match="from 2 to 6"):
        check(spec, LayerOptions(cutoff_layers=(7,)))
    with pytest.raises(InvalidInputError, match=r"Light is for .*lightweight; .*'layerwise'. Use Other,"):
        check(spec, scorers={"lightweight"})


def test_what_is_known_without_loading(tmp_path: Path) -> None:
    listed = known_before_loading("BAAI/bge-reranker-v2-minicpm-layerwise", family="bge")
    assert listed is not None
    with pytest.raises(InvalidInputError, match="from 8 to 40"):
        check(listed, LayerOptions(cutoff_layers=(41,)))
    assert known_before_loading("someone/else", family=None) is None
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UnsupportedModelError):
        known_before_loading(tmp_path, family=None)


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Reranker]:
    """A model that no other test shares."""
    with Reranker(tiny_checkpoints.bert_reranker(tmp_path / "alone"), device="cpu") as reranker:
        yield reranker


def test_a_model_stands_still_for_a_block(alone: Reranker) -> None:
    expected = alone.score([("q", "d")])
    careful = Reranker(alone.model, device="cpu", engine=EngineOptions(max_waiting_tokens=1))
    for _ in range(2):
        with standstill(alone):
            assert alone.stats().waiting_tokens > 0
            with pytest.raises(OverloadedError):
                careful.score([("q", "d")])
            with pytest.raises(DeadlineExceededError):
                alone.score([("q", "d")], deadline_s=0.01)
            waits = ThreadPoolExecutor(1).submit(alone.score, [("q", "d")])
        assert waits.result(30) == pytest.approx(expected, abs=1e-5)
        assert careful.score([("q", "d")]) == pytest.approx(expected, abs=1e-5)
    assert (alone.stats().waiting_calls, alone.stats().calls_failed) == (0, 0)


@pytest.mark.parametrize(("value", "number"), [(1, 1), ("3", 3), (" 2 ", 2)])
def test_counts_and_the_texts_of_counts(value: object, number: int) -> None:
    assert checked_count("top_k", value) == number


@pytest.mark.parametrize("value", [None, 0, -1, True, 1.0, "", "x", "0", "1.5", [], b"1"])
def test_what_is_no_count(value: object) -> None:
    with pytest.raises(InvalidInputError, match="top_k must be a positive integer"):
        checked_count("top_k", value)


def test_limits_of_a_retriever() -> None:
    assert checked_limits(top_n=None, threshold=None, threshold_unit="probability") == (None, None)
    assert checked_limits(top_n="3", threshold="0.5", threshold_unit="probability") == (3, 0.5)
    assert checked_limits(top_n=1, threshold=-2, threshold_unit="raw") == (1, -2.0)
    for options, told in (
        ({"top_n": 0}, "top_n must be"),
        ({"threshold": 10**400}, "threshold must be a finite number"),
        ({"threshold": 2}, "threshold 2.0 is not a probability"),
        ({"threshold": 0.5, "threshold_unit": "percent"}, "threshold_unit must be"),
        ({"threshold_unit": []}, "threshold_unit must be"),
    ):
        whole: Any = {"top_n": None, "threshold": None, "threshold_unit": "probability", **options}
        with pytest.raises(InvalidInputError, match=told):
            checked_limits(**whole)


def test_values_are_compared_whatever_they_are() -> None:
    assert is_same("a", "a")
    assert not is_same(1, True)
    assert not is_same(Path("a"), "a")
    assert not is_same([1], (1,))


def test_the_same_weights(bert_reranker_folder: Path) -> None:
    first, second, longer = (Reranker(bert_reranker_folder, device="cpu", max_length=n) for n in (64, 64, 32))
    assert same_model(first, first)
    assert same_model(first, second)
    assert same_model(first, longer)
    second.close()
    assert not same_model(first, second)
    assert same_model(second, second)
