"""What a job does with its rows. A task is plain values that can travel to other machines; it opens its model there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, is_dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from rerank_plugins.backends.named_files import named_files
from rerank_plugins.bulk.inputs import Row
from rerank_plugins.bulk.outputs import Columns
from rerank_plugins.catalog.spec import ModelKind
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.system.files import reason_of

__all__ = ["BulkTask", "EmbedTask", "RowWorker", "ScoreTask", "model_files"]


class RowWorker(Protocol):
    """Makes the output of rows, with a model that is open."""

    def __call__(self, rows: Sequence[Row]) -> Columns:
        """Return the columns of the output, a value per row, in order."""
        ...


@runtime_checkable
class BulkTask(Protocol):
    """What a job does with its rows."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the input that it reads."""
        ...

    @property
    def identity(self) -> dict[str, Any]:
        """What the output depends on, as JSON."""
        ...

    def opened(self) -> Any:
        """Return a context manager that opens the model and gives a :class:`RowWorker`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreTask:
    """Scores pairs.

    Attributes:
        model: What a :class:`~rerank_plugins.reranker.Reranker` opens, if its score of a pair does not depend on the
            other documents: no cascade, no ensemble by ranks, no ``bm25``.
        options: Its keyword options.
        query: Column of the queries.
        document: Column of the documents; null is a blank document.
        keep: Columns that are copied to the output.

    Raises:
        InvalidInputError: A column of ``keep`` has the name of one that is made.
    """

    model: str
    options: Mapping[str, Any] = field(default_factory=dict)
    query: str = "query"
    document: str = "document"
    keep: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_kept(self.keep, ("score", "probability"))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the input that it reads."""
        return tuple(dict.fromkeys((*self.keep, self.query, self.document)))

    @property
    def identity(self) -> dict[str, Any]:
        """What the output depends on, as JSON."""
        return {"task": "score", **_plain(self)}

    @contextmanager
    def opened(self) -> Iterator[RowWorker]:
        """Open the model, and give what scores rows.

        Raises:
            InvalidInputError: Its scores depend on the other documents of a call: they would be those of the blocks.
            RerankPluginsError: The model cannot be opened.
        """
        from rerank_plugins.calls.calibrating import check_scope
        from rerank_plugins.reranker import Reranker

        with Reranker(self.model, **self.options) as reranker:
            check_scope(reranker.spec, {"a job in blocks": True})

            def score(rows: Sequence[Row]) -> Columns:
                scores = reranker.score([(row[self.query], row[self.document]) for row in rows])
                made = {"score": list(map(float, scores)), "probability": list(map(reranker.probability, scores))}
                return {name: [row[name] for row in rows] for name in self.keep} | made

            yield score


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedTask:
    """Embeds texts.

    Attributes:
        model: What an :class:`~rerank_plugins.embedder.Embedder` opens.
        options: Its keyword options.
        text: Column of the texts.
        side: Whether they are documents or queries.
        keep: Columns that are copied to the output.

    Raises:
        InvalidInputError: A column of ``keep`` has the name of one that is made.
    """

    model: str
    options: Mapping[str, Any] = field(default_factory=dict)
    text: str = "text"
    side: Literal["document", "query"] = "document"
    keep: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_kept(self.keep, ("embedding",))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the input that it reads."""
        return tuple(dict.fromkeys((*self.keep, self.text)))

    @property
    def identity(self) -> dict[str, Any]:
        """What the output depends on, as JSON."""
        return {"task": "embed", **_plain(self)}

    @contextmanager
    def opened(self) -> Iterator[RowWorker]:
        """Open the model, and give what embeds rows.

        Raises:
            RerankPluginsError: The model cannot be opened.
        """
        from rerank_plugins.embedder import Embedder

        with Embedder(self.model, **self.options) as embedder:
            embed = embedder.embed_documents if self.side == "document" else embedder.embed_queries

            def vectors(rows: Sequence[Row]) -> Columns:
                made = {"embedding": embed([row[self.text] for row in rows])}
                return {name: [row[name] for row in rows] for name in self.keep} | made

            yield vectors


def model_files(model: str, *, kind: ModelKind = "reranker") -> str | None:
    """Return a key of names, sizes and times of a model's files; None where its name tells of none.

    A model that was trained again, or described anew, under the same name is another one.
    """
    found = named_files(model, kind=kind)
    return sha256(json.dumps(found).encode()).hexdigest()[:16] if found else None


def _check_kept(keep: Sequence[str], made: Sequence[str]) -> None:
    for name in keep:
        if name in made:
            msg = f"keep={name!r} is the name of a column that is made; rename it in the input"
            raise InvalidInputError(msg)


def _plain(task: ScoreTask | EmbedTask) -> dict[str, Any]:
    """Return the fields of a task as JSON; a file is identified by its contents."""
    found = {name: getattr(task, name) for name in task.__dataclass_fields__}
    options = {name: _value(value) for name, value in sorted(task.options.items()) if value is not None}
    kind: ModelKind = "reranker" if isinstance(task, ScoreTask) else "embedder"
    return {**found, "keep": list(task.keep), "options": options, "model_files": model_files(task.model, kind=kind)}


def _value(value: Any) -> Any:
    if isinstance(value, Path):
        try:
            return sha256(value.read_bytes()).hexdigest()
        except OSError as error:
            msg = f"{str(value)!r} cannot be read ({reason_of(error)})"
            raise InvalidInputError(msg) from error
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _value(one) for name, one in asdict(value).items() if one is not None}
    if isinstance(value, (list, tuple)):
        return [_value(one) for one in value]
    return value
