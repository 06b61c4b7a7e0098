"""The textbook example in LlamaIndex: retrieve 3 without a reranker; retrieve 10, rerank, keep 3.

Needs ``pip install "rerank-plugins[mini,llamaindex,retrieval]"`` and downloads nothing. Over an index that you already
have::

    TwoStageRetriever(index.as_retriever(similarity_top_k=10), reranker=RerankPostprocessor(model=...), top_n=3)
"""

from __future__ import annotations

from llama_index.core.schema import TextNode
from llama_index.retrievers.rerank_plugins import TwoStageRetriever
from rerank_plugins_demo.samples import SAMPLE_FOLDER

from rerank_plugins.evaluation import read_dataset


def main() -> tuple[list[str], list[str]]:
    """Print what both retrievers return for one question; return their node ids."""
    data = read_dataset(SAMPLE_FOLDER / "tatqa")
    nodes = [TextNode(id_=key, text=text) for key, text in data.texts.items()]
    one_stage = TwoStageRetriever.from_documents(
        nodes, retriever="dense", embedder="mini", reranker=None, top_k=3, top_n=3
    )
    two_stages = TwoStageRetriever.from_documents(
        nodes, retriever="dense", embedder="mini", reranker="mini", top_k=10, top_n=3
    )
    question = next(iter(data.queries.values()))
    print(question)
    found = []
    for name, retriever in (("retrieve 3", one_stage), ("retrieve 10, rerank, keep 3", two_stages)):
        results = retriever.retrieve(question)
        found.append([one.node_id for one in results])
        print(f"\n{name}")
        for one in results:
            was = one.metadata.get("retrieval_rank", "-")
            print(f"  {one.score:8.3f}  (was {was})  {one.text[:80]}")
    return found[0], found[1]


if __name__ == "__main__":
    main()
