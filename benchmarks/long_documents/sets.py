"""Sets of long documents with questions whose answering passage is known by its characters."""

from __future__ import annotations

import csv
import json
import math
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rerank_plugins.text.sentences import sentence_spans

__all__ = ["LongSet", "Question", "cmu_qa", "from_parts"]

_WORD = re.compile(r"\w+")
_LONGEST_ANSWER_WORDS = 8
_LEAST_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Question:
    """A question, and the characters of its document that answer it.

    Attributes:
        id: Its name.
        text: What is asked.
        document: Id of the document.
        start: First character of the answering sentence or paragraph.
        end: Behind its last one.
    """

    id: str
    text: str
    document: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class LongSet:
    """Documents and questions."""

    name: str
    documents: dict[str, str]
    questions: list[Question]

    def sampled(self, *, characters: int, questions: int, seed: int) -> LongSet:
        """Return documents drawn at random until they have so many characters, and at most so many questions."""
        drawing = random.Random(seed)
        order = sorted({one.document for one in self.questions})
        drawing.shuffle(order)
        kept: dict[str, str] = {}
        for document in order:
            if sum(map(len, kept.values())) >= characters:
                break
            kept[document] = self.documents[document]
        left = [one for one in self.questions if one.document in kept]
        drawing.shuffle(left)
        return LongSet(self.name, kept, left[:questions])


def cmu_qa(folder: Path, answers: Sequence[Path]) -> LongSet:
    """Return the CMU question-answer set with the sentence of each answer.

    The set has no sentence labels. The gold sentence is worked out here, without any model: the answer must be a few
    words and no yes or no, and of the sentences of the article that contain it literally, the one that shares the most
    with the question is gold (by idf of the words within the article) if it shares half of the question's weight. A
    question without such a sentence, or with two that share the same, is left out.

    Args:
        folder: The set in BEIR layout.
        answers: ``question_answer_pairs.txt`` of its releases (tab separated).
    """
    documents = {one["_id"]: one["text"] for one in _lines(folder / "corpus.jsonl")}
    of_question = _qrels(folder)
    known = _answers(answers)
    sentences = {key: _Sentences(text) for key, text in documents.items()}
    questions = []
    for one in _lines(folder / "queries.jsonl"):
        for document in of_question.get(one["_id"], [])[:1]:
            span = sentences[document].answering(one["text"], known.get(_normal(one["text"]), set()))
            if span is not None:
                questions.append(Question(one["_id"], one["text"], document, *span))
    return LongSet("cmu_qa", documents, questions)


def from_parts(name: str, folder: Path, *, joint: str, least_parts: int) -> LongSet:
    """Return a set whose documents are made by putting its texts together that have one title, in their order.

    Gold is the text that the set's own labels name: a sentence (selqa) or a paragraph (drcd, squad_parts).

    Args:
        name: What it is called.
        folder: The set in BEIR layout.
        joint: What stands between two texts.
        least_parts: Titles with fewer texts are left out.
    """
    parts: dict[str, list[Any]] = defaultdict(list)
    for one in _lines(folder / "corpus.jsonl"):
        parts[one["title"]].append(one)
    documents, places = {}, {}
    for title, of_title in parts.items():
        if len(of_title) < least_parts:
            continue
        text = ""
        for one in of_title:
            places[one["_id"]] = (title, len(text), len(text) + len(one["text"]))
            text += one["text"] + joint
        documents[title] = text
    gold = _qrels(folder)
    questions = [
        Question(one["_id"], one["text"], *places[gold[one["_id"]][0]])
        for one in _lines(folder / "queries.jsonl")
        # A question with several gold texts would count whichever is found; one keeps the measure plain.
        if len(gold.get(one["_id"], [])) == 1 and gold[one["_id"]][0] in places
    ]
    return LongSet(name, documents, questions)


class _Sentences:
    """The sentences of an article, for finding the one that an answer stands in."""

    def __init__(self, text: str) -> None:
        self._spans = sentence_spans(text)
        self._words = [[_stem(one) for one in _words(text[span.start : span.end])] for span in self._spans]
        counts = Counter(word for words in self._words for word in set(words))
        self._idf = {word: math.log(1 + len(self._spans) / n) for word, n in counts.items()}

    def answering(self, question: str, answers: Iterable[str]) -> tuple[int, int] | None:
        asked = {_stem(one) for one in _words(question)}
        weight = sum(self._idf.get(word, 0.0) for word in asked)
        shares = []
        for place, words in enumerate(self._words):
            if any(_contains(words, [_stem(one) for one in _words(answer)]) for answer in answers):
                shared = sum(self._idf[word] for word in asked & set(words))
                shares.append((shared / weight if weight else 0.0, place))
        shares.sort(reverse=True)
        is_clear = shares and shares[0][0] >= _LEAST_SHARE and (len(shares) == 1 or shares[1][0] < shares[0][0])
        if not is_clear:
            return None
        span = self._spans[shares[0][1]]
        return span.start, span.end


def _contains(words: list[str], answer: list[str]) -> bool:
    n = len(answer)
    return bool(n) and any(words[start : start + n] == answer for start in range(len(words) - n + 1))


def _answers(paths: Sequence[Path]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for path in paths:
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
                answer = _words(row["Answer"] or "")
                if answer and len(answer) <= _LONGEST_ANSWER_WORDS and answer[0] not in ("yes", "no", "null"):
                    found[_normal(row["Question"] or "")].add(row["Answer"])
    return found


def _words(text: str) -> list[str]:
    return [one.lower() for one in _WORD.findall(text)]


def _stem(word: str) -> str:
    """Return a word without the endings that a question changes: born/borne stay, years/year are one."""
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) > len(ending) + 2:
            return word[: -len(ending)]
    return word


def _normal(text: str) -> str:
    return " ".join(_words(text))


def _qrels(folder: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted((folder / "qrels").glob("*.tsv")):
        for line in path.read_text(encoding="utf-8").splitlines():
            query, document, score = line.split("\t")
            if score.strip().lstrip("-").isdigit() and int(score) > 0:
                found[query].append(document)
    return found


def _lines(path: Path) -> list[Any]:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]
