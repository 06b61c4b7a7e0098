"""Every scorer says what it does before it is loaded, and an architecture finds its scorer."""

from __future__ import annotations

import pytest

from rerank_plugins.catalog.families import EMBEDDERS, RERANKERS
from rerank_plugins.catalog.scorer_traits import SCORER_TRAITS, scorer_of, traits_of
from rerank_plugins.scorers import SCORERS


def test_every_scorer_of_this_package_is_described() -> None:
    assert SCORER_TRAITS.keys() == SCORERS.keys()


def test_the_catalog_and_the_traits_agree() -> None:
    for spec in (*RERANKERS, *EMBEDDERS):
        traits = traits_of(spec.scorer)
        assert traits.reads_prompt == (spec.template is not None)
        has_logit = spec.kind == "reranker" and spec.template is None and not traits.is_late_interaction
        assert traits.is_classifier == has_logit
        if traits.tells_family:
            assert {one.family for one in RERANKERS if one.scorer == spec.scorer} == {spec.family}


@pytest.mark.parametrize(
    ("architecture", "scorer"),
    [
        ("XLMRobertaForSequenceClassification", "cross-encoder"),
        ("EncT5ForSequenceClassification", "encoder-t5"),
        ("GemmaForCausalLM", "decoder"),
        ("LayerWiseMiniCPMForCausalLM", "layerwise"),
        ("CostWiseGemmaForCausalLM", "lightweight"),
        ("T5ForConditionalGeneration", "sequence-to-sequence"),
        ("HF_ColBERT", "late-interaction"),
        ("BertModel", None),
        ("", None),
    ],
)
def test_an_architecture_finds_its_scorer(architecture: str, scorer: str | None) -> None:
    assert scorer_of(architecture) == scorer


def test_a_scorer_of_another_package_checks_its_checkpoints_itself() -> None:
    traits = traits_of("somebody-elses")
    assert traits.checks_itself
    assert not any((traits.is_classifier, traits.reads_prompt, traits.is_encoder, traits.has_token_vectors))
