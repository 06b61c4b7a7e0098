"""What late-interaction checkpoints say of themselves is read, and what is not done here is refused with a way out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import colbert_checkpoints as tiny
import pytest

from rerank_plugins.catalog.late_interaction import Expansion, LateInteraction
from rerank_plugins.catalog.resolve import resolve
from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.types import SourceOptions


def facts(folder: Path) -> LateInteraction:
    spec = resolve(folder, kind="reranker").spec
    assert spec.late_interaction is not None
    return spec.late_interaction


def changed(path: Path, **values: Any) -> None:
    found = json.loads(path.read_text(encoding="utf-8"))
    found.update(values)
    path.write_text(json.dumps({key: value for key, value in found.items() if value != "LEFT OUT"}), encoding="utf-8")


def test_stanford(tmp_path: Path) -> None:
    folder = tiny.stanford(tmp_path / "model", dim=16, attend=True)
    spec = resolve(folder, kind="reranker").spec
    late = facts(folder)
    assert (late.format, late.skip_rule) == ("stanford", "first piece")
    assert (late.query.marker, late.document.marker) == ("[unused0]", "[unused1]")
    assert late.expansion == Expansion(length=32, attends=True)
    assert (spec.default_max_length_tokens, spec.max_length_tokens, spec.dimensions) == (48, 256, 16)
    assert (spec.score_scale, spec.highest_score) == ("cosine", 32.0)


def test_stanford_settings_may_lie_one_level_deeper_and_some_may_be_missing(tmp_path: Path) -> None:
    folder = tiny.stanford(tmp_path / "model")
    (folder / "artifact.metadata").write_text(json.dumps({"config": {"query_token_id": "[unused0]"}}))
    late = facts(folder)
    assert (late.document.length, late.query_length, late.document.marker) == (220, 32, "[unused1]")


def test_pylate_defaults_are_one_token_with_its_space(tmp_path: Path) -> None:
    folder = tiny.pylate(tmp_path / "model", widths=(48, 16))
    missing = dict.fromkeys(("query_prefix", "document_prefix", "skiplist_words", "document_length"), "LEFT OUT")
    changed(folder / "config_sentence_transformers.json", **missing)
    late = facts(folder)
    assert (late.query.marker, late.document.marker, late.document.length) == ("[Q] ", "[D] ", 180)
    assert len(late.document.skipped) == 32
    assert [step.n_out for step in late.projection] == [48, 16]


def test_pylate_without_markers_and_expansion(tmp_path: Path) -> None:
    folder = tiny.pylate(tmp_path / "model", do_query_expansion=False)
    changed(folder / "config_sentence_transformers.json", query_prefix="", document_prefix="")
    late = facts(folder)
    assert (late.query.marker, late.document.marker, late.expansion, late.query_length) == ("", "", None, 32)


def test_sentence_transformers(tmp_path: Path) -> None:
    expansion = {"strategy": "min", "attend": True, "token": "[MASK]", "length": 8}
    folder = tiny.multi_vector_encoder(tmp_path / "model", expansion=expansion, similarity="meanmaxsim")
    late = facts(folder)
    assert late.expansion == Expansion(length=8, token="[MASK]", attends=True, cuts=False)
    assert (late.unit, late.highest_score) == ("mean cosine", 1.0)
    assert (late.query.prompt, late.query.skipped, len(late.document.skipped)) == ("[Q]", (), 32)


def test_bge_m3_folder_is_a_reranker_by_its_token_vectors_and_an_embedder_of_texts(tmp_path: Path) -> None:
    folder = tiny.m3(tmp_path / "model")
    late = facts(folder)
    assert (late.format, late.drops_first, late.is_mean, late.expansion) == ("bge-m3", True, True, None)


def test_the_name_of_bge_m3_asks_for_the_family_too() -> None:
    with pytest.raises(UnsupportedModelError, match=r"family='colbert'\) reranks by its token vectors"):
        resolve("BAAI/bge-m3", kind="reranker")
    from rerank_plugins.catalog.late_conventions import late_spec_of_either_kind

    found = late_spec_of_either_kind("BAAI/bge-m3", kind="reranker", family="colbert")
    assert found is not None
    assert (found.kind, found.scorer, found.license) == ("reranker", "late-interaction", "MIT")


def test_a_colbert_of_the_catalog_is_an_embedder_too() -> None:
    from rerank_plugins.catalog.late_conventions import late_spec_of_either_kind

    found = late_spec_of_either_kind("colbert-ir/colbertv2.0", kind="embedder", family=None)
    assert found is not None
    assert (found.kind, found.license) == ("embedder", "MIT")


def test_a_fine_tuned_folder_is_recognised_by_what_it_was_made_from(tmp_path: Path) -> None:
    folder = tiny.stanford(tmp_path / "model")
    changed(folder / "config.json", _name_or_path="colbert-ir/colbertv2.0")
    spec = resolve(folder, kind="reranker", options=SourceOptions(family="colbert")).spec
    assert (spec.id, spec.default_max_length_tokens) == ("colbert-ir/colbertv2.0", 48)


STANFORD_FAULTS = {
    "similarity='l2'": {"similarity": "l2"},
    "interaction='flipr'": {"interaction": "flipr"},
    "dim=99": {"dim": 99},
    "query_maxlen='32'": {"query_maxlen": "32"},
    "fills queries up to 400 tokens": {"query_maxlen": 400},
}


@pytest.mark.parametrize("message", STANFORD_FAULTS)
def test_stanford_settings_that_are_refused(tmp_path: Path, message: str) -> None:
    folder = tiny.stanford(tmp_path / "model")
    changed(folder / "artifact.metadata", **STANFORD_FAULTS[message])
    with pytest.raises(UnsupportedModelError, match=message.replace("'", ".")):
        resolve(folder, kind="reranker")


def test_stanford_without_its_settings_or_its_projection(tmp_path: Path) -> None:
    folder = tiny.stanford(tmp_path / "model")
    (folder / "artifact.metadata").unlink()
    with pytest.raises(UnsupportedModelError, match=r"without artifact\.metadata.*download that file too"):
        resolve(folder, kind="reranker")
    other = tiny.stanford(tmp_path / "other")
    shutil.copy(tiny.pylate(tmp_path / "pylate") / "model.safetensors", other / "model.safetensors")
    with pytest.raises(UnsupportedModelError, match=r"no tensor linear\.weight.*train a projection"):
        resolve(other, kind="reranker")


def test_a_pickled_training_of_version_one(tmp_path: Path) -> None:
    (tmp_path / "colbert.dnn").write_bytes(b"")
    with pytest.raises(UnsupportedModelError, match=r"ColBERT 0\.1.*convert it with colbert-ai"):
        resolve(tmp_path, kind="reranker")


def test_pylate_without_dense_has_no_projection(tmp_path: Path) -> None:
    folder = tiny.pylate(tmp_path / "model")
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps(modules[:1]))
    with pytest.raises(UnsupportedModelError, match="without a Dense module"):
        resolve(folder, kind="reranker")


SENTENCE_FAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "sentence_embedding": ("1_Dense/config.json", {"module_input_name": "sentence_embedding"}),
    "keep_only_token_ids": ("2_MultiVectorMask/config.json", {"keep_only_token_ids": [5]}),
    "unknown_setting": ("2_MultiVectorMask/config.json", {"unknown_setting": 1}),
    "query_expansion": ("sentence_bert_config.json", {"query_expansion": {"strategy": "most", "length": 8}}),
    "xtr": ("config_sentence_transformers.json", {"similarity_fn_name": "xtr"}),
    "model_args": ("sentence_bert_config.json", {"model_args": {"rope_scaling": 2}}),
}


@pytest.mark.parametrize("named", SENTENCE_FAULTS)
def test_sentence_transformers_settings_that_are_refused(tmp_path: Path, named: str) -> None:
    folder = tiny.multi_vector_encoder(tmp_path / "model")
    file, values = SENTENCE_FAULTS[named]
    changed(folder / file, **values)
    with pytest.raises(UnsupportedModelError, match=named):
        resolve(folder, kind="reranker")


def test_modules_in_an_order_that_is_not_known(tmp_path: Path) -> None:
    folder = tiny.multi_vector_encoder(tmp_path / "model")
    modules = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps([modules[0], modules[3], modules[1], modules[2]]))
    with pytest.raises(UnsupportedModelError, match="normalises before a Dense"):
        resolve(folder, kind="reranker")


def test_a_plain_encoder_is_no_reranker(checkpoints: Path) -> None:
    with pytest.raises(UnsupportedModelError, match="not a cross-encoder"):
        resolve(checkpoints / "bert-embedder", kind="reranker")
