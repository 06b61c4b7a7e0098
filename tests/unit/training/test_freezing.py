"""What a training leaves as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
import transformers

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.training import train_reranker
from rerank_plugins.training.freezing import freeze
from tests.training_rows import tiny_run


def _trained(module: transformers.PreTrainedModel) -> set[str]:
    return {name for name, one in module.named_parameters() if one.requires_grad}


def test_embeddings_and_lowest_layers_of_bert(bert_reranker_folder: Path) -> None:
    module = transformers.AutoModelForSequenceClassification.from_pretrained(bert_reranker_folder)
    everything = _trained(module)
    freeze(module, embeddings=True, layers=1)
    frozen = everything - _trained(module)
    assert frozen == {name for name in everything if name.startswith(("bert.embeddings.", "bert.encoder.layer.0."))}


def test_embeddings_of_llama_are_not_its_layers() -> None:
    config = transformers.LlamaConfig(
        vocab_size=20, hidden_size=8, intermediate_size=8, num_hidden_layers=3, num_attention_heads=2
    )
    module = transformers.LlamaForCausalLM(config)
    everything = _trained(module)
    freeze(module, embeddings=True, layers=0)
    assert everything - _trained(module) == {"model.embed_tokens.weight"}
    freeze(module, embeddings=False, layers=2)
    assert {name for name in _trained(module) if ".layers." in name and ".layers.2." not in name} == set()


def test_more_layers_than_there_are(bert_reranker_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    with pytest.raises(InvalidInputError, match="frozen_layers=99, but the model has 2 layers"):
        train_reranker(tiny_run(bert_reranker_folder, tmp_path, frozen_layers=99))


def test_frozen_weights_are_saved_as_they_were(bert_reranker_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    run = tiny_run(
        bert_reranker_folder, tmp_path, freeze_embeddings=True, frozen_layers=1, max_steps=2, warmup_ratio=0.0
    )
    result = train_reranker(run)
    assert result is not None
    before, after = (
        transformers.AutoModelForSequenceClassification.from_pretrained(one).state_dict()
        for one in (bert_reranker_folder, result.folder)
    )
    changed = {name for name in before if not before[name].equal(after[name])}
    assert changed
    assert not any(name.startswith(("bert.embeddings.", "bert.encoder.layer.0.")) for name in changed)
    assert any(name.startswith("bert.encoder.layer.1.") for name in changed)
