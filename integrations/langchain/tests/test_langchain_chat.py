"""ChatRerankCompressor keeps the package's contract with any chat model of LangChain."""

from __future__ import annotations

import asyncio
import pickle
import re
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from langchain_classic.retrievers import ContextualCompressionRetriever
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnableLambda
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_rerank_plugins import ChatRerankCompressor, TwoStageRetriever
from langchain_rerank_plugins.chat import LangChainChat
from rerank_plugins_testing.langchain import CompressorConformance, RunRecorder

from rerank_plugins.chat import Setwise
from rerank_plugins.chat.model import ChatMessage, ChatOptions, ChatTokens
from rerank_plugins.errors import InvalidInputError

FENCED = re.compile(r"<(passage-[0-9a-f]{16})>\n(.*?)\n</\1>", re.DOTALL)


def worth(text: str) -> float:
    return sum(one in ("paris", "capital", "france.") for one in text.lower().split()) + len(text) / 1000


class KnowingChat(BaseChatModel):
    """A chat model that orders the passages of a prompt by a rule, and may be slow."""

    delay_s: float = 0.0
    answer: str = ""
    logprobs: Any = None
    model_name: str = "knowing"

    @property
    def _llm_type(self) -> str:
        return "knowing"

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> ChatResult:
        time.sleep(self.delay_s)
        texts = [text for _, text in FENCED.findall("\n".join(str(one.content) for one in messages))]
        if len(texts) == 1:
            text = f"{min(10.0, 2 * worth(texts[0])):.4f}"
        else:
            order = sorted(range(len(texts)), key=lambda one: -worth(texts[one]))
            text = " > ".join(f"[{one + 1}]" for one in order)
        message = AIMessage(
            content=self.answer or text,
            usage_metadata={"input_tokens": 40, "output_tokens": 4, "total_tokens": 44},
            response_metadata={} if self.logprobs is None else {"logprobs": self.logprobs},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])


class _Chat(CompressorConformance):
    method = "listwise"

    @property
    def compressor_class(self) -> type[BaseDocumentCompressor]:
        return ChatRerankCompressor

    @property
    def compressor_params(self) -> dict[str, Any]:
        return {"llm": KnowingChat(), "method": self.method}

    @property
    def features(self) -> frozenset[str]:
        return super().features - {"deadlines"}  # the suite's are of models that run on this machine


class TestListwise(_Chat):
    pass


class TestPointwise(_Chat):
    method = "pointwise"


@pytest.mark.parametrize("is_async", [False, True])
def test_a_call_that_is_late_keeps_the_retrieval_order(is_async: bool) -> None:
    made = ChatRerankCompressor(llm=KnowingChat(delay_s=1.5), top_n=2, deadline_s=0.2)
    documents = [Document(f"Paris {number}") for number in range(3)]
    found = (
        asyncio.run(made.acompress_documents(documents, "q")) if is_async else made.compress_documents(documents, "q")
    )
    assert [one.page_content for one in found] == ["Paris 0", "Paris 1"]
    assert [one.metadata["rerank_fallback"] for one in found] == ["deadline"] * 2


@pytest.mark.parametrize("answer", ["I cannot help with that.", "[2] > [2]", '{"ranked_document_ids": [9, -1]}', ""])
@pytest.mark.parametrize("method", ["listwise", "setwise", "pairwise", "pointwise"])
def test_no_document_is_lost_or_doubled(answer: str, method: Any) -> None:
    made = ChatRerankCompressor(llm=KnowingChat(answer=answer or " "), method=method, top_n=None)
    found = made.compress_documents([Document(f"text {number}") for number in range(5)], "q")
    assert sorted(one.page_content for one in found) == [f"text {number}" for number in range(5)]


@pytest.mark.parametrize("is_async", [False, True])
def test_each_document_says_what_was_asked_and_put_right(is_async: bool) -> None:
    made = ChatRerankCompressor(llm=KnowingChat(answer="[2] > [2] > [9] > [1]"), top_n=2)
    documents = [Document(f"Paris {number}") for number in range(3)]
    found = (
        asyncio.run(made.acompress_documents(documents, "q")) if is_async else made.compress_documents(documents, "q")
    )
    counts = {"calls": 1, "doubled": 1, "unknown": 1, "missing": 1, "prompt_tokens": 40, "answer_tokens": 4}
    assert len(found) == 2
    for one in found:
        assert counts.items() <= one.metadata["rerank_chat"].items()


def test_tokens_parts_and_log_probabilities_of_an_answer() -> None:
    top = [{"token": "Yes", "logprob": -0.1}, {"token": "No", "logprob": -2.0}]
    content = [{"token": "Yes", "logprob": -0.1, "top_logprobs": top}]
    llm = KnowingChat(logprobs={"content": content}, answer="Yes")
    answer = LangChainChat(llm).complete([ChatMessage("user", "q")], ChatOptions())
    assert (answer.text, answer.logprobs, answer.usage) == ("Yes", {"Yes": -0.1, "No": -2.0}, ChatTokens(40, 4))
    made = ChatRerankCompressor(llm=llm, method="pointwise").compress_documents([Document("a")], "q")
    assert made[0].metadata["relevance_score"] == pytest.approx(0.8699, abs=1e-4)


@pytest.mark.parametrize(
    "amiss",
    [[1], {"content": [None]}, {"content": [{"token": "Yes"}]}, {"content": [{"top_logprobs": 3}]}],
    ids=str,
)
def test_log_probabilities_that_are_none_are_read_as_absent(amiss: Any) -> None:
    answer = LangChainChat(KnowingChat(logprobs=amiss, answer="Yes")).complete(
        [ChatMessage("user", "q")], ChatOptions()
    )
    assert (answer.text, answer.logprobs) == ("Yes", None)


def test_a_model_with_settings_bound_to_it() -> None:
    llm = KnowingChat().bind(stop=["\n"]).with_config(tags=["rerank"])
    made = ChatRerankCompressor(llm=llm, method=Setwise(children=2), top_n=1)
    assert made.model == "knowing"
    again = pickle.loads(pickle.dumps(ChatRerankCompressor(llm=KnowingChat(), top_n=1)))
    documents = [Document("Berlin"), Document("Paris is the capital of France.")]
    assert again.compress_documents(documents, "q")[0].page_content == documents[1].page_content


@pytest.mark.parametrize("llm", [None, "gpt-4o", KnowingChat, RunnableLambda(lambda _: "a")], ids=str)
def test_what_is_no_chat_model(llm: Any) -> None:
    with pytest.raises(ValueError, match="llm"):
        ChatRerankCompressor(llm=llm)


class AsyncChat(KnowingChat):
    """A chat model that can only be awaited, as that of an asynchronous client."""

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> ChatResult:
        msg = "await it"
        raise NotImplementedError(msg)

    async def _agenerate(self, messages: Any, stop: Any = None, run_manager: Any = None, **_: Any) -> ChatResult:
        return super()._generate(messages)


def test_a_chain_that_is_awaited_awaits_the_model() -> None:
    documents = [Document(page_content=text) for text in ("Berlin", "Paris is the capital of France.")]
    compressor = ChatRerankCompressor(llm=AsyncChat(), top_n=1)
    chain = {"documents": RunnableLambda(lambda _: documents), "query": RunnableLambda(str)} | compressor
    (best,) = asyncio.run(chain.ainvoke("capital of France"))
    assert best.page_content == documents[1].page_content
    wrong = {"documents": RunnableLambda(lambda _: documents)} | compressor
    with pytest.raises(InvalidInputError, match="not documents and query"):
        asyncio.run(wrong.ainvoke("capital of France"))


class Parents(RunRecorder):
    """Writes down under which run a chat model was called, and with which tags."""

    def __init__(self) -> None:
        super().__init__()
        self.models: list[tuple[UUID | None, set[str]]] = []

    def on_chat_model_start(
        self, serialized: Any, messages: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **details: Any
    ) -> None:
        self.models.append((parent_run_id, set(details.get("tags") or [])))


def _retriever(compressor: ChatRerankCompressor, documents: list[Document]) -> BaseRetriever:
    store = InMemoryVectorStore.from_texts([one.page_content for one in documents], DeterministicFakeEmbedding(size=8))
    return ContextualCompressionRetriever(base_compressor=compressor, base_retriever=store.as_retriever())


WAYS: dict[str, Callable[[ChatRerankCompressor, list[Document]], Runnable[Any, Any]]] = {
    "a step": lambda compressor, documents: RunnableLambda(lambda q: {"documents": documents, "query": q}) | compressor,
    "a retriever": _retriever,
    "two stages": lambda compressor, documents: TwoStageRetriever(
        first_stage=RunnableLambda(lambda _: documents), reranker=compressor
    ),
    "by hand": lambda compressor, documents: RunnableLambda(lambda q: compressor.compress_documents(documents, q)),
}


@pytest.mark.parametrize("method", ["listwise", "pointwise"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("is_async", [False, True])
def test_calls_of_the_chat_model_are_children_of_the_reranking(is_async: bool, way: str, method: Any) -> None:
    documents = [Document(f"Paris {number}") for number in range(3)]
    made = WAYS[way](ChatRerankCompressor(llm=KnowingChat(), method=method), documents)
    recorder = Parents()
    config: Any = {"callbacks": [recorder], "tags": ["outer"]}
    assert len(asyncio.run(made.ainvoke("q", config)) if is_async else made.invoke("q", config)) == 3
    (run_id,) = [one.run_id for one in recorder.events if one.name == "start" and "rerank" in one.tags]
    assert len(recorder.models) >= (1 if method == "listwise" else 3)
    assert all(one == (run_id, {"outer"}) for one in recorder.models)


@pytest.mark.parametrize("is_async", [False, True])
def test_callbacks_of_a_call_see_its_chat_model_and_no_later_one(is_async: bool) -> None:
    documents = [Document(f"Paris {number}") for number in range(3)]
    made, recorder = ChatRerankCompressor(llm=KnowingChat()), Parents()

    async def twice() -> None:
        for callbacks in ([recorder], None):
            await made.acompress_documents(documents, "q", callbacks=callbacks)

    if is_async:
        asyncio.run(twice())
    else:
        made.compress_documents(documents, "q", callbacks=[recorder])
        made.compress_documents(documents, "q")
    assert recorder.models == [(recorder.events[0].run_id, set())]
    failing = Parents()
    with pytest.raises(InvalidInputError):
        made.compress_documents([3], "q", callbacks=[failing])  # type: ignore[list-item]
    made.compress_documents(documents, "q")
    assert failing.models == []
