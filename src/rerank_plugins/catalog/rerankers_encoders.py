"""Cross-encoders beyond BGE and BCE that are known by name: facts only, each with the address it was read at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from rerank_plugins.catalog.spec import ModelSpec

__all__ = ["ENCODER_RERANKERS"]

_HUB = "https://huggingface.co"
_SBERT = "https://www.sbert.net/docs/cross_encoder/pretrained_models.html"
_XINFERENCE = (
    "https://github.com/xorbitsai/inference/blob/0a9e45176cfe5202f8760b2bb87a3999063e0923"
    "/xinference/model/rerank/model_spec.json"
)
_LUYUG = "https://github.com/luyug/Reranker"
_REMOTE_CODE = (
    "Its architecture comes as Python code with the checkpoint: loading it needs trust_remote_code=True and is refused "
    "without. It then runs as a whole, padded, in its own precision."
)


def _cross_encoder(name: str, *, family: str, tokens: int, revision: str | None = None, notes: str = "") -> ModelSpec:
    card = f"{_HUB}/{name}"
    read = dict.fromkeys(("license", "languages", "max_length_tokens", "truncation", "score_scale"), card)
    if revision is not None:
        read["revision"] = f"{card}/tree/{revision}"
    return ModelSpec(
        id=name,
        kind="reranker",
        family=family,
        scorer="cross-encoder",
        default_max_length_tokens=tokens,
        max_length_tokens=tokens,
        license="Apache-2.0",
        languages=("en",),
        revision=revision,
        truncation="longest_first",
        reference="transformers, sentence-transformers",
        sources=MappingProxyType(read),
        notes=notes,
    )


def _read_at(spec: ModelSpec, addresses: Mapping[str, str]) -> ModelSpec:
    """Return the spec with other addresses for some of its facts."""
    return replace(spec, sources=MappingProxyType({**spec.sources, **addresses}))


def _ms_marco(name: str, revision: str | None = None) -> ModelSpec:
    full = f"cross-encoder/ms-marco-{name}"
    notes = "Trained on MS MARCO passages in English."
    spec = _cross_encoder(full, family="ms-marco", tokens=512, revision=revision, notes=notes)
    # The repositories were renamed; the hub still answers to the old names.
    spec = replace(spec, aliases=(full.replace("-L", "-L-"),))
    return _read_at(spec, {"max_length_tokens": _SBERT, "truncation": _SBERT})


def _mxbai_v1(size: str, revision: str | None = None) -> ModelSpec:
    name = f"mixedbread-ai/mxbai-rerank-{size}-v1"
    return _cross_encoder(name, family="mxbai-v1", tokens=512, revision=revision, notes="A DeBERTa v2 classifier.")


def _luyu(name: str) -> ModelSpec:
    notes = "Trained by luyug/Reranker on MS MARCO documents; its own examples cut at 512."
    spec = _cross_encoder(f"Luyu/{name}", family="luyu", tokens=512, notes=notes)
    spec = replace(spec, license="see its card", truncation="only_second")
    return _read_at(spec, dict.fromkeys(("truncation", "max_length_tokens", "score_scale"), _LUYUG))


ENCODER_RERANKERS: tuple[ModelSpec, ...] = (
    _ms_marco("TinyBERT-L2-v2"),
    _ms_marco("MiniLM-L2-v2"),
    _ms_marco("MiniLM-L4-v2"),
    _ms_marco("MiniLM-L6-v2", "c5ee24cb16019beea0893ab7796b1df96625c6b8"),
    _ms_marco("MiniLM-L12-v2", "7b0235231ca2674cb8ca8f022859a6eba2b1c968"),
    _mxbai_v1("xsmall", "b5c6e9da73abc3711f593f705371cdbe9e0fe422"),
    _mxbai_v1("base"),
    _mxbai_v1("large"),
    _cross_encoder(
        "Alibaba-NLP/gte-reranker-modernbert-base",
        family="gte",
        tokens=8192,
        revision="f7481e6055501a30fb19d090657df9ec1f79ab2c",
        notes="149 million parameters. Needs transformers 4.48 or newer.",
    ),
    replace(
        _cross_encoder(
            "Alibaba-NLP/gte-multilingual-reranker-base",
            family="gte",
            tokens=8192,
            revision="8215cf04918ba6f7b6a62bb44238ce2953d8831c",
            notes=(
                "transformers 5 has this architecture as 'gte' and tests it with revision='refs/pr/23' of this "
                "repository: that revision loads without remote code there. The pinned one calls it 'new' and needs "
                "trust_remote_code=True, with code that was written for transformers 4."
            ),
        ),
        languages=("multilingual",),
    ),
    _cross_encoder("jinaai/jina-reranker-v1-tiny-en", family="jina-v1", tokens=8192, notes=_REMOTE_CODE),
    _cross_encoder("jinaai/jina-reranker-v1-turbo-en", family="jina-v1", tokens=8192, notes=_REMOTE_CODE),
    _read_at(
        replace(
            _cross_encoder(
                "jinaai/jina-reranker-v2-base-multilingual",
                family="jina-v2",
                tokens=1024,
                revision="298e48cada4a9318650d7fbd795f63827f884087",
                notes=(
                    "An XLM-R classifier under flash-attention's names; runs without the checkpoint's own code. Its "
                    "rerank() splits long documents into windows: long_documents='maxp'."
                ),
            ),
            license="CC-BY-NC-4.0",
            languages=("multilingual",),
            reference="transformers, the same weights under its names",
        ),
        {"revision": _XINFERENCE, "max_length_tokens": _XINFERENCE},
    ),
    _luyu("bert-base-mdoc-bm25"),
    _luyu("bert-base-mdoc-hdct"),
)
