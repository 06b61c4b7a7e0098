"""Whole trainings of tiny embedders: what is saved opens everywhere, and what cannot work is refused before."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import embedder_checkpoints as builders
import numpy as np
import pytest
import torch
from tiny_checkpoints import bert_embedder, xlmr_embedder
from training_rows import rows, tiny_settings, write_rows

from rerank_plugins import Embedder, InstructionOptions, SourceOptions
from rerank_plugins.errors import InvalidInputError, TrainingError, UnsupportedModelError

pytest.importorskip("accelerate")
pytest.importorskip("ir_measures")

from rerank_plugins.training import (
    EmbedderTrainingSettings,
    embedder_settings,
    plan_embedder_training,
    train_embedder,
)
from rerank_plugins.training import embedders as embedder_kind
from rerank_plugins.training.embedders import EMBEDDER
from rerank_plugins.training.preparing import prepare, trainer_for

WEIGHTS = "model.safetensors"
QUERIES = ["what is a panda?", "renew a passport", "blood"]
TEXTS = ["Pandas eat bamboo.", "You need a photo, a form and a fee to renew it.", "salt"]


def tiny_embedder_run(model: Path | str, folder: Path, **changes: Any) -> EmbedderTrainingSettings:
    return embedder_settings(tiny_settings(model, folder, **changes))


def trained_weights(model: Path, folder: Path, **changes: Any) -> bytes:
    folder.mkdir(exist_ok=True)
    result = train_embedder(tiny_embedder_run(model, folder, **changes))
    assert result is not None
    return (result.folder / WEIGHTS).read_bytes()


def vectors_of(folder: Path) -> np.ndarray:
    with Embedder(folder, device="cpu") as embedder:
        return np.concatenate([embedder.embed_queries(QUERIES), embedder.embed_documents(TEXTS)])


def test_a_training_leaves_a_measured_model_and_nothing_else(tmp_path: Path) -> None:
    start = bert_embedder(tmp_path / "start")
    lengths = {"query_max_len": 20, "passage_max_len": 30}
    result = train_embedder(tiny_embedder_run(start, tmp_path, max_steps=30, eval_steps=10, **lengths))
    assert result is not None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dev.jsonl", "start", "train.jsonl", "trained"]
    assert (result.steps, result.n_rows, result.n_dev_queries) == (30, 22, 8)
    log = json.loads((result.folder / "training.json").read_text())["log"]
    measured = [entry["eval_nDCG@10"] for entry in log if "eval_nDCG@10" in entry]
    changed = {one.name: one for one in result.changes}
    # The saved folder measured by Embedder is the best of what the module measured while it was trained.
    assert changed["nDCG@10"].after == pytest.approx(max(measured), abs=1e-9)
    card = (result.folder / "README.md").read_text()
    assert f"{changed['nDCG@10'].before:.4f} | {changed['nDCG@10'].after:.4f}" in card
    assert "queries of 20 tokens at most and texts of 30, in the measures above too" in card
    assert "what is" not in card


def test_a_model_learns(tmp_path: Path) -> None:
    made = rows(80, seed=1)
    for row in made:
        row["pos"], row["neg"] = [f"bamboo of {row['query']}"], []
    data = write_rows(tmp_path / "train.jsonl", made[:60])
    dev = made[60:]
    for number, row in enumerate(dev):
        row["neg"] = [other["pos"][0] for place, other in enumerate(dev) if place != number][:9]
    result = train_embedder(
        tiny_embedder_run(
            bert_embedder(tmp_path / "start", pooling="mean"),
            tmp_path,
            train_data=data,
            dev_data=write_rows(tmp_path / "dev.jsonl", dev),
            train_group_size=1,
            per_device_train_batch_size=20,
            max_steps=60,
            eval_steps=20,
        )
    )
    assert result is not None
    (ndcg, *_) = result.changes
    assert ndcg.after > ndcg.before
    assert ndcg.better > ndcg.worse


@pytest.mark.parametrize(
    ("make", "changes"),
    [
        (bert_embedder, {}),
        (lambda folder: bert_embedder(folder, pooling=None), {"sentence_pooling_method": "mean", "family": "e5"}),
        (xlmr_embedder, {"query_instruction_for_retrieval": "find: ", "passage_instruction_for_retrieval": "text: "}),
        (xlmr_embedder, {"sentence_pooling_method": "cls", "normalize_embeddings": False, "temperature": 1.0}),
    ],
    ids=["cls", "mean", "instructions", "not-normalized"],
)
def test_the_folder_opens_everywhere_with_equal_vectors(make: Any, changes: dict[str, Any], tmp_path: Path) -> None:
    peers = pytest.importorskip("sentence_transformers")
    transformers = pytest.importorskip("transformers")
    start = make(tmp_path / "start")
    result = train_embedder(tiny_embedder_run(start, tmp_path, dev_fraction=0.0, **changes))
    assert result is not None
    ours = vectors_of(result.folder)
    model = peers.SentenceTransformer(str(result.folder), device="cpu")
    theirs = np.concatenate([model.encode_query(QUERIES), model.encode_document(TEXTS)])
    assert ours == pytest.approx(theirs, abs=1e-5)
    with Embedder(result.folder, device="cpu") as embedder:
        prefixes = embedder.instruction
        assert embedder.normalize == changes.get("normalize_embeddings", True)
    assert model.similarity_fn_name == ("cosine" if changes.get("normalize_embeddings", True) else "dot")
    if "query_instruction_for_retrieval" in changes:
        assert (prefixes.query, prefixes.document) == ("find: ", "text: ")
    if make is bert_embedder:
        tokenizer = transformers.AutoTokenizer.from_pretrained(result.folder)
        plain = transformers.AutoModel.from_pretrained(result.folder).eval()
        with torch.no_grad():
            states = plain(**tokenizer(QUERIES, padding=True, return_tensors="pt")).last_hidden_state
        wanted = torch.nn.functional.normalize(states[:, 0], dim=1).numpy()
        assert ours[: len(QUERIES)] == pytest.approx(wanted, abs=1e-5)


def test_flag_embedding_opens_the_folder_with_equal_vectors(tmp_path: Path) -> None:
    peer = pytest.importorskip("FlagEmbedding")
    start = bert_embedder(tmp_path / "start")
    result = train_embedder(tiny_embedder_run(start, tmp_path, dev_fraction=0.0))
    assert result is not None
    model = peer.FlagModel(str(result.folder), use_fp16=False, devices="cpu", pooling_method="cls")
    theirs = np.concatenate([model.encode_queries(QUERIES), model.encode_corpus(TEXTS)])
    assert vectors_of(result.folder) == pytest.approx(theirs, abs=1e-5)


def test_bge_m3_keeps_its_three_kinds_of_vectors(tmp_path: Path) -> None:
    start = builders.bge_m3(tmp_path / "start", pickled=False)
    changes = {"unified_finetuning": True, "use_self_distill": True, "self_distill_start_step": 1}
    result = train_embedder(tiny_embedder_run(start, tmp_path, dev_fraction=0.0, **changes))
    assert result is not None
    with Embedder(result.folder, device="cpu") as ours, Embedder(start, device="cpu") as before:
        found, was = ours.encode_queries(QUERIES), before.encode_queries(QUERIES)
    peer = pytest.importorskip("FlagEmbedding")
    model = peer.BGEM3FlagModel(str(result.folder), use_fp16=False, devices="cpu")
    theirs = model.encode(QUERIES, return_dense=True, return_sparse=True, return_colbert_vecs=True)
    assert found.dense == pytest.approx(theirs["dense_vecs"], abs=1e-5)
    for row in range(len(QUERIES)):
        weights = {str(token): weight for token, weight in theirs["lexical_weights"][row].items()}
        ours_sparse = {str(token): weight for token, weight in found.sparse[row].items()}
        assert ours_sparse == pytest.approx(weights, abs=1e-5)
        assert found.colbert[row] == pytest.approx(theirs["colbert_vecs"][row], abs=1e-5)
    assert np.abs(found.colbert[0] - was.colbert[0]).max() > 1e-3


@pytest.mark.parametrize("name", ["Qwen3-Embedding-0.6B", "e5-mistral-7b-instruct"])
def test_a_language_model_is_trained_with_lora_and_saved_whole(name: str, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    peers = pytest.importorskip("sentence_transformers")
    if not builders.available(name):
        pytest.skip("this transformers lacks the architecture")
    start = builders.BUILDERS[name](tmp_path / "start")
    result = train_embedder(tiny_embedder_run(start, tmp_path, dev_fraction=0.0, lora_rank=4, lora_dropout=0.0))
    assert result is not None
    assert (result.folder / "adapter" / "adapter_config.json").is_file()
    ours = vectors_of(result.folder)
    assert np.abs(ours - vectors_of(start)).max() > 1e-3
    model = peers.SentenceTransformer(str(result.folder), device="cpu")
    theirs = np.concatenate([model.encode_query(QUERIES), model.encode_document(TEXTS)])
    assert ours == pytest.approx(theirs, abs=1e-5)


@pytest.mark.parametrize("query", ["find: ", ""])
def test_an_instruction_of_a_model_with_named_tasks_is_its_default_from_then_on(tmp_path: Path, query: str) -> None:
    given = {"query_instruction_for_retrieval": query, "family": "llm-embedder"}
    start = bert_embedder(tmp_path / "start")
    result = train_embedder(tiny_embedder_run(start, tmp_path, dev_fraction=0.0, max_steps=1, **given))
    assert result is not None
    document = "Represent this document for retrieval: "
    for source in (None, SourceOptions(family="llm-embedder")):
        with Embedder(result.folder, device="cpu", source=source) as embedder:
            assert (embedder.instruction.query, embedder.instruction.document) == (query, document)
    chosen = InstructionOptions(task="chat", document="")
    options = {"device": "cpu", "source": SourceOptions(family="llm-embedder")}
    with Embedder(result.folder, instruction=chosen, **options) as embedder:
        assert embedder.instruction.query == "Embed this dialogue to find useful historical dialogues: "
        assert embedder.instruction.document == ""


@pytest.mark.slow
def test_a_listed_model_is_known_again(tmp_path: Path) -> None:
    from transformers import BertConfig, BertModel

    torch.manual_seed(3)
    start = bert_embedder(tmp_path / "bge-small-en-v1.5", pooling=None)
    # The facts by which the catalog tells this size from others.
    config = BertConfig(
        vocab_size=30_522, hidden_size=384, num_hidden_layers=12, num_attention_heads=12, intermediate_size=1536
    )
    BertModel(config).save_pretrained(start)
    with Embedder(start, device="cpu") as embedder:
        before, instruction = embedder.spec, embedder.instruction
    assert before.family == "bge"
    assert instruction.query
    result = train_embedder(tiny_embedder_run(start, tmp_path, max_steps=1, dev_fraction=0.0))
    assert result is not None
    with Embedder(result.folder, device="cpu") as embedder:
        assert (embedder.spec.id, embedder.instruction) == (before.id, instruction)
    assert f"base_model: {before.id}" in (result.folder / "README.md").read_text()


@pytest.mark.parametrize("changes", [{}, {"knowledge_distillation": True, "sub_batch_size": 3, "shuffle_ratio": 0.5}])
def test_the_same_seed_gives_the_same_weights(tmp_path: Path, changes: dict[str, Any]) -> None:
    start = bert_embedder(tmp_path / "start")
    changes |= {"dev_fraction": 0.0}
    first = trained_weights(start, tmp_path / "a", **changes)
    assert trained_weights(start, tmp_path / "b", **changes) == first
    assert trained_weights(start, tmp_path / "c", seed=43, **changes) != first


@pytest.mark.parametrize(
    "changes",
    [
        {"use_inbatch_neg": False},
        {"use_mrl": True, "mrl_dims": (8, 32)},
        {"knowledge_distillation": True, "kd_loss_type": "m3_kd_loss"},
        {"knowledge_distillation": True, "contrastive_weight": 0.0, "teacher_scale": "logit"},
        {"negatives_cross_device": True, "gradient_accumulation_steps": 2},
        {"freeze_embeddings": True, "frozen_layers": 1, "group_by_length": True},
        {"fix_position_embedding": True, "gradient_checkpointing": True},
        {"query_max_len": 8, "passage_max_len": 12, "dataloader_drop_last": True},
        {"same_dataset_within_batch": True},
        {"unified_finetuning": True, "fix_encoder": True, "colbert_dim": 12},
    ],
)
def test_every_loss_and_switch_trains(tmp_path: Path, changes: dict[str, Any]) -> None:
    start = bert_embedder(tmp_path / "start")
    found = trained_weights(start, tmp_path, max_steps=3, dev_fraction=0.0, **changes)
    if changes.get("fix_encoder"):
        # The encoder alone is in this file.
        assert vectors_of(tmp_path / "trained") == pytest.approx(vectors_of(start), abs=1e-6)
    else:
        assert found != (start / WEIGHTS).read_bytes()


def test_matryoshka_dimensions_are_the_beginnings_of_vectors(tmp_path: Path) -> None:
    start = bert_embedder(tmp_path / "start")
    with pytest.raises(InvalidInputError, match="have 32 dimensions"):
        train_embedder(tiny_embedder_run(start, tmp_path, use_mrl=True, mrl_dims=(64,)))
    assert not (tmp_path / "trained.training").exists()


def test_a_batch_is_of_one_file_and_no_query_begins_with_none(tmp_path: Path) -> None:
    start = bert_embedder(tmp_path / "start")
    first, second = rows(10, seed=1), rows(7, seed=2)
    for row in second:
        row["prompt"] = "find: "
    files = (
        write_rows(tmp_path / "first.jsonl", first),
        write_rows(tmp_path / "second_no_in_batch_neg.jsonl", second),
    )
    changes = {"train_data": files, "dev_fraction": 0.0, "same_dataset_within_batch": True, "allow": ("some_prompts",)}
    settings = tiny_embedder_run(start, tmp_path, **changes)
    prepared = prepare(settings, tmp_path)
    # Two batches of the first file and one of the second: what is left of a file is left out.
    assert prepared.steps.per_epoch == 3
    trainable = EMBEDDER.open(prepared.resolved, prepared.settings)
    trainer = trainer_for(prepared, trainable, tmp_path)
    found = [(set(batch["rows"].tolist()), batch["own_texts_only"]) for batch in trainer.get_train_dataloader()]
    assert sorted(own for _, own in found) == [False, False, True]
    for numbers, own in found:
        assert len(numbers) == 4
        assert all((number >= 10) == own for number in numbers)
    with_prompt = embedder_settings({**settings.flat(), "query_instruction_for_retrieval": "ask: "})
    group = prepared.rows[12], with_prompt.data
    drawn = embedder_kind.GroupDataset(prepared.rows, group[1], seed=1)
    assert drawn[0, 12].query.startswith("find: what is")
    assert drawn[0, 1].query.startswith("ask: what is")
    plain = embedder_kind.GroupDataset(prepared.rows, prepared.settings.data, seed=1)
    assert plain[0, 12].query.startswith("what is")


def test_files_that_are_all_smaller_than_a_batch_are_told(tmp_path: Path) -> None:
    files = [write_rows(tmp_path / f"{seed}.jsonl", rows(3, seed=seed)) for seed in (1, 2)]
    changes = {"train_data": files, "dev_fraction": 0.0, "same_dataset_within_batch": True}
    settings = tiny_embedder_run(bert_embedder(tmp_path / "start"), tmp_path, **changes)
    with pytest.raises(InvalidInputError, match=r"a batch of 4 groups is of one file, and the largest has 3 rows"):
        prepare(settings, tmp_path)


def test_a_type_decides_on_the_groups_of_its_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """FlagEmbedding's rules of ``only_1neg``, ``symmetric_class``, ``symmetric_sts`` and ``symmetric_clustering``."""
    kinds = ("normal", "only_1neg", "symmetric_class", "symmetric_sts", "symmetric_clustering")
    files = []
    for number, kind in enumerate(kinds):
        made = [{**row, "neg": [f"other {number} {n}" for n in range(3)], "type": kind} for row in rows(8, seed=number)]
        if kind == "symmetric_class":
            made[5]["neg"] = made[5]["neg"][:2]
        files.append(write_rows(tmp_path / f"{kind}.jsonl", made))
    settings = tiny_embedder_run(
        bert_embedder(tmp_path / "start"),
        tmp_path,
        train_data=files,
        dev_fraction=0.0,
        same_dataset_within_batch=True,
        train_group_size=5,
        query_instruction_for_retrieval="ask: ",
        passage_instruction_for_retrieval="told: ",
    )
    prepared = prepare(settings, tmp_path)
    trainable = EMBEDDER.open(prepared.resolved, prepared.settings)
    trainer = trainer_for(prepared, trainable, tmp_path)
    texts = dict.fromkeys(kinds, 0)
    for batch in trainer.get_train_dataloader():
        (kind,) = {kinds[row // 8] for row in batch["rows"].tolist()}
        n_rows = len(batch["rows"])
        texts[kind] = len(batch["passages"]["input_ids"]) // n_rows
        vectors = trainable.module(queries=batch["queries"], passages=batch["passages"])
        assert embedder_kind.objective_of(settings, trainable)(*vectors, batch, 0).isfinite()
    assert texts == {
        "normal": 5,
        "only_1neg": 2,
        "symmetric_class": 3,
        "symmetric_sts": 5,
        "symmetric_clustering": 5,
    }
    drawn = embedder_kind.GroupDataset(prepared.rows, prepared.settings.data, seed=1)
    for number, begins in enumerate(("told: ", "told: ", "told: ", "ask: ", "ask: ")):
        group = drawn[0, 8 * number]
        assert group.query.startswith("ask: ")
        assert all(text.startswith(begins) for text in group.texts), kinds[number]
    assert "half the size" in caplog.text
    assert "which counts with" not in caplog.text
    # Three of 4 in three of the files; the other two ask for no more than they have.
    assert "24 rows with fewer negatives" in caplog.text


def test_types_in_one_file_and_types_that_do_not_count(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = [{**row, "type": "symmetric_sts" if n == 6 else "normal"} for n, row in enumerate(rows(12))]
    files = (write_rows(tmp_path / "mixed.jsonl", made),)
    start = bert_embedder(tmp_path / "start")
    changes = {"train_data": files, "dev_fraction": 0.0}
    with pytest.raises(InvalidInputError, match=r"mixed\.jsonl:7: its type 'symmetric_sts' is another than 'normal'"):
        prepare(tiny_embedder_run(start, tmp_path, same_dataset_within_batch=True, **changes), tmp_path)
    caplog.clear()
    prepared = prepare(tiny_embedder_run(start, tmp_path, **changes), tmp_path)
    assert "1 rows with a type, which counts with same_dataset_within_batch only" in caplog.text
    assert {len(embedder_kind.GroupDataset(prepared.rows, prepared.settings.data, seed=1)[0, 6].texts)} == {4}


def test_scores_are_float32_within_autocast(tmp_path: Path) -> None:
    settings = tiny_embedder_run(bert_embedder(tmp_path / "start"), tmp_path, dev_fraction=0.0)
    prepared = prepare(settings, tmp_path)
    trainable = EMBEDDER.open(prepared.resolved, prepared.settings)
    trainer = trainer_for(prepared, trainable, tmp_path)
    trainable.module.eval()
    batch = next(iter(trainer.get_train_dataloader()))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = trainer.compute_loss(trainable.module, batch)
        vectors = trainable.module(queries=batch["queries"], passages=batch["passages"])
        rounded = embedder_kind.objective_of(settings, trainable)(*vectors, batch, 0)
    assert loss.item() == embedder_kind.objective_of(settings, trainable)(*vectors, batch, 0).item()
    assert loss.item() != rounded.item()


def test_a_plan_keeps_nothing(tmp_path: Path) -> None:
    start = bert_embedder(tmp_path / "start")
    plan = plan_embedder_training(tiny_embedder_run(start, tmp_path))
    assert (plan.groups_per_step, plan.pairs_per_step, plan.steps) == (4, 20, 6)
    assert plan.max_length == 512
    assert 0 < plan.mean_tokens < 20
    short = plan_embedder_training(tiny_embedder_run(start, tmp_path, query_max_len=6, passage_max_len=4))
    assert short.max_length == 6
    assert short.share_cut > 0.5
    assert not (tmp_path / "trained.training").exists()


def test_a_loss_that_is_not_finite_names_step_and_rows(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    start = bert_embedder(tmp_path / "start")
    weights = load_file(start / WEIGHTS)
    weights["embeddings.word_embeddings.weight"][:] = math.nan
    save_file(weights, start / WEIGHTS, metadata={"format": "pt"})
    with pytest.raises(TrainingError, match=r"the loss is nan at step 1, in the batch of .*train\.jsonl:"):
        train_embedder(tiny_embedder_run(start, tmp_path, dev_fraction=0.0))
    assert not (tmp_path / "trained").exists()


class TestRefusals:
    """What cannot work is told before anything is trained."""

    def test_a_static_embedder(self, tmp_path: Path) -> None:
        pytest.importorskip("rerank_plugins_mini")
        with pytest.raises(UnsupportedModelError, match="a table of vectors without a transformer"):
            train_embedder(tiny_embedder_run("mini", tmp_path))

    def test_an_instructor(self, tmp_path: Path) -> None:
        start = builders.instructor(tmp_path / "start")
        with pytest.raises(UnsupportedModelError, match="is a T5"):
            train_embedder(tiny_embedder_run(start, tmp_path))

    def test_tokens_that_the_vocabulary_lacks(self, tmp_path: Path) -> None:
        start = bert_embedder(tmp_path / "start")
        with pytest.raises(InvalidInputError, match="names <query>, which the model's vocabulary lacks"):
            train_embedder(tiny_embedder_run(start, tmp_path, additional_special_tokens=("[CLS]", "<query>")))

    def test_a_used_folder(self, tmp_path: Path) -> None:
        (tmp_path / "trained").mkdir()
        (tmp_path / "trained" / "mine.txt").write_text("kept")
        with pytest.raises(InvalidInputError, match="is used already, and is not overwritten"):
            train_embedder(tiny_embedder_run(bert_embedder(tmp_path / "start"), tmp_path))

    def test_rows_without_negatives_where_groups_need_them(self, tmp_path: Path) -> None:
        made = rows(12)
        for row in made:
            row["neg"] = []
        data = write_rows(tmp_path / "t.jsonl", made)
        with pytest.raises(InvalidInputError, match="as train_group_size is 4, a neg text"):
            train_embedder(tiny_embedder_run(bert_embedder(tmp_path / "start"), tmp_path, train_data=data))

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"train_group_size": 1, "use_inbatch_neg": False}, "the loss is 0"),
            ({"train_group_size": 1, "knowledge_distillation": True}, "ranks the texts of a group"),
            ({"use_mrl": True}, "give both, or neither"),
            ({"use_self_distill": True}, "set unified_finetuning"),
            ({"unified_finetuning": True, "use_mrl": True, "mrl_dims": (8,)}, "cannot be had together"),
            ({"negatives_cross_device": True, "use_inbatch_neg": False}, "takes none"),
            ({"query_instruction_format": "{} {}!"}, "in front of it"),
            ({"small_threshold": 3}, "set same_dataset_within_batch"),
            ({"group_by_length": True, "same_dataset_within_batch": True}, "two ways to make batches"),
        ],
    )
    def test_settings_that_contradict_each_other(self, tmp_path: Path, changes: dict[str, Any], message: str) -> None:
        with pytest.raises(InvalidInputError, match=message):
            tiny_embedder_run("BAAI/bge-m3", tmp_path, **changes)


def test_settings_of_an_adapter_that_an_encoder_does_not_get_are_refused(tmp_path: Path) -> None:
    start = bert_embedder(tmp_path / "start")
    with pytest.raises(InvalidInputError, match="lora_rank is about an adapter, and all weights of this model are"):
        train_embedder(tiny_embedder_run(start, tmp_path, lora_rank=4))
