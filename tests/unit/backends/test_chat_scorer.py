"""A chat model behind the facade: what works as with any reranker, and what cannot."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
from chat_models import OracleChat, ScriptedChat

from rerank_plugins import Calibration, ChatScorer, InvalidInputError, Reranker, ScoreCache
from rerank_plugins.backends.named import backend_names, register_backend
from rerank_plugins.backends.protocol import PairScorer, SimplePairScorer, reranker_spec
from rerank_plugins.calibration import fit_calibration
from rerank_plugins.calls.observing import CallRecord, add_observer
from rerank_plugins.chat import ChatAnswer, ChatLimits, ChatPrice, ChatTokens, Listwise, Pointwise
from rerank_plugins.training.mining.judges import RerankerJudge

QUERY = "what does the panda eat"
TEXTS = ["the moon", "the panda eats", "", "what does the panda eat and when", None]


def reranker(method: Any = "listwise", *, model: Any = None, **options: Any) -> Reranker:
    return Reranker(backend=ChatScorer(model or OracleChat(), method=method), **options)


@pytest.mark.parametrize("method", ["pointwise", "pairwise", "setwise", "listwise"])
def test_blank_documents_rank_last_and_equal_ones_score_the_same(method: str) -> None:
    ranking = reranker(method).rank(QUERY, [*TEXTS, TEXTS[1]])
    assert [one.index for one in ranking] == [3, 1, 5, 0, 2, 4]
    assert ranking[1].score == ranking[2].score


def test_thresholds_keep_the_first_ranks() -> None:
    texts = [f"panda {'eat ' * number}" for number in range(10)]
    model = OracleChat(query="eat")
    kept = reranker(model=model).rank("eat", texts, threshold=0.2)
    assert [one.rank for one in kept] == [1, 2, 3, 4, 5]
    assert reranker(model=model).rank("eat", texts, threshold=0.2, threshold_unit="raw") == kept


def test_long_documents_are_read_in_windows() -> None:
    texts = ["moon " * 60, "moon " * 50 + "what does the panda eat"]
    cut = reranker(max_length=30).rank(QUERY, texts)
    assert all(one.truncated for one in cut)
    windows = reranker(max_length=30, long_documents="maxp").rank(QUERY, texts)
    assert [one.index for one in windows] == [1, 0]
    assert windows[0].window is not None
    assert "panda" in texts[1][windows[0].window.start : windows[0].window.end]


def test_several_queries_in_one_call_are_ranked_apart() -> None:
    pairs = [("panda", "a panda"), ("moon", "a moon here"), ("panda", "moon"), ("moon", "panda")]
    assert reranker().score(pairs) == [1.0, 1.0, 0.5, 0.5]


@pytest.mark.parametrize("method", ["pairwise", "setwise", "listwise"])
def test_ranks_are_not_cached_calibrated_streamed_or_explained(method: str, tmp_path: Path) -> None:
    calibration = fit_calibration([0.1, 0.2, 0.8, 0.9] * 10, [False, False, True, True] * 10)
    assert isinstance(calibration, Calibration)
    with pytest.raises(InvalidInputError, match=r"cache cannot be used with 'oracle'.*method='pointwise'"):
        reranker(method, cache=ScoreCache())
    with pytest.raises(InvalidInputError, match="calibration cannot be used"):
        reranker(method, calibration=calibration)
    with pytest.raises(InvalidInputError, match=r"score_stream\(\) cannot be used"):
        list(reranker(method).score_stream([("q", "d")]))
    with pytest.raises(InvalidInputError, match=r"explain\(\) cannot be used"):
        reranker(method).explain("q", "some words here")
    with pytest.raises(InvalidInputError, match="score_source cannot be used"):
        _ = reranker(method).score_source
    with pytest.raises(InvalidInputError, match="mining cannot be used"):
        RerankerJudge(reranker(method))


def test_pointwise_scores_are_cached_streamed_and_explained() -> None:
    model, cache = OracleChat(query="panda"), ScoreCache()
    scorer = reranker("pointwise", model=model, cache=cache)
    first = scorer.rank("panda", ["a panda", "the moon"])
    calls = model.calls
    assert scorer.rank("panda", ["a panda", "the moon"]) == first
    assert model.calls == calls
    assert list(scorer.score_stream([("panda", "a panda")])) == [first[0].score]
    assert scorer.explain("panda", "a panda here").score > 0


def test_a_score_that_did_not_come_is_not_cached() -> None:
    answers = iter(["no", "no", "8", "3"])
    model = ScriptedChat(lambda _: next(answers))
    held = Reranker(
        backend=ChatScorer(model, method=Pointwise(answer="grade"), limits=ChatLimits(repairs=False)),
        cache=ScoreCache(),
    )
    assert held.score([("q", "one"), ("q", "two")]) == [0.0, 0.0]
    assert sorted(held.score([("q", "one"), ("q", "two")])) == [0.3, 0.8]


class _Provisional(SimplePairScorer):
    spec = reranker_spec("acme/provisional", score_scope="call")

    def score_texts(self, pairs: Any) -> list[float]:
        return [1.0] * len(pairs)


def test_the_scope_is_any_backends_to_declare() -> None:
    with pytest.raises(InvalidInputError, match="acme/provisional"):
        Reranker(backend=_Provisional(), cache=ScoreCache())
    assert Reranker(backend=_Provisional()).score([("q", "d")]) == [1.0]


def test_usage_has_the_tokens_and_the_cost() -> None:
    price = ChatPrice(prompt_per_million=2.0, answer_per_million=8.0)
    held = Reranker(backend=ChatScorer(OracleChat(), price=price))
    records: list[CallRecord] = []
    remove = add_observer(records.append)
    try:
        ranking = held.rank(QUERY, TEXTS)
    finally:
        remove()
    assert ranking.usage is not None
    chat = ranking.usage.chat
    assert chat is not None
    assert (chat.calls, chat.answer_tokens, chat.is_estimate) == (1, 3, False)
    assert chat.cost == pytest.approx((chat.prompt_tokens * 2.0 + 24.0) / 1e6)
    assert ranking.usage.tokens == chat.prompt_tokens + 3
    assert records[0].usage == ranking.usage
    estimated = Reranker(backend=ChatScorer(ScriptedChat(lambda _: "[1] > [2]"))).rank(QUERY, TEXTS)
    assert estimated.usage is not None
    assert estimated.usage.chat is not None
    assert estimated.usage.chat.is_estimate
    assert estimated.usage.chat.cost is None


@pytest.mark.parametrize("prompt", [None, -5, 2.5, True, "7"])
def test_tokens_that_are_no_counts_are_estimated(prompt: Any) -> None:
    answer = ChatAnswer(text="[1] > [2]", usage=ChatTokens(prompt, 3))
    price = ChatPrice(prompt_per_million=2.0, answer_per_million=8.0)
    ranking = Reranker(backend=ChatScorer(ScriptedChat(lambda _: answer), price=price)).rank(QUERY, TEXTS[:2])
    assert ranking.usage is not None
    chat = ranking.usage.chat
    assert chat is not None
    assert chat.is_estimate
    assert chat.prompt_tokens > 100
    assert chat.cost is not None
    assert chat.cost > 0.0


def test_it_is_a_backend_that_can_be_copied_and_pickled() -> None:
    scorer = ChatScorer(OracleChat(), method=Listwise(window=4, step=2), limits=ChatLimits(concurrency=2))
    assert isinstance(scorer, PairScorer)
    expected = Reranker(backend=scorer).rank(QUERY, TEXTS)
    for held in (pickle.loads(pickle.dumps(Reranker(backend=scorer))), copy.deepcopy(Reranker(backend=scorer))):
        assert held.rank(QUERY, TEXTS) == expected
    assert pickle.loads(pickle.dumps(scorer)).spec == scorer.spec


def test_methods_and_prompts_are_told_apart_by_the_revision() -> None:
    made = [ChatScorer(OracleChat(), method=one) for one in ("pointwise", "listwise", Listwise(window=10, step=5))]  # type: ignore[arg-type]
    made += [ChatScorer(OracleChat(), is_fenced=False), ChatScorer(OracleChat(), temperature=None)]
    assert len({one.spec.revision for one in made}) == 5
    assert [one.spec.score_scope for one in made[:2]] == ["model", "call"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ChatScorer("gpt-4o"), "model must have name"),  # type: ignore[arg-type]
        (lambda: ChatScorer(OracleChat), "model must have name"),  # type: ignore[arg-type]
        (lambda: ChatScorer(OracleChat(), method="best"), "method must be one of"),  # type: ignore[arg-type]
        (lambda: ChatScorer(OracleChat(), method=Listwise), "method must be one of"),  # type: ignore[arg-type]
        (lambda: ChatScorer(OracleChat(), temperature=3.0), "temperature"),
        (lambda: ChatScorer(OracleChat(), limits={}), "limits"),  # type: ignore[arg-type]
    ],
)
def test_bad_arguments(make: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        make()


def test_the_names_are_listed_and_can_be_replaced() -> None:
    assert {"openai-chat", "local-chat"} <= set(backend_names())
    assert "openai-chat" not in backend_names(kind="embedder")
    register_backend("scripted-chat", lambda rest: ChatScorer(ScriptedChat(lambda _: ChatAnswer(text=rest))))
    assert [one.index for one in Reranker("scripted-chat:[2] > [1]").rank("q", ["a", "b"])] == [1, 0]


def test_usages_add_up() -> None:
    one = Reranker(backend=ChatScorer(OracleChat(), price=ChatPrice(prompt_per_million=1.0, answer_per_million=1.0)))
    used = one.rank(QUERY, TEXTS).usage
    assert used is not None
    assert used.chat is not None
    both = used.chat + used.chat
    assert (both.calls, both.cost) == (2, 2 * (used.chat.cost or 0.0))
