"""The textbook example: retrieve 3 without a reranker; retrieve 10, rerank, keep 3.

Run it with ``python examples/two_stage.py``; it needs ``pip install "rerank-plugins[torch,mini,retrieval]"`` and
downloads nothing. The corpus is bundled: paragraphs of financial reports, and questions about them. The mini models saw
these questions in training: see here how it works, and judge quality on data of your own::

    retriever = TwoStageRetriever.from_documents(texts, top_k=10, top_n=3)  # bge-m3, then bge-reranker-v2-m3
    retriever.search("your question")
"""

from __future__ import annotations

from rerank_plugins_demo.samples import SAMPLE_FOLDER

from rerank_plugins import Embedder, Reranker, TwoStageRetriever
from rerank_plugins.evaluation import read_dataset

N_QUESTIONS = 25


def main() -> tuple[int, int]:
    """Print one question with both results, and how many answers are found; return the two counts."""
    data = read_dataset(SAMPLE_FOLDER / "tatqa")
    questions = dict(list(data.queries.items())[:N_QUESTIONS])
    embedder, reranker = Embedder("mini"), Reranker("mini")
    one_stage = TwoStageRetriever.from_documents(
        data.texts, retriever="dense", embedder=embedder, reranker=None, top_k=3, top_n=3
    )
    two_stages = TwoStageRetriever.from_documents(
        data.texts, retriever="dense", embedder=embedder, reranker=reranker, top_k=10, top_n=3
    )
    found = {"retrieve 3": 0, "retrieve 10, rerank, keep 3": 0}
    is_shown = False
    for question_id, question in questions.items():
        answers = data.relevant_ids(question_id)
        results = dict(zip(found, (one_stage.search(question), two_stages.search(question)), strict=True))
        hits = {name: any(one.id in answers for one in listed) for name, listed in results.items()}
        for name, is_hit in hits.items():
            found[name] += is_hit
        if list(hits.values()) == [False, True] and not is_shown:
            is_shown = True
            print(question)
            for name, listed in results.items():
                print(f"\n{name}")
                for one in listed:
                    mark = "✔" if one.id in answers else " "
                    print(f"  {mark} {one.rank}. (was {one.retrieval_rank}.)  {one.text[:80]}")
    print(f"\nAn answer is among the 3, of {len(questions)} questions:")
    for name, count in found.items():
        print(f"  {name}: {count}")
    return found["retrieve 3"], found["retrieve 10, rerank, keep 3"]


if __name__ == "__main__":
    main()
