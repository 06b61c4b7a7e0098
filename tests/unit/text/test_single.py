"""Single texts: one string with what is around them, cut so that only the text loses tokens."""

from __future__ import annotations

from pathlib import Path

import embedder_checkpoints
import pytest
import tiny_checkpoints
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.text.pairs import TextLayout
from rerank_plugins.text.single import MAX_CHARACTERS, SingleTextTokenizer, TextAffixes
from rerank_plugins.text.tokenizer import TextTokenizer

BYTES = TextTokenizer(embedder_checkpoints.byte_bpe(["<s>", "</s>"], template="<s> $A </s>"))
PIECES = TextTokenizer(tiny_checkpoints.unigram())
FULL = TextAffixes(examples="Q: a\nA: b\n\n", instruction="Find: ", suffix="\nResponse:")


def side(affixes: TextAffixes, *, encoder: TextTokenizer = BYTES, max_length: int = 64, pools: bool = True):
    layout = TextLayout.of(encoder)
    return SingleTextTokenizer(encoder, layout, affixes, max_length_tokens=max_length, pools_instruction=pools)


@pytest.mark.parametrize("encoder", [BYTES, PIECES], ids=["bytes", "pieces"])
@pytest.mark.parametrize("affixes", [TextAffixes(), TextAffixes(instruction="Find: "), FULL])
def test_a_text_that_fits_is_one_string(encoder: TextTokenizer, affixes: TextAffixes) -> None:
    text = "What do pandas eat?\nBamboo."
    (found,) = side(affixes, encoder=encoder).encode([text])
    whole = f"{affixes.examples}{affixes.instruction}{text}{affixes.suffix}"
    assert found.ids.tolist() == encoder.encode_with_special_tokens(whole).ids
    assert found.segments is None


@given(st.text(max_size=300), st.integers(20, 80))
@settings(max_examples=60, deadline=None)
def test_only_the_text_is_cut(text: str, max_length: int) -> None:
    encoder = side(FULL, max_length=max_length)
    (found,) = encoder.encode([text])
    n_examples = len(BYTES.encode_one(FULL.examples))
    assert len(found) <= max_length + n_examples
    head = BYTES.encode_one(FULL.examples + "Find:").ids.tolist()
    assert found.ids.tolist()[1 : len(head) + 1] == head
    tail = BYTES.encode_one("Response:").ids.tolist()
    assert found.ids.tolist()[-len(tail) - 1 : -1] == tail
    assert found.ids[-1] == BYTES.token_to_id("</s>")


def test_a_long_text_fills_the_input_to_the_last_token() -> None:
    text = "bamboo panda " * 200
    for affixes in (TextAffixes(), TextAffixes(instruction="Find: "), FULL):
        encoder = side(affixes, max_length=40)
        (found,) = encoder.encode([text])
        n_examples = len(BYTES.encode_one(affixes.examples)) if affixes.examples else 0
        assert len(found) == 40 + n_examples == encoder.longest_tokens
        whole = BYTES.encode_one(f"{affixes.examples}{affixes.instruction}{text}{affixes.suffix}").ids.tolist()
        n_suffix = len(BYTES.encode_one(affixes.suffix)) if affixes.suffix else 0
        kept = len(found) - 2 - n_suffix
        assert found.ids.tolist()[1:-1] == [*whole[:kept], *whole[len(whole) - n_suffix :]]


def test_the_place_of_the_instruction_is_told_where_it_is_not_pooled() -> None:
    n_instruction = len(BYTES.encode_one("Find: "))
    (found,) = side(TextAffixes(instruction="Find: "), pools=False).encode(["bamboo"])
    assert found.segments is not None
    assert (found.segments.query_start, found.segments.query_end) == (1, 1 + n_instruction)
    assert (found.segments.document_start, found.segments.document_end) == (1 + n_instruction, len(found) - 1)
    (plain,) = side(TextAffixes(), pools=False).encode(["bamboo"])
    assert plain.segments is None


def test_no_room_is_an_error_with_the_way_out() -> None:
    with pytest.raises(InvalidInputError, match=r"max_length=8 leaves no room.*shorten the instruction"):
        side(TextAffixes(instruction="Find the needle: "), max_length=8)
    with pytest.raises(InvalidInputError, match="max_length=2 leaves no room"):
        side(TextAffixes(), max_length=2)
    assert len(side(TextAffixes(), max_length=3).encode(["bamboo panda"])[0]) == 3


def test_characters_far_behind_are_not_read() -> None:
    text = "a" * MAX_CHARACTERS
    encoder = side(TextAffixes(suffix="\nResponse:"), max_length=20)
    one, other = encoder.encode([text, text + "b" * 1_000])
    assert one.ids.tolist() == other.ids.tolist()


def test_a_last_token_is_added_once(tmp_path: Path) -> None:
    layout = TextLayout.of(BYTES)
    end = BYTES.token_to_id("</s>")
    assert layout.ending_in(end) is layout
    template = Tokenizer.from_str(embedder_checkpoints.byte_bpe(["<s>", "</s>"], template="<s> $A").to_str())
    without = TextLayout.of(TextTokenizer(template))
    assert without.suffix == ()
    assert without.ending_in(1).ending_in(1).suffix == (1,)
