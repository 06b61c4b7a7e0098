"""What the prompts of one query begin with is computed once, through the whole engine; scores and usage stay."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import tiny_checkpoints
import tiny_rerankers
import transformers

from rerank_plugins import EngineOptions, Reranker, SourceOptions
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.protocols import TokenInput

pytestmark = pytest.mark.skipif(
    not hasattr(transformers, "AttentionInterface"), reason="decoders are padded where there is no attention interface"
)

WHOLE = EngineOptions(share_prefix=False)
QUERIES = ["What do pandas eat?", "capital of France", "How do I renew a passport?", "鹦鹉的生活习性是什么？"]
TEXTS = [*tiny_checkpoints.SENTENCES, " ".join(tiny_checkpoints.SENTENCES[:3]), "no", "no bamboo"]
PAIRS = [(query, text) for query in QUERIES for text in TEXTS]
KINDS: dict[str, tuple[Callable[[Path], Path], int]] = {
    "qwen3": (tiny_rerankers.qwen_reranker, 400),
    "mxbai-v2": (tiny_rerankers.mxbai_reranker, 200),
}


@pytest.fixture(scope="module", params=list(KINDS))
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def folder(family: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return KINDS[family][0](tmp_path_factory.mktemp("shared") / family)


@pytest.fixture
def opened(folder: Path, family: str) -> Iterator[Callable[..., Reranker]]:
    """Opens rerankers on one model."""
    made: list[Reranker] = []

    def open_with(engine: EngineOptions | None = None, **options: object) -> Reranker:
        settings = {"device": "cpu", "source": SourceOptions(family=family), "max_length": KINDS[family][1], **options}
        made.append(Reranker(folder, engine=engine, **settings))  # type: ignore[arg-type]
        return made[-1]

    yield open_with
    for one in made:
        one.close()


@pytest.fixture
def rows(opened: Callable[..., Reranker]) -> list[int]:
    """Tokens that go through the first linear layer, one number a batch."""
    counted: list[int] = []
    model = opened()._lease.value.batcher._scorers[0]._backbone._model  # type: ignore[attr-defined]
    model.layers[0].self_attn.q_proj.register_forward_hook(
        lambda _module, given, _out: counted.append(given[0].shape[:-1].numel())
    )
    return counted


def encoded(reranker: Reranker, pairs: list[tuple[str, str]]) -> list[TokenInput]:
    return [one for pair in reranker._backend._pairs.encode(pairs) for one in pair.inputs]


def near(one: list[float], other: list[float]) -> bool:
    return one == pytest.approx(other, abs=1e-5)


def test_scores_are_those_of_whole_prompts(opened: Callable[..., Reranker]) -> None:
    shared, whole = opened(), opened(WHOLE)
    assert shared.prefix_sharing.is_used
    assert near(shared.score(PAIRS), whole.score(PAIRS))
    assert near([shared.score([pair])[0] for pair in PAIRS], shared.score(PAIRS))


def test_windows_of_long_documents(opened: Callable[..., Reranker]) -> None:
    long = [" ".join(TEXTS * 4), " ".join(TEXTS[::-1] * 3), TEXTS[0]]
    pairs = [(query, text) for query in QUERIES[:2] for text in long]
    for strategy in ("maxp", "meanp", "firstp"):
        assert near(opened(long_documents=strategy).score(pairs), opened(WHOLE, long_documents=strategy).score(pairs))


def test_twenty_documents_run_their_query_once_a_batch(opened: Callable[..., Reranker], rows: list[int]) -> None:
    documents = [f"{letter} {text}" for letter, text in zip("abcdefghijklmnopqrst", TEXTS * 2, strict=False)]
    pairs = [(QUERIES[0], document) for document in documents]
    inputs = encoded(opened(), pairs)
    n_whole, before = sum(map(len, inputs)), inputs[0].segments.query_end  # type: ignore[union-attr]
    assert len({one.prefix_key for one in inputs}) == 1
    opened().score(pairs)
    shared, n_batches = sum(rows), len(rows)
    rows.clear()
    opened(WHOLE).score(pairs)
    assert sum(rows) == n_whole
    assert n_batches <= len(rows) == 3
    # The fixed text behind the query is shared too, wherever it ends: more than what is sure to be alike.
    assert shared <= n_whole - (20 - n_batches) * before
    alike = next(place for place in range(before, n_whole) if len({int(one.ids[place]) for one in inputs}) > 1)
    assert shared <= n_whole - (20 - n_batches) * alike


def test_usage_counts_inputs_whole(opened: Callable[..., Reranker]) -> None:
    shared, whole = opened(), opened(WHOLE)
    before = shared.stats().tokens
    one = shared.rank(QUERIES[0], TEXTS).usage
    middle = shared.stats().tokens
    other = whole.rank(QUERIES[0], TEXTS).usage
    assert one is not None
    assert other is not None
    assert one.tokens == other.tokens == middle - before == whole.stats().tokens - middle


def test_sixteen_threads(opened: Callable[..., Reranker]) -> None:
    reranker, expected = opened(), opened(WHOLE).score(PAIRS)
    with ThreadPoolExecutor(16) as pool:
        for found in pool.map(lambda _: reranker.score(PAIRS), range(32)):
            assert near(found, expected)


def test_a_switch_that_is_no_bool(opened: Callable[..., Reranker]) -> None:
    with pytest.raises(InvalidInputError, match="share_prefix must be True or False, got 'no'"):
        opened(EngineOptions(share_prefix="no"))  # type: ignore[arg-type]
