"""Options that are parts of option objects now: the old spelling does the same, and says how it is written today."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rerank_plugins import (
    Embedder,
    EngineOptions,
    InstructionOptions,
    InvalidInputError,
    LongDocuments,
    QueryExample,
    QueryVectorCache,
    Reranker,
    ScoreCache,
    SourceOptions,
    UnknownOptionError,
    VectorOptions,
)
from rerank_plugins.calls.flat_options import EMBEDDER_OPTIONS, RERANKER_OPTIONS
from rerank_plugins.checks.moved import Moved, field_of, regrouped

CACHE = ScoreCache(7)
EXAMPLES = (QueryExample(query="q", response="r", task="t"),)
FILES = {
    "revision": "main",
    "family": "bge",
    "local_files_only": True,
    "allow_pickle": True,
    "trust_remote_code": True,
}
OF_FILES = {name: {"source": SourceOptions(**{name: value})} for name, value in FILES.items()}
OF_ENGINE = {"torch_compile": {"engine": EngineOptions(torch_compile=True)}}
RERANKER_NOW: Mapping[str, Mapping[str, object]] = {
    **OF_FILES,
    **OF_ENGINE,
    "peft_path": {"source": SourceOptions(peft_path="adapter")},
    "query_max_length": {"long_documents": LongDocuments(query_max_length=9)},
    "truncation": {"long_documents": LongDocuments(truncation="only_second")},
    "score_cache": {"cache": CACHE},
}
EMBEDDER_NOW: Mapping[str, Mapping[str, object]] = {
    **OF_FILES,
    **OF_ENGINE,
    "task": {"instruction": InstructionOptions(task="qa")},
    "query_instruction": {"instruction": InstructionOptions(query="")},
    "document_instruction": {"instruction": InstructionOptions(document="d: ")},
    "examples": {"instruction": InstructionOptions(examples=EXAMPLES)},
    "dimensions": {"vectors": VectorOptions(dimensions=8)},
    "normalize": {"vectors": VectorOptions(normalize=False)},
}
OLD_VALUES: Mapping[str, Any] = {
    **FILES,
    "torch_compile": True,
    "peft_path": "adapter",
    "query_max_length": 9,
    "truncation": "only_second",
    "score_cache": CACHE,
    "task": "qa",
    "query_instruction": "",
    "document_instruction": "d: ",
    "examples": EXAMPLES,
    "dimensions": 8,
    "normalize": False,
}


@pytest.mark.parametrize(
    ("moved", "now"), [(RERANKER_OPTIONS, RERANKER_NOW), (EMBEDDER_OPTIONS, EMBEDDER_NOW)], ids=["reranker", "embedder"]
)
def test_every_old_name_is_in_its_object(moved: Mapping[str, Moved], now: Mapping[str, Mapping[str, object]]) -> None:
    assert moved.keys() - {"query_cache_entries"} == now.keys()
    for name, expected in now.items():
        assert regrouped({name: OLD_VALUES[name]}, moved) == expected, name
    both = regrouped({name: OLD_VALUES[name] for name in now}, moved)
    assert both["source"].revision == "main"
    assert both["source"].allow_pickle is True


def test_what_stood_for_not_given_changes_nothing() -> None:
    usual = dict.fromkeys(RERANKER_NOW) | {
        "local_files_only": False,
        "allow_pickle": False,
        "trust_remote_code": False,
        "torch_compile": False,
    }
    assert regrouped(usual, RERANKER_OPTIONS) == {}
    source = SourceOptions(revision="v1", allow_pickle=True)
    assert regrouped({**usual, "source": source}, RERANKER_OPTIONS) == {"source": source}


def test_a_number_of_queries_becomes_a_cache() -> None:
    made = regrouped({"query_cache_entries": 3}, EMBEDDER_OPTIONS)["cache"]
    assert isinstance(made, QueryVectorCache)
    assert made.statistics().max_entries == 3
    assert regrouped({"query_cache_entries": None}, EMBEDDER_OPTIONS) == {}


def test_old_names_fill_up_an_object_that_is_given() -> None:
    given = {"source": SourceOptions(family="bge"), "revision": "v1", "long_documents": "maxp", "query_max_length": 5}
    assert regrouped(given, RERANKER_OPTIONS) == {
        "source": SourceOptions(family="bge", revision="v1"),
        "long_documents": LongDocuments(strategy="maxp", query_max_length=5),
    }


def test_two_values_for_one_option_are_refused() -> None:
    given = {"source": SourceOptions(revision="v1"), "revision": "v2"}
    with pytest.raises(InvalidInputError, match="revision='v2' and source with revision='v1' were given"):
        regrouped(given, RERANKER_OPTIONS)
    same = {"source": SourceOptions(revision="v1"), "revision": "v1"}
    assert regrouped(same, RERANKER_OPTIONS) == {"source": SourceOptions(revision="v1")}


@pytest.mark.filterwarnings("ignore:.*is the old spelling:DeprecationWarning")
def test_wrong_values_are_told_by_the_name_that_was_used() -> None:
    with pytest.raises(InvalidInputError, match="revision must be a string or None, got 3"):
        Reranker("mini", revision=3)  # type: ignore[call-arg]
    with pytest.raises(InvalidInputError, match="allow_pickle must be True or False, got 0"):
        Reranker("mini", allow_pickle=0)  # type: ignore[call-arg]
    with pytest.raises(InvalidInputError, match="source must be a SourceOptions or None, got 'main'"):
        Reranker("mini", source="main", revision="v1")  # type: ignore[arg-type,call-arg]


def test_the_warning_points_at_the_callers_line_and_says_how_it_is_written_now(bert_reranker_folder: Path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        old = Reranker(bert_reranker_folder, device="cpu", family="bge", query_max_length=9)  # type: ignore[call-arg]
    (warning,) = [one for one in caught if one.category is DeprecationWarning and "rerank" in str(one.message).lower()]
    assert warning.filename == __file__
    assert str(warning.message) == (
        "Reranker(family=..., query_max_length=...) is the old spelling and will go; write "
        "source=SourceOptions(family=...), long_documents=LongDocuments(query_max_length=...)"
    )
    new = Reranker(
        bert_reranker_folder,
        device="cpu",
        source=SourceOptions(family="bge"),
        long_documents=LongDocuments(query_max_length=9),
    )
    assert (old.source, old.query_max_length, old.spec) == (new.source, new.query_max_length, new.spec)
    pairs = [("what do pandas eat", "bamboo"), ("capital of France " * 9, "paris")]
    assert old.score(pairs) == new.score(pairs)


def test_a_misspelt_old_name_is_answered_with_the_new_spelling() -> None:
    with pytest.raises(UnknownOptionError, match=r"Did you mean source=SourceOptions\(local_files_only=\.\.\.\)\?"):
        Reranker("mini", local_file_only=True)  # type: ignore[call-arg]
    with pytest.raises(UnknownOptionError, match=r"Did you mean vectors=VectorOptions\(dimensions=\.\.\.\)\?"):
        Embedder("mini", dimension=8)  # type: ignore[call-arg]


def test_the_constructors_have_few_options() -> None:
    """Besides model, backend and the four that are used alone, a constructor has at most six groups."""
    alone = {"self", "model", "backend", "device", "dtype", "max_length", "prompt"}
    for facade in (Reranker, Embedder):
        assert len(inspect.signature(facade.__init__).parameters.keys() - alone) <= 6


def test_torch_compile_of_a_model_that_is_loaded_already_is_refused(bert_reranker_folder: Path) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers")
    loaded = sentence_transformers.CrossEncoder(str(bert_reranker_folder), device="cpu")
    with pytest.raises(InvalidInputError, match="torch_compile is for models that are opened here"):
        Reranker.from_loaded(loaded, engine=EngineOptions(torch_compile=True))


def test_an_embedder_takes_no_adapter() -> None:
    with pytest.raises(InvalidInputError, match="peft_path='here': adapters are merged into rerankers only"):
        Embedder("mini", source=SourceOptions(peft_path="here"))


def test_a_field_of_another_name_is_put_under_its_own() -> None:
    moved = {"query_instruction": field_of("instruction", InstructionOptions, "query")}
    assert regrouped({"query_instruction": "q: "}, moved) == {"instruction": InstructionOptions(query="q: ")}
