"""mini-zh against the model that it was cut from, and what others make of its folder."""

from __future__ import annotations

import json
import shutil
import sys
import zipfile
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from declared import parity
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel

from rerank_plugins import Embedder, Reranker, SourceOptions
from rerank_plugins.catalog import known_models
from rerank_plugins.catalog.resolve import resolve
from rerank_plugins.catalog.speed import shape_of
from rerank_plugins.errors import MissingExtraError, UnsupportedModelError
from rerank_plugins.weights.own_rows import read_rows

mini_zh = pytest.importorskip("rerank_plugins_mini_zh")

DISTRIBUTION = Path(__file__).parents[2] / "models" / "mini-zh"
CASES = json.loads((DISTRIBUTION / "recipe" / "golden.json").read_text(encoding="utf-8"))
PAIRS = json.loads((DISTRIBUTION / "recipe" / "golden_reranker.json").read_text(encoding="utf-8"))
QUERY, PASSAGE = "query: ", "passage: "
WHEEL_BYTES = 32_000_000


def embedded(embedder: Embedder, text: str) -> np.ndarray[Any, Any]:
    if text.startswith(QUERY):
        return embedder.embed_queries([text.removeprefix(QUERY)])[0]
    return embedder.embed_documents([text.removeprefix(PASSAGE)])[0]


@parity("e5", kind="embedder", architectures=["bert"], reference="transformers")
def test_vectors_equal_those_of_transformers() -> None:
    folder = mini_zh.embedder_path()
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    model = BertModel(BertConfig(**config), add_pooling_layer=False).eval()
    lost = model.load_state_dict(read_rows(folder / "model.safetensors"), strict=False).missing_keys
    assert not [name for name in lost if "position_ids" not in name]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    embedder = Embedder("mini-zh", device="cpu")
    for case in CASES:
        with torch.inference_mode():
            states = model(torch.tensor([tokenizer.encode(case["text"]).ids])).last_hidden_state
        expected = torch.nn.functional.normalize(states.mean(1), dim=1)[0].numpy()
        assert np.abs(embedded(embedder, case["text"]) - expected).max() <= 1e-4


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["text"][:20])
def test_vectors_are_near_those_of_the_whole_model(case: dict[str, Any]) -> None:
    vector = embedded(Embedder("mini-zh", device="cpu"), case["text"])
    assert float(vector @ np.array(case["vector"])) >= 0.99


def test_pieces_are_those_of_the_whole_tokenizer_where_they_were_kept() -> None:
    tokenizer = Tokenizer.from_file(str(mini_zh.embedder_path() / "tokenizer.json"))
    assert tokenizer.get_vocab_size() == 30_000
    equal = 0
    for case in CASES:
        found = tokenizer.encode(case["text"])
        if all(tokenizer.token_to_id(piece) is not None for piece in case["pieces"]):
            assert found.tokens == case["pieces"]
            equal += 1
        # What was left out is spelt with smaller pieces: no text is lost.
        assert "".join(found.tokens) == "".join(case["pieces"])
        assert [tokenizer.id_to_token(index) for index in found.ids] == found.tokens
    assert equal >= 4


def test_rare_characters_and_other_scripts() -> None:
    tokenizer = Tokenizer.from_file(str(mini_zh.embedder_path() / "tokenizer.json"))
    unknown = tokenizer.token_to_id("<unk>")
    assert unknown not in tokenizer.encode("《红楼梦》第１２回：「龜」，を ½ α — É ñ № ℃").ids
    assert unknown in tokenizer.encode("ไทย").ids
    vectors = Embedder("mini-zh", device="cpu").embed_documents(["ไทย", "", "\U0001f43c", "大" * 2000])
    assert np.isfinite(vectors).all()


def test_a_copy_of_the_folder_is_used_alike(tmp_path: Path) -> None:
    copied = shutil.copytree(mini_zh.embedder_path(), tmp_path / "copied")
    texts = ["大熊猫吃什么？", "What do giant pandas eat?"]
    expected = Embedder("mini-zh", device="cpu").embed_queries(texts)
    for source in (SourceOptions(), SourceOptions(family="e5")):
        assert np.abs(Embedder(copied, device="cpu", source=source).embed_queries(texts) - expected).max() <= 1e-6


@parity("mini", kind="reranker", architectures=["rerank_plugins_segment_similarity"], reference="its training code")
def test_scores_equal_the_reference_in_plain_transformers() -> None:
    reranker = Reranker("mini-zh", device="cpu")
    scores = reranker.score([(case["query"], case["document"]) for case in PAIRS])
    assert scores == pytest.approx([case["score"] for case in PAIRS], abs=1e-3)


def test_a_trained_copy_of_the_reranker_needs_no_folder_beside_it(tmp_path: Path) -> None:
    """As training saves it: whole weights under the same names."""
    both = shutil.copytree(mini_zh.reranker_path().parent, tmp_path / "both")
    alone = shutil.copytree(both / "reranker", tmp_path / "alone")
    with pytest.raises(UnsupportedModelError, match="'embedder', a folder beside it that is not there"):
        Reranker(alone)
    pairs = [(case["query"], case["document"]) for case in PAIRS]
    expected = Reranker(both / "reranker", device="cpu").score(pairs)
    save_file(read_rows(both / "reranker" / "model.safetensors"), str(alone / "model.safetensors"), {"format": "pt"})
    assert Reranker(alone, device="cpu").score(pairs) == pytest.approx(expected, abs=1e-5)


def test_no_fact_of_the_catalog_contradicts_the_reranker() -> None:
    spec = resolve("mini-zh", kind="reranker").spec
    listed = known_models()["reranker", "mini-zh"]
    differing = [one.name for one in fields(spec) if getattr(spec, one.name) != getattr(listed, one.name)]
    # The package that is installed says which weights it has.
    assert differing == ["revision"]
    config, shape = json.loads((mini_zh.reranker_path() / "config.json").read_text()), shape_of(spec)
    assert shape is not None
    names = ("num_hidden_layers", "hidden_size", "intermediate_size", "vocab_size")
    assert [config[name] for name in names] == [shape.layers, shape.hidden, shape.inner, shape.vocabulary]


def test_the_answer_comes_first_in_both_languages() -> None:
    reranker = Reranker("mini-zh", device="cpu")
    texts = [
        "公司去年的净收入增长了百分之十二。",
        "大熊猫的食物百分之九十九是竹子。",
        "Net revenue grew.",
        "Giant pandas eat bamboo.",
    ]
    for query, first in (("大熊猫吃什么？", 1), ("What do giant pandas eat?", 3), ("净收入增长了多少", 0)):
        scores = reranker.score([(query, text) for text in texts])
        assert int(np.argmax(scores)) == first


def test_no_other_library_opens_it_with_random_weights() -> None:
    with pytest.raises(RuntimeError, match=r"(?i)mismatch"):
        transformers.AutoModel.from_pretrained(mini_zh.embedder_path())


def test_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rerank_plugins_mini_zh", None)
    with pytest.raises(MissingExtraError, match=r'pip install "rerank-plugins\[mini-zh\]"'):
        Embedder("mini-zh")


@pytest.mark.slow
def test_a_wheel_of_it_is_small(tmp_path: Path) -> None:
    """As hatchling packs it: each file deflated."""
    path = tmp_path / "packed.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted((DISTRIBUTION / "src").rglob("*")):
            archive.write(file, file.relative_to(DISTRIBUTION))
    assert path.stat().st_size <= WHEEL_BYTES
