"""Records as documents, queries and judgements: a folder in BEIR layout, LlamaIndex's JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from rerank_plugins.errors import InvalidInputError
from rerank_plugins.text.tokenizer import replace_lone_surrogates
from rerank_plugins.training.data.digests import DigestMap, digest
from rerank_plugins.training.data.lines import json_line
from rerank_plugins.training.data.records import TrainingRecord

__all__ = ["BeirFolder", "finetune_content"]

_BESIDE = ("pos_scores", "neg_scores", "prompt", "type", "query_prompt", "passage_prompt", "answers")
_UNJUDGED = "queries without a text, which have no judgement: whoever reads the folder does not find them"
_TWICE = "texts judged before for the same query, of which the first judgement counts"


class BeirFolder:
    """Writes ``corpus.jsonl``, ``queries.jsonl`` and ``qrels/SPLIT.tsv``: positives have relevance 1, negatives 0.

    Texts without an id get one made of the text, so that equal texts are one document. Memory: 48 bytes for each
    different text, query and judgement.

    Args:
        folder: An empty folder.
        split: Name of the judgements.
        lost: Counts what the layout cannot hold.
    """

    def __init__(self, folder: Path, *, split: str, lost: Counter[str]) -> None:
        self._folder, self._split, self._lost = folder, split, lost
        self._texts, self._queries, self._judged = DigestMap(), DigestMap(), DigestMap()
        self._files = ExitStack()

    def __enter__(self) -> BeirFolder:
        (self._folder / "qrels").mkdir()
        self._corpus, self._query_file, self._qrels = (
            self._files.enter_context((self._folder / name).open("wb"))
            for name in ("corpus.jsonl", "queries.jsonl", f"qrels/{self._split}.tsv")
        )
        self._qrels.write(b"query-id\tcorpus-id\tscore\n")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.close()

    def add(self, record: TrainingRecord) -> int:
        """Write a record; returns 1 for a query that was not there yet, else 0.

        Raises:
            InvalidInputError: An id stands for two texts, or cannot stand in a table.
        """
        self._lost.update(_beside(record))
        query_id, is_new = self._id(self._queries, record.query_id, record.query, start="q")
        if is_new:
            self._query_file.write(json_line({"_id": query_id, "text": record.query}))
        self._lost[_UNJUDGED] += not (record.pos or record.neg)
        for text, own_id, grade in _judged(record):
            document_id, is_new_text = self._id(self._texts, own_id, text, start="d")
            if is_new_text:
                self._corpus.write(json_line({"_id": document_id, "title": "", "text": text}))
            if self._judged.first(digest((query_id, document_id)), grade) is None:
                self._qrels.write(f"{query_id}\t{document_id}\t{grade}\n".encode())
            else:
                self._lost[_TWICE] += 1
        return int(is_new)

    def _id(self, known: DigestMap, own_id: str | None, text: str, *, start: str) -> tuple[str, bool]:
        """Return the id of a text, and whether it is the first with that id."""
        content = digest((text,))
        name = own_id or f"{start}{content:016x}"
        if set(name) & set("\t\r\n") or name != name.strip() or replace_lone_surrogates(name) != name:
            msg = (
                f"the id {name!r} cannot stand in a table with tabs; take out the ids, then they are made of the texts"
            )
            raise InvalidInputError(msg)
        before = known.first(digest((name,)), content)
        if before is not None and before != content:
            msg = f"the id {name!r} stands for two texts; give each its own, or take out the ids"
            raise InvalidInputError(msg)
        return name, before is None


def _beside(record: TrainingRecord) -> list[str]:
    """Return the fields of a record that judgements have no place for; empty lists say nothing."""
    return [name for name in _BESIDE if getattr(record, name) not in (None, ())]


def _judged(record: TrainingRecord) -> Iterator[tuple[str, str | None, int]]:
    for texts, ids, grade in ((record.pos, record.pos_ids, 1), (record.neg, record.neg_ids, 0)):
        for position, text in enumerate(texts):
            yield text, None if ids is None else ids[position], grade


def finetune_content(records: Iterable[TrainingRecord], lost: Counter[str]) -> dict[str, Any]:
    """Return LlamaIndex's ``EmbeddingQAFinetuneDataset`` as JSON has it: ``queries``, ``corpus``, ``relevant_docs``.

    It knows no negatives: their texts stay in the corpus, and that they are negatives is lost.

    Raises:
        InvalidInputError: An id stands for two texts.
    """
    queries: dict[str, str] = {}
    corpus: dict[str, str] = {}
    relevant: dict[str, list[str]] = {}
    for record in records:
        lost.update(_beside(record))
        query_id = _put(queries, record.query_id, record.query, start="q")
        listed = relevant.setdefault(query_id, [])
        for text, own_id, grade in _judged(record):
            document_id = _put(corpus, own_id, text, start="d")
            if not grade:
                lost["negatives, whose texts stay in the corpus"] += 1
            elif document_id in listed:
                lost[_TWICE] += 1
            else:
                listed.append(document_id)
    return {"queries": queries, "corpus": corpus, "relevant_docs": relevant, "mode": "text"}


def _put(texts: dict[str, str], own_id: str | None, text: str, *, start: str) -> str:
    name = own_id or f"{start}{digest((text,)):016x}"
    if texts.setdefault(name, text) != text:
        msg = f"the id {name!r} stands for two texts; give each its own, or take out the ids"
        raise InvalidInputError(msg)
    return name
