"""Architectures in which padding or a neighbour's length reaches an input: the same numbers alone and in a batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import transformers

from rerank_plugins.nn.backbone import Backbone, padded_tensors
from rerank_plugins.protocols import Batch, TokenInput
from rerank_plugins.scorers.cross_encoder import WholeClassifierScorer, scorer_of

LENGTHS = (24, 70, 9, 24, 40, 24)
SMALL: dict[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
    "initializer_range": 0.2,
}
MIXING: dict[str, dict[str, Any]] = {
    "convbert": {"embedding_size": 32, "conv_kernel_size": 3},
    "fnet": {},
    "mobilebert": {
        "embedding_size": 16,
        "intra_bottleneck_size": 16,
        "num_feedforward_networks": 2,
        "normalization_type": "layer_norm",
    },
}


def batch_of(*lengths: int) -> Batch:
    random = np.random.default_rng(5)
    ids = [random.integers(1, 90, length).astype(np.int32) for length in lengths]
    return Batch([TokenInput(one, (np.arange(len(one)) > 4).astype(np.int32)) for one in ids])


def classifier(kind: str, **settings: Any) -> Any:
    torch.manual_seed(3)
    config = transformers.AutoConfig.for_model(kind, **{**SMALL, "num_labels": 1, **settings})
    return noisy(transformers.AutoModelForSequenceClassification.from_config(config).eval())


def noisy(model: Any) -> Any:
    """Change all weights: zeros and ones hide mistakes."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


@torch.inference_mode()
def alone(model: Any, batch: Batch) -> torch.Tensor:
    """Return what transformers gives for each input by itself, without padding."""
    found = []
    for one in batch.inputs:
        ids = torch.from_numpy(one.ids).long().unsqueeze(0)
        types = {"token_type_ids": torch.from_numpy(one.type_ids).long().unsqueeze(0)}
        has_types = getattr(model.config, "type_vocab_size", 0) > 1 or model.config.model_type in ("funnel", "xlnet")
        found.append(model(input_ids=ids, **(types if has_types else {})).logits)
    return torch.cat(found)


@pytest.mark.parametrize("kind", MIXING)
def test_a_classifier_whose_tokens_see_padding_gives_what_it_gives_alone(kind: str) -> None:
    model, batch = classifier(kind, **MIXING[kind]), batch_of(*LENGTHS)
    expected = alone(model, batch)
    with torch.inference_mode():
        padded = model(**padded_tensors(batch, model)).logits
        assert not torch.allclose(padded, expected, atol=1e-3)
        scorer = scorer_of(model)
        assert isinstance(scorer, WholeClassifierScorer)
        torch.testing.assert_close(scorer.forward(batch), expected, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("kind", MIXING)
def test_token_states_that_see_padding_are_those_alone(kind: str) -> None:
    model, batch = classifier(kind, **MIXING[kind]).base_model, batch_of(*LENGTHS)
    backbone = Backbone(model)
    with torch.inference_mode():
        apart = torch.cat([backbone(Batch([one])).flat for one in batch.inputs])
        torch.testing.assert_close(backbone(batch).flat, apart, atol=1e-4, rtol=1e-3)


def test_inputs_run_together_where_padding_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model = classifier("distilbert", dim=32, n_layers=2, n_heads=4, hidden_dim=64)
    scorer, passes = scorer_of(model), []
    forward = type(model).forward
    monkeypatch.setattr(type(model), "forward", lambda self, *a, **k: passes.append(1) or forward(self, *a, **k))
    with torch.inference_mode():
        scorer.forward(batch_of(*LENGTHS))
    assert len(passes) == 1


def test_a_classifier_that_reads_the_end_of_a_text_runs_together() -> None:
    shape = {"d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    model = classifier("bart", **shape, **heads, eos_token_id=2)
    assert scorer_of(model)._passes.groups([3, 5, 3]) == [[0, 1, 2]]  # type: ignore[attr-defined]


@pytest.mark.skipif(not hasattr(transformers, "Phi3ForSequenceClassification"), reason="transformers is too old")
def test_a_classifier_with_rotary_frequencies_of_the_longest_text() -> None:
    rope = {"type": "longrope", "short_factor": [1.0] * 4, "long_factor": [4.0, 5.0, 6.0, 7.0]}
    rope = {**rope, "rope_type": "longrope", "original_max_position_embeddings": 32, "rope_theta": 1000.0}
    limits = {"original_max_position_embeddings": 32, "num_key_value_heads": 2}
    model, batch = classifier("phi3", rope_scaling=rope, **limits), batch_of(*LENGTHS)
    expected = alone(model, batch)
    with torch.inference_mode():
        assert not torch.allclose(model(**padded_tensors(batch, model)).logits, expected, atol=1e-3)
        torch.testing.assert_close(scorer_of(model).forward(batch), expected, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        pytest.param(
            "funnel",
            {"d_model": 32, "block_sizes": [1, 1], "n_head": 4, "d_head": 8, "d_inner": 64},
            marks=pytest.mark.skipif(
                not hasattr(transformers, "AttentionInterface"), reason="transformers of that time builds no Funnel"
            ),
        ),
        ("xlnet", {"d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 64}),
    ],
)
def test_segments_that_the_configuration_does_not_tell_of_are_given(kind: str, shape: dict[str, Any]) -> None:
    torch.manual_seed(3)
    config = transformers.AutoConfig.for_model(kind, vocab_size=96, num_labels=1, pad_token_id=0, **shape)
    model = noisy(transformers.AutoModelForSequenceClassification.from_config(config).eval())
    batch = batch_of(*LENGTHS)
    with torch.inference_mode():
        torch.testing.assert_close(scorer_of(model).forward(batch), alone(model, batch), atol=1e-4, rtol=1e-3)
