"""The compressors' conformance suite over every kind of model, and what each kind's class adds."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any, ClassVar

import pytest
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_rerank_plugins import (
    BaseRerankCompressor,
    BgeLayerwiseRerankCompressor,
    BgeLightweightRerankCompressor,
    BgeLLMRerankCompressor,
    BgeRerankCompressor,
    QwenRerankCompressor,
    RerankCompressor,
    RerankCrossEncoder,
)
from llm_checkpoints import llm_checkpoint
from rerank_plugins_testing.langchain import CompressorConformance, FixedRetriever

from rerank_plugins import LayerOptions, Reranker
from rerank_plugins.errors import DeadlineExceededError, ModelUnavailableError
from rerank_plugins.testing import standstill

GEMMA, LAYERWISE, LIGHTWEIGHT = "tiny-gemma", "tiny-minicpm-layerwise", "tiny-gemma2-lightweight"
QUERY = "What does a panda eat?"
TEXTS = ["Paris is the capital of France.", "The panda eats bamboo.", "Net revenue grew in 2019.", "A panda is a bear."]


class TestCrossEncoder(CompressorConformance):
    compressor_class = BgeRerankCompressor

    @pytest.fixture(autouse=True)
    def _take_folder(self, xlmr_reranker_folder: Path) -> None:
        self.folder = xlmr_reranker_folder

    @property
    def compressor_params(self) -> dict[str, Any]:
        return {"model": self.folder, "device": "cpu", "long_documents": "maxp"}


class _OfLLM(CompressorConformance):
    checkpoint: str
    options: ClassVar[dict[str, Any]]
    others: ClassVar[dict[str, Any]]

    @property
    def compressor_params(self) -> dict[str, Any]:
        return {"model": llm_checkpoint(self.checkpoint), "device": "cpu", **self.options}

    @property
    def other_settings(self) -> dict[str, Any]:
        return self.others


class TestDecoder(_OfLLM):
    compressor_class: type[BaseDocumentCompressor] = BgeLLMRerankCompressor
    checkpoint, options, others = GEMMA, {"max_length": 128}, {"top_n": 1}


class TestLayerwise(_OfLLM):
    compressor_class: type[BaseDocumentCompressor] = BgeLayerwiseRerankCompressor
    checkpoint, options, others = LAYERWISE, {"cutoff_layers": 4}, {"cutoff_layers": 2}


class TestLightweight(_OfLLM):
    compressor_class: type[BaseDocumentCompressor] = BgeLightweightRerankCompressor
    checkpoint, options = LIGHTWEIGHT, {"cutoff_layers": [5], "compress_ratio": 2, "compress_layers": [3]}
    others: ClassVar = {"cutoff_layers": 4, "compress_ratio": 4, "head_by_layer": True}


class TestLayersOfTheGenericClass(_OfLLM):
    compressor_class: type[BaseDocumentCompressor] = RerankCompressor
    checkpoint, options, others = LAYERWISE, {}, {"layers": LayerOptions(cutoff_layers=(2,))}


@pytest.fixture(scope="module")
def layerwise() -> Iterator[BgeLayerwiseRerankCompressor]:
    made = BgeLayerwiseRerankCompressor(model=llm_checkpoint(LAYERWISE), device="cpu", top_n=None)
    yield made
    made.close()


def scores(made: BaseRerankCompressor) -> dict[str, float]:
    documents = [Document(text) for text in TEXTS]
    return {one.page_content: one.metadata["relevance_score"] for one in made.compress_documents(documents, QUERY)}


def core_scores(reranker: Reranker, **layers: Any) -> Any:
    ranked = reranker.rank(QUERY, TEXTS, layers=LayerOptions(**layers))
    return pytest.approx({one.document: one.score for one in ranked}, abs=1e-5)


def test_each_option_reaches_the_core() -> None:
    model = llm_checkpoint(LIGHTWEIGHT)
    core = Reranker(model, device="cpu")
    made = BgeLightweightRerankCompressor(model=model, device="cpu", top_n=None)
    assert scores(made) == core_scores(core)
    for options in (
        {"cutoff_layers": (4,)},
        {"cutoff_layers": (4,), "head_by_layer": True},
        {"cutoff_layers": (5,), "compress_ratio": 4, "compress_layers": (2, 3)},
        {"cutoff_layers": (4,), "attention_softcap": True},
    ):
        assert scores(made.with_settings(**options)) == core_scores(core, **options)


def test_an_own_prompt_shares_the_weights() -> None:
    made = BgeLLMRerankCompressor(model=llm_checkpoint(GEMMA), device="cpu", top_n=None)
    other = made.with_settings(prompt="Is the passage about animals? Answer 'Yes' or 'No'.")
    assert other.reranker._lease.value is made.reranker._lease.value
    assert scores(other) != scores(made)


def test_sixteen_threads_with_layers_of_their_own(layerwise: BgeLayerwiseRerankCompressor) -> None:
    expected = {layer: core_scores(layerwise.reranker, cutoff_layers=layer) for layer in range(2, 7)}
    barrier = Barrier(16)

    def work(number: int) -> bool:
        layer = number % 5 + 2
        barrier.wait()
        with layerwise.using(cutoff_layers=layer):
            inside = scores(layerwise)
        return inside == expected[layer] and scores(layerwise.with_settings(cutoff_layers=[layer])) == expected[layer]

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(work, range(16)))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (7, "must be from 2 to 6 for this model; got 7"),
        ([2, 4], r"asks for 2; give one layer.*score_layers\(\)"),
        ([], "cutoff_layers is empty"),
        ("four", "cutoff_layers"),
        (True, "cutoff_layers"),
        (4.0, "cutoff_layers"),
    ],
)
def test_impossible_layers_are_found_when_they_are_set(
    layerwise: BgeLayerwiseRerankCompressor, value: Any, message: str
) -> None:
    before = layerwise.model_dump()
    for attempt in (
        lambda: BgeLayerwiseRerankCompressor(model=layerwise.model, device="cpu", cutoff_layers=value),
        lambda: layerwise.with_settings(cutoff_layers=value),
        lambda: setattr(layerwise, "cutoff_layers", value),
    ):
        with pytest.raises(ValueError, match=message):
            attempt()
    assert layerwise.model_dump() == before


def test_options_of_another_kind_are_unknown(layerwise: BgeLayerwiseRerankCompressor) -> None:
    for kind, option, hint in (
        (BgeLayerwiseRerankCompressor, "cutoff_layer", "Did you mean 'cutoff_layers'"),
        (BgeLayerwiseRerankCompressor, "compress_ratio", "has no option 'compress_ratio'"),
        (BgeLLMRerankCompressor, "cutoff_layers", "has no option 'cutoff_layers'"),
        (BgeLightweightRerankCompressor, "layers", "has no option 'layers'"),
        (QwenRerankCompressor, "instruction", "has no option 'instruction'"),
    ):
        with pytest.raises(ValueError, match=hint):
            kind(model=layerwise.model, **{option: 2})


def test_a_model_of_another_kind_is_refused(layerwise: BgeLayerwiseRerankCompressor) -> None:
    told = r"BgeLLMRerankCompressor is for .*decoder; .*'layerwise'. Use RerankCompressor,"
    with pytest.raises(ValueError, match=told):
        BgeLLMRerankCompressor(model=layerwise.model, device="cpu")
    with pytest.raises(ValueError, match=told):
        BgeLLMRerankCompressor.from_reranker(layerwise.reranker)


def test_mistakes_are_found_before_anything_is_fetched_or_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a model was opened")

    monkeypatch.setattr(Reranker, "__init__", refuse)
    for options in (
        {"model": "BAAI/bge-reranker-v2-m3"},
        {"cutoff_layers": 41},
        {"model": llm_checkpoint(LIGHTWEIGHT)},
        {"model": llm_checkpoint(LAYERWISE), "cutoff_layers": 7},
    ):
        with pytest.raises(ValueError, match=r"is for models that run on|cutoff_layers must be from"):
            BgeLayerwiseRerankCompressor(**options)


def test_from_reranker_takes_over_its_layers(layerwise: BgeLayerwiseRerankCompressor) -> None:
    core = Reranker(layerwise.model, device="cpu", layers=LayerOptions(cutoff_layers=(3,)))
    made = BgeLayerwiseRerankCompressor.from_reranker(core, top_n=None)
    assert made.cutoff_layers == (3,)
    assert scores(made) == core_scores(core)
    other = BgeLayerwiseRerankCompressor.from_reranker(core, top_n=None, cutoff_layers=5)
    assert scores(other) == core_scores(core, cutoff_layers=5)
    with pytest.raises(ValueError, match="prompt cannot be set here"):
        BgeLayerwiseRerankCompressor.from_reranker(core, prompt="x")  # type: ignore[call-arg]


def test_stored_forms_keep_the_layers() -> None:
    options = {"cutoff_layers": (5,), "compress_ratio": 2, "compress_layers": (2, 3), "head_by_layer": True}
    made = BgeLightweightRerankCompressor(model=llm_checkpoint(LIGHTWEIGHT), device="cpu", deadline_s=60, **options)  # type: ignore[arg-type]
    kind = type(made)
    again = [
        kind(**made.model_dump()),
        kind.model_validate_json(made.model_dump_json()),
        pickle.loads(pickle.dumps(made)),
    ]
    for one in again:
        assert one == made
        assert scores(one) == pytest.approx(scores(made), abs=1e-5)
    assert "cutoff_layers=(5,)" in repr(made)


def test_the_cross_encoder_takes_layers_and_deadlines_too(layerwise: BgeLayerwiseRerankCompressor) -> None:
    pairs = [(QUERY, text) for text in TEXTS]
    encoder = RerankCrossEncoder(model=layerwise.model, device="cpu", layers=LayerOptions(cutoff_layers=(3,)))
    expected = pytest.approx(layerwise.reranker.score(pairs, layers=LayerOptions(cutoff_layers=(5,))), abs=1e-5)
    other = {"layers": LayerOptions(cutoff_layers=(5,))}
    assert encoder.with_settings(**other).score(pairs) == expected
    with encoder.using(**other):
        assert encoder.score(pairs) == expected
        assert asyncio.run(encoder.ascore(pairs)) == expected
    assert encoder.score(pairs) != expected
    hasty = encoder.with_settings(deadline_s=0.02)
    with standstill(encoder.reranker), pytest.raises(DeadlineExceededError):
        hasty.score(pairs)


def test_defaults_and_descriptions() -> None:
    defaults = {
        BgeLLMRerankCompressor: ("BAAI/bge-reranker-v2-gemma", "bge"),
        BgeLayerwiseRerankCompressor: ("BAAI/bge-reranker-v2-minicpm-layerwise", "bge"),
        BgeLightweightRerankCompressor: ("BAAI/bge-reranker-v2.5-gemma2-lightweight", "bge"),
        QwenRerankCompressor: ("Qwen/Qwen3-Reranker-0.6B", "qwen3"),
    }
    for kind, (model, family) in defaults.items():
        fields = kind.model_fields
        assert (fields["model"].default, fields["family"].default) == (model, family)
        assert all(field.description for field in fields.values())
        assert (kind.__doc__ or "").startswith("Reranks with")


def test_the_readmes_ways_to_set_one_call(layerwise: BgeLayerwiseRerankCompressor) -> None:
    from langchain_classic.retrievers import ContextualCompressionRetriever

    readme = Path(__file__).parents[2] / "integrations" / "langchain" / "README.md"
    code = next(part for part in readme.read_text(encoding="utf-8").split("```python\n") if "with_settings" in part)
    code = code.split("```")[0].replace("cutoff_layers=28", f"model={layerwise.model!r}, device='cpu', cutoff_layers=6")
    imports_and_setting, rest = code.replace("cutoff_layers=16", "cutoff_layers=2").split("\ncompressor.", 1)
    names: dict[str, Any] = {"documents": [Document(text) for text in TEXTS], "query": QUERY}
    exec(imports_and_setting, names)
    names["retriever"] = ContextualCompressionRetriever(
        base_compressor=names["compressor"], base_retriever=FixedRetriever(documents=names["documents"])
    )
    exec(f"compressor.{rest}", names)
    assert names["compressor"].cutoff_layers == (6,)


@pytest.mark.parametrize("kind", [BgeLLMRerankCompressor, BgeLayerwiseRerankCompressor, BgeLightweightRerankCompressor])
def test_default_model_offline_says_the_way_out(
    kind: type[BaseRerankCompressor], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelUnavailableError, match="HF_ENDPOINT"):
        kind(local_files_only=True)
