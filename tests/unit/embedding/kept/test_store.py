"""A store keeps what it was given, goes on after a kill, and refuses what is damaged or another model's."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import random
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from pathlib import Path
from typing import Any

import colbert_checkpoints as tiny
import numpy as np
import pytest

from rerank_plugins import (
    DeadlineExceededError,
    Document,
    Embedder,
    InvalidInputError,
    Reranker,
    TokenVectorStore,
    VectorOptions,
    VectorStoreError,
)
from rerank_plugins.backends import kept_vectors
from rerank_plugins.backends.protocol import ScoreOptions
from rerank_plugins.embedding.kept.shards import KeptText, digest_of
from rerank_plugins.engine import side_by_side
from rerank_plugins.engine.deadline import Deadline

TESTS = Path(tiny.__file__).parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.stanford(tmp_path_factory.mktemp("late") / "model")


@pytest.fixture
def store(tmp_path: Path) -> TokenVectorStore:
    return TokenVectorStore(tmp_path / "vectors")


@pytest.fixture
def reranker(folder: Path, store: TokenVectorStore) -> Iterator[Reranker]:
    with Reranker(folder, device="cpu", cache=store) as opened:
        yield opened


def many() -> list[str]:
    return [f"{a} {b} {c}" for a in tiny.TEXTS[:8] for b in tiny.TEXTS[:8] for c in tiny.TEXTS[:4]]


def test_what_is_kept_is_not_run_again_and_gives_the_same_scores(reranker: Reranker, folder: Path) -> None:
    assert reranker.keep_vectors([*tiny.TEXTS, Document(text=tiny.TEXTS[0]), " ", Document(text=None)]) == 13
    assert reranker.keep_vectors(tiny.TEXTS) == 0
    with Reranker(folder, device="cpu") as plain:
        for query in tiny.QUERIES:
            kept, ran = reranker.rank(query, [*tiny.TEXTS, None]), plain.rank(query, [*tiny.TEXTS, None])
            assert [one.score for one in kept] == pytest.approx([one.score for one in ran], abs=0.01)
            assert {one.index: one.truncated for one in kept} == {one.index: one.truncated for one in ran}
            assert kept.usage.tokens == 32 < ran.usage.tokens


def test_a_copy_keeps_vectors_when_the_original_is_closed(folder: Path, store: TokenVectorStore) -> None:
    original = Reranker(folder, device="cpu", cache=store)
    with copy.copy(original) as made:
        original.close()
        assert made.keep_vectors(tiny.TEXTS[:3]) == 3
        assert made.rank(tiny.QUERIES[0], tiny.TEXTS[:3]).usage.tokens == 32


@pytest.mark.parametrize("is_async", [False, True])
def test_a_member_of_an_enumeration_is_kept_as_the_text_that_it_holds(
    reranker: Reranker, folder: Path, *, is_async: bool
) -> None:
    class Fact(str, Enum):
        PANDA = tiny.TEXTS[1]

    for given in (Fact.PANDA, Document(text=Fact.PANDA)):
        assert (asyncio.run(reranker.akeep_vectors([given])) if is_async else reranker.keep_vectors([given])) in (0, 1)
    assert len(reranker.vectors or ()) == 1
    pair = (tiny.QUERIES[0], Fact.PANDA)
    with Reranker(folder, device="cpu") as plain:
        assert reranker.score([pair]) == pytest.approx(plain.score([pair]), abs=0.01)


@pytest.mark.parametrize("strategy", ["maxp", "meanp", "firstp"])
def test_windows_are_kept_with_their_characters(folder: Path, tmp_path: Path, strategy: str) -> None:
    store = TokenVectorStore(tmp_path / "vectors")
    plain = Reranker(folder, device="cpu", long_documents=strategy)
    kept = Reranker(folder, device="cpu", long_documents=strategy, cache=store)
    kept.keep_vectors(tiny.TEXTS)
    for query in tiny.QUERIES[:2]:
        expected = {one.index: (one.window, one.truncated) for one in plain.rank(query, tiny.TEXTS)}
        assert {one.index: (one.window, one.truncated) for one in kept.rank(query, tiny.TEXTS)} == expected


@pytest.mark.parametrize("looks_first", [True, False])
def test_the_best_of_many_are_exact_after_a_first_look_in_int8(
    reranker: Reranker, folder: Path, monkeypatch: pytest.MonkeyPatch, *, looks_first: bool
) -> None:
    # Whatever this processor has: the products give the same, sooner or later.
    monkeypatch.setattr(kept_vectors, "multiplies_int8", lambda: looks_first)
    looks, approximate = [], kept_vectors.KeptVectors._approximate

    def seen(self: kept_vectors.KeptVectors, *args: Any, **options: Any) -> Any:
        looks.append(1)
        return approximate(self, *args, **options)

    monkeypatch.setattr(kept_vectors.KeptVectors, "_approximate", seen)
    texts = many()
    reranker.keep_vectors(texts, block_documents=100)
    with Reranker(folder, device="cpu") as plain:
        for query in tiny.QUERIES:
            found, expected = reranker.rank(query, texts, top_n=10), plain.rank(query, texts, top_n=10)
            overlap = {one.document for one in found} & {one.document for one in expected}
            assert len(overlap) >= 9
            assert [one.score for one in found] == pytest.approx([one.score for one in expected], abs=0.01)
            # The first look changes no score of what is returned.
            whole = {one.index: one.score for one in reranker.rank(query, texts)}
            assert all(one.score == pytest.approx(whole[one.index], abs=1e-5) for one in found)
    assert bool(looks) == looks_first


def test_what_is_returned_has_its_exact_score_where_documents_are_nearly_the_same(
    reranker: Reranker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_vectors, "multiplies_int8", lambda: True)
    kept, draw = reranker._kept, np.random.default_rng(0)
    assert kept is not None
    query, base = draw.normal(size=(2, 32, kept.identity.sample.shape[1])).astype(np.float32)
    rows = [base + draw.normal(size=base.shape).astype(np.float32) * 1e-3 for _ in range(400)]
    rows = [one / np.linalg.norm(one, axis=1, keepdims=True) for one in rows]
    names = [f"document {number}" for number in range(400)]
    kept.files.add(
        [
            KeptText(digest=digest_of(name), windows=[(one, None)], truncated=False)
            for name, one in zip(names, rows, strict=True)
        ],
        kept.identity,
    )
    windows = [kept.found([name])[name].windows[0] for name in names]
    whole = kept.maxsim(query, windows, ScoreOptions(), is_first=True)
    found = kept.maxsim(query, windows, ScoreOptions(top_n=10), is_first=True)
    best = np.argsort(-found, kind="stable")[:10]
    assert found[best] == pytest.approx(whole[best], abs=1e-6)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_documents_that_are_shared_out_among_threads_have_the_scores_that_they_have_alone(
    reranker: Reranker, monkeypatch: pytest.MonkeyPatch, n_threads: int
) -> None:
    monkeypatch.setattr(side_by_side, "most_threads", lambda: n_threads)
    kept, draw = reranker._kept, np.random.default_rng(0)
    assert kept is not None
    query, *rows = [
        draw.normal(size=(n, kept.identity.sample.shape[1])).astype(np.float32)
        for n in (32, *draw.integers(1, 60, 300))
    ]
    texts = [
        KeptText(digest=digest_of(f"document {number}"), windows=[(one, None)], truncated=False)
        for number, one in enumerate(rows)
    ]
    kept.files.add(texts, kept.identity)
    windows = [kept.found([name])[name].windows[0] for name in (f"document {number}" for number in range(300))]
    shuffled = draw.permutation(300)
    found = kept.maxsim(query, [windows[place] for place in shuffled], ScoreOptions(), is_first=True)
    alone = [kept.maxsim(query, [windows[place]], ScoreOptions(), is_first=True)[0] for place in shuffled]
    assert found == pytest.approx(alone, rel=1e-6)
    with pytest.raises(DeadlineExceededError):
        kept.maxsim(query, windows, ScoreOptions(deadline=Deadline(1e-9)), is_first=True)


def test_a_store_of_int8_gives_the_best_the_scores_that_they_have_among_all(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first look rounds the query too, which is not to be seen on processors that take it."""
    monkeypatch.setattr(kept_vectors, "multiplies_int8", lambda: True)
    texts = many()
    with Reranker(folder, device="cpu", cache=TokenVectorStore(tmp_path, precision="int8")) as small:
        small.keep_vectors(texts)
        for query in tiny.QUERIES:
            whole = {one.index: one.score for one in small.rank(query, texts)}
            best = small.rank(query, texts, top_n=10)
            assert [one.score for one in best] == pytest.approx([whole[one.index] for one in best], abs=1e-5)


def test_int8_alone_takes_a_third_and_is_near(folder: Path, tmp_path: Path, reranker: Reranker) -> None:
    small = TokenVectorStore(tmp_path / "small", precision="int8")
    with Reranker(folder, device="cpu", cache=small) as opened:
        opened.keep_vectors(many())
        reranker.keep_vectors(many())
        assert small.n_bytes < 0.5 * reranker.vectors.n_bytes
        pairs = [(tiny.QUERIES[0], text) for text in many()]
        assert opened.score(pairs) == pytest.approx(reranker.score(pairs), abs=0.15)
    assert TokenVectorStore(tmp_path / "small").precision == "int8"
    with pytest.raises(VectorStoreError, match="keeps int8, and float16 was asked for"):
        TokenVectorStore(tmp_path / "small", precision="float16")


def test_a_changed_text_is_another_one(reranker: Reranker) -> None:
    reranker.keep_vectors(["pandas eat bamboo"])
    assert "pandas eat bamboo" in reranker.vectors
    assert "pandas eat bamboo " not in reranker.vectors
    assert reranker.rank("bamboo?", ["pandas eat bamboo", "pandas eat honey"]).usage.tokens > 32


def test_a_pickle_of_an_empty_store_keeps_the_precision_that_was_asked_for(tmp_path: Path, folder: Path) -> None:
    empty = TokenVectorStore(tmp_path / "vectors", precision="int8")
    assert [one.precision for one in (pickle.loads(pickle.dumps(empty)), copy.deepcopy(empty))] == ["int8", "int8"]
    other = TokenVectorStore(tmp_path / "vectors")
    assert other.precision == "float16", "what a new store is made with"
    with pickle.loads(pickle.dumps(Reranker(folder, device="cpu", cache=empty))) as again:
        again.keep_vectors(tiny.TEXTS)
    assert other.precision == "int8"


def test_it_is_opened_again_by_its_folder_and_a_copy_or_a_pickle_is_the_same(reranker: Reranker, folder: Path) -> None:
    reranker.keep_vectors(tiny.TEXTS)
    path = reranker.vectors.folder
    with Reranker(folder, device="cpu", cache=TokenVectorStore(str(path))) as again:
        assert (len(again.vectors), again.vectors.verify()) == (13, reranker.vectors.n_vectors)
        assert again.vectors.model == str(folder)
    assert len(pickle.loads(pickle.dumps(reranker.vectors))) == 13
    assert len(pickle.loads(pickle.dumps(reranker)).vectors) == 13


def test_another_models_vectors_are_refused(reranker: Reranker, folder: Path, tmp_path: Path) -> None:
    reranker.keep_vectors(tiny.TEXTS[:2])
    path = reranker.vectors.folder
    with pytest.raises(VectorStoreError, match="length was 48 and is 40"):
        Reranker(folder, device="cpu", max_length=40, cache=TokenVectorStore(path))
    with pytest.raises(VectorStoreError, match="windows was first and is all"):
        Reranker(folder, device="cpu", long_documents="maxp", cache=TokenVectorStore(path))
    with pytest.raises(VectorStoreError, match="Open the model in the same way"):
        Reranker(tiny.pylate(tmp_path / "other"), device="cpu", cache=TokenVectorStore(path))
    other = tiny.stanford(tmp_path / "trained")
    from safetensors.numpy import load_file, save_file

    weights = load_file(other / "model.safetensors")
    # Not a number added to all: the layer norm in front gives rows whose sum is 0, which would not show it.
    weights["linear.weight"][:, ::2] *= np.float32(1.5)
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(VectorStoreError, match="weights was"):
        Reranker(other, device="cpu", cache=TokenVectorStore(path))


def rewritten(folder: Path, change: Any) -> None:
    """Write the weights of a model again, as a training does."""
    from safetensors.numpy import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def test_a_model_that_was_trained_on_is_another_though_a_sample_does_not_show_it(folder: Path, tmp_path: Path) -> None:
    moved, path = tmp_path / "elsewhere", tmp_path / "vectors"
    shutil.copytree(folder, moved)
    with Reranker(folder, device="cpu", cache=TokenVectorStore(path)) as first:
        first.keep_vectors(tiny.TEXTS)
        known = first.score([(tiny.QUERIES[0], text) for text in tiny.TEXTS])
    with Reranker(moved, device="cpu", cache=TokenVectorStore(path)) as same:
        assert same.score([(tiny.QUERIES[0], text) for text in tiny.TEXTS]) == known
        kept = same._backend.kept
        words = [*kept._model.inputs.cut_documents([kept_vectors._SAMPLE])[0].input.ids]

        def other_words(weights: dict[str, Any]) -> None:
            table = weights["bert.embeddings.word_embeddings.weight"]
            others = [place for place in range(len(table)) if place not in words]
            table[others] = table[others[::-1]]

        rewritten(moved, other_words)
        # What is loaded are the weights from before, whatever lies in the folder now.
        assert same._backend.model.weights_key == kept.identity.weights
        assert same.score([(tiny.QUERIES[0], text) for text in tiny.TEXTS]) == known
    with pytest.raises(VectorStoreError, match=r"weights was [0-9a-f]{8} of .* and is [0-9a-f]{8} of "):
        Reranker(moved, device="cpu", cache=TokenVectorStore(path))


def test_vectors_of_weights_that_are_no_longer_in_their_folder_are_those_of_no_other(tmp_path: Path) -> None:
    model, store = tiny.stanford(tmp_path / "model"), TokenVectorStore(tmp_path / "vectors")
    with Embedder(model, device="cpu") as embedder:
        rewritten(model, lambda weights: weights["linear.weight"].__imul__(np.float32(1.001)))
        assert len(embedder.stored_vectors(tiny.TEXTS[:2], store)) == 2
        with pytest.raises(VectorStoreError, match="weights was"):
            Reranker(model, device="cpu", cache=store)
        assert len(embedder.stored_vectors(tiny.TEXTS[:3], store)) == 3


def test_a_small_step_of_a_training_makes_another_model(folder: Path, reranker: Reranker, tmp_path: Path) -> None:
    reranker.keep_vectors(tiny.TEXTS[:2])
    path = reranker.vectors.folder
    other = tmp_path / "trained"
    shutil.copytree(folder, other)
    rewritten(other, lambda weights: weights["linear.weight"].__imul__(np.float32(1.001)))
    with pytest.raises(VectorStoreError, match="weights was"):
        Reranker(other, device="cpu", cache=TokenVectorStore(path))
    # A store from before weights were noted goes by the sample alone.
    header = json.loads((path / "store.json").read_text(encoding="utf-8"))
    del header["weights"]
    (path / "store.json").write_text(json.dumps(header), encoding="utf-8")
    with Reranker(other, device="cpu", cache=TokenVectorStore(path)) as opened:
        assert opened.rank(tiny.QUERIES[0], tiny.TEXTS[:2]).usage.tokens == 32


def test_what_others_add_is_seen_at_the_next_call(reranker: Reranker, folder: Path) -> None:
    path = reranker.vectors.folder
    ran = reranker.rank(tiny.QUERIES[0], tiny.TEXTS[:6])
    with Reranker(folder, device="cpu", cache=TokenVectorStore(path)) as other:
        for end in (2, 4, 6):
            # As an indexing job beside a server: the reader was opened first, and looks between two of its calls.
            assert other.keep_vectors(tiny.TEXTS[:end]) == 2
            assert (len(reranker.vectors), tiny.TEXTS[end - 1] in reranker.vectors) == (end, True)
            found = reranker.rank(tiny.QUERIES[0], tiny.TEXTS[:6])
            assert [one.score for one in found] == pytest.approx([one.score for one in ran], abs=0.01)
            assert (found.usage.tokens == 32) == (end == 6)
        assert reranker.keep_vectors(tiny.TEXTS[:7]) == 1
        assert other.vectors.n_vectors == reranker.vectors.n_vectors
    assert len(TokenVectorStore(path)) == len({*tiny.TEXTS[:7]})


def test_what_another_model_adds_to_an_open_store_is_refused(reranker: Reranker, folder: Path, tmp_path: Path) -> None:
    path = reranker.vectors.folder
    with Reranker(folder, device="cpu", max_length=40, cache=TokenVectorStore(path)) as other:
        other.keep_vectors(tiny.TEXTS[:2])
        for call in (reranker.rank, reranker.score):
            arguments = (tiny.QUERIES[0], tiny.TEXTS) if call == reranker.rank else ([(tiny.QUERIES[0], "a")],)
            with pytest.raises(VectorStoreError, match="length was 40 and is 48"):
                call(*arguments)
        with pytest.raises(VectorStoreError, match="length was 40 and is 48"):
            reranker.keep_vectors(tiny.TEXTS[:2])
        # Another store at the same place: nothing of it is mixed with what was read of the first one.
        path.rename(tmp_path / "before")
        with Reranker(folder, device="cpu", cache=TokenVectorStore(path)) as third:
            third.keep_vectors(["another text"])
        with pytest.raises(VectorStoreError, match="was made anew since it was opened"):
            other.rank(tiny.QUERIES[0], tiny.TEXTS[:2])


def test_who_begins_a_store_at_the_same_time_begins_the_same_one(reranker: Reranker, folder: Path) -> None:
    path = reranker.vectors.folder
    with Reranker(folder, device="cpu", cache=TokenVectorStore(path)) as other:
        other.keep_vectors(tiny.TEXTS[:1])
        assert reranker.keep_vectors(tiny.TEXTS[:2]) == 1
        # Another number of threads, or another processor, gives other last digits.
        header = json.loads((path / "store.json").read_text())
        header["sample"] = [[number * 1.0001 for number in row] for row in header["sample"]]
        (path / "store.json").write_text(json.dumps({**header, "model": "moved/elsewhere"}))
        assert other.keep_vectors(tiny.TEXTS[:3]) == 1
        assert len(reranker.vectors) == len(other.vectors) == 3


def test_a_store_that_was_removed_is_read_on_but_not_added_to(reranker: Reranker) -> None:
    reranker.keep_vectors(tiny.TEXTS[:2])
    shutil.rmtree(reranker.vectors.folder)
    assert reranker.rank(tiny.QUERIES[0], tiny.TEXTS[:2]).usage.tokens == 32
    with pytest.raises(VectorStoreError, match="was removed since it was opened"):
        reranker.keep_vectors(tiny.TEXTS[:3])
    assert not reranker.vectors.folder.exists()


def test_two_stores_at_one_place_from_sixteen_threads(reranker: Reranker, folder: Path) -> None:
    texts = [f"{text} {number}" for text in tiny.TEXTS[:5] for number in range(12)]
    with Reranker(folder, device="cpu", cache=TokenVectorStore(reranker.vectors.folder)) as other:

        def add_and_rank(number: int) -> int:
            mine = (reranker, other)[number % 2]
            mine.keep_vectors(texts[:: number % 3 + 1], block_documents=7)
            return len(mine.rank(tiny.QUERIES[0], texts))

        with ThreadPoolExecutor(16) as pool:
            assert set(pool.map(add_and_rank, range(16))) == {len(texts)}
        assert len(reranker.vectors) == len(other.vectors) == len(TokenVectorStore(other.vectors.folder)) == len(texts)
        assert reranker.rank(tiny.QUERIES[0], texts).usage.tokens == 32


@pytest.mark.parametrize("name", ["a\0b", "file/inside", "x" * 300])
def test_a_folder_that_cannot_be_is_an_error_of_ours(reranker: Reranker, tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises((VectorStoreError, InvalidInputError)):
        Reranker(reranker.model, device="cpu", cache=TokenVectorStore(tmp_path / name)).keep_vectors(["a"])


def test_models_without_vectors_of_documents_refuse_it(store: TokenVectorStore, checkpoints: Path) -> None:
    with pytest.raises(InvalidInputError, match="reads query and document together"):
        Reranker(checkpoints / "bert-reranker", device="cpu", cache=store)
    with Reranker(checkpoints / "bert-reranker", device="cpu") as plain:
        assert plain.vectors is None
        with pytest.raises(InvalidInputError, match="has no store"):
            plain.keep_vectors(["a"])


def test_a_file_that_was_cut_or_changed_is_named(reranker: Reranker) -> None:
    reranker.keep_vectors(tiny.TEXTS, block_documents=5)
    path = reranker.vectors.folder
    files = sorted(path.glob("vectors-*.safetensors"))
    assert len(files) == 3
    whole = files[1].read_bytes()
    files[1].write_bytes(whole[: len(whole) // 2])
    with pytest.raises(VectorStoreError, match=f"{files[1].name}.*cut off.*Remove this file"):
        TokenVectorStore(path)
    files[1].write_bytes(whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:])
    with pytest.raises(VectorStoreError, match=f"{files[1].name}.*damaged"):
        TokenVectorStore(path).verify()
    files[1].unlink()
    assert len(TokenVectorStore(path)) == 8


@pytest.mark.parametrize("n_documents", [2, 250])
def test_an_open_store_reads_its_files_when_it_verifies_and_makes_again_what_was_removed(
    reranker: Reranker, n_documents: int
) -> None:
    texts = many()[:n_documents]
    reranker.keep_vectors(["another text"])
    assert reranker.keep_vectors(texts) == n_documents
    store = reranker.vectors
    file = max(store.folder.glob("vectors-*.safetensors"))
    whole, n_bytes, n_vectors = file.read_bytes(), store.n_bytes, store.n_vectors
    with file.open("r+b") as opened:
        opened.seek(-3, 2)
        opened.write(bytes([whole[-3] ^ 1]))
    with pytest.raises(VectorStoreError, match=f"{file.name}.*damaged. Remove this file, and its documents are made"):
        store.verify()
    file.unlink()
    assert (len(store), texts[0] in store, store.n_bytes) == (1, False, n_bytes - len(whole))
    # Whoever opens the store first makes the same file again, by the same name.
    with Reranker(reranker.model, device="cpu", cache=TokenVectorStore(store.folder)) as other:
        assert other.keep_vectors(texts) == n_documents
    assert file.is_file()
    assert (len(store), store.n_bytes, store.verify()) == (n_documents + 1, n_bytes, n_vectors)
    file.unlink()
    assert reranker.keep_vectors(texts) == n_documents
    assert len(TokenVectorStore(store.folder)) == n_documents + 1


def test_a_file_that_is_written_again_in_place_is_read_again(reranker: Reranker) -> None:
    reranker.keep_vectors(tiny.TEXTS[:2])
    store = reranker.vectors
    (file,) = store.folder.glob("vectors-*.safetensors")
    whole = file.read_bytes()
    file.unlink()
    file.write_bytes(whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:])
    assert len(store) == 2
    with pytest.raises(VectorStoreError, match="does not have the checksum"):
        store.verify()
    file.write_bytes(whole[: len(whole) // 2])
    reranker.vectors.folder.joinpath("touched").touch()
    with pytest.raises(VectorStoreError, match="it was cut off"):
        len(store)


def test_a_lost_or_foreign_header(reranker: Reranker) -> None:
    reranker.keep_vectors(tiny.TEXTS[:2])
    header = reranker.vectors.folder / "store.json"
    header.write_text(json.dumps({"format": "other"}))
    with pytest.raises(VectorStoreError, match="no store of token vectors"):
        TokenVectorStore(header.parent)
    header.unlink()
    with pytest.raises(VectorStoreError, match="says whose they are"):
        TokenVectorStore(header.parent)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("precision", "flat16"),
        ("settings", []),
        ("model", 3),
        ("sample", [[1.0], [1.0, 2.0]]),
        ("sample", "x"),
        ("weights", 1),
    ],
)
def test_a_damaged_header_is_told(reranker: Reranker, name: str, value: object) -> None:
    reranker.keep_vectors(tiny.TEXTS[:2])
    path = reranker.vectors.folder / "store.json"
    header = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**header, name: value}), encoding="utf-8")
    with pytest.raises(VectorStoreError, match="is damaged"):
        TokenVectorStore(path.parent)


@pytest.mark.parametrize("name", ["windows", "vectors"])
@pytest.mark.parametrize("change", [1, -1, 1 << 20, -(1 << 20)])
def test_numbers_of_a_file_that_do_not_fit_are_told_when_it_is_opened(
    reranker: Reranker, name: str, change: int
) -> None:
    reranker.keep_vectors(tiny.TEXTS[:3])
    (path,) = reranker.vectors.folder.glob("vectors-*.safetensors")
    whole = bytearray(path.read_bytes())
    n_header = int.from_bytes(whole[:8], "little")
    start = 8 + n_header + json.loads(whole[8 : 8 + n_header])[name]["data_offsets"][0]
    number = int.from_bytes(whole[start : start + 4], "little", signed=True) + change
    whole[start : start + 4] = number.to_bytes(4, "little", signed=True)
    path.write_bytes(whole)
    with pytest.raises(VectorStoreError, match=f"{path.name}.*do not fit each other: it is damaged"):
        TokenVectorStore(path.parent)


def test_a_file_of_a_store_of_int8_is_none_of_a_store_of_float16(
    reranker: Reranker, folder: Path, tmp_path: Path
) -> None:
    reranker.keep_vectors(tiny.TEXTS[:3])
    with Reranker(folder, device="cpu", cache=TokenVectorStore(tmp_path / "int8", precision="int8")) as other:
        other.keep_vectors(tiny.TEXTS[3:5])
    (file,) = (tmp_path / "int8").glob("vectors-*.safetensors")
    shutil.copy(file, reranker.vectors.folder / file.name)
    with pytest.raises(VectorStoreError, match=f"{file.name}.* keeps int8 alone, and the store float16"):
        TokenVectorStore(reranker.vectors.folder)


def test_a_wrong_element_is_named(reranker: Reranker) -> None:
    with pytest.raises(InvalidInputError, match=r"documents\[1\] must be a string, a Document or None, got int"):
        reranker.keep_vectors(["a", 5])


@pytest.mark.slow
def test_after_a_kill_the_next_call_goes_on(folder: Path, tmp_path: Path) -> None:
    program = f"""
        import sys
        sys.path.insert(0, {str(TESTS)!r})
        from rerank_plugins import Reranker, TokenVectorStore
        with Reranker({str(folder)!r}, device="cpu", cache=TokenVectorStore({str(tmp_path / "vectors")!r})) as reranker:
            reranker.keep_vectors((f"text number {{n}} of many" for n in range(100_000)), block_documents=20)
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)])
    for _ in range(600):
        if len(list((tmp_path / "vectors").glob("vectors-*.safetensors"))) >= 3:
            break
        time.sleep(0.1)
    process.kill()
    process.wait()
    store = TokenVectorStore(tmp_path / "vectors")
    n_before = len(store)
    assert n_before >= 60
    assert n_before % 20 == 0
    assert store.verify() > 0
    with Reranker(folder, device="cpu", cache=store) as reranker:
        assert reranker.keep_vectors([f"text number {n} of many" for n in range(n_before + 7)]) == 7


async def test_the_async_twin_leaves_the_loop_free_and_keeps_the_same(
    reranker: Reranker, store: TokenVectorStore
) -> None:
    texts, turns = many()[:100], 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    assert await reranker.akeep_vectors(texts, block_documents=20) == len(set(texts))
    beside.cancel()
    assert turns > len(texts) // 20
    assert all(text in store for text in texts)
    assert await reranker.akeep_vectors(texts) == 0
    with pytest.raises(DeadlineExceededError):
        await reranker.akeep_vectors(["another text"], deadline_s=1e-9)


async def test_calls_at_the_same_time_keep_each_document_once(reranker: Reranker, store: TokenVectorStore) -> None:
    texts = many()[:60]
    halves = texts[: len(texts) // 2 + 5], texts[len(texts) // 2 - 5 :]
    added = await asyncio.gather(*(reranker.akeep_vectors(half, block_documents=7) for half in halves * 2))
    assert sum(added) == len(store) == len(set(texts))
    assert TokenVectorStore(store.folder).verify() == store.n_vectors


_OPENING = """
import resource, sys
from rerank_plugins import TokenVectorStore, VectorStoreError
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
try:
    print(TokenVectorStore(sys.argv[1]).verify())
except VectorStoreError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit")
@pytest.mark.parametrize(
    ("n_documents", "told"), [(1, None), (250, "the larger files of a store stay open. Raise the")]
)
def test_a_store_of_many_files_holds_none_of_the_small_ones_open(
    reranker: Reranker, n_documents: int, told: str | None
) -> None:
    reranker.keep_vectors(many()[:n_documents])
    path = reranker.vectors.folder
    (file,) = path.glob("vectors-*.safetensors")
    for number in range(1, 80):
        (path / f"vectors-{number:06d}-00000000.safetensors").hardlink_to(file)
    done = subprocess.run([sys.executable, "-c", _OPENING, str(path)], capture_output=True, text=True, check=True)
    assert told in done.stdout if told else int(done.stdout) == TokenVectorStore(path).n_vectors


async def test_an_event_loop_looks_up_no_document_itself(
    reranker: Reranker, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[int] = set()
    missing = kept_vectors.KeptVectors.missing

    def watched(kept: kept_vectors.KeptVectors, texts: list[str]) -> list[str]:
        threads.add(threading.get_ident())
        return missing(kept, texts)

    monkeypatch.setattr(kept_vectors.KeptVectors, "missing", watched)
    assert await reranker.akeep_vectors(tiny.TEXTS[:4], block_documents=2) == 4
    with Embedder(folder, device="cpu") as embedder:
        assert len(await embedder.astored_vectors(tiny.TEXTS[:5], reranker.vectors)) == 5
    assert threads
    assert threading.get_ident() not in threads


async def test_a_reranker_without_a_store_says_so(folder: Path) -> None:
    with Reranker(folder, device="cpu") as opened, pytest.raises(InvalidInputError, match="has no store"):
        await opened.akeep_vectors(["a text"])


def _fault_of(folder: Path) -> str:
    try:
        TokenVectorStore(folder).verify()
    except VectorStoreError as error:
        return str(error)
    return ""


def test_any_damage_to_what_a_file_says_of_itself_is_told(reranker: Reranker, store: TokenVectorStore) -> None:
    reranker.keep_vectors(tiny.TEXTS[:3])
    (file,) = store.folder.glob("vectors-*.safetensors")
    whole, n_bytes = file.read_bytes(), store.n_bytes
    n_header = int.from_bytes(whole[:8], "little")
    draw = random.Random(0)
    for _ in range(400):
        damaged = bytearray(whole)
        damaged[draw.randrange(8, 8 + n_header)] = draw.randrange(32, 127)
        if damaged == whole:
            continue
        file.write_bytes(damaged)
        # What says nothing, such as a space, may be another.
        assert file.name in _fault_of(store.folder) or TokenVectorStore(store.folder).verify() == store.n_vectors
    file.write_bytes(whole)
    assert (store.n_bytes, len(store)) == (n_bytes, 3)
    file.unlink()
    assert (store.n_bytes, len(store)) == (0, 0)


def test_other_dimensions_are_called_by_their_name(folder: Path, store: TokenVectorStore) -> None:
    with Embedder(folder, device="cpu") as whole:
        whole.stored_vectors(["panda"], store)
    with (
        Embedder(folder, device="cpu", vectors=VectorOptions(dimensions=8)) as short,
        pytest.raises(VectorStoreError, match=r"vectors of a sample text was \d+ of 24 numbers and is \d+ of 8"),
    ):
        short.stored_vectors(["panda"], store)


def test_damage_that_makes_nan_stops_a_ranking(folder: Path, store: TokenVectorStore) -> None:
    with Reranker(folder, device="cpu", cache=store) as reranker:
        reranker.keep_vectors(tiny.TEXTS[:4])
    (file,) = store.folder.glob("vectors-*.safetensors")
    data = bytearray(file.read_bytes())
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    place = 8 + int.from_bytes(data[:8], "little") + header["exact"]["data_offsets"][0]
    data[place : place + 2] = np.float16("nan").tobytes()
    file.write_bytes(data)
    with (
        Reranker(folder, device="cpu", cache=TokenVectorStore(store.folder)) as reranker,
        pytest.raises(VectorStoreError, match=r"NaN. TokenVectorStore.verify\(\) names their file"),
    ):
        reranker.rank("panda", tiny.TEXTS[:4])


def test_what_a_killed_process_left_goes_with_the_next_addition(folder: Path, store: TokenVectorStore) -> None:
    with Embedder(folder, device="cpu") as embedder:
        embedder.stored_vectors(["panda"], store)
        left = store.folder / ".writing-0123456789abcdef-of-a-dead-process"
        left.write_bytes(b"x" * 1000)
        embedder.stored_vectors(["another"], store)
    assert not left.exists()
