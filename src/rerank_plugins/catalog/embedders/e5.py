"""The E5 models of intfloat, and those that others have trained from e5-mistral."""

from __future__ import annotations

from types import MappingProxyType

from rerank_plugins.catalog.embedders.sources import FLAG_POOLING, HUB, MTEB
from rerank_plugins.catalog.spec import Instruction, ModelSpec, Signature

__all__ = ["E5"]

_INSTRUCT = "Instruct: {task}\nQuery: "
_WEB_SEARCH = MappingProxyType(
    {
        "retrieval": Instruction(
            query="Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: "
        )
    }
)
_MISTRAL = Signature(model_type="mistral", hidden_size=4096, num_hidden_layers=32, vocab_size=32_000)
_ENDING = (
    "https://github.com/embeddings-benchmark/mteb/blob/05662e7f946cb0834dcd817cdbba77f47aa03317"
    "/mteb/models/model_implementations/e5_instruct.py"
)
"""Says that e5-mistral's tokenizer.json adds no </s> though its tokenizer_config.json asks for it, so that
transformers 5 leaves out the token that is pooled."""

E5: tuple[ModelSpec, ...] = (
    ModelSpec(
        id="intfloat/multilingual-e5-large",
        kind="embedder",
        family="e5",
        scorer="transformer",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="MIT",
        languages=("multilingual",),
        revision="ab10c1a7f42e74530fe7ae5be82e6d4f11a719eb",
        signature=Signature(model_type="xlm-roberta", hidden_size=1024, num_hidden_layers=24, vocab_size=250_002),
        pooling="mean",
        dimensions=1024,
        instructions=MappingProxyType({"retrieval": Instruction(query="query: ", document="passage: ")}),
        reference="sentence-transformers",
        sources=MappingProxyType(
            {
                "license": f"{MTEB}/e5_models.py",
                "languages": f"{MTEB}/e5_models.py",
                "max_length_tokens": f"{HUB}/intfloat/multilingual-e5-large",
                "revision": f"{MTEB}/e5_models.py",
                "signature": f"{MTEB}/e5_models.py",
                "pooling": FLAG_POOLING,
                "dimensions": f"{MTEB}/e5_models.py",
                "instructions": f"{MTEB}/e5_models.py",
            }
        ),
        notes="For symmetric tasks put the query instruction in front of both texts.",
    ),
    ModelSpec(
        id="intfloat/multilingual-e5-large-instruct",
        kind="embedder",
        family="e5",
        scorer="transformer",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="MIT",
        languages=("multilingual",),
        revision="baa7be480a7de1539afce709c8f13f833a510e0a",
        signature=Signature(model_type="xlm-roberta", hidden_size=1024, num_hidden_layers=24, vocab_size=250_002),
        pooling="mean",
        dimensions=1024,
        instructions=_WEB_SEARCH,
        task_template=_INSTRUCT,
        reference="sentence-transformers",
        sources=MappingProxyType(
            {
                "license": f"{MTEB}/e5_instruct.py",
                "languages": f"{MTEB}/e5_instruct.py",
                "max_length_tokens": f"{HUB}/intfloat/multilingual-e5-large-instruct",
                "revision": f"{MTEB}/e5_instruct.py",
                "signature": f"{MTEB}/e5_instruct.py",
                "pooling": FLAG_POOLING,
                "dimensions": f"{MTEB}/e5_instruct.py",
                "instructions": f"{HUB}/intfloat/multilingual-e5-large-instruct",
                "task_template": FLAG_POOLING,
            }
        ),
        notes="Has the config of multilingual-e5-large: a renamed folder is told from it by its name only.",
    ),
    ModelSpec(
        id="intfloat/e5-mistral-7b-instruct",
        kind="embedder",
        family="e5",
        scorer="transformer",
        default_max_length_tokens=4096,
        max_length_tokens=32_768,
        license="MIT",
        languages=("en",),
        revision="07163b72af1488142a360786df853f237b1a3ca1",
        signature=_MISTRAL,
        pooling="last_token",
        dimensions=4096,
        instructions=_WEB_SEARCH,
        task_template=_INSTRUCT,
        ends_in="</s>",
        reference="transformers",
        sources=MappingProxyType(
            {
                "license": f"{MTEB}/e5_instruct.py",
                "languages": f"{HUB}/intfloat/e5-mistral-7b-instruct",
                "default_max_length_tokens": f"{HUB}/intfloat/e5-mistral-7b-instruct",
                "max_length_tokens": f"{MTEB}/e5_instruct.py",
                "revision": f"{MTEB}/e5_instruct.py",
                "signature": f"{MTEB}/e5_instruct.py",
                "pooling": FLAG_POOLING,
                "dimensions": f"{MTEB}/e5_instruct.py",
                "instructions": f"{HUB}/intfloat/e5-mistral-7b-instruct",
                "task_template": FLAG_POOLING,
                "ends_in": _ENDING,
            }
        ),
        notes="Its authors advise against more than 4,096 tokens.",
    ),
    ModelSpec(
        id="Linq-AI-Research/Linq-Embed-Mistral",
        kind="embedder",
        family="e5",
        scorer="transformer",
        default_max_length_tokens=4096,
        max_length_tokens=32_768,
        license="CC-BY-NC-4.0",
        languages=("en",),
        revision="0c1a0b0589177079acc552433cad51d7c9132379",
        signature=_MISTRAL,
        half_precision="bfloat16",
        pooling="last_token",
        dimensions=4096,
        instructions=_WEB_SEARCH,
        task_template=_INSTRUCT,
        ends_in="</s>",
        reference="transformers",
        sources=MappingProxyType(
            {
                "license": f"{MTEB}/linq_models.py",
                "languages": f"{MTEB}/linq_models.py",
                "default_max_length_tokens": f"{HUB}/Linq-AI-Research/Linq-Embed-Mistral",
                "max_length_tokens": f"{MTEB}/linq_models.py",
                "revision": f"{MTEB}/linq_models.py",
                "signature": f"{MTEB}/linq_models.py",
                "pooling": FLAG_POOLING,
                "dimensions": f"{MTEB}/linq_models.py",
                "instructions": f"{MTEB}/linq_models.py",
                "task_template": FLAG_POOLING,
                "ends_in": f"{HUB}/Linq-AI-Research/Linq-Embed-Mistral",
            }
        ),
        notes="Trained from e5-mistral-7b-instruct. Not for commercial use.",
    ),
    ModelSpec(
        id="Salesforce/SFR-Embedding-Mistral",
        kind="embedder",
        family="e5",
        scorer="transformer",
        default_max_length_tokens=4096,
        max_length_tokens=32_768,
        license="CC-BY-NC-4.0",
        languages=("en",),
        revision="938c560d1c236aa563b2dbdf084f28ab28bccb11",
        signature=_MISTRAL,
        pooling="last_token",
        dimensions=4096,
        instructions=_WEB_SEARCH,
        task_template=_INSTRUCT,
        ends_in="</s>",
        reference="transformers",
        sources=MappingProxyType(
            {
                "license": f"{MTEB}/salesforce_models.py",
                "languages": f"{MTEB}/salesforce_models.py",
                "default_max_length_tokens": f"{HUB}/Salesforce/SFR-Embedding-Mistral",
                "max_length_tokens": f"{MTEB}/salesforce_models.py",
                "revision": f"{MTEB}/salesforce_models.py",
                "signature": f"{MTEB}/salesforce_models.py",
                "pooling": FLAG_POOLING,
                "dimensions": f"{MTEB}/salesforce_models.py",
                "instructions": f"{MTEB}/salesforce_models.py",
                "task_template": FLAG_POOLING,
                "ends_in": f"{HUB}/Salesforce/SFR-Embedding-Mistral",
            }
        ),
        notes="Trained from e5-mistral-7b-instruct. Not for commercial use.",
    ),
)
