"""Whole trainings of tiny ColBERTs: sentence-transformers opens what is saved, with equal vectors and scores."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from colbert_checkpoints import m3, multi_vector_encoder, pylate, stanford
from tiny_checkpoints import bert_embedder, bert_reranker, xlmr_embedder
from tiny_rerankers import qwen_reranker
from training_rows import rows, tiny_settings, write_rows

from rerank_plugins import Reranker
from rerank_plugins.errors import InvalidInputError, UnsupportedModelError

pytest.importorskip("accelerate")
pytest.importorskip("ir_measures")

from rerank_plugins.training import (
    ColbertTrainingSettings,
    colbert_settings,
    embedder_settings,
    plan_colbert_training,
    reranker_settings,
    train_colbert,
    train_embedder,
    train_reranker,
)
from rerank_plugins.training.colberts import COLBERT
from rerank_plugins.training.groups import Group
from rerank_plugins.training.vectors.batches import VectorBatches
from rerank_plugins.training.vectors.colbert import TrainableColbert, open_colbert, resolve_colbert
from rerank_plugins.training.vectors.losses import RetrievalLoss
from rerank_plugins.training.vectors.measuring import late_pair
from rerank_plugins.training.vectors.objectives import ColbertObjective

QUERIES = ["what is a panda?", "renew a passport, and 12 photos", "blood"]
TEXTS = ["Pandas eat bamboo; they are bears.", "You need a photo, a form and a fee to renew it.", "salt"]


def plain_bert(folder: Path) -> Path:
    return bert_embedder(folder, pooling=None)


def tiny_colbert_run(model: Path | str, folder: Path, **changes: Any) -> ColbertTrainingSettings:
    return colbert_settings(tiny_settings(model, folder, **changes))


def opened(model: Path, folder: Path, **changes: Any) -> TrainableColbert:
    settings = tiny_colbert_run(model, folder, **changes)
    return open_colbert(resolve_colbert(settings), settings)


@pytest.mark.parametrize(
    ("make", "changes"),
    [
        (plain_bert, {}),
        (plain_bert, {"attend_to_expansion": True, "similarity": "meanmaxsim", "temperature": 0.02, "colbert_dim": 16}),
        (plain_bert, {"query_expansion": False, "skip_punctuation": False, "query_max_len": 12}),
        (xlmr_embedder, {"passage_max_len": 12, "query_instruction_for_retrieval": "find: "}),
        (lambda folder: bert_embedder(folder, pooling="mean"), {"query_marker": "", "document_marker": ""}),
    ],
    ids=["usual", "attends", "no-expansion", "xlmr", "no-markers"],
)
def test_sentence_transformers_opens_the_folder(make: Any, changes: dict[str, Any], tmp_path: Path) -> None:
    peers = pytest.importorskip("sentence_transformers", minversion="6")
    result = train_colbert(tiny_colbert_run(make(tmp_path / "start"), tmp_path, dev_fraction=0.0, **changes))
    assert result is not None
    model = peers.MultiVectorEncoder(str(result.folder), device="cpu")
    ours = opened(result.folder, tmp_path)
    theirs = model.encode_query(QUERIES), model.encode_document(TEXTS)
    for found, wanted in zip((ours.embed_queries(QUERIES), ours.embed_texts(TEXTS)), theirs, strict=True):
        for one, other in zip(found, wanted, strict=True):
            assert one.shape == other.shape
            assert torch.allclose(one, other, atol=1e-5)
    scores = model.similarity(*theirs)
    queries, texts = ours.embed_queries(QUERIES), ours.embed_texts(TEXTS)
    for row, query in enumerate(queries):
        for column, text in enumerate(texts):
            score = (query @ text.T).amax(dim=1).sum().item()
            score /= len(query) if changes.get("similarity") == "meanmaxsim" else 1
            assert scores[row, column].item() == pytest.approx(score, rel=1e-5)


def test_the_loss_is_sentence_transformers(tmp_path: Path) -> None:
    peers = pytest.importorskip("sentence_transformers", minversion="6")
    losses = pytest.importorskip("sentence_transformers.multi_vector_encoder.losses")
    start = plain_bert(tmp_path / "start")
    result = train_colbert(tiny_colbert_run(start, tmp_path, dev_fraction=0.0, max_steps=1))
    assert result is not None
    ours = opened(result.folder, tmp_path)
    model = peers.MultiVectorEncoder(str(result.folder), device="cpu")
    for module in (ours.module, model):
        module.train()
        for one in module.modules():
            if isinstance(one, torch.nn.Dropout):
                one.p = 0.0
    made = rows(4)
    groups = [Group(row["query"], (row["pos"][0], *row["neg"][:2]), None, number) for number, row in enumerate(made)]
    batch = VectorBatches(ours.inputs.queries, ours.inputs.texts, own_texts_only=lambda _row: False)(groups)
    vectors = ours.module(queries=batch["queries"], passages=batch["passages"])
    loss = ColbertObjective(loss=RetrievalLoss(temperature=1.0), is_mean=False)(*vectors, batch, 0)
    loss.backward()
    features = [model.preprocess([one.query for one in groups], prompt=model.prompts["query"], task="query")]
    for place in range(3):
        texts = [one.texts[place] for one in groups]
        features.append(model.preprocess(texts, prompt=model.prompts["document"], task="document"))
    theirs = losses.MultiVectorMultipleNegativesRankingLoss(model)(features, labels=None)
    theirs.backward()
    assert loss.item() == pytest.approx(theirs.item(), rel=1e-5)

    def norm(module: torch.nn.Module) -> float:
        return sum(p.grad.double().pow(2).sum().item() for p in module.parameters() if p.grad is not None) ** 0.5

    assert norm(ours.module) == pytest.approx(norm(model), rel=1e-5)


def test_a_colbert_is_measured_and_trained_further(tmp_path: Path) -> None:
    first = train_colbert(tiny_colbert_run(plain_bert(tmp_path / "start"), tmp_path, max_steps=30, eval_steps=10))
    assert first is not None
    assert (first.n_rows, first.n_dev_queries) == (22, 8)
    card = (first.folder / "README.md").read_text()
    assert "MultiVectorEncoder" in card
    assert f"| {first.changes[0].after:.4f} |" in card
    (tmp_path / "more").mkdir()
    second = train_colbert(tiny_colbert_run(first.folder, tmp_path / "more", max_steps=2, colbert_dim=64))
    assert second is not None
    # It starts where the first one ended, with its layer and its markers.
    assert [one.before for one in second.changes] == pytest.approx([one.after for one in first.changes])
    assert opened(second.folder, tmp_path).module.linear.out_features == 128
    names = ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json")
    for name in names:
        assert json.loads((second.folder / name).read_text()) == json.loads((first.folder / name).read_text())


@pytest.mark.parametrize(
    ("given", "prefixes"),
    [
        ({}, ("[Q] find: ", "[D] text: ")),
        ({"query_instruction_for_retrieval": "look: "}, ("[Q] look: ", "[D] text: ")),
        ({"query_instruction_for_retrieval": "", "passage_instruction_for_retrieval": ""}, ("[Q] ", "[D] ")),
    ],
    ids=["its-own", "another", "none"],
)
def test_an_instruction_is_kept_replaced_or_left_out(
    tmp_path: Path, given: dict[str, Any], prefixes: tuple[str, str]
) -> None:
    both = {"query_instruction_for_retrieval": "find: ", "passage_instruction_for_retrieval": "text: "}
    short = {"max_steps": 1, "dev_fraction": 0.0}
    first = train_colbert(tiny_colbert_run(plain_bert(tmp_path / "start"), tmp_path, **both, **short))
    assert first is not None
    (tmp_path / "more").mkdir()
    second = train_colbert(tiny_colbert_run(first.folder, tmp_path / "more", **given, **short))
    assert second is not None
    # A row's own prompt takes the place of this one, not of the marker.
    asked = tiny_colbert_run(first.folder, tmp_path / "more", **given)
    completed = COLBERT.completed(asked, resolve_colbert(asked))
    assert completed.data.prefixes == tuple(one[len("[Q] ") :] for one in prefixes)
    made = opened(second.folder, tmp_path / "more", **given)
    assert (made.token_format.prefixes, made.inputs.markers[0]) == (prefixes, prefixes[0].removesuffix("look: "))
    vectors = made.embed_queries(["panda"])[0], made.embed_texts(["salt of panda"])[0]
    with Reranker(second.folder, device="cpu") as reranker:
        assert reranker.score([("panda", "salt of panda")]) == pytest.approx([late_pair(*vectors)], rel=1e-5)


STARTS: dict[str, Any] = {
    "stanford": stanford,
    "stanford-attends": partial(stanford, attend=True, mask_punctuation=False, doc_maxlen=20),
    "pylate": pylate,
    "pylate-modernbert": partial(pylate, kind="modernbert", similarity_fn_name="MeanMaxSim"),
    "pylate-xlmr": partial(pylate, kind="xlmr"),
    "pylate-no-expansion": partial(pylate, do_query_expansion=False, query_length=12),
    "pylate-prompt": partial(pylate, prompts={"query": "[Q] find: ", "document": ""}),
    "sentence-transformers": partial(
        multi_vector_encoder,
        expansion={"strategy": "fixed", "attend": True, "token": "[MASK]", "length": 24},
    ),
}


@pytest.mark.parametrize("name", STARTS)
def test_a_published_colbert_is_trained_further_from_its_own_vectors(name: str, tmp_path: Path) -> None:
    start = STARTS[name](tmp_path / "start")
    pairs = [(query, text) for query in (*QUERIES, "?") for text in (*TEXTS, "x!y?z, w; (v) [u] {t} ~ é")]
    with Reranker(start, device="cpu", dtype="float32") as reranker:
        wanted = reranker.score(pairs)
    assert len({round(score, 4) for score in wanted}) > 8
    ours = opened(start, tmp_path)
    for (query, text), score in zip(pairs, wanted, strict=True):
        found = late_pair(ours.embed_queries([query])[0], ours.embed_texts([text])[0])
        found /= len(ours.embed_queries([query])[0]) if ours.token_format.similarity == "meanmaxsim" else 1
        assert found == pytest.approx(score, abs=1e-4)
    # A step too small to change anything: what is saved scores as what it started from.
    changes = {"max_steps": 1, "learning_rate": 1e-12, "dev_fraction": 0.0, "query_max_len": None}
    result = train_colbert(tiny_colbert_run(start, tmp_path, **changes))
    assert result is not None
    with Reranker(result.folder, device="cpu", dtype="float32") as reranker:
        assert reranker.score(pairs) == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (partial(pylate, widths=(16, 24)), "it has 2 projections"),
        (partial(pylate, residual=True), "a bias, an activation or a residual"),
        (partial(multi_vector_encoder, mask={"skiplist_tasks": ["query", "document"]}), "queries get no vector"),
        (
            partial(multi_vector_encoder, expansion={"strategy": "min", "attend": False, "token": None, "length": 9}),
            "does not cut longer ones",
        ),
    ],
)
def test_a_colbert_that_cannot_be_saved_as_one_is_refused(make: Any, why: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match=f"{why}. Start from the encoder"):
        train_colbert(tiny_colbert_run(make(tmp_path / "start"), tmp_path))
    assert not (tmp_path / "trained.training").exists()


def test_a_marker_that_is_other_tokens_as_a_text_is_refused(tmp_path: Path) -> None:
    """A word's mark stands in front of what comes first alone, which a marker that is text would be."""
    start = pylate(tmp_path / "start", kind="xlmr")
    tokenizer = json.loads((start / "tokenizer.json").read_text())
    tokenizer["pre_tokenizer"]["prepend_scheme"] = "first"
    (start / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(UnsupportedModelError, match="as other tokens than its marker"):
        train_colbert(tiny_colbert_run(start, tmp_path))


@pytest.mark.parametrize(
    "changes",
    [
        {"knowledge_distillation": True},
        {"knowledge_distillation": True, "kd_loss_type": "margin_mse", "contrastive_weight": 0.0},
        {"use_inbatch_neg": False, "freeze_embeddings": True, "frozen_layers": 1},
        {"train_group_size": 1, "sub_batch_size": 2},
        {"gradient_checkpointing": True, "same_dataset_within_batch": True},
    ],
)
def test_every_loss_and_switch_trains_and_repeats(tmp_path: Path, changes: dict[str, Any]) -> None:
    start = plain_bert(tmp_path / "start")
    weights = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        result = train_colbert(tiny_colbert_run(start, tmp_path / name, max_steps=3, dev_fraction=0.0, **changes))
        assert result is not None
        files = (result.folder / "model.safetensors", result.folder / "1_Dense" / "model.safetensors")
        weights.append([one.read_bytes() for one in files])
    assert weights[0] == weights[1]


def test_a_plan_tells_its_lengths(tmp_path: Path) -> None:
    plan = plan_colbert_training(tiny_colbert_run(plain_bert(tmp_path / "start"), tmp_path))
    assert (plan.max_length, plan.pairs_per_step) == (180, 20)


def test_the_other_trainings_name_this_one_for_a_colbert(tmp_path: Path) -> None:
    start = stanford(tmp_path / "start")
    for settings, train in ((embedder_settings, train_embedder), (reranker_settings, train_reranker)):
        with pytest.raises(UnsupportedModelError, match="train colbert"):
            train(settings(tiny_settings(start, tmp_path)))  # type: ignore[operator]


def test_a_projection_of_bge_m3_that_is_not_taken_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    resolve_colbert(tiny_colbert_run(m3(tmp_path / "start"), tmp_path))
    assert "has a projection of its own (BGE-M3), which is not taken" in caplog.text
    caplog.clear()
    resolve_colbert(tiny_colbert_run(plain_bert(tmp_path / "plain"), tmp_path))
    assert not caplog.records


def test_what_is_no_encoder_is_refused(tmp_path: Path) -> None:
    for name, make in (("classifier", bert_reranker), ("decoder", qwen_reranker)):
        with pytest.raises(UnsupportedModelError, match="a ColBERT is made from an encoder"):
            train_colbert(tiny_colbert_run(make(tmp_path / name), tmp_path))
    with pytest.raises(InvalidInputError, match="is more than"):
        train_colbert(tiny_colbert_run(plain_bert(tmp_path / "start"), tmp_path, passage_max_len=9000))
    data = write_rows(tmp_path / "none.jsonl", [])
    with pytest.raises(InvalidInputError):
        train_colbert(tiny_colbert_run(tmp_path / "start", tmp_path, train_data=data))
