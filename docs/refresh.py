"""Writes the generated part of choosing-a-model.md anew; run it after the catalog has changed."""

from __future__ import annotations

from pathlib import Path

from rerank_plugins.catalog.families import EMBEDDERS, RERANKERS
from rerank_plugins.cli.catalog_page import catalog_page

PAGE = Path(__file__).parent / "choosing-a-model.md"
MARK = "python docs/refresh.py -->\n"


def refreshed(page: str) -> str:
    """Return the page with what stands behind the mark made from the catalog.

    Raises:
        ValueError: The page has no mark.
    """
    written, mark, _ = page.partition(MARK)
    if not mark:
        msg = f"{PAGE.name} has no line that ends with {MARK.strip()!r}; put it where the tables begin"
        raise ValueError(msg)
    return f"{written}{mark}\n{catalog_page([*RERANKERS, *EMBEDDERS])}"


if __name__ == "__main__":
    PAGE.write_text(refreshed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
