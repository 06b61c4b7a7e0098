"""The reranker's score in plain transformers and torch, without this project: the definition of its head.

python -m train.reference FOLDER                      prints the scores of golden.json's pairs
python -m train.reference FOLDER --write golden.json  rewrites the golden scores
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch.nn.functional import cosine_similarity, normalize
from transformers import BertConfig, BertModel, BertTokenizerFast

GOLDEN = Path(__file__).with_name("golden.json")


def score(folder: Path, query: str, document: str) -> float:
    """Return the logit of one pair; int8 rows are expanded to float32 first."""
    raw = load_file(folder / "model.safetensors")
    weights = {
        name: tensor.float() * raw[f"{name}.scale"][:, None] if tensor.dtype == torch.int8 else tensor
        for name, tensor in raw.items()
        if not (name.endswith(".scale") and name.removesuffix(".scale") in raw)
    }
    stored = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    names = ("architectures", "model_type", "rerank_plugins")  # the rest is the backbone's
    config = BertConfig(**{name: value for name, value in stored.items() if name not in names})
    bert = BertModel(config, add_pooling_layer=False).eval()
    bert.load_state_dict({k: v for k, v in weights.items() if not k.startswith("head.")}, strict=False)
    tokenizer = BertTokenizerFast.from_pretrained(folder)
    pair = tokenizer(query, document, truncation="only_second", max_length=512, return_tensors="pt")
    ids = pair["input_ids"][0]
    with torch.inference_mode():
        states = bert(**pair).last_hidden_state[0]  # (tokens, 384)
    # Which text a token came from; None for the special tokens of the template.
    origin = torch.tensor([-1 if text is None else text for text in pair.sequence_ids(0)])
    q, d = origin == 0, origin == 1
    head = {k.removeprefix("head."): v for k, v in weights.items() if k.startswith("head.")}
    logit = states[0] @ head["linear.weight"][0] + head["linear.bias"][0]
    if q.any():
        token_weight = (states[q] @ head["token_weight"][0]).softmax(0)
        unit = normalize(states, dim=-1, eps=1e-6)
        # Without document tokens every MaxSim is -1, every exact match 0 and the mean cosine 0.
        maxsim = (unit[q] @ unit[d].T).amax(1) if d.any() else -torch.ones(int(q.sum()))
        exact = torch.isin(ids[q], ids[d]).float()
        logit = logit + (token_weight * (head["maxsim_scale"] * maxsim + head["exact_scale"] * exact)).sum()
        if d.any():
            cosine = cosine_similarity(states[q].mean(0), states[d].mean(0), dim=0, eps=1e-6)
            logit = logit + head["mean_scale"][0] * cosine
    return float(logit)


def main() -> None:
    """Print or rewrite the golden scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    rows = json.loads(GOLDEN.read_text(encoding="utf-8"))
    for row in rows:
        row["score"] = round(score(options.folder, row["query"], row["document"]), 5)
        print(f"{row['score']:10.5f}  {row['query'][:30]!r} {row['document'][:50]!r}")
    if options.write:
        options.write.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
