"""What is changed in some training lists, so that the reranker sees more than questions and paragraphs.

Questions without their function words, titles as queries, documents without a title or of nothing else, long documents,
texts that repeat the question and do not answer it, and the answer with its sense turned round.
"""

from __future__ import annotations

import random
import re
from typing import Any

from rerank_plugins.evaluation import Dataset

_FUNCTION_WORDS = (
    "a an the is are was were be been being do does did done has have had having can could will would shall should "
    "may might must what who whom whose which when where why how of in on at by for with about against between into "
    "through to from up down out off over under and or but if because as until while it its they them their this "
    "that these those i me my we our you your he him his she her there so than too very s t not no"
)
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
_OPPOSITES = (
    "left right;increase decrease;increases decreases;increased decreased;higher lower;high low;first last;"
    "before after;north south;northern southern;east west;eastern western;positive negative;more fewer;"
    "largest smallest;most least;male female;men women;start end;began ended;acute chronic;internal external;"
    "upper lower;major minor;old new;older younger;early late;legal illegal;active inactive;present absent;"
    "benign malignant;buy sell;assets liabilities"
)
OPPOSITES = {word: other for pair in _OPPOSITES.split(";") for word, other in (pair.split(), reversed(pair.split()))}
_SHARES = {"keywords": 0.25, "heading": 0.1, "untitled": 0.25, "title": 0.06, "echo": 0.08, "opposite": 0.5}
_LEAST_TEXTS = 5


def keywords(query: str) -> str:
    """Return a question without its function words; as it is where less than two words would be left."""
    words = [word for word in re.findall(r"[\w.%$'-]+", query) if word.lower() not in FUNCTION_WORDS]
    return " ".join(words) if len(words) > 1 else query


def opposite(text: str, query: str) -> str | None:
    """Return a text with the words of the query that have an opposite turned round; None if it has none of them."""
    asked = {word for word in re.findall(r"\w+", query.lower()) if word in OPPOSITES}
    changed = re.sub(r"\w+", lambda m: OPPOSITES[m[0].lower()] if m[0].lower() in asked else m[0], text)
    return changed if changed != text else None


class Variants:
    """The lists of one set as they are shown.

    Args:
        data: The set.
        characters: Length of most documents; one in five keeps twice as much, one in twelve four times.
    """

    def __init__(self, data: Dataset, *, characters: int) -> None:
        self._data, self._characters = data, characters

    def row(self, query: str, ids: list[str], draws: random.Random) -> dict[str, Any] | None:
        """Return a row in FlagEmbedding's format, the answer's id first in ``ids``; None if too few texts differ.

        ``asked`` is the query in full, and ``lowest`` the number of negatives at the end that were made, which no
        teacher may like.
        """
        chosen = {name: draws.random() < share for name, share in _SHARES.items()}
        documents = [self._data.documents[key] for key in ids]
        length = self._characters * draws.choices((1, 2, 4), (44, 12, 4))[0]
        is_titled = all(document.title.strip() for document in documents)
        texts = [document.contents[:length] for document in documents]
        shown = query
        if is_titled and chosen["heading"]:
            shown = query = documents[0].title
            # Other parts of the same article answer a title as well.
            texts = [one.text[:length] for one in documents if one is documents[0] or one.title != query]
        elif is_titled and chosen["title"]:
            texts = [document.title for document in documents]
        elif is_titled and chosen["untitled"]:
            texts = [document.text[:length] for document in documents]
        if chosen["keywords"]:
            shown = keywords(shown)
        made = self._made(query, texts, chosen, draws)
        listed = [text for text in dict.fromkeys(texts) if text.strip() and text not in made]
        if len(listed) + len(made) < _LEAST_TEXTS or listed[0] != texts[0]:
            return None
        negatives = [*listed[1 : 8 - len(made)], *made]
        return {
            "set": self._data.name,
            "asked": query[:300],
            "query": shown[:300],
            "pos": [listed[0]],
            "neg": negatives,
            "made": len(made),
        }

    def _made(self, query: str, texts: list[str], chosen: dict[str, bool], draws: random.Random) -> list[str]:
        found = []
        if chosen["echo"] and len(texts) > 2:
            found.append(f"{query} {draws.choice(texts[-2:])[:200]}")
        turned = opposite(texts[0], query) if chosen["opposite"] else None
        if turned is not None:
            found.append(turned)
        return found
