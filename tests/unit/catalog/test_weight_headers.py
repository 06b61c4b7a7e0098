"""What a config claims against the weights that are there: nothing is built for a claim that cannot be true."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rerank_plugins.catalog.weight_headers import StoredTensor, check_claims
from rerank_plugins.errors import UnsupportedModelError

FOLDER = Path("model")
STORED = {
    "embeddings.weight": StoredTensor("F32", (41, 32), FOLDER / "model.safetensors"),
    "layers.1.wide.weight": StoredTensor("F32", (48, 32), FOLDER / "model.safetensors"),
}
TRUE: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "vocab_size": 41}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"num_hidden_layers": 256},  # layers may share their weights
        {"text_config": TRUE},
        # Experts throughout: their own width is another, and nothing has the one of a dense layer.
        {"intermediate_size": 6_144, "moe_intermediate_size": 16, "num_experts": 4},
        {"intermediate_size": 6_144, "num_local_experts": 4},
    ],
)
def test_claims_that_can_be_true(changes: dict[str, Any]) -> None:
    check_claims(TRUE | changes, STORED, folder=FOLDER)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": 49}, "hidden_size=49, and its weights allow 48 at most"),
        ({"intermediate_size": 49}, "intermediate_size=49, and its weights allow 48 at most"),
        ({"num_hidden_layers": 257}, "num_hidden_layers=257, and its weights allow 256 at most"),
        ({"text_config": TRUE | {"vocab_size": 10**9}}, "vocab_size=1000000000, and its weights allow 48 at most"),
        ({"intermediate_size": 10**9, "num_experts": 4}, r"a model of .* weights, and its files hold 2\.8e\+03"),
    ],
)
def test_claims_that_cannot(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UnsupportedModelError, match=message):
        check_claims(TRUE | changes, STORED, folder=FOLDER)


def test_pickled_weights_are_compared_with_nothing() -> None:
    check_claims(TRUE | {"hidden_size": 10**9}, {}, folder=FOLDER)
