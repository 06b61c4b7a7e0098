"""What of a document is in the inputs of a pair, and what is told of it."""

from __future__ import annotations

import pytest
import tiny_checkpoints

from rerank_plugins.text.pair_tokenizer import EncodedPair, PairSettings, PairTokenizer
from rerank_plugins.text.pairs import PairLayout
from rerank_plugins.text.tokenizer import TextTokenizer
from rerank_plugins.types import LongDocuments, LongDocumentStrategy, TruncationRule, WindowSpan

TEXT = "the panda eats bamboo and sleeps most of the day"


def encode(document: str, *, strategy: LongDocumentStrategy, max_characters: int) -> EncodedPair:
    encoder = TextTokenizer(tiny_checkpoints.wordpiece())
    settings = PairSettings(
        max_length_tokens=256,
        truncation="longest_first",
        query_limit_tokens=None,
        long_documents=LongDocuments(strategy=strategy, max_characters=max_characters),
    )
    (pair,) = PairTokenizer(encoder, PairLayout.of(encoder), settings).encode([("panda", document)])
    return pair


@pytest.mark.parametrize("strategy", ["truncate", "maxp", "firstp"])
def test_a_document_of_more_characters_than_are_read_is_told_as_cut(strategy: LongDocumentStrategy) -> None:
    # Its beginning is one short input.
    pair = encode(TEXT, strategy=strategy, max_characters=len("the panda eats"))
    assert pair.n_inputs == 1
    assert pair.truncated
    assert pair.span(0) == WindowSpan(0, len("the panda eats"))


@pytest.mark.parametrize("strategy", ["truncate", "maxp", "firstp"])
def test_a_document_of_as_many_characters_as_are_read_is_whole(strategy: LongDocumentStrategy) -> None:
    pair = encode(TEXT, strategy=strategy, max_characters=len(TEXT))
    assert not pair.truncated
    assert pair.span(0) is None


@pytest.mark.parametrize("strategy", ["truncate", "maxp", "firstp"])
@pytest.mark.parametrize("rule", ["longest_first", "only_second", "end"])
def test_a_query_that_is_read_without_its_end_is_told_as_cut(
    strategy: LongDocumentStrategy, rule: TruncationRule
) -> None:
    encoder = TextTokenizer(tiny_checkpoints.wordpiece())
    settings = PairSettings(
        max_length_tokens=64,
        truncation=rule,
        query_limit_tokens=None,
        long_documents=LongDocuments(strategy=strategy, overlap_tokens=4),
    )
    pairs = [("panda", TEXT), ("panda " * 80, "bamboo"), ("panda", "bamboo " * 80)]
    found = PairTokenizer(encoder, PairLayout.of(encoder), settings).encode(pairs)
    assert [pair.cuts_query for pair in found] == [False, True, False]
