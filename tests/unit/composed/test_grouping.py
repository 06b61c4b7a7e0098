"""What the stages of a cascade and the members of an ensemble took together: calls of chat models and services too."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
from chat_models import OracleChat
from lengths import Numbers

from rerank_plugins import Cascade, ChatScorer, Ensemble, Reranker
from rerank_plugins.backends.protocol import ScoreOptions
from rerank_plugins.composed.cascade import CascadeScorer
from rerank_plugins.composed.ensemble import EnsembleScorer
from rerank_plugins.composed.grouping import stage_usage, summed_usage
from rerank_plugins.types import CallUsage, ChatUsage, RemoteUsage

DOCUMENTS = ["1 5", "2 9", "3 1"]


def usage_of(*, chat: ChatUsage | None = None, remote: RemoteUsage | None = None) -> CallUsage:
    return CallUsage(
        tokenize_ms=1.0, queue_ms=2.0, forward_ms=3.0, inputs=4, tokens=5, reused_inputs=6, chat=chat, remote=remote
    )


def test_calls_and_costs_of_all_stages_add_up() -> None:
    plain, asked = usage_of(), usage_of(chat=ChatUsage(calls=2, missing=1, cost=0.25))
    remote = usage_of(remote=RemoteUsage(requests=1, tokens=7, cost=0.5))
    both = usage_of(chat=ChatUsage(calls=3, is_estimate=True), remote=RemoteUsage(requests=2, searches=1))
    stages = [stage_usage(str(place), 1, 1.0, "", one) for place, one in enumerate([plain, asked, remote, both])]
    whole = summed_usage([*stages, stage_usage("late", 1, 1.0, "late")], n_stages=5, n_inputs=4)
    assert whole.chat == ChatUsage(calls=5, missing=1, cost=0.25, is_estimate=True)
    assert whole.remote == RemoteUsage(requests=3, tokens=7, searches=1, cost=0.5)
    nothing = summed_usage([stage_usage("a", 1, 1.0, "", plain)], n_stages=1, n_inputs=1)
    assert (nothing.chat, nothing.remote) == (None, None)


@pytest.mark.parametrize("composed", [Cascade, Ensemble])
def test_a_cascade_and_an_ensemble_tell_what_their_chat_models_were_asked(composed: type[Cascade | Ensemble]) -> None:
    alone = Reranker(backend=ChatScorer(OracleChat())).rank("q", DOCUMENTS).usage
    made = composed([Numbers(0), ChatScorer(OracleChat())])
    usage = made.rank("q", DOCUMENTS).usage
    assert alone is not None
    assert usage is not None
    assert alone.chat is not None
    assert usage.chat is not None
    assert asdict(usage.chat) == asdict(alone.chat)
    assert usage.chat.calls == 1
    # A cascade within a cascade tells it too.
    outer = Cascade([Numbers(0), made]).rank("q", DOCUMENTS).usage
    assert outer is not None
    assert outer.chat == usage.chat


@pytest.mark.parametrize(("composed", "read"), [(CascadeScorer, [6, 2]), (EnsembleScorer, [6, 6])])
def test_a_model_that_is_in_two_stages_is_told_for_each(composed: Any, read: list[int]) -> None:
    pairs = [(query, one) for query in ("q", "r") for one in DOCUMENTS]
    scorer = composed([(Numbers(0, name="same"), 3), (Numbers(1, name="same"), 1)])
    usage = scorer.score(pairs, ScoreOptions()).usage
    assert [(one.name, one.documents) for one in usage.stages] == [("same", n) for n in read]
