"""Documents that are added, and retrievers in a folder: the same results, and a clear error for anything else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_checkpoints
from letters import LengthReranker

from rerank_plugins import Embedder, InstructionOptions, LongDocuments, Reranker, TwoStageRetriever
from rerank_plugins.backends.vectors import SimpleTextEmbedder, embedder_spec
from rerank_plugins.calibration import fit_calibration
from rerank_plugins.errors import InvalidInputError, RerankPluginsError
from rerank_plugins.retrieval import BM25Index, DenseIndex, HybridIndex

TEXTS = {
    "paris": "Paris is the capital of France.",
    "berlin": "Berlin is the capital of Germany.",
    "cats": "Cats purr and sleep.",
    "zh": "检索增强生成",
    "odd": "half of a pair: \ud83d",
}
QUERIES = ["capital of France", "what do cats do", "检索"]
RETRIEVERS = ["bm25", "dense", "hybrid"]


def made(retriever: Any, texts: Any = None, **options: Any) -> TwoStageRetriever:
    given = {"embedder": "mini", "reranker": "mini", "top_k": 3, "top_n": 2, **options}
    return TwoStageRetriever.from_documents(TEXTS if texts is None else texts, retriever=retriever, **given)


def found(retriever: TwoStageRetriever) -> list[list[tuple[str, str, int]]]:
    return [[(one.id, one.text, one.retrieval_rank) for one in retriever.search(query)] for query in QUERIES]


@pytest.mark.parametrize("retriever", RETRIEVERS)
@pytest.mark.parametrize("faiss_index", ["Flat", None])
def test_added_documents_are_as_if_they_had_been_there(retriever: str, faiss_index: str | None) -> None:
    first = dict(list(TEXTS.items())[:2])
    rest = {key: text for key, text in TEXTS.items() if key not in first}
    with made(retriever, first, faiss_index=faiss_index) as growing, made(retriever, faiss_index=faiss_index) as whole:
        before = growing.first_stage
        assert growing.add_documents(rest) == list(rest)
        assert len(growing) == len(TEXTS)
        assert found(growing) == found(whole)
        assert set(before.search("capital", top_k=5)) == set(first)


async def test_ids_of_what_is_added() -> None:
    with made("bm25", ["one cat", "two cats"]) as retriever:
        assert retriever.add_documents(["three cats"]) == ["2"]
        assert await retriever.aadd_documents({"4": "four cats"}) == ["4"]
        assert retriever.add_documents(["five cats", "six cats"]) == ["5", "6"]
        assert retriever.add_documents([]) == []
        with pytest.raises(InvalidInputError, match="2 of the ids are there already, the first is '0'"):
            retriever.add_documents({"0": "x", "1": "y", "new": "z"})
        with pytest.raises(InvalidInputError, match=r"documents\[1\] must be a string, got int"):
            retriever.add_documents(["seven cats", 7])  # type: ignore[list-item]
        assert len(retriever) == 6
    with made("dense", {}) as retriever:
        retriever.add_documents(TEXTS)
        assert retriever.search(QUERIES[0])[0].id == "paris"


def test_threads_that_add_lose_nothing_while_others_search() -> None:
    with made("hybrid", ["start here"], reranker=None) as retriever:
        errors: list[BaseException] = []
        stop = threading.Event()

        def add(number: int) -> None:
            for position in range(5):
                retriever.add_documents({f"{number}-{position}": f"text {number} {position}"})

        def search() -> None:
            while not stop.is_set():
                try:
                    retriever.search("text here")
                except BaseException as error:  # noqa: BLE001 - told by the assertion
                    errors.append(error)
                    return

        searching = threading.Thread(target=search)
        adding = [threading.Thread(target=add, args=(number,)) for number in range(4)]
        for thread in (searching, *adding):
            thread.start()
        for thread in adding:
            thread.join()
        stop.set()
        searching.join()
        assert errors == []
        assert len(retriever) == 21
        assert len(retriever.search("text", top_k=50, top_n=50)) == 21


def test_a_stage_that_does_not_grow_says_so() -> None:
    class Fixed:
        def search(self, query: str, *, top_k: int) -> dict[str, float]:
            return {"a": 1.0}

        async def asearch(self, query: str, *, top_k: int) -> dict[str, float]:
            return {"a": 1.0}

    for stage in (Fixed(), HybridIndex([Fixed()])):
        retriever = TwoStageRetriever(stage, {"a": "b"})
        with pytest.raises(InvalidInputError, match="cannot be added to a Fixed"):
            retriever.add_documents(["c"])
        assert len(retriever) == 1
        with pytest.raises(InvalidInputError, match="Fixed cannot be saved"):
            retriever.save("nowhere")


async def test_numbers_for_one_call() -> None:
    with made("bm25", [f"a cat and {word}" for word in ("one", "two", "three", "four")]) as retriever:
        assert [len(retriever.search("cat")), len(retriever.search("cat", top_k=1))] == [2, 1]
        assert len(retriever.search("cat", top_k=4, top_n=4)) == 4
        assert len(await retriever.asearch("cat", top_n=1)) == 1
        assert len(retriever.search("cat")) == 2
        with pytest.raises(InvalidInputError, match="top_n must be a positive integer or None, got 0"):
            retriever.search("cat", top_n=0)


@pytest.mark.parametrize("retriever", RETRIEVERS)
def test_a_saved_retriever_finds_the_same(retriever: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with made(retriever, threshold=-100.0, threshold_unit="raw") as original:
        expected = found(original)
        assert original.save(tmp_path / "saved") == tmp_path / "saved"
    # No text is embedded again, but for the one that proves the model.
    embedded: list[str] = []
    embed = Embedder.embed_documents
    monkeypatch.setattr(Embedder, "embed_documents", lambda self, texts: embedded.extend(texts) or embed(self, texts))
    with TwoStageRetriever.load(tmp_path / "saved") as loaded:
        assert embedded == ([] if retriever == "bm25" else [TEXTS["paris"]])
        assert found(loaded) == expected
        assert loaded.top_k == 3
        loaded.add_documents(["more"])
        loaded.save(tmp_path / "saved")
    with TwoStageRetriever.load(tmp_path / "saved") as again:
        assert len(again) == len(TEXTS) + 1
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]
    assert {path.suffix for path in (tmp_path / "saved").iterdir()} <= {".json", ".jsonl", ".npy"}


def test_settings_of_the_models_are_kept(tmp_path: Path) -> None:
    folder = tiny_checkpoints.bert_embedder(tmp_path / "embedder")
    embedder = Embedder(
        folder, device="cpu", max_length=40, instruction=InstructionOptions(query="q: ", document="d: ")
    )
    reranker = Reranker(
        "mini",
        max_length=64,
        long_documents=LongDocuments(strategy="meanp"),
        calibration=fit_calibration([2.0, 1.0, 0.5, 0.0], [1, 1, 0, 0]),
    )
    with made("dense", embedder=embedder, reranker=reranker) as original:
        original.save(tmp_path / "saved")
        expected = original.search(QUERIES[0])
    with TwoStageRetriever.load(tmp_path / "saved") as loaded:
        again = loaded.search(QUERIES[0])
        assert [(one.id, one.retrieval_rank, one.rank) for one in again] == [
            (one.id, one.retrieval_rank, one.rank) for one in expected
        ]
        # Weights that are loaded anew lie elsewhere in memory, which moves the last digit.
        for name in ("retrieval_score", "rerank_score", "probability"):
            numbers = [getattr(one, name) for one in expected]
            assert [getattr(one, name) for one in again] == pytest.approx(numbers, abs=1e-5), name
        used = loaded.reranker
        assert used is not None
        assert used.calibration == reranker.calibration
        assert (used.max_length, used.long_documents) == (64, reranker.long_documents)


def test_another_embedder_is_refused(tmp_path: Path) -> None:
    folder = tiny_checkpoints.bert_embedder(tmp_path / "one" / "embedder")
    with Embedder(folder, device="cpu") as embedder, made("dense", embedder=embedder, reranker=None) as original:
        original.save(tmp_path / "saved")
        shorter = Embedder(folder, device="cpu", max_length=20)
        with pytest.raises(InvalidInputError, match=r"made with max_length=.*has max_length=20"):
            TwoStageRetriever.load(tmp_path / "saved", embedder=shorter)
        with pytest.raises(InvalidInputError, match="made with model="):
            TwoStageRetriever.load(tmp_path / "saved", embedder=Embedder("mini"))
    # The same name and settings over other vectors.
    vectors = np.load(tmp_path / "saved" / "vectors-0.npy")
    np.save(tmp_path / "saved" / "vectors-0.npy", vectors[::-1].copy())
    with pytest.raises(InvalidInputError, match="another vector"):
        TwoStageRetriever.load(tmp_path / "saved")


def test_what_only_this_process_has_must_be_passed(tmp_path: Path) -> None:
    retriever = TwoStageRetriever(BM25Index(TEXTS), TEXTS, reranker=None)
    assert retriever.save(tmp_path / "saved").is_dir()
    with TwoStageRetriever.load(tmp_path / "saved", reranker="mini") as loaded:
        assert loaded.search(QUERIES[0])[0].id == "paris"
    theirs = LengthReranker()
    assert TwoStageRetriever.load(tmp_path / "saved", reranker=theirs).reranker is theirs


def test_an_embedder_that_no_name_opens_must_be_passed(tmp_path: Path) -> None:
    class Lengths(SimpleTextEmbedder):
        spec = embedder_spec("acme/lengths", dimensions=2)

        def embed_texts(self, texts: Sequence[str], *, is_query: bool) -> list[list[float]]:
            return [[float(len(text)), 1.0] for text in texts]

    embedder = Embedder(backend=Lengths())
    made("dense", embedder=embedder, reranker=None, faiss_index=None).save(tmp_path / "saved")
    with pytest.raises(InvalidInputError, match=r"embedder was made of a model in memory.*pass embedder="):
        TwoStageRetriever.load(tmp_path / "saved")
    assert found(TwoStageRetriever.load(tmp_path / "saved", embedder=embedder))


def test_how_many_lists_are_searched_is_kept(tmp_path: Path) -> None:
    with Embedder("mini") as embedder:
        index = DenseIndex(TEXTS, embedder, n_probe=3)
        TwoStageRetriever(index, TEXTS, reranker=None).save(tmp_path / "saved")
        loaded = TwoStageRetriever.load(tmp_path / "saved", embedder=embedder)
        assert loaded.first_stage.settings == index.settings
        settings = tmp_path / "saved" / "retriever.json"
        # As a folder of before has it.
        settings.write_text(settings.read_text().replace('"n_probe": 3', '"other": 3'))
        loaded = TwoStageRetriever.load(tmp_path / "saved", embedder=embedder)
        assert loaded.first_stage.settings["n_probe"] == 16


def test_stages_over_other_documents_are_not_saved(tmp_path: Path) -> None:
    retriever = TwoStageRetriever(BM25Index({"paris": "x"}), TEXTS)
    with pytest.raises(InvalidInputError, match="other documents than the retriever's texts"):
        retriever.save(tmp_path / "saved")
    with Embedder("mini") as one, Embedder("mini") as two:
        hybrid = HybridIndex([DenseIndex(TEXTS, one), DenseIndex(TEXTS, two)])
        with pytest.raises(InvalidInputError, match="different embedders"):
            TwoStageRetriever(hybrid, TEXTS).save(tmp_path / "saved")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_else_stays(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    retriever = TwoStageRetriever(BM25Index(TEXTS), TEXTS)
    for place in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(InvalidInputError, match="is no saved retriever"):
            retriever.save(place)
    with pytest.raises(InvalidInputError, match="cannot be saved"):
        retriever.save(tmp_path / "mine.txt" / "below")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_what_goes_wrong_while_writing_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with made("dense", reranker=None) as retriever:
        retriever.save(tmp_path / "saved")

        def full(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        retriever.add_documents(["more"])
        monkeypatch.setattr(np, "save", full)
        with pytest.raises(InvalidInputError, match="No space left"):
            retriever.save(tmp_path / "saved")
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]
    with TwoStageRetriever.load(tmp_path / "saved") as loaded:
        assert len(loaded) == len(TEXTS)


def damaged(settings: dict[str, Any], path: list[str], value: object) -> dict[str, Any]:
    changed = json.loads(json.dumps(settings))
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return changed


def every_path(value: object, path: list[str]) -> list[list[str]]:
    if not isinstance(value, dict):
        return [path]
    return [*([path] if path else []), *(one for key in value for one in every_path(value[key], [*path, key]))]


def every_damage(settings: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in every_path(settings, []):
        # Another name is another model, which has tests of its own.
        if path[-1] != "model":
            for value in (None, "x", -1, 10**400, 1.5, [], {}, True, "../x"):
                yield damaged(settings, path, value)


@pytest.mark.slow
def test_damaged_settings_end_in_a_typed_error_or_a_retriever(tmp_path: Path) -> None:
    with made("hybrid") as retriever:
        retriever.save(tmp_path / "saved")
    file = tmp_path / "saved" / "retriever.json"
    settings = json.loads(file.read_text())
    # Held, so that no load reads the weights again.
    with Reranker("mini"), Embedder("mini"):
        for changed in every_damage(settings):
            file.write_text(json.dumps(changed))
            with contextlib.suppress(RerankPluginsError):
                TwoStageRetriever.load(tmp_path / "saved").close()
    for text in ("", "[]", "{", '{"schema": "x"}', json.dumps({**settings, "version": 2})):
        file.write_text(text)
        with pytest.raises(InvalidInputError):
            TwoStageRetriever.load(tmp_path / "saved")


@pytest.mark.parametrize("content", ["[1, 2]\n", '["a"]\n', "{}\n", '["a", "b", "c"]\n', "nonsense\n"])
def test_damaged_texts_and_vectors(content: str, tmp_path: Path) -> None:
    with made("dense", reranker=None) as retriever:
        retriever.save(tmp_path / "saved")
    vectors = tmp_path / "saved" / "vectors-0.npy"
    for broken in (b"", b"\x93NUMPY", b"x" * 100):
        vectors.write_bytes(broken)
        with pytest.raises(InvalidInputError, match="could not be read"):
            TwoStageRetriever.load(tmp_path / "saved")
    np.save(vectors, np.zeros((2, 3), dtype=np.float32))
    with pytest.raises(InvalidInputError):
        TwoStageRetriever.load(tmp_path / "saved")
    (tmp_path / "saved" / "texts.jsonl").write_text(content)
    with pytest.raises(InvalidInputError, match="could be read"):
        TwoStageRetriever.load(tmp_path / "saved")


def test_texts_that_were_cut_off_behind_a_line_are_told(tmp_path: Path) -> None:
    with made("bm25", reranker=None) as retriever:
        retriever.save(tmp_path / "saved")
        n_texts = len(retriever)
    file, settings = tmp_path / "saved" / "texts.jsonl", tmp_path / "saved" / "retriever.json"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:2]))
    with pytest.raises(InvalidInputError, match=f"has 2 texts in texts.jsonl and should have {n_texts}: .* cut off"):
        TwoStageRetriever.load(tmp_path / "saved")
    # A folder from before the number was noted.
    file.write_text("".join(lines))
    settings.write_text(json.dumps({k: v for k, v in json.loads(settings.read_text()).items() if k != "n_texts"}))
    with TwoStageRetriever.load(tmp_path / "saved") as loaded:
        assert len(loaded) == n_texts


def test_without_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"no saved retriever .*TwoStageRetriever\.save makes one"):
        TwoStageRetriever.load(tmp_path / "nothing")
    assert asyncio.run(TwoStageRetriever(BM25Index(TEXTS), TEXTS).asearch("Paris"))[0].id == "paris"
