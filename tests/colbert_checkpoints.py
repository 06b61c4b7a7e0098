"""Tiny late-interaction checkpoints with random weights, in each of the formats that are read."""

from __future__ import annotations

import json
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tiny_checkpoints import SENTENCES, unigram, wordpiece
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedModel, XLMRobertaConfig, XLMRobertaModel

__all__ = ["bert_tokenizer", "m3", "multi_vector_encoder", "pylate", "stanford", "write_json", "xlmr_tokenizer"]

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "initializer_range": 0.3,
}
MASK = "torch.nn.modules.linear.Identity"
BASE = "sentence_transformers.base.modules"
BERT_SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
XLMR_SPECIAL = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "cls_token": "<s>",
    "sep_token": "</s>",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
    "mask_token": "<mask>",
}


def write_json(path: Path, value: object) -> None:
    """Write a JSON file, with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def bert_tokenizer(*, markers: Sequence[str] = ("[unused0]", "[unused1]")) -> Tokenizer:
    """Return BERT's: the markers are in its vocabulary, and are no special tokens; so is all punctuation."""
    vocabulary = json.loads(wordpiece().to_str())["model"]["vocab"]
    for word in (*markers, *string.punctuation):
        vocabulary.setdefault(word, len(vocabulary))
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(list(BERT_SPECIAL.values()))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(one, tokenizer.token_to_id(one)) for one in ("[CLS]", "[SEP]")],
    )
    return tokenizer


def xlmr_tokenizer(*, markers: Sequence[str] = ()) -> Tokenizer:
    """Return XLM-R's, with a mask token and the markers added."""
    tokenizer = unigram()
    tokenizer.add_special_tokens([AddedToken(one, normalized=False) for one in ("<mask>", *markers)])
    return tokenizer


def bert(vocabulary: int, *, seed: int = 21) -> PreTrainedModel:
    """Return BERT."""
    torch.manual_seed(seed)
    return BertModel(BertConfig(vocab_size=vocabulary, max_position_embeddings=256, **SIZES), add_pooling_layer=False)


def xlmr(vocabulary: int, *, seed: int = 22) -> PreTrainedModel:
    """Return XLM-R."""
    torch.manual_seed(seed)
    config = XLMRobertaConfig(
        vocab_size=vocabulary,
        max_position_embeddings=258,
        type_vocab_size=1,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        **SIZES,
    )
    return XLMRobertaModel(config, add_pooling_layer=False)


def modernbert(vocabulary: int, *, seed: int = 23) -> PreTrainedModel:
    """Return ModernBERT with windows so narrow that most of a short text is outside of them."""
    from transformers import ModernBertConfig, ModernBertModel

    torch.manual_seed(seed)
    config = ModernBertConfig(
        vocab_size=vocabulary,
        max_position_embeddings=256,
        local_attention=16,
        global_attn_every_n_layers=2,
        pad_token_id=0,
        cls_token_id=2,
        sep_token_id=3,
        **{**SIZES, "num_hidden_layers": 3},
    )
    return ModernBertModel(config)


def save(
    folder: Path, model: PreTrainedModel, tokenizer: Tokenizer, special: dict[str, str], tokenizer_class: str
) -> None:
    """Write a transformer with its tokenizer."""
    model.eval().save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": tokenizer_class, "model_max_length": 256, **special}
    if special is BERT_SPECIAL:
        settings["model_input_names"] = ["input_ids", "token_type_ids", "attention_mask"]  # type: ignore[assignment]
        (folder / "vocab.txt").write_text(
            "".join(f"{word}\n" for word, _ in sorted(tokenizer.get_vocab().items(), key=lambda pair: pair[1])),
            encoding="utf-8",
        )
    write_json(folder / "tokenizer_config.json", settings)


def stanford(
    folder: Path, *, dim: int = 24, attend: bool = False, mask_punctuation: bool = True, **settings: Any
) -> Path:
    """Write a checkpoint of colbert-ai: weights under ``bert.``, the projection beside them, ``artifact.metadata``."""
    tokenizer = bert_tokenizer()
    model = bert(tokenizer.get_vocab_size())
    save(folder, model, tokenizer, BERT_SPECIAL, "BertTokenizerFast")
    weights = {f"bert.{name}": tensor for name, tensor in load_file(folder / "model.safetensors").items()}
    weights["linear.weight"] = torch.randn(dim, SIZES["hidden_size"]) * 0.3  # type: ignore[call-overload]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    write_json(folder / "config.json", {**config, "architectures": ["HF_ColBERT"]})
    metadata = {
        "query_token_id": "[unused0]",
        "doc_token_id": "[unused1]",
        "query_token": "[Q]",
        "doc_token": "[D]",
        "query_maxlen": 32,
        "doc_maxlen": 48,
        "dim": dim,
        "similarity": "cosine",
        "attend_to_mask_tokens": attend,
        "mask_punctuation": mask_punctuation,
        **settings,
    }
    write_json(folder / "artifact.metadata", metadata)
    return folder


def dense(
    folder: Path, n_in: int, n_out: int, *, seed: int, bias: bool = False, residual: bool = False, **config: Any
) -> None:
    """Write a Dense module."""
    torch.manual_seed(seed)
    weights = {"linear.weight": torch.randn(n_out, n_in) * 0.3}
    if bias:
        weights["linear.bias"] = torch.randn(n_out) * 0.3
    if residual and n_in != n_out:
        weights["residual.weight"] = torch.randn(n_out, n_in) * 0.3
    sizes = {"in_features": n_in, "out_features": n_out, "bias": bias, "activation_function": MASK}
    write_json(folder / "config.json", {**sizes, **({"use_residual": True} if residual else {}), **config})
    save_file(weights, folder / "model.safetensors")


def backbone(folder: Path, kind: str, markers: Sequence[str]) -> None:
    """Write a transformer of a kind: ``bert``, ``xlmr`` or ``modernbert``."""
    if kind == "xlmr":
        tokenizer = xlmr_tokenizer(markers=markers)
        save(folder, xlmr(tokenizer.get_vocab_size()), tokenizer, XLMR_SPECIAL, "PreTrainedTokenizerFast")
    else:
        tokenizer = bert_tokenizer(markers=())
        tokenizer.add_tokens([AddedToken(one, normalized=False) for one in markers])
        if kind == "modernbert":
            special = dict(BERT_SPECIAL)
            save(folder, modernbert(tokenizer.get_vocab_size()), tokenizer, special, "PreTrainedTokenizerFast")
            return
        save(folder, bert(tokenizer.get_vocab_size()), tokenizer, BERT_SPECIAL, "PreTrainedTokenizerFast")


def pylate(
    folder: Path, *, kind: str = "bert", widths: Sequence[int] = (24,), residual: bool = False, **settings: Any
) -> Path:
    """Write a checkpoint of PyLate 1.6, with one Dense module a width."""
    backbone(folder, kind, [settings.get("query_prefix", "[Q] "), settings.get("document_prefix", "[D] ")])
    modules = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
    n_in = SIZES["hidden_size"]
    for number, width in enumerate(widths, start=1):
        name = f"{number}_Dense"
        last = number == len(widths)
        activation = MASK if last else "torch.nn.modules.activation.GELU"
        dense(
            folder / name,
            int(n_in),
            width,
            seed=30 + number,
            bias=not last,
            residual=residual,
            activation_function=activation,
        )
        modules.append({"idx": number, "name": str(number), "path": name, "type": "pylate.models.Dense.Dense"})
        n_in = width
    write_json(folder / "modules.json", modules)
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 47, "do_lower_case": False})
    defaults = {
        "query_prefix": "[Q] ",
        "document_prefix": "[D] ",
        "query_length": 32,
        "document_length": 48,
        "attend_to_expansion_tokens": False,
        "skiplist_words": list(string.punctuation),
        "do_query_expansion": True,
    }
    write_json(
        folder / "config_sentence_transformers.json",
        {"model_type": "ColBERT", "prompts": {}, "similarity_fn_name": "MaxSim", **defaults, **settings},
    )
    return folder


def multi_vector_encoder(
    folder: Path,
    *,
    kind: str = "bert",
    prompts: tuple[str, str] = ("[Q]", "[D]"),
    expansion: dict[str, Any] | None = None,
    similarity: str = "maxsim",
    skipped: Sequence[str] = tuple(string.punctuation),
    transformer: dict[str, Any] | None = None,
    mask: dict[str, Any] | None = None,
) -> Path:
    """Write a checkpoint of sentence-transformers 6, ``MultiVectorEncoder``."""
    backbone(folder, kind, [one for one in prompts if one.startswith("[")])
    names = {"module_input_name": "token_embeddings", "module_output_name": "token_embeddings"}
    dense(folder / "1_Dense", int(SIZES["hidden_size"]), 24, seed=40, **names)
    types = [
        ("", f"{BASE}.transformer.Transformer"),
        ("1_Dense", f"{BASE}.dense.Dense"),
        (
            "2_MultiVectorMask",
            "sentence_transformers.multi_vector_encoder.modules.multi_vector_mask.MultiVectorMask",
        ),
        ("3_Normalize", f"{BASE}.normalize.Normalize"),
    ]
    write_json(
        folder / "modules.json",
        [{"idx": n, "name": str(n), "path": path, "type": name} for n, (path, name) in enumerate(types)],
    )
    settings = {
        "transformer_task": "feature-extraction",
        "modality_config": {"text": {"method": "forward", "method_output_name": "last_hidden_state"}},
        "module_output_name": "token_embeddings",
        "document_length": 48,
        **({"query_expansion": expansion} if expansion is not None else {}),
        **(transformer or {}),
    }
    write_json(folder / "sentence_bert_config.json", settings)
    skip = {"skiplist_words": list(skipped), "skiplist_tasks": ["document"], "keep_only_token_ids": None}
    write_json(folder / "2_MultiVectorMask" / "config.json", {**skip, **(mask or {})})
    write_json(folder / "3_Normalize" / "config.json", names)
    write_json(
        folder / "config_sentence_transformers.json",
        {
            "model_type": "MultiVectorEncoder",
            "prompts": {"query": prompts[0], "document": prompts[1]},
            "default_prompt_name": None,
            "similarity_fn_name": similarity,
        },
    )
    return folder


def m3(folder: Path) -> Path:
    """Write BGE-M3: XLM-R with both of its heads."""
    backbone(folder, "xlmr", [])
    torch.manual_seed(50)
    for name, width in (("sparse_linear", 1), ("colbert_linear", int(SIZES["hidden_size"]))):
        linear = torch.nn.Linear(int(SIZES["hidden_size"]), width)
        save_file(dict(linear.state_dict()), folder / f"{name}.safetensors")
        torch.save(linear.state_dict(), folder / f"{name}.pt")
    return folder


TEXTS = [*SENTENCES, "a", "...", " ".join(SENTENCES) * 3, "x!y?z, w; (v) [u] {t} ~", "ﬁ é 👍 naïve"]
QUERIES = ["What do pandas eat?", "renew passport", "" + " ".join(SENTENCES), "鹦鹉吃什么？", "?"]
