"""The postprocessors' conformance suite over every kind of model, and what each kind's class adds."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.postprocessor.rerank_plugins import (
    BaseRerankPostprocessor,
    BgeLayerwiseRerankPostprocessor,
    BgeLightweightRerankPostprocessor,
    BgeLLMRerankPostprocessor,
    BgeRerankPostprocessor,
    QwenRerankPostprocessor,
    RerankPostprocessor,
)
from llm_checkpoints import llm_checkpoint
from rerank_plugins_testing.llamaindex import PostprocessorConformance

from rerank_plugins import LayerOptions, Reranker
from rerank_plugins.errors import ModelUnavailableError

GEMMA, LAYERWISE, LIGHTWEIGHT = "tiny-gemma", "tiny-minicpm-layerwise", "tiny-gemma2-lightweight"
QUERY = "What does a panda eat?"
TEXTS = ["Paris is the capital of France.", "The panda eats bamboo.", "Net revenue grew in 2019.", "A panda is a bear."]


class TestCrossEncoder(PostprocessorConformance):
    @pytest.fixture
    def make(self, xlmr_reranker_folder: Path) -> Any:
        return partial(BgeRerankPostprocessor, model=xlmr_reranker_folder, device="cpu", long_documents="maxp")


class TestDecoder(PostprocessorConformance):
    @pytest.fixture
    def make(self) -> Any:
        return partial(BgeLLMRerankPostprocessor, model=llm_checkpoint(GEMMA), device="cpu", max_length=128)


class TestLayerwise(PostprocessorConformance):
    @pytest.fixture
    def make(self) -> Any:
        model = llm_checkpoint(LAYERWISE)
        return partial(BgeLayerwiseRerankPostprocessor, model=model, device="cpu", cutoff_layers=4)

    @pytest.fixture
    def other_settings(self) -> dict[str, Any]:
        return {"cutoff_layers": 2}


class TestLightweight(PostprocessorConformance):
    @pytest.fixture
    def make(self) -> Any:
        options = {"cutoff_layers": [5], "compress_ratio": 2, "compress_layers": [3]}
        return partial(BgeLightweightRerankPostprocessor, model=llm_checkpoint(LIGHTWEIGHT), device="cpu", **options)

    @pytest.fixture
    def other_settings(self) -> dict[str, Any]:
        return {"cutoff_layers": 4, "compress_ratio": 4, "head_by_layer": True}


class TestLayersOfTheGenericClass(PostprocessorConformance):
    @pytest.fixture
    def make(self) -> Any:
        return partial(RerankPostprocessor, model=llm_checkpoint(LAYERWISE), device="cpu")

    @pytest.fixture
    def other_settings(self) -> dict[str, Any]:
        return {"layers": LayerOptions(cutoff_layers=(2,))}


@pytest.fixture(scope="module")
def layerwise() -> Iterator[BgeLayerwiseRerankPostprocessor]:
    made = BgeLayerwiseRerankPostprocessor(model=llm_checkpoint(LAYERWISE), device="cpu", top_n=None)
    yield made
    made.reranker.close()


def nodes() -> list[NodeWithScore]:
    return [NodeWithScore(node=TextNode(id_=text, text=text), score=0.5) for text in TEXTS]


def scores(made: BaseRerankPostprocessor) -> dict[str, float]:
    return {one.node_id: one.get_score() for one in made.postprocess_nodes(nodes(), query_str=QUERY)}


def core_scores(reranker: Reranker, **layers: Any) -> Any:
    ranked = reranker.rank(QUERY, TEXTS, layers=LayerOptions(**layers))
    return pytest.approx({one.document: one.score for one in ranked}, abs=1e-5)


def test_each_option_reaches_the_core() -> None:
    model = llm_checkpoint(LIGHTWEIGHT)
    core = Reranker(model, device="cpu")
    made = BgeLightweightRerankPostprocessor(model=model, device="cpu", top_n=None)
    assert scores(made) == core_scores(core)
    different = set()
    for options in (
        {"cutoff_layers": (4,)},
        {"cutoff_layers": (4,), "head_by_layer": True},
        {"cutoff_layers": (5,), "compress_ratio": 4, "compress_layers": (2, 3)},
        {"cutoff_layers": (5,), "compress_ratio": 4, "compress_layers": (3,)},
        {"cutoff_layers": (4,), "attention_softcap": True},
    ):
        found = scores(made.with_settings(**options))
        assert found == core_scores(core, **options)
        different.add(tuple(round(score, 4) for score in found.values()))
    assert len(different) >= 4


def test_an_own_prompt_shares_the_weights() -> None:
    made = BgeLLMRerankPostprocessor(model=llm_checkpoint(GEMMA), device="cpu", top_n=None)
    other = made.with_settings(prompt="Is the passage about animals? Answer 'Yes' or 'No'.")
    assert other.reranker is not made.reranker
    assert other.reranker._lease.value is made.reranker._lease.value
    assert scores(other) != scores(made)
    with made.using(prompt=other.prompt):
        assert scores(made) == pytest.approx(scores(other), abs=1e-5)


def test_sixteen_threads_with_layers_of_their_own(layerwise: BgeLayerwiseRerankPostprocessor) -> None:
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
    layerwise: BgeLayerwiseRerankPostprocessor, value: object, message: str
) -> None:
    before = layerwise.to_dict()
    for attempt in (
        lambda: BgeLayerwiseRerankPostprocessor(model=layerwise.model, device="cpu", cutoff_layers=value),  # type: ignore[arg-type]
        lambda: layerwise.with_settings(cutoff_layers=value),
        lambda: setattr(layerwise, "cutoff_layers", value),
    ):
        with pytest.raises(ValueError, match=message):
            attempt()
    assert layerwise.to_dict() == before


@pytest.mark.parametrize(("layer", "message"), [((7,), "from 2 to 6"), ((2, 4), "give one layer")])
def test_impossible_layers_of_the_generic_class(
    layerwise: BgeLayerwiseRerankPostprocessor, layer: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        RerankPostprocessor(model=layerwise.model, device="cpu", layers=LayerOptions(cutoff_layers=layer))


def test_options_of_another_kind_are_unknown(layerwise: BgeLayerwiseRerankPostprocessor) -> None:
    for kind, option, hint in (
        (BgeLayerwiseRerankPostprocessor, "cutoff_layer", "Did you mean 'cutoff_layers'"),
        (BgeLayerwiseRerankPostprocessor, "compress_ratio", "has no option 'compress_ratio'"),
        (BgeLLMRerankPostprocessor, "cutoff_layers", "has no option 'cutoff_layers'"),
        (BgeLightweightRerankPostprocessor, "compress_layer", "Did you mean 'compress_layers'"),
        (BgeLightweightRerankPostprocessor, "layers", "has no option 'layers'"),
        (QwenRerankPostprocessor, "instruction", "has no option 'instruction'"),
    ):
        with pytest.raises(ValueError, match=hint):
            kind(model=layerwise.model, **{option: 2})


def test_a_model_of_another_kind_is_refused(layerwise: BgeLayerwiseRerankPostprocessor) -> None:
    told = r"BgeLightweightRerankPostprocessor is for .*lightweight; .*'layerwise'. Use RerankPostprocessor,"
    with pytest.raises(ValueError, match=told):
        BgeLightweightRerankPostprocessor(model=layerwise.model, device="cpu")
    with pytest.raises(ValueError, match=told):
        BgeLightweightRerankPostprocessor.from_reranker(layerwise.reranker)


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
            BgeLayerwiseRerankPostprocessor(**options)


def test_from_reranker_takes_over_its_layers(layerwise: BgeLayerwiseRerankPostprocessor) -> None:
    core = Reranker(layerwise.model, device="cpu", layers=LayerOptions(cutoff_layers=(3,)))
    made = BgeLayerwiseRerankPostprocessor.from_reranker(core, top_n=None)
    assert made.cutoff_layers == (3,)
    assert scores(made) == core_scores(core)
    other = BgeLayerwiseRerankPostprocessor.from_reranker(core, top_n=None, cutoff_layers=5)
    assert scores(other) == core_scores(core, cutoff_layers=5)
    generic = RerankPostprocessor.from_reranker(core, layers=LayerOptions(cutoff_layers=(5,)), top_n=None)
    assert scores(generic) == scores(other)
    with pytest.raises(ValueError, match="prompt cannot be set here"):
        BgeLayerwiseRerankPostprocessor.from_reranker(core, prompt="x")  # type: ignore[call-arg]


def test_stored_forms_keep_the_layers(layerwise: BgeLayerwiseRerankPostprocessor) -> None:
    options = {"cutoff_layers": (5,), "compress_ratio": 2, "compress_layers": (2, 3), "head_by_layer": True}
    made = BgeLightweightRerankPostprocessor(model=llm_checkpoint(LIGHTWEIGHT), device="cpu", deadline_s=60, **options)  # type: ignore[arg-type]
    kind = type(made)
    again = [kind.from_dict(made.to_dict()), kind.from_json(made.to_json()), pickle.loads(pickle.dumps(made))]
    for one in again:
        assert {name: getattr(one, name) for name in options} == options
        assert (one.deadline_s, one.on_deadline) == (60, "retrieval_order")
        assert scores(one) == pytest.approx(scores(made), abs=1e-5)
    assert "cutoff_layers=(5,)" in repr(made)


def test_defaults_and_descriptions() -> None:
    defaults = {
        BgeLLMRerankPostprocessor: ("BAAI/bge-reranker-v2-gemma", "bge"),
        BgeLayerwiseRerankPostprocessor: ("BAAI/bge-reranker-v2-minicpm-layerwise", "bge"),
        BgeLightweightRerankPostprocessor: ("BAAI/bge-reranker-v2.5-gemma2-lightweight", "bge"),
        QwenRerankPostprocessor: ("Qwen/Qwen3-Reranker-0.6B", "qwen3"),
    }
    for kind, (model, family) in defaults.items():
        fields = kind.model_fields
        assert (fields["model"].default, fields["family"].default) == (model, family)
        assert all(field.description for name, field in fields.items() if name != "callback_manager")
        assert kind.class_name() == kind.__name__
        assert (kind.__doc__ or "").startswith("Reranks nodes")


@pytest.mark.parametrize(
    "kind", [BgeLLMRerankPostprocessor, BgeLayerwiseRerankPostprocessor, BgeLightweightRerankPostprocessor]
)
def test_default_model_offline_says_the_way_out(
    kind: type[BaseRerankPostprocessor], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelUnavailableError, match="HF_ENDPOINT"):
        kind(local_files_only=True)
