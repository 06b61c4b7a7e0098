"""The texts around a query and a document in models that read them as one prompt: data, letter by letter.

How a template becomes ids is in :mod:`rerank_plugins.text`. References:

* ``FLAG_EMBEDDING``: FlagEmbedding 1.3.5, ``inference/reranker/decoder_only/base.py``.
* ``QWEN3``: the model card of Qwen/Qwen3-Reranker-0.6B (``format_instruction``, ``process_inputs``).
* ``MXBAI_V2``: mixedbread-ai/mxbai-rerank at 03324ea9, ``mxbai_rerank/mxbai_rerank_v2.py``.
* ``MONO_T5``: castorini/pygaggle at 0f314802, ``pygaggle/model/tokenize.py``, ``T5BatchTokenizer``.
* ``TART_FULL``: facebookresearch/tart at 1dbf2803, ``TART/src/rerank.py`` and ``tokenization_enc_t5.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["FLAG_EMBEDDING", "MONO_T5", "MXBAI_V2", "QWEN3", "TART_FULL", "PairTemplate"]

_PROMPT_SLOT = "{prompt}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PairTemplate:
    """How a query and a document become one input, and which tokens answer.

    Attributes:
        opening: Texts in front of everything, each tokenised apart and joined as ids.
        bos: Whether the tokenizer's own first token stands in front of them.
        before_query: Text before the query, tokenised with it; ``{prompt}`` stands for the instruction.
        before_query_unprompted: The same where there is no instruction.
        between: Text between query and document.
        before_document: Text before the document and before every window of one, tokenised with it.
        behind_document: Text behind the document, tokenised with it.
        closing: Texts behind everything, each tokenised apart; they are never cut.
        tokenised: ``together``: everything between opening and closing is tokenised as one text, as the model was
            trained, so that tokens may form across its parts. ``apart``: each part on its own, joined as ids.
        counted: What ``max_length`` counts: ``everything``; ``texts``: query, document and what stands between them;
            ``flag_embedding``: FlagEmbedding's own sum, see :class:`rerank_plugins.text.prompts.PromptLayout`.
        answer: The token whose logit speaks for the document; empty for a model with a head of its own.
        rejection: The token whose logit is subtracted; empty for none.
        answers_are: ``tokens``: entries of the vocabulary. ``texts``: the first token of each text counts.
    """

    opening: tuple[str, ...] = ()
    bos: bool = False
    before_query: str = ""
    before_query_unprompted: str = ""
    between: str
    before_document: str = ""
    behind_document: str = ""
    closing: tuple[str, ...]
    tokenised: Literal["together", "apart"]
    counted: Literal["everything", "texts", "flag_embedding"] = "everything"
    answer: str = ""
    rejection: str = ""
    answers_are: Literal["tokens", "texts"] = "tokens"

    @property
    def takes_prompt(self) -> bool:
        """Whether an instruction can be given."""
        return any(_PROMPT_SLOT in text for text in (self.before_query, *self.closing))

    def query_prefix(self, prompt: str) -> str:
        """Return the text before the query for an instruction; empty means none."""
        return self.before_query.replace(_PROMPT_SLOT, prompt) if prompt else self.before_query_unprompted

    def closing_texts(self, prompt: str) -> list[str]:
        """Return the texts behind everything for an instruction."""
        return [text.replace(_PROMPT_SLOT, prompt) for text in self.closing]


FLAG_EMBEDDING = PairTemplate(
    bos=True,
    before_query="A: ",
    before_query_unprompted="A: ",
    between="\n",
    before_document="B: ",
    closing=("\n", _PROMPT_SLOT),
    tokenised="apart",
    counted="flag_embedding",
    answer="Yes",
    answers_are="texts",
)
_QWEN3_SYSTEM = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
)
QWEN3 = PairTemplate(
    opening=(_QWEN3_SYSTEM,),
    before_query="<Instruct>: {prompt}\n<Query>: ",
    between="\n<Document>: ",
    closing=("<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",),
    tokenised="together",
    answer="yes",
    rejection="no",
)
_MXBAI_SYSTEM = (
    "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
    "<|im_start|>user\n"
)
_MXBAI_TASK = (
    "You are a search relevance expert who evaluates how well documents match search queries. For each "
    "query-document pair, carefully analyze the semantic relationship between them, then provide your binary "
    "relevance judgment (0 for not relevant, 1 for relevant).\nRelevance:"
)
MXBAI_V2 = PairTemplate(
    opening=(_MXBAI_SYSTEM,),
    before_query="instruction: {prompt}\nquery: ",
    before_query_unprompted="query: ",
    between="\n",
    before_document="document: ",
    closing=("\n", _MXBAI_TASK, "<|im_end|>\n<|im_start|>assistant\n"),
    tokenised="apart",
    counted="texts",
    answer="1",
    rejection="0",
    answers_are="texts",
)
MONO_T5 = PairTemplate(
    before_query_unprompted="Query: ",
    between=" Document: ",
    behind_document=" Relevant:",
    closing=("</s>",),
    tokenised="together",
    answer="▁true",
    rejection="▁false",
)
TART_FULL = PairTemplate(
    opening=("<s>",),
    before_query="{prompt} [SEP] ",
    between="</s>",
    closing=("</s>",),
    tokenised="apart",
)
