"""Forward passes over rows of similar length."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rerank_plugins.training.chunks import logits_in_chunks, similar_lengths


def _cost(chunks: Sequence[Sequence[int]], lengths: Sequence[int], pass_cost: int) -> int:
    return sum(pass_cost + len(one) * -(-max(lengths[row] for row in one) // 8) * 8 for one in chunks)


@settings(derandomize=True, deadline=None)
@given(lengths=st.lists(st.integers(1, 200), min_size=1, max_size=8), pass_cost=st.sampled_from([1, 30, 256, 10_000]))
def test_no_other_division_of_the_sorted_rows_costs_less(lengths: list[int], pass_cost: int) -> None:
    chunks = similar_lengths(lengths, pass_cost=pass_cost)
    assert sorted(row for chunk in chunks for row in chunk) == list(range(len(lengths)))
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    divisions = (
        [order[start:end] for start, end in itertools.pairwise((0, *cuts, len(order)))]
        for n_cuts in range(len(order))
        for cuts in itertools.combinations(range(1, len(order)), n_cuts)
    )
    assert _cost(chunks, lengths, pass_cost) == min(_cost(one, lengths, pass_cost) for one in divisions)


def test_rows_of_one_length_are_one_pass() -> None:
    assert similar_lengths([30] * 64, pass_cost=256) == [list(range(64))]


class _LastPosition(torch.nn.Module):
    """A decoder that scores at the last slot, as rerankers do whose rows are padded on the left."""

    def __init__(self) -> None:
        super().__init__()
        config = transformers.LlamaConfig(
            vocab_size=60, hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2
        )
        torch.manual_seed(0)
        self.model = transformers.LlamaForCausalLM(config)

    def forward(self, **tensors: Tensor) -> dict[str, Tensor]:
        return {"logits": self.model(**tensors).logits[:, -1, 3]}


def _bert(folder: Path) -> torch.nn.Module:
    return transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()  # type: ignore[no-any-return]


@pytest.mark.parametrize("pads_right", [True, False])
def test_scores_and_gradients_are_those_of_one_pass(bert_reranker_folder: Path, pads_right: bool) -> None:
    module = _bert(bert_reranker_folder) if pads_right else _LastPosition()
    lengths, width = [90, 5, 100, 7, 60, 6, 99, 100, 8, 7], 100
    ids = torch.randint(5, 60, (len(lengths), width), generator=torch.Generator().manual_seed(0))
    places = torch.arange(width).expand(len(lengths), width)
    limits = torch.tensor(lengths)[:, None]
    mask = (places < limits if pads_right else places >= width - limits).long()
    tensors = {"input_ids": ids * mask, "attention_mask": mask}
    if not pads_right:
        tensors["position_ids"] = (mask.cumsum(dim=1) - 1).clamp(min=0)
    passes: list[int] = []

    def counted(**given: Tensor) -> Mapping[str, Tensor]:
        passes.append(given["input_ids"].numel())
        return module(**given)  # type: ignore[no-any-return]

    logits = logits_in_chunks(counted, tensors)
    assert len(passes) > 1
    assert sum(passes) < mask.numel()
    logits.pow(2).sum().backward()
    gradients = [one.grad.clone() for one in module.parameters() if one.grad is not None]
    module.zero_grad()
    whole = module(**tensors)["logits"]
    whole.pow(2).sum().backward()
    torch.testing.assert_close(logits, whole, rtol=1e-5, atol=1e-6)
    for one, other in zip(gradients, (p.grad for p in module.parameters() if p.grad is not None), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
