"""Tokenizers for the checkpoints: BERT's comes with the mini reranker, the others are trained on the bundled sample.

A trained vocabulary is smaller than the published one, so texts have more tokens; workloads are made in tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib import resources

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from benchmarks.texts import passages, queries
from rerank_plugins.catalog.families.qwen3 import QWEN3_CHAT

__all__ = ["bert_tokenizer", "gemma_tokenizer", "minicpm_tokenizer", "qwen_tokenizer", "xlmr_tokenizer"]

_VOCABULARY = 8_000
_BLANK = "▁"
# The answer tokens and the prompt's line breaks must be in the vocabulary.
_ANSWERS = ["Yes", "No", "\n", "A: ", "B: "] * 400
_INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"


def bert_tokenizer() -> Tokenizer:
    """Return BERT's English tokenizer, which the mini reranker uses too."""
    file = resources.files("rerank_plugins_mini") / "reranker" / "tokenizer.json"
    return Tokenizer.from_str(file.read_text(encoding="utf-8"))


def xlmr_tokenizer() -> Tokenizer:
    """Return a unigram tokenizer laid out as XLM-R's: ids 0 to 3 are <s>, <pad>, </s>, <unk>.

    Its pieces are those that byte-pair merges find, weighted by their order as Zipf's law has it: the library's own
    trainer of unigrams gives other numbers every time.
    """
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    merged = _bpe(special, normalizers.Replace(" ", _BLANK)).get_vocab()
    order = sorted(merged, key=merged.__getitem__)
    pieces = [(piece, 0.0 if piece in special else -math.log(place)) for place, piece in enumerate(order, start=1)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=special.index("<unk>")))
    tokenizer.add_special_tokens(special)
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


def gemma_tokenizer() -> Tokenizer:
    """Return a BPE tokenizer laid out as Gemma's: ids 0 to 3 are <pad>, <eos>, <bos>, <unk>; no blank in front."""
    tokenizer = _bpe(["<pad>", "<eos>", "<bos>", "<unk>"], normalizers.Replace(" ", _BLANK))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", pair="<bos> $A <bos>:1 $B:1", special_tokens=[("<bos>", 2)]
    )
    return tokenizer


def minicpm_tokenizer() -> Tokenizer:
    """Return a BPE tokenizer laid out as Llama's: ids 0 to 2 are <unk>, <s>, </s>; a blank in front of every text."""
    blanks = normalizers.Sequence([normalizers.Prepend(_BLANK), normalizers.Replace(" ", _BLANK)])
    tokenizer = _bpe(["<unk>", "<s>", "</s>"], blanks)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)]
    )
    return tokenizer


def qwen_tokenizer() -> Tokenizer:
    """Return a BPE tokenizer with the marks of Qwen3's chat, and the words of its reranker's prompt as whole tokens.

    The prompt then has fewer tokens than in the published vocabulary (words around a line break are one), so sharing it
    saves no more than it does there.
    """
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>", "<unk>"]
    prompt = [
        *QWEN3_CHAT.opening,
        QWEN3_CHAT.query_prefix(_INSTRUCTION),
        QWEN3_CHAT.between,
        *QWEN3_CHAT.closing,
        "yes",
        "no",
    ]
    return _bpe(special, normalizers.Replace(" ", _BLANK), words=prompt * 400)


def _bpe(special: list[str], normalizer: normalizers.Normalizer, *, words: Sequence[str] = _ANSWERS) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Split(_BLANK, "merged_with_next")
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=_VOCABULARY, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator([*passages(), *queries(), *words], trainer)
    return tokenizer
