"""Clients of httpx, made for what the environment says: certificates, which are read once a process, and proxies."""

from __future__ import annotations

import os
import ssl
from functools import lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Literal

from rerank_plugins.checks.optional import import_extra
from rerank_plugins.errors import RemoteError

__all__ = ["new_client", "trusted"]


def new_client(kind: Literal["Client", "AsyncClient"]) -> Any:
    """Return a new client of httpx that follows no redirects and keeps no cookies.

    Raises:
        RemoteError: The environment names certificates or a proxy that cannot be used.
    """
    httpx = import_extra("httpx", extra="remote")
    try:
        # A server must not be able to tell requests of one client apart, nor to make them longer each time.
        no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=()))
        return getattr(httpx, kind)(follow_redirects=False, verify=trusted(), cookies=no_cookies)
    except (httpx.InvalidURL, OSError, ValueError, ImportError) as error:
        msg = (
            f"no connection can be made with this environment ({type(error).__name__}: {error}); check SSL_CERT_FILE, "
            "SSL_CERT_DIR, HTTP_PROXY, HTTPS_PROXY and ALL_PROXY"
        )
        raise RemoteError(msg, is_reached=False) from error


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
