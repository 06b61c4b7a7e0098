"""Any LLM of LlamaIndex as a reranker, on the core's methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, ChatResponse, MessageRole
from llama_index.core.llms import LLM
from llama_index.postprocessor.rerank_plugins.base import BaseRerankPostprocessor
from typing_extensions import override

from rerank_plugins.adapters.chat import ChatRankingOptions
from rerank_plugins.adapters.checks import check_kind
from rerank_plugins.chat.model import ChatAnswer, ChatModel, ChatOptions, ChatTokens
from rerank_plugins.chat.model import ChatMessage as CoreMessage

__all__ = ["ChatRerankPostprocessor", "LlamaIndexChat"]


class LlamaIndexChat:
    """An LLM of LlamaIndex as a chat model of the core: ``ChatScorer(LlamaIndexChat(llm))``.

    Temperature and length of answers are the LLM's own settings. Log-probabilities are used where its answers hold
    them.

    Args:
        llm: The LLM.

    Raises:
        InvalidInputError: It is none.
    """

    offers_schema = False

    def __init__(self, llm: LLM) -> None:
        check_kind("llm", llm, LLM, expected="an LLM of LlamaIndex, such as OpenAI(model=...)")
        self._llm = llm
        self.name = str(getattr(llm.metadata, "model_name", "") or type(llm).__name__)

    def complete(self, messages: Sequence[CoreMessage], _options: ChatOptions) -> ChatAnswer:
        """Return the answer to a conversation."""
        return _answer(self._llm.chat(_turns(messages)))

    async def acomplete(self, messages: Sequence[CoreMessage], _options: ChatOptions) -> ChatAnswer:
        """Return the answer to a conversation, without blocking the event loop."""
        return _answer(await self._llm.achat(_turns(messages)))

    def close(self) -> None:
        """Nothing: the LLM is the caller's."""


class ChatRerankPostprocessor(ChatRankingOptions, BaseRerankPostprocessor):
    """Reranks nodes with any LLM of LlamaIndex: pointwise, pairwise, setwise or listwise.

    No node is lost or doubled, whatever the LLM says: what it leaves out stays behind the others in retrieval order.
    What had to be put right is counted, see :class:`rerank_plugins.ChatUsage`.

    Example:
        >>> reranker = ChatRerankPostprocessor(llm=llm, method="listwise", top_n=5)
        >>> query_engine = index.as_query_engine(similarity_top_k=20, node_postprocessors=[reranker])
    """

    @classmethod
    @override
    def _chat_model(cls, llm: Any) -> ChatModel:
        return LlamaIndexChat(llm)


def _turns(messages: Sequence[CoreMessage]) -> list[ChatMessage]:
    return [ChatMessage(role=MessageRole(one.role), content=one.content) for one in messages]


def _answer(response: ChatResponse) -> ChatAnswer:
    first = response.logprobs[0] if response.logprobs else None
    logprobs = {one.token: one.logprob for one in first} if first else None
    return ChatAnswer(text=response.message.content or "", logprobs=logprobs, usage=_tokens(response))


def _tokens(response: ChatResponse) -> ChatTokens | None:
    """Return the token counts of an answer in the places where LlamaIndex's LLMs leave them."""
    raw = response.raw
    usage = raw.get("usage") if isinstance(raw, Mapping) else getattr(raw, "usage", None)
    for place in (usage, response.additional_kwargs):
        prompt, answer = (_count(place, name) for name in ("prompt_tokens", "completion_tokens"))
        if prompt is not None and answer is not None:
            return ChatTokens(prompt, answer)
    return None


def _count(place: Any, name: str) -> int | None:
    value = place.get(name) if isinstance(place, Mapping) else getattr(place, name, None)
    return value if isinstance(value, int) else None
