"""The model cards of embedders and ColBERT, in Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rerank_plugins import __version__
from rerank_plugins.training.preparing import Prepared
from rerank_plugins.training.results import TrainingResult
from rerank_plugins.training.tables import measured_lines

__all__ = ["colbert_card", "embedder_card"]

_LINE = "\n"


def embedder_card(prepared: Prepared, result: TrainingResult) -> str:
    """Return the card of a trained embedder. It quotes no text of the data."""
    settings = prepared.settings
    pooling = settings.vectors.sentence_pooling_method or prepared.resolved.spec.pooling
    made = f"- pooling `{pooling}`" + (", vectors of length 1" * settings.vectors.normalize_embeddings)
    if settings.vectors.use_mrl:
        made += f"; beginnings of {', '.join(map(str, settings.vectors.mrl_dims))} dimensions are trained too"
    data, spec = settings.data, prepared.resolved.spec
    lengths = [spec.input_length_tokens(one) for one in (data.query_max_len, data.passage_max_len)]
    if settings.m3.unified_finetuning:
        made += "; lexical weights and token vectors are trained too, and not measured above"
    use = f"""```python
from rerank_plugins import Embedder

embedder = Embedder("{result.folder.name}")
```

The folder also opens in transformers (`AutoModel`), sentence-transformers (`SentenceTransformer`) and FlagEmbedding
(`FlagModel`). The instructions that it was trained with are its prompts `query` and `document`."""
    head = ("sentence-transformers", "sentence-similarity", "An embedder")
    texts = "texts" if not settings.landmark.landmarks else "windows of documents"
    read = f"- queries of {lengths[0]} tokens at most and {texts} of {lengths[1]}, in the measures above too"
    return _card(prepared, result, head=head, made=[made, read], use=use)


def colbert_card(prepared: Prepared, result: TrainingResult) -> str:
    """Return the card of a trained ColBERT. It quotes no text of the data."""
    tokens = prepared.settings.tokens
    markers = f"markers `{tokens.query_marker}` and `{tokens.document_marker}`"
    made = f"- token vectors compared by `{tokens.similarity}`; {markers}"
    use = f"""```python
from sentence_transformers import MultiVectorEncoder

model = MultiVectorEncoder("{result.folder.name}")
scores = model.similarity(model.encode_query(["..."]), model.encode_document(["..."]))
```

The folder is in the format of sentence-transformers 6."""
    head = ("sentence-transformers", "sentence-similarity", "A ColBERT (late interaction)")
    return _card(prepared, result, head=head, made=[made], use=use)


def _card(prepared: Prepared, result: TrainingResult, *, head: tuple[str, str, str], made: list[str], use: str) -> str:
    settings, spec = prepared.settings, prepared.resolved.spec
    run, data = settings.run, settings.data
    kept = "the last step" if result.best_step is None else f"step {result.best_step}, the best by {run.metric}"
    library, pipeline, what = head
    is_listed = spec.id != str(prepared.resolved.files.folder)
    origin = f"base_model: {spec.id}{_LINE}" if is_listed else ""
    files = ", ".join(f"`{Path(source).name}`" for source in prepared.rows.sources)
    teacher = f", with a teacher (`{run.kd_loss_type}`)" if data.knowledge_distillation else ""
    return f"""---
library_name: {library}
pipeline_tag: {pipeline}
{origin}---

# {result.folder.name}

{what} trained from `{_name(settings.model.model_name_or_path)}` with rerank-plugins {__version__}.
Family: {spec.family}. Licence of the model it starts from: {spec.license}.

## Before and after

{_LINE.join(measured_lines(result))}

## Training

- {result.n_rows} rows of {files} (SHA-256 of the rows: `{prepared.rows.digest[:16]}`)
- groups of {data.train_group_size}, {prepared.steps.groups} groups a step, {_others(run)}{teacher},
  {result.steps} steps of {prepared.steps.total}; kept: {kept}
- temperature {run.temperature:g}, learning rate {run.learning_rate:g} ({run.lr_scheduler_type}), seed {run.seed};
  `training.json` has all settings and the log
{_LINE.join(made)}

## Use

{use}
Indexes of the model before are void, and so are thresholds fitted to its scores.
"""


def _others(run: Any) -> str:
    if not run.use_inbatch_neg:
        return "own negatives alone"
    return "negatives of all devices" if getattr(run, "negatives_cross_device", False) else "negatives of the batch"


def _name(model: object) -> str:
    text = str(model)
    return text if text.count("/") < 2 else text.rstrip("/").rsplit("/", 1)[1]
