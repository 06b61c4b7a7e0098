"""The token cache: bounded by characters, the text not asked for the longest goes first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rerank_plugins.text.token_cache import TokenCache


def test_the_oldest_makes_room() -> None:
    cache: TokenCache[int] = TokenCache(24)
    for number, text in enumerate(["aaa", "bbb", "ccc", *"defghijklmnop"]):
        cache.put(text, number)
    assert cache.get("aaa") == 0
    for text in "qr":
        cache.put(text, 99)
    cache.put("sss", 7)
    # 24 characters are full: "bbb" was asked for longest ago.
    assert cache.get("bbb") is None
    assert cache.get("aaa") == 0
    assert cache.counts() == (2, 1)


def test_a_huge_text_does_not_push_out_the_others() -> None:
    cache: TokenCache[int] = TokenCache(80)
    cache.put("small", 1)
    cache.put("x" * 11, 2)
    assert cache.get("x" * 11) is None
    assert cache.get("small") == 1


@given(st.lists(st.text(max_size=6), max_size=60))
def test_never_more_characters_than_allowed_and_never_a_wrong_answer(texts: list[str]) -> None:
    cache: TokenCache[str] = TokenCache(48)
    for text in texts:
        cache.put(text, text.upper())
        assert cache._characters == sum(map(len, cache._tokens)) <= 48
        assert cache.get(text) == text.upper()
