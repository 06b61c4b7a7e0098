"""How the retrievers of every framework are kept in a folder.

The core's part of a saved retriever is :mod:`rerank_plugins.retrieval.saved`, and the core's ``TwoStageRetriever.load``
reads it too; a framework's documents and its reranker, by class and options, lie beside it. A folder is complete or not
there at all, and holds nothing that runs code. The embedder is kept by name and settings; the reranker without where it
ran, nor what its files may do (pickles, remote code).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter

from rerank_plugins.adapters.corpus import Corpus
from rerank_plugins.adapters.fields import Count, Flag
from rerank_plugins.adapters.ranking import RankingOptions
from rerank_plugins.adapters.retrievers import RetrieverParts
from rerank_plugins.backends.handles import closed_on_error
from rerank_plugins.calibration import Calibration
from rerank_plugins.embedder import Embedder
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.retrieval.attached import NOT_KEPT, Attached, check_kept
from rerank_plugins.retrieval.folders import folders_of, with_folders
from rerank_plugins.retrieval.saved import SavedRetriever, read_folder, saved_settings_errors, write_folder

__all__ = ["OpenedFolder", "open_folder", "write_retriever"]

_Reranker = TypeVar("_Reranker", bound=RankingOptions)
_Item = TypeVar("_Item")
_COUNT: TypeAdapter[int] = TypeAdapter(Count)
_FLAG: TypeAdapter[bool] = TypeAdapter(Flag)


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

    def first_stage(self, embedder: object) -> tuple[Corpus[_Item], int]:
        """Return the first stage with its documents, and its ``top_k``.

        Args:
            embedder: See :meth:`RetrieverParts.embedder_of`; None opens the saved one.
        """
        existing = None if embedder is None else self.parts.embedder_of(embedder)
        with saved_settings_errors(self.saved.folder):
            top_k: int = _COUNT.validate_python(self.saved.selection["top_k"])
            items = {key: self.parts.item_of(entry) for key, entry in self.attached.documents.items()}
            model = existing if isinstance(existing, Embedder) else self.saved.embedder(existing)
            with closed_on_error([] if model is None or model is existing else [model]):
                return Corpus(self.saved.first_stage(model), items, self.saved.texts), top_k

    @property
    def keep_scores(self) -> bool:
        """Whether its first stage writes scores into metadata; frameworks whose results have a score do not ask."""
        with saved_settings_errors(self.saved.folder):
            return _FLAG.validate_python(self.attached.settings.get("keep_scores", True))

    def second_stage(self, reranker: object) -> tuple[_Reranker | None, int | None]:
        """Return what reranks, and the retriever's ``top_n``.

        Args:
            reranker: An object of the adapter is used as it is, a core reranker or a model's name with the saved
                limits; None opens the one that was saved, if any.

        Raises:
            InvalidInputError: It was of a class of the caller's, or of a model in memory.
            ModelError: The model cannot be loaded.
        """
        with saved_settings_errors(self.saved.folder):
            top_n = self.attached.settings.get("top_n")
            top_n = None if top_n is None else _COUNT.validate_python(top_n)
            limits = {name: self.saved.selection[name] for name in ("top_n", "threshold", "threshold_unit")}
        if reranker is None:
            return self._saved_reranker(self.attached.settings.get("reranker")), top_n
        if isinstance(reranker, self.parts.base):
            return reranker, top_n
        return self.parts.second_stage(reranker, **limits)

    def _saved_reranker(self, entry: Mapping[str, Any] | None) -> _Reranker | None:
        if entry is None:
            return None
        with saved_settings_errors(self.saved.folder):
            if entry["class"] is None:
                msg = f"{self.saved.folder}: its reranker can be opened by who made it only; pass reranker=..."
                raise InvalidInputError(msg)
            check_kept(entry["options"], folder=self.saved.folder)
            return self.parts.classes[entry["class"]](**with_folders(entry)["options"])


def write_retriever(
    parts: RetrieverParts[_Reranker, _Item],
    folder: str | Path,
    corpus: Corpus[_Item],
    *,
    top_k: int,
    top_n: int | None = None,
    reranker: _Reranker | None = None,
    keep_scores: bool = True,
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
    entry = None if reranker is None else _entry_of(reranker, parts)
    settings = {"top_n": top_n, "reranker": entry, "keep_scores": keep_scores}
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
        attached=Attached(parts.name, settings, {key: parts.entry_of(key, one) for key, one in corpus.items.items()}),
    )
    return target


def open_folder(parts: RetrieverParts[_Reranker, _Item], folder: str | Path) -> OpenedFolder[_Reranker, _Item]:
    """Read what :func:`write_retriever` wrote, or raise InvalidInputError."""
    source = Path(folder).expanduser()
    saved = read_folder(source)
    with saved_settings_errors(source):
        return OpenedFolder(parts, saved, saved.attached(parts.name))


def _entry_of(reranker: _Reranker, parts: RetrieverParts[_Reranker, _Item]) -> dict[str, Any]:
    """Return what opens a reranker again; its class is None if only who made it can."""
    name = type(reranker).__name__
    if parts.classes.get(name) is not type(reranker) or not reranker.reranker.is_named:
        return {"class": None, "options": {}}
    options = reranker.model_dump(mode="json", exclude={*NOT_KEPT, "calibration"})
    options.pop("class_name", None)
    calibration = reranker.reranker.calibration
    kept = None if calibration is None else TypeAdapter(Calibration).dump_python(calibration, mode="json")
    folders = folders_of(options, kind="reranker")
    return {"class": name, "options": {**options, "calibration": kept}, "folders": folders}
