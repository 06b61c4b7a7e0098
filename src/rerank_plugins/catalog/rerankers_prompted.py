"""Rerankers that read query and document inside a prompt and answer with a token, beyond FlagEmbedding's.

Facts only, each with the address it was read at. The prompts are in :mod:`rerank_plugins.catalog.templates`.
"""

from __future__ import annotations

from types import MappingProxyType

from rerank_plugins.catalog.llm import WEB_SEARCH_PROMPT
from rerank_plugins.catalog.spec import ModelSpec, Signature
from rerank_plugins.catalog.templates import MONO_T5, MXBAI_V2, QWEN3, TART_FULL

__all__ = ["PROMPTED_RERANKERS"]

_HUB = "https://huggingface.co"
_XINFERENCE = (
    "https://github.com/xorbitsai/inference/blob/0a9e45176cfe5202f8760b2bb87a3999063e0923"
    "/xinference/model/rerank/model_spec.json"
)
_MXBAI_CODE = (
    "https://github.com/mixedbread-ai/mxbai-rerank/blob/03324ea9e52fbb13f6477bf30406ef5919e09d4a"
    "/mxbai_rerank/mxbai_rerank_v2.py"
)
_PYGAGGLE = "https://github.com/castorini/pygaggle/blob/0f314802b71f7e583c586ccdd95ffbec4d387969/pygaggle"
_MTEB_T5 = (
    "https://github.com/embeddings-benchmark/mteb/blob/029d378b2c17d7e05a4c9c30a17966917cb83a33"
    "/mteb/models/rerankers_monot5_based.py"
)
_TART = "https://github.com/facebookresearch/tart/blob/1dbf2803ff1aa437e9917dc3e72684adfc7d30d9/TART/src"
_NOT_READ = "see its card"


def _qwen3(size: str, revision: str, *, signature: Signature | None = None, note: str) -> ModelSpec:
    name = f"Qwen/Qwen3-Reranker-{size}"
    sources = {
        "license": f"{_HUB}/{name}",
        "languages": f"{_HUB}/{name}",
        "default_max_length_tokens": f"{_HUB}/{name}",
        "max_length_tokens": _XINFERENCE,
        "revision": _XINFERENCE,
        "truncation": f"{_HUB}/{name}",
        "score_scale": f"{_HUB}/{name}",
        "template": f"{_HUB}/{name}",
        "prompt": f"{_HUB}/{name}",
    }
    return ModelSpec(
        id=name,
        kind="reranker",
        family="qwen3",
        scorer="decoder",
        default_max_length_tokens=8192,
        max_length_tokens=32_768,
        license="Apache-2.0",
        languages=("multilingual",),
        revision=revision,
        signature=signature,
        truncation="end",
        template=QWEN3,
        prompt=WEB_SEARCH_PROMPT,
        half_precision="bfloat16",
        reference="transformers, sentence-transformers",
        sources=MappingProxyType(sources),
        notes=(
            f"{note} Needs transformers 4.51 or newer. Takes an instruction (prompt=...); its authors advise to write "
            "one in English for each task. max_length counts the whole input, the chat around it included."
        ),
    )


def _mxbai_v2(size: str, revision: str, note: str) -> ModelSpec:
    name = f"mixedbread-ai/mxbai-rerank-{size}-v2"
    sources = {
        "license": f"{_HUB}/{name}",
        "languages": f"{_HUB}/{name}",
        "default_max_length_tokens": _MXBAI_CODE,
        "max_length_tokens": f"{_HUB}/{name}",
        "revision": f"{_HUB}/{name}/tree/{revision}",
        "truncation": _MXBAI_CODE,
        "score_scale": _MXBAI_CODE,
        "template": _MXBAI_CODE,
    }
    return ModelSpec(
        id=name,
        kind="reranker",
        family="mxbai-v2",
        scorer="decoder",
        default_max_length_tokens=8192,
        max_length_tokens=32_768,
        license="Apache-2.0",
        languages=("multilingual",),
        revision=revision,
        truncation="only_second",
        template=MXBAI_V2,
        half_precision="bfloat16",
        reference="its own code on transformers",
        sources=MappingProxyType(sources),
        notes=(
            f"{note} An instruction is optional (prompt=...). max_length counts query and document; about 100 tokens "
            "of prompt come on top. The newest release of its own package rescales these scores; here they are the raw "
            "difference of the logits of '1' and '0'."
        ),
    )


def _mono_t5(name: str, note: str, *, revision: str | None = None) -> ModelSpec:
    sources = {
        "license": f"{_HUB}/castorini/{name}",
        "languages": _MTEB_T5,
        "max_length_tokens": f"{_PYGAGGLE}/model/tokenize.py",
        "truncation": f"{_PYGAGGLE}/model/tokenize.py",
        "score_scale": f"{_PYGAGGLE}/rerank/transformer.py",
        "template": f"{_PYGAGGLE}/model/tokenize.py",
    }
    if revision is not None:
        sources["revision"] = _MTEB_T5
    return ModelSpec(
        id=f"castorini/{name}",
        kind="reranker",
        family="monot5",
        scorer="sequence-to-sequence",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license=_NOT_READ,
        languages=("en",),
        revision=revision,
        truncation="end",
        template=MONO_T5,
        half_precision="bfloat16",
        reference="transformers",
        sources=MappingProxyType(sources),
        notes=(
            f"{note} ' Relevant:' is never cut, as pygaggle does with documents that do not fit. Where the files have "
            "pickled weights only, loading says so and names the ways out."
        ),
    )


PROMPTED_RERANKERS: tuple[ModelSpec, ...] = (
    _qwen3("0.6B", "6e9e69830b95c52b5fd889b7690dda3329508de3", note="0.6 billion parameters."),
    _qwen3("4B", "f16fc5d5d2b9b1d0db8280929242745d79794ef5", note="4 billion parameters."),
    _qwen3("8B", "5fa94080caafeaa45a15d11f969d7978e087a3db", note="8 billion parameters."),
    _mxbai_v2("base", "3ea9d4dffa7d12a4f366be8e275c349de9fc9865", "0.5 billion parameters."),
    _mxbai_v2("large", "ca7e1ee484c37c0ddd8d178a9a5c33cec575c5e6", "1.5 billion parameters."),
    _mono_t5("monot5-base-msmarco", "220 million parameters."),
    _mono_t5(
        "monot5-base-msmarco-10k",
        "220 million parameters; trained for one epoch, better away from MS MARCO.",
        revision="f15657ab3d2a5dd0b9a30c8c0b6a0a73c9cb5884",
    ),
    _mono_t5("monot5-large-msmarco", "770 million parameters."),
    _mono_t5(
        "monot5-large-msmarco-10k",
        "770 million parameters; trained for one epoch, better away from MS MARCO.",
        revision="48cfad1d8dd587670393f27ee8ec41fde63e3d98",
    ),
    _mono_t5("monot5-3b-msmarco", "3 billion parameters."),
    _mono_t5(
        "monot5-3b-msmarco-10k",
        "3 billion parameters; trained for one epoch, better away from MS MARCO.",
        revision="bc0c419a438c81f592f878ce32430a1823f5db6c",
    ),
    ModelSpec(
        id="facebook/tart-full-flan-t5-xl",
        kind="reranker",
        family="tart",
        scorer="encoder-t5",
        default_max_length_tokens=512,
        max_length_tokens=512,
        license=_NOT_READ,
        languages=("en",),
        truncation="longest_first",
        template=TART_FULL,
        half_precision="bfloat16",
        reference="its own code on transformers",
        sources=MappingProxyType(
            {
                "license": f"{_HUB}/facebook/tart-full-flan-t5-xl",
                "languages": "https://arxiv.org/abs/2211.09260",
                "max_length_tokens": f"{_TART}/rerank.py",
                "truncation": f"{_TART}/rerank.py",
                "score_scale": f"{_TART}/rerank.py",
                "template": f"{_TART}/tokenization_enc_t5.py",
            }
        ),
        notes=(
            "The encoder of a 3 billion parameter T5. Give the task as prompt=...: 'prompt [SEP] query' is what it "
            "reads. Its tokenizer must have the token '<s>'. Where its files have pickled weights only, loading says "
            "so and names the ways out."
        ),
    ),
)
