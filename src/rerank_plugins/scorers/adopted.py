"""Scores with a model that another library has already loaded, with the same weights.

Recognised by the class's own module and name, so that none of these libraries is imported here:
FlagEmbedding ``BaseReranker`` (``FlagReranker``), BCEmbedding ``RerankerModel``, sentence-transformers
``CrossEncoder``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from rerank_plugins.catalog.checkpoint import lost_positions
from rerank_plugins.catalog.sentence_settings import activation_scale, check_transformer, default_prompt
from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.errors import InvalidInputError, UnsupportedModelError
from rerank_plugins.scorers.cross_encoder import scorer_of
from rerank_plugins.text.tokenizer import TextTokenizer
from rerank_plugins.types import LongDocuments, LongDocumentStrategy, TruncationRule
from rerank_plugins.weights.base import LoadedParts

__all__ = ["AdoptedModel", "adopt"]

logger = logging.getLogger(__name__)

_TEXT = "\x00text\x00"
"""Stands for a text where a format is read: nothing that an instruction holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptedModel:
    """A loaded model of another library, with the scorer and settings that it needs here.

    Attributes:
        parts: Tokenizer and scorer over the caller's weights.
        spec: The rules that the object itself follows.
        device: Where its weights are.
        dtype: Their precision.
        query_limit_tokens: Tokens of a query that the object keeps; None means the rule's own limit.
        long_documents: What the object does with documents that do not fit.
    """

    parts: LoadedParts
    spec: ModelSpec
    device: str
    dtype: str
    query_limit_tokens: int | None = None
    long_documents: LongDocumentStrategy | LongDocuments = "truncate"


def adopt(loaded: object) -> AdoptedModel:
    """Return the scorer and settings of another library's loaded model.

    Raises:
        InvalidInputError: The object is none of the known classes.
        UnsupportedModelError: The classifier has more than one label, or does something that is not done here.
    """
    for cls in type(loaded).__mro__:
        builder = _BUILDERS.get((cls.__module__.partition(".")[0], cls.__name__))
        if builder is not None:
            return builder(loaded)
    msg = (
        f"from_loaded() takes {', '.join(f'{package} {name}' for package, name in _BUILDERS)}; got "
        f"{type(loaded).__module__}.{type(loaded).__name__}. For a checkpoint, use Reranker(folder)."
    )
    raise InvalidInputError(msg)


def _flag_embedding(loaded: Any) -> AdoptedModel:
    _check_cut(loaded.tokenizer)
    adopted = _adopted(
        loaded.model,
        loaded.tokenizer,
        truncation="only_second",
        max_length=loaded.max_length,
        query_limit_tokens=loaded.query_max_length,
    )
    query, document = (_instruction(loaded, side) for side in ("query", "passage"))
    return replace(adopted, spec=replace(adopted.spec, query_prefix=query, document_prefix=document))


def _instruction(loaded: Any, side: str) -> str:
    """Return the text that a FlagReranker puts in front of queries or passages; empty for none.

    Source: FlagEmbedding 1.4.2 ``abc/inference/AbsReranker.py``, ``get_detailed_inputs``.

    Raises:
        UnsupportedModelError: Its format puts text behind them too, or leaves them out.
    """
    # Older versions of FlagEmbedding have no instructions.
    instruction = getattr(loaded, f"{side}_instruction_for_rerank", None)
    if instruction is None:
        return ""
    template = str(getattr(loaded, f"{side}_instruction_format"))
    try:
        before, found, after = template.replace("\\n", "\n").format(instruction, _TEXT).partition(_TEXT)
    except (LookupError, ValueError) as error:
        raise _refused_format(side, template) from error
    if not found or after:
        raise _refused_format(side, template)
    return before


def _refused_format(side: str, template: str) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"the loaded FlagReranker has {side}_instruction_format={template!r}; here an instruction stands in front of a "
        "text and nothing behind it, as in '{}{}'. Load it with such a format, or use it with FlagEmbedding itself"
    )


def _bce_embedding(loaded: Any) -> AdoptedModel:
    _check_cut(loaded.tokenizer)
    # On several GPUs it wraps the model.
    is_wrapped = isinstance(loaded.model, torch.nn.DataParallel)
    # RerankerModel.rerank: overlapping windows, the best one counts.
    return _adopted(
        loaded.model.module if is_wrapped else loaded.model,
        loaded.tokenizer,
        truncation="longest_first",
        max_length=loaded.max_length,
        long_documents=LongDocuments(strategy="maxp", overlap_tokens=loaded.overlap_tokens),
    )


def _check_cut(tokenizer: Any) -> None:
    """Raise UnsupportedModelError if texts that are too long lose their beginning."""
    side = getattr(tokenizer, "truncation_side", "right")
    if side != "right":
        msg = (
            f"the loaded model's tokenizer has truncation_side={side!r}, and texts lose their end here, so that the "
            "scores of long ones would be others. Set tokenizer.truncation_side = 'right' if the model was trained so"
        )
        raise UnsupportedModelError(msg)


def _sentence_transformers(loaded: Any) -> AdoptedModel:
    kinds = [type(module).__name__ for module in loaded] if isinstance(loaded, torch.nn.Sequential) else []
    if kinds not in ([], ["Transformer"]):
        # Version 6 runs modules one after the other; before that a CrossEncoder was a classifier alone.
        msg = f"the loaded CrossEncoder runs {' -> '.join(kinds)}; of classifiers this package runs a Transformer alone"
        raise UnsupportedModelError(msg)
    place, model_type = Path("the loaded CrossEncoder"), str(loaded.model.config.model_type)
    settings = loaded[0].get_config_dict() if kinds else {}
    sides = {name: getattr(loaded.tokenizer, name) for name in ("truncation_side", "padding_side")}
    check_transformer(place, settings, sides, task="sequence-classification", model_type=model_type)
    # Version 6 renamed max_length.
    length = loaded.max_seq_length if hasattr(loaded, "max_seq_length") else loaded.max_length
    adopted = _adopted(loaded.model, loaded.tokenizer, truncation="longest_first", max_length=length)
    kind = type(loaded.activation_fn if hasattr(loaded, "activation_fn") else loaded.default_activation_function)
    names = {"activation_fn": f"{kind.__module__}.{kind.__qualname__}"}
    prompts = {name: getattr(loaded, name, None) for name in ("prompts", "default_prompt_name")}
    return replace(
        adopted,
        spec=replace(
            adopted.spec,
            query_prefix=default_prompt(place, prompts),
            score_scale=activation_scale(place, names, {}),
        ),
    )


_BUILDERS: dict[tuple[str, str], Callable[[Any], AdoptedModel]] = {
    ("FlagEmbedding", "BaseReranker"): _flag_embedding,
    ("BCEmbedding", "RerankerModel"): _bce_embedding,
    ("sentence_transformers", "CrossEncoder"): _sentence_transformers,
}


def _adopted(
    model: Any,
    tokenizer: Any,
    *,
    truncation: TruncationRule,
    max_length: int | None,
    query_limit_tokens: int | None = None,
    long_documents: LongDocumentStrategy | LongDocuments = "truncate",
) -> AdoptedModel:
    if int(model.config.num_labels) != 1:
        msg = f"the loaded model has {model.config.num_labels} labels; a reranker has one"
        raise UnsupportedModelError(msg)
    if model.training:
        msg = "the loaded model is in training mode, so its scores are random; call model.eval() first"
        raise UnsupportedModelError(msg)
    positions = int(getattr(model.config, "max_position_embeddings", 512))
    positions -= lost_positions(model.config.model_type, int(model.config.pad_token_id or 0))
    spec = ModelSpec(
        id=str(model.config.name_or_path or model.config.model_type),
        kind="reranker",
        family="adopted",
        scorer="cross-encoder",
        default_max_length_tokens=min(max_length or positions, positions),
        max_length_tokens=positions,
        license="as loaded",
        truncation=truncation,
    )
    weight = next(model.parameters())
    uses_segments = "token_type_ids" in tokenizer.model_input_names
    made = TextTokenizer(tokenizer.backend_tokenizer, uses_segments=uses_segments)
    return AdoptedModel(
        parts=LoadedParts(tokenizer=made, scorer=scorer_of(model, is_ours=False)),
        spec=spec,
        device=str(weight.device),
        dtype=str(weight.dtype).removeprefix("torch."),
        query_limit_tokens=query_limit_tokens,
        long_documents=long_documents,
    )
