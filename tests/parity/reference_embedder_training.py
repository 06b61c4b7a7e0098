"""The first training step of an embedder by FlagEmbedding's own classes, without dropout."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
import transformers

QUERY_TOKENS, PASSAGE_TOKENS, TEMPERATURE = 64, 128, 0.02

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
    {
        "query": "renew a passport",
        "pos": ["You need a photo, a form and a fee."],
        "neg": ["The doctor asked about salt.", "Berlin is the capital of Germany.", "A passport is a document."],
        "pos_scores": [2.0],
        "neg_scores": [-1.0, -2.5, 1.75],
    },
]

DENSE: dict[str, dict[str, Any]] = {
    "in_batch": {},
    "mean": {"sentence_pooling_method": "mean"},
    "own_negatives": {"use_inbatch_neg": False},
    "kl_div": {"knowledge_distillation": True},
    "own_negatives_kl_div": {"knowledge_distillation": True, "use_inbatch_neg": False},
    "m3_kd_loss": {"knowledge_distillation": True, "kd_loss_type": "m3_kd_loss"},
    "matryoshka": {"use_mrl": True, "mrl_dims": (8, 16, 32)},
    "not_normalized": {"normalize_embeddings": False, "temperature": 5.0},
}
"""Our settings of each case, of a dense embedder."""

UNIFIED: dict[str, dict[str, Any]] = {
    "unified": {},
    "unified_self_distil": {"use_self_distill": True},
    "unified_m3_kd_loss": {"knowledge_distillation": True, "kd_loss_type": "m3_kd_loss", "use_self_distill": True},
    "unified_kl_div": {"knowledge_distillation": True},
}
"""The same of bge-m3 with its heads."""


def heads(hidden: int) -> dict[str, dict[str, torch.Tensor]]:
    """Return the weights of bge-m3's two heads, which are no random numbers."""
    widths = {"sparse_linear": 1, "colbert_linear": 24}
    return {
        name: {
            "weight": torch.sin(torch.arange(width * hidden, dtype=torch.float32)).view(width, hidden) * 0.3,
            "bias": torch.cos(torch.arange(width, dtype=torch.float32)) * 0.1,
        }
        for name, width in widths.items()
    }


def first_step(folder: Path, case: dict[str, Any], *, unified: bool) -> dict[str, Any]:
    """Return loss, gradient norm and token ids of all rows as one batch."""
    from FlagEmbedding.abc.finetune.embedder.AbsDataset import AbsEmbedderCollator

    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folder)
    options = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    base = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32, **options)
    model = _unified(base, tokenizer, case) if unified else _dense(base, tokenizer, case)
    model.train()
    distils = case.get("knowledge_distillation", False)
    examples = [
        (row["query"], [*row["pos"], *row["neg"]], [*row["pos_scores"], *row["neg_scores"]] if distils else None)
        for row in ROWS
    ]
    lengths = {"query_max_len": QUERY_TOKENS, "passage_max_len": PASSAGE_TOKENS}
    batch = AbsEmbedderCollator(tokenizer=tokenizer, padding=True, return_tensors="pt", **lengths)(examples)
    batch["no_in_batch_neg_flag"] = not case.get("use_inbatch_neg", True)
    loss = model(**batch).loss
    loss.backward()
    return {
        "loss": loss.item(),
        "gradient_norm": norm(model),
        "input_ids": [
            [row[mask.bool()].tolist() for row, mask in zip(side["input_ids"], side["attention_mask"], strict=True)]
            for side in (batch["queries"], batch["passages"])
        ],
    }


def norm(model: torch.nn.Module) -> float:
    return math.sqrt(sum(one.grad.double().pow(2).sum().item() for one in model.parameters() if one.grad is not None))


def _dense(base: Any, tokenizer: Any, case: dict[str, Any]) -> Any:
    from FlagEmbedding.finetune.embedder.encoder_only.base.modeling import BiEncoderOnlyEmbedderModel

    return BiEncoderOnlyEmbedderModel(
        base,
        tokenizer=tokenizer,
        temperature=case.get("temperature", TEMPERATURE),
        kd_loss_type=case.get("kd_loss_type", "kl_div"),
        use_mrl=case.get("use_mrl", False),
        mrl_dims=list(case.get("mrl_dims", ())),
        sentence_pooling_method=case.get("sentence_pooling_method", "cls"),
        normalize_embeddings=case.get("normalize_embeddings", True),
    )


def _unified(base: Any, tokenizer: Any, case: dict[str, Any]) -> Any:
    from FlagEmbedding.finetune.embedder.encoder_only.m3.modeling import EncoderOnlyEmbedderM3Model

    linears = {}
    for name, state in heads(base.config.hidden_size).items():
        linears[name] = torch.nn.Linear(state["weight"].shape[1], state["weight"].shape[0])
        linears[name].load_state_dict(state)
    return EncoderOnlyEmbedderM3Model(
        {"model": base, **linears},
        tokenizer=tokenizer,
        temperature=TEMPERATURE,
        kd_loss_type=case.get("kd_loss_type", "kl_div"),
        normalize_embeddings=True,
        unified_finetuning=True,
        use_self_distill=case.get("use_self_distill", False),
    )
