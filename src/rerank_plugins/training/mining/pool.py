"""The texts that negatives come from."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.evaluation.dataset import Document, json_object
from rerank_plugins.text.tokenizer import is_blank
from rerank_plugins.training.data.digests import DigestMap, alike, digest
from rerank_plugins.training.data.lines import data_files, json_lines
from rerank_plugins.training.data.records import TrainingRecord

__all__ = ["KnownAnswers", "Pool", "PoolMaker", "id_key", "read_pool", "text_key"]

_CORPUS = "corpus.jsonl"


def text_key(text: str) -> int:
    """Return what stands for a text and for all that are :func:`alike`."""
    return digest([alike(text)])


def id_key(text_id: str) -> int:
    """Return what stands for a text that is known by its id."""
    return digest(["id", text_id])


class KnownAnswers:
    """Which texts answer a query by any row of the data: rows often repeat a query, with one positive each.

    Memory: 48 bytes a positive, and as many where it has an id.
    """

    def __init__(self) -> None:
        self._pairs = DigestMap()

    def add(self, record: TrainingRecord) -> None:
        """Add what a row says."""
        query = text_key(record.query)
        for text in record.pos:
            self._pairs.first(_pair_key(query, text_key(text)), 0)
        for one in record.pos_ids or ():
            self._pairs.first(_pair_key(query, id_key(one)), 0)

    def has(self, query: int, text: int) -> bool:
        """Return whether a text answers a query: by :func:`text_key` of both, or :func:`id_key` of the text."""
        return _pair_key(query, text) in self._pairs


def _pair_key(query: int, text: int) -> int:
    return digest((f"{query:x}", f"{text:x}"))


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Different texts, by number.

    Attributes:
        texts: Number, as a string, to text: what a first stage is built of.
        ids: Id of each text; None if not all have one.
        keys: :func:`text_key` of each text.
        bare_keys: That of each without its title, by which a row's own texts may know it.
        sha256: Of all texts and ids in their order, in hexadecimal.
        answers: What the data say of the texts.
    """

    texts: dict[str, str]
    ids: tuple[str, ...] | None
    keys: array[int]
    bare_keys: array[int]
    sha256: str
    answers: KnownAnswers = field(default_factory=KnownAnswers)

    def __len__(self) -> int:
        return len(self.keys)

    def text(self, number: int) -> str:
        """Return a text."""
        return self.texts[str(number)]

    def names(self, number: int) -> tuple[int, ...]:
        """Return all keys that a text is known by: with its title, without, and its id if it has one."""
        keys = (self.keys[number], self.bare_keys[number])
        return keys if self.ids is None else (*keys, id_key(self.ids[number]))


class PoolMaker:
    """Collects texts; one that comes again is left out, and so is a blank one."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._ids: list[str | None] = []
        self._bare_keys = array("Q")

    def add(self, text: str, text_id: str | None = None, *, bare: str | None = None) -> None:
        """Add a text; ``bare`` is the same without its title, if it has one."""
        if not is_blank(text) and text not in self._numbers:
            self._numbers[text] = len(self._numbers)
            self._ids.append(text_id)
            self._bare_keys.append(text_key(text if bare is None else bare))

    def add_record(self, record: TrainingRecord) -> None:
        """Add the texts of a row."""
        for texts, ids in ((record.pos, record.pos_ids), (record.neg, record.neg_ids)):
            for position, text in enumerate(texts):
                self.add(text, None if ids is None else ids[position])

    def made(self) -> Pool:
        """Return the pool."""
        hashed = hashlib.sha256()
        for text, text_id in zip(self._numbers, self._ids, strict=True):
            hashed.update(repr((text, text_id)).encode())
        texts = {str(number): text for text, number in self._numbers.items()}
        ids = tuple(one for one in self._ids if one is not None)
        keys = array("Q", map(text_key, self._numbers))
        return Pool(texts, ids if len(ids) == len(texts) else None, keys, self._bare_keys, hashed.hexdigest())


def read_pool(source: Path) -> Pool:
    """Return the texts of a file of JSON lines, or of the corpus in a folder in BEIR layout.

    Each line has ``text``, as FlagEmbedding's ``candidate_pool``; a ``title`` stands in front of the text, as BEIR has
    it, and an ``_id`` (or ``id``) becomes the id of a mined negative.

    Raises:
        InvalidInputError: A file cannot be read, a line has no text, or there is none at all.
    """
    is_beir = source.is_dir() and (source / _CORPUS).is_file()
    maker = PoolMaker()
    for path in [source / _CORPUS] if is_beir else data_files(source):
        for text, text_id, bare in _texts_of(path):
            maker.add(text, text_id, bare=bare)
    pool = maker.made()
    if not len(pool):
        msg = f"candidate pool {str(source)!r} has no text that is not blank; give JSON lines with 'text'"
        raise InvalidInputError(msg)
    return pool


def _texts_of(path: Path) -> Iterator[tuple[str, str | None, str]]:
    """Yield each text with its id, and without its title."""
    for line in json_lines(path):
        row = json_object(line.text, where=line.where)
        text, title = row.get("text"), row.get("title")
        if not isinstance(text, str):
            keys = ", ".join(map(repr, row)) or "none"
            msg = f"{line.where}: a line of a candidate pool is an object with the string 'text'; its keys: {keys}"
            raise InvalidInputError(msg)
        whole = Document(text, title).contents if isinstance(title, str) and title else text
        yield whole, _id_of(row), text


def _id_of(row: dict[str, Any]) -> str | None:
    found = row.get("_id", row.get("id"))
    return str(found) if isinstance(found, (str, int)) and not isinstance(found, bool) else None
