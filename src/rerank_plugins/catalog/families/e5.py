"""E5 (intfloat): encoders that need "query: " and "passage: ", models that take a task, and some trained from those.

Parameter counts published by mteb fix the signatures: embedding parameters divided by the width give the vocabulary,
and the active parameters give the layers. multilingual-e5-small is a BERT with XLM-R's tokenizer, as the model that it
was trained from (microsoft/Multilingual-MiniLM-L12-H384).
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from rerank_plugins.catalog.families.backbones import MISTRAL_7B
from rerank_plugins.catalog.families.sources import CARD, FLAG_POOLING, HUB, MTEB
from rerank_plugins.catalog.family import Family, Size
from rerank_plugins.catalog.spec import Instruction, ModelSpec

__all__ = ["E5"]

_MTEB = f"{MTEB}/e5_models.py"
_MINILM = f"{HUB}/microsoft/Multilingual-MiniLM-L12-H384"
_TWO_SIDES = MappingProxyType({"retrieval": Instruction(query="query: ", document="passage: ")})
_SYMMETRIC = "For symmetric tasks put the query instruction in front of both texts."
_SOURCES = MappingProxyType(
    {
        "license": _MTEB,
        "languages": _MTEB,
        "max_length_tokens": CARD,
        "revision": _MTEB,
        "signature": _MTEB,
        "pooling": FLAG_POOLING,
        "dimensions": _MTEB,
        "instructions": _MTEB,
    }
)

_MULTILINGUAL = Family(
    architecture="xlm-roberta",
    vocabulary=250_002,
    facts=ModelSpec(
        id="intfloat/multilingual-e5-{size}",
        kind="embedder",
        family="e5",
        scorer="transformer",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="MIT",
        languages=("multilingual",),
        pooling="mean",
        instructions=_TWO_SIDES,
        reference="sentence-transformers",
        sources=_SOURCES,
        notes=_SYMMETRIC,
    ),
    sizes=(
        Size("large", "ab10c1a7f42e74530fe7ae5be82e6d4f11a719eb", layers=24, hidden=1024),
        Size("base", "d13f1b27baf31030b7fd040960d60d909913633f", layers=12, hidden=768),
    ),
)
_ON_BERT = Family(
    architecture="bert",
    vocabulary=30_522,
    facts=ModelSpec(
        id="intfloat/{size}",
        kind="embedder",
        family="e5",
        scorer="transformer",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="MIT",
        languages=("en",),
        pooling="mean",
        instructions=_TWO_SIDES,
        reference="sentence-transformers",
        sources=_SOURCES,
        notes=_SYMMETRIC,
    ),
    sizes=(
        Size("e5-small-v2", "dca8b1a9dae0d4575df2bf423a5edb485a431236", layers=12, hidden=384),
        Size("e5-base-v2", "1c644c92ad3ba1efdad3f1451a637716616a20e8", layers=12, hidden=768),
        Size("e5-large-v2", "b322e09026e4ea05f42beadf4d661fb4e101d311", layers=24, hidden=1024),
        Size("e5-small", "e272f3049e853b47cb5ca3952268c6662abda68f", layers=12, hidden=384),
        Size("e5-base", "b533fe4636f4a2507c08ddab40644d20b0006d6a", license="Apache-2.0", layers=12, hidden=768),
        Size("e5-large", "4dc6d853a804b9c8886ede6dda8a073b7dc08a81", license="Apache-2.0", layers=24, hidden=1024),
    ),
)
_MULTILINGUAL_ON_BERT = Family(
    architecture="bert",
    vocabulary=250_037,
    facts=replace(_MULTILINGUAL.facts, sources={**_SOURCES, "signature": _MINILM}),
    sizes=(Size("small", "fd1525a9fd15316a2d503bf26ab031a61d056e98", layers=12, hidden=384),),
)

_INSTRUCT = "Instruct: {task}\nQuery: "
_WEB_SEARCH = MappingProxyType(
    {
        "retrieval": Instruction(
            query="Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: "
        )
    }
)
_MTEB_INSTRUCT = f"{MTEB}/e5_instruct.py"
_MULTILINGUAL_INSTRUCT = Family(
    architecture="xlm-roberta",
    vocabulary=250_002,
    facts=ModelSpec(
        id="intfloat/multilingual-e5-large-instruct",
        kind="embedder",
        family="e5",
        scorer="transformer",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="MIT",
        languages=("multilingual",),
        pooling="mean",
        instructions=_WEB_SEARCH,
        task_template=_INSTRUCT,
        reference="sentence-transformers",
        sources=MappingProxyType(
            {
                "license": _MTEB_INSTRUCT,
                "languages": _MTEB_INSTRUCT,
                "max_length_tokens": CARD,
                "revision": _MTEB_INSTRUCT,
                "signature": _MTEB_INSTRUCT,
                "pooling": FLAG_POOLING,
                "dimensions": _MTEB_INSTRUCT,
                "instructions": CARD,
                "task_template": FLAG_POOLING,
            }
        ),
        notes="Has the config of multilingual-e5-large: a renamed folder is told from it by its name only.",
    ),
    sizes=(Size(revision="baa7be480a7de1539afce709c8f13f833a510e0a", layers=24, hidden=1024),),
)

_ENDING = (
    "https://github.com/embeddings-benchmark/mteb/blob/05662e7f946cb0834dcd817cdbba77f47aa03317"
    "/mteb/models/model_implementations/e5_instruct.py"
)
"""Says that e5-mistral's tokenizer.json adds no </s> though its tokenizer_config.json asks for it, so that
transformers 5 leaves out the token that is pooled."""
_NOT_COMMERCIAL = "Trained from e5-mistral-7b-instruct. Not for commercial use."


def _mistral_sources(module: str) -> dict[str, str]:
    """Return the addresses of a model, most of its facts read in one module of mteb."""
    read = (
        "license",
        "languages",
        "default_max_length_tokens",
        "max_length_tokens",
        "revision",
        "signature",
        "pooling",
        "dimensions",
        "instructions",
        "task_template",
        "ends_in",
    )
    elsewhere = {
        "default_max_length_tokens": CARD,
        "pooling": FLAG_POOLING,
        "task_template": FLAG_POOLING,
        "ends_in": CARD,
    }
    return {fact: elsewhere.get(fact, f"{MTEB}/{module}") for fact in read}


_MISTRAL = Family(
    architecture="mistral",
    vocabulary=32_000,
    facts=ModelSpec(
        id="{size}",
        kind="embedder",
        family="e5",
        scorer="transformer",
        default_max_length_tokens=4096,
        max_length_tokens=32_768,
        license="CC-BY-NC-4.0",
        languages=("en",),
        pooling="last_token",
        instructions=_WEB_SEARCH,
        task_template=_INSTRUCT,
        ends_in="</s>",
        reference="transformers",
    ),
    sizes=(
        Size(
            "intfloat/e5-mistral-7b-instruct",
            "07163b72af1488142a360786df853f237b1a3ca1",
            layers=32,
            hidden=4096,
            shape=MISTRAL_7B,
            license="MIT",
            notes="Its authors advise against more than 4,096 tokens.",
            sources=MappingProxyType(
                {
                    **_mistral_sources("e5_instruct.py"),
                    "languages": CARD,
                    "instructions": CARD,
                    "ends_in": _ENDING,
                }
            ),
        ),
        Size(
            "Linq-AI-Research/Linq-Embed-Mistral",
            "0c1a0b0589177079acc552433cad51d7c9132379",
            layers=32,
            hidden=4096,
            shape=MISTRAL_7B,
            half_precision="bfloat16",
            notes=_NOT_COMMERCIAL,
            sources=MappingProxyType(_mistral_sources("linq_models.py")),
        ),
        Size(
            "Salesforce/SFR-Embedding-Mistral",
            "938c560d1c236aa563b2dbdf084f28ab28bccb11",
            layers=32,
            hidden=4096,
            shape=MISTRAL_7B,
            notes=_NOT_COMMERCIAL,
            sources=MappingProxyType(_mistral_sources("salesforce_models.py")),
        ),
    ),
)

E5 = (_MULTILINGUAL, _MULTILINGUAL_ON_BERT, _ON_BERT, _MULTILINGUAL_INSTRUCT, _MISTRAL)
