"""modules.json and the files beside it: what is known is read, all else is refused."""

from __future__ import annotations

import json
import logging
import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_checkpoints
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from rerank_plugins import Embedder, Reranker
from rerank_plugins.catalog.checkpoint import read_checkpoint
from rerank_plugins.catalog.resolve import resolve
from rerank_plugins.catalog.sentence_modules import CutStep, DenseStep, NormalizeStep, read_modules
from rerank_plugins.catalog.sentence_settings import activation_scale, check_transformer, default_prompt, saved_length
from rerank_plugins.errors import UnsafeModelError, UnsupportedModelError

KIND = "sentence_transformers.models."
DENSE = {"in_features": 32, "out_features": 8, "bias": True, "activation_function": "torch.nn.modules.activation.ReLU"}


def write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def listed(folder: Path, *kinds: str, **configs: object) -> Path:
    """Write a modules.json of these kinds, and configs by kind."""
    paths = ["" if kind == "Transformer" else f"{index}_{kind}" for index, kind in enumerate(kinds)]
    entries = [{"type": KIND + kind, "path": path} for kind, path in zip(kinds, paths, strict=True)]
    write(folder / "modules.json", entries)
    for kind, path in zip(kinds, paths, strict=True):
        if kind in configs:
            write(folder / path / "config.json", configs[kind])
    return folder


@pytest.fixture
def embedder_folder(tmp_path: Path) -> Path:
    return tiny_checkpoints.bert_embedder(tmp_path / "embedder", pooling="mean", normalize=False)


def test_all_modules_in_their_order(tmp_path: Path) -> None:
    kinds = ("Transformer", "Pooling", "Normalize", "Dense", "Dropout", "Normalize")
    found = read_modules(listed(tmp_path, *kinds, Pooling={"pooling_mode": ["max", "cls"]}, Dense=DENSE), read)
    assert (found.kinds, found.poolings, found.normalizes) == (kinds, ("max", "cls"), True)
    assert [type(step) for step in found.steps] == [NormalizeStep, DenseStep]
    assert found.width(32) == 8
    cut = found.cut(6)
    assert (cut.steps[-2:], cut.normalizes, cut.width(32)) == ((NormalizeStep(), CutStep(6)), False, 6)
    assert found.cut(500).width(32) == 8


@pytest.mark.parametrize(
    ("config", "poolings"),
    [
        ({"pooling_mode": "weightedmean"}, ("weighted_mean",)),
        ({"embedding_dimension": 32}, ("mean",)),
        ({"pooling_mode_lasttoken": True, "pooling_mode_max_tokens": True}, ("max", "last_token")),
        ({"pooling_mode_mean_sqrt_len_tokens": True, "include_prompt": False}, ("mean_sqrt_len",)),
    ],
)
def test_poolings_in_the_words_of_every_version(tmp_path: Path, config: object, poolings: tuple[str, ...]) -> None:
    assert read_modules(listed(tmp_path, "Transformer", "Pooling", Pooling=config), read).poolings == poolings


@pytest.mark.parametrize(
    "kinds",
    [
        ("Pooling", "Transformer"),
        ("Transformer", "Dense", "Pooling"),
        ("Transformer", "Pooling", "Pooling"),
        ("Transformer", "Transformer", "Pooling"),
        ("Transformer", "Normalize"),
        ("Transformer", "LogitScore", "Dense"),
        ("Dense",),
    ],
)
def test_orders_that_mean_something_else(tmp_path: Path, kinds: tuple[str, ...]) -> None:
    with pytest.raises(UnsupportedModelError, match=" -> ".join(kinds)):
        read_modules(listed(tmp_path, *kinds, Dense=DENSE), read)


@pytest.mark.parametrize("name", ["pylate.models.Dense", "custom_st.Transformer", "Transformer", "", "os.system"])
def test_classes_of_others(tmp_path: Path, name: str) -> None:
    write(tmp_path / "modules.json", [{"type": name, "path": ""}])
    with pytest.raises(UnsupportedModelError, match=r"modules\.json.*needs the module"):
        read_modules(tmp_path, read)


@pytest.mark.parametrize("path", ["../other", "/etc", "a/../../b", "C:\\x", "a\\b", "x\0y", "p" * 5000])
def test_folders_outside_the_checkpoint(tmp_path: Path, path: str) -> None:
    write(tmp_path / "modules.json", [{"type": f"{KIND}Transformer", "path": path}])
    with pytest.raises(UnsafeModelError, match="plain files of its own folder"):
        read_modules(tmp_path, read)


@pytest.mark.parametrize(
    ("kind", "config", "named"),
    [
        ("Pooling", {"pooling_mode": "attention"}, "attention"),
        ("Pooling", {"pooling_mode": []}, "expected one or more"),
        ("Pooling", {"pooling_mode": [["cls"]]}, "expected one or more"),
        ("Pooling", {"pooling_mode": "cls", "include_prompt": "no"}, "include_prompt"),
        ("Pooling", {"pooling_mode": "cls", "temperature": 2}, "temperature"),
        ("Dense", {**DENSE, "activation_function": "torch.nn.PReLU"}, "PReLU"),
        ("Dense", {**DENSE, "activation_function": "os.Tanh"}, "os.Tanh"),
        ("Dense", {**DENSE, "activation_function": None}, "None"),
        ("Dense", {**DENSE, "module_input_name": "token_embeddings"}, "token_embeddings"),
        ("Dense", {**DENSE, "module_output_name": "scores"}, "scores"),
        ("Dense", {**DENSE, "in_features": "32"}, "in_features"),
        ("Dense", {**DENSE, "out_features": 10**30}, "out_features"),
        ("Dense", {**DENSE, "bias": 1}, "bias"),
        ("Dense", {**DENSE, "scale": 2}, "scale"),
        ("Dense", [1], "not a JSON object"),
        ("LayerNorm", {"dimension": None}, "dimension"),
        ("LayerNorm", {"dimension": 32, "eps": 1}, "eps"),
        ("Normalize", {"module_input_name": "token_embeddings"}, "token_embeddings"),
    ],
)
def test_settings_that_are_not_followed(tmp_path: Path, kind: str, config: object, named: str) -> None:
    configs = {"Pooling": {"pooling_mode": "cls"}, kind: config}
    kinds = ["Transformer", "Pooling"] + [kind] * (kind != "Pooling")
    with pytest.raises(UnsupportedModelError, match=rf"config\.json.*{named}"):
        read_modules(listed(tmp_path, *kinds, **configs), read)


_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4)),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=4), inner, max_size=2)),
    max_leaves=4,
)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(key=st.sampled_from(["", *DENSE, "pooling_mode", "include_prompt", "type", "path"]), value=_JSON)
def test_no_value_ends_in_a_raw_error(tmp_path_factory: pytest.TempPathFactory, key: str, value: Any) -> None:
    folder = listed(
        tmp_path_factory.mktemp("fuzz"), "Transformer", "Pooling", "Dense", Pooling={"pooling_mode": "cls"}, Dense=DENSE
    )
    name = {"": "modules.json", "type": "modules.json", "path": "modules.json", "pooling_mode": "1_Pooling/config.json"}
    path = folder / name.get(key, "1_Pooling/config.json" if key == "include_prompt" else "2_Dense/config.json")
    content = read(path)
    if key in ("type", "path"):
        content[2][key] = value
    elif key:
        content[key] = value
    write(path, content if key else value)
    refusal = str(folder)
    try:
        read_modules(folder, read)
    except (UnsupportedModelError, UnsafeModelError) as error:
        refusal = str(error)
    assert str(folder) in refusal


def test_weights_that_do_not_fit_the_config_are_refused_before_memory_is_taken(embedder_folder: Path) -> None:
    huge = {**DENSE, "in_features": 900_000, "out_features": 900_000}
    folder = listed(embedder_folder, "Transformer", "Pooling", "Dense", Pooling={"pooling_mode": "mean"}, Dense=huge)
    weights = {"linear.weight": np.zeros((8, 32), np.float32), "linear.bias": np.zeros(8, np.float32)}
    save_file(weights, folder / "2_Dense" / "model.safetensors")
    with pytest.raises(UnsupportedModelError, match="config needs"):
        Embedder(folder)


@pytest.mark.parametrize(
    ("sentence_bert", "tokenizer", "length"),
    [
        ({"max_seq_length": 6}, {"model_max_length": 48}, 6),
        ({"max_seq_length": None}, {"model_max_length": 48}, 48),
        ({}, {"model_max_length": 10**30}, None),
        ({}, {"model_max_length": 1e30}, None),
        ({}, {"model_max_length": True}, None),
        ({}, {}, None),
    ],
)
def test_lengths(sentence_bert: dict[str, Any], tokenizer: dict[str, Any], length: int | None) -> None:
    assert saved_length(sentence_bert, tokenizer) == length


def test_a_cross_encoder_reads_the_length_that_its_tokenizer_saved(bert_reranker_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(bert_reranker_folder, tmp_path / "short")
    path = folder / "tokenizer_config.json"
    write(path, {**read(path), "model_max_length": 48})
    with Reranker(folder, device="cpu") as reranker:
        assert reranker.max_length == 48


@pytest.mark.parametrize(
    ("saved", "config", "scale"),
    [
        ({}, {}, "logit"),
        ({"activation_fn": "torch.nn.modules.activation.Tanh"}, {}, "tanh"),
        ({}, {"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}}, "logit"),
        ({}, {"sbert_ce_default_activation_function": "torch.nn.modules.activation.Sigmoid"}, "logit"),
    ],
)
def test_activations_of_every_version(saved: dict[str, Any], config: dict[str, Any], scale: str) -> None:
    assert activation_scale(Path("x"), saved, config) == scale


@pytest.mark.parametrize("name", ["torch.nn.ReLU", "my.Sigmoid", "", 5])
def test_other_activations_are_refused(name: object) -> None:
    with pytest.raises(UnsupportedModelError, match="activation"):
        activation_scale(Path("x"), {"activation_fn": name}, {})


def test_the_default_prompt_of_a_cross_encoder_is_its_own(bert_reranker_folder: Path, tmp_path: Path) -> None:
    folder = listed(shutil.copytree(bert_reranker_folder, tmp_path / "prompted"), "Transformer")
    prompts = {"prompts": {"a": "", "b": "find "}, "default_prompt_name": "b"}
    write(folder / "config_sentence_transformers.json", prompts)
    pairs = [("panda", "The giant panda is a bear species."), ("salt", "Ask your doctor about salt.")]
    with Reranker(folder, device="cpu") as prompted, Reranker(bert_reranker_folder, device="cpu") as plain:
        by_hand = plain.score([("find " + query, document) for query, document in pairs])
        assert prompted.score(pairs) == pytest.approx(by_hand, abs=1e-5)
        assert prompted.score(pairs) != pytest.approx(plain.score(pairs), abs=1e-3)
    assert default_prompt(folder, {**prompts, "default_prompt_name": None}) == ""
    assert default_prompt(folder, {"prompts": {"b": None}, "default_prompt_name": "b"}) == ""


@pytest.mark.parametrize("prompts", [None, {}, {"other": "find "}, {"Query": "find "}])
def test_a_default_prompt_that_is_not_there_is_refused(
    bert_reranker_folder: Path, embedder_folder: Path, tmp_path: Path, prompts: object
) -> None:
    """Dropped without a word, it would make other scores than its author's."""
    saved = {"prompts": prompts, "default_prompt_name": "retrieval"}
    reranker = listed(shutil.copytree(bert_reranker_folder, tmp_path / "prompted"), "Transformer")
    write(reranker / "config_sentence_transformers.json", saved)
    with pytest.raises(UnsupportedModelError, match=r"config_sentence_transformers\.json.*'retrieval'.*set it to null"):
        Reranker(reranker, device="cpu")
    write(embedder_folder / "config_sentence_transformers.json", saved)
    with pytest.raises(UnsupportedModelError, match=r"'retrieval'.*'query', 'document'"):
        Embedder(embedder_folder, device="cpu")


def test_an_embedder_has_the_prompts_query_and_document(embedder_folder: Path) -> None:
    """sentence-transformers 6 adds them, empty, where they are not saved."""
    write(embedder_folder / "config_sentence_transformers.json", {"prompts": {}, "default_prompt_name": "document"})
    assert not resolve(embedder_folder, kind="embedder").spec.instructions


def test_a_prompt_by_another_name_is_not_used(embedder_folder: Path) -> None:
    prompts = {"prompts": {"passage": "p: ", "query": "q: "}, "default_prompt_name": "passage"}
    write(embedder_folder / "config_sentence_transformers.json", prompts)
    instruction = resolve(embedder_folder, kind="embedder").spec.instructions["retrieval"]
    assert (instruction.query, instruction.document) == ("q: ", "")


def test_a_cut_is_not_scaled_again(embedder_folder: Path) -> None:
    kinds = ("Transformer", "Pooling", "Normalize")
    folder = listed(embedder_folder, *kinds, Pooling={"pooling_mode": "mean"})
    with Embedder(folder, device="cpu") as embedder:
        whole = embedder.embed_queries(["panda"])
    write(folder / "config_sentence_transformers.json", {"truncate_dim": 5})
    assert read_checkpoint(folder).vector_size == 5
    with Embedder(folder, device="cpu") as embedder:
        assert embedder.embed_queries(["panda"]) == pytest.approx(whole[:, :5], abs=1e-6)


def test_lower_casing_leaves_special_tokens(embedder_folder: Path) -> None:
    write(embedder_folder / "sentence_bert_config.json", {"do_lower_case": True})
    with Embedder(embedder_folder, device="cpu") as embedder:
        encoder = embedder._lease.value.tokenizer
        assert encoder.encode_one("[MASK]").ids.tolist() == [encoder.token_to_id("[MASK]")]
        assert (encoder.encode_one("PANDA").ids == encoder.encode_one("panda").ids).all()


def test_another_similarity_is_told(embedder_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(embedder_folder / "config_sentence_transformers.json", {"similarity_fn_name": "dot"})
    with caplog.at_level(logging.WARNING):
        resolve(embedder_folder, kind="embedder")
    assert "by dot" in caplog.text


@pytest.mark.parametrize("make", [tiny_checkpoints.bert_reranker, tiny_checkpoints.xlmr_reranker])
def test_classifiers_that_read_padding_are_refused(tmp_path: Path, make: Any) -> None:
    folder = make(tmp_path / "model")
    path = folder / "tokenizer_config.json"
    write(path, {**read(path), "padding_side": "left"})
    with pytest.raises(UnsupportedModelError, match="pads on the left"):
        Reranker(folder)


@pytest.mark.parametrize(
    ("model_type", "task", "is_refused"),
    [
        ("deberta-v2", "sequence-classification", True),
        ("modernbert", "sequence-classification", True),
        ("an-encoder-of-tomorrow", "sequence-classification", True),
        ("qwen2", "sequence-classification", False),
        ("qwen3", "feature-extraction", False),
        ("xlm-roberta", "feature-extraction", False),
        ("bert", "feature-extraction", True),
    ],
)
def test_who_may_pad_on_the_left(tmp_path: Path, model_type: str, task: str, *, is_refused: bool) -> None:
    expected = pytest.raises(UnsupportedModelError, match="pads on the left") if is_refused else nullcontext()
    with expected:
        check_transformer(tmp_path, {}, {"padding_side": "left"}, task=task, model_type=model_type)
