"""Prompts tokenised as one text: exact ids, prompts that are never cut, windows that cover, spans that fit."""

from __future__ import annotations

from functools import lru_cache

import pytest
import tiny_rerankers
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank_plugins.catalog.families.monot5 import MONO_T5_PROMPT
from rerank_plugins.catalog.families.qwen3 import QWEN3_CHAT
from rerank_plugins.catalog.templates import PairTemplate
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.text.pair_tokenizer import EncodedPair, PairSettings
from rerank_plugins.text.prompts import fixed_ids
from rerank_plugins.text.tokenizer import TextTokenizer
from rerank_plugins.text.whole_pairs import WholePairTokenizer
from rerank_plugins.types import LongDocuments, LongDocumentStrategy, TruncationRule

PROMPT = "Given a query?"
TEMPLATES = {"qwen3": QWEN3_CHAT, "monot5": MONO_T5_PROMPT}
PIECES = [*"ab?. \n\t:<>鹦鹉é", "e\u0301", "ﬁ", "👍", "<|im_end|>", "</s>", "panda"]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)


@lru_cache
def encoder(kind: str) -> TextTokenizer:
    return TextTokenizer(tiny_rerankers.qwen_tokenizer() if kind == "qwen3" else tiny_rerankers.t5_tokenizer())


def encode(
    kind: str,
    query: str,
    document: str,
    *,
    max_length: int = 4096,
    strategy: LongDocumentStrategy = "truncate",
    truncation: TruncationRule = "end",
    query_limit: int | None = None,
) -> EncodedPair:
    pair_settings = PairSettings(
        max_length_tokens=max_length,
        truncation=truncation,
        query_limit_tokens=query_limit,
        long_documents=LongDocuments(strategy=strategy, overlap_tokens=4),
    )
    (pair,) = WholePairTokenizer(encoder(kind), TEMPLATES[kind], PROMPT, pair_settings).encode([(query, document)])
    return pair


def whole_text(template: PairTemplate, query: str, document: str) -> str:
    return template.query_prefix(PROMPT) + query + template.between + document + template.after_document


def fixed(kind: str) -> tuple[list[int], list[int]]:
    template = TEMPLATES[kind]
    return list(fixed_ids(encoder(kind), template.opening)), list(fixed_ids(encoder(kind), template.closing))


@pytest.mark.parametrize("kind", list(TEMPLATES))
@settings(max_examples=60, deadline=None)
@given(query=TEXTS, document=TEXTS.filter(lambda text: bool(text.strip())))
def test_a_pair_that_fits_has_the_ids_of_the_whole_text(kind: str, query: str, document: str) -> None:
    opening, closing = fixed(kind)
    middle = encoder(kind).encode_one(whole_text(TEMPLATES[kind], query, document)).ids.tolist()
    for strategy in ("truncate", "maxp"):
        (one,) = encode(kind, query, document, strategy=strategy).inputs
        assert one.ids.tolist() == [*opening, *middle, *closing]


@pytest.mark.parametrize("kind", list(TEMPLATES))
@settings(max_examples=60, deadline=None)
@given(query=TEXTS, document=TEXTS.filter(lambda text: bool(text.strip())), spare=st.integers(4, 60))
def test_windows_cover_the_document_and_keep_the_prompt(kind: str, query: str, document: str, spare: int) -> None:
    opening, closing = fixed(kind)
    around = len(encoder(kind).encode_one(whole_text(TEMPLATES[kind], "", "")))
    max_length = len(opening) + len(closing) + around + spare
    pair = encode(kind, query, document * 8, max_length=max_length, strategy="maxp")
    assert pair.document is not None
    tail = len(encoder(kind).encode_one("x" + TEMPLATES[kind].after_document)) - len(encoder(kind).encode_one("x"))
    covered = set()
    for one, (start, end) in zip(pair.inputs, pair.ranges, strict=True):
        assert one.segments is not None
        ids = one.ids.tolist()
        assert ids[: len(opening)] == opening
        assert ids[len(ids) - len(closing) :] == closing
        assert len(ids) <= max_length
        own = ids[one.segments.document_start : one.segments.document_end]
        assert own == pair.document.ids[start:end].tolist()
        assert len(ids) - one.segments.document_end - len(closing) >= tail - 1
        covered |= set(range(start, end))
    assert covered == set(range(len(pair.document)))
    assert not pair.truncated


@pytest.mark.parametrize("kind", list(TEMPLATES))
@pytest.mark.parametrize("query", ["panda?", "What do pandas eat? " * 30])
def test_the_end_rule_cuts_the_whole_text(kind: str, query: str) -> None:
    opening, closing = fixed(kind)
    document = "The giant panda eats bamboo. " * 30
    template = TEMPLATES[kind]
    middle = encoder(kind).encode_one(whole_text(template, query, document)).ids.tolist()
    tail = encoder(kind).encode_one(f"x.{template.after_document}").ids.tolist()
    tail = tail[len(encoder(kind).encode_one("x.")) :]
    max_length = len(opening) + len(closing) + 60
    pair = encode(kind, query, document, max_length=max_length)
    assert pair.inputs[0].ids.tolist() == [*opening, *middle[: 60 - len(tail)], *tail, *closing]
    assert pair.truncated
    span = pair.span(0)
    assert span is not None
    assert (span.end > 0) == (query == "panda?")


@pytest.mark.parametrize("rule", ["end", "only_second", "longest_first"])
def test_a_limited_query_leaves_room_for_the_document(rule: TruncationRule) -> None:
    opening, closing = fixed("qwen3")
    max_length = len(opening) + len(closing) + 80
    pair = encode("qwen3", "pandas eat " * 200, "bamboo " * 200, max_length=max_length, truncation=rule, query_limit=9)
    (one,) = pair.inputs
    assert one.segments is not None
    assert one.segments.query_end - one.segments.query_start == 9
    assert one.segments.document_end - one.segments.document_start == pair.ranges[0][1] > 10
    assert len(one) == max_length


def test_spans_are_characters_of_the_document() -> None:
    document = "  The giant panda eats bamboo. 大熊猫 lives in China. " * 12
    pair = encode("qwen3", "What?", document, max_length=len(fixed("qwen3")[0]) + 80, strategy="maxp")
    spans = [pair.span(index) for index in range(len(pair.inputs))]
    assert len(spans) > 3
    assert spans[0] is not None
    assert spans[-1] is not None
    assert spans[0].start <= 1
    assert spans[-1].end == len(document)
    for index, (start, end) in enumerate(pair.ranges):
        span = pair.span(index)
        assert span is not None
        again = encoder("qwen3").encode_one(document[span.start : span.end])
        assert abs(len(again) - (end - start)) <= 2


def test_the_guard_against_giant_documents_is_told() -> None:
    limited = PairSettings(
        max_length_tokens=4096,
        truncation="end",
        query_limit_tokens=None,
        long_documents=LongDocuments(max_characters=10),
    )
    encoded = WholePairTokenizer(encoder("qwen3"), QWEN3_CHAT, PROMPT, limited).encode(
        [("q", "x" * 11), ("q", "x" * 10), ("q", " \n"), ("q", None)]
    )
    assert [pair.truncated for pair in encoded] == [True, False, False, False]
    assert [len(pair.inputs) for pair in encoded] == [1, 1, 0, 0]
    assert encoded[0].inputs[0].ids.tolist() == encoded[1].inputs[0].ids.tolist()


def test_an_input_shorter_than_the_prompt_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"max_length=40 leaves no room.*larger max_length or a shorter prompt"):
        encode("qwen3", "q", "d", max_length=40)
