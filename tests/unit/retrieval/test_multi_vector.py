"""A multi-vector first stage finds what MaxSim over all documents finds, is kept in folders, and refuses others."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import colbert_checkpoints as tiny
import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from rerank_plugins import (
    Embedder,
    InvalidInputError,
    MissingExtraError,
    Reranker,
    SourceOptions,
    TokenVectorStore,
    TwoStageRetriever,
    VectorOptions,
)
from rerank_plugins.errors import DeadlineExceededError, UnsupportedModelError, VectorStoreError
from rerank_plugins.retrieval import MultiVectorIndex
from rerank_plugins.retrieval.token_rows import TokenRows

TEXTS = {
    f"d{number}": f"{a} {b}" for number, (a, b) in enumerate((a, b) for a in tiny.TEXTS[:6] for b in tiny.TEXTS[:6])
}
QUERY = tiny.TEXTS[2]
ROUNDED = 32 * 2.0**-11
"""What float16 can change of a sum of 32 products of unit vectors: half a unit in the last place of each."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.stanford(tmp_path_factory.mktemp("late") / "model")


@pytest.fixture(scope="module")
def embedder(folder: Path) -> Iterator[Embedder]:
    with Embedder(folder, device="cpu") as opened:
        yield opened


@pytest.fixture(scope="module")
def exact(embedder: Embedder) -> MultiVectorIndex:
    return MultiVectorIndex(TEXTS, embedder)


def test_without_faiss_scores_and_order_are_the_rerankers(exact: MultiVectorIndex, folder: Path) -> None:
    with Reranker(folder, device="cpu") as reranker:
        scores = dict(zip(TEXTS, reranker.score([(QUERY, text) for text in TEXTS.values()]), strict=True))
    found = exact.search(QUERY, top_k=len(TEXTS))
    assert found == pytest.approx(scores, abs=ROUNDED)
    best = sorted(scores.values(), reverse=True)
    assert list(found.values()) == pytest.approx(best, abs=ROUNDED)


@pytest.mark.parametrize("faiss_index", ["IVF4,Flat", "IVF4,SQ8", "HNSW16", "Flat"])
def test_faiss_finds_candidates_whose_scores_are_exact(
    exact: MultiVectorIndex, embedder: Embedder, faiss_index: str
) -> None:
    index = MultiVectorIndex(TEXTS, embedder, faiss_index=faiss_index, vectors=exact.vectors, candidates_per_token=40)
    found, all_scores = index.search(QUERY, top_k=10), exact.search(QUERY, top_k=len(TEXTS))
    assert len(found) == 10
    assert found == pytest.approx({key: all_scores[key] for key in found}, abs=1e-5)
    assert next(iter(found)) == next(iter(all_scores))


def test_all_candidates_give_the_exact_result(exact: MultiVectorIndex, embedder: Embedder) -> None:
    options = {"faiss_index": "IVF4,Flat", "candidates_per_token": len(exact.vectors.rows), "n_probe": 4}
    index = MultiVectorIndex(TEXTS, embedder, vectors=exact.vectors, **options)
    assert index.search(QUERY, top_k=8) == pytest.approx(exact.search(QUERY, top_k=8), abs=1e-5)


@pytest.mark.parametrize(
    "faiss_index", ["IVF16,Flat", "L2norm,IVF16,Flat", "IVF16,SQ8,RFlat", "L2norm,IVF16,SQ8,RFlat"]
)
def test_as_many_lists_are_searched_as_asked(exact: MultiVectorIndex, embedder: Embedder, faiss_index: str) -> None:
    # One vector a document, in all directions: only all lists together hold every document.
    rows = np.random.default_rng(0).normal(size=(640, exact.vectors.rows.shape[1]))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    vectors = TokenRows(rows.astype(np.float16), np.ones(640, dtype=np.int64))
    options = {"faiss_index": faiss_index, "candidates_per_token": 640, "vectors": vectors}
    texts = {f"d{number}": "panda" for number in range(640)}
    few, all_lists = (MultiVectorIndex(texts, embedder, n_probe=n, **options) for n in (1, 16))
    assert len(few.search(QUERY, top_k=640)) < len(all_lists.search(QUERY, top_k=640)) == 640


async def test_async_and_many_find_the_same(exact: MultiVectorIndex) -> None:
    queries = list(tiny.TEXTS[:4])
    one_by_one = [exact.search(query, top_k=5) for query in queries]
    assert await asyncio.gather(*(exact.asearch(query, top_k=5) for query in queries)) == one_by_one
    assert exact.search_many(queries, top_k=5) == one_by_one


@pytest.mark.parametrize("faiss_index", [None, "IVF2,Flat"])
def test_documents_are_added(exact: MultiVectorIndex, embedder: Embedder, faiss_index: str | None) -> None:
    first = dict(list(TEXTS.items())[:20])
    rest = {key: text for key, text in TEXTS.items() if key not in first}
    before = MultiVectorIndex(first, embedder, faiss_index=faiss_index, candidates_per_token=10_000)
    after = before.with_texts(rest)
    assert after.ids == list(TEXTS)
    assert len(before) == 20
    with pytest.raises(InvalidInputError, match="1 of the ids are there already, the first is 'd0'"):
        before.with_texts({"new": "text", "d0": "text"})
    assert after.search(QUERY, top_k=9) == pytest.approx(exact.search(QUERY, top_k=9), abs=1e-5)
    grown = MultiVectorIndex({}, embedder, faiss_index=faiss_index, candidates_per_token=10_000).with_texts(TEXTS)
    assert grown.search(QUERY, top_k=9) == pytest.approx(exact.search(QUERY, top_k=9), abs=1e-5)


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_vectors_that_a_reranker_keeps_are_not_made_again(folder: Path, tmp_path: Path, precision: str) -> None:
    store = TokenVectorStore(tmp_path / "vectors", precision=precision)
    first = dict(list(TEXTS.items())[:20])
    with Reranker(folder, device="cpu", cache=store) as reranker:
        assert reranker.keep_vectors([*first.values(), "nobody's text"]) == 21
        with Embedder(folder, device="cpu") as embedder:
            before = embedder.stats().inputs
            index = MultiVectorIndex(first, embedder, vectors=store)
            # One text that the store is known by.
            assert embedder.stats().inputs == before + 1
            grown = index.with_texts({key: text for key, text in TEXTS.items() if key not in first})
            assert len(store) == len(set(TEXTS.values())) + 1
            again = MultiVectorIndex(TEXTS, embedder, vectors=TokenVectorStore(store.folder))
            found = grown.search(QUERY, top_k=len(TEXTS))
            assert again.search(QUERY, top_k=len(TEXTS)) == found
        scores = dict(zip(TEXTS, reranker.score([(QUERY, text) for text in TEXTS.values()]), strict=True))
    # int8 rows are floats again before they are rounded to float16 for the index.
    assert found == pytest.approx(scores, abs=1e-5 if precision == "float16" else ROUNDED)


def test_a_saved_index_keeps_the_vectors_of_new_documents_in_its_store(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Embedder(folder, device="cpu") as embedder:
        index = MultiVectorIndex({"a": "Pandas eat."}, embedder, vectors=TokenVectorStore("vectors"))
        TwoStageRetriever(index, {"a": "Pandas eat."}, reranker=None).save("kept")
        monkeypatch.chdir(folder)
        with TwoStageRetriever.load(tmp_path / "kept", embedder=embedder) as again:
            again.add_documents({"b": "Pandas sleep."})
            assert len(TokenVectorStore(tmp_path / "vectors")) == 2
            again.save(tmp_path / "kept")
        shutil.rmtree(tmp_path / "vectors")
        with TwoStageRetriever.load(tmp_path / "kept", embedder=embedder) as elsewhere:
            elsewhere.add_documents({"c": "Pandas play."})
            assert len(elsewhere.search("Pandas", top_k=9)) == 3
        assert not (tmp_path / "vectors").exists()
        # Who hands a saved retriever on names no folder of this machine to write into.
        (tmp_path / "vectors").mkdir()
        with TwoStageRetriever.load(tmp_path / "kept", embedder=embedder) as elsewhere:
            elsewhere.add_documents({"d": "Pandas climb."})
        assert not list((tmp_path / "vectors").iterdir())


async def test_stored_vectors_are_those_of_the_model_as_exactly_as_they_are_kept(
    embedder: Embedder, tmp_path: Path
) -> None:
    texts = [*tiny.TEXTS[:4], "", tiny.TEXTS[0]]
    store = TokenVectorStore(tmp_path / "vectors")
    found = embedder.stored_vectors(texts, store)
    made = embedder.encode_documents(texts, outputs=("colbert",)).colbert or ()
    assert len(store) == 4
    for text, kept, expected in zip(texts, found, made, strict=True):
        assert kept.dtype == np.float32
        assert np.array_equal(kept, expected.astype(np.float16).astype(np.float32) if text else expected[:0])
    assert embedder.stored_vectors([], store) == []
    with pytest.raises(DeadlineExceededError):
        # The model is asked for what it is known by, even where all is kept.
        embedder.stored_vectors(texts, store, deadline_s=1e-9)
    for again in (
        await embedder.astored_vectors(texts, store),
        await embedder.astored_vectors(texts, TokenVectorStore(tmp_path / "others")),
    ):
        assert all(np.array_equal(one, other) for one, other in zip(again, found, strict=True))


def test_a_store_of_other_vectors_is_refused(embedder: Embedder, folder: Path, tmp_path: Path) -> None:
    with Reranker(folder, device="cpu", cache=TokenVectorStore(tmp_path / "windows"), long_documents="maxp") as other:
        other.keep_vectors(["Pandas eat bamboo."])
    with pytest.raises(VectorStoreError, match="windows was all and is first"):
        MultiVectorIndex(TEXTS, embedder, vectors=TokenVectorStore(tmp_path / "windows"))
    with (
        Embedder(tiny.m3(tmp_path / "m3"), device="cpu", source=SourceOptions(family="bge")) as m3,
        pytest.raises(UnsupportedModelError, match="keeps no token vectors in a store"),
    ):
        MultiVectorIndex(TEXTS, m3, vectors=TokenVectorStore(tmp_path / "m3-vectors"))
    with pytest.raises(InvalidInputError, match=r"documents\[1\]"):
        embedder.stored_vectors(["a", 3], TokenVectorStore(tmp_path / "none"))  # type: ignore[list-item]


@pytest.mark.parametrize("is_kept", [False, True])
def test_blank_documents_are_never_found(embedder: Embedder, tmp_path: Path, is_kept: bool) -> None:
    store = TokenVectorStore(tmp_path / "vectors") if is_kept else None
    index = MultiVectorIndex({"blank": "", "text": "Pandas eat bamboo.", "space": " \n"}, embedder, vectors=store)
    assert index.search(QUERY, top_k=3).keys() == {"text"}
    assert index.with_texts({"other": "", "more": "a"}).search(QUERY, top_k=9).keys() == {"text", "more"}
    assert MultiVectorIndex({}, embedder).search(QUERY, top_k=2) == {}
    assert MultiVectorIndex({"blank": ""}, embedder, vectors=store).search(QUERY, top_k=2) == {}


def test_vectors_that_float16_cannot_hold_are_told(tmp_path: Path) -> None:
    folder = tiny.multi_vector_encoder(tmp_path / "model")
    weights = load_file(folder / "1_Dense" / "model.safetensors")
    save_file({"linear.weight": weights["linear.weight"] * 1e6}, folder / "1_Dense" / "model.safetensors")
    with (
        Embedder(folder, device="cpu", vectors=VectorOptions(normalize=False)) as embedder,
        pytest.raises(InvalidInputError, match="too large for float16"),
    ):
        MultiVectorIndex(TEXTS, embedder)
    with Embedder(folder, device="cpu") as embedder:
        assert MultiVectorIndex(TEXTS, embedder).search(QUERY, top_k=1)


@pytest.mark.parametrize("faiss_index", ["Flat", "IVF2,SQ8"])
def test_a_retriever_is_kept_in_a_folder(folder: Path, tmp_path: Path, faiss_index: str) -> None:
    options = {"retriever": "multi_vector", "reranker": None, "faiss_index": faiss_index}
    with TwoStageRetriever.from_documents(TEXTS, embedder=folder, **options) as made:
        expected = made.search(QUERY)
        made.save(tmp_path / "kept")
    with TwoStageRetriever.load(tmp_path / "kept") as opened:
        assert opened.search(QUERY) == expected


def test_a_retriever_by_name_takes_a_store_that_its_reranker_shares(folder: Path, tmp_path: Path) -> None:
    options = {"retriever": "multi_vector", "embedder": folder, "top_k": 9, "top_n": 3}
    with Reranker(folder, device="cpu", cache=TokenVectorStore(tmp_path / "vectors")) as reranker:
        made = TwoStageRetriever.from_documents(TEXTS, reranker=reranker, vectors=reranker.vectors, **options)
        assert len(TokenVectorStore(tmp_path / "vectors")) == len(set(TEXTS.values()))
        before = reranker.stats().inputs
        found = made.search(QUERY)
        # The query alone.
        assert reranker.stats().inputs == before + 1
        made.close()
    with (
        Reranker(folder, device="cpu") as plain,
        TwoStageRetriever.from_documents(TEXTS, reranker=plain, **options) as other,
    ):
        expected = other.search(QUERY)
    assert [one.id for one in found] == [one.id for one in expected]
    with pytest.raises(InvalidInputError, match="'bm25' has none"):
        TwoStageRetriever.from_documents(TEXTS, retriever="bm25", reranker=None, vectors=tmp_path / "vectors")


def test_another_models_vectors_and_cut_files_are_refused(
    exact: MultiVectorIndex, folder: Path, tmp_path: Path
) -> None:
    kept = TwoStageRetriever(exact, TEXTS).save(tmp_path / "kept")
    other = tmp_path / "other" / folder.name
    shutil.copytree(folder, other)
    weights = load_file(other / "model.safetensors")
    changed = {**weights, "linear.weight": weights["linear.weight"].flip(1).contiguous()}
    save_file(changed, other / "model.safetensors", metadata={"format": "pt"})
    with Embedder(other, device="cpu") as another, pytest.raises(InvalidInputError, match="its weights are others"):
        TwoStageRetriever.load(kept, embedder=another)
    file = kept / "tokens-0.npz"
    whole = file.read_bytes()
    for end in (0, 10, len(whole) // 2, len(whole) - 5):
        file.write_bytes(whole[:end])
        with pytest.raises(InvalidInputError, match=r"tokens-0\.npz could not be read"):
            TwoStageRetriever.load(kept, embedder=exact.embedder)
    for rows, lengths in (
        (exact.vectors.rows[:-1], exact.vectors.lengths),
        (exact.vectors.rows.astype(np.float32), exact.vectors.lengths),
        (exact.vectors.rows[: exact.vectors.lengths[0]], exact.vectors.lengths[:1]),
    ):
        np.savez(file, rows=rows, lengths=lengths)
        with pytest.raises(InvalidInputError):
            TwoStageRetriever.load(kept, embedder=exact.embedder)


def test_what_cannot_work_says_so(exact: MultiVectorIndex, embedder: Embedder, monkeypatch: pytest.MonkeyPatch) -> None:
    with Embedder("mini") as plain, pytest.raises(UnsupportedModelError, match=r"has no token vectors.* BAAI/bge-m3"):
        MultiVectorIndex(TEXTS, plain)
    with pytest.raises(InvalidInputError, match="FAISS cannot make"):
        MultiVectorIndex(TEXTS, embedder, faiss_index="Cube", vectors=exact.vectors)
    with pytest.raises(InvalidInputError, match="2 texts need the vectors of as many, got those of 36"):
        MultiVectorIndex({"a": "b", "c": "d"}, embedder, vectors=exact.vectors)
    with pytest.raises(InvalidInputError, match="query is blank"):
        exact.search(" ", top_k=3)
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingExtraError, match=r"rerank-plugins\[retrieval\]"):
        MultiVectorIndex(TEXTS, embedder, faiss_index="IVF4,Flat", vectors=exact.vectors)
    assert len(exact.search(QUERY, top_k=3)) == 3


@pytest.mark.parametrize("faiss_index", ["Flat", None])
def test_vectors_that_are_not_the_embedders_are_told(embedder: Embedder, faiss_index: str | None) -> None:
    def index(rows: np.ndarray) -> MultiVectorIndex:
        vectors = TokenRows(rows.astype(np.float16), np.array([len(rows)]))
        return MultiVectorIndex({"a": "text"}, embedder, faiss_index=faiss_index, vectors=vectors)

    for wrong in (np.nan, np.inf):
        with pytest.raises(InvalidInputError, match="vectors holds NaN or infinity"):
            index(np.full((2, 24), wrong))
    with pytest.raises(InvalidInputError, match="documents' vectors have 5 numbers, and the embedder makes 24"):
        index(np.ones((2, 5))).search("text", top_k=1)


def test_the_token_vectors_of_bge_m3(tmp_path: Path) -> None:
    folder = tiny.m3(tmp_path / "bge-m3")
    with Embedder(folder, device="cpu", source=SourceOptions(family="bge")) as embedder:
        found = MultiVectorIndex(TEXTS, embedder).search(QUERY, top_k=5)
        (query,) = embedder.encode_queries([QUERY], outputs=("colbert",)).colbert or ()
        documents = embedder.encode_documents(list(TEXTS.values()), outputs=("colbert",)).colbert or ()
    scores = {key: float((query @ one.T).max(axis=1).mean()) for key, one in zip(TEXTS, documents, strict=True)}
    best = dict(sorted(scores.items(), key=lambda one: -one[1])[:5])
    assert found == pytest.approx(best, abs=2.0**-11)
    with Reranker(folder, device="cpu") as reranker:
        assert [found[key] for key in found] == pytest.approx(
            reranker.score([(QUERY, TEXTS[key]) for key in found]), abs=2.0**-10
        )
