"""Where a prefix ends and a text begins, in tokens and in characters."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from rerank_plugins.text.tokenizer import TextTokenizer

TEXT = "B: panda eats"
# By hand: "B" (0, 1), ":" (1, 2), "panda" (3, 8), "eats" (9, 13).
IDS = [0, 1, 2, 3]


@pytest.fixture
def encoder() -> TextTokenizer:
    tokenizer = Tokenizer(models.WordLevel({"B": 0, ":": 1, "panda": 2, "eats": 3, "[UNK]": 4}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return TextTokenizer(tokenizer)


@pytest.mark.parametrize(
    ("n_characters", "n_tokens", "offsets"),
    [
        (0, 0, [(0, 1), (1, 2), (3, 8), (9, 13)]),
        (1, 1, [(0, 1), (2, 7), (8, 12)]),
        # A token that ends where the prefix ends is the prefix's; white space behind it makes no difference.
        (2, 2, [(1, 6), (7, 11)]),
        (3, 2, [(0, 5), (6, 10)]),
        # A token of both is the text's.
        (5, 2, [(0, 3), (4, 8)]),
        (7, 2, [(0, 1), (2, 6)]),
        (8, 3, [(1, 5)]),
        (13, 4, []),
        (99, 4, []),
    ],
)
def test_a_prefix_ends_with_its_last_whole_token(
    encoder: TextTokenizer, n_characters: int, n_tokens: int, offsets: list[tuple[int, int]]
) -> None:
    lead, own = encoder.encode_one(TEXT).split_prefix(n_characters)
    assert lead.tolist() == IDS[:n_tokens]
    assert own.ids.tolist() == IDS[n_tokens:]
    assert own.offsets == offsets


@pytest.mark.parametrize(
    ("character", "token"), [(0, 0), (1, 1), (2, 2), (3, 2), (7, 2), (8, 3), (12, 3), (13, 4), (99, 4)]
)
def test_the_token_at_a_character(encoder: TextTokenizer, character: int, token: int) -> None:
    assert encoder.encode_one(TEXT).token_at(character) == token
