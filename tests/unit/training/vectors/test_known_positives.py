"""A text that answers a query is no negative of it in any group; without such texts the loss is the same to the bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from rerank_plugins.training.data.records import TrainingRecord
from rerank_plugins.training.groups import Group, draw_group
from rerank_plugins.training.settings_retrieval import RetrievalDataSettings
from rerank_plugins.training.vectors.batches import VectorBatches
from rerank_plugins.training.vectors.known_positives import KEYS, batch_keys, known_positives
from rerank_plugins.training.vectors.landmarks import LandmarkObjective
from rerank_plugins.training.vectors.losses import RetrievalLoss, TeacherLoss, contrastive
from rerank_plugins.training.vectors.objectives import (
    OWN_TEXTS_ONLY,
    ColbertObjective,
    DenseObjective,
    M3Objective,
)

TEXTS = ("a0", "a1", "b0", "b1", "c0", "c1")


def groups_of(*texts: str, queries: str = "qrs", also: dict[int, tuple[str, ...]] | None = None) -> list[Group]:
    """Return groups of two texts; ``also`` names further positives of a row."""
    return [
        Group(
            queries[row],
            (f"read: {texts[2 * row]}", f"read: {texts[2 * row + 1]}"),
            None,
            row,
            sources=texts[2 * row : 2 * row + 2],
            positives=(texts[2 * row], *(also or {}).get(row, ())),
        )
        for row in range(len(queries))
    ]


def found(groups: list[Group]) -> list[tuple[int, int]]:
    """Return (query, text) of what is no negative."""
    keys = batch_keys(groups)
    owners = torch.arange(len(keys["texts"])) // 2
    return [(row, column) for row, column in known_positives(keys, owners).nonzero().tolist()]


def test_what_answers_a_query_is_told_wherever_it_stands() -> None:
    assert found(groups_of(*TEXTS)) == []
    # The same positive in two rows; a negative that is another's positive; a positive that was not drawn.
    assert found(groups_of("a0", "a1", "a0", "b1", "c0", "c1")) == [(0, 2), (1, 0)]
    assert found(groups_of("a0", "a1", "b0", "a0", "c0", "c1")) == [(0, 3)]
    assert found(groups_of(*TEXTS, also={0: ("b1", "c0")})) == [(0, 3), (0, 4)]
    # What only looks alike is another text.
    assert found(groups_of("a0", "a1", "A0", " a0", "a0\n", "c1")) == []


def test_a_query_that_stands_in_two_rows_has_the_positives_of_both() -> None:
    assert found(groups_of(*TEXTS, queries="qrq")) == [(0, 4), (2, 0)]
    assert found(groups_of(*TEXTS, queries="qrq", also={2: ("b1",)})) == [(0, 3), (0, 4), (2, 0), (2, 3)]
    # Two of its groups say that a text answers it, and does not: each says so of its own.
    assert found(groups_of("a0", "c0", "b0", "b1", "c0", "a0", queries="qrq")) == [(0, 4), (0, 5), (2, 0), (2, 1)]


def test_a_querys_own_group_is_as_its_row_says() -> None:
    assert found(groups_of("a0", "a0", "b0", "b1", "c0", "c1")) == []


def test_rows_may_have_thousands_of_positives_and_texts_that_are_no_text() -> None:
    many = tuple(f"p{number}" for number in range(3000))
    groups = groups_of("a0", "a1", "\ud800", "p2999", "c0", "\ud800", also={0: many})
    assert batch_keys(groups)["positives"].shape == (3, 3001)
    assert found(groups) == [(0, 3), (1, 5)]


def test_groups_know_their_texts_without_instructions_and_shuffling() -> None:
    long = "abcdefghi " * 30
    data = RetrievalDataSettings(
        train_data=("x",),
        train_group_size=2,
        shuffle_ratio=1.0,
        query_instruction_for_retrieval="find: ",
        passage_instruction_for_retrieval="text: ",
    )
    record = TrainingRecord("q", pos=(long, "short"), neg=("n",))
    drawn = {(one := draw_group(record, data, seed=1, epoch=epoch, row=0)).texts[0]: one for epoch in range(20)}
    assert len(drawn) > 2
    for group in drawn.values():
        assert group.sources[0] in (long, "short")
        assert group.sources[1:] == ("n",)
        assert group.positives == (long, "short")
        assert group.texts[1] == "text: n"


def without(scores: torch.Tensor, masked: list[tuple[int, int]]) -> torch.Tensor:
    """Return the contrastive loss with columns taken out."""
    losses = []
    for row in range(len(scores)):
        kept = [column for column in range(scores.shape[1]) if (row, column) not in masked]
        one = scores[row, kept].unsqueeze(0)
        losses.append(contrastive(one, torch.tensor([kept.index(2 * row)])))
    return torch.stack(losses).mean()


@pytest.mark.parametrize("teacher_loss", [None, "kl_div", "margin_mse", "m3_kd_loss"])
def test_the_loss_is_that_without_their_columns(teacher_loss: TeacherLoss | None) -> None:
    draws = torch.Generator().manual_seed(1)
    scores, masked = torch.randn(3, 6, generator=draws), [(0, 2), (0, 5), (1, 0)]
    mask = torch.zeros(3, 6, dtype=torch.bool)
    mask[tuple(zip(*masked, strict=True))] = True
    loss = RetrievalLoss(temperature=0.5, teacher_loss=teacher_loss or "kl_div")
    teacher = None if teacher_loss is None else torch.randn(3, 2, generator=draws)
    given = loss(scores, teacher, group_size=2, no_negatives=mask)
    plain = loss(scores, teacher, group_size=2)
    changed = contrastive(scores, torch.tensor([0, 2, 4])) - without(scores, masked)
    assert changed > 0.1
    if teacher_loss != "m3_kd_loss":
        assert (plain - given).item() == pytest.approx(changed.item(), rel=1e-5)
        return
    # The same scores with all but nothing where the mask is.
    low = scores.masked_fill(mask, -1e4)
    assert given.item() == pytest.approx(loss(low, teacher, group_size=2).item(), rel=1e-6)


def test_where_nothing_is_left_to_be_told_from_the_loss_is_0() -> None:
    scores = torch.randn(2, 2, requires_grad=True)
    loss = RetrievalLoss(temperature=0.02)(scores, None, group_size=1, no_negatives=~torch.eye(2, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0
    assert scores.grad is not None
    assert scores.grad.abs().max() == 0


LOSS = RetrievalLoss(temperature=0.1)
DENSE = DenseObjective(loss=LOSS, normalize=True)


def vectors(n: int, *, seed: int, ids: bool = False) -> dict[str, torch.Tensor]:
    draws = torch.Generator().manual_seed(seed)
    made = {"dense": (n, 8), "tokens": (n, 4, 6), "colbert": (n, 3, 6), "sparse": (n, 4)}
    return {name: torch.randn(*shape, generator=draws).requires_grad_() for name, shape in made.items()}


def batch_of(groups: list[Group]) -> dict[str, Any]:
    """Return a batch of texts of four tokens each."""

    def tensors(texts: Any) -> dict[str, torch.Tensor]:
        ids = torch.arange(4 * len(texts)).reshape(len(texts), 4) % 7
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "counts": torch.ones_like(ids)}

    return VectorBatches(tensors, tensors, own_texts_only=lambda _row: False)(groups)


OBJECTIVES: dict[str, Callable[..., torch.Tensor]] = {
    "dense": DENSE,
    "matryoshka": replace(DENSE, dimensions=(4, 8)),
    "colbert": ColbertObjective(loss=LOSS, is_mean=False),
    "m3": M3Objective(dense=DENSE, without=frozenset(), self_distils=True, start_step=-1),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_objectives_leave_them_out_and_are_the_same_to_the_bit_without_any(name: str) -> None:
    objective = OBJECTIVES[name]

    def computed(batch: dict[str, Any]) -> tuple[torch.Tensor, list[torch.Tensor]]:
        queries, texts = vectors(3, seed=1), vectors(6, seed=2)
        loss = objective(queries, texts, batch, 0)
        loss.backward()
        return loss, [one.grad for one in (*queries.values(), *texts.values()) if one.grad is not None]

    bare = batch_of(groups_of(*TEXTS))
    del bare[KEYS]
    wanted, gradients = computed(bare)
    same, same_gradients = computed(batch_of(groups_of(*TEXTS)))
    assert torch.equal(same, wanted)
    assert all(torch.equal(one, other) for one, other in zip(same_gradients, gradients, strict=True))
    repeated = batch_of(groups_of("a0", "a1", "a0", "b1", "c0", "c1"))
    less, others = computed(repeated)
    assert less < wanted - 1e-3
    assert all(torch.isfinite(one).all() for one in others)
    # Where other queries' texts are no negatives at all, there is nothing to leave out.
    own = [computed({**one, OWN_TEXTS_ONLY: True})[0] for one in (bare, repeated)]
    assert torch.equal(*own)


def test_dense_loss_by_its_formula() -> None:
    queries, texts = vectors(3, seed=1), vectors(6, seed=2)
    batch = batch_of(groups_of("a0", "a1", "b0", "a0", "c0", "c1", also={2: ("b1",)}, queries="qrq"))
    one, other = (torch.nn.functional.normalize(side["dense"], dim=1) for side in (queries, texts))
    scores = one @ other.T / 0.1
    # Both rows of "q": the drawn positives of each other, and "a0" where it stands as a negative.
    wanted = without(scores, [(0, 3), (0, 4), (2, 0), (2, 3)])
    assert DENSE(queries, texts, batch, 0).item() == pytest.approx(wanted.item(), rel=1e-5)


def test_sentences_of_another_documents_answer_are_left_out() -> None:
    draws = torch.Generator().manual_seed(1)
    groups = groups_of("a0", "a1", "a0", "b1", queries="qr")
    batch: dict[str, Any] = {
        "landmarks": torch.tensor([[0, 0], [0, 1], [0, 2], [1, 0], [1, 1]]),
        "owners": torch.tensor([0, 0, 0, 1, 1]),
        "weights": torch.tensor([0.5, 0.5, 0.0, 1.0, 0.0]),
        OWN_TEXTS_ONLY: False,
    }
    queries = {"dense": torch.randn(2, 8, generator=draws)}
    passages = {"tokens": torch.randn(2, 3, 8, generator=draws)}
    objective = LandmarkObjective(temperature=0.5, normalize=True)
    plain = objective(queries, passages, batch, 0)
    unlike = batch_keys(groups, ["a0", "a0", "a1", "b0", "b1"])
    unlike["positives"] = unlike["positives"] * 0
    assert torch.equal(objective(queries, passages, {**batch, KEYS: unlike}, 0), plain)
    keys = batch_keys(groups, ["a0", "a0", "a1", "a0", "b1"])
    found = torch.nn.functional.normalize(passages["tokens"][batch["landmarks"][:, 0], batch["landmarks"][:, 1]], dim=1)
    scores = (torch.nn.functional.normalize(queries["dense"], dim=1) @ found.T / 0.5).exp()
    first = sum(0.5 * -torch.log(scores[0, one] / (scores[0, one] + scores[0, [2, 4]].sum())) for one in (0, 1))
    second = -torch.log(scores[1, 3] / (scores[1, 3] + scores[1, [2, 4]].sum()))
    wanted = (first + second) / 2
    assert objective(queries, passages, {**batch, KEYS: keys}, 0).item() == pytest.approx(wanted.item(), rel=1e-5)
