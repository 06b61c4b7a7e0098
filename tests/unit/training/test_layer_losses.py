"""The loss over several layers, worked out by hand; FlagEmbedding's own numbers are in tests/parity."""

from __future__ import annotations

import math

import pytest
import torch

from rerank_plugins.training.layer_losses import over_layers
from rerank_plugins.training.losses import group_loss

# Two groups of two texts, three layers. Shape: (groups, texts, layers).
SCORES = torch.tensor([[[1.0, 0.0, 2.0], [0.0, 3.0, 1.0]], [[-1.0, 2.0, 0.5], [0.5, 2.0, 0.0]]], dtype=torch.float64)
TEACHER = torch.tensor([[2.0, -1.0], [0.0, 1.0]], dtype=torch.float64)


def log_softmax(row: list[float]) -> list[float]:
    total = math.log(sum(math.exp(one) for one in row))
    return [one - total for one in row]


def cross_entropy(layer: int) -> float:
    return -sum(log_softmax(group)[0] for group in SCORES[..., layer].tolist()) / 2


def distilled(layer: int, targets: list[list[float]], *, temperature: float = 1.0) -> float:
    found = 0.0
    for group, target in zip(SCORES[..., layer].tolist(), targets, strict=True):
        student = log_softmax([one / temperature for one in group])
        wanted = [math.exp(one) for one in log_softmax([one / temperature for one in target])]
        found -= sum(w * s for w, s in zip(wanted, student, strict=True)) / 2
    return found


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_lower_layers_learn_from_the_last(temperature: float) -> None:
    last = SCORES[..., 2].tolist()
    expected = sum(map(cross_entropy, range(3)))
    expected += sum(distilled(layer, last, temperature=temperature) for layer in range(2))
    for reduction, divisor in (("sum", 1), ("mean", 3)):
        loss = over_layers(group_loss("group_ce"), reduction=reduction, temperature=temperature)  # type: ignore[arg-type]
        assert loss(SCORES, None).item() == pytest.approx(expected / divisor, rel=1e-12)


def test_with_a_teacher_every_layer_learns_from_it_and_none_from_another() -> None:
    expected = sum(cross_entropy(layer) + distilled(layer, TEACHER.tolist()) for layer in range(3))
    loss = over_layers(group_loss("group_ce"), reduction="sum")
    assert loss(SCORES, TEACHER).item() == pytest.approx(expected, rel=1e-12)


def test_the_last_layer_learns_nothing_from_the_lower_ones() -> None:
    scores = SCORES.clone().requires_grad_()
    over_layers(group_loss("group_ce"), reduction="sum")(scores, None).backward()
    alone = SCORES[..., 2].clone().requires_grad_()
    group_loss("group_ce")(alone, None).backward()
    assert scores.grad is not None
    assert torch.allclose(scores.grad[..., 2], alone.grad)


def test_one_layer_has_the_loss_of_one_layer() -> None:
    plain = group_loss("group_ce")
    for reduction in ("mean", "sum"):
        loss = over_layers(plain, reduction=reduction)  # type: ignore[arg-type]
        assert loss(SCORES[..., 0], TEACHER).item() == plain(SCORES[..., 0], TEACHER).item()
        assert loss(SCORES[..., :1], None).item() == pytest.approx(plain(SCORES[..., 0], None).item(), rel=1e-12)


@pytest.mark.parametrize("name", ["margin_mse", "pointwise_bce", "pairwise_ranknet", "kl_div"])
def test_other_losses_add_up_over_the_layers(name: str) -> None:
    plain = group_loss(name)  # type: ignore[arg-type]
    expected = sum(plain(SCORES[..., layer], TEACHER).item() for layer in range(3)) / 3
    assert over_layers(plain)(SCORES, TEACHER).item() == pytest.approx(expected, rel=1e-12)
