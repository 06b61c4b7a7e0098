"""Qwen3-Reranker and Qwen3-Embedding.

Reference for the prompt: the model card of Qwen/Qwen3-Reranker-0.6B (``format_instruction``, ``process_inputs``). The
rerankers have no signature: any Qwen3 decoder has the same config, so that only a name or ``family`` tells that one
reranks with this prompt. The parameter counts that mteb publishes fix the embedders' vocabularies: what the layers
leave over, divided by the width.
"""

from __future__ import annotations

from types import MappingProxyType

from rerank_plugins.catalog.families.sources import CARD, FLAG_POOLING, XINFERENCE_RERANKERS
from rerank_plugins.catalog.family import Family, Size
from rerank_plugins.catalog.shapes import Shape
from rerank_plugins.catalog.spec import Instruction, ModelSpec
from rerank_plugins.catalog.templates import PairTemplate

__all__ = ["QWEN3", "QWEN3_CHAT", "WEB_SEARCH_PROMPT"]

WEB_SEARCH_PROMPT = "Given a web search query, retrieve relevant passages that answer the query"
_SYSTEM = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
)
QWEN3_CHAT = PairTemplate(
    opening=(_SYSTEM,),
    before_query="<Instruct>: {prompt}\n<Query>: ",
    between="\n<Document>: ",
    closing=("<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",),
    tokenised="together",
    answer="yes",
    rejection="no",
)


def _shape(layers: int, hidden: int, inner: int, query_width: int) -> Shape:
    return Shape(
        layers=layers,
        hidden=hidden,
        inner=inner,
        vocabulary=151_669,
        query_width=query_width,
        key_width=1024,
        gated=True,
        source="https://arxiv.org/abs/2505.09388",
    )


_0_6B, _4B, _8B = _shape(28, 1024, 3072, 2048), _shape(36, 2560, 9728, 4096), _shape(36, 4096, 12_288, 4096)

_RERANKERS = Family(
    architecture="qwen3",
    facts=ModelSpec(
        id="Qwen/Qwen3-Reranker-{size}",
        kind="reranker",
        family="qwen3",
        scorer="decoder",
        default_max_length_tokens=8192,
        max_length_tokens=32_768,
        license="Apache-2.0",
        languages=("multilingual",),
        truncation="end",
        template=QWEN3_CHAT,
        prompt=WEB_SEARCH_PROMPT,
        half_precision="bfloat16",
        reference="transformers, sentence-transformers",
        sources=MappingProxyType(
            {
                "license": CARD,
                "languages": CARD,
                "default_max_length_tokens": CARD,
                "max_length_tokens": XINFERENCE_RERANKERS,
                "revision": XINFERENCE_RERANKERS,
                "truncation": CARD,
                "score_scale": CARD,
                "template": CARD,
                "prompt": CARD,
            }
        ),
        notes=(
            "Needs transformers 4.51 or newer. Takes an instruction (prompt=...); its authors advise to write one in "
            "English for each task. max_length counts the whole input, the chat around it included."
        ),
    ),
    sizes=(
        Size("0.6B", "6e9e69830b95c52b5fd889b7690dda3329508de3", shape=_0_6B, notes="0.6 billion parameters."),
        Size("4B", "f16fc5d5d2b9b1d0db8280929242745d79794ef5", shape=_4B, notes="4 billion parameters."),
        Size("8B", "5fa94080caafeaa45a15d11f969d7978e087a3db", shape=_8B, notes="8 billion parameters."),
    ),
)

_README = "https://github.com/QwenLM/Qwen3-Embedding/blob/main/README.md"
_MTEB = (
    "https://github.com/embeddings-benchmark/mteb/blob/036687a1bed8bb4ae2f74990e0f057106841f214"
    "/mteb/models/model_implementations/qwen3_models.py"
)
_EMBEDDERS = Family(
    architecture="qwen3",
    vocabulary=151_665,
    facts=ModelSpec(
        id="Qwen/Qwen3-Embedding-{size}",
        kind="embedder",
        family="qwen",
        scorer="transformer",
        default_max_length_tokens=8192,
        max_length_tokens=32_768,
        license="Apache-2.0",
        languages=("multilingual",),
        half_precision="bfloat16",
        pooling="last_token",
        matryoshka_from=32,
        instructions=MappingProxyType({"retrieval": Instruction(query=f"Instruct: {WEB_SEARCH_PROMPT}\nQuery:")}),
        # No space behind "Query:", unlike in e5-mistral's template.
        task_template="Instruct: {task}\nQuery:",
        ends_in="<|endoftext|>",
        reference="sentence-transformers",
        sources=MappingProxyType(
            {
                "license": _MTEB,
                "languages": _MTEB,
                "default_max_length_tokens": _README,
                "max_length_tokens": _MTEB,
                "revision": _MTEB,
                "signature": _MTEB,
                "pooling": FLAG_POOLING,
                "dimensions": _MTEB,
                "matryoshka_from": _README,
                "instructions": _README,
                "task_template": FLAG_POOLING,
                "ends_in": "https://github.com/QwenLM/Qwen3-Embedding/issues/122",
            }
        ),
        notes=(
            "Needs transformers 4.51 or later. Its authors advise a task in the user's own words, in English, for best "
            "results: task='Given ..., retrieve ...'. Texts end in <|endoftext|>, the padding token, not in the "
            "tokenizer's eos_token."
        ),
    ),
    sizes=(
        Size(
            "0.6B",
            "b22da495047858cce924d27d76261e96be6febc0",
            layers=28,
            hidden=1024,
            vocabulary=151_669,
            shape=_0_6B,
        ),
        Size("4B", "636cd9bf47d976946cdbb2b0c3ca0cb2f8eea5ff", layers=36, hidden=2560, shape=_4B),
        Size("8B", "4e423935c619ae4df87b646a3ce949610c66241c", layers=36, hidden=4096, shape=_8B),
    ),
)

QWEN3 = (_RERANKERS, _EMBEDDERS)
