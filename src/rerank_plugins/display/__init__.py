"""How results look in a notebook: plain values in, HTML out. Every text is escaped; nothing is loaded.

Stands below everything, so that any result type can use it; it knows results by their attributes only.
"""

from __future__ import annotations

from rerank_plugins.display.explanation import explanation_html
from rerank_plugins.display.matches import matches_html
from rerank_plugins.display.ranking import ranking_html

__all__ = ["explanation_html", "matches_html", "ranking_html"]
