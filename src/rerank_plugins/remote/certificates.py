"""The certificates that servers are checked against: read once, for all clients of this process."""

from __future__ import annotations

import os
import ssl
from functools import lru_cache

from rerank_plugins.checks.optional import import_extra

__all__ = ["trusted"]


def trusted() -> ssl.SSLContext:
    """Return httpx's default context; ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` count as they stand now.

    httpx reads the certificates anew for each client, 60 ms of CPU time on the event loop that will use it. A context
    may be shared by any number of connections and threads.

    Raises:
        OSError: A variable names what cannot be read.
    """
    return _context(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@lru_cache(maxsize=4)
def _context(_file: str | None, _folder: str | None) -> ssl.SSLContext:
    context: ssl.SSLContext = import_extra("httpx", extra="remote").create_ssl_context()
    return context
