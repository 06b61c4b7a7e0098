"""The special tokens around a text, as the model was trained and not only as its tokenizer file says."""

from __future__ import annotations

from rerank_plugins.catalog.checkpoint import CheckpointFiles
from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.text.pairs import TextLayout
from rerank_plugins.text.tokenizer import TextTokenizer

__all__ = ["special_ids", "text_layout"]

_WITHOUT_WEIGHT = ("cls_token", "eos_token", "pad_token", "unk_token")


def text_layout(tokenizer: TextTokenizer, spec: ModelSpec) -> TextLayout:
    """Return the tokenizer's layout of a text, ending in the model's last token.

    Decoders pool that token, and the template in ``tokenizer.json`` may lack it: e5-mistral's does.

    Raises:
        UnsupportedModelError: The vocabulary has no such token.
    """
    layout = TextLayout.of(tokenizer)
    if not spec.ends_in:
        return layout
    token_id = tokenizer.token_to_id(spec.ends_in)
    if token_id is None:
        msg = (
            f"{spec.id!r} pools the token {spec.ends_in!r} behind each text, and its tokenizer has none. Is the "
            "tokenizer.json the model's own?"
        )
        raise UnsupportedModelError(msg)
    return layout.ending_in(token_id)


def special_ids(tokenizer: TextTokenizer, files: CheckpointFiles, layout: TextLayout) -> frozenset[int]:
    """Return the ids that get no lexical weight: those around a text, padding and unknown (FlagEmbedding's list)."""
    named = (tokenizer.token_to_id(token) for name in _WITHOUT_WEIGHT if (token := files.special_token(name)))
    known = {token_id for token_id in (*named, tokenizer.unknown_id) if token_id is not None}
    return frozenset(known | {*layout.prefix, *layout.suffix})
