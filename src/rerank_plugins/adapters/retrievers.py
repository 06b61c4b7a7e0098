"""What the retrievers of every framework take and refuse, and how they are kept in a folder.

The core's part of a saved retriever is :mod:`rerank_plugins.retrieval.saved`; a framework's documents and its reranker,
by class and options, lie beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter

from rerank_plugins.adapters.checks import check_kind, checked_limits
from rerank_plugins.adapters.corpus import Corpus
from rerank_plugins.adapters.embedding import EmbedderOptions
from rerank_plugins.adapters.reranking import RankingOptions
from rerank_plugins.adapters.values import as_name
from rerank_plugins.calibration import Calibration
from rerank_plugins.embedder import Embedder
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.reranker import Reranker
from rerank_plugins.retrieval.attached import NOT_KEPT, Attached, check_kept
from rerank_plugins.retrieval.saved import SavedRetriever, read_folder, told_if_damaged, write_folder
from rerank_plugins.types import ScoreUnit

__all__ = [
    "OpenedFolder",
    "RetrieverParts",
]

_Reranker = TypeVar("_Reranker", bound=RankingOptions)
_Item = TypeVar("_Item")


@dataclass(frozen=True, kw_only=True)
class RetrieverParts(Generic[_Reranker, _Item]):
    """What the retrievers of one framework are made of.

    Attributes:
        name: The framework's name in saved folders.
        base: The class of all rerankers of the adapter.
        any_model: The one that takes any model.
        classes: Name to class, of the rerankers that a folder may name.
        embeddings: The class of the adapter's embeddings.
        accepted: Which objects of the adapter can be the reranker, in words.
        passed: What such an object is called, in words.
        other_reranker: What to do with another reranker, in words.
        other_embedder: Which objects of the adapter can be the embedder, and what to do with others, in words.
        entry_of: Makes plain JSON of a document under its id, or raises InvalidInputError.
        item_of: Makes a document of what ``entry_of`` made.
    """

    name: str
    base: type[_Reranker]
    any_model: type[_Reranker]
    classes: Mapping[str, type[_Reranker]]
    embeddings: type[EmbedderOptions]
    accepted: str
    passed: str
    other_reranker: str
    other_embedder: tuple[str, str]
    entry_of: Callable[[str, _Item], dict[str, Any]]
    item_of: Callable[[Any], _Item]

    def reranker_of(self, reranker: object) -> _Reranker | None:
        """Return what reranks, or raise InvalidInputError for what cannot.

        Args:
            reranker: An object of the adapter, of any class, is returned as it is. A core reranker and a model's name
                get the options of ``any_model``. None stays None.
        """
        if reranker is None or isinstance(reranker, self.base):
            return reranker
        if isinstance(reranker, Reranker):
            return self.any_model._around_reranker(reranker, {})
        expected = (
            f"{self.accepted} of this package, a rerank_plugins.Reranker, a model's name, or None. Wrap a model that "
            f"another library has loaded with Reranker.from_loaded(...); {self.other_reranker}"
        )
        check_kind("reranker", reranker, (str, Path), expected=expected)
        return self.any_model(model=str(reranker))

    def second_stage(
        self, reranker: object, *, top_n: int | None, threshold: float | None, threshold_unit: ScoreUnit
    ) -> _Reranker | None:
        """Return what reranks, with what a retriever was told about it; the retriever itself applies ``top_n``.

        Args:
            reranker: What the caller passed; see :meth:`reranker_of`.
            top_n: Results returned at most; None returns all that were retrieved.
            threshold: None leaves what the reranker has.
            threshold_unit: What ``threshold`` is compared with.

        Raises:
            InvalidInputError: An option cannot work, or a reranker that was passed has a threshold of its own.
        """
        top_n, threshold = checked_limits(top_n=top_n, threshold=threshold, threshold_unit=threshold_unit)
        if threshold is not None and (reranker is None or isinstance(reranker, self.base)):
            owner = "there is no reranker" if reranker is None else f"the {self.passed} that was passed has its own"
            msg = f"threshold={threshold} cannot be used here: {owner}; leave it out, or name a reranking model"
            raise InvalidInputError(msg)
        made = self.reranker_of(reranker)
        if made is None:
            return None
        changes = {} if threshold is None else {"threshold": threshold, "threshold_unit": threshold_unit}
        # top_n=None means all that were retrieved, here as everywhere.
        return made.with_settings(**changes, top_n=None) if changes or top_n is None else made

    def embedder_of(self, embedder: object) -> Embedder | str | Path:
        """Return a core embedder or a model's name, or raise InvalidInputError for anything else."""
        if isinstance(embedder, self.embeddings):
            return embedder.embedder
        accepted, others = self.other_embedder
        expected = f"{accepted} of this package, a rerank_plugins.Embedder, or a model's name. {others}"
        check_kind("embedder", embedder, (Embedder, str, Path), expected=expected)
        return embedder if isinstance(embedder, Embedder) else as_name(embedder)  # type: ignore[arg-type]

    def write(
        self,
        folder: str | Path,
        corpus: Corpus[_Item],
        *,
        top_k: int,
        top_n: int | None = None,
        reranker: _Reranker | None = None,
    ) -> Path:
        """Write a retriever into a folder, and return it.

        Raises:
            InvalidInputError: A document is not JSON, which texts were indexed is not known, or the folder cannot be
                written.
        """
        if corpus.texts is None:
            msg = (
                "which texts were indexed of the documents is not known, so they cannot be saved; make the retriever "
                "with FirstStageRetriever.from_documents(...)"
            )
            raise InvalidInputError(msg)
        target = Path(folder).expanduser()
        settings = {"top_n": top_n, "reranker": None if reranker is None else self._entry_of_reranker(reranker)}
        if top_n is None and reranker is not None:
            top_n = reranker.top_n
        write_folder(
            target,
            texts=corpus.texts,
            first_stage=corpus.first_stage,
            reranker=None if reranker is None else reranker.reranker,
            selection={
                "top_k": top_k,
                "top_n": top_n,
                "threshold": None if reranker is None else reranker.threshold,
                "threshold_unit": "probability" if reranker is None else reranker.threshold_unit,
            },
            attached=Attached(self.name, settings, {key: self.entry_of(key, one) for key, one in corpus.items.items()}),
        )
        return target

    def open_folder(self, folder: str | Path) -> OpenedFolder[_Reranker, _Item]:
        """Read what :meth:`write` wrote, or raise InvalidInputError."""
        source = Path(folder).expanduser()
        saved = read_folder(source)
        with told_if_damaged(source):
            return OpenedFolder(self, saved, saved.attached(self.name))

    def _entry_of_reranker(self, reranker: _Reranker) -> dict[str, Any]:
        """Return what opens a reranker again; its class is None if only who made it can."""
        name = type(reranker).__name__
        if self.classes.get(name) is not type(reranker) or not reranker.reranker.is_reopenable:
            return {"class": None, "options": {}}
        options = reranker.model_dump(mode="json", exclude={*NOT_KEPT, "calibration"})
        options.pop("class_name", None)
        calibration = reranker.reranker.calibration
        kept = None if calibration is None else TypeAdapter(Calibration).dump_python(calibration, mode="json")
        return {"class": name, "options": {**options, "calibration": kept}}


@dataclass(frozen=True)
class OpenedFolder(Generic[_Reranker, _Item]):
    """A saved retriever of one framework.

    Attributes:
        parts: The framework's.
        saved: The core's part.
        attached: The framework's part.
    """

    parts: RetrieverParts[_Reranker, _Item]
    saved: SavedRetriever
    attached: Attached

    def corpus(self, embedder: object) -> Corpus[_Item]:
        """Return the first stage with its documents.

        Args:
            embedder: See :meth:`RetrieverParts.embedder_of`; None opens the saved one.
        """
        given = None if embedder is None else self.parts.embedder_of(embedder)
        with told_if_damaged(self.saved.folder):
            items = {key: self.parts.item_of(entry) for key, entry in self.attached.documents.items()}
            model = given if isinstance(given, Embedder) else self.saved.embedder(given)
            return Corpus(self.saved.first_stage(model), items, self.saved.texts)

    def second_stage(self, reranker: object) -> tuple[_Reranker | None, int | None]:
        """Return what reranks, and the retriever's ``top_n``.

        Args:
            reranker: An object of the adapter is used as it is, a core reranker or a model's name with the saved
                limits; None opens the one that was saved, if any.

        Raises:
            InvalidInputError: It was of a class of the caller's, or of a model in memory.
            ModelError: The model cannot be loaded.
        """
        top_n = self.attached.settings.get("top_n")
        if reranker is None:
            return self._saved_reranker(self.attached.settings.get("reranker")), top_n
        if isinstance(reranker, self.parts.base):
            return reranker, top_n
        with told_if_damaged(self.saved.folder):
            limits = {name: self.saved.selection[name] for name in ("top_n", "threshold", "threshold_unit")}
        return self.parts.second_stage(reranker, **limits), limits["top_n"]

    def _saved_reranker(self, entry: Mapping[str, Any] | None) -> _Reranker | None:
        if entry is None:
            return None
        with told_if_damaged(self.saved.folder):
            if entry["class"] is None:
                msg = f"{self.saved.folder}: its reranker can be opened by who made it only; pass reranker=..."
                raise InvalidInputError(msg)
            check_kept(entry["options"], folder=self.saved.folder)
            return self.parts.classes[entry["class"]](**entry["options"])
