"""INSTRUCTOR (HKU): embedders that were trained to follow an instruction in front of both texts."""

from __future__ import annotations

from types import MappingProxyType

from rerank_plugins.catalog.families.backbones import T5_ENCODERS
from rerank_plugins.catalog.family import Family, Size
from rerank_plugins.catalog.spec import Instruction, ModelSpec

__all__ = ["INSTRUCTOR"]

_CODE = "https://github.com/xlang-ai/instructor-embedding/blob/main"
_MTEB = (
    "https://github.com/embeddings-benchmark/mteb/blob/2115d48ad1399f0688ae2265d7ccaa3202e5d5b8"
    "/mteb/models/model_implementations/instructor_models.py"
)

INSTRUCTOR = (
    Family(
        architecture="t5",
        vocabulary=32_128,
        facts=ModelSpec(
            id="hkunlp/instructor-{size}",
            kind="embedder",
            family="instructor",
            scorer="transformer",
            default_max_length_tokens=512,
            max_length_tokens=512,
            license="Apache-2.0",
            languages=("en",),
            half_precision="bfloat16",
            pooling="mean",
            pools_instruction=False,
            instructions=MappingProxyType(
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
            ),
            reference="sentence-transformers",
            sources=MappingProxyType(
                {
                    "license": _MTEB,
                    "languages": _MTEB,
                    "max_length_tokens": _MTEB,
                    "revision": _MTEB,
                    # The encoders of T5 base, large and 3B, by way of GTR.
                    "signature": "https://arxiv.org/abs/1910.10683",
                    "pooling": f"{_CODE}/InstructorEmbedding/instructor.py",
                    "pools_instruction": f"{_CODE}/InstructorEmbedding/instructor.py",
                    "dimensions": _MTEB,
                    "instructions": f"{_CODE}/README.md",
                }
            ),
            notes=(
                "Write instructions as 'Represent the <domain> <kind of text> for <aim>: ', for queries and documents. "
                "The instruction is read with the text and left out of the mean. Published as pickled weights: pass "
                "allow_pickle=True, or a folder converted to safetensors (2_Dense too)."
            ),
        ),
        sizes=(
            Size(
                "base",
                "0b2f22542d2bd6d60dbff22d22f12c15e6562736",
                layers=12,
                hidden=768,
                inner=3_072,
                dimensions=768,
                shape=T5_ENCODERS["base"],
            ),
            Size(
                "large",
                "54e5ffb8d484de506e59443b07dc819fb15c7233",
                layers=24,
                hidden=1024,
                inner=4_096,
                dimensions=768,
                shape=T5_ENCODERS["large"],
            ),
            Size(
                "xl",
                "ce48b213095e647a6c3536364b9fa00daf57f436",
                layers=24,
                hidden=1024,
                inner=16_384,
                dimensions=768,
                shape=T5_ENCODERS["3b"],
            ),
        ),
    ),
)
