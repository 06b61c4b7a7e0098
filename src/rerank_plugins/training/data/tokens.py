"""Tokenizers for looking at data: read from their file, without torch and transformers."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer

from rerank_plugins.catalog.locate import locate
from rerank_plugins.catalog.names import existing_folder
from rerank_plugins.catalog.spec import ModelKind
from rerank_plugins.catalog.table import find_by_id
from rerank_plugins.errors import InvalidInputError, UnsupportedModelError
from rerank_plugins.text.tokenizer_file import read_tokenizer
from rerank_plugins.types import SourceOptions

__all__ = ["open_tokenizer"]

_FILE = "tokenizer.json"


def open_tokenizer(source: str | Path) -> Tokenizer:
    """Return a tokenizer that neither cuts nor pads.

    Args:
        source: A ``tokenizer.json``, a folder that has one, ``mini``, or a hub id.

    Raises:
        InvalidInputError: There is no such folder or file.
        ModelUnavailableError: The files are not here and could not be fetched.
        UnsupportedModelError: The model has no ``tokenizer.json``, or it cannot be read.
    """
    path = Path(source)
    file = path if path.is_file() else _folder_of(source) / _FILE
    if not file.is_file():
        msg = (
            f"{str(file.parent)!r} has no {_FILE}; make one with "
            "AutoTokenizer.from_pretrained(folder).save_pretrained(folder)"
        )
        raise UnsupportedModelError(msg)
    tokenizer = read_tokenizer(file)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _folder_of(source: str | Path) -> Path:
    here = existing_folder(source)
    if here is not None:
        return here
    if not str(source).strip():
        msg = "tokenizer must be a folder, a tokenizer.json, 'mini' or a hub id; got an empty name"
        raise InvalidInputError(msg)
    kinds: tuple[ModelKind, ...] = ("reranker", "embedder")
    for kind in kinds:
        listed = find_by_id(str(source), kind=kind)
        if listed is not None:
            return locate(source, listed=listed, kind=kind, options=SourceOptions())[0]
    return locate(source, listed=None, kind="reranker", options=SourceOptions())[0]
