"""The prompts of each method, as data: the published ones, and yours if you replace them.

What stands in braces is put in; other braces, and braces in texts, stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rerank_plugins.checks.arguments import checked_fields
from rerank_plugins.errors import InvalidInputError

__all__ = [
    "GRADE",
    "PAIRWISE",
    "RANK_GPT",
    "RANK_ZEPHYR",
    "SETWISE",
    "YES_NO",
    "ListPrompt",
    "PassagePrompt",
    "filled",
]


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class PassagePrompt:
    """A question about a passage, or about a few that are compared.

    Attributes:
        system: The system message; empty for none.
        user: The question, with ``{query}`` and ``{passages}``.
        passage: What stands for one passage in ``{passages}``, with ``{text}`` and, where several are compared,
            ``{label}``.
        between: What stands between two passages.
        answer_json: Put behind ``user`` where the model's answer follows a JSON schema.
    """

    system: str = ""
    user: str
    passage: str = "{text}"
    between: str = "\n\n"
    answer_json: str = ""

    def __post_init__(self) -> None:
        _check_fields(self.user, ("query", "passages"), name="user")
        _check_fields(self.passage, ("text",), name="passage")


@checked_fields()
@dataclass(frozen=True, slots=True, kw_only=True)
class ListPrompt:
    """A list of passages that a model is to put into order.

    With ``passage_answer`` each passage is a turn of its own, which the model is shown as having confirmed; without,
    all stand in one message with ``before`` and ``after``.

    Attributes:
        system: The system message; empty for none.
        before: What the task is, with ``{query}`` and ``{num}``, the number of passages.
        before_answer: What the model says to that, where passages are turns.
        passage: One passage, with ``{rank}``, its identifier, and ``{text}``.
        passage_answer: What the model says to it, with ``{rank}``; empty puts all passages into one message.
        after: The request for the order, with ``{query}`` and ``{num}``.
        after_json: The same where the answer follows a JSON schema: an object whose ``ranking`` lists the identifiers.
    """

    system: str = ""
    before: str
    before_answer: str = ""
    passage: str = "[{rank}] {text}"
    passage_answer: str = ""
    after: str
    after_json: str

    def __post_init__(self) -> None:
        _check_fields(self.passage, ("rank", "text"), name="passage")
        # Which of the two is asked depends on the model.
        _check_fields(self.before + self.after, ("query",), name="before or after")
        _check_fields(self.before + self.after_json, ("query",), name="before or after_json")


def filled(template: str, values: Mapping[str, str]) -> str:
    """Return a template with the values of its fields; what is put in is not looked at again."""
    pattern = "|".join(re.escape(f"{{{name}}}") for name in values)
    return re.sub(pattern, lambda match: values[match[0][1:-1]], template)


def _check_fields(template: str, fields: Sequence[str], *, name: str) -> None:
    missing = [f"{{{one}}}" for one in fields if f"{{{one}}}" not in template]
    if missing:
        msg = f"the prompt's {name} must hold {', '.join(missing)}; got {template!r}"
        raise InvalidInputError(msg)


RANK_GPT = ListPrompt(
    system=("You are RankGPT, an intelligent assistant that can rank passages based on their relevancy to the query."),
    before=(
        "I will provide you with {num} passages, each indicated by number identifier []. \n"
        "Rank the passages based on their relevance to query: {query}."
    ),
    before_answer="Okay, please provide the passages.",
    passage="[{rank}] {text}",
    passage_answer="Received passage [{rank}].",
    after=(
        "Search Query: {query}. \n"
        "Rank the {num} passages above based on their relevance to the search query. The passages should be listed in "
        "descending order using identifiers. The most relevant passages should be listed first. The output format "
        "should be [] > [], e.g., [1] > [2]. Only response the ranking results, do not say any word or explain."
    ),
    after_json=(
        "Search Query: {query}. \n"
        "Rank the {num} passages above based on their relevance to the search query. The passages should be listed in "
        "descending order using identifiers. The most relevant passages should be listed first. The output format "
        'should be a JSON object such as {"ranking": [2, 1]} that holds all identifiers from 1 to {num}.'
    ),
)
"""RankGPT's, a turn for each passage (arXiv 2304.09542, ``sunnweiwei/RankGPT``, ``rank_gpt.py``)."""

RANK_ZEPHYR = ListPrompt(
    system="You are RankLLM, an intelligent assistant that can rank passages based on their relevancy to the query",
    before=(
        "I will provide you with {num} passages, each indicated by a numerical identifier []. Rank the passages based "
        "on their relevance to the search query: {query}.\n"
    ),
    passage="[{rank}] {text}\n",
    after=(
        "Search Query: {query}.\n"
        "Rank the {num} passages above based on their relevance to the search query. All the passages should be "
        "included and listed using identifiers, in descending order of relevance. The output format should be [] > [], "
        "e.g., [2] > [1], Answer concisely and directly and only respond with the ranking results, do not say any word "
        "or explain."
    ),
    after_json=(
        "Search Query: {query}.\n"
        "Rank the {num} passages above based on their relevance to the search query. All the passages should be "
        "included and listed using identifiers, in descending order of relevance. The output format should be a JSON "
        'object such as {"ranking": [2, 1]}, do not say any word or explain.'
    ),
)
"""RankZephyr's, all in one message (arXiv 2312.02724, ``castorini/rank_llm``, ``rank_zephyr_template.yaml``)."""

PAIRWISE = PassagePrompt(
    user=(
        'Given a query "{query}", which of the following two passages is more relevant to the query?\n\n'
        "{passages}\n\nOutput Passage A or Passage B:"
    ),
    passage='Passage {label}: "{text}"',
    answer_json='\nAnswer with a JSON object such as {"best": "A"}.',
)
"""Pairwise ranking prompting (PRP, arXiv 2306.17563), as ``ielab/llm-rankers`` writes it (``pairwise.py``)."""

SETWISE = PassagePrompt(
    system=(
        "You are RankGPT, an intelligent assistant specialized in selecting the most relevant passage from a pool of "
        "passages based on their relevance to the query."
    ),
    user=(
        'Given a query "{query}", which of the following passages is the most relevant one to the query?\n\n'
        "{passages}\n\nOutput only the passage label of the most relevant passage:"
    ),
    passage='Passage {label}: "{text}"',
    answer_json='\nAnswer with a JSON object such as {"best": "A"}.',
)
"""Setwise's for OpenAI's models (arXiv 2310.09497, ``ielab/llm-rankers``, ``setwise.py``)."""

YES_NO = PassagePrompt(
    user="Passage: {passages}\nQuery: {query}\nDoes the passage answer the query? Answer 'Yes' or 'No'",
)
"""Relevance generation with yes and no, as ``ielab/llm-rankers`` writes it (``pointwise.py``)."""

GRADE = PassagePrompt(
    user=(
        "From a scale of 0 to 10, judge the relevance between the query and the document. Answer with the number "
        "only.\nQuery: {query}\nDocument: {passages}\nOutput:"
    ),
    answer_json='\nAnswer with a JSON object such as {"grade": 7}.',
)
"""Rating scale relevance generation (RG-S of arXiv 2310.14122), here with a scale of 0 to 10 and with the answer's form
said: fine scales close most of the gap to the methods that compare (arXiv 2505.19334)."""
