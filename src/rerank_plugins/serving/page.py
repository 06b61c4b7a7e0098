"""The page at ``/``: a few files of this package for people with a browser.

Programs that read ``/`` are answered as ever. The files hold no secret and open without a key; what the page asks for
then goes through the same paths, with the same keys and limits, as the requests of everybody else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files

from rerank_plugins.serving.exchange import Exchange, Reply

__all__ = ["FILES", "PAGE_LABEL", "Page"]

PAGE_LABEL = "page"
"""The route of all files, in metrics and in the log."""

_START = "index.html"
_FOLDER = "/page/"
FILES: Mapping[str, str] = {
    _START: "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "code.js": "text/javascript; charset=utf-8",
    "dom.js": "text/javascript; charset=utf-8",
    "files.js": "text/javascript; charset=utf-8",
    "results.js": "text/javascript; charset=utf-8",
    "server.js": "text/javascript; charset=utf-8",
    "snippets.js": "text/javascript; charset=utf-8",
    "trouble.js": "text/javascript; charset=utf-8",
    "words.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
"""All files of the page and what they are; nothing else is given out."""

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_HEADERS: Mapping[str, str] = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    # Asked for again each time, and then mostly answered with 304: a newer server never meets an older page.
    "cache-control": "no-cache",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    body: bytes
    content_type: str
    tag: str


class Page:
    """Gives out the files of the page.

    Args:
        is_on: Whether there is a page at all; without it every path means what it means otherwise.
    """

    def __init__(self, *, is_on: bool) -> None:
        self._files = {name: _read(name, kind) for name, kind in FILES.items()} if is_on else {}

    def reply(self, exchange: Exchange) -> Reply | None:
        """Return the file that a request asks for; None for a request of something else.

        Args:
            exchange: The request. ``/`` is the page for a browser alone, which says that it wants HTML.
        """
        found = self._files.get(_requested_name(exchange))
        if found is None:
            return None
        headers = {**_HEADERS, "etag": found.tag}
        if exchange.path == "/":
            headers["vary"] = "accept"
        if _is_known(found.tag, exchange.headers.get("if-none-match", "")):
            return Reply(status=304, body=b"", content_type=found.content_type, headers=headers)
        return Reply(status=200, body=found.body, content_type=found.content_type, headers=headers)


def _requested_name(exchange: Exchange) -> str:
    """Return the name of the file; empty for none."""
    if exchange.method not in {"GET", "HEAD"}:
        return ""
    if exchange.path == "/":
        return _START if "text/html" in exchange.headers.get("accept", "").lower() else ""
    name = exchange.path.removeprefix(_FOLDER) if exchange.path.startswith(_FOLDER) else ""
    return "" if name == _START else name


def _read(name: str, kind: str) -> _File:
    body = (files("rerank_plugins.serving") / "static" / name).read_bytes()
    return _File(body=body, content_type=kind, tag=f'"{sha256(body).hexdigest()[:32]}"')


def _is_known(tag: str, offered: str) -> bool:
    """Return whether a browser has this version; a proxy that compresses marks it as weak."""
    return any(one.strip().removeprefix("W/") in {tag, "*"} for one in offered.split(","))
