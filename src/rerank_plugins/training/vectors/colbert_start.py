"""A ColBERT that exists already, in the words in which one is trained and saved.

colbert-ai and PyLate join markers as ids; the folder that a training writes (sentence-transformers' format) has them as
text in front of each text. Whether that gives the same tokens depends on the tokenizer, and is tried out.
"""

from __future__ import annotations

from typing import Any, NoReturn

from torch import Tensor, nn

from rerank_plugins.catalog.checkpoint import CheckpointFiles
from rerank_plugins.catalog.late_interaction import LateInteraction, RootProjection, TokenSide
from rerank_plugins.catalog.module_files import DenseStep
from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.scorers.late_interaction import root_weights
from rerank_plugins.text.late_inputs import LateInputs, LateLengths
from rerank_plugins.text.late_vocabulary import late_vocabulary
from rerank_plugins.text.tokenizer import TextTokenizer
from rerank_plugins.training.vectors.colbert_files import TokenFormat
from rerank_plugins.weights.base import LoadRequest
from rerank_plugins.weights.side_files import read_side_file

__all__ = [
    "QUERY_LENGTH",
    "TEXT_LENGTH",
    "check_colbert",
    "check_same_tokens",
    "lengths_of",
    "projection_of",
    "token_format_of",
]

QUERY_LENGTH, TEXT_LENGTH = 32, 180
"""ColBERT's (Khattab and Zaharia 2020), where nothing else is asked for."""

_SAMPLES = ("what is a panda?", " Größe: 12 kg", "大熊猫吃什么？", "(a-b) c_d", "x")


def check_colbert(files: CheckpointFiles, late: LateInteraction) -> None:
    """Refuse a ColBERT that the format of a trained one cannot hold.

    Args:
        files: Its checkpoint.
        late: How it is used.

    Raises:
        UnsupportedModelError: It does something else than one projection and vectors of length 1, all of the query's.
    """
    step = late.projection[0] if len(late.projection) == 1 else None
    if isinstance(step, DenseStep) and (step.has_bias or step.is_residual or step.activation != "Identity"):
        _refuse(files, "its projection has a bias, an activation or a residual")
    if step is None:
        _refuse(files, f"it has {len(late.projection)} projections")
    if not late.normalizes:
        _refuse(files, "its vectors are not normalised")
    if late.query.skipped or late.drops_first:
        _refuse(files, "tokens of its queries get no vector")
    if late.expansion is not None and not late.expansion.cuts:
        _refuse(files, "it fills queries up and does not cut longer ones")


def lengths_of(late: LateInteraction) -> tuple[int, int]:
    """Return the tokens of a query and of a text at most."""
    return late.query_length or QUERY_LENGTH, late.document.length or TEXT_LENGTH


def token_format_of(files: CheckpointFiles, late: LateInteraction, tokenizer: Any) -> TokenFormat:
    """Return how a ColBERT reads and compares texts.

    Args:
        files: Its checkpoint.
        late: How it is used.
        tokenizer: transformers' own.

    Raises:
        UnsupportedModelError: The vocabulary lacks a marker, or the token that fills queries up.
    """
    vocabulary = late_vocabulary(_texts(tokenizer), files, late)
    query_length, text_length = lengths_of(late)

    def word(token: int | None) -> str:
        return "" if token is None else str(tokenizer.convert_ids_to_tokens(token))

    def prefix(side: TokenSide, marker: int | None) -> str:
        return word(marker) + side.prompt

    by_id = tuple(word(one) for one in sorted(vocabulary.document_skipped))
    return TokenFormat(
        prefixes=(prefix(late.query, vocabulary.query_marker), prefix(late.document, vocabulary.document_marker)),
        query_length=query_length,
        text_length=text_length,
        expansion=word(vocabulary.expansion) or None,
        attends=late.expansion is not None and late.expansion.attends,
        skipped=late.document.skipped if late.skip_rule == "whole token" else by_id,
        similarity="meanmaxsim" if late.is_mean else "maxsim",
    )


def check_same_tokens(files: CheckpointFiles, late: LateInteraction, tokenizer: Any, made: TokenFormat) -> None:
    """Try out whether markers that are text give the tokens that a ColBERT reads.

    Args:
        files: Its checkpoint.
        late: How it is used.
        tokenizer: transformers' own, which knows the markers.
        made: Its format.

    Raises:
        UnsupportedModelError: They do not.
    """
    texts = _texts(tokenizer)
    lengths = LateLengths(query=made.query_length, document=made.text_length)
    inputs = LateInputs(texts, late, late_vocabulary(texts, files, late), lengths)
    queries = [one.input.ids[: len(one.input.ids) - one.n_filled].tolist() for one in inputs.queries(_SAMPLES)]
    documents = [one.input.ids.tolist() for one in inputs.cut_documents(_SAMPLES)]
    for prefix, length, wanted in zip(
        made.prefixes, (lengths.query, lengths.document), (queries, documents), strict=True
    ):
        for sample, ids in zip(_SAMPLES, wanted, strict=True):
            found = tokenizer.backend_tokenizer.encode(prefix + sample).ids
            if len(found) <= length and found != ids:
                _refuse(files, f"its tokenizer reads {prefix!r} in front of a text as other tokens than its marker")


def projection_of(late: LateInteraction, request: LoadRequest) -> nn.Linear:
    """Return the projection of a ColBERT that was checked, in float32.

    Raises:
        ModelError: It cannot be read, or is no matrix.
    """
    (step,) = late.projection
    if isinstance(step, RootProjection):
        weights, name = root_weights(step, request), "weight"
    else:
        safe, pickled = step.folder / "model.safetensors", step.folder / "pytorch_model.bin"
        weights, name = read_side_file(safe, pickled, allow_pickle=request.allow_pickle), "linear.weight"
    weight: Tensor | None = weights.get(name)
    if weight is None or weight.dim() != 2 or len(weights) > 1:
        _refuse(request.files, f"its projection holds {', '.join(sorted(weights)) or 'nothing'} instead of one matrix")
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    linear.load_state_dict({"weight": weight.float()})
    return linear


def _texts(tokenizer: Any) -> TextTokenizer:
    return TextTokenizer(tokenizer.backend_tokenizer, uses_segments="token_type_ids" in tokenizer.model_input_names)


def _refuse(files: CheckpointFiles, why: str) -> NoReturn:
    msg = (
        f"{str(files.folder)!r} is a ColBERT that is not trained further here: {why}. Start from the encoder that it "
        "was made from"
    )
    raise UnsupportedModelError(msg)
