"""What both retrievers do: take more nodes, lie in a folder, and be copied and pickled with their models shared."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.callbacks import CallbackManager
from llama_index.core.ingestion import run_transformations
from llama_index.core.schema import BaseNode, TransformComponent
from llama_index.retrievers.rerank_plugins.nodes import listed_nodes, nodes_by_id
from llama_index.retrievers.rerank_plugins.parts import OWN, PARTS, checked_transformations
from typing_extensions import Self

from rerank_plugins.adapters.corpus import async_twin
from rerank_plugins.checks.arguments import checked_call

if TYPE_CHECKING:
    from llama_index.retrievers.rerank_plugins.first_stage import FirstStageRetriever

__all__ = ["GrowingRetriever"]

_CALLBACKS = "callback_manager"


class GrowingRetriever(BaseRetriever):
    """Base of the retrievers here.

    A copy, deep or not, shares the loaded models and reports to the same callbacks; a deep one has an index and nodes
    of its own. A pickle holds no callbacks, as those of LlamaIndex's other components do not: unpickling opens the
    models again and starts with a new callback manager.
    """

    @checked_call(own=OWN)
    def insert_nodes(self, nodes: Sequence[BaseNode]) -> list[str]:
        """Index more nodes and return their ids. Calls that search meanwhile find all of them or none.

        Dense stages embed the new nodes only; BM25 indexes all again, so insert many at a time.

        Args:
            nodes: Nodes, documents or texts, which are indexed whole.

        Raises:
            InvalidInputError: ``nodes`` holds something else, an id is there already, or the retriever or its first
                stage was not made by ``from_documents``.
            ScoringError: The embedder returned NaN or infinity.
        """
        stage = self._indexed(
            "nodes cannot be added to it here; add them to its index, such as index.insert_nodes(...)"
        )
        added = nodes_by_id(listed_nodes(nodes, name="nodes"))
        stage._grow(added)
        return list(added)

    ainsert_nodes = async_twin(insert_nodes)

    @checked_call(own=OWN)
    def add_documents(
        self, documents: Sequence[BaseNode | str], *, transformations: Sequence[TransformComponent] | None = None
    ) -> list[str]:
        """Split documents as ``from_documents`` does, and insert their nodes; see :meth:`insert_nodes`.

        Args:
            documents: Documents, nodes or texts.
            transformations: Run over the documents first; those given to ``from_documents`` are not kept.
        """
        nodes = run_transformations(listed_nodes(documents), checked_transformations(transformations))
        return self.insert_nodes(list(nodes))

    aadd_documents = async_twin(add_documents)

    @checked_call()
    def persist(self, persist_dir: str | Path) -> Path:
        """Write nodes, vectors and settings into a folder, and return it.

        The folder is complete or not there at all, and holds nothing that runs code. The embedder is kept by name and
        settings; a reranker by its class and options, without where it ran, nor what its files may do (pickles, remote
        code). The core's ``TwoStageRetriever.load`` reads it too.

        Args:
            persist_dir: New, empty, or an earlier persisted retriever, which is replaced.

        Raises:
            InvalidInputError: A node is not plain JSON, the folder cannot be written, or the retriever or its first
                stage was not made by ``from_documents``.
        """
        stage = self._indexed("it cannot be persisted here; persist its index, and make this retriever over it again")
        return PARTS.write(persist_dir, stage._corpus, top_k=stage._top_k, **self._kept())

    def _indexed(self, otherwise: str) -> FirstStageRetriever:
        """Return what holds the nodes, or raise InvalidInputError with what to do ``otherwise``."""
        raise NotImplementedError

    def _kept(self) -> dict[str, Any]:
        """Return what a folder keeps of the second stage."""
        return {}

    def __copy__(self) -> Self:
        made = type(self).__new__(type(self))
        vars(made).update(vars(self))
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        made = memo[id(self)] = self.__copy__()
        vars(made).update({name: deepcopy(one, memo) for name, one in vars(self).items() if name != _CALLBACKS})
        return made

    def __getstate__(self) -> dict[str, Any]:
        return {name: one for name, one in vars(self).items() if name != _CALLBACKS}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, **{_CALLBACKS: CallbackManager()})
