"""monoT5 (Castorini): T5 that answers whether a document is relevant.

Reference for the prompt: castorini/pygaggle at 0f314802, ``pygaggle/model/tokenize.py``, ``T5BatchTokenizer``.
"""

from __future__ import annotations

from types import MappingProxyType

from rerank_plugins.catalog.families.backbones import T5
from rerank_plugins.catalog.families.sources import CARD
from rerank_plugins.catalog.family import Family, Size
from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.catalog.templates import PairTemplate

__all__ = ["MONO_T5", "MONO_T5_PROMPT"]

MONO_T5_PROMPT = PairTemplate(
    before_query_unprompted="Query: ",
    between=" Document: ",
    after_document=" Relevant:",
    closing=("</s>",),
    tokenised="together",
    answer="▁true",
    rejection="▁false",
)

_PYGAGGLE = "https://github.com/castorini/pygaggle/blob/0f314802b71f7e583c586ccdd95ffbec4d387969/pygaggle"
_MTEB = (
    "https://github.com/embeddings-benchmark/mteb/blob/029d378b2c17d7e05a4c9c30a17966917cb83a33"
    "/mteb/models/rerankers_monot5_based.py"
)
_ONE_EPOCH = "trained for one epoch, better away from MS MARCO."

MONO_T5 = (
    Family(
        architecture="t5",
        facts=ModelSpec(
            id="castorini/monot5-{size}",
            kind="reranker",
            family="monot5",
            scorer="sequence-to-sequence",
            default_max_length_tokens=512,
            max_length_tokens=512,
            license="see its card",
            languages=("en",),
            truncation="end",
            template=MONO_T5_PROMPT,
            half_precision="bfloat16",
            reference="transformers",
            sources=MappingProxyType(
                {
                    "license": CARD,
                    "languages": _MTEB,
                    "max_length_tokens": f"{_PYGAGGLE}/model/tokenize.py",
                    "truncation": f"{_PYGAGGLE}/model/tokenize.py",
                    "score_scale": f"{_PYGAGGLE}/rerank/transformer.py",
                    "template": f"{_PYGAGGLE}/model/tokenize.py",
                    "revision": _MTEB,
                }
            ),
            notes=(
                "' Relevant:' is never cut, as pygaggle does with documents that do not fit. Where the files have "
                "pickled weights only, loading says so and names the ways out."
            ),
        ),
        sizes=(
            Size("base-msmarco", shape=T5["base"], notes="220 million parameters."),
            Size(
                "base-msmarco-10k",
                "f15657ab3d2a5dd0b9a30c8c0b6a0a73c9cb5884",
                shape=T5["base"],
                notes=f"220 million parameters; {_ONE_EPOCH}",
            ),
            Size("large-msmarco", shape=T5["large"], notes="770 million parameters."),
            Size(
                "large-msmarco-10k",
                "48cfad1d8dd587670393f27ee8ec41fde63e3d98",
                shape=T5["large"],
                notes=f"770 million parameters; {_ONE_EPOCH}",
            ),
            Size("3b-msmarco", shape=T5["3b"], notes="3 billion parameters."),
            Size(
                "3b-msmarco-10k",
                "bc0c419a438c81f592f878ce32430a1823f5db6c",
                shape=T5["3b"],
                notes=f"3 billion parameters; {_ONE_EPOCH}",
            ),
            Size(
                "small-msmarco-10k",
                "77f8e3f7b1eb1afe353aa21a7c3a2fc8feca702e",
                shape=T5["small"],
                notes=f"60 million parameters; {_ONE_EPOCH}",
            ),
        ),
    ),
)
