"""Tiny rerankers beyond BERT and XLM-R: prompted decoders, T5, DeBERTa, ModernBERT. Random weights, no download.

Tokenizers are laid out like the published ones where that decides which ids come out: Qwen's takes "?" and a line
break together, T5's puts a blank before the first word.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file
from tiny_checkpoints import SENTENCES, unigram, wordpiece
from tiny_vocabularies import fill_unigram
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HAS_QWEN3 = hasattr(transformers, "Qwen3Config")
HAS_MODERNBERT = hasattr(transformers, "ModernBertConfig")
HAS_GTE = hasattr(transformers, "GteConfig")

_QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"]
_ANSWERS = ["yes no", "yes", "no", "0", "1", "true false", "What is it?\nIt is.\n"] * 60
_DECODER = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.25,
    "max_position_embeddings": 4096,
}
_ENCODER = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "initializer_range": 0.3,
}


def qwen_tokenizer() -> Tokenizer:
    """Return a byte-level BPE tokenizer that splits as Qwen's does, with its chat tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_QWEN_SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=900, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([*SENTENCES * 3, *_ANSWERS], trainer)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.add_tokens([AddedToken(text, normalized=False, special=True) for text in _QWEN_TOKENS])
    return tokenizer


def t5_tokenizer() -> Tokenizer:
    """Return a Unigram tokenizer laid out as T5's: <pad>, </s>, <unk>, and every word with its blank."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    # Words of up to eight characters become whole tokens; the answers must be.
    texts = [*SENTENCES, "Query: true Document: false Relevant: yes"]
    fill_unigram(tokenizer, texts, special=["<pad>", "</s>", "<unk>", "<s>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    return tokenizer


def save(model: Any, tokenizer: Tokenizer, folder: Path, **tokenizer_config: object) -> Path:
    """Write a checkpoint: weights, config, tokenizer.json and tokenizer_config.json."""
    model.eval().save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    content = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 8192, **tokenizer_config}
    (folder / "tokenizer_config.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def change_config(folder: Path, **changes: object) -> Path:
    """Change values of a checkpoint's ``config.json``."""
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}), encoding="utf-8")
    return folder


def qwen_reranker(folder: Path, *, tied: bool = True, vocabulary: Tokenizer | None = None) -> Path:
    """Write a Qwen3 decoder (a Qwen2 one where transformers is too old) that answers with yes and no, or 1 and 0."""
    torch.manual_seed(21)
    tokenizer = vocabulary or qwen_tokenizer()
    name = "Qwen3" if HAS_QWEN3 else "Qwen2"
    extra = {"head_dim": 8} if HAS_QWEN3 else {}
    config = getattr(transformers, f"{name}Config")(
        vocab_size=tokenizer.get_vocab_size(),
        tie_word_embeddings=tied,
        bos_token_id=None,
        eos_token_id=tokenizer.token_to_id("<|im_end|>"),
        pad_token_id=tokenizer.token_to_id("<|endoftext|>"),
        **_DECODER,
        **extra,
    )
    model = getattr(transformers, f"{name}ForCausalLM")(config)
    return save(model, tokenizer, folder, pad_token="<|endoftext|>", eos_token="<|im_end|>")


def mxbai_reranker(folder: Path) -> Path:
    """Write a Qwen2 decoder, as mxbai-rerank-v2 is one."""
    torch.manual_seed(22)
    tokenizer = qwen_tokenizer()
    config = transformers.Qwen2Config(
        vocab_size=tokenizer.get_vocab_size(),
        tie_word_embeddings=True,
        pad_token_id=tokenizer.token_to_id("<|endoftext|>"),
        **_DECODER,
    )
    model = transformers.Qwen2ForCausalLM(config)
    return save(model, tokenizer, folder, pad_token="<|endoftext|>", eos_token="<|im_end|>")


def _t5_config(tokenizer: Tokenizer, **options: Any) -> Any:
    return transformers.T5Config(
        vocab_size=tokenizer.get_vocab_size(),
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        initializer_factor=1.0,
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=1,
        n_positions=512,
        **options,
    )


def mono_t5(folder: Path, *, tied: bool = True) -> Path:
    """Write a T5 with its output matrix tied to the embeddings (T5 1.0, monoT5) or not (T5 1.1)."""
    torch.manual_seed(23)
    tokenizer = t5_tokenizer()
    options = {} if tied else {"feed_forward_proj": "gated-gelu"}
    model = transformers.T5ForConditionalGeneration(_t5_config(tokenizer, tie_word_embeddings=tied, **options))
    save(model, tokenizer, folder, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
    if not tied:
        # transformers 5 writes T5 1.1 as if it were tied; the published files are as transformers 4 wrote them.
        weights = load_file(str(folder / "model.safetensors"))
        weights["lm_head.weight"] = torch.randn(tokenizer.get_vocab_size(), 32) * 0.5
        save_file(weights, str(folder / "model.safetensors"), {"format": "pt"})
        change_config(folder, tie_word_embeddings=False)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config.pop("scale_decoder_outputs", None)
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def tart_full(folder: Path) -> Path:
    """Write a T5 encoder with a classifier of two labels on its first token, as TART-full is one."""
    torch.manual_seed(24)
    tokenizer = t5_tokenizer()
    model = transformers.T5EncoderModel(_t5_config(tokenizer, tie_word_embeddings=False, num_labels=2))
    model.classifier = torch.nn.Linear(32, 2)
    save(model, tokenizer, folder, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", bos_token="<s>")
    return change_config(folder, architectures=["EncT5ForSequenceClassification"], model_type="t5")


def jina_v2(source: Path, folder: Path) -> Path:
    """Write an XLM-R cross-encoder once more, under the names and with the config of jina-reranker-v2."""
    shutil.copytree(source, folder)
    stored = load_file(str(folder / "model.safetensors"))
    weights = {}
    for name, tensor in stored.items():
        for old, new in _FLASH_NAMES:
            name = name.replace(old, new)
        weights[name] = tensor
    for layer in range(2):
        prefix = f"roberta.encoder.layers.{layer}.attention.self"
        for kind in ("weight", "bias"):
            parts = [weights.pop(f"{prefix}.{part}.{kind}") for part in ("query", "key", "value")]
            weights[f"roberta.encoder.layers.{layer}.mixer.Wqkv.{kind}"] = torch.cat(parts)
    save_file(weights, str(folder / "model.safetensors"), {"format": "pt"})
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    del config["model_type"]
    module = "modeling_xlm_roberta.XLMRobertaForSequenceClassification"
    config["auto_map"] = {"AutoModelForSequenceClassification": module}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


_FLASH_NAMES = (
    ("embeddings.LayerNorm", "emb_ln"),
    ("encoder.layer.", "encoder.layers."),
    ("attention.output.dense", "mixer.out_proj"),
    ("attention.output.LayerNorm", "norm1"),
    ("intermediate.dense", "mlp.fc1"),
    ("output.dense", "mlp.fc2"),
    ("output.LayerNorm", "norm2"),
)


def deberta_reranker(folder: Path) -> Path:
    """Write a DeBERTa-v2 cross-encoder with relative positions, as mxbai-rerank-v1 is one."""
    torch.manual_seed(25)
    tokenizer = wordpiece()
    config = transformers.DebertaV2Config(
        vocab_size=tokenizer.get_vocab_size(),
        num_labels=1,
        type_vocab_size=0,
        max_position_embeddings=512,
        relative_attention=True,
        position_buckets=64,
        pos_att_type=["p2c", "c2p"],
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        position_biased_input=False,
        pooler_dropout=0.0,
        pooler_hidden_act="gelu",
        **_ENCODER,
    )
    return save(transformers.DebertaV2ForSequenceClassification(config), tokenizer, folder, **_CLS)


def modernbert_reranker(folder: Path, *, pooling: str = "mean") -> Path:
    """Write a ModernBERT cross-encoder with local and global layers."""
    torch.manual_seed(26)
    tokenizer = wordpiece()
    ids = {name: tokenizer.token_to_id(token) for name, token in _MODERNBERT_IDS.items()}
    config = transformers.ModernBertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        num_labels=1,
        max_position_embeddings=1024,
        local_attention=16,
        global_attn_every_n_layers=2,
        classifier_pooling=pooling,
        **ids,
        **{name: value for name, value in _ENCODER.items() if name != "initializer_range"},
        initializer_range=0.4,
        initializer_cutoff_factor=3.0,
    )
    model = transformers.ModernBertForSequenceClassification(config)
    return save(model, tokenizer, folder, model_input_names=["input_ids", "attention_mask"], **_CLS)


def gte_reranker(folder: Path) -> Path:
    """Write a GTE cross-encoder, as gte-multilingual-reranker is one."""
    torch.manual_seed(27)
    tokenizer = unigram()
    options = {"vocab_size": tokenizer.get_vocab_size(), "num_labels": 1, "type_vocab_size": 1, "pad_token_id": 1}
    config = transformers.GteConfig(max_position_embeddings=1024, **options, **_ENCODER)
    return save(transformers.GteForSequenceClassification(config), tokenizer, folder, pad_token="<pad>")


_CLS: dict[str, object] = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
_MODERNBERT_IDS = {
    "pad_token_id": "[PAD]",
    "bos_token_id": "[CLS]",
    "cls_token_id": "[CLS]",
    "eos_token_id": "[SEP]",
    "sep_token_id": "[SEP]",
}
