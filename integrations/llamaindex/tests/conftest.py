"""Tiny checkpoints with random weights, written once per run; no test here uses the network."""

from __future__ import annotations

import json
import os

# Before anything imports huggingface_hub, which reads it once.
os.environ["HF_HUB_OFFLINE"] = "1"

from pathlib import Path

import pytest
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

SENTENCES = [
    "What does a panda eat? The giant panda eats bamboo and sleeps most of the day.",
    "Paris is the capital of France. Berlin is the capital of Germany.",
    "Net revenue grew in 2019. It fell in 2018.",
    "A panda is a bear of China. file page txt",
    "How do I renew a passport? first line second",
    "ask: tell: Represent this sentence for searching relevant passages:",
]
SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "initializer_range": 0.3,
    "max_position_embeddings": 514,
}
POOLING = {"word_embedding_dimension": 32, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
]
BERT_SPECIAL = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
XLMR_SPECIAL = {"pad_token": "<pad>", "unk_token": "<unk>", "cls_token": "<s>", "sep_token": "</s>"}


def wordpiece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    fill_wordpiece(tokenizer, SENTENCES, special=special)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    fill_unigram(tokenizer, SENTENCES, special=special)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


def save(model: PreTrainedModel, tokenizer: Tokenizer, folder: Path, special: dict[str, str]) -> None:
    model.eval().save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")


def add_pooling(folder: Path) -> None:
    for name in ("1_Pooling", "2_Normalize"):
        (folder / name).mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(POOLING), encoding="utf-8")
    (folder / "modules.json").write_text(json.dumps(MODULES), encoding="utf-8")


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of bert-reranker, xlmr-reranker, bert-embedder and xlmr-embedder."""
    root = tmp_path_factory.mktemp("checkpoints")
    torch.manual_seed(11)
    words, pieces = wordpiece(), unigram()
    bert = BertConfig(vocab_size=words.get_vocab_size(), num_labels=1, **SMALL)
    xlmr = XLMRobertaConfig(
        vocab_size=pieces.get_vocab_size(), num_labels=1, type_vocab_size=1, pad_token_id=1, **SMALL
    )
    save(BertForSequenceClassification(bert), words, root / "bert-reranker", BERT_SPECIAL)
    save(XLMRobertaForSequenceClassification(xlmr), pieces, root / "xlmr-reranker", XLMR_SPECIAL)
    save(BertModel(bert), words, root / "bert-embedder", BERT_SPECIAL)
    save(XLMRobertaModel(xlmr), pieces, root / "xlmr-embedder", XLMR_SPECIAL)
    for name in ("bert-embedder", "xlmr-embedder"):
        add_pooling(root / name)
    return root
