"""Tiny embedders with instructions: random weights in the file layouts that the published models have.

Each function writes one and returns its folder. Those whose architecture an older transformers lacks raise
ImportError; :func:`available` tells which can be built here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tiny_checkpoints
import torch
import transformers
from safetensors.torch import save_file
from tiny_vocabularies import fill_unigram
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertModel, MistralConfig, MistralModel, T5Config, T5EncoderModel

TEXTS = [
    *tiny_checkpoints.SENTENCES,
    "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: <Find> this",
    "Represent the Wikipedia document for retrieval: and the question for retrieving supporting documents",
]

_DECODER = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 64,
    "initializer_range": 0.3,
    "max_position_embeddings": 512,
}


def metaspace_bpe(special: list[str], *, template: str) -> Tokenizer:
    """Return a Llama-like tokenizer."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(TEXTS * 3, trainer)
    return _with_template(tokenizer, template)


def byte_bpe(special: list[str], *, template: str) -> Tokenizer:
    """Return a Qwen-like tokenizer: every text comes back from its ids."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS * 3, trainer)
    return _with_template(tokenizer, template)


def e5_mistral(folder: Path) -> Path:
    """Write an e5-mistral: its tokenizer.json puts no </s> behind a text, its tokenizer_config.json asks for it."""
    torch.manual_seed(20)
    tokenizer = metaspace_bpe(["<unk>", "<s>", "</s>"], template="<s> $A")
    model = MistralModel(MistralConfig(vocab_size=tokenizer.get_vocab_size(), sliding_window=None, **_DECODER))
    config = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>", "unk_token": "<unk>"}
    _save(model, tokenizer, folder, {**config, "add_bos_token": True, "add_eos_token": True})
    return _modules(folder, pooling="last_token", max_length=256)


def bge_en_icl(folder: Path) -> Path:
    """Write a bge-en-icl: a decoder with tokens for instruction, query and response."""
    torch.manual_seed(21)
    tokenizer = byte_bpe(["<unk>", "<s>", "</s>"], template="<s> $A </s>")
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in ("<instruct>", "<query>", "<response>")])
    model = MistralModel(MistralConfig(vocab_size=tokenizer.get_vocab_size(), sliding_window=None, **_DECODER))
    config = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>", "unk_token": "<unk>"}
    return _save(model, tokenizer, folder, {**config, "add_eos_token": True})


def qwen3_embedding(folder: Path) -> Path:
    """Write a Qwen3-Embedding: texts end in the padding token, config and weights are those of a causal LM."""
    torch.manual_seed(22)
    tokenizer = byte_bpe(["<|endoftext|>", "<|im_end|>"], template="$A <|endoftext|>")
    shape = {**_DECODER, "head_dim": 8, "vocab_size": tokenizer.get_vocab_size()}
    model = transformers.Qwen3Model(transformers.Qwen3Config(**shape))
    _save(model, tokenizer, folder, {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"})
    _change(folder / "config.json", architectures=["Qwen3ForCausalLM"])
    prompt = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"
    _write(folder / "config_sentence_transformers.json", {"prompts": {"query": prompt, "document": ""}})
    return _modules(folder, pooling="last_token", max_length=256)


def bge_multilingual_gemma2(folder: Path) -> Path:
    """Write a bge-multilingual-gemma2: a decoder whose attention is soft-capped, hard enough to show."""
    torch.manual_seed(23)
    tokenizer = byte_bpe(["<pad>", "<eos>", "<bos>", "<instruct>", "<query>"], template="<bos> $A <eos>")
    shape = {**_DECODER, "head_dim": 8, "vocab_size": tokenizer.get_vocab_size(), "sliding_window": 16}
    config = transformers.Gemma2Config(attn_logit_softcapping=0.5, query_pre_attn_scalar=8, **shape)
    tokens = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "add_eos_token": True}
    return _save(transformers.Gemma2Model(config), tokenizer, folder, tokens)


def instructor(folder: Path) -> Path:
    """Write an INSTRUCTOR: a T5 encoder, mean pooling and a Dense layer without bias; the files do not say that the
    instruction is left out of the mean."""
    torch.manual_seed(24)
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.decoder = decoders.Metaspace()
    special = ["<pad>", "</s>", "<unk>"]
    fill_unigram(tokenizer, TEXTS, special=special)
    config = T5Config(
        vocab_size=tokenizer.get_vocab_size(), d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, n_positions=512
    )
    model = T5EncoderModel(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    tokens = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    _save(model, _with_template(tokenizer, "$A </s>"), folder, tokens)
    dense = torch.nn.Linear(32, 24, bias=False)
    (folder / "2_Dense").mkdir()
    activation = "torch.nn.modules.linear.Identity"
    settings = {"in_features": 32, "out_features": 24, "bias": False, "activation_function": activation}
    _write(folder / "2_Dense" / "config.json", settings)
    save_file({"linear.weight": dense.weight.detach()}, str(folder / "2_Dense" / "model.safetensors"))
    return _modules(folder, pooling="mean", max_length=128, dense=True)


def tart_dual(folder: Path) -> Path:
    """Write a TART-dual: BERT and mean pooling, no module files."""
    torch.manual_seed(25)
    tokenizer = tiny_checkpoints.wordpiece()
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = BertConfig(vocab_size=tokenizer.get_vocab_size(), initializer_range=0.3, **shape)
    tokens = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]"}
    names = ["input_ids", "token_type_ids", "attention_mask"]
    return _save(BertModel(config), tokenizer, folder, {**tokens, "model_input_names": names})


def bge_m3(folder: Path, *, pickled: bool = True) -> Path:
    """Write a bge-m3: XLM-R with two heads, which the published one has as pickles."""
    tiny_checkpoints.xlmr_embedder(folder, pooling="cls")
    torch.manual_seed(26)
    for name, width in (("sparse_linear", 1), ("colbert_linear", 32)):
        state = torch.nn.Linear(32, width).state_dict()
        if pickled:
            torch.save(state, folder / f"{name}.pt")
        else:
            save_file(state, str(folder / f"{name}.safetensors"))
    return folder


BUILDERS: dict[str, Callable[[Path], Path]] = {
    "e5-mistral-7b-instruct": e5_mistral,
    "bge-en-icl": bge_en_icl,
    "Qwen3-Embedding-0.6B": qwen3_embedding,
    "bge-multilingual-gemma2": bge_multilingual_gemma2,
    "instructor-base": instructor,
    "tart-dual-contriever-msmarco": tart_dual,
    "bge-m3": bge_m3,
}
"""By the last part of the published id, which is what a local copy is usually called."""

_NEEDS = {"Qwen3-Embedding-0.6B": "Qwen3Model", "bge-multilingual-gemma2": "Gemma2Model"}


def available(name: str) -> bool:
    """Return whether this transformers has the architecture."""
    return hasattr(transformers, _NEEDS.get(name, "BertModel"))


def _with_template(tokenizer: Tokenizer, template: str) -> Tokenizer:
    names = [part for part in template.split() if part != "$A"]
    ids = [(name, tokenizer.token_to_id(name)) for name in names]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=template, pair=f"{template} {template.replace('$A', '$B')}", special_tokens=ids
    )
    return tokenizer


def _save(model: Any, tokenizer: Tokenizer, folder: Path, tokens: dict[str, Any]) -> Path:
    model.eval().save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    # The plain fast class of transformers 4 makes segment ids unless told otherwise; these models take none.
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_input_names": ["input_ids", "attention_mask"]}
    _write(folder / "tokenizer_config.json", {**settings, **tokens})
    return folder


def _modules(folder: Path, *, pooling: str, max_length: int, dense: bool = False) -> Path:
    tiny_checkpoints.write_modules(folder, pooling=pooling, normalize=True)
    _write(folder / "sentence_bert_config.json", {"max_seq_length": max_length, "do_lower_case": False})
    if dense:
        listed = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
        entry = {"path": "2_Dense", "type": "sentence_transformers.models.Dense"}
        ordered = [*listed[:2], entry, *listed[2:]]
        _write(
            folder / "modules.json", [{**one, "idx": index, "name": str(index)} for index, one in enumerate(ordered)]
        )
    return folder


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def _change(path: Path, **changes: object) -> None:
    _write(path, {**json.loads(path.read_text(encoding="utf-8")), **changes})
