"""What came of failed calls of a chat model is in the results, told of, and not kept for the next run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tiny import tiny_dataset, tiny_options

from rerank_plugins import ChatScorer
from rerank_plugins.backends import named
from rerank_plugins.chat import ChatAnswer, ChatMessage, ChatOptions, SimpleChatModel
from rerank_plugins.evaluation.grid import run_evaluation


class Flaky(SimpleChatModel):
    """Answers with a grade, or with a list from the last to the first; while it is down, only every third time."""

    name = "flaky"

    def __init__(self) -> None:
        self.is_down, self.calls = True, 0

    def complete(self, messages: Sequence[ChatMessage], options: ChatOptions) -> ChatAnswer:
        self.calls += 1
        if self.is_down and self.calls % 3:
            raise TimeoutError
        found = re.findall(r"\[(\d+)\]", "".join(one.content for one in messages if "passage-" in one.content))
        return ChatAnswer(text=" > ".join(f"[{one}]" for one in found[::-1]) or "5")


@pytest.mark.parametrize("method", ["listwise", "pointwise"])
def test_a_second_run_asks_again_what_failed(
    checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: Any
) -> None:
    model = Flaky()
    monkeypatch.setattr(named, "_OPENERS", {("reranker", "flaky"): lambda _: ChatScorer(model, method=method)})
    options = tiny_options(
        checkpoints, retrievers=("bm25",), rerankers=("flaky",), top_ks=(4,), top_ns=(3,), device=None
    )

    def measured(folder: str) -> list[Any]:
        results = run_evaluation([tiny_dataset()], options, tmp_path / folder)
        return [cell.measures for cell in results.cells]

    measured("kept")
    model.is_down = False
    whole = measured("new")
    assert measured("kept") == whole
    n_calls = model.calls
    assert measured("kept") == whole
    assert model.calls == n_calls, "nothing is asked a third time"
