"""Dropout of a training that is another than the model's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import nn

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.training import TrainingResult, train_reranker
from rerank_plugins.training.dropout import set_dropout
from tests.training_rows import tiny_run

_SIZES: dict[str, Any] = {
    "vocab_size": 20,
    "hidden_size": 8,
    "intermediate_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
NETWORKS: dict[str, Callable[[], Any]] = {
    "bert": lambda: transformers.BertModel(transformers.BertConfig(**_SIZES)),
    "llama": lambda: transformers.LlamaModel(transformers.LlamaConfig(**_SIZES, attention_dropout=0.3)),
    "modernbert": lambda: transformers.ModernBertModel(
        transformers.ModernBertConfig(
            **_SIZES, pad_token_id=0, embedding_dropout=0.2, mlp_dropout=0.2, attention_dropout=0.2
        )
    ),
    "bart": lambda: transformers.BartModel(
        transformers.BartConfig(
            vocab_size=20, d_model=8, encoder_layers=2, decoder_layers=2, encoder_ffn_dim=8, decoder_ffn_dim=8,
            encoder_attention_heads=2, decoder_attention_heads=2, dropout=0.2, activation_dropout=0.2,
            attention_dropout=0.2,
        )
    ),
}  # fmt: skip


def _states(network: Any) -> torch.Tensor:
    ids = torch.arange(3, 15).view(2, 6)
    return network(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state.detach()  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_in_training_draws_by_the_chance_that_was_set(name: str) -> None:
    if name == "modernbert" and not hasattr(transformers, "ModernBertModel"):
        pytest.skip("this transformers has no ModernBERT")
    network = NETWORKS[name]()
    wanted = _states(network.eval())
    network.train()
    assert not torch.equal(_states(network), wanted)
    set_dropout(network, 0.0)
    assert torch.allclose(_states(network), wanted, atol=1e-6)
    set_dropout(network, 0.5)
    assert not torch.allclose(_states(network), wanted, atol=1e-3)


def test_a_chance_that_is_a_whole_number_is_set_too() -> None:
    network = transformers.LlamaModel(transformers.LlamaConfig(**_SIZES, attention_dropout=0)).train()
    assert {type(one.attention_dropout) for one in network.modules() if hasattr(one, "q_proj")} == {int}
    set_dropout(network, 0.5)
    assert not torch.equal(_states(network), _states(network))


def test_dropout_of_a_networks_own_making_is_set_too() -> None:
    class Stable(nn.Module):
        """As DeBERTa's in transformers 4.40."""

        def __init__(self) -> None:
            super().__init__()
            self.drop_prob = 0.1

    network = nn.Sequential(nn.Linear(2, 2), Stable())
    set_dropout(network, 0.5)
    assert network[1].drop_prob == 0.5


def test_an_adapter_keeps_its_own() -> None:
    peft = pytest.importorskip("peft")
    network = NETWORKS["llama"]()
    wrapped = peft.get_peft_model(network, peft.LoraConfig(target_modules=["q_proj"], lora_dropout=0.25))
    set_dropout(wrapped, 0.0)
    chances = {one.p for name, one in wrapped.named_modules() if isinstance(one, nn.Dropout)}
    assert chances == {0.25}
    assert {one.attention_dropout for one in wrapped.modules() if hasattr(one, "q_proj")} == {0.0}


def test_a_network_without_any_cannot_get_some() -> None:
    set_dropout(nn.Linear(2, 2), 0.0)
    with pytest.raises(InvalidInputError, match=r"dropout=0\.1, and the model has none"):
        set_dropout(nn.Linear(2, 2), 0.1)


def _trained(folder: Path, output: Path, **options: Any) -> TrainingResult:
    output.mkdir()
    result = train_reranker(tiny_run(folder, output, max_steps=2, warmup_ratio=0.0, **options))
    assert result is not None
    return result


def test_a_run_trains_with_it_and_saves_the_models_own(bert_reranker_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    results = {
        name: _trained(bert_reranker_folder, tmp_path / name, **options)
        for name, options in {"own": {}, "none": {"dropout": 0.0}, "much": {"dropout": 0.9}}.items()
    }
    losses = {one.train_loss for one in results.values()}
    assert len(losses) == len(results)
    start = json.loads((bert_reranker_folder / "config.json").read_text(encoding="utf-8"))
    for one in results.values():
        config = json.loads((one.folder / "config.json").read_text(encoding="utf-8"))
        assert config.get("hidden_dropout_prob", 0.1) == start.get("hidden_dropout_prob", 0.1)
        assert config.get("attention_probs_dropout_prob", 0.1) == start.get("attention_probs_dropout_prob", 0.1)


@pytest.mark.parametrize("dropout", [-0.1, 1.0, float("nan"), "none"])
def test_a_chance_that_cannot_be(bert_reranker_folder: Path, tmp_path: Path, dropout: Any) -> None:
    with pytest.raises(InvalidInputError, match="dropout"):
        tiny_run(bert_reranker_folder, tmp_path, dropout=dropout)
