"""What both adapters say about an option: the same, and what the core's docstrings and its code say."""

from __future__ import annotations

import inspect
import re
from typing import Any, Literal, get_args, get_origin

import pytest
import torch

pytest.importorskip("llama_index.core")
pytest.importorskip("langchain_core")

import langchain_rerank_plugins as lc
import llama_index.embeddings.rerank_plugins as li_embeddings
import llama_index.postprocessor.rerank_plugins as li

from rerank_plugins import Embedder, EngineOptions, LayerOptions, Reranker
from rerank_plugins.adapters.descriptions import OPTIONS
from rerank_plugins.catalog import known_models
from rerank_plugins.engine.device import default_budget_tokens, resolve_dtype
from rerank_plugins.scorers import cross_encoder, decoder, encoder_t5, layered, sequence_to_sequence

COMPRESSORS = [name for name in lc.__all__ if name.endswith("RerankCompressor")]
PAIRS: list[tuple[Any, Any]] = [
    *((getattr(lc, one), getattr(li, one.replace("Compressor", "Postprocessor"))) for one in COMPRESSORS),
    *((getattr(lc, one), getattr(li_embeddings, one[:-1])) for one in lc.__all__ if one.endswith("Embeddings")),
]
by_pair = pytest.mark.parametrize("pair", PAIRS, ids=lambda one: one[0].__name__)
# What has no equal in the other framework: parts of its own base classes, and nodes' metadata.
OF_LLAMAINDEX = {"callback_manager", "embed_batch_size", "num_workers", "embeddings_cache", "rate_limiter"}
OF_NODES = {"metadata_mode", "keep_retrieval_score", "keep_details"}
OF_LANGCHAIN = {"keep_scores"}
NAMES = {"model_name": "model"}


def core_docstrings() -> list[tuple[str, str, str]]:
    """Return (owner, option, text) of every option that the core documents."""
    found = []
    for owner in (Reranker, Embedder, EngineOptions, LayerOptions):
        section = re.search(r"(?:Args|Attributes):\n(.*?)(?=\n\n|\Z)", inspect.getdoc(owner) or "", flags=re.DOTALL)
        assert section is not None
        for name, text in re.findall(r"^    (\w+): (.*?)(?=^    \w+: |\Z)", section[1], flags=re.DOTALL | re.MULTILINE):
            found.append((owner.__name__, name, " ".join(text.split())))
    return found


DOCUMENTED = [one for one in core_docstrings() if one[1] in OPTIONS]


def test_every_option_that_a_docstring_has_is_held_to_it() -> None:
    parameters = {*inspect.signature(Reranker).parameters, *inspect.signature(Embedder).parameters}
    documented = {name for _, name, _ in DOCUMENTED}
    assert parameters & OPTIONS.keys() <= documented
    assert {"max_batch_tokens", "max_wait_ms", "deadline_s", "cutoff_layers", "compress_ratio"} <= documented


@pytest.mark.parametrize(("owner", "name", "text"), DOCUMENTED, ids=[f"{one[0]}.{one[1]}" for one in DOCUMENTED])
def test_the_facts_of_the_docstring_are_in_the_description(owner: str, name: str, text: str) -> None:
    facts = {*re.findall(r"``(.+?)``", text), *re.findall(r"(?<![\w.])\d[\d,.]*(?<![,.])", text)}
    missing = {fact for fact in facts if fact not in OPTIONS[name]}
    assert not missing, f"{owner}.{name} says {missing}; the adapters say {OPTIONS[name]!r}"


@by_pair
def test_both_frameworks_say_the_same(pair: tuple[Any, Any]) -> None:
    ours, theirs = pair[0].model_fields, pair[1].model_fields
    assert {NAMES.get(name, name) for name in theirs} - ours.keys() <= OF_LLAMAINDEX | OF_NODES
    assert ours.keys() - OF_LANGCHAIN <= {NAMES.get(name, name) for name in theirs}
    for name, theirs_too in theirs.items():
        if (same := NAMES.get(name, name)) in ours:
            one = ours[same]
            assert one.description == theirs_too.description == OPTIONS[same], name
            assert one.annotation == theirs_too.annotation, name
            assert one.frozen == theirs_too.frozen, name
            assert one.is_required() or one.default == theirs_too.default, name


def literals_of(annotation: Any) -> set[str]:
    if get_origin(annotation) is Literal:
        return set(get_args(annotation))
    return {value for inner in get_args(annotation) for value in literals_of(inner)}


@by_pair
def test_every_value_of_a_choice_is_named(pair: tuple[Any, Any]) -> None:
    for owner in pair:
        for name, field in owner.model_fields.items():
            if name not in OF_NODES:
                assert {one for one in literals_of(field.annotation) if one not in (field.description or "")} == set()


def test_figures_are_those_of_the_code() -> None:
    for device in ("cpu", "cuda"):
        assert f"{default_budget_tokens(torch.device(device)):,} on a" in OPTIONS["max_batch_tokens"]


def test_precision_of_llm_rerankers() -> None:
    llms = [spec for (kind, _), spec in known_models().items() if kind == "reranker" and spec.prompt]
    assert len(llms) > 3
    for spec in llms:
        assert resolve_dtype("auto", device=torch.device("cuda"), half=spec.half_precision) is torch.bfloat16
    assert "bfloat16 for models trained in it, such as LLM rerankers" in OPTIONS["dtype"]


def test_what_cannot_be_compiled_is_named() -> None:
    said = OPTIONS["torch_compile"].partition("BERT-like")[2]
    assert "layerwise, lightweight and monoT5 rerankers, stay as they are" in said
    for owner in (layered.LayeredScorer, sequence_to_sequence.SequenceToSequenceScorer):
        assert not hasattr(owner, "compile")
    for owner in (cross_encoder.CrossEncoderScorer, decoder.DecoderScorer, encoder_t5.EncoderT5Scorer):
        assert hasattr(owner, "compile")
