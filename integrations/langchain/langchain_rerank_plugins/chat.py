"""Any chat model of LangChain as a reranker, on the core's methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.runnables import Runnable, RunnableBinding
from typing_extensions import override

from langchain_rerank_plugins.compressor import BaseRerankCompressor
from rerank_plugins.adapters.chat import ChatRankingOptions
from rerank_plugins.adapters.checks import check_kind
from rerank_plugins.chat.model import ChatAnswer, ChatMessage, ChatModel, ChatOptions, ChatTokens
from rerank_plugins.chat.openai import first_logprobs
from rerank_plugins.errors import InvalidInputError

__all__ = ["ChatRerankCompressor", "LangChainChat"]

_MESSAGES = {"system": SystemMessage, "user": HumanMessage, "assistant": AIMessage}


class LangChainChat:
    """A chat model of LangChain as one of the core: ``ChatScorer(LangChainChat(llm))``.

    Temperature and length of answers are the model's own settings. Log-probabilities are used where its answers hold
    them: ``ChatOpenAI(...).bind(logprobs=True, top_logprobs=20)``.

    Args:
        llm: The chat model, or one with settings bound to it.

    Raises:
        InvalidInputError: It is none.
    """

    offers_schema = False

    def __init__(self, llm: Runnable[Any, Any]) -> None:
        inner = llm
        while isinstance(inner, RunnableBinding):
            inner = inner.bound
        expected = "a chat model of LangChain, such as ChatOpenAI(model=...), or one with settings bound to it"
        check_kind("llm", inner, BaseChatModel, expected=expected)
        self._llm = llm
        found = next((str(one) for name in ("model_name", "model") if (one := getattr(inner, name, None))), "")
        self.name = found or type(inner).__name__

    def complete(self, messages: Sequence[ChatMessage], _options: ChatOptions) -> ChatAnswer:
        """Return the answer to a conversation."""
        return _answer(self._llm.invoke(_turns(messages)))

    async def acomplete(self, messages: Sequence[ChatMessage], _options: ChatOptions) -> ChatAnswer:
        """Return the answer to a conversation, without blocking the event loop."""
        return _answer(await self._llm.ainvoke(_turns(messages)))

    def close(self) -> None:
        """Nothing: the model is the caller's."""


class ChatRerankCompressor(ChatRankingOptions, BaseRerankCompressor):
    """Reranks documents with any chat model of LangChain: pointwise, pairwise, setwise or listwise.

    No document is lost or doubled, whatever the model says: what it leaves out stays behind the others in retrieval
    order. What had to be put right is counted, see :class:`rerank_plugins.ChatUsage`.

    Example:
        >>> compressor = ChatRerankCompressor(llm=llm, method="listwise", top_n=5)
        >>> ContextualCompressionRetriever(base_compressor=compressor, base_retriever=retriever)
    """

    @classmethod
    @override
    def _chat_model(cls, llm: Any) -> ChatModel:
        return LangChainChat(llm)


def _turns(messages: Sequence[ChatMessage]) -> list[BaseMessage]:
    return [_MESSAGES[one.role](content=one.content) for one in messages]


def _answer(message: Any) -> ChatAnswer:
    if not isinstance(message, BaseMessage):
        msg = f"the chat model gave a {type(message).__name__}, no message; do not bind a parser or a schema to it"
        raise InvalidInputError(msg)
    # OpenAI's interface, and those like it, put into the metadata what they answered.
    logprobs = first_logprobs(message.response_metadata)
    return ChatAnswer(text=_text(message.content), logprobs=logprobs, usage=_tokens(message))


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(one if isinstance(one, str) else str(one.get("text") or "") for one in content)


def _tokens(message: BaseMessage) -> ChatTokens | None:
    usage = getattr(message, "usage_metadata", None)
    return ChatTokens(usage["input_tokens"], usage["output_tokens"]) if usage else None
