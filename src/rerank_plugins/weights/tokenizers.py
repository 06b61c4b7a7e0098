"""A checkpoint's tokenizer, tried before it is believed: what fails on some text fails at load instead.

``tokenizer.json`` is read without transformers, which only a checkpoint without that file needs.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tokenizers import Tokenizer

from rerank_plugins.catalog.checkpoint import CheckpointFiles
from rerank_plugins.catalog.file_names import check_named_files
from rerank_plugins.catalog.json_files import is_there, read_json, read_object
from rerank_plugins.catalog.scorer_traits import STATIC
from rerank_plugins.catalog.weight_headers import StoredTensor, read_headers
from rerank_plugins.checks.boundary import checkpoint_errors
from rerank_plugins.checks.optional import needs_torch
from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.text.tokenizer import TextTokenizer
from rerank_plugins.text.tokenizer_file import (
    add_named_tokens,
    follow_bert_settings,
    follow_prefix_space,
    read_tokenizer,
)
from rerank_plugins.weights.base import CheckpointRequest

__all__ = ["check_ids", "checked_tokenizer", "converted_tokenizer", "load_tokenizer"]

logger = logging.getLogger(__name__)

_PLAIN_TOKENIZERS = ("PreTrainedTokenizerFast", "TokenizersBackend")
_WITH_SEGMENTS = ("bert", "electra", "albert")
_BERT_TYPES = ("bert", "convbert", "distilbert", "electra", "funnel", "layoutlm", "mobilebert", "mpnet", "squeezebert")
_BERT_TOKENIZERS = tuple(
    f"{name}Tokenizer{fast}"
    for name in (
        "Bert",
        "ConvBert",
        "DistilBert",
        "Electra",
        "Funnel",
        "LayoutLM",
        "MobileBert",
        "MPNet",
        "SqueezeBert",
    )
    for fast in ("", "Fast")
)
"""Tokenizers that make a BERT normaliser of their own settings, and architectures that get one of them by default."""

_FIRST_TOKENS = {"GemmaTokenizer": "<bos>", "LlamaTokenizer": "<s>"}
"""What texts start with by the class alone."""

_CLASSES_OF_TYPES = {"gemma": "GemmaTokenizer", "gemma2": "GemmaTokenizer", "llama": "LlamaTokenizer"}
"""The class that an architecture gets where no file names one."""

_BYTE_TYPES = ("bart", "deberta", "gpt2", "longformer", "roberta")
_BYTE_TOKENIZERS = tuple(
    f"{name}Tokenizer{fast}" for name in ("Bart", "Deberta", "GPT2", "Longformer", "Roberta") for fast in ("", "Fast")
)
"""Byte-level tokenizers that put a space in front of a text by their own settings, and architectures that get one."""

_NEWEST = "5"
"""The transformers that is followed where none is installed."""

_TRIALS = (
    "a",
    "What is 1 + 1?\n\nTwo.",
    "\u5927\u718a\u732b \u00e9\u0301 \u0e44\u0e17\u0e22",
    "\U0001f9ff \ue000 \x00\u200b",
    " ",
    "x" * 300,
)
"""Texts that reach every part of a tokenizer: letters, digits, other scripts, signs that no vocabulary has."""
_VOCABULARIES = ("vocab.txt", "vocab.json", "sentencepiece.bpe.model", "spiece.model", "tokenizer.model")
_SMALL_FILES = (".json", ".txt", ".model", ".py", ".jinja")
_EMBEDDINGS = (
    "word_embeddings.weight",
    "embed_tokens.weight",
    "tok_embeddings.weight",
    "shared.weight",
    "wte.weight",
)


def load_tokenizer(request: CheckpointRequest) -> TextTokenizer:
    """Return the checkpoint's tokenizer.

    ``tokenizer.json`` is read as it is: transformers 5 rebuilds some tokenizers from the vocabulary
    and ignores the normaliser in that file. Added tokens of the files beside it are added, as transformers does.
    Without it transformers converts the slow tokenizer.

    Raises:
        UnsupportedModelError: There is no tokenizer that can be used.
    """
    files = request.files
    lowercase = bool(files.sentence_bert.get("do_lower_case", False))
    path = files.folder / "tokenizer.json"
    if is_there(path):
        uses_segments = _uses_segments(request)
        tokenizer = read_tokenizer(path)
        _follow_settings(tokenizer, request)
        if request.spec.scorer != STATIC:  # model2vec reads tokenizer.json alone
            with checkpoint_errors(f"read the added tokens of {str(files.folder)!r}"):
                added = read_object(files.folder / "added_tokens.json")
                add_named_tokens(tokenizer, files.tokenizer_config, added, rows=_embeddings(request))
        bos = _bos_id(request, tokenizer)
        made = TextTokenizer(tokenizer, lowercase=lowercase, uses_segments=uses_segments, bos_id=bos)
        return checked_tokenizer(made, request)
    converted = converted_tokenizer(request)
    uses_segments = "token_type_ids" in converted.model_input_names
    tokenizer = converted.backend_tokenizer
    bos = _bos_id(request, tokenizer)
    return checked_tokenizer(
        TextTokenizer(tokenizer, lowercase=lowercase, uses_segments=uses_segments, bos_id=bos), request
    )


def _uses_segments(request: CheckpointRequest) -> bool:
    """Return whether the model gets segment ids, as the installed transformers would decide, or 5 where there is none.

    A tokenizer of no model's own class (transformers 4 names it ``PreTrainedTokenizerFast``, 5 ``TokenizersBackend``)
    makes them by default in transformers 4 and not in 5.
    """
    config = request.files.tokenizer_config
    names, kind = config.get("model_input_names"), config.get("tokenizer_class")
    if names is not None or kind not in _PLAIN_TOKENIZERS:
        return names is None or "token_type_ids" in names
    if kind == _PLAIN_TOKENIZERS[0] and request.files.config.get("model_type") in _WITH_SEGMENTS:
        logger.warning(
            "the tokenizer of %r does not say whether its %s is given segment ids; this follows transformers %s. "
            "Put model_input_names into its tokenizer_config.json, with token_type_ids if it was trained with them",
            str(request.files.folder),
            request.files.config.get("model_type"),
            _version(),
        )
    return kind == _PLAIN_TOKENIZERS[0] and int(_version().split(".", 1)[0]) < 5


def _follow_settings(tokenizer: Tokenizer, request: CheckpointRequest) -> None:
    """Let ``tokenizer_config.json`` decide on lower case, accents and spaces if transformers' tokenizer for it does."""
    settings = request.files.tokenizer_config
    name, model_type = settings.get("tokenizer_class"), request.files.config.get("model_type")
    contradicted = list[str]()
    if name in _BERT_TOKENIZERS or (name is None and model_type in _BERT_TYPES):
        contradicted = follow_bert_settings(tokenizer, settings)
    elif name in _BYTE_TOKENIZERS or (name is None and model_type in _BYTE_TYPES):
        contradicted = follow_prefix_space(tokenizer, settings)
    if contradicted:
        logger.warning(
            "the tokenizer.json of %r says otherwise than its tokenizer_config.json (or transformers' default): this "
            "follows transformers, with %s. Make the two files agree",
            str(request.files.folder),
            ", ".join(contradicted),
        )


def _bos_id(request: CheckpointRequest, tokenizer: Tokenizer) -> int | None:
    """Return the id that a text starts with; None without such a token, or if it is the padding token."""
    first = request.files.special_token("bos_token") or _first_of_class(request.files)
    if first is None or first == request.files.special_token("pad_token"):
        return None
    return tokenizer.token_to_id(first)


def _first_of_class(files: CheckpointFiles) -> str | None:
    """Return what texts start with for a tokenizer of transformers where no file says; None for nothing."""
    path = files.folder / "tokenizer_config.json"
    if is_there(path) and "bos_token" in read_json(path):  # A null says that there is none.
        return None
    kind = files.tokenizer_config.get("tokenizer_class") or _CLASSES_OF_TYPES.get(files.config.get("model_type", ""))
    return _FIRST_TOKENS.get(str(kind).removesuffix("Fast"))


def _version() -> str:
    """Return transformers' version without importing it."""
    try:
        return version("transformers")
    except PackageNotFoundError:
        return _NEWEST


def converted_tokenizer(request: CheckpointRequest) -> Any:
    """Return the tokenizer that transformers makes of a vocabulary, for a checkpoint without ``tokenizer.json``.

    Raises:
        UnsafeModelError: ``tokenizer_config.json`` names a file outside the folder.
        UnsupportedModelError: There is no vocabulary, or transformers cannot read it.
    """
    folder, settings = request.files.folder, request.files.tokenizer_config
    # Without any vocabulary transformers 5 makes up an empty tokenizer instead of failing.
    if not any((folder / name).is_file() for name in _VOCABULARIES):
        msg = (
            f"{str(folder)!r} has no tokenizer.json, and none of {', '.join(_VOCABULARIES)} from which transformers "
            "could make one. Save it once with AutoTokenizer.from_pretrained(...).save_pretrained(folder)."
        )
        raise UnsupportedModelError(msg)
    check_named_files(folder, settings.items(), named_by="tokenizer_config.json")
    task = f"make a tokenizer of {str(folder)!r}, which has no tokenizer.json, with transformers"
    with needs_torch():
        import transformers
    with checkpoint_errors(task), _naming_no_files(folder, settings) as place:
        return transformers.AutoTokenizer.from_pretrained(
            place, use_fast=True, local_files_only=True, trust_remote_code=request.trust_remote_code
        )


@contextmanager
def _naming_no_files(folder: Path, settings: Mapping[str, Any]) -> Iterator[Path]:
    """Yield the folder, or a copy of its small files if its tokenizer's settings name files.

    They were true on the machine that saved them. transformers 4 opens them all the same, in the working directory
    too; today's reads the files that lie in the folder.
    """
    kept = {key: value for key, value in settings.items() if not key.endswith("_file")}
    if len(kept) == len(settings):
        yield folder
        return
    with TemporaryDirectory(prefix="rerank-plugins-") as copy:
        for path in folder.iterdir():
            if path.suffix in _SMALL_FILES and path.is_file():
                shutil.copyfile(path, Path(copy) / path.name)
        (Path(copy) / "tokenizer_config.json").write_text(json.dumps(kept), encoding="utf-8")
        yield Path(copy)


def checked_tokenizer(tokenizer: TextTokenizer, request: CheckpointRequest) -> TextTokenizer:
    """Return the tokenizer, after it has encoded a few texts and pairs.

    Raises:
        UnsupportedModelError: It cannot encode them (no unknown token, a layout with tokens that do not exist), or
            has tokens that the model has no embedding for.
    """
    encodings = [tokenizer.encode_with_special_tokens(text) for text in _TRIALS]
    encodings += [tokenizer.encode_pair_with_special_tokens(_TRIALS[0], text) for text in _TRIALS]
    tokenizer.encode(_TRIALS)
    highest = max((max(encoding.ids, default=0) for encoding in encodings), default=0)
    rows = _embeddings(request)
    if rows is not None:
        check_ids(tokenizer, rows, folder=request.files.folder, least=highest)
    return tokenizer


def check_ids(tokenizer: TextTokenizer, rows: int, *, folder: Path, least: int = 0) -> None:
    """Refuse a tokenizer with more tokens than the model has embeddings.

    Args:
        tokenizer: The tokenizer.
        rows: Embeddings of the model.
        folder: The checkpoint, for the error.
        least: An id that is known to come out.

    Raises:
        UnsupportedModelError: An id is too high.
    """
    highest = max(tokenizer.highest_id, least)
    if highest >= rows:
        msg = (
            f"the tokenizer of {str(folder)!r} has tokens up to {highest}, and the model has {rows} embeddings: "
            "they do not belong together. Is tokenizer.json the model's own?"
        )
        raise UnsupportedModelError(msg)


def _embeddings(request: CheckpointRequest) -> int | None:
    """Return the rows of the embedding matrix; None if nothing says it (a table of a static model is checked there)."""
    stored: Mapping[str, StoredTensor] = read_headers(request.files.folder)
    found = [one.shape[0] for name, one in stored.items() if name.endswith(_EMBEDDINGS) and len(one.shape) > 1]
    declared = request.files.config.get("vocab_size")
    found += [declared] if isinstance(declared, int) else []
    return min(found, default=None)
