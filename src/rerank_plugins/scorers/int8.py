"""Which models run in 8-bit integers, and the texts on which that is tried."""

from __future__ import annotations

import numpy as np

from rerank_plugins.catalog.checkpoint import CheckpointFiles
from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.protocols import Batch, TokenInput
from rerank_plugins.text.tokenizer import TextTokenizer
from rerank_plugins.weights.base import CheckpointRequest, LoadRequest

__all__ = ["int8_texts", "refuse_int8", "trial_texts"]

_SCORERS = ("cross-encoder", "transformer")
"""Those that make the result of an input alone, so that it is the same in every batch."""
_MODEL_TYPES = ("bert", "camembert", "rerank_plugins_segment_similarity", "roberta", "xlm-roberta")

_PAIRS = (
    (
        "how do bees make honey",
        "Bees collect nectar, store it in the comb and fan it with their wings until it thickens.",
    ),
    ("wie hoch ist der Mont Blanc?", "Der Mont Blanc ist mit 4.806 Metern der höchste Berg der Alpen."),
    ("熊猫吃什么？", "大熊猫主要以竹子为食，每天要吃十几公斤竹叶和竹笋。"),
    ("TypeError: 'NoneType' object is not iterable", "for row in cursor.fetchall() or []: print(row['id'], 3.14e-5)"),
    (
        "contract termination notice period",
        (
            "Either party may terminate this Agreement upon thirty (30) days' written notice; Section 7.2(b) and all "
            "payments due survive. Total: $1,250,000.00, net of VAT (19%)."
        ),
    ),
    ("", "!!! ??? --- 0000 1234567890 https://example.org/a?b=c&d=%20e"),
)
_MOST_TOKENS = 120


def refuse_int8(spec: ModelSpec, files: CheckpointFiles) -> None:
    """Raise UnsupportedModelError for a model that is no BERT-like encoder."""
    model_type = str(files.config.get("model_type", ""))
    if spec.scorer in _SCORERS and model_type in _MODEL_TYPES:
        return
    what = model_type if model_type and model_type not in _MODEL_TYPES else spec.scorer
    msg = (
        f"dtype='int8' is for BERT-like encoders (BERT, RoBERTa, XLM-R) that give a score or one vector, and "
        f"{spec.id!r} is a {what!r}. Leave dtype out, or take 'bfloat16' where the processor has it."
    )
    raise UnsupportedModelError(msg)


def int8_texts(request: LoadRequest, tokenizer: TextTokenizer) -> Batch | None:
    """Return :func:`trial_texts`; None where products in 8 bits are not asked for."""
    return trial_texts(request, tokenizer) if request.int8 else None


def trial_texts(request: CheckpointRequest, tokenizer: TextTokenizer) -> Batch:
    """Return real texts as the model gets them, to try 8-bit products on."""
    most = min(_MOST_TOKENS, request.files.max_length_tokens)
    inputs = []
    for first, second in _PAIRS:
        found = tokenizer.encode_pair_with_special_tokens(first, second)
        ids = np.array(found.ids[:most], dtype=np.int32)
        types = np.array(found.type_ids[:most], dtype=np.int32) if tokenizer.uses_segments else np.zeros_like(ids)
        inputs.append(TokenInput(ids, types))
    return Batch(inputs)
