"""What is read of answers: right ones, wrong ones, and anything at all."""

from __future__ import annotations

import json
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank_plugins.chat.reading import read_grade, read_label, read_order, yes_probability

ORDERS = [
    ("[3] > [1] > [2] > [4]", [3, 1, 2, 4]),
    ("[3] > [1]", [3, 1, 2, 4]),
    ("Out of the 4 passages, [2] > [1]", [2, 1, 3, 4]),
    ("Here is the ranking:\n[4] > [3] > [2] > [1]\nI hope that helps with your 2 questions.", [4, 3, 2, 1]),
    ('{"ranking": [2, 1]}', [2, 1, 3, 4]),
    ('```json\n{"ranking": [2, 1, 4, 3]}\n```', [2, 1, 4, 3]),
    ('The answer: {"ranking": ["[4]", "2", 3.0]} as asked', [4, 2, 3, 1]),
    ('{"ranked_document_ids": [4, 2]}', [4, 2, 1, 3]),
    ('{"ranking": [{"id": 4}, {"id": 2}]}', [4, 2, 1, 3]),
    ("[2, 1, 3]", [2, 1, 3, 4]),
    ("[[2, 1, 3]]", [2, 1, 3, 4]),
    ("{'ranking': [2, 1]}", [2, 1, 3, 4]),
    ("[2] = [1] > [3]", [2, 1, 3, 4]),
    ("<think>[1] > [2] > [3] > [4] at first</think>[4] > [3]", [4, 3, 1, 2]),
    ("I thought [1] > [2] > [3] > [4].</think>[4] > [3]", [4, 3, 1, 2]),
    ("[THINK][1] > [2] > [3] > [4] at first[/THINK][4] > [3]", [4, 3, 1, 2]),
    ("<reasoning>[1] > [2] > [3] > [4] at first</reasoning>[4] > [3]", [4, 3, 1, 2]),
    ("［３］＞［１］", [3, 1, 2, 4]),
    ("[2²] > [4] > [1]", [4, 1, 2, 3]),
    ("[2]-[4]", [2, 3, 4, 1]),
    ("[2-4] > [1]", [2, 3, 4, 1]),
    ("[4-2]", [4, 3, 2, 1]),
    ("First [1] > [2] > [3] > [4]; no, [4] > [3] > [2] > [1].", [4, 3, 2, 1]),
    ("[2]: it answers the query\n[1]: it does not", [2, 1, 3, 4]),
    ("Doc: 2, Relevance: 9\nDoc: 1, Relevance: 7", [2, 1, 3, 4]),
    ("1. Passage 3\n2. Passage 1", [3, 1, 2, 4]),
    ("3 > 1 > 2", [3, 1, 2, 4]),
    ("3, 1, 2", [3, 1, 2, 4]),
    ("Ranking: 3 1 2 4", [3, 1, 2, 4]),
    ("2", [2, 1, 3, 4]),
    ("[2] > [2] > [9] > [0] > [1]", [2, 1, 3, 4]),
    ("- [3]\n- [1]\n- [2]\n- [4]", [3, 1, 2, 4]),
    ("- 3\n- 1\n- 2\n- 4", [3, 1, 2, 4]),
    ("1. [3]\n2. [1], [2]\n3. [4]", [3, 1, 2, 4]),
    ("1) 3\n2) 1\n3) 2\n4) 4", [3, 1, 2, 4]),
    ("[3] - [1] - [2] - [4]", [3, 1, 2, 4]),
    ("[3] to [1] to [2]", [3, 1, 2, 4]),
    ("[4] > [1]-[3]", [4, 1, 2, 3]),
    ("[2]\u2013[4]", [2, 3, 4, 1]),
    ("3 > 1 = 4 > 2.", [3, 1, 4, 2]),
    ("The order is 3, 1, 4, and 2.", [3, 1, 4, 2]),
    ("\u30103\u3011>\u30101\u3011>\u30102\u3011", [3, 1, 2, 4]),
    ("[[1, 2, 3, 4], [4, 3, 2, 1]]", [4, 3, 2, 1]),
    ("[[3], [1, 4], [2]]", [3, 1, 4, 2]),
    ('{"ranking": [[3], [1, 4], 2]}', [3, 1, 4, 2]),
    ('```json\n["3", "1"]\n```', [3, 1, 2, 4]),
    ('In order: [{"id": 3, "score": 0.9}, {"id": 1}]. Done.', [3, 1, 2, 4]),
    ('{"answers": [{"id": 3}, {"id": 1}], "n": 2} as asked', [3, 1, 2, 4]),
    ('{"parts": ["a 1", "b 2"], "order": ["[4]", "[2]"]}', [4, 2, 1, 3]),
    ('{"analysis": ["Passage 1 is old", "Passage 2 of 3"], "order": [4, 2]}', [4, 2, 1, 3]),
    ('{"scores": [0.1, 0.9], "notes": [], "order": ["[4]", "doc 2"]}', [4, 2, 1, 3]),
    ('{"ranking": ["Passage 4, since 1990", "Passage 2"], "seen": [1, 2, 3, 4]}', [4, 2, 1, 3]),
    ('{"ranking": ["-1", "4", "doc-2", "3"]}', [4, 2, 3, 1]),
]


@pytest.mark.parametrize(("text", "expected"), ORDERS, ids=range(len(ORDERS)))
def test_orders(text: str, expected: list[int]) -> None:
    assert read_order(text, 4).value == [one - 1 for one in expected]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I cannot rank these 4 passages.",
        "none of them",
        "[0] > [9]",
        "<think>[1] > [2]",
        "[]",
        "{}",
        '{"ranking": []}',
        "4.5",
    ],
)
def test_no_order(text: str) -> None:
    read = read_order(text, 4)
    assert read.value is None
    assert read.fault


def test_what_was_put_right_is_counted() -> None:
    read = read_order("[2] > [2] > [9] > [0] > [1]", 4)
    assert (read.missing, read.unknown, read.doubled, read.fault) == (2, 2, 1, "")
    assert read_order("[2]", 4).fault == "it names 1 of the 4 passages"


PIECES = [
    "[",
    "]",
    ">",
    ",",
    "-",
    "1",
    "2",
    "17",
    "99999999",
    "{",
    "}",
    '"ranking":',
    "<think>",
    "</think>",
    "²",
    "\n",
    " ",
    "Passage",
    "A",
    "no",
    "```",
    "[3]",
    "1-5",
    "[1]-[9]",
]
WORDS = st.sampled_from(PIECES)
ANSWERS = st.one_of(
    st.text(max_size=300), st.lists(WORDS, max_size=60).map("".join), st.lists(WORDS, max_size=60).map(" ".join)
)


@given(text=ANSWERS, n=st.integers(1, 30))
@settings(derandomize=True, deadline=None, max_examples=300)
def test_any_answer_is_an_order_or_none(text: str, n: int) -> None:
    read = read_order(text, n)
    assert read.value is None or sorted(read.value) == list(range(n))
    assert 0 <= read.missing <= n
    assert min(read.unknown, read.doubled) >= 0


@given(text=ANSWERS)
@settings(derandomize=True, deadline=None, max_examples=200)
def test_any_answer_is_a_label_a_grade_or_none(text: str) -> None:
    assert read_label(text, ["A", "B", "C"]).value in (None, 0, 1, 2)
    grade = read_grade(text, 10).value
    assert grade is None or 0 <= grade <= 10


def test_ten_thousand_answers_at_random() -> None:
    draw = random.Random(7)
    pieces = [*PIECES, *map(chr, range(32, 127))]
    for _ in range(10_000):
        n = draw.randrange(1, 31)
        text = draw.choice(["", " "]).join(draw.choices(pieces, k=draw.randrange(50)))
        read = read_order(text, n)
        assert read.value is None or sorted(read.value) == list(range(n))


@given(order=st.permutations(range(1, 13)), form=st.sampled_from(["brackets", "json", "commas", "code"]))
@settings(derandomize=True, deadline=None)
def test_a_good_answer_is_read_as_it_stands(order: list[int], form: str) -> None:
    texts = {
        "brackets": " > ".join(f"[{one}]" for one in order),
        "json": json.dumps({"ranking": order}),
        "commas": ", ".join(map(str, order)),
        "code": f"```\n{json.dumps(order)}\n```",
    }
    read = read_order(texts[form], 12)
    assert read.value == [one - 1 for one in order]
    assert (read.missing, read.unknown, read.doubled, read.fault) == (0, 0, 0, "")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 50_000,
        "9" * 100_000,
        "[1] > " * 50_000,
        "<think>" * 20_000,
        "1-" * 50_000,
        '{"ranking": [' + "9" * 6_000 + "]}",
        '{"ranking": [1e999]}',
        # Models that are held to JSON may say spaces until they are stopped.
        "[1]" + " " * 99_000 + "x [2]",
        "[1]" + ">" * 99_000 + "x [2]",
        "passage" + " " * 99_000 + "x",
        "document" + "\n" * 99_000 + "x",
        "```json" + " " * 90_000 + "x",
        "```" + "a" * 90_000,
        "1" + " " * 99_000 + "x",
        "A" + "\n" * 99_000 + "x",
        "A:" + "," * 99_000 + "x",
        "1." + "1" * 99_000 + "x",
    ],
    ids=range(18),
)
def test_hostile_answers_end_soon(text: str) -> None:
    start_s = time.perf_counter()
    read = read_order(text, 5)
    assert read.value is None or sorted(read.value) == list(range(5))
    read_label(text, ["A", "B"])
    read_grade(text, 10)
    assert time.perf_counter() - start_s < 10.0  # it took one or two minutes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A", 0),
        ("Passage B", 1),
        ("b", 1),
        ("B.", 1),
        ("**B**", 1),
        ('{"best": "B"}', 1),
        ("The answer is Passage: B", 1),
        ("Passage B, since passage B says so", 1),
        ("Passage A is less relevant than Passage B", None),
        ("The passage a reader wants is B", None),
        ("Passage A or B", None),
        ("Passage A and B are equally relevant", None),
        ("Passage B, I think", 1),
        ("Passage B, a text about it", 1),
        ("B\nThe passage a reader wants", 1),
        ('{"reasoning": "Passage A is off topic", "choice": "B"}', 1),
        ('{"result": {"best": ["Passage B"]}}', 1),
        ('{"why": "Passage A is off topic", "more": "yes"}', None),
        ('{"first": "A", "second": "B"}', None),
        ("A, B", None),
        ("A\nB", None),
        ("[A]-[B]", None),
        ("A: 3\nB: 5", None),
        ('["B", "A"]', None),
        ('{"best": "B, A"}', None),
        ("B, B.", 1),
        ("B, a good text", 1),
        ("B: it says, in short, why", 1),
        ("B\n\nA: off topic\nB: the answer", 1),
        ("Neither", None),
        ("A passage", None),
        ("C", None),
        ("", None),
        ("Both", None),
    ],
)
def test_labels(text: str, expected: int | None) -> None:
    assert read_label(text, ["A", "B"]).value == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", 7),
        ("7.5", 7.5),
        ("7/10", 7),
        ("8 out of 10", 8),
        ("Relevance: 7", 7),
        ('{"grade": 7}', 7),
        ('{"grade": "7"}', 7),
        ("10", 10),
        ("0", 0),
        ("3 or 4", None),
        ("9.123456789", 9.123456789),
        ("7.5 / 10.0", 7.5),
        ('{"reasoning": "it names 3 pandas", "final": 7.123456789}', 7.123456789),
        ("7.5%", None),
        ("7 %", None),
        ("7.5th", None),
        ("11", None),
        ("-3", None),
        ("high", None),
        ("", None),
        ('{"grade": true}', None),
        ('{"reasoning": "it names 3 pandas", "final": 7}', 7),
        ('{"reasoning": "3 pandas", "final": "7/10"}', 7),
        ('{"result": {"grade": [7]}}', 7),
        ('{"a": 3, "b": 7}', None),
        ("7-8", None),
        ("7%", None),
        ('{"grade": 1e999}', None),
    ],
)
def test_grades(text: str, expected: float | None) -> None:
    assert read_grade(text, 10).value == expected


def test_yes_and_no_in_all_spellings() -> None:
    found = {"Yes": -1.0, " yes": -1.0, "\u2581YES": -1.0, "No": -1.0, "Maybe": 0.0}
    assert yes_probability(found) == pytest.approx(0.75)
    assert yes_probability({"Maybe": -0.1}) is None
    assert yes_probability({"yes": -0.1}) == 1.0
    assert yes_probability({"no": float("-inf"), "yes": float("-inf")}) is None
    for no_number in (None, "-0.1", float("nan")):
        assert yes_probability({"no": -0.1, "yes": no_number, 7: -0.2}) is None  # type: ignore[dict-item]
    assert yes_probability({"no": -(10**400), "yes": -0.1}) == 1.0
