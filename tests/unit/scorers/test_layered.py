"""The layerwise LLM rerankers run a batch as one row: nothing is padded, and a query's tokens run once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny_checkpoints
import torch
from llm_checkpoints import changed_copy, llm_checkpoint

from rerank_plugins import EngineOptions, LayerOptions, Reranker

QUERIES = ["What do pandas eat?", "capital of France"]
TEXTS = [*tiny_checkpoints.SENTENCES, " ".join(tiny_checkpoints.SENTENCES), "no", "no"]
PAIRS = [(query, text) for query in QUERIES for text in TEXTS]
WHOLE = EngineOptions(share_prefix=False)
CASES = [
    ("tiny-minicpm-layerwise", LayerOptions(cutoff_layers=(2, 4, 6))),
    ("tiny-gemma2-lightweight", LayerOptions(cutoff_layers=(3, 6))),
    ("tiny-gemma2-lightweight", LayerOptions(cutoff_layers=(5,), compress_ratio=2, compress_layers=(3,))),
    ("tiny-gemma2-lightweight", LayerOptions(cutoff_layers=(6,), compress_ratio=4, compress_layers=(1, 4))),
]


@pytest.fixture(params=[None, 4], ids=["all-tokens", "window-of-4"])
def window(request: pytest.FixtureRequest) -> int | None:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def folder(name: str, window: int | None, tmp_path: Path) -> Path:
    if window is None:
        return llm_checkpoint(name)
    if "gemma" not in name:
        pytest.skip("only Gemma 2 has windows")
    return changed_copy(name, tmp_path / "windowed", sliding_window=window)


@pytest.fixture
def sizes(folder: Path) -> Iterator[list[tuple[int, ...]]]:
    """The shapes of what every model embeds from now on."""
    seen: list[tuple[int, ...]] = []

    def note(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if isinstance(module, torch.nn.Embedding):
            seen.append(tuple(inputs[0].shape))

    hook = torch.nn.modules.module.register_module_forward_pre_hook(note)
    yield seen
    hook.remove()


@pytest.mark.parametrize(("name", "layers"), CASES)
def test_a_query_computed_once_gives_the_scores_of_whole_prompts(
    folder: Path, layers: LayerOptions, sizes: list[tuple[int, ...]]
) -> None:
    with Reranker(folder, device="cpu") as shared, Reranker(folder, device="cpu", engine=WHOLE) as whole:
        assert shared.prefix_sharing.is_used
        assert not shared.is_padded
        alone = [whole.score_layers([pair], layers=layers)[0] for pair in PAIRS]
        inputs = {one.ids.tobytes(): one for pair in shared._backend.encode(PAIRS) for one in pair.inputs}.values()
        sizes.clear()
        together = shared.score_layers(PAIRS, layers=layers)
        n_shared = sum(size[0] for size in sizes)
        sizes.clear()
        unshared = whole.score_layers(PAIRS, layers=layers)
        n_whole = sum(size[0] for size in sizes)
    for row, other, single in zip(together, unshared, alone, strict=True):
        assert row == pytest.approx(single, abs=1e-5)
        assert other == pytest.approx(single, abs=1e-5)
    # Equal documents run once, no slot is padding, and the beginning of each query's prompts runs once.
    assert n_whole == sum(map(len, inputs))
    prefixes = [one.segments.query_end for one in inputs if one.segments is not None]
    per_query = len(prefixes) // len(QUERIES)
    assert n_shared <= n_whole - (per_query - 1) * sum(set(prefixes))


@pytest.mark.parametrize("name", ["tiny-gemma2-lightweight"])
def test_bounded_attention_runs_whole_prompts(folder: Path, sizes: list[tuple[int, ...]]) -> None:
    layers = LayerOptions(cutoff_layers=(6,), compress_ratio=2, compress_layers=(3,), attention_softcap=True)
    with Reranker(folder, device="cpu") as reranker:
        alone = [reranker.score([pair], layers=layers)[0] for pair in PAIRS]
        inputs = {one.ids.tobytes(): one for pair in reranker._backend.encode(PAIRS) for one in pair.inputs}.values()
        sizes.clear()
        assert reranker.score(PAIRS, layers=layers) == pytest.approx(alone, abs=1e-5)
    assert sum(size[0] for size in sizes) == sum(map(len, inputs))
