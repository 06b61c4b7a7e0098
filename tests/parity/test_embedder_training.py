"""The first training step of embedders: token ids, loss and gradient of FlagEmbedding and sentence-transformers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from reference_embedder_training import DENSE, PASSAGE_TOKENS, QUERY_TOKENS, ROWS, UNIFIED, first_step, heads, norm
from safetensors.torch import save_file
from training_rows import write_rows

pytest.importorskip("accelerate")
pytest.importorskip("ir_measures")

from rerank_plugins.training import embedder_settings
from rerank_plugins.training.embedders import objective_of
from rerank_plugins.training.groups import Group
from rerank_plugins.training.vectors.batches import VectorBatches
from rerank_plugins.training.vectors.embedder import TrainableEmbedder, open_embedder, resolve_embedder

GOLDENS = Path(__file__).parent / "goldens"
GOLDEN = json.loads((GOLDENS / "embedder_training.json").read_text(encoding="utf-8"))["steps"]
CASES = [("tiny-bert-embedder", name, case) for name, case in DENSE.items()]
CASES += [("tiny-xlmr-embedder", name, case) for name, case in UNIFIED.items()]
RELATIVE = 1e-5


def checkpoint(name: str, folder: Path, *, unified: bool) -> Path:
    copy = shutil.copytree(GOLDENS / "checkpoints" / name, folder / name)
    if unified:
        hidden = json.loads((copy / "config.json").read_text(encoding="utf-8"))["hidden_size"]
        for head, state in heads(hidden).items():
            save_file({key: one.contiguous() for key, one in state.items()}, copy / f"{head}.safetensors")
    return copy


def our_step(name: str, case: dict[str, Any], folder: Path) -> tuple[TrainableEmbedder, torch.Tensor, dict[str, Any]]:
    """Return the trainable model, with gradients, the loss of all rows, and the batch, without dropout."""
    unified = name == "tiny-xlmr-embedder"
    settings = embedder_settings(
        {
            "model_name_or_path": checkpoint(name, folder, unified=unified),
            "family": "bge",
            "train_data": write_rows(folder / "rows.jsonl", ROWS),
            "output_dir": folder / "out",
            "train_group_size": 4,
            "query_max_len": QUERY_TOKENS,
            "passage_max_len": PASSAGE_TOKENS,
            "query_instruction_for_retrieval": "",
            "sentence_pooling_method": "cls",
            "unified_finetuning": unified,
            **case,
        }
    )
    trainable = open_embedder(resolve_embedder(settings), settings)
    trainable.module.train()
    for one in trainable.module.modules():
        if isinstance(one, torch.nn.Dropout):
            one.p = 0.0
    distils = case.get("knowledge_distillation", False)
    groups = [
        Group(
            query=row["query"],
            texts=(*row["pos"], *row["neg"]),
            teacher=(*row["pos_scores"], *row["neg_scores"]) if distils else None,
            row=number,
        )
        for number, row in enumerate(ROWS)
    ]
    make = VectorBatches(trainable.inputs.queries, trainable.inputs.texts, own_texts_only=lambda _row: False)
    batch = make(groups)
    vectors = trainable.module(queries=batch["queries"], passages=batch["passages"])
    loss = objective_of(settings, trainable)(*vectors, batch, 0)
    loss.backward()
    return trainable, loss, batch


@pytest.mark.parametrize(("name", "case_name", "case"), CASES, ids=[case[1] for case in CASES])
def test_loss_and_gradient_are_flag_embeddings(name: str, case_name: str, case: dict[str, Any], tmp_path: Path) -> None:
    trainable, loss, batch = our_step(name, case, tmp_path)
    golden = GOLDEN[case_name]
    for side, wanted in zip(("queries", "passages"), golden["input_ids"], strict=True):
        tensors = batch[side]
        found = zip(tensors["input_ids"], tensors["attention_mask"], strict=True)
        assert [ids[mask.bool()].tolist() for ids, mask in found] == wanted
    assert loss.item() == pytest.approx(golden["loss"], rel=RELATIVE)
    assert norm(trainable.module) == pytest.approx(golden["gradient_norm"], rel=RELATIVE)


@pytest.mark.parametrize(("name", "case_name", "case"), CASES, ids=[case[1] for case in CASES])
def test_the_goldens_are_what_the_installed_flag_embedding_gives(
    name: str, case_name: str, case: dict[str, Any]
) -> None:
    pytest.importorskip("FlagEmbedding.finetune.embedder.encoder_only.base.modeling", exc_type=ImportError)
    found = first_step(GOLDENS / "checkpoints" / name, case, unified=name == "tiny-xlmr-embedder")
    assert found["loss"] == pytest.approx(GOLDEN[case_name]["loss"], rel=RELATIVE)
    assert found["gradient_norm"] == pytest.approx(GOLDEN[case_name]["gradient_norm"], rel=RELATIVE)


def test_the_loss_is_multiple_negatives_ranking(tmp_path: Path) -> None:
    peer = pytest.importorskip("sentence_transformers")
    losses = pytest.importorskip("sentence_transformers.losses")
    trainable, loss, _ = our_step("tiny-bert-embedder", {}, tmp_path)
    folder = GOLDENS / "checkpoints" / "tiny-bert-embedder"
    models = pytest.importorskip("sentence_transformers.models")
    transformer = models.Transformer(str(folder), max_seq_length=PASSAGE_TOKENS)
    pooling = models.Pooling(trainable.module.network.config.hidden_size, pooling_mode="cls")
    model = peer.SentenceTransformer(modules=[transformer, pooling], device="cpu")
    model.train()
    for one in model.modules():
        if isinstance(one, torch.nn.Dropout):
            one.p = 0.0
    columns = [[row["query"] for row in ROWS], [row["pos"][0] for row in ROWS]]
    columns += [[row["neg"][place] for row in ROWS] for place in range(3)]
    features = [model.tokenize(column) for column in columns]
    theirs = losses.MultipleNegativesRankingLoss(model, scale=50.0)(features, labels=None)
    theirs.backward()
    assert loss.item() == pytest.approx(theirs.item(), rel=RELATIVE)
    assert norm(trainable.module) == pytest.approx(norm(model), rel=RELATIVE)


def test_a_gradient_cache_changes_neither_loss_nor_gradient(tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    whole, loss, _ = our_step("tiny-xlmr-embedder", {"use_self_distill": True}, tmp_path / "all")
    for size in (1, 5):
        (tmp_path / str(size)).mkdir()
        case = {"use_self_distill": True, "sub_batch_size": size}
        cached, same, _ = our_step("tiny-xlmr-embedder", case, tmp_path / str(size))
        assert same.item() == pytest.approx(loss.item(), rel=RELATIVE)
        for one, other in zip(whole.module.parameters(), cached.module.parameters(), strict=True):
            assert (one.grad is None) == (other.grad is None)
            if one.grad is not None and other.grad is not None:
                assert torch.allclose(one.grad, other.grad, rtol=1e-4, atol=1e-6)
