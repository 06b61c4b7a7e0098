"""Whatever kind of node is indexed, what comes back can be read as every LlamaIndex retriever's nodes can."""

from __future__ import annotations

import asyncio
import base64

import pytest
from llama_index.core import Document, VectorStoreIndex, get_response_synthesizer
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.llms import MockLLM
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.postprocessor import MetadataReplacementPostProcessor
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.response_synthesizers import ResponseMode
from llama_index.core.schema import (
    ImageDocument,
    ImageNode,
    IndexNode,
    MediaResource,
    MetadataMode,
    Node,
    NodeRelationship,
    NodeWithScore,
    RelatedNodeInfo,
    TextNode,
)
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.tools import RetrieverTool
from llama_index.embeddings.rerank_plugins import InstructionEmbedding
from llama_index.postprocessor.rerank_plugins import RerankPostprocessor
from llama_index.retrievers.rerank_plugins import FirstStageRetriever, TwoStageRetriever

from rerank_plugins import Embedder, Reranker
from rerank_plugins.retrieval import BM25Index, build_first_stage

PIXEL = base64.b64encode(b"not really a picture")
TEXT = "The giant panda eats bamboo."
OTHERS = ["Paris is the capital of France.", "Net revenue grew in 2019."]
QUERY = "What does a panda eat?"
SOURCE = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id="book")}
KINDS = {
    "document": Document(id_="one", text=TEXT, metadata={"file": "a.txt"}),
    "document of a source": Document(id_="one", text=TEXT, relationships=SOURCE),
    "image document": ImageDocument(id_="one", text=TEXT, image=PIXEL.decode(), metadata={"file": "a.png"}),
    "node": Node(id_="one", text_resource=MediaResource(text=TEXT), metadata={"file": "a.txt"}),
    "node with an image": Node(
        id_="one", text_resource=MediaResource(text=TEXT), image_resource=MediaResource(data=PIXEL)
    ),
    "node with sound": Node(id_="one", text_resource=MediaResource(text=TEXT), audio_resource=MediaResource(data=b"x")),
    "text node": TextNode(id_="one", text=TEXT, metadata={"file": "a.txt"}, relationships=SOURCE),
    "image node": ImageNode(id_="one", text=TEXT, image=PIXEL.decode()),
    "index node": IndexNode(id_="one", text=TEXT, index_id="elsewhere"),
}


@pytest.fixture(scope="module")
def models(checkpoints):
    embedder = Embedder(checkpoints / "bert-embedder", device="cpu")
    return {"embedder": embedder, "reranker": Reranker(checkpoints / "bert-reranker", device="cpu")}


class Fixed(BaseRetriever):
    """Returns the nodes it was given, as a vector index over documents does."""

    def __init__(self, nodes):
        super().__init__()
        self.nodes = nodes

    def _retrieve(self, query_bundle):
        return [NodeWithScore(node=node, score=0.5) for node in self.nodes]


def ways(node, models):
    """Every way in which a node reaches a retriever of this package."""
    others = [TextNode(text=text) for text in OTHERS]
    listed = [node, *others]
    texts = {one.node_id: one.get_content(metadata_mode=MetadataMode.EMBED) for one in listed}
    core = build_first_stage(texts, retriever="bm25")
    return {
        "first stage": FirstStageRetriever.from_documents(listed, retriever="bm25"),
        "given first stage": FirstStageRetriever(core, {one.node_id: one for one in listed}),
        "without a reranker": TwoStageRetriever.from_documents(listed, retriever="bm25", reranker=None),
        "two stages": TwoStageRetriever.from_documents(listed, **models, retriever="dense"),
        "any retriever": TwoStageRetriever(Fixed(listed), reranker=models["reranker"]),
        "any retriever alone": TwoStageRetriever(Fixed(listed)),
        "a postprocessor without marks": TwoStageRetriever(
            Fixed(listed),
            reranker=RerankPostprocessor.from_reranker(
                models["reranker"], keep_retrieval_score=False, keep_details=False
            ),
        ),
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_every_kind_of_node_can_be_read(models, kind, is_async):
    given = KINDS[kind]
    before = given.model_dump()
    for way, retriever in ways(given, models).items():
        found = asyncio.run(retriever.aretrieve(QUERY)) if is_async else retriever.retrieve(QUERY)
        (one,) = [result for result in found if result.node_id == "one"]
        assert one.text == TEXT, way
        assert one.get_text() == one.get_content() == one.node.get_content(MetadataMode.NONE) == TEXT
        assert isinstance(one.get_score(), float)
        assert {key: one.metadata[key] for key in given.metadata} == given.metadata
        assert one.node.get_content(MetadataMode.LLM) == given.get_content(MetadataMode.LLM)
        assert one.node.get_content(MetadataMode.EMBED) == given.get_content(MetadataMode.EMBED)
        restored = NodeWithScore(node=type(one.node).from_dict(one.node.to_dict()), score=one.score)
        assert restored.text == TEXT
    assert given.model_dump() == before


@pytest.mark.parametrize("kind", KINDS)
def test_a_document_is_the_source_of_its_node(models, kind):
    given = KINDS[kind]
    found = TwoStageRetriever.from_documents([given], retriever="bm25", reranker=models["reranker"]).retrieve(QUERY)
    expected = "book" if given.source_node else "one" if isinstance(given, Node) else None
    assert found[0].node.ref_doc_id == expected


def test_images_are_kept(models):
    for kind in ("image document", "node with an image", "image node"):
        two = TwoStageRetriever.from_documents([KINDS[kind]], retriever="bm25", reranker=models["reranker"])
        (found,) = two.retrieve(QUERY)
        assert isinstance(found.node, ImageNode)
        assert found.node.image == PIXEL.decode()


@pytest.mark.parametrize("way", ["first stage", "two stages", "constructor"])
def test_what_is_indexed_is_nobody_elses(models, way):
    """LlamaIndex's postprocessors (SentenceEmbeddingOptimizer, MetadataReplacementPostProcessor) write into nodes."""
    nodes = [TextNode(text=text, metadata={"shown": f"for {text[:5]}", "tags": ["a"]}) for text in OTHERS]
    before = [node.model_copy(deep=True) for node in nodes]
    retriever = {
        "first stage": lambda: FirstStageRetriever.from_documents(nodes, retriever="bm25"),
        "two stages": lambda: TwoStageRetriever.from_documents(nodes, retriever="bm25", reranker=models["reranker"]),
        "constructor": lambda: FirstStageRetriever(
            BM25Index({node.node_id: node.text for node in nodes}), {node.node_id: node for node in nodes}
        ),
    }[way]()
    expected = [one.model_copy(deep=True) for one in retriever.retrieve("Paris")]
    assert [one.text for one in expected] == [OTHERS[0]]
    assert way == "two stages" or expected[0].node == nodes[0]
    for found in (retriever.retrieve("Paris"), asyncio.run(retriever.aretrieve("Paris"))):
        assert found == expected
        MetadataReplacementPostProcessor(target_metadata_key="shown").postprocess_nodes(found)
        assert [one.text for one in found] == [f"for {OTHERS[0][:5]}"]
        found[0].metadata["tags"].append("b")
        found[0].node.relationships[NodeRelationship.NEXT] = RelatedNodeInfo(node_id="x")
    assert nodes == before
    for node in nodes:
        node.set_content("of the caller")
        node.metadata["tags"].append("c")
    assert retriever.retrieve("Paris") == expected


class Titles(SentenceSplitter):
    """A transformation that keeps documents documents."""

    def __call__(self, nodes, **_):
        for node in nodes:
            node.metadata["title"] = "Animals"
        return nodes


@pytest.mark.parametrize("splitter", [SentenceSplitter(tokenizer=str.split), Titles(tokenizer=str.split)])
def test_what_a_pipeline_makes_of_documents(models, splitter):
    documents = [Document(id_=f"d{n}", text=text) for n, text in enumerate([TEXT, *OTHERS])]
    two = TwoStageRetriever.from_documents(documents, transformations=[splitter], **models, top_n=2)
    found = two.retrieve(QUERY)
    assert {one.text for one in found} <= {TEXT, *OTHERS}
    assert all(one.node.ref_doc_id in {"d0", "d1", "d2"} for one in found)
    nodes = IngestionPipeline(transformations=[splitter]).run(documents=documents)
    again = TwoStageRetriever.from_documents(nodes, **models, top_n=2).retrieve(QUERY)
    assert [one.text for one in again] == [one.text for one in found]


@pytest.mark.parametrize("mode", [ResponseMode.COMPACT, ResponseMode.REFINE, ResponseMode.TREE_SUMMARIZE])
def test_a_query_engine_over_documents(models, mode):
    documents = [Document(text=text, metadata={"file": "a.txt"}) for text in (TEXT, *OTHERS)]
    two = TwoStageRetriever.from_documents(documents, **models, top_n=2)
    engine = RetrieverQueryEngine(two, get_response_synthesizer(llm=MockLLM(), response_mode=mode))
    for response in (engine.query(QUERY), asyncio.run(engine.aquery(QUERY))):
        assert len(response.source_nodes) == 2
        assert {one.text for one in response.source_nodes} <= {TEXT, *OTHERS}
        assert all(one.text in response.get_formatted_sources() for one in response.source_nodes)
        if mode is ResponseMode.COMPACT:  # the answer of MockLLM is its prompt
            assert all(one.text in str(response) for one in response.source_nodes)
            assert "file: a.txt" in str(response)
            assert "retrieval_score" not in str(response)


def test_a_tool_of_an_agent_over_documents(models):
    documents = [Document(text=text) for text in (TEXT, *OTHERS)]
    tool = RetrieverTool.from_defaults(TwoStageRetriever.from_documents(documents, **models, top_n=1))
    output = tool(QUERY)
    assert len(output.raw_output) == 1
    assert any(text in output.content for text in (TEXT, *OTHERS))


def test_results_go_into_other_components(models):
    documents = [Document(text=text) for text in (TEXT, *OTHERS)]
    found = TwoStageRetriever.from_documents(documents, **models).retrieve(QUERY)
    store = SimpleDocumentStore()
    store.add_documents([one.node for one in found])
    assert set(store.get_all_ref_doc_info()) == {one.id_ for one in documents}
    index = VectorStoreIndex(
        [one.node for one in found], embed_model=InstructionEmbedding.from_embedder(models["embedder"])
    )
    assert all(one.text for one in index.as_retriever().retrieve(QUERY))
