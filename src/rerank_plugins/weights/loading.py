"""Loads checkpoints: safe weight formats, no missing weights, the same behaviour on transformers 4 and 5."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from tokenizers import Tokenizer
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from rerank_plugins.catalog.file_names import check_indexes, check_named_by_config
from rerank_plugins.catalog.formats import refuse_other_formats, refuse_quantised
from rerank_plugins.catalog.json_files import is_there
from rerank_plugins.catalog.weight_headers import check_claims, read_headers
from rerank_plugins.checks.boundary import checkpoint_errors
from rerank_plugins.errors import UnsafeModelError, UnsupportedModelError
from rerank_plugins.text.tokenizer import TextTokenizer
from rerank_plugins.text.tokenizer_file import read_tokenizer
from rerank_plugins.weights.base import LoadRequest
from rerank_plugins.weights.flash_names import has_flash_names, xlmr_from_flash_names
from rerank_plugins.weights.lora import merge_lora
from rerank_plugins.weights.own_rows import base_folder, has_own_rows, read_rows
from rerank_plugins.weights.tokenizers import checked_tokenizer, converted_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["check_weights", "load_model", "load_tokenizer", "read_own_weights", "refuse_missing"]

logger = logging.getLogger(__name__)

_PLAIN_TOKENIZERS = ("PreTrainedTokenizerFast", "TokenizersBackend")
_WITH_SEGMENTS = ("bert", "electra", "albert")
_UNUSED_BUFFERS = ("position_ids", "pooler.")
"""Keys whose absence changes no score: a buffer that is rebuilt, and a pooler that is not read."""


def load_tokenizer(request: LoadRequest) -> TextTokenizer:
    """Return the checkpoint's tokenizer.

    ``tokenizer.json`` is read as it is: transformers 5 rebuilds some tokenizers from the vocabulary
    and ignores the normaliser in that file. Without it transformers converts the slow tokenizer.

    Raises:
        UnsupportedModelError: There is no tokenizer that can be used.
    """
    files = request.files
    lowercase = bool(files.sentence_bert.get("do_lower_case", False))
    path = files.folder / "tokenizer.json"
    if is_there(path):
        uses_segments = _uses_segments(request)
        tokenizer = read_tokenizer(path)
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


def _uses_segments(request: LoadRequest) -> bool:
    """Return whether the model gets segment ids, as the installed transformers would decide.

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
            transformers.__version__,
        )
    return kind == _PLAIN_TOKENIZERS[0] and _major_version() < 5


def _bos_id(request: LoadRequest, tokenizer: Tokenizer) -> int | None:
    """Return the id that a text starts with; None without such a token, or if it is the padding token."""
    names = []
    for key in ("bos_token", "pad_token"):
        entry = request.files.tokenizer_config.get(key)
        names.append(entry.get("content") if isinstance(entry, dict) else entry)
    if names[0] is None or names[0] == names[1]:
        return None
    return tokenizer.token_to_id(names[0])


def load_model(request: LoadRequest, auto_class: Any, *, attention: str | None = None) -> PreTrainedModel:
    """Return a transformers model in eval mode on the device.

    Args:
        request: What to load.
        auto_class: ``AutoModel`` or ``AutoModelForSequenceClassification``.
        attention: transformers' name of the attention to use; None leaves it to transformers.

    Raises:
        UnsafeModelError: Only pickled weights are there, or remote code is needed, and that was
            not allowed.
        UnsupportedModelError: Weights are missing, or transformers cannot build the model.
    """
    uses_flash_names = has_flash_names(request.files)
    if not uses_flash_names:
        _check_code(request)
    check_weights(request)
    folder = request.files.folder
    keyword = "dtype" if _major_version() >= 5 else "torch_dtype"
    options: dict[str, Any] = {keyword: request.dtype, "local_files_only": True}
    options["trust_remote_code"] = request.trust_remote_code
    if attention is not None:
        options["attn_implementation"] = attention
    with checkpoint_errors(f"load {str(folder)!r} with transformers {transformers.__version__}"):
        if uses_flash_names:
            model, missing = xlmr_from_flash_names(request.files, dtype=request.dtype)
        elif has_own_rows(folder):
            model, missing = _from_own_rows(folder, auto_class, request.dtype)
        else:
            model, info = auto_class.from_pretrained(
                folder, use_safetensors=_uses_safetensors(folder), output_loading_info=True, **options
            )
            missing = info["missing_keys"]
    refuse_missing(missing, folder, reads_pooler=request.files.architecture.endswith("ForSequenceClassification"))
    if request.lora is not None:
        merge_lora(dict(model.named_parameters()), request.lora)
    return model.eval().to(request.device)  # type: ignore[no-any-return]


def read_own_weights(request: LoadRequest) -> dict[str, torch.Tensor]:
    """Return the float32 weights of a checkpoint in this project's own format.

    Raises:
        UnsupportedModelError: The file is missing, or cannot be read.
    """
    check_weights(request)
    path = request.files.folder / "model.safetensors"
    with checkpoint_errors(f"read {str(path)!r}"):
        return read_rows(path)


def _from_own_rows(folder: Path, auto_class: Any, dtype: torch.dtype) -> tuple[PreTrainedModel, list[str]]:
    config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    model = auto_class.from_config(config)
    result = model.load_state_dict(read_rows(folder / "model.safetensors"), strict=False)
    return model.to(dtype), list(result.missing_keys)


def _check_code(request: LoadRequest) -> None:
    folder = request.files.folder
    model_type = str(request.files.config.get("model_type", ""))
    # jina-reranker-v1 calls its own architecture a "bert".
    architecture = request.files.architecture
    is_known = model_type in CONFIG_MAPPING and (not architecture or hasattr(transformers, architecture))
    if request.files.needs_remote_code and not request.trust_remote_code and not is_known:
        msg = (
            f"{str(folder)!r} is a {model_type!r} ({architecture or 'no architecture named'}), which transformers "
            f"{transformers.__version__} runs only with Python code from the checkpoint. Pass trust_remote_code=True "
            "if you trust its source, or choose another model."
        )
        raise UnsafeModelError(msg)


def check_weights(request: LoadRequest) -> None:
    """Raise if the checkpoint has no weights in an allowed format, or weights that do not fit its config.

    Raises:
        UnsafeModelError: There are only pickled ones, and they were not allowed; or an index leads elsewhere.
        UnsupportedModelError: There are none; or they are quantised, damaged, or not those of the config.
    """
    folder = request.files.folder
    check_named_by_config(request.files.config, folder)
    check_indexes(folder)
    stored = read_headers(folder)
    base = base_folder(folder)
    if base is not None:
        stored = read_headers(base) | stored
    is_ours = request.files.own_format is not None or has_own_rows(folder)
    refuse_quantised(request.files.config, {} if is_ours else stored, folder=folder)
    check_claims(request.files.config, stored, folder=folder)
    has_pickle = request.allow_pickle and any(folder.glob("*.bin"))
    if _uses_safetensors(folder) or has_pickle:
        return
    pickled = sorted(path.name for path in folder.glob("*.bin"))
    if pickled:
        msg = (
            f"{str(folder)!r} has only pickled weights ({', '.join(pickled)}), and unpickling can run code. Convert "
            "them to safetensors, choose a revision that has them, or pass allow_pickle=True if you trust the source."
        )
        raise UnsafeModelError(msg)
    refuse_other_formats(folder)
    msg = (
        f"{str(folder)!r} has no model.safetensors. Either the download is incomplete, or the repository has only "
        "pickled weights, which are not fetched unless allow_pickle=True (unpickling can run code). "
        f"{request.spec.notes}"
    ).rstrip()
    raise UnsupportedModelError(msg)


def _uses_safetensors(folder: Path) -> bool:
    return any(folder.glob("*.safetensors")) or (folder / "model.safetensors.index.json").is_file()


def refuse_missing(missing: Iterable[str], folder: Path, *, reads_pooler: bool = False) -> None:
    """Raise UnsupportedModelError if weights are missing, because they would be initialised at random.

    Args:
        missing: Names of weights that the checkpoint lacks.
        folder: The checkpoint.
        reads_pooler: Whether the pooler's output is used, as by BERT's classifier and no embedder.

    Raises:
        UnsupportedModelError: Some are.
    """
    unused = _UNUSED_BUFFERS[:1] if reads_pooler else _UNUSED_BUFFERS
    lost = sorted(key for key in missing if not any(part in key for part in unused))
    if lost:
        msg = (
            f"{str(folder)!r} lacks {len(lost)} weights that the model needs ({', '.join(lost[:4])}...). They would be "
            "random numbers and so would the scores. Is it the right kind of model, and complete?"
        )
        raise UnsupportedModelError(msg)


def _major_version() -> int:
    return int(transformers.__version__.split(".", 1)[0])
