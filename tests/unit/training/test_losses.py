"""Every loss against numbers worked out by hand, and against sentence-transformers' own on the same scores."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from rerank_plugins.training.losses import (
    group_cross_entropy,
    group_loss,
    kl_to_teacher,
    listwise_cross_entropy,
    margin_mse,
    pairwise_ranknet,
    pointwise_bce,
)

SCORES = torch.tensor([[2.0, 0.0, 1.0], [-1.0, 3.0, 0.5]], dtype=torch.float64)
TEACHER = torch.tensor([[3.0, -1.0, 0.0], [2.0, 1.5, -4.0]], dtype=torch.float64)


def softmax(row: list[float]) -> list[float]:
    total = sum(math.exp(one) for one in row)
    return [math.exp(one) / total for one in row]


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def test_group_cross_entropy() -> None:
    wanted = sum(-math.log(softmax(row)[0]) for row in SCORES.tolist()) / 2
    assert group_cross_entropy(SCORES).item() == pytest.approx(wanted, rel=1e-12)


def test_equal_scores_cost_the_logarithm_of_the_group() -> None:
    assert group_cross_entropy(torch.zeros(3, 8)).item() == pytest.approx(math.log(8))


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_kl_to_teacher(temperature: float) -> None:
    wanted = 0.0
    for scores, teacher in zip(SCORES.tolist(), TEACHER.tolist(), strict=True):
        student = softmax([one / temperature for one in scores])
        target = softmax([one / temperature for one in teacher])
        wanted -= sum(t * math.log(s) for t, s in zip(target, student, strict=True)) / 2
    found = kl_to_teacher(SCORES, TEACHER, temperature=temperature)
    assert found.item() == pytest.approx(wanted, rel=1e-12)


def test_margin_mse() -> None:
    # (2 - 4)^2, (1 - 3)^2, (-4 - 0.5)^2, (-1.5 - 6)^2
    assert margin_mse(SCORES, TEACHER).item() == pytest.approx((4 + 4 + 20.25 + 56.25) / 4)


def test_pointwise_bce() -> None:
    labels = torch.tensor([[1.0, 0.0, 0.25]], dtype=torch.float64)
    third = sigmoid(1.0)
    wanted = -(
        math.log(sigmoid(2.0)) + math.log(1 - sigmoid(0.0)) + 0.25 * math.log(third) + 0.75 * math.log(1 - third)
    )
    assert pointwise_bce(SCORES[:1], labels).item() == pytest.approx(wanted / 3, rel=1e-12)


def test_pairwise_ranknet_weighs_by_the_difference_of_labels() -> None:
    labels = torch.tensor([[2.0, 0.0, 1.0]], dtype=torch.float64)
    wanted = -(2 * math.log(sigmoid(2.0)) + math.log(sigmoid(1.0)) + math.log(sigmoid(1.0))) / 3
    assert pairwise_ranknet(SCORES[:1], labels).item() == pytest.approx(wanted, rel=1e-12)


def test_pairwise_ranknet_without_a_pair_is_nothing() -> None:
    assert pairwise_ranknet(SCORES, torch.ones_like(SCORES)).item() == 0.0


def test_listwise_cross_entropy_leaves_negatives_out_of_the_target() -> None:
    labels = torch.tensor([[2.0, 0.0, 1.0]], dtype=torch.float64)
    target, student = softmax([2.0, 1.0]), softmax([2.0, 0.0, 1.0])
    wanted = -(target[0] * math.log(student[0]) + target[1] * math.log(student[2]))
    assert listwise_cross_entropy(SCORES[:1], labels).item() == pytest.approx(wanted, rel=1e-12)


def test_listwise_cross_entropy_of_a_group_without_a_relevant_text_is_nothing() -> None:
    scores = SCORES.clone().requires_grad_()
    labels = torch.tensor([[0.0, 0.0, 0.0], [0.5, 0.0, 0.2]], dtype=torch.float64)
    loss = listwise_cross_entropy(scores, labels)
    assert loss.item() == pytest.approx(listwise_cross_entropy(SCORES[1:], labels[1:]).item() / 2, rel=1e-12)
    loss.backward()
    assert scores.grad is not None
    assert scores.grad[0].tolist() == [0.0, 0.0, 0.0]
    assert torch.isfinite(scores.grad).all()


def test_group_ce_with_a_teacher_is_flag_embeddings_sum() -> None:
    found = group_loss("group_ce")(SCORES, TEACHER)
    assert found.item() == pytest.approx((group_cross_entropy(SCORES) + kl_to_teacher(SCORES, TEACHER)).item())
    assert group_loss("group_ce")(SCORES, None).item() == group_cross_entropy(SCORES).item()


@pytest.mark.parametrize("name", ["pointwise_bce", "pairwise_ranknet", "listwise_ce"])
def test_labels_are_the_first_text_or_the_teachers_probabilities(name: Any) -> None:
    of = {"pointwise_bce": pointwise_bce, "pairwise_ranknet": pairwise_ranknet, "listwise_ce": listwise_cross_entropy}
    hard = torch.tensor([[1.0, 0.0, 0.0]] * 2, dtype=torch.float64)
    soft = torch.sigmoid(TEACHER)
    assert group_loss(name)(SCORES, None).item() == of[name](SCORES, hard).item()
    assert group_loss(name)(SCORES, TEACHER).item() == of[name](SCORES, soft).item()
    assert group_loss(name, teacher_scale="probability")(SCORES, soft).item() == of[name](SCORES, soft).item()


@pytest.mark.parametrize("name", ["kl_div", "margin_mse"])
def test_probabilities_of_a_teacher_become_its_logits(name: Any) -> None:
    logits = group_loss(name)(SCORES, TEACHER).item()
    assert group_loss(name, teacher_scale="probability")(SCORES, torch.sigmoid(TEACHER)).item() == pytest.approx(logits)
    with pytest.raises(ValueError, match="needs a teacher"):
        group_loss(name)(SCORES, None)


def test_a_sure_teacher_stays_finite() -> None:
    sure = torch.tensor([[1.0, 0.0, 0.0]] * 2)
    assert torch.isfinite(group_loss("kl_div", teacher_scale="probability")(SCORES.float(), sure))


class Scored:
    """What sentence-transformers' losses ask of a model: scores of pairs, looked up by the numbers in their texts."""

    num_labels, device = 1, torch.device("cpu")

    def __init__(self, scores: torch.Tensor) -> None:
        self._scores = scores

    def preprocess(self, pairs: list[tuple[str, str]], **_: object) -> dict[str, torch.Tensor]:
        return {"places": torch.tensor([[int(query), int(text)] for query, text in pairs])}

    def __call__(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {"scores": self._scores[batch["places"][:, 0], batch["places"][:, 1]]}


@pytest.fixture
def peers() -> Any:
    return pytest.importorskip("sentence_transformers.cross_encoder.losses")


@pytest.fixture
def scores() -> torch.Tensor:
    return torch.randn(6, 4, generator=torch.Generator().manual_seed(3)) * 2


def with_scores(loss: Any, scores: torch.Tensor) -> Any:
    """Return a loss that insists on a CrossEncoder where it is made, with given scores for the model's own."""
    del loss.model
    loss.model = Scored(scores)
    return loss


@pytest.fixture
def encoder(bert_reranker_folder: Path) -> Any:
    return pytest.importorskip("sentence_transformers").CrossEncoder(str(bert_reranker_folder), device="cpu")


def listed(loss: Any, labels: torch.Tensor) -> float:
    """Return what a list loss of sentence-transformers gives for these labels."""
    groups, texts = labels.shape
    queries = [str(group) for group in range(groups)]
    found: float = loss([queries, [list(map(str, range(texts)))] * groups], list(labels)).item()
    return found


def hard(scores: torch.Tensor, value: float = 1.0) -> torch.Tensor:
    labels = torch.zeros_like(scores)
    labels[:, 0] = value
    return labels


def test_list_net_with_a_label_of_100_is_the_group_cross_entropy(peers: Any, scores: torch.Tensor) -> None:
    theirs = listed(peers.ListNetLoss(Scored(scores), mini_batch_size=-1), hard(scores, 100.0))
    assert group_loss("group_ce")(scores, None).item() == pytest.approx(theirs, rel=1e-5)


def test_list_net_with_a_teachers_logits_is_the_distilling_part(peers: Any, scores: torch.Tensor) -> None:
    teacher = scores.flip(1) * 1.5
    theirs = listed(peers.ListNetLoss(Scored(scores), mini_batch_size=-1), teacher)
    assert group_loss("kl_div")(scores, teacher).item() == pytest.approx(theirs, rel=1e-5)


def test_rank_net_with_the_natural_logarithm(peers: Any, scores: torch.Tensor) -> None:
    loss = peers.RankNetLoss(Scored(scores), reduction_log="natural", mini_batch_size=-1)
    assert group_loss("pairwise_ranknet")(scores, None).item() == pytest.approx(listed(loss, hard(scores)), rel=1e-5)


def test_binary_cross_entropy(peers: Any, encoder: Any, scores: torch.Tensor) -> None:
    queries = [str(group) for group in range(len(scores)) for _ in range(scores.shape[1])]
    texts = [str(text) for _ in range(len(scores)) for text in range(scores.shape[1])]
    loss = with_scores(peers.BinaryCrossEntropyLoss(encoder), scores)
    theirs = loss([queries, texts], hard(scores).flatten()).item()
    assert group_loss("pointwise_bce")(scores, None).item() == pytest.approx(theirs, rel=1e-5)


def test_margin_mse_with_one_score_per_text(peers: Any, encoder: Any, scores: torch.Tensor) -> None:
    teacher = scores.flip(1) * 1.5
    queries = [str(group) for group in range(len(scores))]
    columns = [[str(text)] * len(scores) for text in range(scores.shape[1])]
    theirs = with_scores(peers.MarginMSELoss(encoder), scores)([queries, *columns], teacher).item()
    assert group_loss("margin_mse")(scores, teacher).item() == pytest.approx(theirs, rel=1e-5)
