"""A model that no entry names says once which families it fits, where that changes what is done with it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rerank_plugins import SourceOptions
from rerank_plugins.catalog import recognise
from rerank_plugins.catalog.resolve import resolve
from rerank_plugins.catalog.spec import Instruction
from rerank_plugins.errors import UnknownModelError

BERT_BASE = {
    "model_type": "bert",
    "architectures": ["BertModel"],
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "vocab_size": 30_522,
    "max_position_embeddings": 512,
}
XLMR = {
    "model_type": "xlm-roberta",
    "architectures": ["XLMRobertaForSequenceClassification"],
    "num_labels": 1,
    "id2label": {"0": "LABEL_0"},
    "vocab_size": 250_002,
    "pad_token_id": 1,
}
M3 = {**XLMR, "hidden_size": 1024, "num_hidden_layers": 24, "max_position_embeddings": 8194}
BASE = {**XLMR, "hidden_size": 768, "num_hidden_layers": 12, "max_position_embeddings": 514}
GEMMA = {
    "model_type": "gemma",
    "architectures": ["GemmaForCausalLM"],
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "vocab_size": 99,
    "max_position_embeddings": 512,
}


@pytest.fixture(autouse=True)
def nothing_told() -> Iterator[None]:
    recognise._log_once.cache_clear()
    yield
    recognise._log_once.cache_clear()


def checkpoint(folder: Path, config: dict[str, Any], **files: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in {"config": config, **files}.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def embedder(folder: Path, *, pooling: str = "mean", prompts: dict[str, str] | None = None) -> Path:
    kinds = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize"}
    modules = [{"type": f"sentence_transformers.models.{kind}", "path": path} for kind, path in kinds.items()]
    files = {} if prompts is None else {"config_sentence_transformers": {"prompts": prompts}}
    checkpoint(folder, BERT_BASE, modules=modules, **files)
    checkpoint(folder / "1_Pooling", {"pooling_mode": pooling})
    return folder


def told(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno == level and "is logged once" in one.getMessage()]


def test_a_renamed_e5_is_told_of_its_instructions_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = embedder(tmp_path / "my-e5")
    assert not resolve(folder, kind="embedder").spec.instructions
    (message,) = told(caplog)
    assert "family='e5' (as intfloat/e5-base-v2: 'query: ' in front of queries)" in message
    assert "family='inferred'" in message
    # The first token is read by these, or nothing is put in front.
    assert "bge" not in message
    assert "gte" not in message
    resolve(folder, kind="embedder")
    assert len(told(caplog)) == 1


def test_the_option_that_is_named_settles_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = embedder(tmp_path / "my-e5")
    spec = resolve(folder, kind="embedder", options=SourceOptions(family="e5")).spec
    assert spec.instructions["retrieval"] == Instruction("query: ", "passage: ")
    assert not resolve(folder, kind="embedder", options=SourceOptions(family="inferred")).spec.instructions
    assert told(caplog) == []


def test_pooling_tells_families_apart(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    resolve(embedder(tmp_path / "mine", pooling="cls"), kind="embedder")
    (message,) = told(caplog)
    assert "family='bge' (as BAAI/bge-base-en-v1.5" in message
    assert "family='llm-embedder'" in message
    assert "e5" not in message


@pytest.mark.parametrize("prompts", [{"query": "query: ", "document": "passage: "}, {"query": "", "document": ""}])
def test_saved_prompts_settle_it(tmp_path: Path, prompts: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    resolve(embedder(tmp_path / "mine", prompts=prompts), kind="embedder")
    assert told(caplog) == []


def test_a_config_of_no_family_says_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = embedder(tmp_path / "mine")
    checkpoint(folder, {**BERT_BASE, "num_hidden_layers": 7})
    resolve(folder, kind="embedder")
    assert told(caplog) == []


def test_a_listed_name_says_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert resolve(embedder(tmp_path / "e5-base-v2"), kind="embedder").spec.id == "intfloat/e5-base-v2"
    assert told(caplog) == []


def test_without_a_pooling_the_error_names_what_fits(tmp_path: Path) -> None:
    with pytest.raises(UnknownModelError, match=r"family='e5' \(as intfloat/e5-base-v2\)"):
        resolve(checkpoint(tmp_path / "bare", BERT_BASE), kind="embedder")
    # Chinese GTE pools the first token, English GTE the mean.
    with pytest.raises(UnknownModelError, match="nothing says how"):
        resolve(
            checkpoint(tmp_path / "other", {**BERT_BASE, "num_hidden_layers": 7}),
            kind="embedder",
            options=SourceOptions(family="gte"),
        )


def test_a_cross_encoder_that_could_read_more_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spec = resolve(checkpoint(tmp_path / "tuned", M3), kind="reranker").spec
    assert (spec.default_max_length_tokens, spec.truncation) == (512, "longest_first")
    (message,) = told(caplog)
    assert "(512 tokens, cut longest_first)" in message
    assert "family='bge' (as BAAI/bge-reranker-v2-m3: 1024 tokens, cut only_second)" in message


def test_how_over_long_pairs_are_cut_is_no_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="rerank_plugins"):
        resolve(checkpoint(tmp_path / "tuned", BASE), kind="reranker")
    assert told(caplog) == []
    (message,) = told(caplog, logging.INFO)
    # BCE's are cut as any cross-encoder's are.
    assert "family='bge'" in message
    assert "bce" not in message


def test_a_gemma_says_whose_prompt_it_gets(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = checkpoint(tmp_path / "gemma", GEMMA)
    spec = resolve(folder, kind="reranker").spec
    assert spec.prompt.startswith("Given a query A and a passage B")
    (message,) = told(caplog)
    assert message.startswith(f"{folder} is not in the catalog and gets the prompt of BAAI/bge-reranker-v2-gemma")
    resolve(folder, kind="reranker", options=SourceOptions(family="bge"))
    assert len(told(caplog)) == 1


def test_a_prompt_that_no_entry_has_is_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As of a plugin's model that is not registered any more."""
    found = resolve(checkpoint(tmp_path / "gemma", GEMMA), kind="reranker")
    assert len(told(caplog)) == 1
    assert found.spec.template is not None
    spec = replace(found.spec, template=replace(found.spec.template, between="nobody's"))
    recognise.log_fitting_families(spec, found.files, name="another")
    assert len(told(caplog)) == 1
