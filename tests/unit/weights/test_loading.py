"""Checkpoints that must be refused, each with the way out; and int8 rows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import tiny_checkpoints
import tiny_rerankers
import torch
import transformers
from safetensors.torch import load_file, save_file

from rerank_plugins import Reranker, SourceOptions
from rerank_plugins.errors import UnsafeModelError, UnsupportedModelError


@pytest.fixture
def folder(bert_reranker_folder: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return shutil.copytree(bert_reranker_folder, tmp_path / "checkpoint")


def change_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_two_labels_are_refused(tmp_path: Path) -> None:
    folder = tiny_checkpoints.bert_reranker(tmp_path / "two", n_labels=2)
    with pytest.raises(UnsupportedModelError, match="classifier with 2 labels; a reranker has one"):
        Reranker(folder)


def test_a_checkpoint_without_head_is_refused(checkpoints: Path) -> None:
    with pytest.raises(UnsupportedModelError, match=r"'BertModel', which is not a cross-encoder.*bge-reranker"):
        Reranker(checkpoints / "bert-embedder")


def test_missing_head_weights_are_refused_not_invented(folder: Path) -> None:
    weights = load_file(str(folder / "model.safetensors"))
    del weights["classifier.weight"]
    save_file(weights, str(folder / "model.safetensors"), {"format": "pt"})
    with pytest.raises(UnsupportedModelError, match=r"lacks 1 weights.*classifier.weight.*random numbers"):
        Reranker(folder)


def test_pickled_weights_are_refused_unless_allowed(folder: Path) -> None:
    expected = Reranker(folder).score([("panda", "bamboo")])
    torch.save(load_file(str(folder / "model.safetensors")), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(UnsafeModelError, match=r"pytorch_model.bin.*allow_pickle=True"):
        Reranker(folder)
    copied = shutil.copytree(folder, folder.parent / "allowed")
    assert Reranker(copied, source=SourceOptions(allow_pickle=True)).score([("panda", "bamboo")]) == pytest.approx(
        expected, abs=1e-6
    )


def test_no_weights_at_all(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(UnsupportedModelError, match=r"has no model.safetensors"):
        Reranker(folder)


def test_damaged_weights(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UnsupportedModelError, match="could not"):
        Reranker(folder)


def test_no_tokenizer(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    with pytest.raises(UnsupportedModelError, match=r"no tokenizer.json.*save_pretrained"):
        Reranker(folder)


def test_remote_code_is_off_unless_asked(folder: Path) -> None:
    marker = folder / "ran"
    (folder / "modeling_evil.py").write_text(f"open({str(marker)!r}, 'w').close()\n")
    names = {"AutoConfig": "modeling_evil.Config", "AutoModelForSequenceClassification": "modeling_evil.Model"}
    change_config(folder, model_type="evil", auto_map=names)
    with pytest.raises(UnsafeModelError, match="trust_remote_code=True"):
        Reranker(folder)
    assert not marker.exists()


def test_remote_code_of_a_known_architecture_is_not_needed(folder: Path) -> None:
    # A local copy whose auto_map names the hub must load offline with the built-in class.
    change_config(folder, auto_map={"AutoModelForSequenceClassification": "someone/else--modeling_evil.Model"})
    assert Reranker(folder).score([("panda", "bamboo")])


def test_unknown_architecture(folder: Path) -> None:
    change_config(folder, model_type="never-heard-of")
    with pytest.raises(UnsupportedModelError, match="could not load"):
        Reranker(folder)


def test_int8_rows_are_read_as_float32(folder: Path) -> None:
    exact = Reranker(folder).score([("panda", text) for text in tiny_checkpoints.SENTENCES])
    stored = {}
    for name, tensor in load_file(str(folder / "model.safetensors")).items():
        if tensor.dim() == 2:
            scale = tensor.abs().amax(1).clamp(min=1e-12) / 127
            stored[name], stored[f"{name}.scale"] = (tensor / scale[:, None]).round().to(torch.int8), scale
        else:
            stored[name] = tensor
    copied = shutil.copytree(folder, folder.parent / "int8")
    save_file(stored, str(copied / "model.safetensors"), {"rerank_plugins.quantization": "int8-rows"})
    rounded = Reranker(copied).score([("panda", text) for text in tiny_checkpoints.SENTENCES])
    assert rounded == pytest.approx(exact, abs=0.3)
    assert rounded != exact


def test_blocks_of_four_bits_are_read_as_float32(folder: Path) -> None:
    stored, exact = {}, {}
    for name, tensor in load_file(str(folder / "model.safetensors")).items():
        if tensor.dim() != 2 or tensor.shape[1] % 32:
            stored[name] = exact[name] = tensor
            continue
        blocks = tensor.reshape(tensor.shape[0], -1, 32)
        scale = (blocks.abs().amax(2).clamp(min=1e-6) / 7).half()
        halves = (blocks / scale[:, :, None]).round().clamp(-8, 7)
        exact[name] = (halves * scale.float()[:, :, None]).flatten(1)
        low, high = (halves + 8).to(torch.uint8).split(16, dim=2)
        stored[name], stored[f"{name}.scale"] = (low | high << 4).flatten(1), scale
    assert any(tensor.dtype == torch.uint8 for tensor in stored.values())
    pairs = [("panda", text) for text in tiny_checkpoints.SENTENCES]
    plain, packed = (shutil.copytree(folder, folder.parent / name) for name in ("plain", "packed"))
    save_file(exact, str(plain / "model.safetensors"), {"format": "pt"})
    save_file(stored, str(packed / "model.safetensors"), {"rerank_plugins.quantization": "q4-blocks"})
    assert Reranker(packed).score(pairs) == pytest.approx(Reranker(plain).score(pairs), abs=1e-6)


def test_blocks_without_their_scales_are_refused(folder: Path) -> None:
    stored = load_file(str(folder / "model.safetensors"))
    name = "bert.encoder.layer.0.attention.self.query.weight"
    packed = {**stored, name: torch.zeros(stored[name].shape[0], stored[name].shape[1] // 2, dtype=torch.uint8)}
    copied = shutil.copytree(folder, folder.parent / "scaleless")
    save_file(packed, str(copied / "model.safetensors"), {"rerank_plugins.quantization": "q4-blocks"})
    with pytest.raises(UnsupportedModelError, match="could not load"):
        Reranker(copied)


def test_a_tokenizer_file_that_cannot_be_read_is_named(folder: Path) -> None:
    (folder / "tokenizer.json").write_text('{"model": {"type": "FromTheFuture"}}')
    with pytest.raises(
        UnsupportedModelError, match=r"could not read .*tokenizer.json.*pip install --upgrade tokenizers"
    ):
        Reranker(folder)


def test_a_classifier_without_its_pooler_is_refused(folder: Path) -> None:
    # BERT's classifier reads the pooler, an embedder does not.
    weights = load_file(str(folder / "model.safetensors"))
    kept = {name: tensor for name, tensor in weights.items() if ".pooler." not in name}
    save_file(kept, str(folder / "model.safetensors"), {"format": "pt"})
    with pytest.raises(UnsupportedModelError, match=r"lacks 2 weights.*pooler.dense"):
        Reranker(folder)


@pytest.mark.parametrize(
    ("model_type", "architecture"),
    [("bert", "JinaBertForSequenceClassification"), ("new", "NewForSequenceClassification")],
    ids=["jina-reranker-v1", "gte-multilingual-reranker"],
)
def test_an_architecture_of_its_own_needs_leave(folder: Path, model_type: str, architecture: str) -> None:
    # The first calls itself a "bert", which transformers would load with other computations.
    names = {"AutoModelForSequenceClassification": f"someone/implementation--modeling.{architecture}"}
    change_config(folder, model_type=model_type, architectures=[architecture], auto_map=names)
    with pytest.raises(UnsafeModelError, match=rf"{architecture}.*trust_remote_code=True"):
        Reranker(folder)


def test_code_that_was_allowed_runs_as_a_whole_with_its_own_head(folder: Path) -> None:
    expected = Reranker(folder, device="cpu").score([("panda", "bamboo"), ("panda", "stone")])
    code = (
        "from transformers import BertConfig, BertForSequenceClassification\n"
        "class OwnConfig(BertConfig):\n"
        "    model_type = 'own-bert'\n"
        "class OwnForSequenceClassification(BertForSequenceClassification):\n"
        "    config_class = OwnConfig\n"
        "    def forward(self, *args, **options):\n"
        "        found = super().forward(*args, **options)\n"
        "        found.logits = found.logits + 100\n"
        "        return found\n"
    )
    (folder / "modeling_own.py").write_text(code)
    names = {
        "AutoConfig": "modeling_own.OwnConfig",
        "AutoModelForSequenceClassification": "modeling_own.OwnForSequenceClassification",
    }
    change_config(folder, model_type="own-bert", architectures=["OwnForSequenceClassification"], auto_map=names)
    with pytest.raises(UnsafeModelError, match="own-bert"):
        Reranker(folder, device="cpu")
    found = Reranker(folder, device="cpu", source=SourceOptions(trust_remote_code=True)).score(
        [("panda", "bamboo"), ("panda", "stone")]
    )
    assert found == pytest.approx([score + 100 for score in expected], abs=1e-3)


def test_jina_v2_lacks_nothing_silently(xlmr_reranker_folder: Path, tmp_path: Path) -> None:
    folder = tiny_rerankers.jina_v2(xlmr_reranker_folder, tmp_path / "jina")
    weights = load_file(str(folder / "model.safetensors"))
    del weights["roberta.encoder.layers.1.mixer.Wqkv.bias"]
    save_file(weights, str(folder / "model.safetensors"), {"format": "pt"})
    with pytest.raises(UnsupportedModelError, match=r"lacks 3 weights"):
        Reranker(folder)


@pytest.mark.parametrize("written_by", ["PreTrainedTokenizerFast", "TokenizersBackend", "BertTokenizerFast"])
def test_segment_ids_are_those_of_the_installed_transformers(folder: Path, written_by: str) -> None:
    if written_by == "TokenizersBackend" and int(transformers.__version__.split(".", 1)[0]) < 5:
        pytest.skip("transformers 4 does not know this class")
    path = folder / "tokenizer_config.json"
    config = {**json.loads(path.read_text()), "tokenizer_class": written_by}
    config.pop("model_input_names", None)
    path.write_text(json.dumps(config))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.BertForSequenceClassification.from_pretrained(folder).eval()
    pairs = [("What is a panda?", "It eats bamboo."), ("passport", "You need a photo, a form and a fee.")]
    with torch.inference_mode():
        expected = [model(**tokenizer(*pair, return_tensors="pt")).logits.item() for pair in pairs]
    with Reranker(folder, device="cpu") as reranker:
        assert reranker.score(pairs) == pytest.approx(expected, abs=1e-4)
