"""Chat models as rerankers: what such a model is, the methods and their prompts, and how answers are read.

``rerank_plugins.ChatScorer`` is the backend that uses them.
"""

from rerank_plugins.chat.limits import ChatLimits, ChatPrice
from rerank_plugins.chat.methods import Listwise, Pairwise, Pointwise, Setwise
from rerank_plugins.chat.model import ChatAnswer, ChatMessage, ChatModel, ChatOptions, ChatTokens, SimpleChatModel
from rerank_plugins.chat.openai import OpenAIChat
from rerank_plugins.chat.prompts import ListPrompt, PassagePrompt

__all__ = [
    "ChatAnswer",
    "ChatLimits",
    "ChatMessage",
    "ChatModel",
    "ChatOptions",
    "ChatPrice",
    "ChatTokens",
    "ListPrompt",
    "Listwise",
    "OpenAIChat",
    "Pairwise",
    "PassagePrompt",
    "Pointwise",
    "Setwise",
    "SimpleChatModel",
]
