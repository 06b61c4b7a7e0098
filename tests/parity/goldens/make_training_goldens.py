"""Write training.json: the first training step of FlagEmbedding 1.4.2 on the committed checkpoints.

Losses and gradients come from its own model classes, token ids from its own data sets and collators. Unlike the other
scripts it needs FlagEmbedding 1.4.2 on transformers 5 (``pip install FlagEmbedding==1.4.2 transformers==5.24.0
peft==0.21.2 torch==2.13.0``). The package itself cannot be imported there, since its bundled MiniCPM needs
transformers 4; its training modules can, one by one. The layerwise model cannot be built for the same reason: of it
only the loss is taken, over given scores.
"""

from __future__ import annotations

import importlib.util
import json
import math
import random
import sys
import tempfile
import types
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
import transformers
from golden_io import CHECKPOINTS, HERE, versions, write_json

QUERY_TOKENS, PASSAGE_TOKENS, GROUP = 64, 192, 4
LORA_RANK, LORA_ALPHA = 4, 16
ROWS: list[dict[str, Any]] = [
    {
        "query": "what do pandas eat",
        "pos": ["The giant panda eats bamboo for up to fourteen hours a day."],
        "neg": ["Revenue grew by 12 percent.", "Hold the button for ten seconds.", "Paris is the capital of France."],
        "pos_scores": [4.5],
        "neg_scores": [-2.0, -3.25, 0.5],
    },
    {
        "query": "How much did revenue grow in 2019?",
        "pos": ["Net revenue grew by 12.5 percent in 2019, compared with 8.1 percent in the year before."],
        "neg": ["Salt raises blood pressure.", "A panda is a bear.", "Revenue is what a company takes in."],
        "pos_scores": [3.0],
        "neg_scores": [-4.0, -1.5, 2.25],
    },
]


def skeleton() -> Path:
    """Make the packages of FlagEmbedding importable without running their ``__init__``; return its folder."""
    found = importlib.util.find_spec("FlagEmbedding")
    root = Path(str(found.origin)).parent  # type: ignore[union-attr]
    for name in ("", ".finetune", ".finetune.reranker", ".finetune.reranker.decoder_only"):
        package = types.ModuleType(f"FlagEmbedding{name}")
        package.__path__ = [str(root.joinpath(*name.split(".")))]
        sys.modules[package.__name__] = package
    return root


ROOT = skeleton()

from FlagEmbedding.abc.finetune.reranker import (  # noqa: E402
    AbsLLMRerankerCollator,
    AbsLLMRerankerTrainDataset,
    AbsRerankerCollator,
    AbsRerankerDataArguments,
    AbsRerankerTrainDataset,
)
from FlagEmbedding.finetune.reranker.decoder_only.base.arguments import RerankerModelArguments  # noqa: E402
from FlagEmbedding.finetune.reranker.decoder_only.base.load_model import get_model  # noqa: E402
from FlagEmbedding.finetune.reranker.decoder_only.base.modeling import CrossDecoderModel  # noqa: E402
from FlagEmbedding.finetune.reranker.encoder_only.base.modeling import CrossEncoderModel  # noqa: E402


def layerwise_class() -> Any:
    """Return the layerwise model class from its file: its package imports the MiniCPM that cannot be."""
    path = ROOT / "finetune" / "reranker" / "decoder_only" / "layerwise" / "modeling.py"
    spec = importlib.util.spec_from_file_location("layerwise_modeling", path)
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    return module.CrossDecoderModel


def batch(tokenizer: Any, *, is_llm: bool, distils: bool) -> dict[str, Any]:
    """Return the batch of all rows, as the trainer would get it, with the negatives in their own order."""
    random.sample = lambda population, k: list(population)[:k]  # type: ignore[assignment,method-assign]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
        prefixes = {"query_instruction_for_rerank": "A: ", "passage_instruction_for_rerank": "B: "}
        arguments = AbsRerankerDataArguments(
            train_data=[str(path)],
            cache_path=folder,
            train_group_size=GROUP,
            query_max_len=QUERY_TOKENS,
            passage_max_len=PASSAGE_TOKENS,
            knowledge_distillation=distils,
            **(prefixes if is_llm else {}),
        )
        data = (AbsLLMRerankerTrainDataset if is_llm else AbsRerankerTrainDataset)(arguments, tokenizer)
        examples = [data[row] for row in range(len(ROWS))]
    collator = AbsLLMRerankerCollator if is_llm else AbsRerankerCollator
    lengths = {"query_max_len": QUERY_TOKENS, "passage_max_len": PASSAGE_TOKENS}
    return dict(collator(tokenizer=tokenizer, padding=True, return_tensors="pt", **lengths)(examples))


def tokenizer_of(folder: Path, *, is_llm: bool) -> Any:
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folder)
    if is_llm:
        tokenizer.padding_side = "left"
    return tokenizer


def norm(gradients: Iterable[torch.Tensor | None]) -> float:
    return math.sqrt(sum(one.double().pow(2).sum().item() for one in gradients if one is not None))


def step(model: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Return loss, gradient norm, scores and token ids of a first step without dropout."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    model.train()
    output = model(pair=given["pair"], teacher_scores=given["teacher_scores"])
    output.loss.backward()
    ids = [
        row[mask.bool()].tolist()
        for row, mask in zip(given["pair"]["input_ids"], given["pair"]["attention_mask"], strict=True)
    ]
    return {
        "loss": output.loss.item(),
        "gradient_norm": norm(one.grad for one in model.parameters()),
        # One list of all pairs, or one for each layer.
        "scores": torch.stack(list(output.scores)).squeeze(-1).tolist(),
        "input_ids": ids,
    }


def encoder(folder: Path, _lora: bool) -> Any:
    options = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    base = transformers.AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32, **options)
    return CrossEncoderModel(base, tokenizer_of(folder, is_llm=False), train_batch_size=len(ROWS))


def decoder(folder: Path, lora: bool) -> Any:
    arguments = RerankerModelArguments(
        model_name_or_path=str(folder),
        use_lora=lora,
        lora_rank=LORA_RANK,
        lora_alpha=LORA_ALPHA,
        lora_dropout=0.0,
    )
    base = get_model(arguments)
    set_adapter(base)
    return CrossDecoderModel(base, tokenizer_of(folder, is_llm=True), train_batch_size=len(ROWS))


def set_adapter(model: Any) -> None:
    """Give an adapter's matrices the same values wherever they are made: a wave over their entries."""
    for name, one in model.named_parameters():
        if "lora_" in name:
            places = torch.arange(one.numel(), dtype=torch.float64)
            wave = 0.05 * torch.sin(places * (0.37 if "lora_A" in name else 0.11) + 1.0)
            one.data.copy_(wave.view(one.shape).to(one.dtype))


def layer_losses() -> list[dict[str, Any]]:
    """Return the loss of the layerwise class over given scores, and its gradient by them."""
    generator = torch.Generator().manual_seed(11)
    n_layers, runs = 5, []
    scores = torch.randn(len(ROWS) * GROUP, n_layers, generator=generator, dtype=torch.float32) * 2
    teacher = [score for row in ROWS for score in (*row["pos_scores"], *row["neg_scores"])]
    for name, given in (("self-distillation", None), ("teacher", teacher)):
        leaves = scores.clone().requires_grad_()
        base = torch.nn.Linear(1, 1)
        base.config = types.SimpleNamespace(pad_token_id=0)  # type: ignore[assignment]
        model = layerwise_class()(base, tokenizer_of(CHECKPOINTS / "tiny-gemma", is_llm=True), len(ROWS))
        model.encode = lambda _pair, leaves=leaves: list(leaves.unbind(dim=1))
        loss = model.train()(pair={}, teacher_scores=given).loss
        loss.backward()
        runs.append({"name": name, "teacher": given, "loss": loss.item(), "gradient": leaves.grad.tolist()})
    return [{**run, "scores": scores.tolist()} for run in runs]


CASES: list[tuple[str, Callable[[Path, bool], Any], bool, bool]] = [
    ("tiny-xlmr-reranker", encoder, False, False),
    ("tiny-bert-reranker", encoder, False, False),
    ("tiny-gemma", decoder, True, False),
    ("tiny-gemma", decoder, True, True),
]


def main() -> None:
    steps = []
    for checkpoint, build, is_llm, lora in CASES:
        for distils in (False, True):
            model = build(CHECKPOINTS / checkpoint, lora)
            given = batch(model.tokenizer, is_llm=is_llm, distils=distils)
            steps.append({"checkpoint": checkpoint, "lora": lora, "distils": distils, **step(model, given)})
    document = {
        "versions": versions("FlagEmbedding", "transformers", "peft", "torch"),
        "query_max_len": QUERY_TOKENS,
        "passage_max_len": PASSAGE_TOKENS,
        "lora_rank": LORA_RANK,
        "lora_alpha": LORA_ALPHA,
        "rows": ROWS,
        "steps": steps,
        "layer_losses": layer_losses(),
    }
    write_json(HERE / "training.json", document)


if __name__ == "__main__":
    main()
