"""How a retriever is copied and pickled: models are shared, callbacks stay where they are."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.callbacks import CallbackManager
from typing_extensions import Self

__all__ = ["CopiedRetriever"]

_CALLBACKS = "callback_manager"


class CopiedRetriever(BaseRetriever):
    """Base of the retrievers here.

    A copy, deep or not, shares the loaded models and reports to the same callbacks; a deep one has an index and nodes
    of its own. A pickle holds no callbacks, as those of LlamaIndex's other components do not: unpickling opens the
    models again and starts with a new callback manager.
    """

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
