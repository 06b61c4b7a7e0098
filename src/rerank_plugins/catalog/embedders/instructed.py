"""The first models that were trained to follow an instruction in front of the text: INSTRUCTOR and TART-dual."""

from __future__ import annotations

from types import MappingProxyType

from rerank_plugins.catalog.embedders.sources import HUB
from rerank_plugins.catalog.spec import Instruction, ModelSpec, Signature

__all__ = ["INSTRUCTED"]

_INSTRUCTOR_CODE = "https://github.com/xlang-ai/instructor-embedding/blob/main"
_INSTRUCTOR_MTEB = (
    "https://github.com/embeddings-benchmark/mteb/blob/2115d48ad1399f0688ae2265d7ccaa3202e5d5b8"
    "/mteb/models/model_implementations/instructor_models.py"
)
_INSTRUCTOR_TASKS = MappingProxyType(
    {
        "retrieval": Instruction(
            query="Represent the question for retrieving supporting documents: ",
            document="Represent the document for retrieval: ",
        ),
        "wikipedia": Instruction(
            query="Represent the Wikipedia question for retrieving supporting documents: ",
            document="Represent the Wikipedia document for retrieval: ",
        ),
    }
)
_INSTRUCTOR_SOURCES = MappingProxyType(
    {
        "license": _INSTRUCTOR_MTEB,
        "languages": _INSTRUCTOR_MTEB,
        "max_length_tokens": _INSTRUCTOR_MTEB,
        "revision": _INSTRUCTOR_MTEB,
        # The encoders of T5 base, large and 3B, by way of GTR.
        "signature": "https://arxiv.org/abs/1910.10683",
        "pooling": f"{_INSTRUCTOR_CODE}/InstructorEmbedding/instructor.py",
        "pools_instruction": f"{_INSTRUCTOR_CODE}/InstructorEmbedding/instructor.py",
        "dimensions": _INSTRUCTOR_MTEB,
        "instructions": f"{_INSTRUCTOR_CODE}/README.md",
    }
)
_INSTRUCTOR_NOTES = (
    "Write instructions as 'Represent the <domain> <kind of text> for <aim>: ', for queries and documents. The "
    "instruction is read with the text and left out of the mean. Published as pickled weights: pass allow_pickle=True, "
    "or a folder converted to safetensors (2_Dense too)."
)
_TART = "https://github.com/facebookresearch/tart/blob/main"

INSTRUCTED: tuple[ModelSpec, ...] = (
    ModelSpec(
        id="hkunlp/instructor-base",
        kind="embedder",
        family="instructor",
        scorer="transformer",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="Apache-2.0",
        languages=("en",),
        revision="0b2f22542d2bd6d60dbff22d22f12c15e6562736",
        signature=Signature(
            model_type="t5", hidden_size=768, num_hidden_layers=12, vocab_size=32_128, intermediate_size=3_072
        ),
        half_precision="bfloat16",
        pooling="mean",
        pools_instruction=False,
        dimensions=768,
        instructions=_INSTRUCTOR_TASKS,
        reference="sentence-transformers",
        sources=_INSTRUCTOR_SOURCES,
        notes=_INSTRUCTOR_NOTES,
    ),
    ModelSpec(
        id="hkunlp/instructor-large",
        kind="embedder",
        family="instructor",
        scorer="transformer",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="Apache-2.0",
        languages=("en",),
        revision="54e5ffb8d484de506e59443b07dc819fb15c7233",
        signature=Signature(
            model_type="t5", hidden_size=1024, num_hidden_layers=24, vocab_size=32_128, intermediate_size=4_096
        ),
        half_precision="bfloat16",
        pooling="mean",
        pools_instruction=False,
        dimensions=768,
        instructions=_INSTRUCTOR_TASKS,
        reference="sentence-transformers",
        sources=_INSTRUCTOR_SOURCES,
        notes=_INSTRUCTOR_NOTES,
    ),
    ModelSpec(
        id="hkunlp/instructor-xl",
        kind="embedder",
        family="instructor",
        scorer="transformer",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="Apache-2.0",
        languages=("en",),
        revision="ce48b213095e647a6c3536364b9fa00daf57f436",
        signature=Signature(
            model_type="t5", hidden_size=1024, num_hidden_layers=24, vocab_size=32_128, intermediate_size=16_384
        ),
        half_precision="bfloat16",
        pooling="mean",
        pools_instruction=False,
        dimensions=768,
        instructions=_INSTRUCTOR_TASKS,
        reference="sentence-transformers",
        sources=_INSTRUCTOR_SOURCES,
        notes=_INSTRUCTOR_NOTES,
    ),
    ModelSpec(
        id="orionweller/tart-dual-contriever-msmarco",
        kind="embedder",
        family="tart",
        scorer="transformer",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license="see its LICENSE",
        languages=("en",),
        signature=Signature(model_type="bert", hidden_size=768, num_hidden_layers=12, vocab_size=30_522),
        pooling="mean",
        normalize=False,
        dimensions=768,
        instructions=MappingProxyType(
            {"retrieval": Instruction(query="retrieve a passage that answers this question from Wikipedia [SEP] ")}
        ),
        task_template="{task} [SEP] ",
        reference="transformers",
        sources=MappingProxyType(
            {
                "license": f"{_TART}/README.md",
                "languages": f"{_TART}/README.md",
                "max_length_tokens": f"{_TART}/TART/src/beir_utils.py",
                "signature": f"{HUB}/facebook/contriever-msmarco",
                "pooling": f"{_TART}/TART/src/contriever.py",
                "normalize": f"{_TART}/TART/src/beir_utils.py",
                "dimensions": f"{HUB}/facebook/contriever-msmarco",
                "instructions": f"{_TART}/README.md",
                "task_template": f"{_TART}/TART/src/beir_utils.py",
            }
        ),
        notes=(
            "TART-dual. Its authors publish it as a zip file named tart-dual-contriever-msmarco, not on the hub; this "
            "is a user's copy, without a pinned commit. Compare by inner product. The instruction is for queries only."
        ),
    ),
)
