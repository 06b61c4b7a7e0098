"""The texts around a query and a document in models that read them as one prompt, as data.

Each family's own texts stand in its file in :mod:`rerank_plugins.catalog.families`; how they become ids is in
:mod:`rerank_plugins.text`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["PROMPT_SLOT", "PairTemplate"]

PROMPT_SLOT = "{prompt}"
"""Stands for the instruction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairTemplate:
    """How a query and a document become one input, and which tokens answer.

    Attributes:
        opening: Texts before everything else, each tokenised separately and joined as ids.
        bos: Whether the tokenizer's own first token comes before them.
        before_query: Text before the query, tokenised with it; ``{prompt}`` stands for the instruction.
        before_query_unprompted: The same where there is no instruction.
        between: Text between query and document.
        before_document: Text before the document and before every window of one, tokenised with it.
        after_document: Text after the document, tokenised with it.
        closing: Texts after everything else, each tokenised separately; they are never cut.
        tokenised: ``together``: everything between opening and closing is tokenised as one text, as the model was
            trained, so that tokens may form across its parts. ``apart``: each part on its own, joined as ids.
        counted: What ``max_length`` counts: ``everything``; ``texts``: query, document and what stands between them;
            ``flag_embedding``: FlagEmbedding's own sum, see :class:`rerank_plugins.text.prompts.PromptLayout`.
        answer: The token whose logit is the score (for "yes"); empty for a model with a head of its own.
        rejection: The token whose logit is subtracted (for "no"); empty for none.
        answers_are: ``tokens``: entries of the vocabulary. ``texts``: the first token of each text counts.
    """

    opening: tuple[str, ...] = ()
    bos: bool = False
    before_query: str = ""
    before_query_unprompted: str = ""
    between: str
    before_document: str = ""
    after_document: str = ""
    closing: tuple[str, ...]
    tokenised: Literal["together", "apart"]
    counted: Literal["everything", "texts", "flag_embedding"] = "everything"
    answer: str = ""
    rejection: str = ""
    answers_are: Literal["tokens", "texts"] = "tokens"

    @property
    def takes_prompt(self) -> bool:
        """Whether an instruction can be given."""
        return any(PROMPT_SLOT in text for text in (self.before_query, *self.closing))

    def query_prefix(self, prompt: str) -> str:
        """Return the text before the query for an instruction; empty means none."""
        return self.before_query.replace(PROMPT_SLOT, prompt) if prompt else self.before_query_unprompted

    def closing_texts(self, prompt: str) -> list[str]:
        """Return the closing texts for an instruction."""
        return [text.replace(PROMPT_SLOT, prompt) for text in self.closing]
