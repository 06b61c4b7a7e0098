"""Build the tiny encoder checkpoints: random weights from a fixed seed, tokenizers from sample texts.

Run it in the reference environment described in README.md:

    python make_checkpoints.py --sample-dir PATH_TO_TINY_SAMPLE

The sample is a folder of ``*/corpus.jsonl`` and ``*/queries.jsonl`` files with a ``text`` field.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import sentencepiece
import torch
from golden_io import CHECKPOINTS
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from torch import nn
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    PreTrainedModel,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
    XLMRobertaModel,
)
from transformers.convert_slow_tokenizer import import_protobuf

VOCAB_SIZE = 1800
BERT_ALPHABET = 1000
HIDDEN = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}


def sample_texts(sample_dir: Path) -> list[str]:
    """Return every text of the sample, in a fixed order."""
    texts: list[str] = []
    for path in sorted(sample_dir.glob("*/*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            texts.append(" ".join(json.loads(line)["text"].split()))
    return texts


def train_sentencepiece(texts: list[str]) -> Any:
    """Train a Unigram SentencePiece model with XLM-R's normaliser and return its protobuf."""
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus.txt"
        corpus.write_text("\n".join(text[:4000] for text in texts), encoding="utf-8")
        sentencepiece.SentencePieceTrainer.train(
            input=str(corpus),
            model_prefix=str(Path(folder) / "sp"),
            vocab_size=VOCAB_SIZE,
            model_type="unigram",
            character_coverage=0.99,
            normalization_rule_name="nmt_nfkc",
            num_threads=1,
            shuffle_input_sentence=False,
            max_sentence_length=16000,
        )
        proto = import_protobuf().ModelProto()
        proto.ParseFromString((Path(folder) / "sp.model").read_bytes())
    return proto


def xlmr_tokenizer(texts: list[str]) -> Tokenizer:
    """Build a tokenizer laid out as the published XLM-R one: fairseq ids, Precompiled, Metaspace."""
    proto = train_sentencepiece(texts)
    vocab = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    vocab += [(piece.piece, piece.score) for piece in proto.pieces[3:]]
    vocab += [("<mask>", 0.0)]
    tokenizer = Tokenizer(models.Unigram(vocab, unk_id=3))
    tokenizer.normalizer = normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap)
    metaspace = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), metaspace])
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    return tokenizer


def frequent(counts: Counter[str], number: int) -> list[str]:
    """Return the most counted strings; ties go by code point, so that the answer never varies."""
    return [piece for piece, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:number]]


def wordpiece_vocabulary(texts: list[str], special: list[str]) -> list[str]:
    """Choose characters and frequent word parts (the library's own trainer is not reproducible)."""
    normalizer, splitter = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    words: Counter[str] = Counter()
    for text in texts:
        words.update(word for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)))
    characters: Counter[str] = Counter()
    parts: Counter[str] = Counter()
    for word, count in words.items():
        for start in range(len(word)):
            characters[word[start]] += count
            for end in range(start + 2, len(word) + 1):
                weight = count * (end - start - 1) * (3 if end == len(word) else 1)
                parts[("##" if start else "") + word[start:end]] += weight
    alphabet = frequent(characters, BERT_ALPHABET)
    inner = ["##" + letter for letter in "abcdefghijklmnopqrstuvwxyz0123456789"]
    return (special + alphabet + inner + frequent(parts, VOCAB_SIZE))[:VOCAB_SIZE]


def bert_tokenizer(texts: list[str]) -> Tokenizer:
    """Build a lower-casing WordPiece tokenizer laid out as the published BERT ones."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocab = {piece: index for index, piece in enumerate(wordpiece_vocabulary(texts, special))}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.add_special_tokens(special)
    return tokenizer


XLMR_TOKENIZER_CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "bos_token": "<s>",
    "cls_token": "<s>",
    "eos_token": "</s>",
    "sep_token": "</s>",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
    "mask_token": "<mask>",
    "model_input_names": ["input_ids", "attention_mask"],
    "model_max_length": 512,
    "clean_up_tokenization_spaces": False,
}
BERT_TOKENIZER_CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "mask_token": "[MASK]",
    "do_lower_case": True,
    "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
    "model_max_length": 512,
    "clean_up_tokenization_spaces": True,
}


def randomise(model: PreTrainedModel, seed: int, std: float) -> None:
    """Fill every parameter from a seeded generator, so that scores differ clearly and do not saturate."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator) * std
            parameter.copy_(noise + 1.0 if "LayerNorm.weight" in name else noise)
        for module in model.modules():
            if isinstance(module, nn.Embedding) and module.padding_idx is not None:
                module.weight[module.padding_idx].zero_()


def save(name: str, model: PreTrainedModel, tokenizer: Tokenizer, config: dict[str, Any]) -> None:
    """Write one checkpoint folder (safetensors fp32)."""
    folder = CHECKPOINTS / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    text = json.dumps(config, ensure_ascii=False, indent=1) + "\n"
    (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")


def build_xlmr(texts: list[str]) -> None:
    """Write tiny-xlmr-reranker and tiny-xlmr-embedder."""
    tokenizer = xlmr_tokenizer(texts)
    config = XLMRobertaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        max_position_embeddings=514,
        type_vocab_size=1,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        layer_norm_eps=1e-5,
        num_labels=1,
        **HIDDEN,
    )
    reranker = XLMRobertaForSequenceClassification(config)
    randomise(reranker, seed=11, std=0.35)
    save("tiny-xlmr-reranker", reranker, tokenizer, XLMR_TOKENIZER_CONFIG)
    embedder = XLMRobertaModel(config, add_pooling_layer=True)
    randomise(embedder, seed=12, std=0.35)
    save("tiny-xlmr-embedder", embedder, tokenizer, XLMR_TOKENIZER_CONFIG)


def build_bert(texts: list[str]) -> None:
    """Write tiny-bert-reranker and tiny-bert-embedder."""
    tokenizer = bert_tokenizer(texts)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        max_position_embeddings=512,
        pad_token_id=0,
        num_labels=1,
        **HIDDEN,
    )
    reranker = BertForSequenceClassification(config)
    randomise(reranker, seed=21, std=0.35)
    save("tiny-bert-reranker", reranker, tokenizer, BERT_TOKENIZER_CONFIG)
    embedder = BertModel(config)
    randomise(embedder, seed=22, std=0.35)
    save("tiny-bert-embedder", embedder, tokenizer, BERT_TOKENIZER_CONFIG)


def main() -> None:
    """Build all four encoder checkpoints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample-dir", type=Path, required=True)
    texts = sample_texts(parser.parse_args().sample_dir)
    torch.set_num_threads(1)
    build_xlmr(texts)
    build_bert(texts)


if __name__ == "__main__":
    main()
