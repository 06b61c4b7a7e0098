"""Local folders of language models and T5: what tells how they rerank, and what is said when nothing does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import tiny_rerankers

from rerank_plugins import Reranker, SourceOptions
from rerank_plugins.catalog.families.monot5 import MONO_T5_PROMPT
from rerank_plugins.catalog.families.mxbai import MXBAI_CHAT
from rerank_plugins.catalog.families.qwen3 import QWEN3_CHAT
from rerank_plugins.catalog.families.tart import TART_FULL
from rerank_plugins.catalog.resolve import resolve
from rerank_plugins.errors import InvalidInputError, UnknownModelError, UnsupportedModelError


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_rerankers.qwen_reranker(tmp_path_factory.mktemp("qwen") / "any-name")


@pytest.fixture(scope="module")
def t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_rerankers.mono_t5(tmp_path_factory.mktemp("t5") / "any-name")


@pytest.fixture(scope="module")
def tart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_rerankers.tart_full(tmp_path_factory.mktemp("tart") / "any-name")


def test_a_decoder_of_any_name_lists_its_choices(qwen: Path) -> None:
    with pytest.raises(UnknownModelError) as caught:
        Reranker(qwen)
    for family in ("bge", "qwen3", "mxbai-v2"):
        assert f"family='{family}' (as " in str(caught.value)
    assert "monot5" not in str(caught.value)


def test_a_t5_of_any_name_lists_its_choices(t5: Path) -> None:
    with pytest.raises(UnknownModelError, match=r"pass family='monot5' \(as castorini/monot5-base-msmarco\)"):
        Reranker(t5)


def test_a_family_gives_its_conventions_and_no_facts_of_its_models(qwen: Path, t5: Path) -> None:
    spec = resolve(qwen, kind="reranker", options=SourceOptions(family="qwen3")).spec
    assert (spec.template, spec.truncation, spec.half_precision) == (QWEN3_CHAT, "end", "bfloat16")
    assert spec.prompt.startswith("Given a web search query")
    assert (spec.id, spec.family, spec.revision, spec.license) == (str(qwen), "qwen3", None, "see the checkpoint")
    assert (spec.default_max_length_tokens, spec.max_length_tokens) == (4096, 4096)
    assert resolve(qwen, kind="reranker", options=SourceOptions(family="mxbai-v2")).spec.template is MXBAI_CHAT
    assert resolve(t5, kind="reranker", options=SourceOptions(family="monot5")).spec.template is MONO_T5_PROMPT


def test_the_architecture_of_tart_tells_its_family(tart: Path) -> None:
    spec = resolve(tart, kind="reranker").spec
    assert (spec.scorer, spec.template, spec.prompt) == ("encoder-t5", TART_FULL, "")


@pytest.mark.parametrize("family", ["tart", "monot5", "bce"])
def test_a_family_of_another_architecture_does_not_help(qwen: Path, family: str) -> None:
    with pytest.raises(UnknownModelError, match="family='qwen3'"):
        resolve(qwen, kind="reranker", options=SourceOptions(family=family))


@pytest.mark.parametrize("family", ["no-such-family", "Qwen3", ""])
def test_a_misspelt_family_is_refused_and_the_known_ones_listed(qwen: Path, t5: Path, family: str) -> None:
    for folder in (qwen, t5):
        with pytest.raises(InvalidInputError, match="'bce', 'bge'"):
            resolve(folder, kind="reranker", options=SourceOptions(family=family))


def test_the_name_of_no_family_is_none(bert_reranker_folder: Path, qwen: Path) -> None:
    found = resolve(bert_reranker_folder, kind="reranker").spec
    assert resolve(bert_reranker_folder, kind="reranker", options=SourceOptions(family=found.family)).spec == found
    with pytest.raises(UnknownModelError, match="family='qwen3'"):
        resolve(qwen, kind="reranker", options=SourceOptions(family="adopted"))


def test_a_folder_named_like_a_known_model_is_that_model(qwen: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(qwen, tmp_path / "Qwen3-Reranker-0.6B")
    spec = resolve(folder, kind="reranker").spec
    assert spec.id == "Qwen/Qwen3-Reranker-0.6B"
    assert spec.max_length_tokens == 4096


def test_a_known_name_on_another_architecture_is_refused(t5: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(t5, tmp_path / "Qwen3-Reranker-0.6B")
    with pytest.raises(UnsupportedModelError, match="T5ForConditionalGeneration"):
        resolve(folder, kind="reranker")


def test_t5_says_its_length_under_its_own_name(t5: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(t5, tmp_path / "t5")
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), "n_positions": 64}), encoding="utf-8")
    assert resolve(folder, kind="reranker", options=SourceOptions(family="monot5")).spec.max_length_tokens == 64


def test_prompts_are_for_models_that_read_one(qwen: Path, t5: Path) -> None:
    with pytest.raises(InvalidInputError, match="takes no prompt"):
        Reranker(t5, prompt="Find it.", source=SourceOptions(family="monot5"))
    with pytest.raises(InvalidInputError, match="leaves no room for a query and a document beside"):
        Reranker(qwen, prompt="Find it. " * 300, max_length=512, device="cpu", source=SourceOptions(family="qwen3"))
    with pytest.raises(InvalidInputError, match="leaves no room for a query after the"):
        Reranker(qwen, prompt="Find it. " * 300, max_length=512, device="cpu", source=SourceOptions(family="mxbai-v2"))
    with pytest.raises(InvalidInputError, match=r"is more than .* can read"):
        Reranker(qwen, max_length=5000, source=SourceOptions(family="qwen3"))
