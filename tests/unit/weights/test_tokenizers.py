"""Tokenizers of checkpoints: what they do if their two files disagree."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from embedder_checkpoints import byte_bpe
from llm_checkpoints import llm_checkpoint
from tiny_checkpoints import bert_reranker, wordpiece
from tiny_rerankers import save
from tokenizers import normalizers, pre_tokenizers, processors

from rerank_plugins import Reranker, SourceOptions
from rerank_plugins.errors import UnsupportedModelError

TEXT = "WHAT IS A PANDA? Ünïcode Paris, bÉrlin 大熊猫是中国"
PAIRS = [("What is a panda?", TEXT), (TEXT, "the capital of FRANCE")]
BERT, PLAIN = "BertTokenizerFast", "PreTrainedTokenizerFast"


def changed(folder: Path, *, lowercase: bool, **settings: Any) -> Path:
    """Write a BERT whose tokenizer.json lower-cases or not, and change tokenizer_config.json; None removes a key."""
    bert_reranker(folder)
    tokenizer = wordpiece()
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.save(str(folder / "tokenizer.json"))
    path = folder / "tokenizer_config.json"
    merged = {**json.loads(path.read_text(encoding="utf-8")), **settings}
    path.write_text(json.dumps({key: value for key, value in merged.items() if value is not None}), encoding="utf-8")
    return folder


@pytest.mark.parametrize("kind", [BERT, None])
@pytest.mark.parametrize(
    ("lowercase", "settings", "named"),
    [
        (True, {"do_lower_case": False}, "do_lower_case=False"),
        (False, {}, "do_lower_case=True"),
        (False, {"do_lower_case": True, "strip_accents": False}, "strip_accents=False"),
        (True, {"do_lower_case": True, "tokenize_chinese_chars": False}, "tokenize_chinese_chars=False"),
    ],
)
def test_a_bert_tokenizer_follows_its_config_as_in_transformers(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    kind: str | None,
    lowercase: bool,
    settings: dict[str, Any],
    named: str,
) -> None:
    folder = changed(tmp_path / "model", lowercase=lowercase, tokenizer_class=kind, **settings)
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    expected = [model(**theirs(*pair, return_tensors="pt")).logits.item() for pair in PAIRS]
    with caplog.at_level(logging.WARNING, "rerank_plugins"), Reranker(folder, device="cpu") as reranker:
        assert reranker.score(PAIRS) == pytest.approx(expected, abs=1e-4)
    assert named in caplog.text


@pytest.mark.parametrize(
    ("lowercase", "settings"),
    [(False, {"do_lower_case": False}), (False, {"tokenizer_class": PLAIN}), (True, {"do_lower_case": None})],
)
def test_nothing_is_said_where_the_files_agree_or_the_tokenizer_reads_one_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, lowercase: bool, settings: dict[str, Any]
) -> None:
    folder = changed(tmp_path / "model", lowercase=lowercase, **{"tokenizer_class": BERT, **settings})
    with caplog.at_level(logging.WARNING, "rerank_plugins"), Reranker(folder, device="cpu") as reranker:
        scores = reranker.score([("panda", "PANDA"), ("panda", "panda")])
    assert (scores[0] == pytest.approx(scores[1], abs=1e-6)) == lowercase
    assert "says otherwise" not in caplog.text


@pytest.mark.parametrize(
    ("settings", "special", "starts"),
    [
        ({}, {}, False),
        ({"tokenizer_class": "GemmaTokenizerFast"}, {}, True),
        ({"tokenizer_class": None}, {}, True),
        ({"tokenizer_class": "GemmaTokenizerFast", "bos_token": "null"}, {}, False),
        ({}, {"bos_token": "<bos>"}, True),
        ({}, {"bos_token": {"content": "<bos>", "lstrip": False, "rstrip": False, "normalized": False}}, True),
        ({}, {"bos_token": "<bos>", "pad_token": "<bos>"}, False),
        ({"added_tokens_decoder": {}}, {"bos_token": "<bos>"}, False),
    ],
)
def test_the_first_token_is_that_of_transformers(
    tmp_path: Path, settings: dict[str, Any], special: dict[str, Any], starts: bool
) -> None:
    folder = shutil.copytree(llm_checkpoint("tiny-gemma"), tmp_path / "model")
    path = folder / "tokenizer_config.json"
    expected = scores_of(folder)
    merged = {**json.loads(path.read_text(encoding="utf-8")), "bos_token": None, **settings}
    kept = {key: None if value == "null" else value for key, value in merged.items() if value is not None}
    path.write_text(json.dumps(kept), encoding="utf-8")
    (folder / "special_tokens_map.json").write_text(json.dumps(special), encoding="utf-8")
    if settings.get("bos_token") == "null" and int(transformers.__version__.split(".")[0]) < 5:
        pytest.skip("a Gemma tokenizer without a first token is an error in transformers 4")
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    assert (theirs.bos_token is not None and theirs.bos_token != theirs.pad_token) == starts
    assert (scores_of(folder) == pytest.approx(expected, abs=1e-6)) == starts


def scores_of(folder: Path) -> list[float]:
    with Reranker(folder, source=SourceOptions(family="bge"), device="cpu") as reranker:
        return reranker.score(PAIRS)


NEW = {"lstrip": False, "rstrip": False, "normalized": False, "single_word": False, "special": True}


@pytest.mark.parametrize("kind", [BERT, PLAIN, None])
@pytest.mark.parametrize(
    ("file", "settings"),
    [
        ("tokenizer_config.json", {"added_tokens_decoder": {"{row}": {"content": "[NEW]", **NEW}}}),
        ("tokenizer_config.json", {"added_tokens_decoder": {"{row}": {"content": "[new]", **NEW, "normalized": True}}}),
        ("tokenizer_config.json", {"additional_special_tokens": ["[NEW]", "[SEP]"]}),
        ("tokenizer_config.json", {"mask_token": {"__type": "AddedToken", "content": "[NEW]", **NEW, "lstrip": True}}),
        ("tokenizer_config.json", {"mask_token": "bamboo"}),
        ("special_tokens_map.json", {"additional_special_tokens": ["[NEW]"]}),
        ("added_tokens.json", {"[NEW]": "{row}"}),
        ("tokenizer.json", {"added_tokens": []}),
    ],
)
def test_added_tokens_of_other_files_are_those_of_transformers(
    tmp_path: Path, kind: str | None, file: str, settings: dict[str, Any]
) -> None:
    folder = changed(tmp_path / "model", lowercase=True, tokenizer_class=kind)
    row = json.loads((folder / "config.json").read_text(encoding="utf-8"))["vocab_size"]
    grown = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    grown.resize_token_embeddings(row + 2)
    grown.save_pretrained(folder)
    before = json.loads((folder / file).read_text(encoding="utf-8")) if (folder / file).is_file() else {}
    told = json.loads(json.dumps(settings).replace('"[NEW]": "{row}"', f'"[NEW]": {row}').replace("{row}", str(row)))
    (folder / file).write_text(json.dumps({**before, **told}), encoding="utf-8")
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    pairs = [("What eats [NEW] bamboo?", "A panda [SEP] a [NEW] and bamboo"), ("[NEW]", "[new]")]
    expected = [grown.eval()(**theirs(*pair, return_tensors="pt")).logits.item() for pair in pairs]
    with Reranker(folder, device="cpu") as reranker:
        assert reranker.score(pairs) == pytest.approx(expected, abs=1e-4)


def test_an_added_token_without_a_text_is_damage(tmp_path: Path) -> None:
    folder = changed(tmp_path / "model", lowercase=True, added_tokens_decoder={"3": {**NEW, "content": None}})
    with pytest.raises(UnsupportedModelError, match="could not read the added tokens"):
        Reranker(folder, device="cpu")


def test_a_named_token_beyond_the_embeddings_stays_text(tmp_path: Path) -> None:
    folder = changed(tmp_path / "model", lowercase=True, additional_special_tokens=["[NEW]"])
    with Reranker(folder, device="cpu") as reranker, Reranker(bert_reranker(tmp_path / "plain"), device="cpu") as plain:
        pairs = [("panda", "[NEW] bamboo")]
        assert reranker.score(pairs) == pytest.approx(plain.score(pairs), abs=1e-5)


@pytest.mark.parametrize("kind", ["RobertaTokenizerFast", "LongformerTokenizer", None])
@pytest.mark.parametrize(("written", "wanted"), [(False, True), (True, None), (True, False), (True, True)])
def test_the_space_before_a_text_follows_the_config_as_in_transformers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str | None, written: bool, wanted: bool | None
) -> None:
    folder = byte_level_roberta(tmp_path / "model", prefix_space=written, tokenizer_class=kind, add_prefix_space=wanted)
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    expected = [model(**theirs(*pair, return_tensors="pt")).logits.item() for pair in PAIRS]
    with caplog.at_level(logging.WARNING, "rerank_plugins"), Reranker(folder, device="cpu") as reranker:
        assert reranker.score(PAIRS) == pytest.approx(expected, abs=1e-4)
    assert ("add_prefix_space" in caplog.text) == (written != bool(wanted))


def byte_level_roberta(folder: Path, *, prefix_space: bool, **settings: Any) -> Path:
    """Write a RoBERTa whose tokenizer.json puts a space in front of texts or not; None removes a setting."""
    tokenizer = byte_bpe(["<s>", "<pad>", "</s>", "<unk>"], template="<s> $A </s>")
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=prefix_space)
    config = transformers.RobertaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=32,
        initializer_range=0.3,
        num_labels=1,
        type_vocab_size=1,
        max_position_embeddings=130,
    )
    torch.manual_seed(5)
    names = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "pad_token": "<pad>"}
    kept = {key: value for key, value in {**names, "unk_token": "<unk>", **settings}.items() if value is not None}
    save(transformers.RobertaForSequenceClassification(config), tokenizer, folder, **{"tokenizer_class": None, **kept})
    return folder
