"""Tiny checkpoints with random weights: the right architecture, files and tokenizer, no download.

Weights come from a fixed seed and are large enough that scores differ clearly between pairs.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tiny_vocabularies import fill_unigram, fill_wordpiece
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
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
    "The giant panda is a bear species endemic to China.",
    "What is a panda? It eats bamboo and sleeps most of the day.",
    "Net revenue grew by 12.5 % in 2019, compared with 8.1 % in 2018.",
    "Patients with high blood pressure should ask their doctor about salt.",
    "Paris is the capital of France; Berlin is the capital of Germany.",
    "鹦鹉的生活习性是什么？鹦鹉吃种子、水果和小鱼。",
    "大熊猫是中国特有的物种，主要以竹子为食。",
    "How do I renew a passport? You need a photo, a form and a fee.",
]

_SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "initializer_range": 0.3,
}


def wordpiece() -> Tokenizer:
    """Return a BERT-like tokenizer that knows the words of the sentences."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    fill_wordpiece(tokenizer, SENTENCES, special=special)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", tokenizer.token_to_id("[CLS]")), ("[SEP]", tokenizer.token_to_id("[SEP]"))],
    )
    return tokenizer


def unigram() -> Tokenizer:
    """Return an XLM-R-like tokenizer that knows the words of the sentences: ids 0 to 3 are <s>, <pad>, </s>, <unk>."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    fill_unigram(tokenizer, SENTENCES, special=special)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


def _save(model: PreTrainedModel, tokenizer: Tokenizer, folder: Path, *, special: dict[str, object]) -> Path:
    model.eval().save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


_BERT_SPECIAL: dict[str, object] = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    # Without it transformers 5 gives a plain fast tokenizer's model no segment ids.
    "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
}
_XLMR_SPECIAL: dict[str, object] = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "cls_token": "<s>",
    "sep_token": "</s>",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
}


def bert_reranker(folder: Path, *, n_labels: int = 1, positions: int = 512) -> Path:
    """Write a BERT cross-encoder."""
    torch.manual_seed(7)
    tokenizer = wordpiece()
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(), num_labels=n_labels, max_position_embeddings=positions, **_SMALL
    )
    return _save(BertForSequenceClassification(config), tokenizer, folder, special=_BERT_SPECIAL)


def xlmr_reranker(folder: Path) -> Path:
    """Write an XLM-R cross-encoder."""
    torch.manual_seed(8)
    config = _xlmr_config(unigram())
    config.num_labels = 1
    return _save(XLMRobertaForSequenceClassification(config), unigram(), folder, special=_XLMR_SPECIAL)


def bert_embedder(folder: Path, *, pooling: str | None = "cls", normalize: bool = True) -> Path:
    """Write a BERT embedder, with sentence-transformers' files unless ``pooling`` is None."""
    torch.manual_seed(9)
    tokenizer = wordpiece()
    model = BertModel(BertConfig(vocab_size=tokenizer.get_vocab_size(), **_SMALL))
    _save(model, tokenizer, folder, special=_BERT_SPECIAL)
    if pooling is not None:
        write_modules(folder, pooling=pooling, normalize=normalize)
    return folder


def xlmr_embedder(folder: Path, *, pooling: str = "mean") -> Path:
    """Write an XLM-R embedder with sentence-transformers' files."""
    torch.manual_seed(10)
    tokenizer = unigram()
    _save(XLMRobertaModel(_xlmr_config(tokenizer)), tokenizer, folder, special=_XLMR_SPECIAL)
    write_modules(folder, pooling=pooling, normalize=True)
    return folder


def write_modules(folder: Path, *, pooling: str, normalize: bool) -> None:
    """Write modules.json and the Pooling config as sentence-transformers does."""
    kind = "sentence_transformers.models"
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": f"{kind}.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": f"{kind}.Pooling"},
    ]
    if normalize:
        modules.append({"idx": 2, "name": "2", "path": "2_Normalize", "type": f"{kind}.Normalize"})
        (folder / "2_Normalize").mkdir()
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    keys = {"cls": "cls_token", "mean": "mean_tokens", "last_token": "lasttoken"}
    config: dict[str, object] = {f"pooling_mode_{key}": name == pooling for name, key in keys.items()}
    config["word_embedding_dimension"] = _SMALL["hidden_size"]
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(config), encoding="utf-8")


def _xlmr_config(tokenizer: Tokenizer) -> XLMRobertaConfig:
    return XLMRobertaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        max_position_embeddings=514,
        type_vocab_size=1,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        **_SMALL,
    )
