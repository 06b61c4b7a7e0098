"""Modules as trainings take them: what their state dicts hold, and scores whatever stands behind a text."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers
from tiny_rerankers import qwen_reranker

from rerank_plugins.scorers.trained import AnswerModule

ANSWERS = [7, 9]


@pytest.fixture(params=[True, False], ids=["tied", "untied"])
def network(request: pytest.FixtureRequest, tmp_path: Path) -> torch.nn.Module:
    folder = qwen_reranker(tmp_path / "model", tied=request.param)
    model: torch.nn.Module = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    return model


def ids_and_mask(lengths: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    ids = torch.randint(10, 200, (len(lengths), max(lengths)), generator=generator)
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)).long()
    return ids, mask


def test_the_score_is_the_difference_of_the_answers_logits_at_the_last_token(network: torch.nn.Module) -> None:
    ids, mask = ids_and_mask([5, 9, 3])
    module = AnswerModule(network, ANSWERS)
    with torch.no_grad():
        found = module(ids, mask)["logits"]
        assert found.shape == (3, 1)
        for row, length in enumerate([5, 9, 3]):
            logits = network(input_ids=ids[row : row + 1, :length]).logits[0, -1]
            assert found[row, 0].item() == pytest.approx((logits[7] - logits[9]).item(), rel=1e-4, abs=1e-5)
        changed = torch.where(mask.bool(), ids, torch.full_like(ids, 3))
        assert torch.allclose(module(changed, mask)["logits"], found, rtol=0, atol=1e-6)


def test_state_dicts_hold_what_is_trained_once(network: torch.nn.Module) -> None:
    module = AnswerModule(network, ANSWERS)
    whole = module.state_dict()
    pointers = [one.data_ptr() for one in whole.values()]
    assert len(set(pointers)) == len(pointers)
    assert set(whole) == {name for name, _ in module.named_parameters()}
    network.requires_grad_(False)
    kept = network.get_input_embeddings().weight  # type: ignore[operator]
    kept.requires_grad_(True)
    (name,) = module.state_dict()
    before = kept.detach().clone()
    done = module.load_state_dict({name: before + 1}, strict=True)
    assert (done.missing_keys, done.unexpected_keys) == ([], [])
    assert torch.equal(kept, before + 1)
    with pytest.raises(RuntimeError, match="Missing key"):
        module.load_state_dict({}, strict=True)


def test_gradients_reach_the_answers_rows_alone(tmp_path: Path) -> None:
    folder = qwen_reranker(tmp_path / "model", tied=False)
    network = transformers.AutoModelForCausalLM.from_pretrained(folder)
    AnswerModule(network, ANSWERS)(*ids_and_mask([4, 6]))["logits"].sum().backward()
    gradient = network.get_output_embeddings().weight.grad
    assert set(gradient.abs().sum(dim=1).nonzero().flatten().tolist()) == set(ANSWERS)
