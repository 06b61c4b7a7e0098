"""BGE (BAAI) on language models: rerankers that answer a prompt, on every layer or on the last, and embedders.

References for the prompts: FlagEmbedding 1.3.5, ``inference/reranker/decoder_only``: ``base.py``, ``layerwise.py``,
``lightweight.py``.
"""

from __future__ import annotations

from types import MappingProxyType

from rerank_plugins.catalog.families.backbones import MISTRAL_7B
from rerank_plugins.catalog.families.sources import CARD, CONFIG, FLAG_POOLING, HUB, MTEB, TREE, XINFERENCE_RERANKERS
from rerank_plugins.catalog.family import Family, Size
from rerank_plugins.catalog.layers import LayerRange
from rerank_plugins.catalog.shapes import Shape
from rerank_plugins.catalog.spec import Instruction, ModelSpec
from rerank_plugins.catalog.templates import PROMPT_SLOT, PairTemplate

__all__ = ["ANSWER_PROMPT", "BGE_LLM", "FLAG_EMBEDDING", "LIGHTWEIGHT_PROMPT"]

ANSWER_PROMPT = (
    "Given a query A and a passage B, determine whether the passage contains an answer to the query by providing a "
    "prediction of either 'Yes' or 'No'."
)
LIGHTWEIGHT_PROMPT = "Predict whether passage B contains an answer to query A."
FLAG_EMBEDDING = PairTemplate(
    bos=True,
    before_query="A: ",
    before_query_unprompted="A: ",
    between="\n",
    before_document="B: ",
    closing=("\n", PROMPT_SLOT),
    tokenised="apart",
    counted="flag_embedding",
    answer="Yes",
    answers_are="texts",
)

_LIST = (
    "https://github.com/FlagOpen/FlagEmbedding/blob/7f86295b8ce71ef9cb31793ce39bc1bf7ea14a83"
    "/research/llm_reranker/README.md"
)
_CODE = (
    "https://github.com/FlagOpen/FlagEmbedding/blob/dfdace383d5602240830700b87e19cc91ec5e0a5"
    "/FlagEmbedding/inference/reranker/decoder_only"
)
_FLAG = "https://github.com/FlagOpen/FlagEmbedding/blob/3c2d3215ea5528a7888b2f99849da7bb56d68cea/FlagEmbedding"
_MTEB = f"{MTEB}/bge_models.py"
_GEMMA2_9B = Shape(
    layers=42,
    hidden=3584,
    inner=14_336,
    vocabulary=256_000,
    query_width=4096,
    key_width=2048,
    gated=True,
    source=f"{HUB}/BAAI/bge-reranker-v2.5-gemma2-lightweight/blob/main/config.json",
)


def _read_in(module: str) -> dict[str, str]:
    """Return where the facts of a reranker were read, the behaviour in FlagEmbedding's module for it."""
    code = dict.fromkeys(("default_max_length_tokens", "truncation", "score_scale", "prompt"), f"{_CODE}/{module}")
    return {"license": CARD, "languages": _LIST, "max_length_tokens": CONFIG, "signature": CONFIG, **code}


_GEMMA = Family(
    architecture="gemma",
    vocabulary=256_000,
    positions=8192,
    facts=ModelSpec(
        id="BAAI/bge-reranker-v2-gemma",
        kind="reranker",
        family="bge",
        scorer="decoder",
        default_max_length_tokens=512,
        max_length_tokens=8192,
        license="Apache-2.0",
        languages=("multilingual",),
        truncation="only_second",
        template=FLAG_EMBEDDING,
        prompt=ANSWER_PROMPT,
        half_precision="bfloat16",
        reference="FlagEmbedding 1.3.5",
        sources=MappingProxyType({**_read_in("base.py"), "revision": XINFERENCE_RERANKERS}),
        notes=(
            "2.5 billion parameters. max_length counts query and document; the prompt comes on top. Its card cuts at "
            "1024, FlagEmbedding at 512 unless told otherwise."
        ),
    ),
    sizes=(
        Size(
            revision="1787044f8b6fb740a9de4557c3a12377f84d9e17",
            layers=18,
            hidden=2048,
            shape=Shape(
                layers=18,
                hidden=2048,
                inner=16_384,
                vocabulary=256_000,
                key_width=256,
                gated=True,
                source=f"{HUB}/BAAI/bge-reranker-v2-gemma/blob/main/config.json",
            ),
        ),
    ),
)
_LAYERWISE = Family(
    architecture="minicpm",
    vocabulary=122_753,
    positions=2048,
    facts=ModelSpec(
        id="BAAI/bge-reranker-v2-minicpm-layerwise",
        kind="reranker",
        family="bge",
        scorer="layerwise",
        default_max_length_tokens=512,
        max_length_tokens=2048,
        license="Apache-2.0",
        languages=("multilingual",),
        truncation="only_second",
        template=FLAG_EMBEDDING,
        prompt=ANSWER_PROMPT,
        layers=LayerRange(first=8, last=40),
        half_precision="bfloat16",
        reference="FlagEmbedding 1.3.5",
        sources=MappingProxyType(
            {
                **_read_in("layerwise.py"),
                "revision": XINFERENCE_RERANKERS,
                "layers": CONFIG,
                "half_precision": CONFIG,
            }
        ),
        notes=(
            "2.7 billion parameters. Layers 8 to 40 give scores, each on its own scale; 28 is used unless "
            "LayerOptions(cutoff_layers=...) says otherwise. Runs without the checkpoint's own code."
        ),
    ),
    sizes=(
        Size(
            revision="47b5332b296c4d8cb6ee2c60502cc62a0d708881",
            layers=40,
            hidden=2304,
            shape=Shape(
                layers=40,
                hidden=2304,
                inner=5760,
                vocabulary=122_753,
                gated=True,
                source=f"{HUB}/BAAI/bge-reranker-v2-minicpm-layerwise/blob/main/config.json",
            ),
        ),
    ),
)
_LIGHTWEIGHT = Family(
    architecture="cost_wise_gemma",
    vocabulary=256_000,
    positions=8192,
    facts=ModelSpec(
        id="BAAI/bge-reranker-v2.5-gemma2-lightweight",
        kind="reranker",
        family="bge",
        scorer="lightweight",
        default_max_length_tokens=512,
        max_length_tokens=8192,
        license="Gemma",
        languages=("multilingual",),
        truncation="only_second",
        template=FLAG_EMBEDDING,
        prompt=LIGHTWEIGHT_PROMPT,
        layers=LayerRange(first=8, last=42, compresses=True),
        half_precision="bfloat16",
        reference="FlagEmbedding 1.3.5",
        sources=MappingProxyType({**_read_in("lightweight.py"), "languages": CARD, "revision": TREE, "layers": CONFIG}),
        notes=(
            "9 billion parameters, 39 GB of float32 files. LayerOptions chooses the layer (8 to 42, default 28) and "
            "how document tokens are merged. Its scores are saturated; its authors advise against thresholds. Runs "
            "without the checkpoint's own code."
        ),
    ),
    sizes=(Size(revision="bac849b81e49b6eec8d3b532b6b77f1d3522697b", layers=42, hidden=3584, shape=_GEMMA2_9B),),
)

_INSTRUCT = "<instruct>{task}\n<query>"
_WEB_SEARCH = MappingProxyType(
    {
        "retrieval": Instruction(
            query="<instruct>Given a web search query, retrieve relevant passages that answer the query.\n<query>"
        )
    }
)
_EMBEDDER_SOURCES = MappingProxyType(
    {
        "license": _MTEB,
        "languages": _MTEB,
        "default_max_length_tokens": CARD,
        "max_length_tokens": _MTEB,
        "revision": _MTEB,
        "signature": _MTEB,
        "pooling": FLAG_POOLING,
        "dimensions": _MTEB,
        "instructions": CARD,
        "task_template": FLAG_POOLING,
    }
)
_ICL = Family(
    architecture="mistral",
    facts=ModelSpec(
        id="BAAI/bge-en-icl",
        kind="embedder",
        family="bge",
        scorer="transformer",
        default_max_length_tokens=4096,
        max_length_tokens=32_768,
        license="Apache-2.0",
        languages=("en",),
        pooling="last_token",
        instructions=_WEB_SEARCH,
        task_template=_INSTRUCT,
        query_suffix="\n<response>",
        example_template="<instruct>{task}\n<query>{query}\n<response>{response}",
        ends_in="</s>",
        reference="FlagEmbedding 1.4.2",
        sources=MappingProxyType(
            {
                **_EMBEDDER_SOURCES,
                "query_suffix": f"{_FLAG}/inference/embedder/decoder_only/icl.py",
                "example_template": f"{_FLAG}/inference/embedder/decoder_only/icl.py",
                "ends_in": f"{_FLAG}/finetune/embedder/decoder_only/icl/runner.py",
            }
        ),
        notes=(
            "Learns from examples of the task: pass examples=[QueryExample(...)]; they go in front of every query and "
            "are not counted in max_length. Documents take neither instruction nor examples."
        ),
    ),
    sizes=(Size(revision="971c7e1445cc86656ca0bd85ed770b8675a40bb5", layers=32, hidden=4096, shape=MISTRAL_7B),),
)
_GEMMA2 = Family(
    architecture="gemma2",
    facts=ModelSpec(
        id="BAAI/bge-multilingual-gemma2",
        kind="embedder",
        family="bge",
        scorer="transformer",
        default_max_length_tokens=4096,
        max_length_tokens=8192,
        license="Gemma",
        languages=("multilingual",),
        half_precision="bfloat16",
        pooling="last_token",
        instructions=_WEB_SEARCH,
        task_template=_INSTRUCT,
        ends_in="<eos>",
        reference="FlagEmbedding 1.4.2",
        sources=MappingProxyType(
            {**_EMBEDDER_SOURCES, "ends_in": f"{_FLAG}/finetune/embedder/decoder_only/base/runner.py"}
        ),
        notes="Needs transformers 4.42 or later. Attention is soft-capped, so it runs without fused attention.",
    ),
    sizes=(Size(revision="992e13d8984fde2c31ef8a3cb2c038aeec513b8a", layers=42, hidden=3584, shape=_GEMMA2_9B),),
)

BGE_LLM = (_GEMMA, _LAYERWISE, _LIGHTWEIGHT, _ICL, _GEMMA2)
