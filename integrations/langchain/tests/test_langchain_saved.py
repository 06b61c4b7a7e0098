"""Retrievers that grow and that are kept in a folder: the same results, and a clear error for anything else."""

from __future__ import annotations

import json
import math
import threading
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_rerank_plugins import FirstStageRetriever, InstructionEmbeddings, RerankCompressor, TwoStageRetriever

from rerank_plugins import Embedder, Reranker
from rerank_plugins import TwoStageRetriever as CoreRetriever
from rerank_plugins.calibration import fit_calibration
from rerank_plugins.errors import InvalidInputError

TEXTS = [
    "Paris is the capital of France and its largest city.",
    "Berlin is the capital of Germany; the Spree flows through it.",
    "The panda is a bear that eats bamboo in the mountains of Sichuan.",
    "half of a pair: \ud83d",
]
QUERIES = ["What is the capital of France?", "What does a panda eat?"]
DOCUMENTS = [
    Document(page_content=text, metadata={"n": n, "tags": ["x", {"deep": None}]}, id=f"id-{n}")
    for n, text in enumerate(TEXTS)
]
CALIBRATION = fit_calibration([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [False, False, True, False, True, True])


def found(retriever: Any) -> list[list[Document]]:
    return [retriever.invoke(query) for query in QUERIES]


def two(documents: Any = DOCUMENTS, **options: Any) -> TwoStageRetriever:
    given = {"embedder": "mini", "reranker": "mini", "top_k": 3, "top_n": 2, **options}
    return TwoStageRetriever.from_documents(documents, **given)


@pytest.mark.parametrize("retriever", ["bm25", "dense", "hybrid"])
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_added_documents_are_as_if_they_had_been_there(retriever: Any, is_async: bool) -> None:
    growing, whole = two(DOCUMENTS[:1], retriever=retriever), two(retriever=retriever)
    added = await growing.aadd_documents(DOCUMENTS[1:]) if is_async else growing.add_documents(DOCUMENTS[1:])
    assert added == ["id-1", "id-2", "id-3"]
    assert found(growing) == found(whole)


def test_ids_of_what_is_added() -> None:
    first = FirstStageRetriever.from_documents(DOCUMENTS[:2], retriever="bm25")
    assert first.add_documents([]) == []
    assert first.add_documents([], ids=[]) == []
    assert first.add_documents(["a fox"], ids=["fox"]) == ["fox"]
    (made,) = first.add_documents([Document("a hare")])
    assert [one.id for one in first.invoke("fox")] == ["fox"]
    assert [one.id for one in first.invoke("hare")] == [made]
    given = Document("an owl", id="own")
    assert first.add_documents([given], ids=["other"]) == ["other"]
    assert given.id == "own"


@pytest.mark.parametrize(
    ("documents", "ids", "match"),
    [
        (["x", "y"], ["id-0", "id-1"], "2 of the ids are there already, the first is 'id-0'"),
        ([DOCUMENTS[0]], None, "the first is 'id-0'"),
        (["x", "y", "z"], ["a", "b", "b"], "2 of the documents have the id 'b'"),
        (["x"], ["a", "b"], "2 ids for 1 documents"),
        (["x"], "a", "ids must be a list"),
        (["x"], [3], "ids must be a list"),
        (["x"], [""], "ids must be a list"),
        ("x", None, "put a single one into a list"),
        (None, None, "must be a list of documents, got NoneType"),
        (["x", 3], None, r"documents\[1\] must be a Document"),
    ],
)
async def test_what_cannot_be_added_is_an_error(documents: Any, ids: Any, match: str) -> None:
    retriever = two(DOCUMENTS[:2], retriever="bm25")
    before = found(retriever)
    for owner in (retriever, retriever.first_stage):
        assert isinstance(owner, (TwoStageRetriever, FirstStageRetriever))
        with pytest.raises(InvalidInputError, match=match):
            owner.add_documents(documents, ids)
        with pytest.raises(InvalidInputError, match=match):
            await owner.aadd_documents(documents, ids=ids)
    assert found(retriever) == before


def test_a_foreign_first_stage_says_where_documents_go(tmp_path: Path) -> None:
    store = InMemoryVectorStore(InstructionEmbeddings(model="mini"))
    retriever = TwoStageRetriever.from_vector_store(store, reranker=None)
    with pytest.raises(InvalidInputError, match=r"VectorStoreRetriever, made elsewhere: .* add them to its store"):
        retriever.add_documents(["x"])
    with pytest.raises(InvalidInputError, match=r"VectorStoreRetriever, made elsewhere: .* save its store"):
        retriever.save(tmp_path / "new")
    for empty in (FirstStageRetriever(), TwoStageRetriever(first_stage=FirstStageRetriever())):
        with pytest.raises(InvalidInputError, match="has no documents"):
            empty.add_documents(["x"])
        with pytest.raises(InvalidInputError, match="has no documents"):
            empty.save(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_threads_that_add_lose_nothing_and_searches_see_all_or_none() -> None:
    first = FirstStageRetriever.from_documents(["start"], retriever="hybrid", embedder="mini", top_k=1000)
    errors: list[BaseException] = []
    stop = threading.Event()

    def add(number: int) -> None:
        try:
            for turn in range(5):
                first.add_documents([Document("twin fox", metadata={"pair": (number, turn)}) for _ in range(2)])
        except BaseException as error:  # noqa: BLE001 - shown by the test's thread
            errors.append(error)

    def search() -> None:
        try:
            while not stop.is_set():
                assert sum("pair" in one.metadata for one in first.invoke("twin fox")) % 2 == 0
        except BaseException as error:  # noqa: BLE001 - shown by the test's thread
            errors.append(error)

    searching = [threading.Thread(target=search) for _ in range(2)]
    adding = [threading.Thread(target=add, args=(number,)) for number in range(4)]
    for one in (*searching, *adding):
        one.start()
    for one in adding:
        one.join(60)
    stop.set()
    for one in searching:
        one.join(60)
    assert not errors
    assert sum("pair" in one.metadata for one in first.invoke("twin fox")) == 40


def test_what_was_indexed_stays_as_it_was(tmp_path: Path) -> None:
    given = Document("a fox", metadata={"n": 1})
    first = FirstStageRetriever.from_documents([given], retriever="dense", embedder="mini")
    given.page_content, given.metadata["n"] = "a hare", 2
    (one,) = first.invoke("fox")
    assert (one.page_content, one.metadata["n"]) == ("a fox", 1)
    (again,) = FirstStageRetriever.load(first.save(tmp_path / "new")).invoke("fox")
    assert again == one


@pytest.mark.parametrize("retriever", ["bm25", "dense", "hybrid"])
def test_a_saved_retriever_finds_the_same(tmp_path: Path, retriever: Any) -> None:
    original = two([*DOCUMENTS[:2], "a text without an id"], retriever=retriever, threshold=0.01)
    original.add_documents(DOCUMENTS[2:])
    folder = original.save(tmp_path / "new")
    again = TwoStageRetriever.load(folder)
    assert found(again) == found(original)
    assert (again.top_n, again.reranker) == (original.top_n, original.reranker)
    assert again.add_documents(["a fox"], ids=["fox"]) == ["fox"]
    assert found(FirstStageRetriever.load(folder)) == found(original.first_stage)
    core = CoreRetriever.load(folder)
    assert [[one.text for one in core.search(query)] for query in QUERIES] == [
        [one.page_content for one in found_here] for found_here in found(original)
    ]
    again.save(folder)
    assert len(TwoStageRetriever.load(folder).first_stage.invoke("a fox")) <= 3  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "options",
    [
        {"top_n": None, "score_unit": "probability", "threshold": -1.0, "threshold_unit": "raw"},
        {"max_length": 40, "long_documents": "maxp", "calibration": CALIBRATION, "deadline_s": 60.0},
    ],
)
@pytest.mark.parametrize("is_core", [False, True], ids=["by name", "a core object"])
def test_every_option_of_the_compressor_is_kept(tmp_path: Path, options: dict[str, Any], is_core: bool) -> None:
    given = RerankCompressor(model="mini", **options)
    if is_core:
        free = ("top_n", "score_unit", "threshold", "threshold_unit")
        given = RerankCompressor.from_reranker(given.reranker, **{one: getattr(given, one) for one in free})  # type: ignore[misc]
    original = TwoStageRetriever.from_documents(DOCUMENTS, retriever="bm25", reranker=given, top_n=options.get("top_n"))
    again = TwoStageRetriever.load(original.save(tmp_path / "new"))
    assert found(again) == found(original)
    assert again.reranker is not None
    assert original.reranker is not None
    kept = original.reranker.model_dump(exclude={"device", "dtype", "calibration"})
    assert again.reranker.model_dump(exclude={"device", "dtype", "calibration"}) == kept
    assert again.reranker.reranker.calibration == original.reranker.reranker.calibration


def test_models_may_be_passed(tmp_path: Path, langchain_models: dict[str, str]) -> None:
    embedder = Embedder(langchain_models["bert-embedder"], device="cpu")
    reranker = Reranker(langchain_models["bert-reranker"], device="cpu")
    original = two(embedder=embedder, reranker=reranker, threshold=0.01)
    folder = original.save(tmp_path / "new")
    passed = TwoStageRetriever.load(folder, reranker=reranker, embedder=InstructionEmbeddings.from_embedder(embedder))
    assert found(passed) == found(original)
    other = TwoStageRetriever.load(folder, reranker="mini")
    assert other.reranker is not None
    assert (other.reranker.model, other.top_n, other.reranker.threshold) == ("mini", 2, 0.01)
    own = RerankCompressor(model="mini", top_n=1)
    assert TwoStageRetriever.load(folder, reranker=own).reranker is own
    with pytest.raises(InvalidInputError, match="its vectors were made with"):
        TwoStageRetriever.load(folder, embedder="mini")
    with pytest.raises(InvalidInputError, match="embedder must be"):
        TwoStageRetriever.load(folder, embedder=3)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="reranker must be"):
        TwoStageRetriever.load(folder, reranker=3)  # type: ignore[arg-type]


class OwnCompressor(RerankCompressor):
    """A class that this package does not know."""


def test_a_reranker_of_another_class_is_to_be_passed(tmp_path: Path) -> None:
    own = OwnCompressor(model="mini")
    folder = two(reranker=own).save(tmp_path / "new")
    with pytest.raises(InvalidInputError, match="pass reranker="):
        TwoStageRetriever.load(folder)
    assert TwoStageRetriever.load(folder, reranker=own).reranker is own


class OwnDocument(Document):
    """Not a plain document."""


@pytest.mark.parametrize(
    "document",
    [
        Document("x", metadata={"when": datetime.now(timezone.utc)}, id="odd"),
        Document("x", metadata={"deep": [{"a set": {1}}]}, id="odd"),
        Document("x", metadata={"nan": math.nan}, id="odd"),
        Document("x", metadata={1: "a number as key"}, id="odd"),
        Document("x", metadata={"pair": (1, 2)}, id="odd"),
        OwnDocument("x", id="odd"),
    ],
    ids=lambda document: str(document.metadata)[:20],
)
def test_a_document_that_is_not_json_is_named(tmp_path: Path, document: Document) -> None:
    first = FirstStageRetriever.from_documents([*DOCUMENTS, document], retriever="bm25")
    with pytest.raises(InvalidInputError, match="'odd'"):
        first.save(tmp_path / "new")
    unnamed = FirstStageRetriever.from_documents([document.model_copy(update={"id": None})], retriever="bm25")
    with pytest.raises(InvalidInputError, match="document '0'"):
        unnamed.save(tmp_path / "new")
    assert not any(tmp_path.iterdir())


def _change(folder: Path, **changes: Any) -> None:
    settings = json.loads((folder / "retriever.json").read_text(encoding="utf-8"))
    settings["attached"]["settings"].update(changes)
    (folder / "retriever.json").write_text(json.dumps(settings), encoding="utf-8")


def _options(**options: Any) -> dict[str, Any]:
    return {"class": "RerankCompressor", "options": {"model": "mini", **options}}


@pytest.mark.parametrize(
    "changes",
    [
        {"reranker": 3},
        {"reranker": {}},
        {"reranker": {"class": "os.system", "options": {}}},
        {"reranker": {"class": "RerankCompressor", "options": None}},
        {"reranker": _options(top_n="many")},
        {"reranker": _options(no_such_option=1)},
        {"reranker": _options(trust_remote_code=True)},
        {"reranker": _options(allow_pickle=True)},
        {"top_n": 0},
        {"top_n": []},
        {"keep_scores": "no"},
        {"keep_scores": 0},
    ],
    ids=str,
)
def test_settings_that_are_none_are_an_error(tmp_path: Path, changes: dict[str, Any]) -> None:
    folder = two(retriever="bm25").save(tmp_path / "new")
    _change(folder, **changes)
    with pytest.raises(InvalidInputError):
        TwoStageRetriever.load(folder)


@pytest.mark.parametrize("lines", ["", "x", "[1]\n", '["0", {}]\n', '["0", 3]\n["1", 3]\n["2", 3]\n["3", 3]\n', "null"])
def test_damaged_documents_are_an_error(tmp_path: Path, lines: str) -> None:
    folder = two(retriever="bm25").save(tmp_path / "new")
    (folder / "attached.jsonl").write_text(lines, encoding="utf-8")
    for owner in (TwoStageRetriever, FirstStageRetriever):
        with pytest.raises(InvalidInputError):
            owner.load(folder)  # type: ignore[attr-defined]


def test_what_the_core_saved_is_told(tmp_path: Path) -> None:
    folder = CoreRetriever.from_documents(TEXTS, retriever="bm25", reranker=None).save(tmp_path / "new")
    with pytest.raises(InvalidInputError, match="saved by the core's TwoStageRetriever"):
        TwoStageRetriever.load(folder)
    for wrong in (3, None, b"x"):
        with pytest.raises(InvalidInputError, match="folder"):
            TwoStageRetriever.load(wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="no saved retriever"):
        FirstStageRetriever.load(tmp_path / "nothing")
