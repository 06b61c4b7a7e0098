"""The card of a merged model, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rerank_plugins import __version__
from rerank_plugins.training.merging.settings import MergeSettings, WeightTrial

__all__ = ["merge_card", "trials_table"]

_LINE = "\n"
_VOID = "Thresholds and calibrations that were fitted to the scores of one of these models are void: fit them again."


def merge_card(
    name: str,
    settings: MergeSettings,
    *,
    kind: str,
    parts: Mapping[str, tuple[float, str]],
    instructions: tuple[str, str],
    dev: str | None,
    trials: Sequence[WeightTrial],
) -> str:
    """Return the card of a merged model.

    Args:
        name: Its name.
        settings: The merge's.
        kind: What it is.
        parts: Of each model by name, its weight and its licence.
        instructions: What stands in front of queries, and of texts.
        dev: Name of the dev set; None if there was none.
        trials: The weights that were measured.
    """
    listed = _LINE.join(
        f"- {weight:g} × `{_short(model)}` (licence: {license_})" for model, (weight, license_) in parts.items()
    )
    opener = "Reranker" if kind == "reranker" else "Embedder"
    return f"""---
library_name: transformers
pipeline_tag: {"text-ranking" if kind == "reranker" else "sentence-similarity"}
---

# {name}

The mean of the weights of these models (LM-Cocktail, arXiv 2311.13534), made with rerank-plugins {__version__}:

{listed}

## How the weight was chosen

{_LINE.join(_chosen(settings, dev, trials))}

## Use

```python
from rerank_plugins import {opener}

model = {opener}("{name}")
```

{_read(instructions)}{_VOID}
"""


def trials_table(trials: Sequence[WeightTrial], *, dev: str, metric: str) -> list[str]:
    """Return what was measured as the lines of a Markdown table."""
    kept = list(trials[0].keep)
    head = [
        f"| weight of the tuned model | {metric} on {dev} | " + "".join(f"{name} | " for name in kept),
        "|---" * (2 + len(kept)) + "|",
    ]
    rows = [
        f"| {one.weight:g} | {one.dev:.4f} | " + "".join(f"{one.keep[name]:.4f} | " for name in kept) for one in trials
    ]
    return [line.rstrip() for line in (*head, *rows)]


def _read(instructions: tuple[str, str]) -> str:
    if not any(instructions):
        return ""
    query, text = (one.replace(_LINE, "\\n") for one in instructions)
    return f"It reads queries as `{query}...` and texts as `{text}...` itself, as the first of the models does.\n\n"


def _chosen(settings: MergeSettings, dev: str | None, trials: Sequence[WeightTrial]) -> list[str]:
    if dev is None:
        return ["It was given; nothing was measured."]
    choice = f"The best on `{dev}`"
    if settings.keep_data:
        choice += f" of those that lose no more than {settings.max_drop:g} on any other set. Weight 0 is the base"
    return [f"{choice}.", "", *trials_table(trials, dev=dev, metric=settings.metric)]


def _short(model: str) -> str:
    return model if model.count("/") < 2 else Path(model).name
