"""Packed execution: the same numbers as padding, and padding where packing is impossible."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoModelForSequenceClassification

from rerank_plugins.protocols import Batch, TokenInput
from rerank_plugins.scorers import packed
from rerank_plugins.scorers.backbone import Backbone
from rerank_plugins.scorers.cross_encoder import scorer_of

transformers_5 = pytest.mark.skipif(not packed._registered(), reason="this transformers has no AttentionInterface")


def random_batch(*lengths: int) -> Batch:
    chance = np.random.default_rng(5)
    inputs = []
    for length in lengths:
        ids = chance.integers(5, 90, length).astype(np.int32)
        inputs.append(TokenInput(ids, (np.arange(length) > length // 2).astype(np.int32)))
    return Batch(inputs)


BATCH = random_batch(40, 17, 17, 17, 9, 2, 1)


@transformers_5
@pytest.mark.parametrize("kind", ["bert-embedder", "xlmr-embedder"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_packed_states_equal_padded_states(checkpoints: Path, kind: str, dtype: torch.dtype) -> None:
    def backbone(*, allow_packing: bool) -> Backbone:
        model = AutoModel.from_pretrained(checkpoints / kind).eval().to(dtype)
        return Backbone(model, allow_packing=allow_packing)

    with torch.inference_mode():
        packed_states = backbone(allow_packing=True)(BATCH)
        padded_states = backbone(allow_packing=False)(BATCH)
    assert packed_states.flat.shape == (sum(BATCH.lengths), 32)
    tolerance = 1e-5 if dtype == torch.float32 else 0.2
    assert (packed_states.flat - padded_states.flat).abs().max() <= tolerance


@transformers_5
def test_no_slot_is_padding(checkpoints: Path) -> None:
    model = AutoModel.from_pretrained(checkpoints / "bert-embedder").eval()
    backbone = Backbone(model)
    assert not backbone.is_padded
    seen = []
    model.encoder.layer[0].register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0].shape))
    with torch.inference_mode():
        backbone(BATCH)
    assert seen == [(1, sum(BATCH.lengths), 32)]


def test_somebody_elses_model_is_not_touched(bert_reranker_folder: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(bert_reranker_folder).eval()
    before = model.config._attn_implementation
    assert scorer_of(model, allow_packing=False).is_padded
    assert model.config._attn_implementation == before


@transformers_5
def test_a_model_that_packs_wrongly_is_padded(checkpoints: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = packed._attention

    def wrong(*arguments: object, **options: object) -> object:
        runs = options.pop("rerank_runs")
        whole = ((sum(length * count for length, count in runs), 1),)  # type: ignore[attr-defined]
        return original(*arguments, rerank_runs=whole, **options)  # type: ignore[arg-type]

    # Under a name of its own: the interface's registry belongs to the whole process.
    monkeypatch.setattr(packed, "_NAME", "rerank_plugins_packed_wrongly")
    monkeypatch.setattr(packed, "_attention", wrong)
    model = AutoModel.from_pretrained(checkpoints / "bert-embedder").eval()
    expected = model(torch.tensor([[5, 6, 7]])).last_hidden_state
    backbone = Backbone(model)
    assert backbone.is_padded
    assert torch.allclose(model(torch.tensor([[5, 6, 7]])).last_hidden_state, expected, atol=1e-6)
