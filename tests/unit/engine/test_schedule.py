"""The schedule, on random calls: nothing lost, nothing twice, fair turns, options apart, budgets kept."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sum_scorer import token_input

from rerank_plugins.engine.budget import TokenBudget
from rerank_plugins.engine.calls import Call, Piece
from rerank_plugins.engine.schedule import MERGED_BUDGETS, PIECE_BUDGETS, Schedule
from rerank_plugins.types import EngineOptions

BUDGET = 16
CALLS = st.lists(
    st.fixed_dictionaries(
        {
            "lengths": st.lists(st.integers(1, 2 * BUDGET), min_size=1, max_size=60),
            "options": st.sampled_from(["a", "b"]),
            "max_batch_tokens": st.sampled_from([None, None, 8]),
        }
    ),
    min_size=1,
    max_size=8,
)
_property = settings(derandomize=True, deadline=None, max_examples=150)


def made(asked: dict[str, Any]) -> Call:
    inputs = [token_input(number, *[0] * (length - 1)) for number, length in enumerate(asked["lengths"])]
    limits = EngineOptions(max_batch_tokens=asked.get("max_batch_tokens"), max_wait_ms=asked.get("max_wait_ms", 0.0))
    call = Call(inputs, options=asked.get("options", "a"), limits=limits, known=None)
    call.cut(PIECE_BUDGETS * TokenBudget(BUDGET).capped(limits.max_batch_tokens))
    return call


def filled(calls: list[Call]) -> Schedule:
    schedule = Schedule(TokenBudget(BUDGET))
    for call in calls:
        schedule.add(call)
    return schedule


def rounds(schedule: Schedule) -> list[list[Piece]]:
    taken = []
    while len(schedule):
        taken.append(schedule.take())
    return taken


def limit_of(call: Call) -> int:
    return MERGED_BUDGETS * TokenBudget(BUDGET).capped(call.limits.max_batch_tokens)


@_property
@given(asked=CALLS)
def test_nothing_is_lost_and_nothing_runs_twice(asked: list[dict[str, Any]]) -> None:
    calls = [made(one) for one in asked]
    ran = Counter((id(piece.call), index) for one in rounds(filled(calls)) for piece in one for index in piece.indices)
    assert ran == Counter((id(call), index) for call in calls for index in range(len(call.unique)))
    assert all(call.is_running and call.waiting_tokens == 0 for call in calls)


@_property
@given(asked=CALLS)
def test_options_are_not_mixed_and_budgets_are_kept(asked: list[dict[str, Any]]) -> None:
    for pieces in rounds(filled([made(one) for one in asked])):
        first = pieces[0].call
        assert {piece.call.merge_key for piece in pieces} == {first.merge_key}
        tokens = [piece.tokens for piece in pieces]
        assert tokens == [sum(map(len, piece.inputs)) for piece in pieces]
        assert len(pieces) == 1 or sum(tokens) <= limit_of(first), "only a piece alone may be larger"


@_property
@given(asked=CALLS)
def test_turns_are_fair(asked: list[dict[str, Any]]) -> None:
    """The first call always runs, each call at most once a round, and whoever has run stands behind all who have not.

    So a call waits for at most one piece of each call before it.
    """
    calls = [made(one) for one in asked]
    schedule, order = filled(calls), list(calls)
    while len(schedule):
        pieces = schedule.take()
        chosen = [piece.call for piece in pieces]
        assert chosen[0] is order[0]
        assert len({id(call) for call in chosen}) == len(chosen)
        assert [call for call in order if call in chosen] == chosen, "company comes in the order of turns"
        order = [call for call in order if call not in chosen] + [call for call in chosen if call.waiting]
        assert len(schedule) == len(order)


@_property
@given(asked=CALLS)
def test_whoever_fits_is_not_left_out(asked: list[dict[str, Any]]) -> None:
    calls = [made(one) for one in asked]
    schedule, order = filled(calls), list(calls)
    while len(schedule):
        heads = {id(call): call.waiting[0].tokens for call in order}
        pieces = schedule.take()
        chosen = [piece.call for piece in pieces]
        tokens = 0
        for call in order:
            if call in chosen:
                tokens += heads[id(call)]
            elif call.merge_key == chosen[0].merge_key:
                assert tokens + heads[id(call)] > limit_of(chosen[0]) or tokens >= limit_of(chosen[0])
        order = [call for call in order if call not in chosen] + [call for call in chosen if call.waiting]


@_property
@given(asked=CALLS, data=st.data())
def test_calls_that_were_given_up_are_taken_out_and_no_others(asked: list[dict[str, Any]], data: st.DataObject) -> None:
    calls = [made(one) for one in asked]
    given_up = [call for call in calls if data.draw(st.booleans())]
    for call in given_up:
        call.reply.cancel()
    schedule = filled(calls)
    assert schedule.drop_cancelled() == given_up
    assert schedule.drop_cancelled() == []
    ran = {id(piece.call) for one in rounds(schedule) for piece in one}
    assert ran == {id(call) for call in calls} - {id(call) for call in given_up}


def test_a_short_call_waits_for_one_piece_of_a_long_one() -> None:
    long, short = made({"lengths": [BUDGET] * 40}), made({"lengths": [3]})
    assert len(long.waiting) == 40 / PIECE_BUDGETS
    first, second, *_ = rounds(filled([long, short]))
    assert [piece.call for piece in first] == [long]
    assert second[0].call is short


def test_company_is_waited_for_only_where_a_call_says_so_and_its_batch_has_room() -> None:
    patient = {"lengths": [4], "max_wait_ms": 1e6}
    assert filled([made({"lengths": [4]})]).remaining_wait_s() == 0.0
    assert 900.0 < filled([made(patient)]).remaining_wait_s() <= 1000.0
    assert filled([made({**patient, "lengths": [BUDGET]})]).remaining_wait_s() == 0.0
    assert filled([made(patient), made({"lengths": [BUDGET - 4]})]).remaining_wait_s() == 0.0
    other = made({"lengths": [BUDGET], "options": "b"})
    assert filled([made(patient), other]).remaining_wait_s() > 900.0, "another's options fill no batch of this one"
