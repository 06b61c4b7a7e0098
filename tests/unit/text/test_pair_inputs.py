"""Texts of a reranker's own in front of query and document: the ids of a training, in every window, in no span."""

from __future__ import annotations

from functools import lru_cache

import pytest
import tiny_checkpoints
import tiny_rerankers
from llm_checkpoints import llm_checkpoint
from tokenizers import Tokenizer

from rerank_plugins.catalog.families.bge_llm import FLAG_EMBEDDING
from rerank_plugins.catalog.families.qwen3 import QWEN3_CHAT
from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.catalog.templates import PairTemplate
from rerank_plugins.text.pair_inputs import PairInputs, pair_inputs
from rerank_plugins.text.pair_tokenizer import PairSettings
from rerank_plugins.text.tokenizer import TextTokenizer
from rerank_plugins.types import LongDocuments, LongDocumentStrategy

QUERY, DOCUMENT = "find {prompt} ", "text of "
LONG = "The giant panda eats bamboo. " * 40
TEMPLATES: dict[str, PairTemplate | None] = {"bert": None, "gemma": FLAG_EMBEDDING, "qwen3": QWEN3_CHAT}
SHORT = {"bert": 90, "gemma": 90, "qwen3": 250}
BEFORE = {"bert": DOCUMENT, "gemma": f"B: {DOCUMENT}", "qwen3": f"<Document>: {DOCUMENT}"}
RULES = {"bert": "longest_first", "gemma": "only_second", "qwen3": "end"}


@lru_cache
def encoder(kind: str) -> TextTokenizer:
    if kind == "gemma":
        return TextTokenizer(Tokenizer.from_file(str(llm_checkpoint("tiny-gemma") / "tokenizer.json")), bos_id=2)
    return TextTokenizer(tiny_checkpoints.wordpiece() if kind == "bert" else tiny_rerankers.qwen_tokenizer())


def inputs_of(
    kind: str,
    query: str = "",
    document: str = "",
    *,
    length: int = 4096,
    strategy: LongDocumentStrategy = "truncate",
) -> PairInputs:
    spec = ModelSpec(
        id="own",
        kind="reranker",
        family="own",
        scorer="cross-encoder",
        default_max_length_tokens=length,
        max_length_tokens=length,
        license="none",
        template=TEMPLATES[kind],
        prompt="" if kind == "bert" else "Judge.",
        query_prefix=query,
        document_prefix=document,
    )
    settings = PairSettings(
        max_length_tokens=length,
        truncation=RULES[kind],  # type: ignore[arg-type]
        query_limit_tokens=None,
        long_documents=LongDocuments(strategy=strategy, overlap_tokens=4),
    )
    return pair_inputs(encoder(kind), spec, settings)


@pytest.mark.parametrize("kind", TEMPLATES)
@pytest.mark.parametrize("is_cut", [True, False])
def test_ids_are_those_of_the_texts_with_their_instructions(kind: str, *, is_cut: bool) -> None:
    """In a training each text has its own in front already."""
    length = SHORT[kind] if is_cut else 4096
    pairs = [("what is a panda", "salt"), ("what is a panda", LONG), ("blood", None), ("blood", " ")]
    own = inputs_of(kind, QUERY, DOCUMENT, length=length).encode(pairs)
    written = [(QUERY + query, text if text is None or not text.strip() else DOCUMENT + text) for query, text in pairs]
    by_hand = inputs_of(kind, length=length).encode(written)
    plain = inputs_of(kind, length=length).encode(pairs)
    for number in (0, 1):
        (one,), (other,) = own[number].inputs, by_hand[number].inputs
        assert one.ids.tolist() == other.ids.tolist()
        assert one.type_ids.tolist() == other.type_ids.tolist()
        assert one.ids.tolist() != plain[number].inputs[0].ids.tolist()
        assert own[number].truncated == by_hand[number].truncated == (is_cut and number == 1)
    assert [pair.n_inputs for pair in own] == [1, 1, 0, 0]


@pytest.mark.parametrize("kind", TEMPLATES)
def test_every_window_has_the_documents_and_spans_are_the_documents_own(kind: str) -> None:
    (pair,) = inputs_of(kind, QUERY, DOCUMENT, length=SHORT[kind], strategy="maxp").encode([("panda", LONG)])
    # In bert's and gemma's layouts the text counts as the document's, in qwen3's as the prompt's.
    lead = encoder(kind).encode_one(BEFORE[kind] + LONG).split_prefix(len(BEFORE[kind]))[0].tolist()[-3:]
    assert pair.n_inputs > 2
    for one in pair.inputs:
        assert one.segments is not None
        before = one.ids[one.segments.query_end : one.segments.document_start + 8].tolist()
        assert any(before[start : start + len(lead)] == lead for start in range(len(before)))
    spans = [pair.span(number) for number in range(pair.n_inputs)]
    assert spans[0] is not None
    assert spans[0].start == 0
    assert all(one is not None and LONG[one.start : one.end].strip() for one in spans)
    assert spans[-1] is not None
    assert spans[-1].end >= len(LONG.rstrip()) - 1
