"""Sentences of long documents as LlamaIndex's nodes, and the retriever over them."""

from __future__ import annotations

import asyncio
import copy
import threading

import numpy as np
import pytest
import tiny_checkpoints
from llama_index.core import VectorStoreIndex
from llama_index.core.schema import Document, NodeRelationship, TextNode
from llama_index.embeddings.rerank_plugins import InstructionEmbedding
from llama_index.retrievers.rerank_plugins import FirstStageRetriever, LateChunkingNodeParser, SentenceRetriever

from rerank_plugins import Embedder
from rerank_plugins.errors import InvalidInputError

TEXT = "The cat sat on the mat. The dog ran! Who won the race? Nobody knows.\n\nIt ended. The cat sat on the mat. "
DOCUMENTS = [Document(text=TEXT, id_="a", metadata={"page": 3}), Document(text="Paris is a capital.", id_="b")]


@pytest.fixture
def folder(tmp_path):
    return tiny_checkpoints.bert_embedder(tmp_path / "model", pooling="mean")


def test_nodes_have_vector_span_source_and_neighbours(folder):
    parser = LateChunkingNodeParser(model_name=folder, device="cpu")
    nodes = parser.get_nodes_from_documents(DOCUMENTS)
    expected = Embedder(folder, device="cpu").encode_chunks([TEXT])[0]
    of_first = [one for one in nodes if one.ref_doc_id == "a"]
    assert [(one.start_char_idx, one.end_char_idx) for one in of_first] == [
        (span.start, span.end) for span in expected.spans
    ]
    assert np.array([one.embedding for one in of_first]) == pytest.approx(expected.vectors, abs=1e-6)
    assert all(one.get_content() == TEXT[one.start_char_idx : one.end_char_idx] for one in of_first)
    assert all(one.metadata == {"page": 3} for one in of_first)
    assert of_first[0].next_node.node_id == of_first[1].node_id
    assert of_first[1].prev_node.node_id == of_first[0].node_id
    assert NodeRelationship.NEXT not in of_first[-1].relationships
    again = asyncio.run(parser.aget_nodes_from_documents(DOCUMENTS))
    assert [one.embedding for one in again] == [one.embedding for one in nodes]


def test_a_vector_index_keeps_the_vectors(folder):
    nodes = LateChunkingNodeParser(model_name=folder, device="cpu").get_nodes_from_documents(DOCUMENTS)
    index = VectorStoreIndex(nodes, embed_model=InstructionEmbedding(model_name=str(folder), device="cpu"))
    (found,) = index.as_retriever(similarity_top_k=1).retrieve("who won the race")
    query = Embedder(folder, device="cpu").embed_queries(["who won the race"])[0]
    assert found.score == pytest.approx(max(float(np.array(one.embedding) @ query) for one in nodes), abs=1e-5)


def test_the_parser_is_stored_and_made_again(folder):
    parser = LateChunkingNodeParser(model_name=folder, device="cpu", overlap=16)
    made = LateChunkingNodeParser.from_dict(parser.to_dict())
    assert made.overlap == 16
    assert [one.embedding for one in made.get_nodes_from_documents(DOCUMENTS)] == [
        one.embedding for one in parser.get_nodes_from_documents(DOCUMENTS)
    ]
    with pytest.raises(ValueError, match="overlaps"):
        LateChunkingNodeParser(model_name=folder, overlaps=3)


def test_the_retriever_returns_sentences_with_neighbours(folder, tmp_path):
    retriever = SentenceRetriever.from_documents(DOCUMENTS, embedder=folder, top_k=1, before=0, after=1)
    (found,) = retriever.retrieve("who won the race")
    node = found.node
    source = next(one for one in DOCUMENTS if one.id_ == node.ref_doc_id)
    assert node.text == source.text[node.start_char_idx : node.end_char_idx]
    assert node.metadata.items() >= source.metadata.items()
    ((start, end),) = node.metadata["retrieval_sentences"]
    assert start == node.start_char_idx
    assert end <= node.end_char_idx
    assert "retrieval_sentences" not in node.get_content(metadata_mode="llm")
    assert asyncio.run(retriever.aretrieve("who won the race"))[0].node.text == node.text
    assert copy.deepcopy(retriever).retrieve("who won the race")[0].score == found.score
    retriever.persist(tmp_path / "kept")
    opened = SentenceRetriever.from_persist_dir(tmp_path / "kept")
    assert [(one.node.text, one.node.metadata, one.score) for one in opened.retrieve("who won the race")] == [
        (node.text, node.metadata, found.score)
    ]


def test_what_cannot_work_is_refused(folder, tmp_path):
    with pytest.raises(InvalidInputError, match="cannot be read in their context"):
        SentenceRetriever.from_documents(DOCUMENTS, embedder="mini")
    with pytest.raises(InvalidInputError, match="top_k"):
        SentenceRetriever.from_documents(DOCUMENTS, embedder=folder, top_k=0)
    with pytest.raises(InvalidInputError, match="no saved sentence index"):
        SentenceRetriever.from_persist_dir(tmp_path)


def test_parsing_that_is_awaited_leaves_the_event_loop_free(folder):
    parser = LateChunkingNodeParser(model_name=folder, device="cpu")
    threads = set()
    parser.id_func = lambda number, document: threads.add(threading.get_ident()) or f"{document.node_id}-{number}"
    for parse in (parser.aget_nodes_from_documents, parser.acall):
        nodes = asyncio.run(parse(DOCUMENTS))
        assert nodes[0].node_id == "a-0"
    assert threading.get_ident() not in threads


def test_parsing_shows_its_progress(folder, capsys):
    parser = LateChunkingNodeParser(model_name=folder, device="cpu")
    parser.get_nodes_from_documents(DOCUMENTS)
    assert "Parsing nodes" not in capsys.readouterr().err
    parser.get_nodes_from_documents(DOCUMENTS, show_progress=True)
    assert "Parsing nodes: 100%" in capsys.readouterr().err


@pytest.mark.parametrize("known", [True, False])
def test_places_of_chunks_sentences_count_in_the_document(folder, known):
    """The source is the document, so that a citation marks the text there."""
    whole = Document(text=" ".join([TEXT, "Paris is a capital.", TEXT]), id_="whole")
    middle = len(TEXT) + 10
    chunks = [  # as LlamaIndex's splitters make them
        TextNode(
            text=whole.text[start:end],
            start_char_idx=start if known else None,
            end_char_idx=end if known else None,
            relationships={NodeRelationship.SOURCE: whole.as_related_node_info()},
        )
        for start, end in ((0, middle), (middle, len(whole.text)))
    ]
    options = {"embedder": folder, "top_k": 5, "before": 0, "after": 0}
    found = [one.node for one in SentenceRetriever.from_documents(chunks, **options).retrieve("Paris")]
    parsed = LateChunkingNodeParser(model_name=folder, device="cpu").get_nodes_from_documents(chunks)
    assert len(parsed) > 5
    for node in (*found, *parsed):
        assert node.ref_doc_id == "whole"
        if known:
            assert whole.text[node.start_char_idx : node.end_char_idx] == node.text
            sentences = node.metadata.get("retrieval_sentences", [[node.start_char_idx, node.end_char_idx]])
            # Merged where they touch.
            assert min(start for start, _ in sentences) == node.start_char_idx
            assert max(end for _, end in sentences) == node.end_char_idx
        else:
            assert (node.start_char_idx, node.end_char_idx) == (None, None)


def test_half_a_surrogate_pair_in_a_document_is_read():
    broken = Document(text="Half \ud800 of it. And more.", id_="broken")
    (found,) = FirstStageRetriever.from_documents([broken], retriever="bm25").retrieve("more")
    assert found.node.ref_doc_id == "broken"
