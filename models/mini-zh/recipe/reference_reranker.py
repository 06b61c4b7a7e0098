"""The reranker's score in plain transformers, tokenizers and torch, without this project: the definition of it.

python -m recipe.reference_reranker                prints the scores of golden_reranker.json's pairs
python -m recipe.reference_reranker --write        rewrites the golden scores
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

import torch
from safetensors import safe_open
from tokenizers import Tokenizer
from torch.nn.functional import cosine_similarity, normalize
from transformers import BertConfig, BertModel

logger = logging.getLogger(__name__)

GOLDEN = Path(__file__).with_name("golden_reranker.json")
FOLDER = Path(__file__).parents[1] / "src" / "rerank_plugins_mini_zh" / "reranker"
_OWN = ("architectures", "model_type", "rerank_plugins")
_START, _TOKENS = 0, 512


def stored(path: Path) -> dict[str, torch.Tensor]:
    """Return the values of a file: plain, int8 rows, or 4-bit blocks."""
    found: dict[str, torch.Tensor] = {}
    with safe_open(str(path), framework="pt") as file:
        raw = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it has no iterator
    for name, value in raw.items():
        if name.endswith(".scale") and name.removesuffix(".scale") in raw:
            continue
        if value.dtype == torch.int8:
            found[name] = value.float() * raw[f"{name}.scale"][:, None]
        elif value.dtype == torch.uint8:
            scale = raw[f"{name}.scale"].float()
            halves = value.view(*scale.shape, 16)
            found[name] = (torch.cat([halves & 15, halves >> 4], 2).float().sub(8) * scale[:, :, None]).flatten(1)
        else:
            found[name] = value.float()
    return found


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    """Return the weights: those of the embedder beside the folder, and the differences in it."""
    whole = stored(folder.parent / "embedder" / "model.safetensors")
    for name, value in stored(folder / "model.safetensors").items():
        whole[name] = whole[name] + value if name in whole else value
    return whole


class Reference:
    """The reranker, one pair at a time.

    Args:
        folder: The shipped folder.
    """

    def __init__(self, folder: Path) -> None:
        weights = weights_of(folder)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self._n_apart = config["rerank_plugins"]["apart_layers"]
        backbone = {name: value for name, value in config.items() if name not in _OWN}
        self._bert = BertModel(BertConfig(**backbone), add_pooling_layer=False).eval()
        self._bert.load_state_dict({k: v for k, v in weights.items() if not k.startswith("head.")}, strict=False)
        self._head = {k.removeprefix("head."): v for k, v in weights.items() if k.startswith("head.")}
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(_TOKENS, strategy="only_second")

    @torch.inference_mode()
    def score(self, query: str, document: str) -> float:
        """Return the logit of one pair."""
        pair = self._tokenizer.encode(query, document)
        ids = torch.tensor(pair.ids)
        # Which text a token came from; None for those of the template, which are in no text.
        origin = torch.tensor([-1 if text is None else text for text in pair.sequence_ids])
        # <s> query: q </s> | <s> passage: d </s>; a text may hold such a token too.
        document = int((origin == 1).nonzero()[0])
        states = self._states(ids, second=int((ids[:document] == _START).nonzero()[-1]))
        q, d = origin == 0, origin == 1
        head = self._head
        logit = states[0] @ head["linear.weight"][0] + head["linear.bias"][0]
        token_weight = (states[q] @ head["token_weight"][0]).softmax(0)
        unit = normalize(states, dim=-1, eps=1e-6)
        maxsim = (unit[q] @ unit[d].T).amax(1)
        exact = torch.isin(ids[q], ids[d]).float()
        logit = logit + (token_weight * (head["maxsim_scale"] * maxsim + head["exact_scale"] * exact)).sum()
        cosine = cosine_similarity(states[q].mean(0), states[d].mean(0), dim=0, eps=1e-6)
        return float(logit + head["mean_scale"][0] * cosine)

    def _states(self, ids: torch.Tensor, *, second: int) -> torch.Tensor:
        """Return the final states; the second part begins at ``second``. Shape: (tokens, hidden)."""
        layers = self._bert.encoder.layer
        parts = []
        for part in (ids[:second], ids[second:]):
            states = self._bert.embeddings(input_ids=part[None])  # positions from 0
            for layer in layers[: self._n_apart]:
                states = _first(layer(states))
            parts.append(states)
        states = torch.cat(parts, 1)
        for layer in layers[self._n_apart :]:
            states = _first(layer(states))
        return states[0]


def _first(found: torch.Tensor | tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Return a layer's states: transformers 4 gives a tuple."""
    return found if isinstance(found, torch.Tensor) else found[0]


def main() -> None:
    """Print or rewrite the golden scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    rows = json.loads(GOLDEN.read_text(encoding="utf-8"))
    reference = Reference(FOLDER)
    for row in rows:
        row["score"] = round(reference.score(row["query"], row["document"]), 5)
        logger.info("%10.5f  %s | %s", row["score"], row["query"][:30], row["document"][:50])
    if options.write:
        GOLDEN.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
