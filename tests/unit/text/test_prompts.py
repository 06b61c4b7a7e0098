"""Prompted pairs: the prompt is whole, windows keep their prefix, spans are in the document's own characters."""

from __future__ import annotations

import pytest
from llm_checkpoints import llm_checkpoint
from tokenizers import Tokenizer

from rerank_plugins.catalog.families.bge_llm import FLAG_EMBEDDING
from rerank_plugins.text.pair_tokenizer import PairSettings, PairTokenizer
from rerank_plugins.text.prompts import PromptLayout
from rerank_plugins.text.tokenizer import TextTokenizer
from rerank_plugins.types import LongDocuments, LongDocumentStrategy

PROMPT = "Predict whether passage B contains an answer to query A."
TEXT = "  The giant panda eats bamboo. 大熊猫 lives in China, and ꙮ is rare. " * 12


@pytest.fixture(params=[("tiny-gemma", 2), ("tiny-minicpm-layerwise", 1)], ids=["gemma", "minicpm"])
def tokenizer(request: pytest.FixtureRequest) -> TextTokenizer:
    name, bos = request.param
    return TextTokenizer(Tokenizer.from_file(str(llm_checkpoint(name) / "tokenizer.json")), bos_id=bos)


def pair_tokenizer(tokenizer: TextTokenizer, strategy: LongDocumentStrategy, *, max_length: int) -> PairTokenizer:
    settings = PairSettings(
        max_length_tokens=max_length,
        truncation="only_second",
        query_limit_tokens=None,
        long_documents=LongDocuments(strategy=strategy, overlap_tokens=8),
    )
    return PairTokenizer(tokenizer, PromptLayout.of(tokenizer, FLAG_EMBEDDING, PROMPT), settings)


@pytest.mark.parametrize("strategy", ["truncate", "maxp", "firstp"])
@pytest.mark.parametrize("query", ["panda", "what do pandas eat " * 60, ""])
@pytest.mark.parametrize("max_length", [8, 64, 128])
def test_every_input_has_its_whole_prompt(
    tokenizer: TextTokenizer, strategy: LongDocumentStrategy, query: str, max_length: int
) -> None:
    layout = PromptLayout.of(tokenizer, FLAG_EMBEDDING, PROMPT)
    (pair,) = pair_tokenizer(tokenizer, strategy, max_length=max_length).encode([(query, TEXT)])
    ending = [*layout.closing]
    for one in pair.inputs:
        assert one.ids[-len(ending) :].tolist() == ending
        assert len(one) <= max_length + 2 * len(ending)
        assert one.segments is not None
        assert one.segments.document_end == len(one) - len(ending)
        assert one.ids[0] == layout.opening[0]


def test_windows_keep_the_prefix_and_cover_the_document(tokenizer: TextTokenizer) -> None:
    (pair,) = pair_tokenizer(tokenizer, "maxp", max_length=64).encode([("panda", TEXT)])
    whole = tokenizer.encode_one("B: " + TEXT)
    lead, own = whole.split_prefix(3)
    assert 1 <= len(lead) <= 4
    assert len(pair.inputs) > 2
    assert not pair.truncated
    for one, (start, end) in zip(pair.inputs, pair.ranges, strict=True):
        assert one.segments is not None
        document = one.ids[one.segments.document_start : one.segments.document_end].tolist()
        assert document == [*lead.tolist(), *own.ids[start:end].tolist()]
        assert len(document) <= 64
    assert (pair.ranges[0][0], pair.ranges[-1][1]) == (0, len(own))


def test_spans_are_characters_of_the_document_without_the_prefix(tokenizer: TextTokenizer) -> None:
    (pair,) = pair_tokenizer(tokenizer, "maxp", max_length=64).encode([("panda", TEXT)])
    spans = [pair.span(index) for index in range(len(pair.inputs))]
    assert spans[0] is not None
    assert spans[-1] is not None
    assert spans[0].start == 0
    assert len(TEXT) - 1 <= spans[-1].end <= len(TEXT)
    (cut,) = pair_tokenizer(tokenizer, "truncate", max_length=64).encode([("panda", TEXT)])
    kept = cut.span(0)
    assert cut.truncated
    assert kept is not None
    own = tokenizer.encode_one("B: " + TEXT[: kept.end])
    assert cut.inputs[0].segments is not None
    assert abs(len(own) - (cut.inputs[0].segments.document_end - cut.inputs[0].segments.document_start)) <= 1


def test_a_short_document_is_one_input_in_either_way(tokenizer: TextTokenizer) -> None:
    texts = [("panda", "bamboo"), ("panda", " \n"), ("panda", None)]
    truncated = pair_tokenizer(tokenizer, "truncate", max_length=64).encode(texts)
    windows = pair_tokenizer(tokenizer, "maxp", max_length=64).encode(texts)
    assert truncated[0].inputs[0].ids.tolist() == windows[0].inputs[0].ids.tolist()
    assert [len(pair.inputs) for pair in windows] == [1, 0, 0]
    assert truncated[0].span(0) is None
