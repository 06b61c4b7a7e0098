"""Whole trainings of tiny models: what is saved, that it repeats, and what is refused before anything is trained."""

from __future__ import annotations

import json
import logging
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_checkpoints import bert_reranker, xlmr_reranker
from tiny_rerankers import mono_t5
from training_rows import rows, tiny_run, write_rows

from rerank_plugins import Reranker, SourceOptions
from rerank_plugins.errors import InvalidInputError, TrainingError, UnsupportedModelError
from rerank_plugins.evaluation import evaluate, parse_measures

pytest.importorskip("accelerate")
pytest.importorskip("ir_measures")

from rerank_plugins.training import plan_reranker_training, train_reranker
from rerank_plugins.training.batches import EpochOrder, GroupBatches, GroupDataset
from rerank_plugins.training.preparing import prepare, trainer_for
from rerank_plugins.training.trainable import open_trainable

WEIGHTS = "model.safetensors"


def trained_weights(model: Path, folder: Path, **changes: Any) -> bytes:
    folder.mkdir(exist_ok=True)
    result = train_reranker(tiny_run(model, folder, **changes))
    assert result is not None
    return (result.folder / WEIGHTS).read_bytes()


def test_a_training_leaves_a_measured_model_and_nothing_else(xlmr_reranker_folder: Path, tmp_path: Path) -> None:
    result = train_reranker(tiny_run(xlmr_reranker_folder, tmp_path, max_steps=30, eval_steps=10))
    assert result is not None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dev.jsonl", "train.jsonl", "trained"]
    assert result.steps == 30
    assert result.best_step in (10, 20, 30)
    assert (result.n_rows, result.n_dev_queries) == (22, 8)
    log = json.loads((result.folder / "training.json").read_text())["log"]
    measured = [entry["eval_nDCG@10"] for entry in log if "eval_nDCG@10" in entry]
    changed = {one.name: one for one in result.changes}
    assert list(changed) == ["nDCG@10", "MRR@10", "hit@5"]
    # The saved model measured by the engine is the best of what the module measured while it was trained.
    assert changed["nDCG@10"].after == pytest.approx(max(measured), abs=1e-9)
    assert changed["nDCG@10"].comparison.difference == pytest.approx(
        changed["nDCG@10"].after - changed["nDCG@10"].before, abs=1e-9
    )
    card = (result.folder / "README.md").read_text()
    assert f"{changed['nDCG@10'].before:.4f} | {changed['nDCG@10'].after:.4f}" in card
    assert "what is" not in card
    assert (result.folder / WEIGHTS).stat().st_mode & 0o444


def told_apart(n: int, *, seed: int) -> list[dict[str, Any]]:
    """Return rows whose positives have a word that no negative has: what a tiny model can learn in seconds."""
    made = rows(n, seed=seed)
    for number, row in enumerate(made):
        row["pos"] = [f"bamboo of {row['query']}"]
        row["neg"] = [f"{word} of {row['query']}" for word in ("salt", "fee", "form", "photo")][: 3 + number % 2]
    return made


@pytest.mark.slow
def test_a_model_learns(bert_reranker_folder: Path, tmp_path: Path) -> None:
    dev = write_rows(tmp_path / "dev.jsonl", told_apart(20, seed=2))
    data = write_rows(tmp_path / "train.jsonl", told_apart(40, seed=1))
    result = train_reranker(
        tiny_run(
            bert_reranker_folder,
            tmp_path,
            dev_data=dev,
            train_data=data,
            max_steps=90,
            eval_steps=30,
            learning_rate=5e-3,
            per_device_train_batch_size=8,
        )
    )
    assert result is not None
    (ndcg, *_) = result.changes
    assert ndcg.after > max(ndcg.before, 0.95)
    assert ndcg.comparison.p_value < 0.05
    assert ndcg.better > ndcg.worse


@pytest.mark.parametrize("make", [bert_reranker, xlmr_reranker])
def test_the_folder_opens_everywhere_with_equal_scores(make: Any, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    sentence_transformers = pytest.importorskip("sentence_transformers")
    model = make(tmp_path / "start")
    result = train_reranker(tiny_run(model, tmp_path, dev_fraction=0.0))
    assert result is not None
    pairs = [(row["query"], text) for row in rows(6, seed=3) for text in (*row["pos"], *row["neg"])]
    with Reranker(result.folder, device="cpu") as reranker:
        ours = reranker.score(pairs)
    with Reranker(model, device="cpu") as reranker:
        assert max(abs(one - other) for one, other in zip(ours, reranker.score(pairs), strict=True)) > 1e-3
    tokenizer = transformers.AutoTokenizer.from_pretrained(result.folder)
    loaded = transformers.AutoModelForSequenceClassification.from_pretrained(result.folder).eval()
    assert loaded.dtype == torch.float32
    queries, texts = map(list, zip(*pairs, strict=True))
    with torch.no_grad():
        inputs = tokenizer(queries, texts, padding=True, return_tensors="pt")
        plain = loaded(**inputs).logits.flatten().tolist()
    assert ours == pytest.approx(plain, rel=1e-5, abs=1e-5)
    encoder = sentence_transformers.CrossEncoder(str(result.folder), device="cpu", activation_fn=torch.nn.Identity())
    assert ours == pytest.approx(encoder.predict(pairs).tolist(), rel=1e-5, abs=1e-5)


def test_a_listed_model_is_known_again(tmp_path: Path) -> None:
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(3)
    start = bert_reranker(tmp_path / "ms-marco-TinyBERT-L2-v2")
    # The facts by which the catalog tells this size from others.
    config = BertConfig(
        vocab_size=30_522,
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=512,
        num_labels=1,
    )
    BertForSequenceClassification(config).save_pretrained(start)
    with Reranker(start, device="cpu") as reranker:
        before = reranker.spec
    assert before.family == "ms-marco"
    result = train_reranker(tiny_run(start, tmp_path, max_steps=2))
    assert result is not None
    with Reranker(result.folder, device="cpu") as reranker:
        assert reranker.spec.id == before.id
        # Its weights are others, so that what was fitted to the first ones is not taken for it.
        assert str(reranker.spec.revision).startswith("trained-")
        assert replace(reranker.spec, revision=before.revision) == before
    assert f"base_model: {before.id}" in (result.folder / "README.md").read_text()


@pytest.mark.parametrize("changes", [{}, {"knowledge_distillation": True, "loss": "margin_mse", "shuffle_ratio": 0.5}])
def test_the_same_seed_gives_the_same_weights(
    bert_reranker_folder: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    # With a dev set the best checkpoint may be the one at the start.
    changes |= {"dev_fraction": 0.0}
    first = trained_weights(bert_reranker_folder, tmp_path / "a", **changes)
    assert trained_weights(bert_reranker_folder, tmp_path / "b", **changes) == first
    assert trained_weights(bert_reranker_folder, tmp_path / "c", seed=43, **changes) != first


@pytest.mark.slow
def test_workers_change_no_draw(bert_reranker_folder: Path, tmp_path: Path) -> None:
    alone = trained_weights(bert_reranker_folder, tmp_path / "a")
    assert trained_weights(bert_reranker_folder, tmp_path / "b", dataloader_num_workers=2) == alone


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "pointwise_bce"},
        {"loss": "pairwise_ranknet", "gradient_accumulation_steps": 2},
        {"loss": "listwise_ce", "gradient_checkpointing": True},
        {"loss": "kl_div", "knowledge_distillation": True, "temperature": 2.0},
        {"knowledge_distillation": True, "query_max_len": 8, "passage_max_len": 16, "dataloader_drop_last": True},
    ],
)
def test_every_loss_and_switch_trains(bert_reranker_folder: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    start = (bert_reranker_folder / WEIGHTS).read_bytes()
    assert trained_weights(bert_reranker_folder, tmp_path, max_steps=3, dev_fraction=0.0, **changes) != start


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_checkpoints_are_trained_in_float32(tmp_path: Path, dtype: str) -> None:
    from safetensors.torch import load_file
    from transformers import AutoModelForSequenceClassification

    start = bert_reranker(tmp_path / "start")
    model = AutoModelForSequenceClassification.from_pretrained(start)
    model.to(getattr(torch, dtype)).save_pretrained(start)
    train_reranker(tiny_run(start, tmp_path, learning_rate=1e-5, max_steps=3, dev_fraction=0.0))
    before, after = load_file(start / WEIGHTS), load_file(tmp_path / "trained" / WEIGHTS)
    assert {one.dtype for one in after.values()} == {torch.float32}
    moved = sum((after[name] != before[name].float()).sum().item() for name in after)
    assert moved > 0.5 * sum(one.numel() for one in after.values())


def test_a_smaller_last_batch_keeps_its_groups(bert_reranker_folder: Path, tmp_path: Path) -> None:
    settings = tiny_run(bert_reranker_folder, tmp_path, train_data=write_rows(tmp_path / "t.jsonl", rows(6)))
    prepared = prepare(settings, tmp_path)
    trainable = open_trainable(prepared.resolved, settings)
    trainer = trainer_for(prepared, trainable, tmp_path)
    sizes = []
    trainable.module.eval()
    for batch in trainer.get_train_dataloader():
        loss = trainer.compute_loss(trainable.module, dict(batch)).item()
        logits = trainable.module(**{k: v for k, v in batch.items() if k not in ("rows", "teacher")}).logits
        n_groups = len(batch["rows"])
        groups = [logits[4 * group : 4 * group + 4, 0].log_softmax(0)[0].item() for group in range(n_groups)]
        assert loss == pytest.approx(-sum(groups) / n_groups, rel=1e-5)
        sizes.append(n_groups)
    assert sizes == [4, 2]


def test_pairs_are_cut_as_at_inference(bert_reranker_folder: Path, tmp_path: Path) -> None:
    made = rows(4)
    for row in made:
        row["pos"], row["neg"] = [row["pos"][0] + " panda bamboo" * 400], [row["neg"][0] + " capital" * 700]
    data = write_rows(tmp_path / "t.jsonl", made)
    for family in (None, "bge"):
        settings = tiny_run(bert_reranker_folder, tmp_path, train_data=data, family=family, train_group_size=2)
        prepared = prepare(settings, tmp_path)
        trainable = open_trainable(prepared.resolved, settings)
        groups = GroupDataset(prepared.rows, settings.data, seed=1)
        batch = GroupBatches(trainable.pairs, trainable.padding)([groups[0, row] for row in range(4)])
        with Reranker(bert_reranker_folder, source=SourceOptions(family=family), device="cpu") as reranker:
            seen = reranker._backend.encode(
                [(made[0]["query"], made[0]["pos"][0]), (made[0]["query"], made[0]["neg"][0])]
            )
        for row in range(2):
            one = seen[row].inputs[0]
            assert batch["input_ids"][row, : len(one)].tolist() == one.ids.tolist()
            assert batch["token_type_ids"][row, : len(one)].tolist() == one.type_ids.tolist()
            assert batch["attention_mask"][row].sum() == len(one)


def test_first_loss_and_gradient_are_sentence_transformers(bert_reranker_folder: Path, tmp_path: Path) -> None:
    peers = pytest.importorskip("sentence_transformers.cross_encoder")
    settings = tiny_run(bert_reranker_folder, tmp_path)
    prepared = prepare(settings, tmp_path)
    trainable = open_trainable(prepared.resolved, settings)
    trainable.module.eval()
    data = GroupDataset(prepared.rows, settings.data, seed=1)
    groups = [data[0, row] for row in range(4)]
    trainer = trainer_for(prepared, trainable, tmp_path)
    ours = trainer.compute_loss(trainable.module, GroupBatches(trainable.pairs, trainable.padding)(groups))
    ours.backward()
    encoder = peers.CrossEncoder(str(bert_reranker_folder), device="cpu")
    encoder.eval()
    labels = [torch.tensor([100.0, 0.0, 0.0, 0.0])] * 4
    loss = peers.losses.ListNetLoss(encoder, mini_batch_size=-1)
    theirs = loss([[group.query for group in groups], [list(group.texts) for group in groups]], labels)
    theirs.backward()
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    norms = [
        math.sqrt(sum(p.grad.double().pow(2).sum().item() for p in module.parameters() if p.grad is not None))
        for module in (trainable.module, encoder)
    ]
    assert norms[0] == pytest.approx(norms[1], rel=1e-5)


def test_the_order_follows_the_epoch_that_is_set() -> None:
    order = EpochOrder(9, seed=4)
    first = list(order)
    order.epoch = 2
    assert {epoch for epoch, _ in order} == {2}
    assert [row for _, row in order] != [row for _, row in first]
    assert sorted(row for _, row in order) == list(range(9))


def test_held_out_queries_are_the_dev_set(bert_reranker_folder: Path, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "t.jsonl", rows(150))
    result = train_reranker(tiny_run(bert_reranker_folder, tmp_path, train_data=data, dev_fraction=0.2, max_steps=2))
    assert result is not None
    assert result.n_dev_queries >= 10
    assert result.n_rows + result.n_dev_queries == 150
    assert "held-out queries" in (result.folder / "README.md").read_text()


def test_the_last_step_is_measured_too(bert_reranker_folder: Path, tmp_path: Path) -> None:
    # transformers 4.57 leaves it out where eval_steps is no divisor, and then nothing may be measured at all.
    result = train_reranker(tiny_run(bert_reranker_folder, tmp_path, max_steps=3, eval_steps=10))
    assert result is not None
    log = json.loads((result.folder / "training.json").read_text())["log"]
    assert [one["step"] for one in log if "eval_nDCG@10" in one] == [3]
    assert result.best_step == 3


def test_held_out_queries_with_answers_that_are_trained_on_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = [{"query": f"question {n}", "pos": [f"answer {n % 9}"], "neg": ["no"]} for n in range(200)]
    settings = tiny_run("mini", tmp_path, train_data=write_rows(tmp_path / "t.jsonl", made), dev_fraction=0.1)
    prepared = prepare(settings, tmp_path)
    assert prepared.dev is not None
    n_held = len(prepared.dev.dataset.queries)
    assert f"{n_held} of the {n_held} held-out rows have a positive that is trained on" in caplog.text


def test_without_a_dev_set_the_last_step_is_kept(
    bert_reranker_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    result = train_reranker(tiny_run(bert_reranker_folder, tmp_path, dev_fraction=0.1, max_steps=2))
    assert result is not None
    assert (result.best_step, result.changes) == (None, ())
    assert "too few queries to hold some out" in caplog.text
    assert "Nothing was measured" in (result.folder / "README.md").read_text()


def test_training_ends_early_where_nothing_gets_better(bert_reranker_folder: Path, tmp_path: Path) -> None:
    settings = tiny_run(
        bert_reranker_folder, tmp_path, max_steps=50, eval_steps=1, early_stopping_patience=3, learning_rate=1e-12
    )
    result = train_reranker(settings)
    assert result is not None
    assert (result.steps, result.best_step) == (4, 1)


def test_a_dev_folder_without_candidates_is_ranked_by_bm25_first(bert_reranker_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("bm25s")
    beir = tmp_path / "beir"
    beir.mkdir()
    texts = [f"{row['pos'][0]} number {n}" for n, row in enumerate(rows(12))]
    write_rows(beir / "corpus.jsonl", [{"_id": f"d{n}", "text": text} for n, text in enumerate(texts)])
    write_rows(beir / "queries.jsonl", [{"_id": f"q{n}", "text": f"what is number {n}"} for n in range(4)])
    (beir / "qrels.tsv").write_text("".join(f"q{n}\td{n}\t1\n" for n in range(4)))
    result = train_reranker(tiny_run(bert_reranker_folder, tmp_path, dev_data=beir, dev_top_k=5, max_steps=2))
    assert result is not None
    assert result.n_dev_queries == 4


def test_a_plan_keeps_nothing(bert_reranker_folder: Path, tmp_path: Path) -> None:
    changes = {"max_steps": None, "num_train_epochs": 10.0, "passage_max_len": 3, "query_max_len": 4}
    kept = write_rows(tmp_path / "kept.jsonl", rows(30, seed=3))
    settings = tiny_run(bert_reranker_folder, tmp_path, **changes, keep_data=kept)
    n_pairs, n_kept = (
        sum(len({*row["pos"], *row["neg"]}) for row in rows(n, seed=seed)) for n, seed in ((8, 2), (30, 3))
    )
    plan = plan_reranker_training(settings)
    assert not (tmp_path / "trained").exists()
    assert not (tmp_path / "trained.training").exists()
    assert (plan.n_rows, plan.n_dev_queries, plan.n_dev_pairs) == (22, 8, n_pairs)
    assert (plan.groups_per_step, plan.pairs_per_step, plan.steps_per_epoch, plan.steps) == (4, 16, 6, 60)
    assert plan.max_length == 7
    assert plan.mean_tokens == 7.0
    assert plan.share_cut > 0.9
    # A pair that is measured takes a third of one that is trained on; both sets are measured before and after too.
    measuring = (n_pairs * (plan.measurements + 2) + n_kept * 2) / 16 / 3
    assert plan.seconds == pytest.approx((plan.steps + measuring) * plan.seconds_per_step)
    assert plan.seconds_per_step > 0
    assert plan.peak_bytes > 50e6


def test_questions_of_a_kept_set_that_are_trained_on_are_told(
    bert_reranker_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = write_rows(tmp_path / "some.jsonl", [*rows(4, seed=77), *rows(30)[:9]])
    data = write_rows(tmp_path / "trained-on.jsonl", rows(30))
    settings = tiny_run(bert_reranker_folder, tmp_path, train_data=data, keep_data=kept, dev_fraction=0.0, max_steps=2)
    n_queries = len({row["query"] for row in [*rows(4, seed=77), *rows(30)[:9]]})
    n_known = len({row["query"] for row in [*rows(4, seed=77), *rows(30)[:9]]} & {row["query"] for row in rows(30)})
    assert n_known < n_queries
    plan_reranker_training(settings)
    assert f"{n_known} of the {n_queries} queries of some, a set of keep_data, are trained on" in caplog.text


class TestRefusals:
    """What cannot work is told before anything is trained, and leaves nothing behind that was not there."""

    def test_a_used_output_folder(self, bert_reranker_folder: Path, tmp_path: Path) -> None:
        (tmp_path / "trained").mkdir()
        (tmp_path / "trained" / "mine.txt").write_text("mine")
        with pytest.raises(InvalidInputError, match="is not overwritten"):
            train_reranker(tiny_run(bert_reranker_folder, tmp_path))
        assert (tmp_path / "trained" / "mine.txt").read_text() == "mine"
        assert not (tmp_path / "trained.training").exists()

    def test_resume_without_a_beginning(self, bert_reranker_folder: Path, tmp_path: Path) -> None:
        with pytest.raises(InvalidInputError, match="no training to go on with"):
            train_reranker(tiny_run(bert_reranker_folder, tmp_path, resume=True))

    @pytest.mark.parametrize("n_labels", [2])
    def test_a_classifier(self, tmp_path: Path, n_labels: int) -> None:
        with pytest.raises(UnsupportedModelError, match="2 labels"):
            train_reranker(tiny_run(bert_reranker(tmp_path / "m", n_labels=n_labels), tmp_path))

    def test_a_t5_reranker(self, tmp_path: Path) -> None:
        with pytest.raises(UnsupportedModelError, match="T5 rerankers are not yet"):
            train_reranker(tiny_run(mono_t5(tmp_path / "m"), tmp_path, family="monot5"))

    def test_an_embedder(self, checkpoints: Path, tmp_path: Path) -> None:
        with pytest.raises(UnsupportedModelError, match="not a cross-encoder"):
            train_reranker(tiny_run(checkpoints / "bert-embedder", tmp_path))

    def test_more_tokens_than_there_are_positions(self, bert_reranker_folder: Path, tmp_path: Path) -> None:
        with pytest.raises(InvalidInputError, match="its positions end at 512"):
            train_reranker(tiny_run(bert_reranker_folder, tmp_path, query_max_len=256, passage_max_len=512))

    @pytest.mark.parametrize(
        ("text", "message"), [("", "empty|no row"), ('{"query": "a", "pos": [], "neg": ["x"]}\n', "nothing to measure")]
    )
    def test_a_dev_set_without_anything_to_measure(
        self, bert_reranker_folder: Path, tmp_path: Path, text: str, message: str
    ) -> None:
        dev = tmp_path / "dev.jsonl"
        dev.write_text(text)
        with pytest.raises(InvalidInputError, match=message):
            train_reranker(tiny_run(bert_reranker_folder, tmp_path, dev_data=dev))

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"query": " "}, "blank query"),
            ({"neg": []}, "without a negative"),
            ({"pos": ["same", "x"], "neg": ["same"]}, "the same text as positive and negative"),
            ({"pos_scores": [1.0]}, "more or fewer scores than texts"),
            ({"query": rows(8, seed=2)[0]["query"]}, "stand in the dev set too"),
        ],
    )
    def test_data_with_errors(
        self, bert_reranker_folder: Path, tmp_path: Path, changes: dict[str, Any], message: str
    ) -> None:
        made = rows(12, seed=5)
        made[6] |= changes
        data = write_rows(tmp_path / "t.jsonl", made)
        with pytest.raises(InvalidInputError, match=message) as caught:
            train_reranker(tiny_run(bert_reranker_folder, tmp_path, train_data=data))
        assert f"{data}:7" in str(caught.value)
        assert not (tmp_path / "trained.training").exists()

    def test_a_measure_that_there_is_none_of(self, bert_reranker_folder: Path, tmp_path: Path) -> None:
        with pytest.raises(InvalidInputError, match="there is no measure 'accuracy'"):
            train_reranker(tiny_run(bert_reranker_folder, tmp_path, metric="accuracy"))


def test_allowed_errors_and_warnings_are_told_without_texts(
    bert_reranker_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = rows(12, seed=5)
    made[6]["neg"] = []
    data = write_rows(tmp_path / "t.jsonl", made)
    result = train_reranker(
        tiny_run(bert_reranker_folder, tmp_path, train_data=data, allow=("no_negative",), train_group_size=8)
    )
    assert result is not None
    assert result.n_rows == 11
    assert "1 rows have no group and are left out" in caplog.text
    assert "rows with fewer negatives than a group takes" in caplog.text
    assert f"{data}:1" in caplog.text
    assert "what is" not in caplog.text


def test_fp16_on_a_cpu_is_told(bert_reranker_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    weights = trained_weights(bert_reranker_folder, tmp_path / "a", fp16=True)
    assert "fp16 needs a GPU" in caplog.text
    assert weights == trained_weights(bert_reranker_folder, tmp_path / "b")


def test_a_loss_that_is_not_finite_names_step_and_rows(bert_reranker_folder: Path, tmp_path: Path) -> None:
    made = rows(5, teacher=True)
    # Finite in a file; their squares are not in float32.
    made[2]["pos_scores"] = [1e30, 1e30]
    data = write_rows(tmp_path / "t.jsonl", made)
    settings = tiny_run(
        bert_reranker_folder,
        tmp_path,
        train_data=data,
        knowledge_distillation=True,
        loss="margin_mse",
        per_device_train_batch_size=1,
    )
    with pytest.raises(TrainingError, match=r"the loss is inf at step \d+, in the batch of .*t\.jsonl:3\. ") as caught:
        train_reranker(settings)
    assert "what is" not in str(caught.value)
    assert not (tmp_path / "trained").exists()


def test_a_gradient_that_is_not_finite_names_step_and_rows(
    bert_reranker_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rerank_plugins.training import reranking

    def steep(scores: torch.Tensor, _teacher: torch.Tensor | None) -> torch.Tensor:
        # Finite where its slope is not.
        return (scores - scores.detach()).sum().clamp(min=0).sqrt()

    monkeypatch.setattr(reranking, "group_loss", lambda *_, **__: steep)
    with pytest.raises(TrainingError, match="a gradient is not finite at step 1"):
        train_reranker(tiny_run(bert_reranker_folder, tmp_path))


@pytest.mark.slow
def test_mini_is_trained_in_its_own_format(tmp_path: Path) -> None:
    pytest.importorskip("rerank_plugins_mini")
    from safetensors.torch import load_file

    settings = tiny_run(
        "mini", tmp_path, max_steps=2, learning_rate=None, per_device_train_batch_size=2, dev_fraction=0.0
    )
    result = train_reranker(settings)
    assert result is not None
    stored = load_file(result.folder / WEIGHTS)
    assert {one.dtype for one in stored.values()} == {torch.float32}
    # Half as wide as the models that 5e-5 is for.
    assert json.loads((result.folder / "training.json").read_text())["settings"]["learning_rate"] == 1e-4
    with Reranker("mini", device="cpu") as start, Reranker(result.folder, device="cpu") as trained:
        assert trained.max_length == start.max_length
        assert trained.truncation == start.truncation
        pairs = [("what is panda", "panda is bamboo"), ("capital of France", "Paris")]
        for one, other in zip(start.score(pairs), trained.score(pairs), strict=True):
            assert one != other
            assert one == pytest.approx(other, abs=0.5)


def test_progress_is_logged_without_texts(
    bert_reranker_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="rerank_plugins"):
        train_reranker(tiny_run(bert_reranker_folder, tmp_path, logging_steps=2))
    assert re.search(r"step 2 of 6: loss \d[\d.e-]*, grad_norm \d[\d.e-]*, ", caplog.text)
    assert "what is" not in caplog.text


def test_measured_sets_are_read_with_the_instructions_of_the_run(bert_reranker_folder: Path, tmp_path: Path) -> None:
    changes = {"query_instruction_for_rerank": "panda is ", "passage_instruction_for_rerank": "salt of "}
    result = train_reranker(tiny_run(bert_reranker_folder, tmp_path, **changes))
    assert result is not None
    dev = [json.loads(line) for line in (tmp_path / "dev.jsonl").read_text().splitlines()]
    for model, name in ((bert_reranker_folder, "before"), (result.folder, "after")):
        scores, qrels = {}, {}
        with Reranker(model, device="cpu", dtype="float32") as reranker:
            for number, row in enumerate(dev):
                texts = list(dict.fromkeys([*row["pos"], *row["neg"]]))
                # The trained folder puts them in front itself.
                put = name == "before"
                pairs = [("panda is " * put + row["query"], "salt of " * put + text) for text in texts]
                scores[str(number)] = dict(zip(texts, reranker.score(pairs), strict=True))
                qrels[str(number)] = {text: int(text in row["pos"]) for text in texts}
        measured = evaluate(scores, qrels, measures=parse_measures(["nDCG@10", "MRR@10", "hit@5"]))
        assert [getattr(one, name) for one in result.changes] == pytest.approx(
            [measured.mean(one.name) for one in result.changes]
        )
    card = (result.folder / "README.md").read_text()
    assert "read as `panda is ...` and texts as `salt of ...`" in card
    assert "`Reranker` reads them so itself; `CrossEncoder` of sentence-transformers 6 does it for queries" in card


def test_a_tracker_that_cannot_be_had_is_told_before_the_model_is_measured(
    bert_reranker_folder: Path, tmp_path: Path
) -> None:
    settings = tiny_run(bert_reranker_folder, tmp_path, report_to=("nonsense",))
    with pytest.raises(InvalidInputError, match="report_to='nonsense' cannot be had"):
        train_reranker(settings)
    assert not (tmp_path / "trained.training").exists()


@pytest.mark.parametrize("output", [".", "/"])
def test_an_output_without_a_name_is_refused(bert_reranker_folder: Path, tmp_path: Path, output: str) -> None:
    with pytest.raises(InvalidInputError, match="no name of its own"):
        train_reranker(tiny_run(bert_reranker_folder, tmp_path, output_dir=output))
