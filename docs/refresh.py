"""Writes the generated part of choosing-a-model.md anew, from the catalog; run it after the catalog has changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rerank_plugins.catalog import ModelKind, ModelSpec
from rerank_plugins.catalog.families import EMBEDDERS, RERANKERS
from rerank_plugins.catalog.speed import SPEED_LIMITS_GFLOP, gflop_per_token, shape_of, speed_of
from rerank_plugins.cli.models import reference_of

PAGE = Path(__file__).parent / "choosing-a-model.md"
MARK = "python docs/refresh.py -->\n"

_TITLES: dict[ModelKind, str] = {"reranker": "Rerankers", "embedder": "Embedders"}
_UNKNOWN = "?"


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


def catalog_page(specs: Sequence[ModelSpec]) -> str:
    """Return a section for each kind among ``specs``: a table, fastest first, and the notes."""
    sections = []
    for kind, title in _TITLES.items():
        listed = sorted((spec for spec in specs if spec.kind == kind), key=_work)
        if listed:
            sections.append("\n".join([f"## {title}", "", *_table(kind, listed), "", *_notes(listed)]).rstrip() + "\n")
    return "\n".join([*sections, _explanation()])


def _work(spec: ModelSpec) -> tuple[float, str]:
    gflop = gflop_per_token(spec)
    return (float("inf") if gflop is None else gflop, spec.id.casefold())


def _table(kind: ModelKind, specs: Sequence[ModelSpec]) -> list[str]:
    headings = ["model", "parameters", "speed", "GFLOP a token", "languages", "tokens"]
    headings += ["dimensions"] * (kind == "embedder") + ["licence", "parity tested with"]
    rows = [headings, ["---"] * len(headings)]
    for spec in specs:
        row = [f"`{spec.id}`", _parameters(spec), speed_of(spec) or _UNKNOWN, _gflop(spec)]
        row += [", ".join(spec.languages) or _UNKNOWN, _tokens(spec)]
        row += [str(spec.dimensions or _UNKNOWN)] * (kind == "embedder")
        rows.append([*row, spec.license, reference_of(spec)])
    return ["| " + " | ".join(row) + " |" for row in rows]


def _notes(specs: Sequence[ModelSpec]) -> list[str]:
    return [f"* `{spec.id}`: {spec.notes}" for spec in specs if spec.notes]


def _parameters(spec: ModelSpec) -> str:
    shape = shape_of(spec)
    if shape is None:
        return _UNKNOWN
    millions = float(f"{shape.parameters / 1e6:.2g}")
    return f"{millions / 1000:g}B" if millions >= 1000 else f"{millions:g}M"


def _gflop(spec: ModelSpec) -> str:
    gflop = gflop_per_token(spec)
    return _UNKNOWN if gflop is None else f"{gflop:.2g}"


def _tokens(spec: ModelSpec) -> str:
    default, most = spec.default_max_length_tokens, spec.max_length_tokens
    return f"{default:,}" if default == most else f"{default:,} (to {most:,})"


def _explanation() -> str:
    limits = [f"{name} up to {limit:g}" for name, limit in SPEED_LIMITS_GFLOP.items() if limit]
    return (
        "GFLOP a token is twice the number of weights in the linear layers that a token passes, in billions; of a "
        "model with a head on many layers, up to its default layer. It is arithmetic, not a measurement: a text of n "
        f"tokens costs n times that. Classes: {', '.join(limits)}, very slow above; static looks vectors up. Tokens: "
        "the input length by default, and what the weights allow.\n"
    )


if __name__ == "__main__":
    PAGE.write_text(refreshed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
