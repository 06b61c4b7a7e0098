"""Checkpoints of this project's own: catalog, files and code say the same, and nobody else takes them for theirs."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from rerank_plugins import Embedder, Reranker, SourceOptions
from rerank_plugins.catalog import known_models
from rerank_plugins.catalog.own_format import BACKBONE_KEYS, read_own_format
from rerank_plugins.catalog.resolve import resolve
from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.catalog.speed import shape_of
from rerank_plugins.errors import ModelError, UnsupportedModelError

mini = pytest.importorskip("rerank_plugins_mini")

BUNDLED = [spec for spec in known_models().values() if spec.package == "rerank_plugins_mini"]
PAIRS = [("What do pandas eat?", text) for text in ("The giant panda eats bamboo.", "Net revenue grew.", "Bamboo")]
KEYS = {"head", "max_length", "truncation", "token_types", "special_tokens_in_segments", "eps", "terms"}
TRAIN = Path(__file__).parents[3] / "models" / "mini"


def config_of(folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return config


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the reranker."""
    return shutil.copytree(mini.reranker_path(), tmp_path / "own")


def change(folder: Path, where: str = "", /, *, remove: str = "", **changes: object) -> None:
    config = config_of(folder)
    part = config[where] if where else config
    part.update(changes)
    part.pop(remove, None)
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize("spec", BUNDLED, ids=lambda spec: spec.kind)
def test_no_fact_of_the_catalog_contradicts_the_checkpoint(spec: ModelSpec) -> None:
    found = resolve(spec.id, kind=spec.kind).spec
    differing = [one.name for one in fields(spec) if getattr(found, one.name) != getattr(spec, one.name)]
    # The package that is installed says which weights it has.
    assert differing == (["revision"] if spec.kind == "reranker" else [])
    shape, config = shape_of(spec), config_of(resolve(spec.id, kind=spec.kind).files.folder)
    assert shape is not None
    if spec.kind == "reranker":
        own = config["rerank_plugins"]
        assert (own["truncation"], own["max_length"]) == (spec.truncation, spec.max_length_tokens)
        names = ("num_hidden_layers", "hidden_size", "intermediate_size", "vocab_size")
        assert [config[name] for name in names] == [shape.layers, shape.hidden, shape.inner, shape.vocabulary]
        tokenizer = json.loads((mini.reranker_path() / "tokenizer_config.json").read_text())
        assert tokenizer["model_max_length"] == spec.max_length_tokens
    else:
        assert (config["normalize"], config["max_length"]) == (spec.normalize, spec.default_max_length_tokens)
        table = load_file(str(mini.embedder_path() / "model.safetensors"))["embeddings"]
        assert table.shape == (shape.vocabulary, spec.dimensions)


def test_every_key_of_a_bundled_config_is_read() -> None:
    reranker = config_of(mini.reranker_path())
    assert {*reranker} == {*BACKBONE_KEYS, "architectures", "model_type", "rerank_plugins"}
    assert {*reranker["rerank_plugins"]} == KEYS
    # What this package reads of a model2vec folder, or model2vec itself; the first two say what it is.
    assert {*config_of(mini.embedder_path())} == {"model_type", "architectures", "normalize", "max_length"}


@pytest.mark.parametrize("where", ["", "rerank_plugins"])
@pytest.mark.parametrize("key", ["trunction", "activation", "mean_scale", "attn_logit_softcapping"])
def test_a_key_that_nobody_reads_is_named(folder: Path, where: str, key: str) -> None:
    change(folder, where, **{key: 1})
    name = f"{where}.{key}" if where else key
    with pytest.raises(UnsupportedModelError, match=f"unknown key '{name}'"):
        Reranker(folder)


@pytest.mark.parametrize("key", [*sorted(KEYS), *BACKBONE_KEYS])
def test_a_key_that_is_missing_is_named(folder: Path, key: str) -> None:
    change(folder, "rerank_plugins" if key in KEYS else "", remove=key)
    with pytest.raises(ModelError, match=f"no key '(rerank_plugins.)?{key}'"):
        Reranker(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("head", "another"),
        ("token_types", [0, 0]),  # done, but not what its tokenizer gives
        ("token_types", [1, 0]),
        ("apart_layers", 6),
        ("apart_layers", -1),
        ("apart_layers", True),
        ("special_tokens_in_segments", True),
        ("terms", ["mean_cosine"]),
        ("max_length", 513),
        ("max_length", 0),
        ("max_length", True),
        ("max_length", "512"),
        ("truncation", "shortest_first"),
        ("truncation", ["only_second"]),
        ("eps", 0.0),
        ("eps", float("nan")),
        ("eps", "1e-6"),
    ],
)
def test_a_value_that_is_not_done_is_named(folder: Path, key: str, value: object) -> None:
    change(folder, "rerank_plugins", **{key: value})
    with pytest.raises(ModelError, match=f"rerank_plugins.{key}="):
        Reranker(folder)


@pytest.mark.parametrize("block", [None, [], "x", {}])
def test_a_block_that_is_none(folder: Path, block: object) -> None:
    change(folder, rerank_plugins=block)
    with pytest.raises(ModelError, match=r"no key 'rerank_plugins\.head'"):
        Reranker(folder)


def test_every_setting_is_followed(folder: Path) -> None:
    assert Reranker(folder).max_length == 512
    assert resolve(folder, kind="reranker").spec.truncation == "only_second"
    change(folder, "rerank_plugins", max_length=64, truncation="longest_first")
    spec = resolve(folder, kind="reranker").spec
    assert (spec.max_length_tokens, spec.truncation) == (64, "longest_first")
    before = Reranker(folder).score(PAIRS)
    change(folder, "rerank_plugins", eps=0.9)
    assert Reranker(folder).score(PAIRS) == pytest.approx(before, abs=1e-4)
    # States are longer than 0.9, so that only a greater one shows.
    own = read_own_format(config_of(folder), folder=folder)
    assert own is not None
    assert own.eps == 0.9


def test_the_layout_of_before_is_still_read(folder: Path) -> None:
    expected = Reranker("mini", device="cpu").score(PAIRS)
    change(folder, model_type="bert", architectures=["BertModel"])
    assert Reranker(folder, device="cpu").score(PAIRS) == pytest.approx(expected, abs=1e-5)
    change(folder, model_type="roberta")
    with pytest.raises(UnsupportedModelError, match="model_type='roberta'"):
        Reranker(folder)


def test_weights_that_do_not_fit_or_are_missing(folder: Path) -> None:
    # Copies: what is read is a map of the file, which is written over below.
    stored = load_file(str(folder / "model.safetensors"))
    weights = {name: tensor.clone() for name, tensor in stored.items()}
    lost = {name: tensor for name, tensor in weights.items() if "layer.3.output.dense.weight" not in name}
    save_file(lost, str(folder / "model.safetensors"), {"rerank_plugins.quantization": "int8-rows"})
    with pytest.raises(UnsupportedModelError, match=r"lacks 1 weights.*layer\.3\.output\.dense\.weight"):
        Reranker(folder)
    save_file({**weights, "head.linear.weight": torch.zeros(1, 7)}, str(folder / "model.safetensors"))
    with pytest.raises(UnsupportedModelError, match="do not fit"):
        Reranker(folder)
    (folder / "model.safetensors").write_bytes(b"cut off")
    with pytest.raises(UnsupportedModelError, match="could not be read"):
        Reranker(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(UnsupportedModelError, match=r"no model\.safetensors"):
        Reranker(folder)


def test_a_reranker_of_ours_is_no_embedder(folder: Path) -> None:
    for family in (None, "bge"):
        with pytest.raises(ModelError, match="not an embedder"):
            Embedder(folder, source=SourceOptions(family=family))


def openers(folder: Path) -> dict[str, Callable[[], object]]:
    """Return how others open a folder of either kind; what is not installed is left out."""
    import transformers

    names = ("AutoConfig", "AutoModel", "AutoModelForSequenceClassification", "AutoModelForMaskedLM")
    found: dict[str, Callable[[], object]] = {
        name: lambda name=name: getattr(transformers, name).from_pretrained(folder)  # type: ignore[misc]
        for name in names
    }
    found["pipeline"] = lambda: transformers.pipeline("text-classification", model=str(folder))
    try:
        import sentence_transformers

        found["CrossEncoder"] = lambda: sentence_transformers.CrossEncoder(str(folder), device="cpu")
        found["SentenceTransformer"] = lambda: sentence_transformers.SentenceTransformer(str(folder), device="cpu")
    except ImportError:
        pass
    try:
        from FlagEmbedding import FlagReranker

        found["FlagReranker"] = lambda: FlagReranker(str(folder), devices="cpu")
    except ImportError:
        pass
    return found


@pytest.mark.slow
@pytest.mark.parametrize("spec", BUNDLED, ids=lambda spec: spec.kind)
def test_no_other_library_opens_one_with_random_weights(spec: ModelSpec) -> None:
    folder = resolve(spec.id, kind=spec.kind).files.folder
    for name, opened in openers(folder).items():
        with pytest.raises((ValueError, KeyError, OSError), match=r"(?i)model.?type|architecture|recogni"):
            opened()
        assert name


def test_model2vec_gives_the_same_vectors() -> None:
    model2vec = pytest.importorskip("model2vec")
    texts = ["What do pandas eat?", "Net revenue grew by 12.5 %.", "word " * 700]
    expected = model2vec.StaticModel.from_pretrained(mini.embedder_path()).encode(texts)
    assert np.abs(Embedder("mini").embed_documents(texts) - expected).max() <= 1e-4


def test_the_training_code_writes_what_is_bundled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(TRAIN))
    for name in [name for name in sys.modules if name == "train" or name.startswith("train.")]:
        monkeypatch.delitem(sys.modules, name)
    model = pytest.importorskip("train.model")
    stored = model.load_checkpoint(mini.reranker_path())
    assert model.config_dict(stored.config) == config_of(mini.reranker_path())
    model.save_checkpoint(stored, tmp_path / "float")
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"):
        shutil.copy(mini.reranker_path() / name, tmp_path / "float" / name)
    expected = Reranker("mini", device="cpu").score(PAIRS)
    assert Reranker(tmp_path / "float", device="cpu").score(PAIRS) == pytest.approx(expected, abs=1e-4)
