"""TART (Meta): a reranker on T5's encoder and a bi-encoder, both with the task written in front of the query.

References: facebookresearch/tart at 1dbf2803, ``TART/src/rerank.py`` and ``tokenization_enc_t5.py``.
"""

from __future__ import annotations

from types import MappingProxyType

from rerank_plugins.catalog.families.sources import CARD, HUB
from rerank_plugins.catalog.family import Family, Size
from rerank_plugins.catalog.shapes import Shape
from rerank_plugins.catalog.spec import Instruction, ModelSpec
from rerank_plugins.catalog.templates import PairTemplate

__all__ = ["TART", "TART_FULL"]

TART_FULL = PairTemplate(
    opening=("<s>",),
    before_query="{prompt} [SEP] ",
    between="</s>",
    closing=("</s>",),
    tokenised="apart",
)

_CODE = "https://github.com/facebookresearch/tart/blob/1dbf2803ff1aa437e9917dc3e72684adfc7d30d9/TART/src"
_MAIN = "https://github.com/facebookresearch/tart/blob/main"
_T5_XL = (
    "https://github.com/google-research/text-to-text-transfer-transformer/blob"
    "/a9a4c85a6368a9ad8c8b52eefa1564487c92bbee/t5/models/gin/models/t5.1.1.xl.gin"
)

_FULL = Family(
    architecture="t5",
    facts=ModelSpec(
        id="facebook/tart-full-flan-t5-{size}",
        kind="reranker",
        family="tart",
        scorer="encoder-t5",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="see its card",
        languages=("en",),
        truncation="longest_first",
        template=TART_FULL,
        half_precision="bfloat16",
        reference="its own code on transformers",
        sources=MappingProxyType(
            {
                "license": CARD,
                "languages": "https://arxiv.org/abs/2211.09260",
                "max_length_tokens": f"{_CODE}/rerank.py",
                "truncation": f"{_CODE}/rerank.py",
                "score_scale": f"{_CODE}/rerank.py",
                "template": f"{_CODE}/tokenization_enc_t5.py",
            }
        ),
        notes=(
            "The encoder of a 3 billion parameter T5. Give the task as prompt=...: 'prompt [SEP] query' is what it "
            "reads. Its tokenizer must have the token '<s>'. Where its files have pickled weights only, loading says "
            "so and names the ways out."
        ),
    ),
    sizes=(Size("xl", shape=Shape(layers=24, hidden=2048, inner=5120, vocabulary=32_128, gated=True, source=_T5_XL)),),
)
_DUAL = Family(
    architecture="bert",
    vocabulary=30_522,
    facts=ModelSpec(
        id="orionweller/tart-dual-contriever-msmarco",
        kind="embedder",
        family="tart",
        scorer="transformer",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="see its LICENSE",
        languages=("en",),
        pooling="mean",
        normalize=False,
        similarity="dot",
        instructions=MappingProxyType(
            {"retrieval": Instruction(query="retrieve a passage that answers this question from Wikipedia [SEP] ")}
        ),
        task_template="{task} [SEP] ",
        reference="transformers",
        sources=MappingProxyType(
            {
                "license": f"{_MAIN}/README.md",
                "languages": f"{_MAIN}/README.md",
                "max_length_tokens": f"{_MAIN}/TART/src/beir_utils.py",
                "signature": f"{HUB}/facebook/contriever-msmarco",
                "pooling": f"{_MAIN}/TART/src/contriever.py",
                "normalize": f"{_MAIN}/TART/src/beir_utils.py",
                "similarity": f"{_MAIN}/TART/src/beir_utils.py",
                "dimensions": f"{HUB}/facebook/contriever-msmarco",
                "instructions": f"{_MAIN}/README.md",
                "task_template": f"{_MAIN}/TART/src/beir_utils.py",
            }
        ),
        notes=(
            "TART-dual. Its authors publish it as a zip file named tart-dual-contriever-msmarco, not on the hub; this "
            "is a user's copy, without a pinned commit. Compare by inner product. The instruction is for queries only."
        ),
    ),
    sizes=(Size(layers=12, hidden=768),),
)

TART = (_FULL, _DUAL)
