"""A backend of somebody else's, passed or registered, serves both adapters as it is."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("llama_index.core")
pytest.importorskip("langchain_core")

import langchain_rerank_plugins as lc
import llama_index.embeddings.rerank_plugins as li_embeddings
import llama_index.postprocessor.rerank_plugins as li
from langchain_core.documents import Document
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.retrievers.rerank_plugins import TwoStageRetriever as NodeRetriever

from rerank_plugins import Embedder, Reranker
from rerank_plugins import TwoStageRetriever as CoreRetriever
from rerank_plugins.backends.named import register_backend
from rerank_plugins.backends.protocol import SimplePairScorer, reranker_spec
from rerank_plugins.backends.vectors import SimpleTextEmbedder, embedder_spec
from rerank_plugins.errors import InvalidInputError

QUERY, TEXTS = "what do pandas eat", ["a red fox", "pandas eat", "pandas"]


class WordOverlap(SimplePairScorer):
    spec = reranker_spec("acme/word-overlap", revision="1", license="MIT")

    def score_texts(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        return [float(len(set(query.split()) & set(document.split()))) for query, document in pairs]


class Lengths(SimpleTextEmbedder):
    spec = embedder_spec("acme/lengths", dimensions=2, normalize=False)

    def embed_texts(self, texts: Sequence[str], *, is_query: bool) -> list[list[float]]:
        return [[float(len(text)), float(is_query)] for text in texts]


def ranked(adapter: Any) -> list[tuple[str, float]]:
    if hasattr(adapter, "compress_documents"):
        found = adapter.compress_documents([Document(one) for one in TEXTS], QUERY)
        return [(one.page_content, one.metadata["relevance_score"]) for one in found]
    nodes = [NodeWithScore(node=TextNode(text=one)) for one in TEXTS]
    return [(one.text, one.score) for one in adapter.postprocess_nodes(nodes, query_str=QUERY)]


@pytest.mark.parametrize("owner", [lc.RerankCompressor, li.RerankPostprocessor])
@pytest.mark.parametrize("is_named", [True, False], ids=["registered", "passed"])
def test_a_backend_in_an_adapter(owner: Any, is_named: bool) -> None:
    if is_named:
        register_backend("adapter-test", lambda _: WordOverlap())
        made = owner(model="adapter-test:words", top_n=2, threshold=0.5, threshold_unit="raw")
    else:
        core = Reranker(backend=WordOverlap())
        made = owner.from_reranker(core, top_n=2, threshold=0.5, threshold_unit="raw")
    assert ranked(made) == [("pandas eat", 2.0), ("pandas", 1.0)]
    assert ranked(made.with_settings(top_n=1)) == [("pandas eat", 2.0)]
    assert copy.deepcopy(made) == made
    with made.using(threshold=1.5):
        assert ranked(made) == [("pandas eat", 2.0)]


@pytest.mark.parametrize("is_named", [True, False], ids=["registered", "passed"])
def test_an_embedding_backend_in_an_adapter(is_named: bool) -> None:
    if is_named:
        register_backend("adapter-test", lambda _: Lengths(), kind="embedder")
        ours: Any = lc.InstructionEmbeddings(model="adapter-test:any")
        theirs: Any = li_embeddings.InstructionEmbedding(model_name="adapter-test:any")
    else:
        core = Embedder(backend=Lengths())
        ours = lc.InstructionEmbeddings.from_embedder(core)
        theirs = li_embeddings.InstructionEmbedding.from_embedder(core)
    assert ours.embed_query("abc") == theirs.get_query_embedding("abc") == [3.0, 1.0]
    assert ours.embed_documents(["a", "bb"]) == theirs.get_text_embedding_batch(["a", "bb"]) == [[1.0, 0.0], [2.0, 0.0]]


STORING: dict[str, Callable[[Any], Any]] = {
    "model_dump": lambda made: made.model_dump(mode="json"),
    "model_dump_json": lambda made: made.model_dump_json(),
    "to_dict": lambda made: made.to_dict(),
    "to_json": lambda made: made.to_json(),
}


@pytest.mark.parametrize("owner", [lc.RerankCompressor, lc.RerankCrossEncoder, li.RerankPostprocessor])
@pytest.mark.parametrize("way", STORING)
def test_options_around_a_backend_in_memory_are_not_stored(owner: Any, way: str) -> None:
    """Its name opens nothing, so what was stored could not be opened again; a named one is."""
    if not hasattr(owner, way):
        pytest.skip(f"{owner.__name__} has no {way}")
    given = owner.from_reranker(Reranker(backend=WordOverlap()))
    for one in (given, copy.copy(given), given.with_settings(score_unit="probability")):
        with pytest.raises(InvalidInputError, match=r"passed in memory, which 'acme/word-overlap' .*register_backend"):
            STORING[way](one)
    register_backend("adapter-test", lambda _: WordOverlap())
    named = owner(model="adapter-test:words")
    for one in (named, owner.from_reranker(named.reranker)):
        stored = STORING[way](one)
        again = owner(**(json.loads(stored) if isinstance(stored, str) else stored))
        assert again.reranker.score([(QUERY, TEXTS[1])]) == named.reranker.score([(QUERY, TEXTS[1])]) == [2.0]


@pytest.mark.parametrize("owner", [lc.RerankCompressor, li.RerankPostprocessor])
def test_a_pickle_takes_a_backend_along(owner: Any) -> None:
    made = owner.from_reranker(Reranker(backend=WordOverlap()), top_n=2)
    assert ranked(pickle.loads(pickle.dumps(made))) == ranked(made)


RETRIEVERS = [
    (lc.TwoStageRetriever, "save", "load", "invoke"),
    (NodeRetriever, "persist", "from_persist_dir", "retrieve"),
    (CoreRetriever, "save", "load", "search"),
]


@pytest.mark.parametrize(("owner", "save", "load", "find"), RETRIEVERS, ids=lambda one: getattr(one, "__module__", one))
def test_a_folder_opens_a_backend_by_its_name(owner: Any, save: str, load: str, find: str, tmp_path: Path) -> None:
    pytest.importorskip("bm25s")
    register_backend("adapter-test", lambda _: WordOverlap())
    for number, reranker in enumerate(("adapter-test:words", Reranker("adapter-test:words"))):
        made = owner.from_documents(TEXTS, retriever="bm25", reranker=reranker)
        again = getattr(owner, load)(getattr(made, save)(tmp_path / str(number)))
        assert getattr(again, find)(QUERY) == getattr(made, find)(QUERY) != []


@pytest.mark.parametrize(("owner", "save", "load", "find"), RETRIEVERS, ids=lambda one: getattr(one, "__module__", one))
def test_a_folder_keeps_no_backend_that_was_passed(owner: Any, save: str, load: str, find: str, tmp_path: Path) -> None:
    pytest.importorskip("bm25s")
    reranker = Reranker(backend=WordOverlap())
    made = owner.from_documents(TEXTS, retriever="bm25", reranker=reranker)
    folder = getattr(made, save)(tmp_path / "saved")
    with pytest.raises(InvalidInputError, match=r"pass reranker=\.\.\."):
        getattr(owner, load)(folder)
    again = getattr(owner, load)(folder, reranker=reranker)
    assert getattr(again, find)(QUERY) == getattr(made, find)(QUERY) != []


@pytest.mark.parametrize("owner", [lc.InstructionEmbeddings, li_embeddings.InstructionEmbedding])
def test_stored_options_around_a_named_embedding_backend_open_it_again(owner: Any) -> None:
    register_backend("adapter-test", lambda _: Lengths(), kind="embedder")
    made = owner.from_embedder(Embedder("adapter-test:any"))
    again = owner(**made.model_dump(mode="json"))
    assert again.embedder.embed_queries(["abc"]).tolist() == [[3.0, 1.0]]
