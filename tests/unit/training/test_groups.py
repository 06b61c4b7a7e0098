from __future__ import annotations

import math
import random
from dataclasses import replace

import torch
from hypothesis import given
from hypothesis import strategies as st

from rerank_plugins.training.data.records import TrainingRecord
from rerank_plugins.training.groups import draw_group, epoch_order, grouped_order, shuffled_text
from rerank_plugins.training.settings import DataSettings
from rerank_plugins.training.vectors.losses import m3_kd

DATA = DataSettings(train_data=("rows.jsonl",), train_group_size=4)
RECORD = TrainingRecord("q", pos=("p0", "p1"), neg=("n0", "n1", "n2", "n3", "n4"))


def published_draw(record: TrainingRecord, size: int, draws: random.Random) -> list[str]:
    """FlagEmbedding 1.4.2, abc/finetune/reranker/AbsDataset.py, with its global random numbers given by name."""
    positive = draws.choice(list(range(len(record.pos))))
    texts = [record.pos[positive]]
    indexes = list(range(len(record.neg)))
    if len(record.neg) < size - 1:
        repeated = math.ceil((size - 1) / len(record.neg))
        chosen = draws.sample(indexes * repeated, size - 1)
    else:
        chosen = draws.sample(indexes, size - 1)
    return texts + [record.neg[index] for index in chosen]


@given(
    st.integers(1, 4),
    st.integers(1, 12),
    st.integers(2, 9),
    st.integers(0, 2**31),
    st.integers(0, 5),
    st.integers(0, 99),
)
def test_groups_are_drawn_by_the_published_rule(
    n_pos: int, n_neg: int, size: int, seed: int, epoch: int, row: int
) -> None:
    record = TrainingRecord("q", pos=tuple(f"p{i}" for i in range(n_pos)), neg=tuple(f"n{i}" for i in range(n_neg)))
    group = draw_group(record, replace(DATA, train_group_size=size), seed=seed, epoch=epoch, row=row)
    assert list(group.texts) == published_draw(record, size, random.Random(f"{seed}:{epoch}:{row}"))
    assert len(group.texts) == size


def test_a_draw_depends_on_seed_epoch_and_row_alone() -> None:
    first = [draw_group(RECORD, DATA, seed=1, epoch=epoch, row=3) for epoch in range(8)]
    random.seed(5)
    again = [draw_group(RECORD, DATA, seed=1, epoch=epoch, row=3) for epoch in reversed(range(8))]
    assert first == again[::-1]
    assert len({one.texts for one in first}) > 4
    assert {one.texts[0] for one in first} == {"p0", "p1"}
    assert draw_group(RECORD, DATA, seed=2, epoch=0, row=3).texts != first[0].texts


def test_scores_stay_with_their_texts() -> None:
    record = replace(RECORD, pos_scores=(10.0, 11.0), neg_scores=(0.0, 1.0, 2.0, 3.0, 4.0))
    distils = replace(DATA, knowledge_distillation=True)
    for epoch in range(20):
        group = draw_group(record, distils, seed=1, epoch=epoch, row=0)
        wanted = [float(text[1]) + 10 * (text[0] == "p") for text in group.texts]
        assert group.teacher == tuple(wanted)
    assert draw_group(record, DATA, seed=1, epoch=0, row=0).teacher is None


def test_instructions_stand_in_front_and_a_rows_own_replaces_the_runs() -> None:
    told = replace(
        DATA,
        query_instruction_for_rerank="A:",
        query_instruction_format="{} {}",
        passage_instruction_for_rerank="B:",
        passage_instruction_format=r"{}\n{}",
    )
    group = draw_group(RECORD, told, seed=1, epoch=0, row=0)
    assert group.query == "A: q"
    assert all(text.startswith("B:\n") for text in group.texts)
    own = replace(RECORD, query_prompt="C:", passage_prompt="D:")
    assert draw_group(own, told, seed=1, epoch=0, row=0).query == "C: q"
    # As FlagEmbedding: without an instruction of the run a row's own is not read, and nobody reads "None".
    assert draw_group(own, DATA, seed=1, epoch=0, row=0).query == "q"


def test_an_epoch_visits_every_row_once_in_an_order_of_its_own() -> None:
    orders = [epoch_order(50, seed=3, epoch=epoch) for epoch in range(3)]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3
    assert epoch_order(50, seed=3, epoch=1) == orders[1]


def test_a_long_text_is_shuffled_in_three_parts() -> None:
    text = "".join(chr(ord("a") + place // 41) for place in range(121))
    found = {shuffled_text(text, ratio=1.0, draws=random.Random(seed)) for seed in range(30)}
    parts = [text[start : start + 41] for start in range(0, 121, 41)]
    assert len(found) == 6
    assert all(sorted(one.split(" ")) == sorted(parts) for one in found)
    assert shuffled_text(text, ratio=0.0, draws=random.Random(0)) == text
    assert shuffled_text("short", ratio=1.0, draws=random.Random(0)) == "short"


@given(sizes=st.lists(st.integers(1, 5000), min_size=1, max_size=700), batch=st.integers(1, 7), epoch=st.integers(0, 3))
def test_rows_of_a_batch_are_about_as_long_and_none_is_lost(sizes: list[int], batch: int, epoch: int) -> None:
    order = epoch_order(len(sizes), seed=1, epoch=epoch)
    grouped = grouped_order(order, sizes, batch=batch, seed=1, epoch=epoch)
    assert sorted(grouped) == list(range(len(sizes)))
    assert grouped == grouped_order(order, sizes, batch=batch, seed=1, epoch=epoch)

    def padded(rows: list[int]) -> int:
        batches = [rows[start : start + batch] for start in range(0, len(rows), batch)]
        return sum(len(one) * max(sizes[row] for row in one) for one in batches)

    # Sorted, no other division of a stretch into batches of one size pads less. A smaller last batch could be better
    # off with the longest row, or with the shortest one.
    if len(sizes) <= 50 * batch and len(sizes) % batch == 0:
        assert padded(grouped) <= padded(order)


def test_batches_of_one_length_still_come_in_random_order() -> None:
    sizes = list(range(1, 101))
    grouped = grouped_order(epoch_order(100, seed=0, epoch=0), sizes, batch=4, seed=0, epoch=0)
    firsts = [sizes[row] for row in grouped[::4]]
    assert firsts != sorted(firsts)
    assert {tuple(sizes[row] for row in grouped[start : start + 4]) for start in range(0, 100, 4)} == {
        tuple(range(start, start + 4)) for start in range(1, 101, 4)
    }


def test_the_smaller_last_batch_does_not_have_the_longest_rows_in_every_epoch() -> None:
    sizes, whole = [10 * row for row in range(100)], set[int]()
    for epoch in range(10):
        order = epoch_order(100, seed=1, epoch=epoch)
        grouped = grouped_order(order, sizes, batch=8, seed=1, epoch=epoch)
        assert grouped[96:] == order[96:]
        whole.update(grouped[:96])
    assert whole == set(range(100))


def test_whole_scores_of_a_teacher_are_numbers_that_losses_take() -> None:
    record = TrainingRecord("q", ("p",), ("n",), (10**30,), (1,))
    group = draw_group(record, replace(DATA, train_group_size=2, knowledge_distillation=True), seed=0, epoch=0, row=0)
    assert group.teacher is not None
    teacher, scores = torch.tensor([group.teacher]), torch.zeros(1, 2)
    assert torch.equal(m3_kd(scores, teacher, torch.tensor([0])), torch.tensor(math.log(2)))
