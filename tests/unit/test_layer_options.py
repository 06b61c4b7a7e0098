"""Layers and compression of LLM rerankers: what is asked for is what comes back, or a clear error."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from llm_checkpoints import changed_copy, llm_checkpoint
from safetensors.torch import load_file, save_file

from rerank_plugins import LayerOptions, Reranker, SourceOptions
from rerank_plugins.catalog.resolve import resolve
from rerank_plugins.errors import InvalidInputError, UnknownModelError, UnsupportedModelError
from rerank_plugins.types import BLANK_DOCUMENT_SCORE

PAIRS = [
    ("what do pandas eat", "A panda eats bamboo for up to fourteen hours."),
    ("大熊猫吃什么", "水"),
    ("q", ""),
    ("what do pandas eat", "Net revenue grew by 12.5 % in 2019. " * 30),
]


@pytest.fixture(scope="module")
def layerwise() -> Iterator[Reranker]:
    with Reranker(llm_checkpoint("tiny-minicpm-layerwise"), device="cpu") as opened:
        yield opened


@pytest.fixture(scope="module")
def lightweight() -> Iterator[Reranker]:
    with Reranker(llm_checkpoint("tiny-gemma2-lightweight"), device="cpu") as opened:
        yield opened


def layers(*cutoff: int, **others: Any) -> LayerOptions:
    return LayerOptions(cutoff_layers=cutoff, **others)


@pytest.mark.parametrize("order", [(2, 4, 6), (6, 2, 4), (5, 3), (4, 4, 2), (6,)])
def test_any_order_of_layers_gives_each_its_own_head(layerwise: Reranker, order: tuple[int, ...]) -> None:
    alone = {layer: layerwise.score(PAIRS, layers=layers(layer)) for layer in set(order)}
    found = layerwise.score_layers(PAIRS, layers=layers(*order))
    for index, row in enumerate(found):
        assert row == pytest.approx([alone[layer][index] for layer in order], abs=1e-5)
    assert found[2] == [BLANK_DOCUMENT_SCORE] * len(order)


def test_all_layers_without_blocking_the_loop(layerwise: Reranker, bert_reranker_folder: Path) -> None:
    expected = layerwise.score_layers(PAIRS, layers=layers(5, 2))
    assert asyncio.run(layerwise.ascore_layers(PAIRS, layers=layers(5, 2))) == expected
    with pytest.raises(InvalidInputError, match=r"no layers to choose; use score\(\)"):
        asyncio.run(Reranker(bert_reranker_folder, device="cpu").ascore_layers(PAIRS))


def test_order_does_not_matter_to_the_lightweight_model_either(lightweight: Reranker) -> None:
    ascending = lightweight.score_layers(PAIRS, layers=layers(2, 4))
    assert lightweight.score_layers(PAIRS, layers=layers(4, 2)) == [row[::-1] for row in ascending]


@pytest.mark.parametrize("compress", [{}, {"compress_ratio": 4, "compress_layers": (2, 4)}])
def test_head_by_layer_is_the_list_of_all_layers_of_the_released_code(
    lightweight: Reranker, compress: dict[str, Any]
) -> None:
    # With every layer asked for, the n-th layer's head is also the n-th head.
    every = lightweight.score_layers(PAIRS, layers=layers(2, 3, 4, 5, 6, **compress))
    for place, layer in enumerate((2, 3, 4, 5, 6)):
        own = lightweight.score(PAIRS, layers=layers(layer, head_by_layer=True, **compress))
        assert own == pytest.approx([row[place] for row in every], abs=1e-5)
    released = lightweight.score(PAIRS[:1], layers=layers(4, **compress))
    assert released != pytest.approx([every[0][2]], abs=1e-3)


def test_a_call_takes_over_what_it_does_not_say() -> None:
    usual = layers(5, compress_ratio=2, compress_layers=(3,))
    with Reranker(llm_checkpoint("tiny-gemma2-lightweight"), device="cpu", layers=usual) as made:
        plain = Reranker(llm_checkpoint("tiny-gemma2-lightweight"), device="cpu")
        assert made.score(PAIRS) == plain.score(PAIRS, layers=usual)
        other = layers(5, compress_ratio=4, compress_layers=(3,))
        assert made.score(PAIRS, layers=LayerOptions(compress_ratio=4)) == plain.score(PAIRS, layers=other)
        assert made.score(PAIRS, layers=other) != made.score(PAIRS)
        ranked = made.rank(PAIRS[0][0], [text for _, text in PAIRS], layers=other)
        awaited = asyncio.run(made.arank(PAIRS[0][0], [text for _, text in PAIRS], layers=other))
        assert ranked == awaited
        assert asyncio.run(made.ascore(PAIRS, layers=other)) == made.score(PAIRS, layers=other)


def test_defaults_are_the_last_layer_of_a_small_model(layerwise: Reranker, lightweight: Reranker) -> None:
    assert layerwise.layers == LayerOptions(cutoff_layers=(6,))
    assert lightweight.layers == LayerOptions(
        cutoff_layers=(6,), compress_ratio=1, compress_layers=(2,), head_by_layer=False, attention_softcap=False
    )


@pytest.mark.parametrize("name", ["tiny-minicpm-layerwise", "tiny-gemma2-lightweight"])
def test_no_layer_above_the_deepest_asked_one_runs(name: str, tmp_path: Path) -> None:
    ran: list[int] = []
    with Reranker(changed_copy(name, tmp_path / "watched"), device="cpu") as reranker:
        decoder = reranker._lease.value.batcher._scorers[0]._decoder  # type: ignore[attr-defined]
        for index, block in enumerate(decoder.layers):
            block.register_forward_hook(lambda *_, number=index: ran.append(number))
        reranker.score_layers(PAIRS[:1], layers=layers(4, 2))
    assert ran == [0, 1, 2, 3]


def test_an_int_and_a_list_are_taken_as_layers(layerwise: Reranker) -> None:
    expected = layerwise.score(PAIRS, layers=layers(4))
    assert layerwise.score(PAIRS, layers=LayerOptions(cutoff_layers=4)) == expected  # type: ignore[arg-type]
    assert layerwise.score(PAIRS, layers=LayerOptions(cutoff_layers=[4])) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", ["4", True, 4.0, None])
def test_layers_are_numbers(wrong: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"cutoff_layers\[0\] must be an integer, got"):
        layers(wrong)
    with pytest.raises(InvalidInputError, match=r"compress_layers\[0\] must be an integer, got"):
        layers(4, compress_layers=[wrong])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (layers(1), "cutoff_layers must be from 2 to 6 for this model; got 1"),
        (layers(4, 7), "from 2 to 6 .*got 7"),
        (layers(), "cutoff_layers is empty"),
        (layers(4, compress_ratio=3), "compress_ratio must be one of 1, 2, 4, 8"),
        (layers(4, compress_ratio=0), "compress_ratio must be one of"),
        (layers(4, compress_ratio=2, compress_layers=(0,)), "compress_layers must be from 1 to 5 .*got 0"),
        (layers(4, compress_ratio=2, compress_layers=(6,)), "compress_layers must be from 1 to 5"),
        ({"cutoff_layers": (4,)}, "layers must be a LayerOptions or None, got dict"),
    ],
)
def test_impossible_layers(lightweight: Reranker, options: Any, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        lightweight.score(PAIRS, layers=options)
    with pytest.raises(InvalidInputError, match=words):
        Reranker(llm_checkpoint("tiny-gemma2-lightweight"), layers=options)


def test_one_score_a_pair_needs_one_layer(layerwise: Reranker) -> None:
    with pytest.raises(InvalidInputError, match=r"asks for 2; give one layer, or use score_layers\(\)"):
        layerwise.score(PAIRS, layers=layers(2, 4))
    with pytest.raises(InvalidInputError, match="score_layers"):
        layerwise.rank("q", ["d"], layers=layers(2, 4))


@pytest.mark.parametrize(
    ("option", "value"),
    [("compress_ratio", 2), ("compress_layers", 2), ("head_by_layer", True), ("attention_softcap", True)],
)
def test_the_layerwise_model_compresses_nothing(layerwise: Reranker, option: str, value: Any) -> None:
    with pytest.raises(InvalidInputError, match=f"cutoff_layers only, not {option}"):
        layerwise.score(PAIRS, layers=LayerOptions(**{option: value}))


def test_models_without_layers_and_prompts_say_so(bert_reranker_folder: Path) -> None:
    for model in (bert_reranker_folder, llm_checkpoint("tiny-gemma")):
        with pytest.raises(InvalidInputError, match="no layers to choose, so cutoff_layers cannot be given"):
            Reranker(model, device="cpu", layers=layers(4))
        reranker = Reranker(model, device="cpu")
        assert reranker.layers is None
        assert reranker.score(PAIRS, layers=LayerOptions()) == reranker.score(PAIRS)
        with pytest.raises(InvalidInputError, match=r"no layers to choose; use score\(\)"):
            reranker.score_layers(PAIRS)
    with pytest.raises(InvalidInputError, match="takes no prompt"):
        Reranker(bert_reranker_folder, prompt="Is it relevant?")
    with pytest.raises(InvalidInputError, match="prompt must be a non-empty string"):
        Reranker(llm_checkpoint("tiny-gemma"), prompt=" ")


def test_another_language_model_needs_its_family(tmp_path: Path) -> None:
    llama = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "tie_word_embeddings": True}
    folder = changed_copy("tiny-gemma", tmp_path / "llm", **llama)
    with pytest.raises(UnknownModelError, match="pass family='bge'"):
        Reranker(folder, device="cpu")
    spec = resolve(folder, kind="reranker", options=SourceOptions(family="bge")).spec
    assert (spec.scorer, spec.truncation) == ("decoder", "only_second")
    assert "'Yes'" in spec.prompt


def test_an_output_matrix_of_its_own_is_used(tmp_path: Path) -> None:
    folder = changed_copy("tiny-gemma", tmp_path / "untied", tie_word_embeddings=False)
    weights = load_file(str(folder / "model.safetensors"))
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"] * 2
    save_file(weights, str(folder / "model.safetensors"), {"format": "pt"})
    tied = Reranker(llm_checkpoint("tiny-gemma"), device="cpu").score(PAIRS[:2])
    assert Reranker(folder, device="cpu").score(PAIRS[:2]) == pytest.approx([2 * score for score in tied], abs=1e-4)


@pytest.mark.parametrize("lost", ["model.layers.3.mlp.up_proj.weight", "lm_head.2.linear_head.weight"])
def test_missing_weights_are_an_error(tmp_path: Path, lost: str) -> None:
    folder = changed_copy("tiny-minicpm-layerwise", tmp_path / "damaged")
    weights = load_file(str(folder / "model.safetensors"))
    del weights[lost]
    save_file(weights, str(folder / "model.safetensors"), {"format": "pt"})
    with pytest.raises(UnsupportedModelError, match=lost):
        Reranker(folder, device="cpu")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rope_scaling": {"type": "linear"}}, "rope_scaling"),
        ({"hidden_act": "relu"}, "relu"),
        ({"start_layer": None}, "start_layer"),
        ({"head_type": "raw"}, "head_type"),
        ({"intermediate_size": 65}, "do not fit its config"),
    ],
)
def test_configs_that_are_not_run_here(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    with pytest.raises(UnsupportedModelError, match=words):
        Reranker(changed_copy("tiny-minicpm-layerwise", tmp_path / "odd", **change), device="cpu")


def test_bfloat16_stays_near_float32(lightweight: Reranker) -> None:
    with Reranker(llm_checkpoint("tiny-gemma2-lightweight"), device="cpu", dtype="bfloat16") as rounded:
        assert rounded.dtype == "bfloat16"
        assert rounded.score(PAIRS[:2]) == pytest.approx(lightweight.score(PAIRS[:2]), abs=0.2)


def test_a_ratio_that_is_no_integer_is_refused(lightweight: Reranker) -> None:
    ratio: Any = 2.0
    with pytest.raises(InvalidInputError, match=r"compress_ratio must be an integer or None, got 2\.0"):
        lightweight.score(PAIRS, layers=layers(4, compress_ratio=ratio))


def test_a_model_with_a_head_on_its_last_layer_only(tmp_path: Path) -> None:
    folder = changed_copy("tiny-gemma2-lightweight", tmp_path / "one-head", start_layer=6)
    with Reranker(folder, device="cpu") as reranker:
        usual = reranker.score(PAIRS)
        assert reranker.score(PAIRS, layers=layers(6, compress_ratio=4)) == pytest.approx(usual, abs=1e-5)
        assert reranker.score(PAIRS, layers=layers(6, compress_ratio=4, compress_layers=(2,))) != usual


@pytest.mark.parametrize("name", ["tiny-minicpm-layerwise", "tiny-gemma2-lightweight"])
def test_rotary_constants_as_transformers_5_writes_them(name: str, tmp_path: Path) -> None:
    old = changed_copy(name, tmp_path / "old", rope_theta=500.0)
    nested = {"rope_theta": 500.0, "rope_type": "default"}
    new = changed_copy(name, tmp_path / "new", rope_theta=None, rope_parameters=nested)
    scaled = changed_copy(name, tmp_path / "scaled", rope_parameters={**nested, "rope_type": "linear", "factor": 2.0})
    with Reranker(old, device="cpu") as first, Reranker(new, device="cpu") as second:
        assert first.score(PAIRS) == second.score(PAIRS)
    with pytest.raises(UnsupportedModelError, match="without rope_scaling"):
        Reranker(scaled, device="cpu")
