"""A checkpoint's file names another: plain names of its folder, wherever that can be."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import tiny_checkpoints
import torch
from safetensors.torch import load_file, save_file

from rerank_plugins import Embedder, Reranker, SourceOptions
from rerank_plugins.catalog.file_names import named_file, named_folder, weight_files
from rerank_plugins.errors import UnsafeModelError, UnsupportedModelError

OUTSIDE = (
    *(
        "../x.safetensors",
        "/etc/passwd",
        "sub/x.safetensors",
        "..\\x.safetensors",
        "C:x.safetensors",
        "~/x.safetensors",
    ),
    *(
        "./x.safetensors",
        "x\x00.safetensors",
        "..",
        ".",
        "",
        " x.safetensors",
        ".hidden.safetensors",
        "x\n.safetensors",
    ),
    *("nul.safetensors", "a" * 400 + ".safetensors", "file:///x.safetensors", "hf://a/b.safetensors", "x.safetensors/"),
    *(None, 1, True, ["x.safetensors"], {"x": 1}),
)


@pytest.fixture
def folder(bert_reranker_folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(bert_reranker_folder, tmp_path / "checkpoint")


def change(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("name", OUTSIDE, ids=repr)
def test_only_plain_names(tmp_path: Path, name: object) -> None:
    with pytest.raises(UnsafeModelError, match=r"plain files of its own folder"):
        named_file(tmp_path, name, named_by="index", ending=".safetensors")


def test_plain_names(tmp_path: Path) -> None:
    name = "model-00001-of-00002.safetensors"
    assert named_file(tmp_path, name, named_by="index", ending=".safetensors") == tmp_path / name
    assert named_folder(tmp_path, "", named_by="modules.json") == tmp_path
    assert named_folder(tmp_path, "1_Pooling", named_by="modules.json") == tmp_path / "1_Pooling"
    with pytest.raises(UnsafeModelError, match=r"ending in '\.safetensors'"):
        named_file(tmp_path, "w.bin", named_by="index", ending=".safetensors")


@pytest.mark.parametrize("name", [*OUTSIDE[:6], "w.bin", "pytorch_model.bin", 3, None], ids=repr)
@pytest.mark.parametrize("index", ["model.safetensors.index.json", "other.safetensors.index.json"])
def test_an_index_leads_nowhere_else(folder: Path, name: Any, index: str) -> None:
    # The pickle has the right weights, so that it would be read if the name counted.
    torch.save(load_file(str(folder / "model.safetensors")), folder / "w.bin")
    (folder / "model.safetensors").rename(folder.parent / "x.safetensors")
    names = load_file(str(folder.parent / "x.safetensors"))
    (folder / index).write_text(json.dumps({"metadata": {}, "weight_map": dict.fromkeys(names, name)}))
    with pytest.raises(UnsafeModelError, match="plain files of its own folder"):
        Reranker(folder)


def test_an_index_of_pickles_leads_nowhere_else(folder: Path) -> None:
    torch.save(load_file(str(folder / "model.safetensors")), folder.parent / "w.bin")
    names = load_file(str(folder / "model.safetensors"))
    (folder / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": dict.fromkeys(names, "../w.bin")}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    with pytest.raises(UnsafeModelError, match="plain files of its own folder"):
        Reranker(folder, source=SourceOptions(allow_pickle=True))


def test_shards_and_the_links_of_the_hubs_cache_are_read(folder: Path) -> None:
    expected = Reranker(folder).score([("panda", "bamboo")])
    blobs = folder.parent / "blobs"
    blobs.mkdir()
    weights = load_file(str(folder / "model.safetensors"))
    (folder / "model.safetensors").unlink()
    halves = (sorted(weights)[::2], sorted(weights)[1::2])
    files = {}
    for number, names in enumerate(halves, 1):
        file = f"model-0000{number}-of-00002.safetensors"
        save_file({name: weights[name].clone() for name in names}, str(blobs / f"{number}"), {"format": "pt"})
        (folder / file).symlink_to(Path("..") / "blobs" / f"{number}")
        files.update(dict.fromkeys(names, file))
    index = {"metadata": {"total_size": 1}, "weight_map": files}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert Reranker(folder).score([("panda", "bamboo")]) == pytest.approx(expected, abs=1e-6)
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(UnsupportedModelError, match="which are not there"):
        Reranker(folder)


@pytest.mark.parametrize("path", ["../elsewhere", "/etc", "a/../../elsewhere", 3, ["x"]], ids=repr)
def test_modules_lie_in_the_folder(tmp_path: Path, path: object) -> None:
    folder = tiny_checkpoints.bert_embedder(tmp_path / "checkpoint")
    shutil.copytree(folder / "1_Pooling", tmp_path / "elsewhere")
    listed = json.loads((folder / "modules.json").read_text())
    listed[1]["path"] = path
    (folder / "modules.json").write_text(json.dumps(listed))
    with pytest.raises((UnsafeModelError, UnsupportedModelError), match=r"modules\.json"):
        Embedder(folder)


@pytest.mark.parametrize("name", ["../x.safetensors", "w.bin", "adapter_model.bin", "../x.safetensors.index.json"])
def test_weights_that_the_config_names(folder: Path, name: str) -> None:
    shutil.copy(folder / "model.safetensors", folder.parent / "x.safetensors")
    change(folder / "config.json", transformers_weights=name)
    with pytest.raises(UnsafeModelError, match="transformers_weights"):
        Reranker(folder)


def test_a_config_that_names_another(folder: Path) -> None:
    shutil.copy(folder / "config.json", folder / "config.4.0.0.json")
    change(folder / "config.json", configuration_files=["config.4.0.0.json"])
    with pytest.raises(UnsafeModelError, match="configuration_files"):
        Reranker(folder)


def with_vocabulary(folder: Path) -> str:
    """Give a checkpoint a vocabulary in the place of its tokenizer.json, to be read through transformers."""
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    words = "\n".join(sorted(vocabulary, key=lambda word: vocabulary[word]))
    (folder / "vocab.txt").write_text(words, encoding="utf-8")
    (folder / "tokenizer.json").unlink()
    change(folder / "tokenizer_config.json", tokenizer_class="BertTokenizer")
    return words


@pytest.mark.parametrize("name", ["/never/was/here/vocab.txt", "/root/.cache/26bc1ad6c0ac74.542ce4285a", "vocab.txt"])
def test_files_that_a_tokenizers_config_names_are_those_of_the_folder(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with_vocabulary(folder)
    expected = Reranker(folder).score([("panda", "bamboo")])
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nanother", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    other = shutil.copytree(folder, tmp_path / "other")
    change(other / "tokenizer_config.json", vocab_file=name, tokenizer_file="/never/was/here/x.json")
    assert Reranker(other).score([("panda", "bamboo")]) == expected


def test_files_outside_that_a_tokenizers_config_names(folder: Path) -> None:
    words = with_vocabulary(folder)
    (folder.parent / "words.txt").write_text(words, encoding="utf-8")
    change(folder / "tokenizer_config.json", vocab_file=str(folder.parent / "words.txt"))
    with pytest.raises(UnsafeModelError, match=r"vocab_file of tokenizer_config.json"):
        Reranker(folder)


def test_weights_are_read_from_the_files_that_transformers_reads(tmp_path: Path) -> None:
    names = ("a.safetensors", "b.safetensors", "model.safetensors", "model_old.safetensors", "new.safetensors")

    def found() -> list[str]:
        return [path.name for path in weight_files(tmp_path)]

    for name in names:
        (tmp_path / name).touch()
    (tmp_path / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"x": "b.safetensors", "y": "a.safetensors", "z": "b.safetensors"}})
    )
    assert found() == ["model.safetensors"]
    (tmp_path / "config.json").write_text(json.dumps({"transformers_weights": "new.safetensors"}))
    assert found() == ["new.safetensors"]
    (tmp_path / "new.safetensors").rename(tmp_path / "newer.safetensors")
    with pytest.raises(UnsupportedModelError, match=r"names new\.safetensors, which is not there"):
        found()
    (tmp_path / "config.json").unlink()
    (tmp_path / "model.safetensors").unlink()
    assert found() == ["b.safetensors", "a.safetensors"]
    (tmp_path / "model.safetensors.index.json").unlink()
    assert found() == ["a.safetensors", "b.safetensors", "model_old.safetensors", "newer.safetensors"]
