"""What a reranker's folder says that stands in front of queries and documents."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tiny_checkpoints import bert_embedder

from rerank_plugins import Embedder, Reranker
from rerank_plugins.catalog.resolve import resolve
from rerank_plugins.errors import InvalidInputError, ModelUnavailableError, UnsupportedModelError
from rerank_plugins.types import SourceOptions

SETTINGS = "config_sentence_transformers.json"
PAIRS = [("panda", "The giant panda is a bear species."), ("salt", "Ask your doctor about salt.")]


def saying(folder: Path, target: Path, **settings: object) -> Path:
    shutil.copytree(folder, target)
    (target / SETTINGS).write_text(json.dumps(settings))
    return target


def test_both_texts_are_put_there(bert_reranker_folder: Path, tmp_path: Path) -> None:
    instructions = {"query": "find ", "document": "text of "}
    folder = saying(bert_reranker_folder, tmp_path / "own", pair_instructions=instructions)
    by_hand = [("find " + query, "text of " + text) for query, text in PAIRS]
    with Reranker(folder, device="cpu") as own, Reranker(bert_reranker_folder, device="cpu") as plain:
        assert own.score(PAIRS) == pytest.approx(plain.score(by_hand), abs=1e-5)
        assert own.score(PAIRS) != pytest.approx(plain.score(PAIRS), abs=1e-3)
        query, text = PAIRS[0]
        # A blank document has no text in front, and stays the last.
        assert own.rank(query, [text, " "])[1].score == plain.rank(query, [text, " "])[1].score


def test_they_stand_in_the_place_of_the_default_prompt(bert_reranker_folder: Path, tmp_path: Path) -> None:
    """sentence-transformers' own module list makes the default prompt count."""
    prompts = {"prompts": {"query": "look "}, "default_prompt_name": "query"}
    listed = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
    for said, found in ((None, "look "), ({"query": "find "}, "find "), ({"query": ""}, ""), ({}, "")):
        name = f"said-{found.strip()}-{said}"
        own = {} if said is None else {"pair_instructions": said}
        folder = saying(bert_reranker_folder, tmp_path / name.replace("/", ""), **prompts, **own)
        (folder / "modules.json").write_text(json.dumps(listed))
        spec = resolve(folder, kind="reranker").spec
        assert (spec.query_prefix, spec.document_prefix) == (found, "")


def test_a_callers_prompt_stands_in_the_querys_place(bert_reranker_folder: Path, tmp_path: Path) -> None:
    instructions = {"query": "find ", "document": "text of "}
    folder = saying(bert_reranker_folder, tmp_path / "own", pair_instructions=instructions)
    by_hand = [("salt " + query, "text of " + text) for query, text in PAIRS]
    with Reranker(folder, device="cpu", prompt="salt ") as own, Reranker(bert_reranker_folder, device="cpu") as plain:
        assert own.score(PAIRS) == pytest.approx(plain.score(by_hand), abs=1e-5)
        # What was fitted to scores with its own is not for these.
        assert own.score_source.settings["prompt"] == "salt "
    with pytest.raises(InvalidInputError, match="prompt must be a non-empty string or None"):
        Reranker(folder, device="cpu", prompt=" ")
    with pytest.raises(InvalidInputError, match="this model takes no prompt"):
        Reranker(bert_reranker_folder, device="cpu", prompt="salt ")


@pytest.mark.parametrize(
    "said", ["find ", ["find "], {"query": 5}, {"query": ["find "]}, {"passage": "text: "}, {"query": "f" * 100_001}]
)
def test_what_cannot_be_one_is_refused(bert_reranker_folder: Path, tmp_path: Path, said: object) -> None:
    """Left out without a word, it would make other scores than were trained."""
    folder = saying(bert_reranker_folder, tmp_path / "own", pair_instructions=said)
    with pytest.raises(UnsupportedModelError, match=r"pair_instructions.*an object with the texts query and document"):
        Reranker(folder, device="cpu")


def test_an_embedder_has_no_pairs(tmp_path: Path) -> None:
    embedder_folder = bert_embedder(tmp_path / "embedder")
    (embedder_folder / SETTINGS).write_text(json.dumps({"pair_instructions": {"query": "find "}}))
    with Embedder(embedder_folder, device="cpu") as embedder:
        assert embedder.instruction.query == ""


def test_an_adapters_own_count_before_its_models(bert_reranker_folder: Path, tmp_path: Path) -> None:
    folder = saying(bert_reranker_folder, tmp_path / "base", pair_instructions={"query": "look ", "document": "of "})
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2}))
    (adapter / "adapter_model.safetensors").write_bytes(b"")
    options = SourceOptions(peft_path=adapter)
    spec = resolve(folder, kind="reranker", options=options).spec
    assert (spec.query_prefix, spec.document_prefix) == ("look ", "of ")
    (adapter / SETTINGS).write_text(json.dumps({"pair_instructions": {"query": "find "}}))
    spec = resolve(folder, kind="reranker", options=options).spec
    assert (spec.query_prefix, spec.document_prefix) == ("find ", "")
    (adapter / SETTINGS).write_text(json.dumps({"pair_instructions": 5}))
    with pytest.raises(UnsupportedModelError, match=r"adapter.*config_sentence_transformers\.json"):
        resolve(folder, kind="reranker", options=options)
    with pytest.raises(ModelUnavailableError, match="is not a folder on this machine"):
        resolve(folder, kind="reranker", options=SourceOptions(peft_path=tmp_path / "absent"))
