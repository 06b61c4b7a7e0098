"""Remembering which texts came before in flat memory: eight bytes of each, not the text."""

from __future__ import annotations

import hashlib
import unicodedata
from array import array
from collections.abc import Iterable

__all__ = ["DigestMap", "alike", "digest"]

_FIRST_SLOTS = 1 << 12
_SEPARATOR = b"\xff"  # in no UTF-8


def digest(texts: Iterable[str]) -> int:
    """Return 64 bits that stand for some texts in their order; never 0.

    Among a million entries two different ones share their digest with a chance of 3e-8.
    """
    hashed = hashlib.blake2b(digest_size=8)
    for text in texts:
        hashed.update(text.encode("utf-8", "surrogatepass"))
        hashed.update(_SEPARATOR)
    return int.from_bytes(hashed.digest(), "little") or 1


def alike(text: str) -> str:
    """Return what texts have in common that differ only in case, white space, or how letters are composed (NFC)."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


class DigestMap:
    """Digests with a whole number each: an open table of 16 bytes a slot, at most two thirds full.

    That is 24 to 48 bytes an entry, where a dict of Python's integers takes 100 to 200.
    """

    def __init__(self) -> None:
        self._n_used = 0
        self._keys, self._values = _empty(_FIRST_SLOTS), _empty(_FIRST_SLOTS)

    def __len__(self) -> int:
        return self._n_used

    def __contains__(self, key: int) -> bool:
        return self._keys[self._slot(key)] == key

    def first(self, key: int, value: int) -> int | None:
        """Return the number that a digest came with at first; None for one that is new, which is then kept."""
        slot = self._slot(key)
        if self._keys[slot] == key:
            return self._values[slot]
        self._keys[slot], self._values[slot] = key, value
        self._n_used += 1
        if 3 * self._n_used > 2 * len(self._keys):
            self._grow()
        return None

    def _slot(self, key: int) -> int:
        """Return the slot of a digest, or the free one that it would get."""
        mask = len(self._keys) - 1
        slot = key & mask
        while self._keys[slot] not in (key, 0):
            slot = (slot + 1) & mask
        return slot

    def _grow(self) -> None:
        keys, values = self._keys, self._values
        self._keys, self._values = _empty(2 * len(keys)), _empty(2 * len(keys))
        for key, value in zip(keys, values, strict=True):
            if key:
                slot = self._slot(key)
                self._keys[slot], self._values[slot] = key, value


def _empty(n_slots: int) -> array[int]:
    return array("Q", bytes(8 * n_slots))
