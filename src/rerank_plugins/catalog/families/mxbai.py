"""mxbai-rerank (Mixedbread): version 1 on DeBERTa, version 2 on Qwen 2.5 with a chat.

Reference for the chat: mixedbread-ai/mxbai-rerank at 03324ea9, ``mxbai_rerank/mxbai_rerank_v2.py``.
"""

from __future__ import annotations

from types import MappingProxyType

from rerank_plugins.catalog.families.sources import CARD, MTEB_LATER, TREE
from rerank_plugins.catalog.family import Family, Size
from rerank_plugins.catalog.shapes import Shape, bert_shape
from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.catalog.templates import PairTemplate

__all__ = ["MXBAI", "MXBAI_CHAT"]

_SYSTEM = (
    "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
    "<|im_start|>user\n"
)
_TASK = (
    "You are a search relevance expert who evaluates how well documents match search queries. For each "
    "query-document pair, carefully analyze the semantic relationship between them, then provide your binary "
    "relevance judgment (0 for not relevant, 1 for relevant).\nRelevance:"
)
MXBAI_CHAT = PairTemplate(
    opening=(_SYSTEM,),
    before_query="instruction: {prompt}\nquery: ",
    before_query_unprompted="query: ",
    between="\n",
    before_document="document: ",
    closing=("\n", _TASK, "<|im_end|>\n<|im_start|>assistant\n"),
    tokenised="apart",
    counted="texts",
    answer="1",
    rejection="0",
    answers_are="texts",
)

_DEBERTA = "https://github.com/microsoft/DeBERTa/blob/000d76f0aa860f0fd134a6d013d6315f94c42efe/README.md"
_V1 = Family(
    architecture="deberta-v2",
    facts=ModelSpec(
        id="mixedbread-ai/mxbai-rerank-{size}-v1",
        kind="reranker",
        family="mxbai-v1",
        scorer="cross-encoder",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="Apache-2.0",
        languages=("en",),
        truncation="longest_first",
        reference="transformers, sentence-transformers",
        sources=MappingProxyType(
            {
                "license": CARD,
                "languages": CARD,
                "max_length_tokens": CARD,
                "truncation": CARD,
                "score_scale": CARD,
                "revision": f"{MTEB_LATER}/mixedbread_ai_models.py",
            }
        ),
        notes="A DeBERTa v2 classifier.",
    ),
    sizes=(
        Size("xsmall", "b5c6e9da73abc3711f593f705371cdbe9e0fe422", shape=bert_shape(12, 384, 128_100, _DEBERTA)),
        Size("base", "800f24c113213a187e65bde9db00c15a2bb12738", shape=bert_shape(12, 768, 128_100, _DEBERTA)),
        Size("large", "98f655841d5caf0b16eaff79c2b4ca109d920d17", shape=bert_shape(24, 1024, 128_100, _DEBERTA)),
    ),
)

_CODE = (
    "https://github.com/mixedbread-ai/mxbai-rerank/blob/03324ea9e52fbb13f6477bf30406ef5919e09d4a"
    "/mxbai_rerank/mxbai_rerank_v2.py"
)


def _qwen25(layers: int, hidden: int, inner: int, key_width: int) -> Shape:
    source = "https://arxiv.org/abs/2412.15115"
    return Shape(
        layers=layers, hidden=hidden, inner=inner, vocabulary=151_936, key_width=key_width, gated=True, source=source
    )


_V2 = Family(
    architecture="qwen2",
    facts=ModelSpec(
        id="mixedbread-ai/mxbai-rerank-{size}-v2",
        kind="reranker",
        family="mxbai-v2",
        scorer="decoder",
        default_max_length_tokens=8192,
        max_length_tokens=32_768,
        license="Apache-2.0",
        languages=("multilingual",),
        truncation="only_second",
        template=MXBAI_CHAT,
        half_precision="bfloat16",
        reference="its own code on transformers",
        sources=MappingProxyType(
            {
                "license": CARD,
                "languages": CARD,
                "default_max_length_tokens": _CODE,
                "max_length_tokens": CARD,
                "revision": TREE,
                "truncation": _CODE,
                "score_scale": _CODE,
                "template": _CODE,
            }
        ),
        notes=(
            "An instruction is optional (prompt=...). max_length counts query and document; about 100 tokens of prompt "
            "come on top. The newest release of its own package rescales these scores; here they are the raw "
            "difference of the logits of '1' and '0'."
        ),
    ),
    sizes=(
        Size(
            "base",
            "3ea9d4dffa7d12a4f366be8e275c349de9fc9865",
            shape=_qwen25(24, 896, 4864, 128),
            notes="0.5 billion parameters.",
        ),
        Size(
            "large",
            "ca7e1ee484c37c0ddd8d178a9a5c33cec575c5e6",
            shape=_qwen25(28, 1536, 8960, 256),
            notes="1.5 billion parameters.",
        ),
    ),
)

MXBAI = (_V1, _V2)
