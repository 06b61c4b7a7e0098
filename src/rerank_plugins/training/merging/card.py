"""The card of a merged model, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rerank_plugins import __version__
from rerank_plugins.training.merging.settings import MergeSettings, WeightTrial

__all__ = ["merge_card", "trials_table"]

_LINE = "\n"


def merge_card(
    name: str,
    settings: MergeSettings,
    *,
    kind: str,
    weights: dict[str, float],
    licenses: dict[str, str],
    dev: str | None,
    trials: Sequence[WeightTrial],
) -> str:
    """Return the card of a merged model."""
    parts = _LINE.join(
        f"- {weight:g} × `{_short(model)}` (licence: {licenses[model]})" for model, weight in weights.items()
    )
    opener = "Reranker" if kind == "reranker" else "Embedder"
    return f"""---
library_name: transformers
pipeline_tag: {"text-ranking" if kind == "reranker" else "sentence-similarity"}
---

# {name}

The mean of the weights of these models (LM-Cocktail, arXiv 2311.13534), made with rerank-plugins {__version__}:

{parts}

## How the weight was chosen

{_LINE.join(_chosen(settings, dev, trials))}

## Use

```python
from rerank_plugins import {opener}

model = {opener}("{name}")
```

Thresholds and calibrations that were fitted to the scores of one of these models are void: fit them again.
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


def _chosen(settings: MergeSettings, dev: str | None, trials: Sequence[WeightTrial]) -> list[str]:
    if dev is None:
        return ["It was given; nothing was measured."]
    choice = f"The best on `{dev}`"
    if settings.keep_data:
        choice += f" of those that lose no more than {settings.max_drop:g} on any other set. Weight 0 is the base"
    return [f"{choice}.", "", *trials_table(trials, dev=dev, metric=settings.metric)]


def _short(model: str) -> str:
    return model if model.count("/") < 2 else Path(model).name
