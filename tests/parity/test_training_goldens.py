"""The first training step: token ids, loss and gradient of FlagEmbedding's own classes (see goldens/README.md)."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from llm_checkpoints import changed_copy, llm_checkpoint
from training_rows import write_rows

pytest.importorskip("accelerate")
pytest.importorskip("ir_measures")

from rerank_plugins import LayerOptions, Reranker
from rerank_plugins.training import RerankerTrainingSettings, reranker_settings
from rerank_plugins.training.batches import GroupBatches, GroupDataset
from rerank_plugins.training.groups import Group
from rerank_plugins.training.layer_losses import over_layers
from rerank_plugins.training.losses import group_loss
from rerank_plugins.training.preparing import prepare, trainer_for
from rerank_plugins.training.trainable import TrainableReranker, open_trainable

GOLDENS = Path(__file__).parent / "goldens"
GOLDEN, LAYERWISE = (
    json.loads((GOLDENS / f"{name}.json").read_text(encoding="utf-8")) for name in ("training", "training_layerwise")
)
RELATIVE = 1e-5


def model_of(folder: Path, checkpoint: str) -> Path:
    """Return a checkpoint; Gemma with its activation by name: some releases of transformers 4 take "gelu" literally."""
    if checkpoint != "tiny-gemma":
        return llm_checkpoint(checkpoint)
    tanh = "gelu_pytorch_tanh"
    return changed_copy(checkpoint, folder / checkpoint, hidden_act=tanh, hidden_activation=tanh)


def settings_of(folder: Path, checkpoint: str, **changes: Any) -> RerankerTrainingSettings:
    flat = {
        "model_name_or_path": model_of(folder, checkpoint),
        "family": "bge",
        "train_data": write_rows(folder / "rows.jsonl", GOLDEN["rows"]),
        "dev_fraction": 0.0,
        "output_dir": folder / "out",
        "train_group_size": 4,
        "per_device_train_batch_size": 2,
        "query_max_len": GOLDEN["query_max_len"],
        "passage_max_len": GOLDEN["passage_max_len"],
        "device": "cpu",
        **changes,
    }
    return reranker_settings(flat)


def first_step(settings: RerankerTrainingSettings, folder: Path) -> tuple[TrainableReranker, torch.Tensor]:
    """Return the trainable model, with gradients, and the loss of all rows, without dropout."""
    prepared = prepare(settings, folder)
    trainable = open_trainable(prepared.resolved, settings)
    trainer = trainer_for(prepared, trainable, folder)
    drawn = GroupDataset(prepared.rows, prepared.settings.data, seed=1)
    groups = [in_order(drawn[0, row], GOLDEN["rows"][row]) for row in range(len(GOLDEN["rows"]))]
    for one in trainable.module.modules():
        if isinstance(one, torch.nn.Dropout):
            one.p = 0.0
    set_adapter(trainable.module)
    # Heads on several layers all give scores in training mode alone; encoders have dropout elsewhere too.
    trainable.module.train(trainable.spec.layers is not None)
    loss = trainer.compute_loss(trainable.module, GroupBatches(trainable.pairs, trainable.padding)(groups))
    loss.backward()
    return trainable, loss


def in_order(group: Group, row: dict[str, Any]) -> Group:
    texts = (*row["pos"], *row["neg"])
    assert sorted(texts) == sorted(group.texts)
    scores = (*row["pos_scores"], *row["neg_scores"])
    return replace(group, texts=texts, teacher=None if group.teacher is None else scores)


def set_adapter(module: torch.nn.Module) -> None:
    """Give an adapter's matrices the values that the script gives them."""
    for name, one in module.named_parameters():
        if "lora_" in name:
            places = torch.arange(one.numel(), dtype=torch.float64)
            wave = 0.05 * torch.sin(places * (0.37 if "lora_A" in name else 0.11) + 1.0)
            one.data.copy_(wave.view(one.shape).to(one.dtype))


def gradient_norm(module: torch.nn.Module) -> float:
    gradients = [one.grad for one in module.parameters() if one.grad is not None]
    return math.sqrt(sum(one.double().pow(2).sum().item() for one in gradients))


def step_id(step: dict[str, Any]) -> str:
    return f"{step['checkpoint']}{'-lora' * step['lora']}{'-teacher' * step['distils']}"


@pytest.mark.parametrize("step", [*GOLDEN["steps"], *LAYERWISE["steps"]], ids=step_id)
def test_the_first_step_is_flagembeddings(step: dict[str, Any], tmp_path: Path) -> None:
    settings = settings_of(
        tmp_path,
        step["checkpoint"],
        knowledge_distillation=step["distils"],
        use_lora=step["lora"],
        layer_reduction="sum",
        **{name: GOLDEN[name] for name in ("lora_rank", "lora_alpha") if step["lora"]},
    )
    trainable, loss = first_step(settings, tmp_path)
    texts = [(row["query"], text) for row in GOLDEN["rows"] for text in (*row["pos"], *row["neg"])]
    assert [pair.inputs[0].ids.tolist() for pair in trainable.pairs.encode(texts)] == step["input_ids"]
    assert loss.item() == pytest.approx(step["loss"], rel=RELATIVE)
    assert gradient_norm(trainable.module) == pytest.approx(step["gradient_norm"], rel=RELATIVE)


@pytest.mark.parametrize("run", GOLDEN["layer_losses"], ids=lambda run: run["name"])
def test_the_loss_of_several_layers_is_flagembeddings(run: dict[str, Any]) -> None:
    flat = torch.tensor(run["scores"], requires_grad=True)
    n_layers = flat.shape[1]
    teacher = None if run["teacher"] is None else torch.tensor(run["teacher"]).view(2, -1)
    loss = over_layers(group_loss("group_ce"), reduction="sum")(flat.view(2, -1, n_layers), teacher)
    assert loss.item() == pytest.approx(run["loss"], rel=RELATIVE)
    (gradient,) = torch.autograd.grad(loss, flat)
    assert torch.allclose(gradient, torch.tensor(run["gradient"]), rtol=RELATIVE, atol=1e-6)
    mean = over_layers(group_loss("group_ce"))(flat.view(2, -1, n_layers), teacher)
    assert mean.item() == pytest.approx(run["loss"] / n_layers, rel=RELATIVE)


@pytest.mark.parametrize("compress_ratio", [1, 2])
def test_the_first_step_of_a_lightweight_model_is_the_formula_of_inferences_scores(
    compress_ratio: int, tmp_path: Path
) -> None:
    # FlagEmbedding never published how it trained this one.
    checkpoint = "tiny-gemma2-lightweight"
    settings = settings_of(
        tmp_path, checkpoint, use_lora=False, layer_reduction="sum", compress_ratio=compress_ratio, compress_layers=(3,)
    )
    _, loss = first_step(settings, tmp_path)
    asked = LayerOptions(
        cutoff_layers=tuple(range(2, 7)), head_by_layer=True, compress_ratio=compress_ratio, compress_layers=(3,)
    )
    texts = [(row["query"], text) for row in GOLDEN["rows"] for text in (*row["pos"], *row["neg"])]
    length = GOLDEN["query_max_len"] + GOLDEN["passage_max_len"]
    with Reranker(llm_checkpoint(checkpoint), device="cpu", max_length=length, layers=asked) as reranker:
        by_layer = reranker.score_layers(texts)
    assert loss.item() == pytest.approx(by_hand([list(one) for one in zip(*by_layer, strict=True)]), rel=RELATIVE)


def by_hand(layers: list[list[float]]) -> float:
    """Return FlagEmbedding's sum for groups of four without a teacher, in Python's own numbers."""

    def log_softmax(group: list[float]) -> list[float]:
        total = math.log(sum(math.exp(one) for one in group))
        return [one - total for one in group]

    groups = [[log_softmax(scores[at : at + 4]) for at in range(0, len(scores), 4)] for scores in layers]
    loss = 0.0
    for number, layer in enumerate(groups):
        loss -= sum(group[0] for group in layer) / len(layer)
        if number < len(groups) - 1:
            for student, last in zip(layer, groups[-1], strict=True):
                loss -= sum(math.exp(t) * s for t, s in zip(last, student, strict=True)) / len(layer)
    return loss
