"""Tiny checkpoints with random weights: the layouts of BGE and BCE models, built in a second, no network."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tiny_vocabularies import fill_unigram, fill_wordpiece
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    PreTrainedModel,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
    XLMRobertaModel,
)

TEXTS = [
    "Paris is the capital of France and its largest city.",
    "Berlin is the capital of Germany; the Spree flows through it.",
    "What is the capital of France? Which river flows through Berlin?",
    "The panda is a bear that eats bamboo in the mountains of Sichuan.",
    "Reranking reads a query and a document together and scores the pair.",
    "Line one of a note.\nLine two of the same note.",
]
_SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "initializer_range": 0.3,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}


def save_bert_reranker(folder: Path) -> Path:
    return _save(BertForSequenceClassification, _bert_config(num_labels=1), _bert_tokenizer(), folder)


def save_xlmr_reranker(folder: Path) -> Path:
    return _save(XLMRobertaForSequenceClassification, _xlmr_config(num_labels=1), _xlmr_tokenizer(), folder)


def save_bert_embedder(folder: Path) -> Path:
    _save(BertModel, _bert_config(), _bert_tokenizer(), folder)
    return _add_modules(folder, pooling="pooling_mode_cls_token")


def save_xlmr_embedder(folder: Path) -> Path:
    _save(XLMRobertaModel, _xlmr_config(), _xlmr_tokenizer(), folder)
    return _add_modules(folder, pooling="pooling_mode_cls_token")


def _save(
    model_class: type[PreTrainedModel], config: BertConfig | XLMRobertaConfig, tokenizer: Tokenizer, folder: Path
) -> Path:
    torch.manual_seed(7)
    config.vocab_size = tokenizer.get_vocab_size()
    model_class(config).eval().save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    own = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": tokenizer.id_to_token(config.pad_token_id),
        # Without it transformers 5 gives the plain fast class's pairs no segment ids.
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(own), encoding="utf-8")
    return folder


def _add_modules(folder: Path, *, pooling: str) -> Path:
    names = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    modules = [
        {"idx": idx, "name": str(idx), "path": path, "type": f"sentence_transformers.models.{name}"}
        for idx, (path, name) in enumerate(names)
    ]
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    (folder / "1_Pooling").mkdir()
    own = {"word_embedding_dimension": 32, pooling: True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(own), encoding="utf-8")
    return folder


def _bert_config(**extra: int) -> BertConfig:
    return BertConfig(max_position_embeddings=64, pad_token_id=0, **_SMALL, **extra)


def _xlmr_config(**extra: int) -> XLMRobertaConfig:
    # Positions start after the padding id, so 66 rows hold 64 tokens.
    return XLMRobertaConfig(
        max_position_embeddings=66, type_vocab_size=1, bos_token_id=0, pad_token_id=1, eos_token_id=2, **_SMALL, **extra
    )


def _bert_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    fill_wordpiece(tokenizer, TEXTS, special=special)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def _xlmr_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    fill_unigram(tokenizer, TEXTS, special=special)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer
