from __future__ import annotations

import pytest
import torch
from small_benchmarks import GEMMA

from benchmarks.cases.ceilings import executed_flops
from benchmarks.cases.llm import activation_bytes
from benchmarks.ceiling import (
    Ceiling,
    combined_rate,
    measure_ceiling,
    observed_linear_flops,
    share_of_ceiling,
    sustained_rate,
)
from benchmarks.shapes import BERT_BASE, MINILM, XLMR_LARGE, EncoderShape, attention_flops, linear_flops

ONE = EncoderShape(name="one", kind="bert", layers=1, hidden=2, heads=1, intermediate=4)
TWO = EncoderShape(name="two", kind="bert", layers=2, hidden=2, heads=1, intermediate=4)


def test_linear_flops_by_hand() -> None:
    # Four 2x2 projections and a 2x4 with a 4x2 matrix: 4*4 + 8 + 8 = 32 weights, two operations each, for 3 tokens.
    assert linear_flops(ONE, [1, 2]) == 2 * 32 * 3
    assert linear_flops(TWO, [1, 2]) == 2 * linear_flops(ONE, [1, 2])


def test_pruned_linear_flops_by_hand() -> None:
    # Keys and values (2*4 weights) for 3 tokens; query, output and feed-forward (24 weights) for 2 first tokens.
    assert linear_flops(ONE, [1, 2], pruned=True) == 2 * 8 * 3 + 2 * 24 * 2
    assert linear_flops(TWO, [1, 2], pruned=True) == 2 * 32 * 3 + 2 * 8 * 3 + 2 * 24 * 2


def test_attention_flops_by_hand() -> None:
    # Scores and weighted sums: 2 * (2 * S * S * hidden) for each text.
    assert attention_flops(ONE, [1, 3]) == 4 * 2 * (1 + 9)
    assert attention_flops(ONE, [1, 3], pruned=True) == 4 * 2 * (1 + 3)


@pytest.mark.parametrize(
    ("shape", "parameters"), [(MINILM, 10.6e6), (BERT_BASE, 84.9e6), (XLMR_LARGE, 302.0e6)], ids=lambda one: str(one)
)
def test_flops_of_a_token_are_twice_the_published_weights(shape: EncoderShape, parameters: float) -> None:
    assert linear_flops(shape, [1]) == pytest.approx(2 * parameters, rel=2e-3)


@pytest.mark.parametrize(("factor", "word"), [(1.0, "whole"), (1.3, "whole"), (0.0, "lower bound")])
def test_executed_flops_count_no_padding_and_never_more_than_was_seen(factor: float, word: str) -> None:
    lengths = [5, 9]
    whole = linear_flops(MINILM, lengths)
    flops, how = executed_flops(MINILM, lengths, observed=int(whole * factor))
    assert how.startswith(word)
    pruned = factor < 1
    assert flops == linear_flops(MINILM, lengths, pruned=pruned) + attention_flops(MINILM, lengths, pruned=pruned)


def test_executed_flops_of_a_pruned_model() -> None:
    seen = linear_flops(MINILM, [5, 9], pruned=True)
    flops, how = executed_flops(MINILM, [5, 9], observed=seen)
    assert how == "last block pruned"
    assert flops == seen + attention_flops(MINILM, [5, 9], pruned=True)


def test_observed_flops_of_a_layer_by_hand() -> None:
    layer, states = torch.nn.Linear(3, 5), torch.zeros(7, 3)
    assert observed_linear_flops(lambda: layer(states)) == 2 * 7 * 3 * 5
    assert observed_linear_flops(lambda: torch.nn.functional.gelu(states)) == 0


def test_observed_flops_see_prepacked_products() -> None:
    operators = torch.ops.mkldnn
    if not hasattr(operators, "_linear_pointwise"):
        pytest.skip("this torch has no pre-packed linear")
    weight = operators._reorder_linear_weight(torch.ones(5, 3), 7)
    found = observed_linear_flops(lambda: operators._linear_pointwise(torch.ones(7, 3), weight, None, "none", [], ""))
    assert found == 2 * 7 * 3 * 5


def test_combined_rate_is_total_work_over_total_time() -> None:
    # 10 operations at 5 a second and 10 at 10 a second take 3 seconds.
    assert combined_rate([(10.0, 5.0), (10.0, 10.0)]) == pytest.approx(20 / 3)


def test_ceiling_takes_the_faster_path() -> None:
    assert Ceiling(stock=2.0, prepacked=5.0).best == 5.0
    assert Ceiling(stock=2.0, prepacked=None).best == 2.0
    assert measure_ceiling(ONE, torch.float32, repeats=1, rows=4).best > 0


def test_the_sustained_rate_counts_whole_models() -> None:
    rates: list[float] = []
    seen = observed_linear_flops(lambda: rates.append(sustained_rate(TWO, torch.float32, seconds=0.0, rows=4)))
    # Once before the clock runs and once behind it; whether oneDNN's products run is tried on two rows.
    assert rates[0] > 0
    assert seen % linear_flops(TWO, [4]) in {0, linear_flops(TWO, [2])}
    assert seen >= 2 * linear_flops(TWO, [4])


def test_share_of_the_ceiling_by_hand() -> None:
    assert share_of_ceiling(600.0, 2.0, 400.0) == (0.75, "")


def test_a_share_above_one_is_no_result() -> None:
    share, note = share_of_ceiling(1000.0, 2.0, 400.0)
    assert share is None
    assert "1.25 cannot be" in note


def test_activation_bytes_by_hand() -> None:
    # hidden 32, feed-forward 64: 2*32 + 3*64 = 256 floats a token.
    assert activation_bytes(GEMMA, 10) == 10 * 256 * 4


def test_decoder_parameters_by_hand() -> None:
    # A block: 32*16*(2*2 + 2*1) + 3*32*64 = 3072 + 6144; two blocks and 8,000 embeddings of 32.
    assert GEMMA.block_parameters == 2 * (3072 + 6144)
    assert GEMMA.parameters == GEMMA.block_parameters + 8_000 * 32
