from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest
from embedder_checkpoints import bge_m3
from tiny_checkpoints import bert_embedder
from training_rows import rows, write_rows
from typer.testing import CliRunner

from rerank_plugins.cli import app, main
from rerank_plugins.training.settings import RerankerTrainingSettings
from rerank_plugins.training.settings_colbert import ColbertTrainingSettings
from rerank_plugins.training.settings_flat import groups_of
from rerank_plugins.training.settings_retrieval import EmbedderTrainingSettings

pytest.importorskip("accelerate")
pytest.importorskip("ir_measures")


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["rerank-plugins", "train", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


@pytest.fixture
def data(tmp_path: Path) -> tuple[Path, Path]:
    return write_rows(tmp_path / "train.jsonl", rows(12)), write_rows(tmp_path / "dev.jsonl", rows(6, seed=2))


@pytest.mark.parametrize(
    "owner", [RerankerTrainingSettings, EmbedderTrainingSettings, ColbertTrainingSettings], ids=lambda one: one.task
)
def test_every_setting_is_an_option_with_its_first_sentence(owner: Any) -> None:
    shown = CliRunner().invoke(app, ["train", owner.task, "--help"], env={"COLUMNS": "240"})
    assert shown.exit_code == 0
    for group in groups_of(owner).values():
        for name in group.__dataclass_fields__:  # type: ignore[attr-defined]
            assert f"--{name.replace('_', '-')}" in shown.stdout
    assert "Peak of the schedule." in shown.stdout
    assert ("[1e-05]" in shown.stdout) == (owner.task != "reranker")


def test_a_file_of_settings_and_options_that_win(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    bert_reranker_folder: Path,
    tmp_path: Path,
    data: tuple[Path, Path],
) -> None:
    settings = {"train_data": str(data[0]), "dev_data": str(data[1]), "max_steps": 50, "train_group_size": 3}
    config = tmp_path / "run.yaml"
    config.write_text(json.dumps(settings))
    options = ("-m", bert_reranker_folder, "-o", tmp_path / "out", "--max-steps", 2, "--device", "cpu")
    assert run(monkeypatch, "reranker", "--config", config, *options, "--per_device_train_batch_size", 4) == 0
    printed = capsys.readouterr().out
    assert "nDCG@10" in printed
    assert "2 steps in" in printed
    saved = json.loads((tmp_path / "out" / "training.json").read_text())["settings"]
    assert (saved["max_steps"], saved["train_group_size"], saved["per_device_train_batch_size"]) == (2, 3, 4)


def test_a_dry_run_tells_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    bert_reranker_folder: Path,
    tmp_path: Path,
    data: tuple[Path, Path],
) -> None:
    options = ("-m", bert_reranker_folder, "-o", tmp_path / "out", "--dev-data", data[1], "--device", "cpu")
    assert run(monkeypatch, "reranker", data[0], *options, "--dry-run") == 0
    printed = capsys.readouterr().out
    assert "rows         12" in printed
    assert "step         8 groups, 64 pairs" in printed
    assert "steps        6 (2 an epoch)" in printed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dev.jsonl", "train.jsonl"]


def test_a_command_of_flag_embedding_runs_with_its_own_words(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    bert_reranker_folder: Path,
    tmp_path: Path,
    data: tuple[Path, Path],
) -> None:
    # As in examples/finetune/reranker/encoder_only/base.sh, with small numbers.
    words = f"""
        --model_name_or_path {bert_reranker_folder} --cache_dir ./cache/model --train_data {data[0]}
        --cache_path ./cache/data --train_group_size 4 --query_max_len 24 --passage_max_len 40 --pad_to_multiple_of 8
        --knowledge_distillation False --output_dir {tmp_path / "out"} --overwrite_output_dir --fp16
        --learning_rate 6e-5 --num_train_epochs 1 --per_device_train_batch_size 2 --gradient_accumulation_steps 1
        --dataloader_drop_last True --warmup_ratio 0.1 --gradient_checkpointing --weight_decay 0.01
        --deepspeed ../ds_stage0.json --logging_steps 1 --save_steps 1000
    """.split()
    assert run(monkeypatch, "reranker", "--like", "flagembedding", "--device", "cpu", "--", *words) == 0
    printed = capsys.readouterr()
    assert "overwrite_output_dir does nothing here" in " ".join(printed.err.split())
    # Without a terminal there is no bar: lines tell how far it is.
    assert "INFO step 1 of 6: loss " in printed.err
    assert "INFO step 6 of 6: " in printed.err
    assert not logging.getLogger("rerank_plugins.training").handlers
    saved = json.loads((tmp_path / "out" / "training.json").read_text())["settings"]
    assert (saved["query_max_len"], saved["train_group_size"], saved["learning_rate"]) == (24, 4, 6e-5)
    assert saved["dataloader_drop_last"] is True
    assert "6 steps in" in printed.out


def test_what_is_not_given_has_the_other_trainers_default_which_is_told(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    bert_reranker_folder: Path,
    tmp_path: Path,
    data: tuple[Path, Path],
) -> None:
    words = f"""--model_name_or_path {bert_reranker_folder} --train_data {data[0]} --output_dir {tmp_path / "out"}
        --query_max_len 24 --weight_decay 0.0 --train_group_size 4""".split()
    asked = ("reranker", "--like", "flagembedding", "--device", "cpu", "--dry-run", "--warmup-ratio", 0.2, "--", *words)
    assert run(monkeypatch, *asked) == 0
    printed = capsys.readouterr()
    told = next(line for line in printed.err.splitlines() if "taken from there" in line)
    assert "learning_rate 5e-05 (the model's own by default here)" in told
    assert "passage_max_len 128 (the model's own by default here)" in told
    # Given there, given here, equal, or of no weight.
    assert not [name for name in ("weight_decay", "warmup", "num_train_epochs", "save_steps", "query") if name in told]
    assert "24 + 128" in printed.out or "152" in printed.out


def test_a_process_without_stderr_trains(
    monkeypatch: pytest.MonkeyPatch, bert_reranker_folder: Path, tmp_path: Path, data: tuple[Path, Path]
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    settings = ["--model", bert_reranker_folder, "--output", tmp_path / "out", "--max-steps", 1, "--dev-fraction", 0]
    assert run(monkeypatch, "reranker", data[0], *settings, "--train-group-size", 3, "--device", "cpu") == 0
    assert (tmp_path / "out" / "training.json").is_file()


def test_flag_embeddings_commands_train_embedders(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, data: tuple[Path, Path]
) -> None:
    """As ``examples/finetune/embedder/encoder_only/{base,m3}.sh`` have them, with other paths and fewer steps."""
    start = bge_m3(tmp_path / "start", pickled=False)
    common = f"""
        --model_name_or_path {start} --cache_dir ./cache/model --train_data {data[0]} --cache_path ./cache/data
        --train_group_size 4 --query_max_len 24 --passage_max_len 24 --pad_to_multiple_of 8
        --knowledge_distillation False --overwrite_output_dir --learning_rate 1e-5 --fp16 --num_train_epochs 1
        --per_device_train_batch_size 2 --dataloader_drop_last True --warmup_ratio 0.1 --gradient_checkpointing
        --deepspeed ../ds_stage0.json --logging_steps 1 --save_steps 1000 --negatives_cross_device --temperature 0.02
        --sentence_pooling_method cls --normalize_embeddings True --kd_loss_type m3_kd_loss
    """
    base = f"{common} --query_instruction_for_retrieval find: --query_instruction_format {{}}{{}}"
    m3 = f"{common} --same_dataset_within_batch True --small_threshold 0 --drop_threshold 0 --sub_batch_size -1"
    m3 += " --unified_finetuning True --use_self_distill True --fix_encoder False --self_distill_start_step 0"
    for name, words in (("base", base), ("m3", m3)):
        out = tmp_path / name
        asked = ("--like", "flagembedding", "--device", "cpu", "-o", out, "--dev-fraction", 0, "--")
        assert run(monkeypatch, "embedder", *asked, *words.split()) == 0
        saved = json.loads((out / "training.json").read_text())["settings"]
        assert (saved["query_max_len"], saved["temperature"], saved["kd_loss_type"]) == (24, 0.02, "m3_kd_loss")
    assert (tmp_path / "m3" / "colbert_linear.pt").is_file()
    assert "overwrite_output_dir does nothing here" in " ".join(capsys.readouterr().err.split())


def test_rag_retrievals_files_train_embedders_and_colberts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: tuple[Path, Path]
) -> None:
    start = bert_embedder(tmp_path / "start")
    common = {"model_name_or_path": str(start), "neg_nums": 3, "query_max_len": 16, "passage_max_len": 24}
    common |= {"epochs": 1, "lr": 5e-5, "temperature": 0.02, "batch_size": 4, "log_with": "wandb", "log_interval": 10}
    embedder = {**common, "train_dataset": str(data[0]), "train_type": "train", "all_gather": True, "use_mrl": True}
    embedder |= {"mrl_dims": "8, 32", "gradient_accumulation_steps": 1}
    colbert = {**common, "dataset": str(data[0]), "colbert_dim": 16}
    for task, theirs in (("embedder", embedder), ("colbert", colbert)):
        config, out = tmp_path / f"{task}.yaml", tmp_path / task
        config.write_text(json.dumps({**theirs, "output_dir": str(out), "log_with": None}))
        asked = ("--like", "rag-retrieval", "-c", config, "--device", "cpu", "--dev-fraction", 0, "--max-steps", 2)
        assert run(monkeypatch, task, *asked) == 0
        saved = json.loads((out / "training.json").read_text())["settings"]
        assert (saved["train_group_size"], saved["temperature"]) == (4, 0.02)
    assert saved["similarity"] == "meanmaxsim"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("reranker", "x.jsonl"), "output_dir is missing"),
        (("reranker", "-o", "out"), "train_data is missing"),
        (("reranker", "x.jsonl", "-o", "out", "--use_lora", "True"), "a switch takes no value"),
        (("reranker", "x.jsonl", "-o", "out", "--lerning-rate", "1"), "did you mean 'learning_rate'"),
        (("reranker", "x.jsonl", "-o", "out", "--bf16", "True"), "a switch takes no value"),
        (("reranker", "x.jsonl", "-o", "out", "--device", "cpu"), "'x.jsonl' is not there"),
        (("reranker", "-c", "none.yaml"), "could not be read as YAML"),
        (("reranker", "--like", "flagembedding", "--", "--lerning_rate", "1"), "did you mean 'learning_rate'"),
        (("reranker", "--like", "nobody"), "trainers are flagembedding"),
        (("embedder", "x.jsonl"), "output_dir is missing"),
        (("embedder", "x.jsonl", "-o", "out", "--compress-ratio", "2"), "an embedder's training has no setting"),
        (("colbert", "--anything", "x"), "a ColBERT's training has no setting 'anything'"),
        (("colbert", "x.jsonl", "-o", "out", "-m", "mini"), "mini"),
    ],
)
def test_what_cannot_work_is_one_message(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    bert_reranker_folder: Path,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    model = ("-m", str(bert_reranker_folder)) if arguments[0] == "reranker" else ()
    assert run(monkeypatch, arguments[0], *model, *arguments[1:]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()
