"""Pairs joined from ids equal the tokenizer's own pair encoding."""

from __future__ import annotations

import pytest
import tiny_checkpoints
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.text.pairs import PairLayout, TextLayout
from rerank_plugins.text.tokenizer import TextTokenizer, is_blank, replace_lone_surrogates

TEXTS = st.text(alphabet=st.sampled_from(list("panda china 中国。\n\t  é½ﬁ👍.,?1")), max_size=60)
ENCODERS = {"bert": TextTokenizer(tiny_checkpoints.wordpiece()), "xlmr": TextTokenizer(tiny_checkpoints.unigram())}


@pytest.mark.parametrize("kind", ENCODERS)
@settings(max_examples=150, deadline=None)
@given(query=TEXTS, document=TEXTS)
def test_joined_pair_equals_the_tokenizers_own(kind: str, query: str, document: str) -> None:
    encoder = ENCODERS[kind]
    layout = PairLayout.of(encoder)
    first, second = encoder.encode([query, document])
    pair = layout.join(first.ids, second.ids)
    expected = encoder.encode_pair_with_special_tokens(query, document)
    assert pair.ids.tolist() == expected.ids
    assert pair.type_ids.tolist() == expected.type_ids
    assert pair.segments is not None
    assert pair.ids[pair.segments.document_start : pair.segments.document_end].tolist() == second.ids.tolist()
    assert pair.ids[pair.segments.query_start : pair.segments.query_end].tolist() == first.ids.tolist()


def test_layouts_have_the_known_special_tokens() -> None:
    assert PairLayout.of(ENCODERS["xlmr"]).middle == (2, 2)
    assert PairLayout.of(ENCODERS["xlmr"]).n_special == 4
    assert PairLayout.of(ENCODERS["bert"]).n_special == 3
    assert TextLayout.of(ENCODERS["bert"]).n_special == 2


def test_a_tokenizer_without_pair_template_is_refused() -> None:
    plain = Tokenizer(models.WordLevel({"a": 0, "b": 1, "c": 2, "[UNK]": 3}, unk_token="[UNK]"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    with pytest.raises(UnsupportedModelError, match="pair template"):
        PairLayout.of(TextTokenizer(plain))


def test_the_callers_tokenizer_is_not_changed() -> None:
    tokenizer = tiny_checkpoints.wordpiece()
    tokenizer.enable_truncation(max_length=5)
    tokenizer.enable_padding(length=5)
    encoder = TextTokenizer(tokenizer)
    assert len(encoder.encode_one("the panda eats bamboo and sleeps most of the day")) > 5
    assert tokenizer.truncation is not None
    assert tokenizer.padding is not None


def test_each_text_is_tokenised_once() -> None:
    encoder = ENCODERS["bert"]
    first, second, third = encoder.encode(["panda", "china", "panda"])
    assert first is third
    assert first is not second


def test_lone_surrogates_keep_their_place() -> None:
    assert replace_lone_surrogates("a\ud800b\udfff") == "a\ufffdb\ufffd"
    assert len(ENCODERS["xlmr"].encode_one("a\ud800b")) > 0


@pytest.mark.parametrize(("text", "blank"), [(None, True), ("", True), (" \n\t　", True), ("x", False)])
def test_blank(text: str | None, *, blank: bool) -> None:
    assert is_blank(text) is blank
