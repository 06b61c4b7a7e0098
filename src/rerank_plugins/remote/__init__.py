"""Servers that score, embed or chat: one HTTP client with keys, time-outs, retries and redirects for all of them.

Needs ``rerank-plugins[remote]`` when the first request is sent.
"""

from rerank_plugins.remote.http import HttpClient
from rerank_plugins.remote.limits import RemoteLimits, RemotePrice
from rerank_plugins.remote.settings import HttpSettings

__all__ = ["HttpClient", "HttpSettings", "RemoteLimits", "RemotePrice"]
