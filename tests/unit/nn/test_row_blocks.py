"""Feed-forward parts in blocks of tokens: the same numbers, and only where nothing needs all of them at once."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaModel

from rerank_plugins.nn import row_blocks
from rerank_plugins.nn.row_blocks import fed_in_blocks, feed_in_blocks, feed_whole, in_blocks


class Seen:
    """A function that keeps the shape and remembers how many tokens it got each time."""

    def __init__(self) -> None:
        self.tokens: list[int] = []

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        self.tokens.append(states.shape[-2])
        return states * 2 + 1


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_blocks, "BLOCK_TOKENS", 4)


@pytest.fixture
def llama() -> Any:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64, hidden_size=16, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2
    )
    return LlamaModel(config).eval()


@pytest.mark.parametrize("shape", [(9, 3), (1, 9, 3)])
def test_blocks_give_what_the_whole_gives(shape: tuple[int, ...]) -> None:
    states, seen = torch.arange(27.0).view(shape), Seen()
    with torch.inference_mode():
        found = fed_in_blocks(seen, states)
    assert torch.equal(found, states * 2 + 1)
    assert seen.tokens == [4, 4, 1]


def test_several_matrices_are_cut_alike() -> None:
    first, second = torch.arange(14.0).view(7, 2), torch.arange(7.0).view(7, 1)
    assert torch.equal(in_blocks(torch.mul, n_rows=3)(first, second), first * second)
    empty = torch.empty(0, 2)
    assert in_blocks(torch.add, n_rows=3)(empty, empty).shape == (0, 2)


def test_what_a_function_gives_keeps_its_precision() -> None:
    with torch.inference_mode():
        assert fed_in_blocks(lambda states: states.bfloat16(), torch.ones(9, 3)).dtype == torch.bfloat16


def test_gradients_have_everything_at_once() -> None:
    states, seen = torch.ones(9, 3, requires_grad=True), Seen()
    fed_in_blocks(seen, states).sum().backward()
    assert seen.tokens == [9]
    assert torch.equal(states.grad, torch.full((9, 3), 2.0))


def test_a_models_gated_parts_run_in_blocks(llama: Any) -> None:
    ids, seen = torch.arange(11)[None], []
    with torch.inference_mode():
        expected = llama(input_ids=ids).last_hidden_state
        feed_in_blocks(llama)
        llama.layers[0].mlp.gate_proj.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[-2]))
        found = llama(input_ids=ids).last_hidden_state
    assert torch.allclose(found, expected, atol=1e-6)
    assert seen == [4, 4, 3]


def test_a_copy_has_weights_of_its_own(llama: Any) -> None:
    feed_in_blocks(llama)
    copied = deepcopy(llama)
    with torch.inference_mode():
        copied.layers[0].mlp.down_proj.weight.zero_()
        states = torch.ones(1, 6, 16)
        assert copied.layers[0].mlp(states).abs().max() == 0
        assert llama.layers[0].mlp(states).abs().max() > 0


def test_another_make_of_part_stays(llama: Any) -> None:
    mlp = llama.layers[1].mlp
    mlp.router = torch.nn.Linear(16, 2)
    feed_in_blocks(llama)
    assert ["forward" in vars(layer.mlp) for layer in llama.layers] == [True, False]


def test_blocks_can_be_taken_back(llama: Any) -> None:
    hooked = llama.layers[1].mlp
    hooked.forward = hooked.forward  # somebody else's
    feed_in_blocks(llama)
    feed_whole(llama)
    assert ["forward" in vars(layer.mlp) for layer in llama.layers] == [False, True]
