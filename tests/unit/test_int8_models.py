"""dtype="int8": scores near those in float32 and the same in every batch, or float32 with a warning."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import embedder_checkpoints
import numpy as np
import pytest
import tiny_checkpoints
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch.utils._python_dispatch import TorchDispatchMode

from rerank_plugins import Embedder, Reranker, ScoreCache
from rerank_plugins.engine.device import resolve_dtype
from rerank_plugins.errors import InvalidInputError, UnsupportedModelError
from rerank_plugins.nn import trials
from rerank_plugins.nn.backbone import Backbone
from rerank_plugins.nn.int8 import Int8Dense, has_int8_products
from rerank_plugins.protocols import Batch, TokenInput
from rerank_plugins.scorers.cross_encoder import scorer_of
from rerank_plugins.scorers.language_model import language_model_request
from rerank_plugins.types import SourceOptions

on_int8 = pytest.mark.skipif(not has_int8_products(), reason="this CPU has no 8-bit products")
TEXTS = [" ".join(tiny_checkpoints.SENTENCES[: 1 + index % 5] * (1 + index % 3)) for index in range(24)]
PAIRS = [("What does the panda eat?", text) for text in (*tiny_checkpoints.SENTENCES, *TEXTS)]


@pytest.fixture(params=["bert_reranker_folder", "xlmr_reranker_folder"])
def folder(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


def encoder_of(reranker: Reranker) -> Any:
    return reranker._lease.value.batcher._scorers[0]._backbone._packed._encoder  # type: ignore[union-attr, attr-defined]


@on_int8
def test_scores_are_near_those_in_float32(folder: Path) -> None:
    exact = Reranker(folder, device="cpu").score(PAIRS)
    reranker = Reranker(folder, device="cpu", dtype="int8")
    found = reranker.score(PAIRS)
    assert reranker.dtype == "int8"
    assert found == pytest.approx(exact, abs=0.2 * (max(exact) - min(exact)))
    assert found != exact


@on_int8
def test_a_score_is_the_same_alone_in_any_batch_and_from_any_thread(folder: Path) -> None:
    reranker = Reranker(folder, device="cpu", dtype="int8")
    together = reranker.score(PAIRS)
    assert [reranker.score([pair])[0] for pair in PAIRS] == together
    assert reranker.score(PAIRS[5:12]) == together[5:12]
    with ThreadPoolExecutor(16) as pool:
        found = pool.map(lambda start: reranker.score(PAIRS[start : start + 7]), range(16))
        assert list(found) == [together[start : start + 7] for start in range(16)]


@on_int8
@pytest.mark.parametrize(("hidden", "heads", "inner"), [(98, 2, 64), (33, 3, 65)])
def test_a_score_is_the_same_whatever_the_width_of_its_states(
    bert_reranker_folder: Path, tmp_path: Path, hidden: int, heads: int, inner: int
) -> None:
    """Rows of 98 numbers begin at other parts of a vector, by which attention's sums were rounded."""
    folder = shutil.copytree(bert_reranker_folder, tmp_path / "model")
    torch.manual_seed(1)
    config = transformers.BertConfig.from_pretrained(
        folder, hidden_size=hidden, num_attention_heads=heads, intermediate_size=inner, initializer_range=0.1
    )
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    reranker = Reranker(folder, device="cpu", dtype="int8")
    assert reranker.dtype == "int8"
    assert [reranker.score([pair])[0] for pair in PAIRS] == reranker.score(PAIRS)


@on_int8
def test_a_vector_is_the_same_alone_and_in_a_batch(tmp_path: Path) -> None:
    for pooling in ("cls", "mean"):
        folder = tiny_checkpoints.bert_embedder(tmp_path / pooling, pooling=pooling)
        embedder = Embedder(folder, device="cpu", dtype="int8")
        together = embedder.embed_documents(TEXTS)
        alone = [embedder.embed_documents([text])[0] for text in TEXTS]
        assert [list(one) for one in alone] == [list(one) for one in together]


@on_int8
def test_no_float32_weight_of_a_product_stays(folder: Path) -> None:
    reranker = Reranker(folder, device="cpu", dtype="int8")
    backbone = reranker._lease.value.batcher._scorers[0]._backbone  # type: ignore[union-attr, attr-defined]
    assert len(backbone._model.encoder.layer) == 0
    layers = [one for layer in encoder_of(reranker)._layers for one in _dense_layers(layer)]
    assert layers
    assert all(isinstance(one, Int8Dense) for one in layers)
    tensors = [value for one in layers for value in vars(one).values() if isinstance(value, torch.Tensor)]
    assert all(one.dtype == torch.int8 for one in tensors if one.dim() > 1)


def _dense_layers(layer: Any) -> Iterator[Any]:
    for name in ("_query", "_after_attention", "_widen", "_narrow"):
        if getattr(layer, name) is not None:
            yield getattr(layer, name)
    yield from layer._joined


@on_int8
def test_no_product_runs_in_another_precision(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reranker = Reranker(folder, device="cpu", dtype="int8")
    encoder, seen = encoder_of(reranker), []

    class Recorder(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.append(str(func))
            return func(*args, **(kwargs or {}))

    call = type(encoder).__call__

    def recorded(self: Any, *args: Any, **kwargs: Any) -> Any:
        with Recorder():
            return call(self, *args, **kwargs)

    monkeypatch.setattr(type(encoder), "__call__", recorded)
    reranker.score(PAIRS[:1])
    products = [name for name in seen if "linear" in name or ".mm." in name or "addmm" in name]
    assert set(products) == {"onednn.qlinear_pointwise.default"}
    # Query, key and value at once, behind attention, wide, narrow; in the last layer the query is apart.
    assert len(products) == 4 * len(encoder._layers) + 1


def broken(folder: Path, target: Path) -> Path:
    """Return the same model, with columns so wide in weights that nothing is left of the others in 8 bits."""
    shutil.copytree(folder, target)
    weights = load_file(target / "model.safetensors")
    for name in [one for one in weights if one.endswith("attention.output.LayerNorm.weight")]:
        prefix = name.removesuffix("attention.output.LayerNorm.weight")
        for norm in ("weight", "bias"):
            weights[f"{prefix}attention.output.LayerNorm.{norm}"][0] *= 1e-5
        weights[f"{prefix}intermediate.dense.weight"][:, 0] *= 1e5
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    return target


@on_int8
def test_a_model_that_8_bits_would_break_stays_in_float32(
    bert_reranker_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = broken(bert_reranker_folder, tmp_path / "broken")
    with caplog.at_level(logging.WARNING, logger="rerank_plugins"):
        reranker = Reranker(folder, device="cpu", dtype="int8")
    assert reranker.dtype == "float32"
    assert "runs in float32: states in 8 bits differ by" in caplog.text
    assert reranker.score(PAIRS) == Reranker(folder, device="cpu").score(PAIRS)


class Warmer(transformers.BertModel):
    """What a checkpoint's own code may do under the name of BERT: the same weights, attention's results enlarged."""

    def __init__(self, config: transformers.BertConfig) -> None:
        super().__init__(config, add_pooling_layer=False)
        for layer in self.encoder.layer:
            layer.attention.self.register_forward_hook(lambda _module, _inputs, found: (found[0] * 1.5, *found[1:]))


@on_int8
def test_a_model_that_computes_something_else_under_the_name_of_bert_stays_as_it_is(
    bert_reranker_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = Warmer.from_pretrained(bert_reranker_folder).eval()
    text = TokenInput(np.arange(5, 25, dtype=np.int32), np.zeros(20, np.int32))
    with torch.inference_mode():
        expected = model(torch.from_numpy(text.ids).long().unsqueeze(0)).last_hidden_state[0]
    with caplog.at_level(logging.WARNING, logger="rerank_plugins"):
        backbone = Backbone(model, int8_texts=Batch([text]))
    assert not backbone.runs_int8
    assert "dtype='int8' is not used for Warmer" in caplog.text
    with torch.inference_mode():
        assert torch.allclose(backbone(Batch([text])).flat, expected, atol=1e-4)


class OwnHead(transformers.BertForSequenceClassification):
    """A classifier by a checkpoint's own code: nothing is known of its head, so that it runs as a whole."""


def test_a_classifier_that_runs_as_a_whole_says_that_it_does_so_in_float32(
    bert_reranker_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = OwnHead.from_pretrained(bert_reranker_folder).eval()
    with caplog.at_level(logging.WARNING, logger="rerank_plugins"):
        scorer_of(model, int8_texts=Batch([TokenInput(np.arange(5, 9, dtype=np.int32), np.zeros(4, np.int32))]))
    assert "dtype='int8' is not used for OwnHead, which runs in float32" in caplog.text


def test_a_processor_without_8_bit_products_runs_float32(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setattr(trials, "has_int8_products", lambda: False)
    copy = shutil.copytree(folder, tmp_path / "copy")
    with caplog.at_level(logging.WARNING, logger="rerank_plugins"):
        reranker = Reranker(copy, device="cpu", dtype="int8")
    assert reranker.dtype == "float32"
    assert "no instructions for products of 8-bit integers" in caplog.text
    assert reranker.score(PAIRS) == Reranker(copy, device="cpu").score(PAIRS)


@on_int8
def test_cached_scores_of_one_precision_are_not_those_of_the_other(bert_reranker_folder: Path) -> None:
    cache = ScoreCache()
    exact = Reranker(bert_reranker_folder, device="cpu", cache=cache).score(PAIRS)
    found = Reranker(bert_reranker_folder, device="cpu", dtype="int8", cache=cache).score(PAIRS)
    assert found == Reranker(bert_reranker_folder, device="cpu", dtype="int8").score(PAIRS) != exact


def test_a_gpu_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="dtype='int8' is for CPUs"):
        resolve_dtype("int8", device=torch.device("cuda", 0))


def test_other_models_are_refused(bert_reranker_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rerank_plugins.scorers.int8._MODEL_TYPES", ("roberta",))
    with pytest.raises(UnsupportedModelError, match=r"for BERT-like encoders .* is a 'bert'"):
        Reranker(bert_reranker_folder, device="cpu", dtype="int8")


def test_a_model_of_several_kinds_of_vectors_is_refused_by_what_it_is(tmp_path: Path) -> None:
    """The message said that int8 was for XLM-R, and that this was one."""
    folder = embedder_checkpoints.bge_m3(tmp_path / "m3", pickled=False)
    with pytest.raises(UnsupportedModelError, match="is a 'multi-vector'"):
        Embedder(folder, device="cpu", dtype="int8")


def test_a_language_model_is_refused(bert_reranker_folder: Path) -> None:
    with pytest.raises(UnsupportedModelError, match="is a language model"):
        language_model_request(bert_reranker_folder, device="cpu", dtype="int8", source=SourceOptions())


@on_int8
def test_mini_ranks_the_same() -> None:
    pytest.importorskip("rerank_plugins_mini")
    exact, found = Reranker("mini", device="cpu"), Reranker("mini", device="cpu", dtype="int8")
    assert found.dtype == "int8"
    documents = [
        "The giant panda eats bamboo, up to 38 kg a day.",
        "Pandas live in the mountains of central China.",
        "Bamboo is a grass that grows quickly.",
        "The stock market closed higher on Tuesday.",
        "Green turtles eat seagrass and algae.",
    ]
    orders = [[one.index for one in each.rank("What does the panda eat?", documents)] for each in (exact, found)]
    assert orders[0] == orders[1]
