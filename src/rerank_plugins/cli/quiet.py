"""Keeping other libraries' bars off a command's output."""

from __future__ import annotations

from importlib.util import find_spec

__all__ = ["quiet_loading"]


def quiet_loading() -> None:
    """Switch off transformers' weight-loading bar; it says nothing and takes under a second."""
    if find_spec("transformers") is None:
        return  # then there is no bar either
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
