"""Packed execution: the same numbers as padding, and padding where packing is impossible."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModel, AutoModelForSequenceClassification

from rerank_plugins.engine.device import has_native_bfloat16
from rerank_plugins.nn import dense, packed
from rerank_plugins.nn.backbone import Backbone, padded_tensors
from rerank_plugins.nn.dense import PackedDense, spare_rows
from rerank_plugins.protocols import Batch, TokenInput
from rerank_plugins.scorers.cross_encoder import scorer_of

interface = pytest.mark.skipif(
    not hasattr(transformers, "AttentionInterface"), reason="this transformers has no attention interface"
)


def random_batch(*lengths: int) -> Batch:
    chance = np.random.default_rng(5)
    inputs = []
    for length in lengths:
        ids = chance.integers(5, 90, length).astype(np.int32)
        inputs.append(TokenInput(ids, (np.arange(length) > length // 2).astype(np.int32)))
    return Batch(inputs)


BATCH = random_batch(40, 17, 17, 17, 9, 2, 1)


def padded_states(model: torch.nn.Module, batch: Batch) -> torch.Tensor:
    """Return what transformers gives for a padded batch, padding left out."""
    tensors = padded_tensors(batch, model)
    hidden: torch.Tensor = model(**tensors).last_hidden_state
    return hidden[tensors["attention_mask"].bool()].float()


@pytest.mark.parametrize("kind", ["bert-embedder", "xlmr-embedder"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("is_ours", [True, False])
def test_packed_states_equal_padded_states(checkpoints: Path, kind: str, dtype: torch.dtype, is_ours: bool) -> None:
    model = AutoModel.from_pretrained(checkpoints / kind).eval().to(dtype)
    with torch.inference_mode():
        expected = padded_states(model, BATCH)
        backbone = Backbone(model, is_ours=is_ours)
        assert not backbone.is_padded
        states, first, last = backbone(BATCH), backbone(BATCH, reads="first"), backbone(BATCH, reads="last")
    assert states.flat.shape == (sum(BATCH.lengths), 32)
    tolerance = 1e-5 if dtype == torch.float32 else 0.2
    assert (states.flat - expected).abs().max() <= tolerance
    assert first.flat.shape == (len(BATCH), 32)
    assert (first.first() - states.first()).abs().max() <= tolerance
    assert last.flat.shape == (len(BATCH), 32)
    assert (last.last() - states.last()).abs().max() <= tolerance


def test_plain_and_packed_products_agree_in_a_whole_encoder(checkpoints: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with torch.inference_mode():
        fast = Backbone(AutoModel.from_pretrained(checkpoints / "bert-embedder").eval())(BATCH).flat
        monkeypatch.setattr(dense, "has_packed_products", lambda _dtype: False)
        plain = Backbone(AutoModel.from_pretrained(checkpoints / "bert-embedder").eval())(BATCH).flat
    assert (fast - plain).abs().max() <= 1e-5


@pytest.mark.parametrize("packs", [True, False])
def test_no_slot_is_padding_and_each_token_runs_once(
    checkpoints: Path, monkeypatch: pytest.MonkeyPatch, packs: bool
) -> None:
    if not packs:
        monkeypatch.setattr(dense, "has_packed_products", lambda _dtype: False)
    elif not dense.has_packed_products(torch.float32):
        pytest.skip("this torch has no packed products")
    rows: list[int] = []
    original = torch.nn.functional.layer_norm

    def counted(states: torch.Tensor, *arguments: object, **options: object) -> torch.Tensor:
        rows.append(states.shape[0])
        return original(states, *arguments, **options)  # type: ignore[arg-type]

    model = AutoModel.from_pretrained(checkpoints / "bert-embedder").eval()
    layers, total = model.config.num_hidden_layers, sum(BATCH.lengths)
    backbone = Backbone(model)
    monkeypatch.setattr(torch.nn.functional, "layer_norm", counted)
    with torch.inference_mode():
        backbone(BATCH)
        everywhere = [one for one in rows if one != 1]
        rows.clear()
        backbone(BATCH, reads="first")
    # oneDNN gets a few rows more, so that it sees few different numbers of rows; nothing else does.
    tokens = total + spare_rows(total) if packs else total
    texts = len(BATCH) + spare_rows(len(BATCH)) if packs else len(BATCH)
    # Two norms a layer; the last layer is made only for the tokens that are read. (The embeddings' norm sees (1, n).)
    assert everywhere == [tokens] * (2 * layers)
    assert [one for one in rows if one != 1] == [tokens] * (2 * (layers - 1)) + [texts] * 2


@given(st.integers(1, 100_000))
def test_spare_rows_are_few_and_make_sizes_few(n_rows: int) -> None:
    total = n_rows + spare_rows(n_rows)
    step = 8 if n_rows <= 128 else 16 if n_rows <= 256 else 32 if n_rows <= 512 else 64
    assert n_rows <= total < n_rows + step
    assert total % step == 0
    assert spare_rows(total) == 0


def test_there_are_88_sizes_of_batches() -> None:
    assert len({n_rows + spare_rows(n_rows) for n_rows in range(1, 4_097)}) == 88


def test_batches_of_every_size_need_few_sizes_of_products(checkpoints: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not dense.has_packed_products(torch.float32):
        pytest.skip("this torch has no packed products")
    backbone = Backbone(AutoModel.from_pretrained(checkpoints / "bert-embedder").eval())
    sizes: set[int] = set()
    original = PackedDense.gelu

    def seen(self: PackedDense, rows: torch.Tensor) -> torch.Tensor:
        sizes.add(len(rows))
        return original(self, rows)

    monkeypatch.setattr(PackedDense, "gelu", seen)
    with torch.inference_mode():
        for n_texts in range(1, 60):
            found = backbone(random_batch(*[37] * n_texts), reads="all").flat
            assert found.shape[0] == 37 * n_texts
    assert len(sizes) <= 60 * 37 // 64 + 8


def test_weights_are_held_once(checkpoints: Path) -> None:
    model = AutoModel.from_pretrained(checkpoints / "bert-embedder").eval()
    Backbone(model)
    assert len(model.encoder.layer) == 0


def test_somebody_elses_model_is_not_touched(bert_reranker_folder: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(bert_reranker_folder).eval()
    before = {name: tensor.data_ptr() for name, tensor in model.state_dict().items()}
    implementation = model.config._attn_implementation
    scorer = scorer_of(model, is_ours=False)
    assert not scorer.is_padded
    assert {name: tensor.data_ptr() for name, tensor in model.state_dict().items()} == before
    assert model.config._attn_implementation == implementation
    # Its weights are shared, not copied: a change shows.
    with torch.inference_mode():
        one = scorer.forward(BATCH)
        model.base_model.encoder.layer[0].attention.self.value.weight.mul_(1.5)
        assert not torch.allclose(scorer.forward(BATCH), one)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "relu", "silu"])
@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_a_bert_of_any_activation_is_packed_with_its_own(kind: str, activation: str, dtype: torch.dtype) -> None:
    config = transformers.AutoConfig.for_model(
        kind,
        vocab_size=96,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        type_vocab_size=2,
        pad_token_id=0,
        hidden_act=activation,
        initializer_range=0.3,
    )
    torch.manual_seed(3)
    model = AutoModel.from_config(config).eval().to(dtype)
    with torch.inference_mode():
        expected = padded_states(model, BATCH)
        # A model that somebody else holds has no other way to be packed than this one.
        backbone = Backbone(model, is_ours=False)
        assert not backbone.is_padded, backbone.padding_reason
        assert (backbone(BATCH).flat - expected).abs().max() <= (1e-4 if dtype == torch.float32 else 0.2)


def decoder(kind: str, **options: object) -> torch.nn.Module:
    config = transformers.AutoConfig.for_model(
        kind,
        vocab_size=96,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=128,
        pad_token_id=0,
        **options,
    )
    torch.manual_seed(3)
    return AutoModel.from_config(config).eval()


@interface
@pytest.mark.parametrize("kind", ["gemma", "qwen2", "qwen3", "llama", "mistral"])
def test_decoders_run_packed(kind: str) -> None:
    model = decoder(kind)
    with torch.inference_mode():
        expected = padded_states(model, BATCH)
        backbone = Backbone(model)
        assert not backbone.is_padded
        states = backbone(BATCH)
        assert (states.flat - expected).abs().max() <= 1e-4
        assert (backbone(BATCH, reads="last").last() - states.last()).abs().max() <= 1e-5


@interface
def test_sliding_windows_shorter_than_the_text() -> None:
    model = decoder("mistral", sliding_window=6)
    with torch.inference_mode():
        model.set_attn_implementation("eager")
        expected = padded_states(model, BATCH)
        backbone = Backbone(model)
        assert not backbone.is_padded
        assert (backbone(BATCH).flat - expected).abs().max() <= 1e-4


@interface
def test_modernbert_with_local_layers() -> None:
    config = transformers.AutoConfig.for_model(
        "modernbert",
        vocab_size=96,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=4,
        num_attention_heads=4,
        local_attention=8,
        pad_token_id=0,
        bos_token_id=1,
        cls_token_id=1,
        eos_token_id=2,
        sep_token_id=2,
    )
    torch.manual_seed(3)
    model = AutoModel.from_config(config, attn_implementation="eager").eval()
    with torch.inference_mode():
        expected = padded_states(model, BATCH)
        backbone = Backbone(model)
        assert not backbone.is_padded
        assert (backbone(BATCH).flat - expected).abs().max() <= 1e-4


@interface
def test_soft_capped_attention_is_padded() -> None:
    model = decoder("gemma2", query_pre_attn_scalar=8)
    model.set_attn_implementation("eager")
    with torch.inference_mode():
        expected = padded_states(model, BATCH)
        backbone = Backbone(model)
        assert backbone.is_padded
        assert (backbone(BATCH).flat - expected).abs().max() <= 1e-5


def test_a_model_with_relative_positions_is_padded() -> None:
    config = transformers.DebertaV2Config(
        vocab_size=96,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        relative_attention=True,
        pos_att_type=["p2c", "c2p"],
        pad_token_id=0,
    )
    model = AutoModel.from_config(config).eval()
    with torch.inference_mode():
        expected = padded_states(model, BATCH)
        backbone = Backbone(model)
        assert backbone.is_padded
        assert (backbone(BATCH).flat - expected).abs().max() <= 1e-5


def test_a_model_that_packs_wrongly_is_padded(checkpoints: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class BlindToBorders(packed.PackedRow):
        def __init__(self, lengths: list[int], device: torch.device) -> None:
            super().__init__([sum(lengths)], device)

    monkeypatch.setattr(packed, "PackedRow", BlindToBorders)
    # Under a name of its own: the interface's registry belongs to the whole process.
    monkeypatch.setattr(packed, "_NAME", "rerank_plugins_packed_wrongly")
    model = AutoModel.from_pretrained(checkpoints / "bert-embedder").eval()
    expected = model(torch.tensor([[5, 6, 7]])).last_hidden_state
    backbone = Backbone(model)
    assert backbone.is_padded
    assert torch.allclose(model(torch.tensor([[5, 6, 7]])).last_hidden_state, expected, atol=1e-6)


@pytest.mark.skipif(not dense.has_packed_products(torch.float32), reason="this torch has no packed products")
@pytest.mark.parametrize("rows", [1, 2, 7, 64, 3000])
@pytest.mark.parametrize(("features_in", "features_out"), [(32, 96), (384, 384), (65, 33)])
def test_packed_products_equal_plain_ones(rows: int, features_in: int, features_out: int) -> None:
    torch.manual_seed(rows)
    weight, bias = torch.randn(features_out, features_in) / features_in**0.5, torch.randn(features_out)
    inputs, residual = torch.randn(rows, features_in), torch.randn(rows, features_out)
    with torch.inference_mode():
        one = PackedDense(weight, bias)
        expected = torch.nn.functional.linear(inputs, weight, bias)
        assert (one(inputs) - expected).abs().max() <= 1e-5
        assert (one.gelu(inputs) - torch.nn.functional.gelu(expected)).abs().max() <= 1e-5
        before = residual.clone()
        assert (one.add(inputs, residual) - (expected + residual)).abs().max() <= 1e-5
        # The residual is the next layer's input too.
        assert torch.equal(residual, before)


@pytest.mark.skipif(not has_native_bfloat16(torch.device("cpu")), reason="this CPU has no bfloat16 of its own")
def test_packed_products_are_used_in_bfloat16_too() -> None:
    assert dense.has_packed_products(torch.bfloat16)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("fault", ["residual", "gelu", "scale"])
def test_packed_products_with_other_answers_are_not_used(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, fault: str
) -> None:
    whole = {name: getattr(PackedDense, name) for name in ("__call__", "gelu", "add")}
    faults = {
        "residual": ("add", lambda self, rows, _residual: whole["__call__"](self, rows)),
        "gelu": ("gelu", lambda self, rows: torch.relu(whole["__call__"](self, rows))),
        "scale": ("__call__", lambda self, rows: 1.02 * whole["__call__"](self, rows)),
    }
    monkeypatch.setattr(PackedDense, *faults[fault])
    assert not dense.has_packed_products.__wrapped__(dtype)
