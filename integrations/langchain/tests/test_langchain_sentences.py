"""Sentences of long documents as LangChain's documents, and the retriever over them."""

from __future__ import annotations

import asyncio
import pickle
import threading

import langchain_rerank_plugins.sentences
import numpy as np
import pytest
import tiny_checkpoints
from langchain_core.documents import Document
from langchain_core.runnables import ConfigurableField
from langchain_rerank_plugins import LateChunkingSplitter, SentenceRetriever

from rerank_plugins import Embedder
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.text.sentences import sentence_spans

TEXT = "The cat sat on the mat. The dog ran! Who won the race? Nobody knows.\n\nIt ended. The cat sat on the mat. "
DOCUMENTS = [Document(page_content=TEXT, metadata={"page": 3}), Document(page_content="Paris is a capital.")]


@pytest.fixture
def folder(tmp_path):
    return tiny_checkpoints.bert_embedder(tmp_path / "model", pooling="mean")


def test_an_event_loop_splits_no_document_itself(folder, monkeypatch):
    threads = set()

    def split(text):
        threads.add(threading.get_ident())
        return sentence_spans(text)

    monkeypatch.setattr(langchain_rerank_plugins.sentences, "sentence_spans", split)
    splitter = LateChunkingSplitter(model=folder, device="cpu")
    found = asyncio.run(splitter.atransform_documents(DOCUMENTS))
    assert len(threads) == 1
    assert threading.get_ident() not in threads
    assert found == splitter.transform_documents(DOCUMENTS)


def test_parts_have_spans_metadata_and_vectors(folder):
    splitter = LateChunkingSplitter(model=folder, device="cpu")
    expected = Embedder(folder, device="cpu").encode_chunks([TEXT])[0]
    found = splitter.split_with_vectors(DOCUMENTS)
    of_first = found[: len(expected.spans)]
    assert [(one.metadata["start_index"], one.metadata["end_index"]) for one, _ in of_first] == [
        (span.start, span.end) for span in expected.spans
    ]
    assert np.array([vector for _, vector in of_first]) == pytest.approx(expected.vectors, abs=1e-6)
    assert all(one.page_content == TEXT[one.metadata["start_index"] : one.metadata["end_index"]] for one, _ in of_first)
    assert all(one.metadata["page"] == 3 for one, _ in of_first)
    assert asyncio.run(splitter.asplit_with_vectors(DOCUMENTS)) == found
    parts = [one for one, _ in found]
    assert splitter.transform_documents(DOCUMENTS) == splitter.split_documents(DOCUMENTS) == parts
    assert asyncio.run(splitter.atransform_documents(DOCUMENTS)) == parts
    assert splitter.split_text(" A b.  C d. ") == ["A b.", "C d."]
    assert pickle.loads(pickle.dumps(splitter)).split_with_vectors(DOCUMENTS) == found
    with pytest.raises(ValueError, match="overlaps"):
        LateChunkingSplitter(model=folder, overlaps=3)


def test_the_retriever_returns_sentences_with_neighbours(folder, tmp_path):
    retriever = SentenceRetriever.from_documents(DOCUMENTS, embedder=folder, top_k=1, before=0, after=1)
    (found,) = retriever.invoke("who won the race")
    start, end = found.metadata["start_index"], found.metadata["end_index"]
    assert any(one.page_content[start:end] == found.page_content for one in DOCUMENTS)
    ((first, _),) = found.metadata["retrieval_sentences"]
    assert first == start
    assert found.metadata["retrieval_rank"] == 1
    assert asyncio.run(retriever.ainvoke("who won the race")) == [found]
    assert sum(len(one.metadata["retrieval_sentences"]) for one in retriever.invoke("who", top_k=3)) == 3
    retriever.save(tmp_path / "kept")
    assert SentenceRetriever.load(tmp_path / "kept").invoke("who won the race") == [found]
    configurable = retriever.configurable_fields(top_k=ConfigurableField(id="sentences"))
    of_call = configurable.invoke("who", {"configurable": {"sentences": 3}})
    assert of_call == retriever.invoke("who", top_k=3)


def test_what_cannot_work_is_refused(folder, tmp_path):
    with pytest.raises(InvalidInputError, match="cannot be read in their context"):
        SentenceRetriever.from_documents(DOCUMENTS, embedder="mini")
    with pytest.raises(InvalidInputError, match="has no documents"):
        SentenceRetriever().invoke("anything")
    with pytest.raises(InvalidInputError, match="no saved sentence index"):
        SentenceRetriever.load(tmp_path)
    with pytest.raises(ValueError, match="Extra inputs"):
        SentenceRetriever(neighbours=2)


def test_passages_of_one_document_have_ids_of_their_own(folder):
    """A store keeps one document an id; LlamaIndex's nodes have such ids too."""
    long = Document(page_content=" ".join([TEXT] * 3), id="long")
    options = {"embedder": folder, "top_k": 4, "before": 0, "after": 0}
    found = SentenceRetriever.from_documents([long], **options).invoke("who won the race")
    assert len(found) > 1
    assert [one.id for one in found] == [
        f"long:{one.metadata['start_index']}-{one.metadata['end_index']}" for one in found
    ]
    assert {one.id for one in SentenceRetriever.from_documents(DOCUMENTS, **options).invoke("capital")} == {None}
