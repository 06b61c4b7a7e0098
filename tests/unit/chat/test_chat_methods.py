"""Each method with a model that knows, one that does not, and the prompts as they were published."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from chat_models import OracleChat, ScriptedChat, UnreliableChat, overlap, said

from rerank_plugins import ChatScorer, ChatUsage, Reranker
from rerank_plugins.chat import ChatAnswer, ChatLimits, Listwise, Pairwise, PassagePrompt, Pointwise, Setwise
from rerank_plugins.chat.prompts import GRADE, PAIRWISE, RANK_GPT, RANK_ZEPHYR, SETWISE, YES_NO, ListPrompt
from rerank_plugins.errors import InvalidInputError, ScoringError

QUERY = "what does the panda eat"
COMPARING = [
    Listwise(passes=4),
    Setwise(top_k=40),
    Setwise(children=2, top_k=40),
    Pairwise(top_k=40),
    Pairwise(sort="heap", top_k=40),
    Pairwise(sort="all"),
]


def documents(n: int, *, seed: int = 3) -> list[str]:
    draw = random.Random(seed)
    words = ["panda", "eat", "the", "bamboo", "river", "moon"]
    return [f"{' '.join(draw.choices(words, k=1 + number))} number{number}" for number in range(n)]


def best_first(texts: list[str]) -> list[int]:
    return sorted(range(len(texts)), key=lambda one: -overlap(QUERY, texts[one]))


def order(reranker: Reranker, texts: list[str]) -> list[int]:
    return [one.index for one in reranker.rank(QUERY, texts)]


@pytest.mark.parametrize("method", COMPARING, ids=str)
@pytest.mark.parametrize("offers_schema", [False, True])
def test_a_model_that_knows_gives_the_right_order(method: Any, offers_schema: bool) -> None:
    texts = documents(12)
    reranker = Reranker(backend=ChatScorer(OracleChat(offers_schema=offers_schema), method=method))
    ranking = reranker.rank(QUERY, texts)
    assert [one.index for one in ranking] == best_first(texts)
    assert [one.score for one in ranking] == [1.0 / rank for rank in range(1, 13)]
    assert ranking.usage is not None
    chat = ranking.usage.chat
    assert chat is not None
    assert (chat.failed_calls, chat.repair_calls, chat.unread_answers, chat.missing) == (0, 0, 0, 0)


@pytest.mark.parametrize("n", [1, 2, 10, 19, 20, 21, 25, 30])
def test_listwise_finds_the_ten_best_in_one_pass(n: int) -> None:
    texts, model = documents(n), OracleChat()
    found = order(Reranker(backend=ChatScorer(model)), texts)
    assert found[:10] == best_first(texts)[:10]
    assert model.calls == (0 if n == 1 else 1 if n <= 20 else -(-(n - 20) // 10) + 1)


def test_a_pass_that_changes_nothing_is_the_last() -> None:
    texts = sorted(documents(25), key=lambda text: -overlap(QUERY, text))
    model = OracleChat()
    assert order(Reranker(backend=ChatScorer(model, method=Listwise(passes=9))), texts) == list(range(25))
    assert model.calls == 2


@pytest.mark.parametrize(
    "method", [Listwise(), Setwise(), Pairwise(), Pairwise(sort="heap"), Pairwise(sort="all"), Pointwise()], ids=str
)
@pytest.mark.parametrize("answer", ["", "I am sorry, I cannot do that.", "Passage A", '{"ranking": [', "7 or 8"])
def test_what_cannot_be_read_keeps_the_order(method: Any, answer: str) -> None:
    """A model that always prefers the first of two says nothing either, when both orders are asked."""
    if isinstance(method, Setwise) and answer == "Passage A":
        pytest.skip("an answer")
    model = ScriptedChat(lambda _: answer)
    ranking = Reranker(backend=ChatScorer(model, method=method)).rank(QUERY, documents(12))
    assert [one.index for one in ranking] == list(range(12))


def test_with_the_top_k_the_rest_stays_as_it_came() -> None:
    texts = documents(12)
    for method in (Setwise(top_k=3), Pairwise(top_k=3), Pairwise(sort="heap", top_k=3)):
        found = order(Reranker(backend=ChatScorer(OracleChat(), method=method)), texts)
        assert found[:3] == best_first(texts)[:3]
        assert found[3:] == sorted(found[3:])


@pytest.mark.parametrize(
    ("method", "calls"),
    [(Pairwise(sort="all"), 12 * 11), (Pointwise(answer="grade"), 12), (Listwise(window=4, step=2), 5)],
)
def test_calls_are_those_of_the_formula(method: Any, calls: int) -> None:
    model = OracleChat()
    Reranker(backend=ChatScorer(model, method=method)).rank(QUERY, documents(12))
    assert model.calls == calls


def test_pairs_are_asked_in_both_orders() -> None:
    model = ScriptedChat(lambda _: "Passage A")
    Reranker(backend=ChatScorer(model, method="pairwise", is_fenced=False)).rank(QUERY, ["one", "two"])
    prompts = sorted(said(one) for one in model.asked)
    assert ['A: "one"' in one for one in prompts] == [True, False]
    assert ['A: "two"' in one for one in prompts] == [False, True]


def test_yes_and_no_by_log_probabilities() -> None:
    def answer(messages: Any) -> ChatAnswer:
        prompt = said(messages)
        yes = -0.1 if "bamboo" in prompt else -3.0
        return ChatAnswer(text="Yes", logprobs={"Yes": yes, " no": -1.0, "Perhaps": -0.5})

    model = ScriptedChat(answer)
    ranking = Reranker(backend=ChatScorer(model, method="pointwise")).rank(QUERY, ["moon", "bamboo"])
    assert [one.index for one in ranking] == [1, 0]
    assert [one.score for one in ranking] == pytest.approx([0.7109495, 0.1192029])
    assert all((one.max_tokens, one.top_logprobs, one.schema) == (1, 20, None) for one in model.options)


def test_without_log_probabilities_the_model_grades_and_is_asked_in_vain_once() -> None:
    model = OracleChat()
    reranker = Reranker(backend=ChatScorer(model, method="pointwise"))
    texts = documents(6)
    assert order(reranker, texts) == best_first(texts)
    assert model.calls == 7
    order(reranker, texts)
    assert model.calls == 13


def test_no_log_probabilities_where_they_are_needed() -> None:
    reranker = Reranker(backend=ChatScorer(OracleChat(), method=Pointwise(answer="yes_no")))
    with pytest.raises(ScoringError, match=r"tells no log-probabilities.*answer='grade'"):
        reranker.rank(QUERY, ["one", "two"])


def test_neither_yes_nor_no_is_graded() -> None:
    model = ScriptedChat(
        lambda messages: (
            ChatAnswer(text="Hm", logprobs={"Hm": -0.1}) if "Answer 'Yes'" in said(messages) else ChatAnswer(text="6")
        )
    )
    (one,) = Reranker(backend=ChatScorer(model, method="pointwise")).rank(QUERY, ["one"])
    assert one.score == 0.6


def test_an_answer_that_says_neither_counts_as_unread_where_no_grades_follow() -> None:
    model = ScriptedChat(
        lambda messages: ChatAnswer(
            text="",
            logprobs=None if "silent" in said(messages) else {"Hm" if "vague" in said(messages) else "No": -0.1},
        )
    )
    reranker = Reranker(backend=ChatScorer(model, method=Pointwise(answer="yes_no")))
    ranking = reranker.rank(QUERY, ["vague", "clear", "silent"])
    assert [one.score for one in ranking] == [0.0] * 3
    assert ranking.usage is not None
    assert ranking.usage.chat is not None
    assert (ranking.usage.chat.calls, ranking.usage.chat.unread_answers) == (3, 2)


def test_a_bad_answer_is_asked_for_once_more() -> None:
    answers = iter(["I would say the first.", "[2] > [1]"])
    model = ScriptedChat(lambda _: next(answers))
    ranking = Reranker(backend=ChatScorer(model)).rank(QUERY, ["one", "two"])
    assert [one.index for one in ranking] == [1, 0]
    assert ranking.usage is not None
    assert ranking.usage.chat is not None
    assert (ranking.usage.chat.calls, ranking.usage.chat.repair_calls, ranking.usage.chat.unread_answers) == (2, 1, 0)
    told = model.asked[1][-1].content
    assert "it names none of the passages" in told
    assert "[1] to [2]" in told
    assert model.asked[1][-2].content == "I would say the first."


def test_no_repairs_where_none_are_wanted() -> None:
    model = ScriptedChat(lambda _: "no")
    Reranker(backend=ChatScorer(model, limits=ChatLimits(repairs=False))).rank(QUERY, ["one", "two"])
    assert len(model.asked) == 1


@pytest.mark.slow
@pytest.mark.parametrize("method", ["listwise", "setwise", "pairwise", "pointwise"])
def test_every_document_comes_back_once_from_a_model_that_fails_in_30_percent(method: Any) -> None:
    """250 rankings for each of four methods: 1,000 of 1,000."""
    model = UnreliableChat(share=0.3, seed=11)
    reranker = Reranker(backend=ChatScorer(model, method=method))
    n = {"listwise": 25, "setwise": 8, "pairwise": 4, "pointwise": 6}[method]
    texts, total = documents(n), ChatUsage()
    for _ in range(250):
        ranking = reranker.rank(QUERY, texts)
        assert sorted(one.index for one in ranking) == list(range(n))
        assert [one.rank for one in ranking] == list(range(1, n + 1))
        assert ranking.usage is not None
        assert ranking.usage.chat is not None
        total += ranking.usage.chat
    assert model.failures > 100
    assert total.calls == model.calls
    assert total.failed_calls > 0
    assert total.repair_calls > 0


PUBLISHED = json.loads((Path(__file__).parent / "published_prompts.json").read_text(encoding="utf-8"))
METHODS_OF = {
    "rank_gpt": Listwise(prompt=RANK_GPT),
    "rank_zephyr": Listwise(prompt=RANK_ZEPHYR),
    "pairwise": Pairwise(),
    "setwise": Setwise(),
    "yes_no": Pointwise(),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_prompts_are_the_published_ones_to_the_letter(name: str) -> None:
    """The file was typed from the publications; what is in braces in a text stays as it is."""
    model = ScriptedChat(lambda _: "[1] > [2] Passage A 7")
    reranker = Reranker(backend=ChatScorer(model, method=METHODS_OF[name], is_fenced=False))
    reranker.rank("a {query}", ["first {num}", "second"])
    asked = [[[one.role, one.content] for one in messages] for messages in model.asked]
    assert PUBLISHED[name] in asked


def _all_asked(method: Any, texts: list[str]) -> list[Any]:
    model = ScriptedChat(lambda _: "Passage A")
    Reranker(backend=ChatScorer(model, method=method, is_fenced=False)).rank("q", texts)
    return model.asked


def test_prompts_are_yours_to_replace() -> None:
    prompt = PassagePrompt(user="Frage: {query}\n{passages}\nA oder B?", passage="{label}) {text}", between="\n")
    asked = _all_asked(Pairwise(prompt=prompt), ["eins", "zwei"])
    assert sorted(said(one) for one in asked)[0] == "Frage: q\nA) eins\nB) zwei\nA oder B?"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PassagePrompt(user="no query {passages}"), "{query}"),
        (lambda: PassagePrompt(user="{query} {passages}", passage="no text"), "{text}"),
        (
            lambda: ListPrompt(before="", after="{query}", after_json="as JSON"),
            "before or after_json must hold {query}",
        ),
        (lambda: ListPrompt(before="", after="order", after_json="{query}"), "before or after must hold {query}"),
        (lambda: Listwise(step=20), "step=20"),
        (lambda: Listwise(window=1), "window"),
        (lambda: Listwise(passes=0), "passes"),
        (lambda: Setwise(children=1), "children"),
        (lambda: Setwise(children=40), "children"),
        (lambda: Pairwise(sort="bubble"), "sort"),  # type: ignore[arg-type]
        (lambda: Pairwise(top_k=0), "top_k"),
        (lambda: ChatLimits(max_calls=0), "max_calls"),
        (lambda: ChatLimits(concurrency=0), "concurrency"),
        (lambda: ChatLimits(timeout_s=0.0), "timeout_s"),
    ],
)
def test_settings_that_cannot_work(make: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message.replace("{", r"\{")):
        make()


@pytest.mark.parametrize("without", ["alpha", "beta"])
@pytest.mark.parametrize("answer", ["auto", "yes_no"])
def test_one_answer_without_log_probabilities_says_nothing_of_the_others(without: str, answer: Any) -> None:
    def reply(messages: Any) -> ChatAnswer:
        if "Answer 'Yes'" not in said(messages):
            return ChatAnswer(text="6")
        return ChatAnswer(text="", logprobs=None if silent and without in said(messages) else {"Yes": -0.1})

    model, silent = ScriptedChat(reply), False
    reranker = Reranker(backend=ChatScorer(model, method=Pointwise(answer=answer)))
    assert reranker.score([("q", "alpha"), ("q", "beta")]) == [1.0, 1.0]
    silent = True
    graded = 0.6 if answer == "auto" else 0.0
    expected = [graded if text == without else 1.0 for text in ("alpha", "beta", "gamma")]
    assert reranker.score([("q", "alpha"), ("q", "beta"), ("q", "gamma")]) == expected
    # Nor of later calls.
    assert reranker.score([("q", "gamma")]) == [1.0]


def test_defaults_are_the_published_prompts() -> None:
    assert (Listwise().prompt, Pairwise().prompt, Setwise().prompt) == (RANK_GPT, PAIRWISE, SETWISE)
    assert (Pointwise().yes_no, Pointwise().grade) == (YES_NO, GRADE)
