"""Write pairs.json, flag_reranker.json, plain_pairs.json and embeddings.json from the released code.

Run it in the reference environment described in README.md, after make_checkpoints.py.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from BCEmbedding import EmbeddingModel
from FlagEmbedding import FlagModel, FlagReranker
from golden_io import CHECKPOINTS, HERE, captured_inputs, versions, with_tokenizer_class, write_json
from golden_texts import Pair, build_pairs, embedding_texts
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedTokenizerFast

RERANKERS = {"tiny-xlmr-reranker": "XLMRobertaTokenizerFast", "tiny-bert-reranker": "BertTokenizerFast"}
EMBEDDERS = {"tiny-xlmr-embedder": "XLMRobertaTokenizerFast", "tiny-bert-embedder": "BertTokenizerFast"}
#: (max_length, query_max_length); None means the released default of max_length * 3 // 4.
LENGTHS = ((512, None), (128, None), (64, None), (512, 32), (128, 120), (64, 62))
PLAIN_LENGTHS = (512, 128, 64)
IDS_FOR = ("en-hit", "zh-hit", "newlines", "unknown-between-spaces", "fullwidth", "special-token-text",
           "accents-decomposed", "empty-passage", "query-380", "query-450-long-passage")  # fmt: skip
IDS_LENGTHS = ((512, None), (64, None), (64, 62))
INSTRUCTIONS = {
    "none": "",
    "bge-en": "Represent this sentence for searching relevant passages: ",
    "bge-zh": "为这个句子生成表示以用于检索相关文章：",
}


def flag_runs(checkpoint: str, folder: Path, pairs: list[Pair]) -> list[dict[str, Any]]:
    """Score all pairs with FlagReranker at every length setting, together and one by one."""
    reranker = FlagReranker(str(folder), use_fp16=False, devices="cpu", batch_size=16)
    rows = [[pair.query, pair.passage] for pair in pairs]
    runs = []
    for max_length, query_max_length in LENGTHS:
        options = {"max_length": max_length, "query_max_length": query_max_length}
        together = reranker.compute_score(rows, **options)
        alone = [reranker.compute_score([row], **options)[0] for row in rows]
        runs.append(
            {
                "checkpoint": checkpoint,
                **options,
                "normalize": False,
                "one_by_one_max_delta": max(abs(a - b) for a, b in zip(together, alone, strict=True)),
                "scores": {pair.id: score for pair, score in zip(pairs, together, strict=True)},
            }
        )
    normalized = reranker.compute_score(rows, normalize=True)
    runs.append({
        "checkpoint": checkpoint, "max_length": 512, "query_max_length": None, "normalize": True,
        "one_by_one_max_delta": None,
        "scores": {pair.id: score for pair, score in zip(pairs, normalized, strict=True)},
    })  # fmt: skip
    return runs


def flag_ids(checkpoint: str, folder: Path, pairs: list[Pair]) -> list[dict[str, Any]]:
    """Capture what FlagReranker feeds the model for a few pairs."""
    reranker = FlagReranker(str(folder), use_fp16=False, devices="cpu")
    rows = []
    for pair in pairs:
        for max_length, query_max_length in IDS_LENGTHS if pair.id in IDS_FOR else ():
            options = {"max_length": max_length, "query_max_length": query_max_length}
            row = [pair.query, pair.passage]
            seen = captured_inputs(reranker.model, partial(reranker.compute_score, [row], **options))
            types = seen["token_type_ids"][0].tolist() if "token_type_ids" in seen else None
            ids = seen["input_ids"][0].tolist()
            found = {"length": len(ids), "input_ids": ids, "token_type_ids": types}
            rows.append({"checkpoint": checkpoint, "id": pair.id, **options, **found})
    return rows


def plain_runs(checkpoint: str, folder: Path, pairs: list[Pair]) -> tuple[list[Any], list[Any]]:
    """Score all pairs with ``tokenizer(q, p, truncation=True)`` and return (runs, input ids)."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    runs, ids = [], []
    for max_length in PLAIN_LENGTHS:
        scores = {}
        for pair in pairs:
            inputs = tokenizer(pair.query, pair.passage, truncation=True, max_length=max_length, return_tensors="pt")
            with torch.no_grad():
                scores[pair.id] = model(**inputs).logits.view(-1).float().item()
            if pair.id in IDS_FOR and max_length in {512, 64}:
                types = inputs["token_type_ids"][0].tolist() if "token_type_ids" in inputs else None
                ids.append({
                    "checkpoint": checkpoint, "id": pair.id, "max_length": max_length,
                    "length": inputs["input_ids"].shape[1],
                    "input_ids": inputs["input_ids"][0].tolist(), "token_type_ids": types,
                })  # fmt: skip
        runs.append({"checkpoint": checkpoint, "max_length": max_length, "scores": scores})
    return runs, ids


def check_committed_tokenizer(folder: Path, pairs: list[Pair]) -> None:
    """Fail if the class named in the committed tokenizer_config gives other ids than the real class."""
    real = AutoTokenizer.from_pretrained(folder)
    committed = PreTrainedTokenizerFast.from_pretrained(CHECKPOINTS / folder.name)
    for pair in pairs:
        expected = dict(real(pair.query, pair.passage, truncation=True, max_length=512))
        found = dict(committed(pair.query, pair.passage, truncation=True, max_length=512))
        if expected != found:
            message = f"{folder.name}: {pair.id} tokenises differently with PreTrainedTokenizerFast"
            raise RuntimeError(message)


def embedding_runs(checkpoint: str, folder: Path) -> list[dict[str, Any]]:
    """Encode the texts as queries and passages with FlagModel, and with BCEmbedding's EmbeddingModel."""
    names, texts = list(embedding_texts()), list(embedding_texts().values())
    runs = []

    def add(library: str, method: str, instruction: str, max_length: int, vectors: Any) -> None:
        runs.append({
            "checkpoint": checkpoint, "library": library, "method": method, "instruction": instruction,
            "max_length": max_length, "pooling": "cls", "normalize": True,
            "vectors": {name: vector.tolist() for name, vector in zip(names, vectors, strict=True)},
        })  # fmt: skip

    for key, instruction in INSTRUCTIONS.items():
        model = FlagModel(
            str(folder), query_instruction_for_retrieval=instruction or None, use_fp16=False, devices="cpu"
        )
        add("FlagEmbedding", "encode_queries", instruction, 512, model.encode_queries(texts, max_length=512))
        if key == "none":
            add("FlagEmbedding", "encode_corpus", "", 512, model.encode_corpus(texts, max_length=512))
            add("FlagEmbedding", "encode_corpus", "", 64, model.encode_corpus(texts, max_length=64))
    bce = EmbeddingModel(str(folder), device="cpu")
    add("BCEmbedding", "encode", "", 512, bce.encode(texts, enable_tqdm=False))
    return runs


def main() -> None:
    """Write the four files."""
    torch.set_num_threads(1)
    stamp = versions("FlagEmbedding", "BCEmbedding", "transformers", "tokenizers", "torch")
    pairs = build_pairs()
    flag: dict[str, Any] = {"versions": stamp, "runs": [], "inputs": []}
    plain: dict[str, Any] = {"versions": stamp, "runs": [], "inputs": []}
    for name, tokenizer_class in RERANKERS.items():
        with with_tokenizer_class(CHECKPOINTS / name, tokenizer_class) as folder:
            check_committed_tokenizer(folder, pairs)
            flag["runs"] += flag_runs(name, folder, pairs)
            flag["inputs"] += flag_ids(name, folder, pairs)
            runs, ids = plain_runs(name, folder, pairs)
            plain["runs"] += runs
            plain["inputs"] += ids
    embeddings: dict[str, Any] = {"versions": stamp, "texts": embedding_texts(), "runs": []}
    for name, tokenizer_class in EMBEDDERS.items():
        with with_tokenizer_class(CHECKPOINTS / name, tokenizer_class) as folder:
            embeddings["runs"] += embedding_runs(name, folder)
    write_json(HERE / "pairs.json", {"pairs": [asdict(pair) for pair in pairs]})
    write_json(HERE / "flag_reranker.json", flag)
    write_json(HERE / "plain_pairs.json", plain)
    write_json(HERE / "embeddings.json", embeddings)


if __name__ == "__main__":
    main()
