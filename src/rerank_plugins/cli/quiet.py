"""Keeps other libraries' progress bars out of a command's output."""

from __future__ import annotations

from rerank_plugins.catalog.hub_settings import check_hub_settings

__all__ = ["quiet_loading"]


def quiet_loading() -> None:
    """Switch off transformers' progress bar for loading weights, which takes under a second.

    Raises:
        InvalidInputError: An environment variable keeps transformers from being imported.
    """
    check_hub_settings()
    try:
        from transformers.utils import logging
    except ModuleNotFoundError:
        return  # then there is no bar either
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
