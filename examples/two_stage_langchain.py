"""The textbook example in LangChain: retrieve 3 without a reranker; retrieve 10, rerank, keep 3.

Needs ``pip install "rerank-plugins[mini,langchain,retrieval]"`` and downloads nothing. Over a vector store that you
already have::

    TwoStageRetriever.from_vector_store(store, top_k=10, top_n=3)  # reranked by bge-reranker-v2-m3
"""

from __future__ import annotations

from langchain_core.documents import Document
from langchain_rerank_plugins import TwoStageRetriever
from rerank_plugins_demo.samples import SAMPLE_FOLDER

from rerank_plugins.evaluation import read_dataset


def main() -> tuple[list[str], list[str]]:
    """Print what both retrievers return for one question; return their documents' ids."""
    data = read_dataset(SAMPLE_FOLDER / "tatqa")
    documents = [Document(id=key, page_content=text) for key, text in data.texts.items()]
    one_stage = TwoStageRetriever.from_documents(
        documents, retriever="dense", embedder="mini", reranker=None, top_k=3, top_n=3
    )
    two_stages = TwoStageRetriever.from_documents(
        documents, retriever="dense", embedder="mini", reranker="mini", top_k=10, top_n=3
    )
    question = next(iter(data.queries.values()))
    print(question)
    found = []
    for name, retriever in (("retrieve 3", one_stage), ("retrieve 10, rerank, keep 3", two_stages)):
        results = retriever.invoke(question)
        found.append([str(one.id) for one in results])
        print(f"\n{name}")
        for one in results:
            score = one.metadata.get("relevance_score", one.metadata["retrieval_score"])
            print(f"  {score:8.3f}  (was {one.metadata['retrieval_rank']})  {one.page_content[:80]}")
    return found[0], found[1]


if __name__ == "__main__":
    main()
