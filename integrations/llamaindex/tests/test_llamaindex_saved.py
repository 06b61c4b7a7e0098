"""Retrievers that grow and that are kept in a folder: the same results, and a clear error for anything else."""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import threading
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import ImageNode, IndexNode, NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.embeddings.rerank_plugins import InstructionEmbedding
from llama_index.postprocessor.rerank_plugins import RerankPostprocessor
from llama_index.retrievers.rerank_plugins import FirstStageRetriever, TwoStageRetriever

from rerank_plugins import Embedder, Reranker
from rerank_plugins import TwoStageRetriever as CoreRetriever
from rerank_plugins.calibration import fit_calibration
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.retrieval import BM25Index

TEXTS = ["The giant panda eats bamboo.", "Paris is the capital of France.", "Net revenue grew.", "A panda is a bear."]
QUERIES = ["What does a panda eat?", "capital of France"]
CALIBRATION = fit_calibration([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [False, False, True, False, True, True])


def nodes() -> list[TextNode]:
    made = [TextNode(id_=f"id-{n}", text=text, metadata={"n": n, "file": "a"}) for n, text in enumerate(TEXTS)]
    made[1].relationships[NodeRelationship.NEXT] = RelatedNodeInfo(node_id="id-2", metadata={"k": [1]})
    made[2].excluded_embed_metadata_keys = ["file"]
    return [*made, ImageNode(id_="image", text="a picture of a panda", image_url="a.png")]


def found(retriever: Any) -> list[Any]:
    return [retriever.retrieve(query) for query in QUERIES]


def two(documents: Any = None, **options: Any) -> TwoStageRetriever:
    given = {"embedder": "mini", "reranker": "mini", "top_k": 4, "top_n": 3, **options}
    return TwoStageRetriever.from_documents(nodes() if documents is None else documents, **given)


@pytest.mark.parametrize("retriever", ["bm25", "dense", "hybrid"])
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_inserted_nodes_are_as_if_they_had_been_there(retriever: Any, is_async: bool) -> None:
    growing, whole = two(nodes()[:1], retriever=retriever), two(retriever=retriever)
    rest = nodes()[1:]
    added = asyncio.run(growing.ainsert_nodes(rest)) if is_async else growing.insert_nodes(rest)
    assert added == [node.node_id for node in rest]
    assert found(growing) == found(whole)


def test_documents_are_split_before_they_are_added() -> None:
    # Its own tokenizer and sentences would be downloaded by some versions of LlamaIndex.
    functions = {"tokenizer": str.split, "chunking_tokenizer_fn": lambda text: text.split(". ")}
    splitter = SentenceSplitter(chunk_size=8, chunk_overlap=0, include_metadata=False, **functions)
    growing = two(nodes()[:1], retriever="bm25")
    document = Document(text="Foxes run in the wood at night. Owls sit in a tree and wait there.", id_="doc")
    added = growing.add_documents([document], transformations=[splitter])
    assert len(added) > 1
    (best, *_) = growing.retrieve("owls")
    assert (best.node_id in added, best.node.ref_doc_id) == (True, "doc")
    assert asyncio.run(growing.aadd_documents([document])) == ["doc"]
    assert growing.add_documents([]) == growing.insert_nodes([]) == []


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ([TextNode(id_="id-0", text="x"), TextNode(id_="id-1", text="x")], "2 of the ids are there already, .* 'id-0'"),
        ([TextNode(id_="a", text="x"), TextNode(id_="a", text="y")], "2 nodes have only 1 different ids"),
        ("x", "must be a list of nodes, got str; put a single one into a list"),
        (TextNode(text="x"), "must be a list of nodes, got TextNode"),
        (None, "must be a list of nodes, got NoneType"),
        ([TextNode(text="x"), 3], r"\[1\] must be a node"),
    ],
)
def test_what_cannot_be_added_is_an_error(given: Any, match: str) -> None:
    retriever = two(nodes()[:2], retriever="bm25")
    before = found(retriever)
    for owner in (retriever, retriever._first_stage):
        for add in (owner.insert_nodes, owner.add_documents):
            with pytest.raises(InvalidInputError, match=match):
                add(given)
        for aadd in (owner.ainsert_nodes, owner.aadd_documents):
            with pytest.raises(InvalidInputError, match=match):
                asyncio.run(aadd(given))
    with pytest.raises(InvalidInputError, match="transformations"):
        retriever.add_documents(["x"], transformations=3)  # type: ignore[arg-type]
    assert found(retriever) == before


def test_a_foreign_first_stage_says_where_nodes_go(tmp_path: Path) -> None:
    index = VectorStoreIndex(nodes(), embed_model=MockEmbedding(embed_dim=4))
    retriever = TwoStageRetriever(index.as_retriever())
    with pytest.raises(InvalidInputError, match=r"VectorIndexRetriever, made elsewhere: .* index\.insert_nodes"):
        retriever.insert_nodes(nodes())
    with pytest.raises(InvalidInputError, match=r"VectorIndexRetriever, made elsewhere: .* index\.insert_nodes"):
        asyncio.run(retriever.aadd_documents(["x"]))
    with pytest.raises(InvalidInputError, match=r"VectorIndexRetriever, made elsewhere: .* persist its index"):
        retriever.persist(tmp_path / "new")
    around = FirstStageRetriever(BM25Index({"a": "x"}), {"a": TextNode(id_="a", text="x")})
    with pytest.raises(InvalidInputError, match="made around a first stage"):
        around.insert_nodes([TextNode(text="y")])
    with pytest.raises(InvalidInputError, match="not known, so they cannot be saved"):
        around.persist(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_threads_that_add_lose_nothing_and_searches_see_all_or_none() -> None:
    first = FirstStageRetriever.from_documents(["start"], retriever="hybrid", embedder="mini", top_k=1000)
    errors: list[BaseException] = []
    stop = threading.Event()

    # Different texts: the lowest version of LlamaIndex returns one node of those whose text is the same.
    numbers = itertools.count()

    def add() -> None:
        try:
            for _ in range(5):
                first.insert_nodes([TextNode(text=f"twin fox {next(numbers)}") for _ in range(2)])
        except BaseException as error:  # noqa: BLE001 - shown by the test's thread
            errors.append(error)

    def search() -> None:
        try:
            while not stop.is_set():
                assert sum(one.text.startswith("twin fox") for one in first.retrieve("twin fox")) % 2 == 0
        except BaseException as error:  # noqa: BLE001 - shown by the test's thread
            errors.append(error)

    searching = [threading.Thread(target=search) for _ in range(2)]
    adding = [threading.Thread(target=add) for _ in range(4)]
    for one in (*searching, *adding):
        one.start()
    for one in adding:
        one.join(60)
    stop.set()
    for one in searching:
        one.join(60)
    assert not errors
    assert sum(one.text.startswith("twin fox") for one in first.retrieve("twin fox")) == 40


@pytest.mark.parametrize("retriever", ["bm25", "dense", "hybrid"])
def test_a_persisted_retriever_finds_the_same(tmp_path: Path, retriever: Any) -> None:
    document = Document(text="\u2028 \U0001f43c and a panda", metadata={"deep": [{"x": None}]})
    original = two([document, *nodes()[:2], "a text"], retriever=retriever, threshold=0.001)
    original.insert_nodes(nodes()[2:])
    folder = original.persist(tmp_path / "new")
    again = TwoStageRetriever.from_persist_dir(folder)
    assert found(again) == found(original)
    assert [type(one.node) for one in found(again)[0]] == [type(one.node) for one in found(original)[0]]
    assert again.reranker == original.reranker
    assert again.insert_nodes([TextNode(id_="fox", text="a fox")]) == ["fox"]
    assert found(FirstStageRetriever.from_persist_dir(folder)) == found(original._first_stage)
    core = CoreRetriever.load(folder)
    # The postprocessor and the index read the same text here: that for embedding models.
    assert [[one.id for one in core.search(query)] for query in QUERIES] == [
        [one.node_id for one in results] for results in found(original)
    ]
    again.persist(folder)
    assert "fox" in FirstStageRetriever.from_persist_dir(folder)._corpus.items


@pytest.mark.parametrize(
    "options",
    [
        {"top_n": None, "score_unit": "probability", "threshold": -1.0, "threshold_unit": "raw", "keep_details": False},
        {"max_length": 40, "long_documents": "maxp", "calibration": CALIBRATION, "metadata_mode": "llm"},
    ],
)
@pytest.mark.parametrize("is_core", [False, True], ids=["by name", "a core object"])
def test_every_option_of_the_postprocessor_is_kept(tmp_path: Path, options: dict[str, Any], is_core: bool) -> None:
    given = RerankPostprocessor(model="mini", **options)
    if is_core:
        free = ("top_n", "score_unit", "threshold", "threshold_unit", "keep_details", "metadata_mode")
        given = RerankPostprocessor.from_reranker(given.reranker, **{one: getattr(given, one) for one in free})  # type: ignore[misc]
    original = TwoStageRetriever.from_documents(nodes(), retriever="bm25", reranker=given, top_n=options.get("top_n"))
    again = TwoStageRetriever.from_persist_dir(original.persist(tmp_path / "new"))
    assert found(again) == found(original)
    assert again.reranker is not None
    assert original.reranker is not None
    elsewhere = {"device", "dtype", "calibration", "callback_manager"}
    assert again.reranker.model_dump(exclude=elsewhere) == original.reranker.model_dump(exclude=elsewhere)
    assert again.reranker.reranker.calibration == original.reranker.reranker.calibration


def test_models_may_be_passed(tmp_path: Path, checkpoints: Path) -> None:
    embedder = Embedder(checkpoints / "bert-embedder", device="cpu")
    reranker = Reranker(checkpoints / "bert-reranker", device="cpu")
    original = two(embedder=embedder, reranker=reranker, threshold=0.001)
    folder = original.persist(tmp_path / "new")
    load = TwoStageRetriever.from_persist_dir
    passed = load(folder, reranker=reranker, embedder=InstructionEmbedding.from_embedder(embedder))
    assert found(passed) == found(original)
    other = load(folder, reranker="mini")
    assert other.reranker is not None
    assert (other.reranker.model, other.reranker.top_n, other.reranker.threshold) == ("mini", 3, 0.001)
    with pytest.raises(InvalidInputError, match="its vectors were made with"):
        load(folder, embedder="mini")
    with pytest.raises(InvalidInputError, match="embedder must be"):
        load(folder, embedder=3)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="reranker must be"):
        load(folder, reranker=3)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="callback_manager"):
        load(folder, callback_manager=3)  # type: ignore[arg-type]


class OwnPostprocessor(RerankPostprocessor):
    """A class that this package does not know."""


def test_a_reranker_of_another_class_is_to_be_passed(tmp_path: Path) -> None:
    own = OwnPostprocessor(model="mini")
    folder = two(reranker=own).persist(tmp_path / "new")
    with pytest.raises(InvalidInputError, match="pass reranker="):
        TwoStageRetriever.from_persist_dir(folder)
    assert isinstance(TwoStageRetriever.from_persist_dir(folder, reranker=own).reranker, OwnPostprocessor)


class OwnNode(TextNode):
    """A node that LlamaIndex's document stores do not know."""


@pytest.mark.parametrize(
    "node",
    [
        TextNode(id_="odd", text="x", metadata={"when": datetime.now(timezone.utc)}),
        TextNode(id_="odd", text="x", metadata={"deep": [{"a set": {1}}]}),
        TextNode(id_="odd", text="x", metadata={"nan": math.nan}),
        TextNode(id_="odd", text="x", metadata={"pair": (1, 2)}),
        OwnNode(id_="odd", text="x"),
        IndexNode(id_="odd", text="x", index_id="i", obj=object()),
    ],
    ids=lambda node: f"{type(node).__name__} {str(node.metadata)[:12]}",
)
def test_a_node_that_is_not_json_is_named(tmp_path: Path, node: TextNode) -> None:
    first = FirstStageRetriever.from_documents([*nodes(), node], retriever="bm25")
    with pytest.raises(InvalidInputError, match="node 'odd'"):
        first.persist(tmp_path / "new")
    assert not any(tmp_path.iterdir())


def _options(**options: Any) -> dict[str, Any]:
    return {"class": "RerankPostprocessor", "options": {"model": "mini", **options}}


@pytest.mark.parametrize(
    "changes",
    [
        {"reranker": 3},
        {"reranker": {}},
        {"reranker": {"class": "os.system", "options": {}}},
        {"reranker": {"class": "BaseRerankPostprocessor", "options": {}}},
        {"reranker": {"class": "RerankPostprocessor", "options": None}},
        {"reranker": _options(top_n="many")},
        {"reranker": _options(no_such_option=1)},
        {"reranker": _options(trust_remote_code=True)},
        {"top_n": 0},
        {"top_n": []},
    ],
    ids=str,
)
def test_settings_that_are_none_are_an_error(tmp_path: Path, changes: dict[str, Any]) -> None:
    folder = two(retriever="bm25").persist(tmp_path / "new")
    settings = json.loads((folder / "retriever.json").read_text(encoding="utf-8"))
    settings["attached"]["settings"].update(changes)
    (folder / "retriever.json").write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(InvalidInputError):
        TwoStageRetriever.from_persist_dir(folder)


@pytest.mark.parametrize("lines", ["", "x", "[1]\n", '["id-0", {}]\n', "null", None])
def test_damaged_nodes_are_an_error(tmp_path: Path, lines: str | None) -> None:
    folder = two(retriever="bm25").persist(tmp_path / "new")
    file = folder / "attached.jsonl"
    if lines is None:
        ids = [json.loads(line)[0] for line in file.read_text(encoding="utf-8").splitlines()]
        lines = "".join(f"{json.dumps([key, {'__data__': 3, '__type__': '1'}])}\n" for key in ids)
    file.write_text(lines, encoding="utf-8")
    for owner in (TwoStageRetriever, FirstStageRetriever):
        with pytest.raises(InvalidInputError):
            owner.from_persist_dir(folder)  # type: ignore[attr-defined]


def test_what_the_core_saved_is_told(tmp_path: Path) -> None:
    folder = CoreRetriever.from_documents(TEXTS, retriever="bm25", reranker=None).save(tmp_path / "new")
    with pytest.raises(InvalidInputError, match="saved by the core's TwoStageRetriever"):
        TwoStageRetriever.from_persist_dir(folder)
    with pytest.raises(InvalidInputError, match="no saved retriever"):
        FirstStageRetriever.from_persist_dir(tmp_path / "nothing")
    for wrong in (3, None, b"x"):
        with pytest.raises(InvalidInputError, match="persist_dir"):
            TwoStageRetriever.from_persist_dir(wrong)  # type: ignore[arg-type]
