"""Common beginnings run once: which inputs are grouped, the same numbers as whole inputs, and how few tokens run."""

from __future__ import annotations

import dataclasses
import logging
from functools import cached_property
from itertools import pairwise

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModel

from rerank_plugins.nn import packed
from rerank_plugins.nn.backbone import Backbone
from rerank_plugins.nn.packed_row import Run
from rerank_plugins.nn.prefixes import LEAST_SAVED_TOKENS, PrefixGroup, prefix_groups
from rerank_plugins.protocols import Batch, TokenInput

interface = pytest.mark.skipif(
    not hasattr(transformers, "AttentionInterface"), reason="this transformers has no attention interface"
)

KINDS = {
    "qwen3": {},
    "qwen2": {},
    "gemma": {},
    "llama": {},
    "mistral": {"sliding_window": None},
    "mistral-window": {"sliding_window": 11},
    "mistral-narrow-window": {"sliding_window": 2},
}


def ids(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.int32)


def groups_of(*inputs: list[int], least: int = 1) -> list[tuple[tuple[int, ...], int]]:
    found = prefix_groups([ids(*one) for one in inputs], least_saved_tokens=least)
    return [(group.members, group.tokens) for group in found]


def test_documents_of_one_query() -> None:
    assert groups_of([1, 2, 3, 7], [1, 2, 3, 8, 9], [1, 2, 3, 4, 4, 4]) == [((2, 1, 0), 3)]


def test_queries_share_less_than_their_own_documents_do() -> None:
    first, second = [1, 5, 5, 5], [1, 6, 6, 6]
    assert groups_of([*first, 7], [*second, 7], [*first, 8], [*second, 8]) == [((0, 2), 4), ((1, 3), 4)]
    # One document each: the system turn is all that can be shared.
    assert groups_of([1, 2, 2, 7], [1, 2, 3, 7], [1, 2, 4, 7]) == [((0, 1, 2), 2)]


def test_a_query_keeps_its_own_beginning_while_lone_ones_share_the_shorter() -> None:
    query = [1, 1, 5, 5, 5, 5]
    assert groups_of([*query, 7], [*query, 8], [*query, 9], [1, 1, 6, 6], [1, 1, 7, 7]) == [((0, 1, 2), 6), ((3, 4), 2)]


def test_every_input_keeps_its_last_token() -> None:
    assert groups_of([1, 2, 3], [1, 2, 3]) == [((0, 1), 2)]
    assert groups_of([1, 2, 3], [1, 2, 3, 4, 5]) == [((1, 0), 2)]
    assert groups_of([1], [1, 2]) == [((0,), 0), ((1,), 0)]


def test_what_saves_too_little_is_left_whole() -> None:
    assert groups_of([1, 2, 7], [1, 2, 8], least=3) == [((0,), 0), ((1,), 0)]
    assert groups_of([1, 2, 7], [1, 2, 8], [1, 2, 9], least=3) == [((0, 1, 2), 2)]
    bos = [[1, *range(10 * n, 10 * n + 9)] for n in range(1, LEAST_SAVED_TOKENS)]
    assert all(tokens == 0 for _, tokens in groups_of(*bos, least=LEAST_SAVED_TOKENS))


def test_alone_and_nothing() -> None:
    assert groups_of([1, 2, 3]) == [((0,), 0)]
    assert prefix_groups([]) == []


def saved(groups: list[PrefixGroup]) -> int:
    return sum((len(group.members) - 1) * group.tokens for group in groups)


ROWS = st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=9), min_size=1, max_size=14)


@given(rows=ROWS, least=st.integers(1, 12))
def test_groups_are_a_partition_with_true_beginnings(rows: list[list[int]], least: int) -> None:
    inputs = [ids(*row) for row in rows]
    groups = prefix_groups(inputs, least_saved_tokens=least)
    assert sorted(index for group in groups for index in group.members) == list(range(len(rows)))
    for group in groups:
        if group.tokens == 0:
            assert len(group.members) == 1
            continue
        assert (len(group.members) - 1) * group.tokens >= least
        assert len({tuple(rows[index][: group.tokens]) for index in group.members}) == 1
        assert all(len(rows[index]) > group.tokens for index in group.members)
        assert all(len(rows[one]) >= len(rows[other]) for one, other in pairwise(group.members))
    # One group of all saves no more, but for a group that was too small to be made.
    everywhere = min((common(one, other) for one in rows for other in rows), default=0)
    assert saved(groups) > (len(rows) - 1) * everywhere - least


@given(rows=ROWS)
def test_no_group_with_an_input_more_or_less_saves_more(rows: list[list[int]]) -> None:
    inputs = [ids(*row) for row in rows]
    groups = prefix_groups(inputs, least_saved_tokens=1)
    for group in groups:
        for index in group.members[1:] if group.tokens else ():
            rest = [one for one in group.members if one != index]
            longer = min(common(rows[one], rows[other]) for one in rest for other in rest)
            assert (len(rest) - 1) * longer <= (len(group.members) - 1) * group.tokens


def common(one: list[int], other: list[int]) -> int:
    n = min(len(one), len(other)) - 1
    return next((place for place in range(n) if one[place] != other[place]), n)


def decoder(kind: str, **options: object) -> torch.nn.Module:
    config = transformers.AutoConfig.for_model(
        kind.split("-")[0],
        vocab_size=96,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=256,
        initializer_range=0.2,
        pad_token_id=0,
        **{**KINDS.get(kind, {}), **options},
    )
    torch.manual_seed(3)
    return AutoModel.from_config(config).eval()


def token_input(row: list[int]) -> TokenInput:
    numbers = ids(*row)
    return TokenInput(numbers, np.zeros_like(numbers))


def batch_of(*rows: list[int]) -> Batch:
    return Batch([token_input(row) for row in rows])


CHANCE = np.random.default_rng(7)


def some(n: int) -> list[int]:
    return [int(one) for one in CHANCE.integers(5, 90, n)]


SYSTEM = some(12)
FIRST, SECOND, LONG = [*SYSTEM, *some(9)], [*SYSTEM, *some(20)], [*SYSTEM, *some(60)]
EQUAL = [*FIRST, *some(17)]
BATCHES = {
    "one query": batch_of(*([*FIRST, *some(n)] for n in (40, 22, 9, 9, 9, 2, 1))),
    "several queries": batch_of(
        *(
            [*query, *some(n)]
            for query, n in ((LONG, 5), (FIRST, 50), (SECOND, 31), (FIRST, 8), (LONG, 3), (SECOND, 8))
        ),
        some(30),
    ),
    "a document that begins another": batch_of([*FIRST, *EQUAL], [*FIRST, *EQUAL, *some(4)], [*FIRST, *EQUAL[:3]]),
    "equal inputs": batch_of(EQUAL, EQUAL, EQUAL),
    "nothing behind the beginning": batch_of(FIRST, FIRST[:-1], [*FIRST, 7], [*FIRST, 8]),
    "one input": batch_of(EQUAL),
}


@interface
@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("name", list(BATCHES))
def test_the_numbers_of_whole_inputs(kind: str, name: str) -> None:
    batch = BATCHES[name]
    model = decoder(kind)
    with torch.inference_mode():
        model.set_attn_implementation("eager")
        expected = torch.stack(
            [model(torch.from_numpy(one.ids).long().unsqueeze(0)).last_hidden_state[0, -1] for one in batch.inputs]
        )
        backbone = Backbone(model)
        assert backbone.prefix_sharing.is_used, backbone.prefix_sharing.reason
        found = backbone(batch, reads="last").last()
        whole = backbone(dataclasses.replace(batch, shares_prefixes=False), reads="last").last()
    assert (found - expected).abs().max() <= 1e-5
    assert (found - whole).abs().max() <= 1e-5


@interface
def test_each_beginning_runs_once() -> None:
    rows: list[int] = []
    model = decoder("qwen3")
    model.layers[0].self_attn.q_proj.register_forward_hook(
        lambda _module, given, _out: rows.append(given[0].shape[:-1].numel())
    )
    backbone = Backbone(model)
    rests = [some(n + 1) for n in range(20)]
    # A first token of their own: the beginning ends there.
    batch = batch_of(*([*FIRST, 5 + n, *rest] for n, rest in enumerate(rests)))
    rows.clear()
    with torch.inference_mode():
        backbone(batch, reads="last")
        backbone(dataclasses.replace(batch, shares_prefixes=False), reads="last")
        backbone(batch, reads="all")
    n_rests = sum(len(rest) + 1 for rest in rests)
    assert rows == [len(FIRST) + n_rests, 20 * len(FIRST) + n_rests, 20 * len(FIRST) + n_rests]


@interface
def test_bfloat16() -> None:
    model = decoder("qwen3").to(torch.bfloat16)
    backbone = Backbone(model)
    assert backbone.prefix_sharing.is_used
    batch = BATCHES["several queries"]
    with torch.inference_mode():
        found = backbone(batch, reads="last").last()
        whole = backbone(dataclasses.replace(batch, shares_prefixes=False), reads="last").last()
    assert (found - whole).abs().max() <= 0.1


@interface
def test_a_model_that_looks_both_ways_shares_nothing(caplog: pytest.LogCaptureFixture) -> None:
    model = decoder("llama")
    for layer in model.layers:
        layer.self_attn.is_causal = False
    # A trial against one by one would find it causal there: transformers' own mask does not ask the layers.
    with caplog.at_level(logging.INFO, logger="rerank_plugins"):
        candidate = packed._PackedByInterface(model)
        candidate.try_sharing(batch_of(list(range(5, 14))))
    assert not candidate.prefix_sharing.is_used
    assert "looks both ways" in candidate.prefix_sharing.reason
    assert "runs every input whole" in caplog.text


@interface
def test_sharing_that_gives_other_numbers_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    class LosesAToken(packed.PackedRow):
        """Each text sees its prefix but for the last token."""

        @cached_property
        def runs(self) -> list[Run]:
            return [
                run if run.prefix is None else run._replace(prefix=(run.prefix[0], run.prefix[1] - 1))
                for run in super().runs
            ]

    monkeypatch.setattr(packed, "PackedRow", LosesAToken)
    # Under a name of its own: the interface's registry belongs to the whole process.
    monkeypatch.setattr(packed, "_NAME", "rerank_plugins_packed_forgetful")
    backbone = Backbone(decoder("qwen3"))
    assert not backbone.is_padded
    assert backbone.prefix_sharing.reason == "a trial at load gave other numbers"
    batch = BATCHES["one query"]
    with torch.inference_mode():
        assert torch.isfinite(backbone(batch, reads="last").last()).all()


@interface
def test_soft_caps_are_padded_and_share_nothing() -> None:
    backbone = Backbone(decoder("gemma2", query_pre_attn_scalar=8))
    assert backbone.is_padded
    assert backbone.prefix_sharing.reason == "its batches are padded"
