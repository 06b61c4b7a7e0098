from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rerank_plugins.errors import InvalidInputError, UnknownOptionError
from rerank_plugins.training import (
    ColbertTrainingSettings,
    DataSettings,
    EmbedderTrainingSettings,
    RetrievalDataSettings,
    RunSettings,
    TrainingRecord,
    read_settings_file,
    reranker_settings,
)
from rerank_plugins.training.settings import GROUPS, usual_learning_rate
from rerank_plugins.training.settings_flat import groups_of, settings_of
from rerank_plugins.training.steps import plan_steps

LEAST: dict[str, Any] = {"train_data": "rows.jsonl", "output_dir": "out"}


def test_flat_names_find_their_groups_and_come_back() -> None:
    settings = reranker_settings(
        {**LEAST, "train_group_size": 16, "learning-rate": 6e-5, "family": "bge", "seed": None}
    )
    assert settings.data == DataSettings(train_data=("rows.jsonl",), train_group_size=16)
    assert settings.run == RunSettings(output_dir="out", learning_rate=6e-5)
    assert settings.model.family == "bge"
    assert reranker_settings(settings.flat()) == settings


def test_none_is_a_choice_where_it_is_not_the_default(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("train_data: a.jsonl\noutput_dir: out\nearly_stopping_patience: null\nseed: null\n")
    settings = reranker_settings(read_settings_file(path))
    assert (settings.run.early_stopping_patience, settings.run.seed) == (None, 42)
    assert reranker_settings(settings.flat()) == settings


def test_flag_embeddings_names_and_defaults() -> None:
    flat = reranker_settings(LEAST).flat()
    assert flat["train_group_size"] == 8
    assert flat["knowledge_distillation"] is False
    assert flat["query_instruction_format"] == "{}{}"
    # FlagEmbedding's 32 + 128 tokens would be less than its own models read: the model's own length is the default.
    assert flat["query_max_len"] is None


def test_no_two_groups_have_a_setting_of_one_name() -> None:
    names = [name for owner in GROUPS.values() for name in owner.__dataclass_fields__]  # type: ignore[attr-defined]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lerning_rate", "did you mean 'learning_rate'"),
        ("lora_rnk", "did you mean 'lora_rank'"),
        ("warmup_steps", "it is warmup_ratio"),
        ("val_dataset", "it is dev_data"),
        ("overwrite_output_dir", "never overwritten"),
        ("max_len", "it is query_max_len and passage_max_len"),
        ("resume_from_checkpoint", "it is resume, which finds"),
        ("negatives_cross_device", "it belongs to a training of embedders"),
        ("label_smoothing_factor", "the losses here have no smoothing"),
        ("zzz", "there are model_name_or_path"),
    ],
)
def test_a_foreign_or_misspelt_name_is_answered(name: str, message: str) -> None:
    with pytest.raises(UnknownOptionError) as caught:
        reranker_settings({**LEAST, name: 1})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_group_size": 1}, "train_group_size must be an integer of 2 or more"),
        ({"query_max_len": 32}, "give both"),
        ({"query_instruction_format": "{}"}, "must hold {} twice"),
        ({"query_instruction_format": '{"text": "{}{}"}'}, "other braces doubled"),
        ({"passage_instruction_format": "{}{}{0}"}, "other braces doubled"),
        ({"passage_instruction_format": "{}{}}"}, "other braces doubled"),
        # Braces that are a text's, of which one pair would hold nothing: every query would be the instruction alone.
        ({"query_instruction_format": "{}{{}}"}, "must hold {} twice"),
        ({"fp16": True, "bf16": True}, "choose one"),
        ({"learning_rate": "fast"}, "learning_rate must be a number"),
        ({"loss": "kl_div"}, "set knowledge_distillation"),
        ({"loss": "mse"}, "loss must be one of 'group_ce'"),
        ({"save_total_limit": 1}, "save_total_limit must be an integer of 2 or more"),
        ({"device": "tpu"}, "device must be"),
        ({"train_data": []}, "train_data names no file"),
        ({"output_dir": None}, "output_dir is missing"),
    ],
)
def test_a_value_that_cannot_work_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        reranker_settings({**LEAST, **changes})
    assert message in str(caught.value)


def test_a_settings_file_is_yaml_with_numbers_as_people_write_them(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    path = tmp_path / "run.yaml"
    path.write_text("train_data: [a.jsonl, b.jsonl]\noutput_dir: out\nlearning_rate: 2e-5\nbf16: true\n")
    settings = reranker_settings(read_settings_file(path))
    assert settings.data.train_data == ("a.jsonl", "b.jsonl")
    assert settings.run.learning_rate == 2e-5
    assert settings.run.bf16 is True


def test_what_stands_in_quotes_is_a_text(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    path = tmp_path / "run.yaml"
    path.write_text("query_instruction_for_rerank: '1e5'\nmodel_name_or_path: \"2e3\"\nlearning_rate: 2e-5\n")
    found = read_settings_file(path)
    assert found == {"query_instruction_for_rerank": "1e5", "model_name_or_path": "2e3", "learning_rate": 2e-5}


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [1\n", "1: 2\n", "", "[" * 5000])
def test_another_file_is_no_settings_file(tmp_path: Path, text: str) -> None:
    pytest.importorskip("yaml")
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(InvalidInputError, match="settings file"):
        read_settings_file(path)
    with pytest.raises(InvalidInputError, match="could not be read"):
        read_settings_file(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    "text", ["seed: 1\nseed: 2\n", "learning-rate: 0.1\nlearning_rate: 0.2\n", '{"seed": 1, "seed": 1}']
)
def test_a_setting_that_a_file_names_twice(tmp_path: Path, text: str) -> None:
    pytest.importorskip("yaml")
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    with pytest.raises(InvalidInputError, match=r"(seed|learning_rate) more than once"):
        read_settings_file(path)


@pytest.mark.parametrize(
    ("changes", "per_epoch", "total", "warmup", "eval_every"),
    [
        ({}, 3, 9, 1, 1),
        ({"num_train_epochs": 0.5}, 3, 2, 1, 1),
        ({"dataloader_drop_last": True, "num_train_epochs": 10.0}, 2, 20, 2, 2),
        ({"gradient_accumulation_steps": 2, "num_train_epochs": 20.0}, 2, 40, 4, 4),
        ({"max_steps": 100, "warmup_ratio": 0.0, "eval_steps": 7}, 3, 100, 0, 7),
    ],
)
def test_steps(changes: dict[str, Any], per_epoch: int, total: int, warmup: int, eval_every: int) -> None:
    steps = plan_steps(RunSettings(output_dir="out", **changes), n_rows=20, n_devices=1)
    assert (steps.per_epoch, steps.total, steps.warmup, steps.eval_every) == (per_epoch, total, warmup, eval_every)


def test_fewer_rows_than_a_batch_that_is_dropped() -> None:
    with pytest.raises(InvalidInputError, match="nothing would be trained"):
        plan_steps(RunSettings(output_dir="out", dataloader_drop_last=True), n_rows=7, n_devices=1)


@pytest.mark.parametrize("task", ["embedder", "colbert"])
def test_settings_of_retrievers_come_back_and_have_no_name_twice(task: str) -> None:
    owner: Any = EmbedderTrainingSettings if task == "embedder" else ColbertTrainingSettings
    settings = settings_of(owner, {**LEAST, "train_group_size": 1, "temperature": 0.05, "mrl-dims": None})
    assert settings.data == RetrievalDataSettings(train_data=("rows.jsonl",), train_group_size=1)
    assert settings_of(owner, settings.flat()) == settings
    names = [name for group in groups_of(owner).values() for name in group.__dataclass_fields__]  # type: ignore[attr-defined]
    assert len(names) == len(set(names))


def test_a_row_s_prompt_and_the_run_s_instruction_are_told_apart() -> None:
    data = RetrievalDataSettings(
        train_data=("rows.jsonl",),
        query_instruction_for_retrieval="find",
        query_instruction_format="<{}>\\n{}",
        passage_instruction_for_retrieval="",
    )
    assert data.prefixes == ("<find>\n", "")
    assert data.instructions == ("find", None)
    assert data.own_instruction(TrainingRecord(query="q", prompt="ask", query_prompt="rerank")) == "ask"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("example_query_max_len", "that is not offered here"),
        ("compress_ratio", "an embedder's training has no setting"),
        ("normlized", "it is normalize_embeddings"),
        ("sentence_pooling", "did you mean 'sentence_pooling_method'"),
        ("all_gather", "it is negatives_cross_device"),
    ],
)
def test_a_foreign_name_is_answered_for_an_embedder(name: str, message: str) -> None:
    with pytest.raises(UnknownOptionError) as caught:
        settings_of(EmbedderTrainingSettings, {**LEAST, name: 1})
    assert message in str(caught.value)


@pytest.mark.parametrize(("name", "value"), [("kd_loss_type", "mse"), ("mrl_dims", "many"), ("colbert_dim", 0)])
def test_values_of_inherited_and_own_settings_are_checked(name: str, value: Any) -> None:
    with pytest.raises(InvalidInputError, match=name):
        settings_of(EmbedderTrainingSettings, {**LEAST, name: value})
    with pytest.raises(InvalidInputError, match="learning_rate"):
        settings_of(EmbedderTrainingSettings, {**LEAST, "learning_rate": -1.0})
    with pytest.raises(InvalidInputError, match="dev_fraction"):
        settings_of(EmbedderTrainingSettings, {**LEAST, "dev_fraction": 0.9})


@pytest.mark.parametrize(("width", "rate"), [(384, 1e-4), (768, 5e-5), (1024, 5e-5), (None, 5e-5)])
def test_narrow_models_learn_faster(width: int | None, rate: float) -> None:
    assert usual_learning_rate(width) == rate
