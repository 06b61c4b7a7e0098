from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from letters import LetterEmbedder

from rerank_plugins.errors import InvalidInputError, MissingExtraError
from rerank_plugins.retrieval import BM25Index, DenseIndex, FirstStage, HybridIndex, build_first_stage
from rerank_plugins.retrieval.first_stage import best_first

TEXTS = {"cats": "Cats cats purr and sleep", "dogs": "dogs bark and run", "zh": "检索增强生成 RAG", "blank": ""}


def test_bm25_finds_words_of_both_scripts() -> None:
    index = BM25Index(TEXTS)
    assert list(index.search("Do CATS bark?", top_k=3)) == ["cats", "dogs"]
    assert list(index.search("增强检索", top_k=3)) == ["zh"]
    assert len(index.search("cats dogs and rag", top_k=2)) == 2
    assert len(index) == 4


def test_bm25_agrees_with_the_formula() -> None:
    # Lucene's BM25: idf * tf / (tf + k1 * (1 - b + b * length / mean length)).
    index = BM25Index({"a": "x x y", "b": "y"}, k1=1.2, b=0.75)
    idf = np.log(1 + (2 - 1 + 0.5) / (1 + 0.5))
    expected = idf * 2 / (2 + 1.2 * (1 - 0.75 + 0.75 * 3 / 2))
    assert index.search("x", top_k=9) == {"a": pytest.approx(expected, rel=1e-6)}


@pytest.mark.parametrize("faiss_index", ["IVF16,Flat", "L2norm,IVF16,SQ8,RFlat"])
def test_as_many_lists_are_searched_as_asked(faiss_index: str) -> None:
    rows = np.random.default_rng(0).normal(size=(640, 6)).astype(np.float32)
    options = {"faiss_index": faiss_index, "vectors": rows}
    texts = {f"d{number}": "" for number in range(640)}
    few, many = (DenseIndex(texts, LetterEmbedder(), n_probe=n, **options) for n in (1, 16))
    usual = DenseIndex(texts, LetterEmbedder(), **options)
    assert len(few.search("cats", top_k=640)) < len(many.search("cats", top_k=640)) == 640
    assert usual.search("cats", top_k=640) == many.search("cats", top_k=640)
    assert few.settings["n_probe"] == 1


def test_an_index_that_grew_from_nothing_searches_as_many_lists() -> None:
    grown = DenseIndex({}, LetterEmbedder(), n_probe=3).with_texts(TEXTS)
    assert grown.settings["n_probe"] == 3


@pytest.mark.parametrize("query", ["!?", "unheard"])
def test_bm25_without_a_shared_term_finds_nothing(query: str) -> None:
    assert BM25Index(TEXTS).search(query, top_k=3) == {}


@pytest.mark.parametrize("texts", [{}, {"a": ""}])
def test_bm25_over_an_empty_corpus(texts: dict[str, str]) -> None:
    assert BM25Index(texts).search("cats", top_k=3) == {}


@pytest.mark.parametrize("faiss_index", ["Flat", None])
def test_dense_ranks_by_cosine_whatever_the_batch(faiss_index: str | None) -> None:
    told: list[int] = []
    embedder = LetterEmbedder()
    one = DenseIndex(TEXTS, embedder, faiss_index=faiss_index, batch_size=1).search("cats", top_k=2)
    index = DenseIndex(TEXTS, embedder, faiss_index=faiss_index, batch_size=3, advance=told.append)
    assert one == pytest.approx(index.search("cats", top_k=2))
    query, document = (np.array([text.count(letter) for letter in "acdgst"]) for text in ("cats", TEXTS["cats"]))
    cosine = query @ document / np.linalg.norm(query) / np.linalg.norm(document)
    assert next(iter(one.items())) == ("cats", pytest.approx(cosine, rel=1e-6))
    assert told == [3, 1]
    assert len(index.search("cats", top_k=9)) == 4
    assert DenseIndex({}, embedder, faiss_index=faiss_index).search("cats", top_k=2) == {}


def test_faiss_finds_what_exact_search_finds() -> None:
    rng = np.random.default_rng(3)
    texts = {str(i): "x" for i in range(300)}
    vectors = rng.standard_normal((300, 6)).astype(np.float32)
    found = [
        DenseIndex(texts, LetterEmbedder(), faiss_index=kind, vectors=vectors).search("catsdog", top_k=20)
        for kind in ("Flat", "HNSW32", None)
    ]
    assert list(found[0]) == list(found[2])
    assert found[0] == pytest.approx(found[2], abs=1e-6)
    assert len(set(found[1]) & set(found[0])) >= 18


def test_ties_keep_the_order_of_the_corpus() -> None:
    texts = dict.fromkeys("zyxabc", "cat")
    for kind in ("Flat", None):
        assert list(DenseIndex(texts, LetterEmbedder(), faiss_index=kind).search("cat", top_k=9)) == list("zyxabc")
    assert list(DenseIndex(texts, LetterEmbedder(), faiss_index=None).search("cat", top_k=3)) == list("zyx")


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, 3.0]), min_size=1, max_size=20), st.integers(1, 25))
def test_best_first_is_a_stable_sort_cut_off(scores: list[float], top_k: int) -> None:
    ids = [str(i) for i in range(len(scores))]
    expected = sorted(range(len(scores)), key=lambda i: -scores[i])[:top_k]
    assert list(best_first(np.array(scores, dtype=np.float32), ids, top_k)) == [str(i) for i in expected]


def test_vectors_that_do_not_fit() -> None:
    with pytest.raises(InvalidInputError, match=r"4 texts need vectors of shape \(4, dim\)"):
        DenseIndex(TEXTS, LetterEmbedder(), vectors=np.zeros((3, 2), dtype=np.float32))
    with pytest.raises(InvalidInputError, match="FAISS cannot make"):
        DenseIndex(TEXTS, LetterEmbedder(), faiss_index="Cube")
    for wrong in (float("nan"), float("inf")):
        vectors = np.ones((4, 6), dtype=np.float32)
        vectors[2, 1] = wrong
        with pytest.raises(InvalidInputError, match="vectors holds NaN or infinity"):
            DenseIndex(TEXTS, LetterEmbedder(), vectors=vectors)


@pytest.mark.parametrize("faiss_index", ["Flat", None])
def test_vectors_of_another_embedder_are_told_when_a_query_is_compared(faiss_index: str | None) -> None:
    index = DenseIndex(TEXTS, LetterEmbedder(), faiss_index=faiss_index, vectors=np.ones((4, 2), dtype=np.float32))
    with pytest.raises(InvalidInputError, match="documents' vectors have 2 numbers, and the embedder makes 6"):
        index.search("cat", top_k=1)


@pytest.mark.parametrize("query", ["", " \n"])
@pytest.mark.parametrize("retriever", ["bm25", "dense", "hybrid"])
async def test_a_blank_query_is_an_error(query: str, retriever: str) -> None:
    index = build_first_stage(TEXTS, retriever=retriever, embedder=LetterEmbedder())
    with pytest.raises(InvalidInputError, match="query is blank"):
        index.search(query, top_k=2)
    with pytest.raises(InvalidInputError, match="query is blank"):
        await index.asearch(query, top_k=2)
    with pytest.raises(InvalidInputError, match="top_k"):
        index.search("cats", top_k=0)


@pytest.mark.parametrize("retriever", ["bm25", "dense", "hybrid"])
async def test_async_finds_the_same(retriever: str) -> None:
    index = build_first_stage(TEXTS, retriever=retriever, embedder=LetterEmbedder())
    assert isinstance(index, FirstStage)
    assert await index.asearch("cats bark", top_k=3) == index.search("cats bark", top_k=3)


@pytest.mark.parametrize("retriever", ["bm25", "dense", "multi_vector"])
@pytest.mark.parametrize("options", [{"weights": [1.0, 2.0]}, {"fusion": "weighted"}])
def test_how_stages_are_fused_is_no_option_of_one_alone(retriever: str, options: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError, match=f"are for the stages of a hybrid, and '{retriever}' has one"):
        build_first_stage(TEXTS, retriever=retriever, embedder="not/a-model", **options)


def test_bm25_loads_no_embedder() -> None:
    assert isinstance(build_first_stage(TEXTS, retriever="bm25", embedder="not/a-model"), BM25Index)


def test_hybrid_fuses_by_rank_and_is_nested() -> None:
    dense, sparse = DenseIndex(TEXTS, LetterEmbedder()), BM25Index(TEXTS)
    hybrid = HybridIndex([dense, sparse])
    found = hybrid.search("dogs and cats", top_k=4)
    ranks = [{key: rank for rank, key in enumerate(one.search("dogs and cats", top_k=4), 1)} for one in (dense, sparse)]
    for key, score in found.items():
        assert score == pytest.approx(sum(1 / (60 + one[key]) for one in ranks if key in one), rel=1e-12)
    assert list(hybrid.search("dogs and cats", top_k=2)) == list(found)[:2]


class Counting:
    """A stage that notes how many documents it is asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def search(self, query: str, *, top_k: int) -> dict[str, float]:
        self.asked.append(top_k)
        return {}

    async def asearch(self, query: str, *, top_k: int) -> dict[str, float]:
        return self.search(query, top_k=top_k)


async def test_hybrid_asks_for_its_depth_whatever_is_wanted() -> None:
    stages = [Counting(), Counting()]
    hybrid = HybridIndex(stages, depth=3)
    for top_k, asked in ((1, 3), (3, 3), (4, 4)):
        hybrid.search("cats", top_k=top_k)
        await hybrid.asearch("cats", top_k=top_k)
        assert [stage.asked[-2:] for stage in stages] == [[asked] * 2] * 2


async def test_the_best_of_a_hybrid_need_not_be_the_best_of_a_stage() -> None:
    # Ranks 1, 2 and 2, 1 make less than ranks 2 and 2 of a document that only a search of some depth sees.
    first = {"a": "cat", "both": "cats dog", "c": "dog"}
    letters, words = DenseIndex(first, LetterEmbedder()), BM25Index({"x": "cat cat", "both": "cat dog", "y": "dog"})
    assert [next(iter(stage.search("cat", top_k=1))) for stage in (letters, words)] == ["a", "x"]
    hybrid = HybridIndex([letters, words])
    assert list(hybrid.search("cat", top_k=1)) == list(await hybrid.asearch("cat", top_k=1)) == ["both"]
    assert next(iter(hybrid.search("cat", top_k=9))) == "both"


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"fusion": "sum"}, "fusion"),
        ({"weights": [1.0]}, "2 weights"),
        ({"depth": 0}, "depth"),
        ({"rrf_k": -1}, "k must"),
    ],
)
def test_hybrid_options_are_checked_at_once(options: dict[str, object], match: str) -> None:
    with pytest.raises(InvalidInputError, match=match):
        HybridIndex([BM25Index(TEXTS), BM25Index(TEXTS)], **options)
    with pytest.raises(InvalidInputError, match="at least one"):
        HybridIndex([])


@pytest.mark.parametrize(("module", "retriever"), [("bm25s", "bm25"), ("faiss", "dense")])
def test_missing_extra_names_the_command(module: str, retriever: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r'pip install "rerank-plugins\[retrieval\]"'):
        build_first_stage(TEXTS, retriever=retriever, embedder=LetterEmbedder())


@pytest.mark.parametrize("texts", [["a"], {"a": None}, {1: "a"}])
def test_texts_must_be_strings_by_id(texts: object) -> None:
    with pytest.raises(InvalidInputError, match="texts"):
        BM25Index(texts)


@pytest.mark.parametrize("retriever", ["bm25", "dense", "hybrid"])
def test_an_id_is_given_once(retriever: str) -> None:
    index = build_first_stage({"a": "cats", "b": "dogs", "c": "birds"}, retriever=retriever, embedder=LetterEmbedder())
    with pytest.raises(InvalidInputError, match="2 of the ids are there already, the first is 'b'"):
        index.with_texts({"d": "fish", "b": "cats", "a": "cats"})
    assert list(index.with_texts({"d": "fish"}).search("fish", top_k=1)) == ["d"]
