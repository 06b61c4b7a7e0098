"""LLM-Embedder's stabilised loss against its own lines, and against the embedder trainer's loss of the same form."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.training import reranker_settings
from rerank_plugins.training.losses import group_loss, kl_to_teacher
from rerank_plugins.training.reward_losses import stable_reward_kl


def theirs(scores: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """FlagEmbedding research/llm_embedder, modeling_dense.py, ``_compute_loss``: groups lie side by side."""
    teacher_targets = functional.softmax(teacher, dim=-1)
    group_size = scores.shape[1] // scores.shape[0]
    labels = torch.arange(scores.shape[0]) * group_size
    distill_loss = 0
    mask = torch.zeros_like(scores)
    for i in range(group_size):
        temp_target = labels + i
        temp_scores = scores + mask
        loss = functional.cross_entropy(temp_scores, temp_target, reduction="none")
        distill_loss = distill_loss + torch.mean(teacher_targets[:, i] * loss)
        mask = torch.scatter(mask, dim=-1, index=temp_target.unsqueeze(-1), value=torch.finfo(scores.dtype).min)
    return distill_loss


def test_groups_in_one_batch_as_theirs() -> None:
    torch.manual_seed(0)
    scores = (3 * torch.randn(4, 20)).requires_grad_()
    # Theirs takes them sorted.
    teacher = torch.sort(torch.randn(4, 5), dim=1, descending=True).values
    columns = torch.arange(20).reshape(4, 5)
    ours = stable_reward_kl(scores, teacher, columns=columns)
    wanted = theirs(scores, teacher)
    assert ours.item() == pytest.approx(wanted.item(), rel=1e-6)
    torch.testing.assert_close(
        torch.autograd.grad(ours, scores)[0], torch.autograd.grad(wanted, scores)[0], rtol=1e-5, atol=1e-7
    )
    shuffled = torch.stack([torch.randperm(5) for _ in range(4)])
    again = stable_reward_kl(scores, teacher.gather(1, shuffled), columns=columns.gather(1, shuffled))
    assert again.item() == pytest.approx(wanted.item(), rel=1e-6)


def test_a_group_alone() -> None:
    scores, teacher = torch.tensor([[0.5, 2.0, -1.0]]), torch.tensor([[0.0, 1.0, -2.0]])
    weights = torch.softmax(teacher[0] / 2, dim=0)
    first = -torch.log_softmax(scores[0], dim=0)[1]
    second = -torch.log_softmax(scores[0, [0, 2]], dim=0)[0]
    wanted = weights[1] * first + weights[0] * second
    assert float(stable_reward_kl(scores, teacher, temperature=2.0)) == pytest.approx(wanted.item(), rel=1e-6)


def test_gradients_are_finite_where_the_teacher_knows_only_one() -> None:
    scores = torch.zeros(2, 4, requires_grad=True)
    teacher = torch.tensor([[1e4, 0.0, 0.0, 0.0]] * 2)
    stable_reward_kl(scores, teacher).backward()
    assert scores.grad is not None
    assert torch.isfinite(scores.grad).all()


def test_it_is_a_loss_of_rerankers_by_its_name() -> None:
    scores, teacher = torch.randn(3, 4), torch.randn(3, 4)
    loss = group_loss("stable_kl", temperature=0.5)
    assert float(loss(scores, teacher)) == pytest.approx(float(stable_reward_kl(scores, teacher, temperature=0.5)))
    assert float(loss(scores, teacher)) != pytest.approx(float(kl_to_teacher(scores, teacher, temperature=0.5)))
    with pytest.raises(InvalidInputError, match="knowledge_distillation"):
        reranker_settings({"train_data": "a", "output_dir": "b", "loss": "stable_kl"})
