"""The model card: what was trained from what, on what, and what it brought, in Markdown."""

from __future__ import annotations

from pathlib import Path

from rerank_plugins import __version__
from rerank_plugins.training.groups import instructed_pairs
from rerank_plugins.training.preparing import Prepared
from rerank_plugins.training.results import TrainingResult
from rerank_plugins.training.settings import DataSettings
from rerank_plugins.training.tables import calibration_lines, measured_lines
from rerank_plugins.training.trainable.usage import Usage, usage_of

__all__ = ["model_card"]

_LINE = "\n"


def model_card(prepared: Prepared, result: TrainingResult) -> str:
    """Return the card of a trained model. It quotes no text of the data."""
    settings, spec = prepared.settings, prepared.resolved.spec
    run = settings.run
    kept = "the last step" if result.best_step is None else f"step {result.best_step}, the best by {run.metric}"
    is_own = prepared.resolved.files.own_format is not None
    usage = _usage(prepared, result)
    origin = [f"base_model: {spec.id}"] if _is_listed(prepared) and not is_own else []
    files = ", ".join(f"`{Path(source).name}`" for source in prepared.rows.sources)
    teacher = ", with a teacher" if settings.data.knowledge_distillation else ""
    return f"""---
library_name: {usage.library}
pipeline_tag: text-ranking
{"".join(f"{line}{_LINE}" for line in origin)}---

# {result.folder.name}

A reranker ({usage.kind}) trained from `{_name(settings.model.model_name_or_path)}` with rerank-plugins {__version__}.
Family: {spec.family}. Licence of the model it starts from: {spec.license}.

## Before and after

{_LINE.join(measured_lines(result))}

## Training

- {result.n_rows} rows of {files} (SHA-256 of the rows: `{prepared.rows.digest[:16]}`)
- loss `{run.loss}`{teacher}, groups of {settings.data.train_group_size}, {prepared.steps.groups} groups a step,
  {result.steps} steps of {prepared.steps.total}; kept: {kept}
- learning rate {run.learning_rate:g} ({run.lr_scheduler_type}), seed {run.seed}; `training.json` has all settings and
  the log
- pairs of {_length(prepared)} tokens at most, cut by the rule `{spec.truncation}`
{"".join(f"- {line}{_LINE}" for line in (*_instructions(prepared), *(f"trained: {one}" for one in usage.trained)))}
## Use

```python
{_LINE.join(usage.code)}
```

{usage.opens}
{_LINE.join(calibration_lines(result))}
"""


def _instructions(prepared: Prepared) -> list[str]:
    """Return how queries and texts were read, where something was put in front."""
    data: DataSettings = prepared.settings.data
    if data.instructions == (None, None):
        return []
    query, text = (one.replace(_LINE, "\\n") for one in instructed_pairs([("...", "...")], data)[0])
    read = f"queries were read as `{query}` and texts as `{text}`, in the measures above too"
    if not any(data.prefixes):
        return [f"{read}: whoever asks writes both so"]
    is_plain = prepared.resolved.spec.template is None and prepared.resolved.files.own_format is None
    peers = "; `CrossEncoder` of sentence-transformers 6 does it for queries" if is_plain and data.prefixes[0] else ""
    return [f"{read}: `Reranker` reads them so itself{peers}, and elsewhere whoever asks writes it"]


def _length(prepared: Prepared) -> int:
    data: DataSettings = prepared.settings.data
    if data.query_max_len is not None and data.passage_max_len is not None:
        return int(data.query_max_len + data.passage_max_len)
    return prepared.resolved.spec.input_length_tokens(None)


def _usage(prepared: Prepared, result: TrainingResult) -> Usage:
    settings, spec = prepared.settings, prepared.resolved.spec
    names_family = _is_listed(prepared) or settings.model.family is None
    return usage_of(
        settings,
        prepared.resolved,
        result.folder.name,
        length=None if settings.data.query_max_len is None else _length(prepared),
        family=None if names_family else spec.family,
    )


def _is_listed(prepared: Prepared) -> bool:
    return prepared.resolved.spec.id != str(prepared.resolved.files.folder)


def _name(model: object) -> str:
    text = str(model)
    return text if text.count("/") < 2 else text.rstrip("/").rsplit("/", 1)[1]
