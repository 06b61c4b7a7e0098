"""The losses of embedders by their formulas, and scores of a group against scores of the batch."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank_plugins.training.vectors.gathering import gathered, local_part, scaled_gradient
from rerank_plugins.training.vectors.losses import (
    M3Scores,
    RetrievalLoss,
    contrastive,
    group_starts,
    m3_kd,
    own_scores,
    unified,
)
from rerank_plugins.training.vectors.module import pooled
from rerank_plugins.training.vectors.scores import dense_scores, late_scores, sparse_scores

GROUP = 3


def random(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def scores() -> torch.Tensor:
    return random(4, 4 * GROUP)


@pytest.fixture
def teacher() -> torch.Tensor:
    return random(4, GROUP, seed=2)


def test_a_group_begins_where_its_texts_do(scores: torch.Tensor) -> None:
    assert group_starts(scores, group_size=GROUP).tolist() == [0, 3, 6, 9]
    assert group_starts(scores[:, :GROUP], group_size=GROUP).tolist() == [0, 0, 0, 0]
    starts = group_starts(scores, group_size=GROUP)
    assert own_scores(scores, starts, group_size=GROUP)[2].tolist() == scores[2, 6:9].tolist()


def test_contrastive_by_its_formula(scores: torch.Tensor) -> None:
    wanted = -sum(
        scores[row, 3 * row].item() - math.log(sum(math.exp(one) for one in scores[row].tolist())) for row in range(4)
    )
    starts = group_starts(scores, group_size=GROUP)
    assert contrastive(scores, starts).item() == pytest.approx(wanted / 4, rel=1e-5)


def test_m3_kd_by_its_formula(scores: torch.Tensor, teacher: torch.Tensor) -> None:
    wanted = 0.0
    for row in range(4):
        targets, kept = teacher[row].softmax(0), scores[row].tolist()
        for place in range(GROUP):
            column = 3 * row + place
            left = [one for at, one in enumerate(kept) if not 3 * row <= at < column]
            wanted += targets[place].item() * (math.log(sum(map(math.exp, left))) - kept[column])
    starts = group_starts(scores, group_size=GROUP)
    assert m3_kd(scores, teacher, starts).item() == pytest.approx(wanted / 4, rel=1e-5)


def test_the_last_text_of_a_group_alone_has_nothing_to_be_told_from(teacher: torch.Tensor) -> None:
    own = random(4, GROUP).requires_grad_()
    loss = RetrievalLoss(temperature=1.0, teacher_loss="m3_kd_loss")(own, teacher, group_size=GROUP)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(own.grad).all()  # type: ignore[arg-type]


def test_a_teachers_loss_is_added_or_stands_alone(scores: torch.Tensor, teacher: torch.Tensor) -> None:
    starts = group_starts(scores, group_size=GROUP)
    own = own_scores(scores, starts, group_size=GROUP)
    kl = -(teacher.softmax(1) * own.log_softmax(1)).sum(1).mean().item()
    apart = contrastive(scores, starts).item()
    for weight in (1.0, 0.2, 0.0):
        loss = RetrievalLoss(temperature=0.5, contrastive_weight=weight)(scores, teacher, group_size=GROUP)
        assert loss.item() == pytest.approx(kl + weight * apart, rel=1e-5)
    margins = RetrievalLoss(temperature=0.5, teacher_loss="margin_mse", contrastive_weight=0.0)
    # On the scale that the scores had before they were divided by the temperature.
    wanted = ((own[:, :1] - own[:, 1:]) * 0.5 - (teacher[:, :1] - teacher[:, 1:])).pow(2).mean().item()
    assert margins(scores, teacher, group_size=GROUP).item() == pytest.approx(wanted, rel=1e-5)
    probability = RetrievalLoss(temperature=0.5, teacher_scale="probability")
    found = probability(scores, teacher.sigmoid(), group_size=GROUP).item()
    assert found == pytest.approx(kl + apart, rel=1e-4)


def test_without_others_texts_all_three_kinds_and_their_sum_are_told_from_the_own_group(teacher: torch.Tensor) -> None:
    kinds = [random(4, GROUP, seed=seed) for seed in (3, 4, 5)]
    three = M3Scores(dense=kinds[0], sparse=kinds[1], colbert=kinds[2])
    loss = RetrievalLoss(temperature=1.0)
    first = torch.zeros(4, dtype=torch.int64)
    parts = [contrastive(one, first) for one in (*kinds, kinds[0] + 0.3 * kinds[1] + kinds[2])]
    wanted = (parts[0] + parts[3] + 0.1 * parts[1] + parts[2]) / 4
    found = unified(three, None, loss, dense_loss=parts[0], group_size=GROUP, self_distils=False)
    assert found.item() == pytest.approx(wanted.item(), rel=1e-5)


@settings(derandomize=True, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 5), st.integers(0, 9))
def test_scores_of_a_group_are_those_of_the_batch(n_queries: int, group: int, width: int, seed: int) -> None:
    queries, texts = random(n_queries, width, 6, seed=seed), random(n_queries * group, width + 1, 6, seed=seed + 1)
    counts = [torch.ones(one.shape[:2], dtype=torch.int64) for one in (queries, texts)]
    counts[1][:, -1] = 0
    ids = [torch.arange(one.shape[0] * one.shape[1]).view(one.shape[:2]) % 7 for one in (queries, texts)]
    starts = torch.arange(n_queries) * group
    for both in (
        [dense_scores(queries[:, 0], texts[:, 0], own=own, normalize=True) for own in (False, True)],
        [late_scores((queries, counts[0]), (texts, counts[1]), own=own, is_mean=True) for own in (False, True)],
        [
            sparse_scores(
                (ids[0], queries[:, :, 0].relu()), (ids[1], texts[:, :, 0].relu()), own=own, without=frozenset({2})
            )
            for own in (False, True)
        ],
    ):
        assert torch.allclose(own_scores(both[0], starts, group_size=group), both[1], atol=1e-5)


def test_padding_and_special_tokens_count_nowhere() -> None:
    query, text = random(1, 2, 4), random(1, 3, 4, seed=2)
    shown = torch.ones(1, 2), torch.tensor([[1, 1, 0]])
    other = text.clone()
    other[:, 2] = 100.0
    scores = [late_scores((query, shown[0]), (one, shown[1]), own=False, is_mean=False) for one in (text, other)]
    assert scores[0].item() == scores[1].item()
    ids, weights = torch.tensor([[5, 5, 0]]), torch.tensor([[1.0, 3.0, 9.0]])
    found = sparse_scores((ids, weights), (ids, weights), own=False, without=frozenset({0}))
    assert found.item() == 9.0


def test_pooling_reads_no_padding() -> None:
    states, mask = random(2, 3, 4), torch.tensor([[1, 1, 1], [1, 1, 0]])
    assert pooled(states, mask, "cls")[1].tolist() == states[1, 0].tolist()
    assert pooled(states, mask, "last_token")[1].tolist() == states[1, 1].tolist()
    assert torch.allclose(pooled(states, mask, "mean")[1], states[1, :2].mean(dim=0))


def test_one_process_gathers_nothing() -> None:
    one = random(2, 3).requires_grad_()
    assert gathered(one) is one
    assert local_part(one, rows=2, columns=3) is one
    loss = one.sum()
    assert scaled_gradient(loss) is loss
