"""What a call took, put together from its groups."""

from __future__ import annotations

import numpy as np
import pytest
from sum_scorer import token_input

from rerank_plugins.engine.calls import Answer, usage_of_all
from rerank_plugins.types import CallUsage


def answer(*, queue_s: float, forward_s: float, reused: int) -> Answer:
    return Answer(np.zeros((1, 1), dtype=np.float32), queue_s, forward_s, reused)


def test_groups_queue_until_the_first_starts_and_run_until_the_last_is_there() -> None:
    # From 0.25 s to 0.75 s, and from 1 s to 3 s.
    answers = [answer(queue_s=0.25, forward_s=0.5, reused=2), answer(queue_s=1.0, forward_s=2.0, reused=1)]
    inputs = [token_input(1, 2), token_input(3), token_input(4, 5, 6)]
    expected = CallUsage(tokenize_ms=500.0, queue_ms=250.0, forward_ms=2750.0, inputs=3, tokens=6, reused_inputs=3)
    assert usage_of_all(answers, inputs, tokenize_s=0.5) == expected
    assert usage_of_all(answers[::-1], inputs, tokenize_s=0.5) == expected


def test_a_call_without_inputs_took_no_time_in_the_engine() -> None:
    usage = usage_of_all([], [], tokenize_s=0.25)
    assert usage.tokenize_ms == pytest.approx(250.0)
    assert (usage.queue_ms, usage.forward_ms, usage.inputs, usage.tokens, usage.reused_inputs) == (0.0, 0.0, 0, 0, 0)
