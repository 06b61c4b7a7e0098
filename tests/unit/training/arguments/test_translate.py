"""Commands and files of other trainers, as they stand in their repositories."""

from __future__ import annotations

import shlex
from dataclasses import fields
from typing import Any

import pytest

from rerank_plugins.cli.training.options import setting_names
from rerank_plugins.errors import InvalidInputError, UnknownOptionError
from rerank_plugins.training.arguments import arguments_of, parse_words, translate_arguments
from rerank_plugins.training.arguments.argument import EVERY
from rerank_plugins.training.arguments.flagembedding_llm import LORA
from rerank_plugins.training.arguments.trainer import DROPPED, OTHERS, TRAINER
from rerank_plugins.training.arguments.translate import _TABLES
from rerank_plugins.training.settings import GROUPS, LayerSettings, LoraSettings, reranker_settings
from rerank_plugins.training.settings_retrieval import EmbedderTrainingSettings, embedder_settings

KNOWN = {one.name for owner in GROUPS.values() for one in fields(owner)}

# examples/finetune/reranker/encoder_only/base.sh
ENCODER_COMMAND = """
--model_name_or_path BAAI/bge-reranker-base --cache_dir ./cache/model --train_data ./a.jsonl ./b.jsonl
--cache_path ./cache/data --train_group_size 8 --query_max_len 256 --passage_max_len 256 --pad_to_multiple_of 8
--knowledge_distillation True --output_dir ./out --overwrite_output_dir --learning_rate 6e-5 --fp16
--num_train_epochs 2 --per_device_train_batch_size 2 --gradient_accumulation_steps 1 --dataloader_drop_last True
--warmup_ratio 0.1 --gradient_checkpointing --weight_decay 0.01 --deepspeed ../../ds_stage0.json --logging_steps 1
--save_steps 1000
"""

# rag_retrieval/train/reranker/config/training_bert.yaml
BERT_YAML = {
    "model_name_or_path": "BAAI/bge-reranker-v2-m3",
    "model_type": "bert_encoder",
    "num_labels": 1,
    "query_format": "{}",
    "document_format": "{}",
    "train_dataset": "train.jsonl",
    "train_dataset_type": "grouped",
    "train_label_key": "label",
    "train_group_size": 10,
    "shuffle_rate": 0.0,
    "max_len": 512,
    "val_dataset": "dev.jsonl",
    "val_dataset_type": "grouped",
    "val_label_key": "label",
    "loss_type": "pairwise_ranknet",
    "output_dir": "./output/bert",
    "save_on_epoch_end": 1,
    "num_max_checkpoints": 5,
    "epochs": 2,
    "lr": 5e-5,
    "batch_size": 8,
    "seed": 42,
    "warmup_proportion": 0.1,
    "stable_proportion": 0.0,
    "gradient_accumulation_steps": 2,
    "mixed_precision": "fp16",
    "log_interval": 10,
    "log_with": "wandb",
}


def test_flagembeddings_own_example_runs() -> None:
    found = translate_arguments(parse_words(ENCODER_COMMAND.split()), known=KNOWN)
    settings = reranker_settings(found.settings).flat()
    expected = {
        "model_name_or_path": "BAAI/bge-reranker-base",
        "train_data": ["./a.jsonl", "./b.jsonl"],
        "train_group_size": 8,
        "query_max_len": 256,
        "passage_max_len": 256,
        "knowledge_distillation": True,
        "output_dir": "./out",
        "learning_rate": 6e-5,
        "fp16": True,
        "num_train_epochs": 2,
        "per_device_train_batch_size": 2,
        "dataloader_drop_last": True,
        "warmup_ratio": 0.1,
        "gradient_checkpointing": True,
        "weight_decay": 0.01,
        "logging_steps": 1,
        "save_steps": 1000,
    }
    assert {name: settings[name] for name in expected} == expected
    told = [one.split(" ", 1)[0] for one in found.ignored]
    assert told == ["cache_dir", "cache_path", "pad_to_multiple_of", "overwrite_output_dir", "deepspeed"]


# examples/finetune/reranker/decoder_only/{base,layerwise}.sh; the second gives model_type twice.
DECODER_COMMAND = """
--model_name_or_path BAAI/bge-reranker-v2-gemma --use_lora True --lora_rank 32 --lora_alpha 64 --use_flash_attn True
--target_modules q_proj k_proj v_proj o_proj --save_merged_lora_model True --model_type decoder
--cache_dir ./cache/model --train_data ./a.jsonl --cache_path ./cache/data --train_group_size 8
--query_max_len 512 --passage_max_len 512 --pad_to_multiple_of 8
--query_instruction_for_rerank "A: " --query_instruction_format {}{}
--passage_instruction_for_rerank "B: " --passage_instruction_format {}{} --knowledge_distillation True
--output_dir ./out --overwrite_output_dir --learning_rate 2e-4 --bf16 --num_train_epochs 2
--per_device_train_batch_size 2 --gradient_accumulation_steps 1 --dataloader_drop_last True --warmup_ratio 0.1
--gradient_checkpointing --weight_decay 0.01 --deepspeed ../../ds_stage0.json --logging_steps 1 --save_steps 1000
"""
LAYERWISE_COMMAND = f"""{DECODER_COMMAND}
--model_type from_finetuned_model --start_layer 8 --head_multi True --head_type simple --trust_remote_code True
"""


@pytest.mark.parametrize("command", [DECODER_COMMAND, LAYERWISE_COMMAND], ids=["decoder", "layerwise"])
def test_flagembeddings_own_examples_for_language_models_run(command: str) -> None:
    found = translate_arguments(parse_words(shlex.split(command)), known=KNOWN)
    settings = reranker_settings(found.settings)
    assert settings.lora == LoraSettings(
        use_lora=True,
        lora_rank=32,
        lora_alpha=64.0,
        target_modules=("q_proj", "k_proj", "v_proj", "o_proj"),
        save_merged_lora_model=True,
    )
    layerwise = LayerSettings(start_layer=8, head_multi=True, layer_reduction="sum")
    assert settings.layers == (layerwise if command is LAYERWISE_COMMAND else LayerSettings())
    assert (settings.data.query_instruction_for_rerank, settings.data.passage_instruction_for_rerank) == ("A: ", "B: ")
    told = [one.split(" ", 1)[0] for one in found.ignored]
    expected = ["use_flash_attn", "cache_dir", "cache_path", "pad_to_multiple_of", "overwrite_output_dir", "deepspeed"]
    assert told == expected


def test_defaults_of_a_module_are_those_of_flagembedding() -> None:
    theirs = {one.name: one.default for one in LORA if one.name in KNOWN}
    ours = reranker_settings({"train_data": "a", "output_dir": "b", "use_lora": True}).lora
    for name, default in theirs.items():
        assert getattr(ours, name) == (default if default is not None or name == "from_peft" else ()), name
    # They are no defaults of a cross-encoder's module.
    filled = translate_arguments({}, known=KNOWN).defaults
    assert not {"use_lora", "start_layer", "lora_rank"} & set(filled)


def test_rag_retrievals_own_file_runs() -> None:
    found = translate_arguments(BERT_YAML, known=KNOWN, dialect="rag-retrieval")
    settings = reranker_settings(found.settings).flat()
    expected = {
        "train_data": ["train.jsonl"],
        "dev_data": "dev.jsonl",
        "train_group_size": 10,
        "query_max_len": 256,
        "passage_max_len": 256,
        "loss": "pairwise_ranknet",
        "num_train_epochs": 2,
        "learning_rate": 5e-5,
        "per_device_train_batch_size": 8,
        "warmup_ratio": 0.1,
        "fp16": True,
        "bf16": False,
        "report_to": ["wandb"],
        "save_total_limit": 5,
    }
    assert {name: settings[name] for name in expected} == expected


def test_the_old_modules_pair_length_counts_and_the_new_ones_does_not() -> None:
    old = translate_arguments({"max_len": 513}, known=KNOWN, dialect="flagembedding-old")
    assert old.settings == {"query_max_len": 256, "passage_max_len": 257}
    new = translate_arguments({"max_len": 1024}, known=KNOWN)
    assert new.settings == {}
    assert "never reads it" in new.ignored[0]


def test_the_old_names() -> None:
    known = {"normalize_embeddings", "same_dataset_within_batch", "use_inbatch_neg"}
    given = {"normlized": True, "same_task_within_batch": True, "use_inbatch_neg": True, "enable_sub_batch": False}
    found = translate_arguments(given, known=known, dialect="flagembedding-old", task="embedder")
    assert found.settings == dict.fromkeys(known, True)
    found = translate_arguments(
        {"query_instruction_for_retrieval": "A: ", "loss_type": "only logits", "save_to_disk": True},
        known=KNOWN,
        dialect="flagembedding-old",
    )
    assert found.settings == {"query_instruction_for_rerank": "A: "}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"learning_rat": 1}, "no argument 'learning_rat' for a reranker; did you mean 'learning_rate'"),
        ({"kd_loss_typ": 1}, "did you mean 'kd_loss_type'"),
        ({"temperature": 0.02}, "it belongs to a training of embedders"),
        ({"adam_beta1": 0.9}, "argument of transformers' Trainer that has no counterpart"),
        ({"xyzzy": 1}, "nothing there is called like it"),
    ],
)
def test_names_that_there_are_none_of(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UnknownOptionError, match=message):
        translate_arguments(given, known=KNOWN)


@pytest.mark.parametrize(
    ("dialect", "given", "message"),
    [
        ("flagembedding", {"torch_compile": True}, "torch_compile=True cannot be had here: groups have other lengths"),
        ("flagembedding", {"max_example_num_per_dataset": 10}, "shuf -n"),
        ("flagembedding", {"warmup_steps": 100}, "give the share of all steps, warmup_ratio"),
        ("flagembedding", {"head_type": "complex"}, "head_type 'complex' keeps the whole output matrix"),
        ("flagembedding", {"warmup_ratio": 0.1, "warmup_steps": 0.2}, "give warmup_ratio two values, 0.1 and 0.2"),
        ("rag-retrieval", {"loss_type": "pointwise_mse"}, "pointwise_mse .* is not offered"),
        ("rag-retrieval", {"max_label": 2}, "labels are scaled there"),
        ("rag-retrieval", {"num_labels": 2}, "a reranker has one label"),
        ("rag-retrieval", {"stable_proportion": 0.5}, "no schedule with a flat middle"),
        ("rag-retrieval", {"mixed_precision": "fp8"}, "must be no, fp16 or bf16"),
        ("rag-retrieval", {"query_format": "{} ?"}, r"must end with \{\}"),
        ("rag-retrieval", {"seq": "\n"}, "has no setting 'sep_token'"),
        ("rag-retrieval", {"max_len": "long"}, "max_len='long' is no value for 'tokens of a pair'"),
        ("flagembedding", {"max_steps": "all"}, "max_steps='all' is no value"),
        ("flagembedding", {"save_total_limit": "few"}, "save_total_limit='few' is no value"),
    ],
)
def test_what_cannot_be_had_says_why(dialect: Any, given: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        translate_arguments(given, known=KNOWN, dialect=dialect)


def test_what_is_off_is_taken() -> None:
    given = {"sep_token": "\n", "torch_compile": False, "max_example_num_per_dataset": 100_000_000, "use_cpu": False}
    found = translate_arguments(given, known=KNOWN)
    assert found.settings == {}


@pytest.mark.parametrize(
    ("dialect", "given", "settings"),
    [
        ("flagembedding", {"no_cuda": True}, {"device": "cpu"}),
        ("flagembedding", {"adafactor": True}, {"optim": "adafactor"}),
        ("flagembedding", {"warmup_steps": 0.1}, {"warmup_ratio": 0.1}),
        ("flagembedding", {"max_steps": -1}, {}),
        ("flagembedding", {"max_steps": 5}, {"max_steps": 5}),
        ("flagembedding", {"report_to": "none"}, {"report_to": ()}),
        ("flagembedding", {"save_total_limit": 1}, {"save_total_limit": 2}),
        ("flagembedding", {"resume_from_checkpoint": "out/checkpoint-4"}, {"resume": True}),
        ("flagembedding", {"per_gpu_train_batch_size": 3}, {"per_device_train_batch_size": 3}),
        ("flagembedding", {"metric_for_best_model": "MRR@10"}, {"metric": "MRR@10"}),
        ("flagembedding", {"query-instruction-format": "{}\\n{}"}, {"query_instruction_format": "{}\n{}"}),
        ("rag-retrieval", {"query_format": "query: {}"}, {"query_instruction_for_rerank": "query: "}),
        ("rag-retrieval", {"mixed_precision": "bf16"}, {"bf16": True}),
        ("rag-retrieval", {"mixed_precision": "no"}, {}),
        ("rag-retrieval", {"num_max_checkpoints": 1}, {"save_total_limit": 2}),
        ("rag-retrieval", {"max_len": None, "num_max_checkpoints": None, "query_format": None}, {}),
    ],
)
def test_values_that_become_others(dialect: Any, given: dict[str, Any], settings: dict[str, Any]) -> None:
    assert dict(translate_arguments(given, known=KNOWN, dialect=dialect).settings) == settings


@pytest.mark.parametrize("dims", [512, "512", [512]])
def test_one_dimension_of_rag_retrieval(dims: Any) -> None:
    known = setting_names(EmbedderTrainingSettings)
    found = translate_arguments({"mrl_dims": dims}, known=known, dialect="rag-retrieval", task="embedder")
    assert found.settings == {"mrl_dims": (512,)}


def test_embedders_of_rag_retrieval() -> None:
    known = {"train_group_size", "mrl_dims", "negatives_cross_device", "temperature"}
    given = {"neg_nums": 15, "mrl_dims": "128, 256", "all_gather": True, "temperature": 0.02}
    found = translate_arguments(given, known=known, dialect="rag-retrieval", task="embedder")
    assert found.settings == {
        "train_group_size": 16,
        "mrl_dims": (128, 256),
        "negatives_cross_device": True,
        "temperature": 0.02,
    }


def test_what_is_not_given_has_their_defaults() -> None:
    found = translate_arguments({"learning_rate": 1e-5, "passage_max_len": 256}, known=KNOWN)
    assert found.settings == {"learning_rate": 1e-5, "passage_max_len": 256}
    expected = {
        "query_max_len": 32,
        "train_group_size": 8,
        "weight_decay": 0.0,
        "warmup_ratio": 0.0,
        "num_train_epochs": 3.0,
        "dataloader_drop_last": False,
    }
    assert {name: found.defaults[name] for name in expected} == expected
    assert not found.settings.keys() & found.defaults.keys()
    # They log and save as they like, which is no matter of ours.
    assert not {"logging_steps", "save_steps", "report_to", "output_dir"} & found.defaults.keys()
    assert not found.ignored


def test_what_the_checkpoint_knows_is_not_decided_by_their_defaults() -> None:
    known = setting_names(EmbedderTrainingSettings)
    defaults = translate_arguments({}, known=known, task="embedder").defaults
    assert (defaults["query_max_len"], defaults["passage_max_len"], defaults["temperature"]) == (32, 128, 0.02)
    assert "sentence_pooling_method" not in defaults
    old = translate_arguments({}, known=KNOWN, dialect="flagembedding-old").defaults
    assert not [name for name in old if "instruction_for_" in name]
    rag = translate_arguments({}, known=known, dialect="rag-retrieval", task="embedder").defaults
    assert (rag["train_group_size"], rag["seed"], rag["num_train_epochs"]) == (16, 666, 2)
    assert not {"mrl_dims", "model_name_or_path", "report_to"} & rag.keys()


def test_words_as_hfargumentparser_reads_them() -> None:
    words = "--fp16 --train_data a b --lr=1e-5 --steps -1 --flag False --nothing None --name x"
    assert parse_words(words.split()) == {
        "fp16": True,
        "train_data": ("a", "b"),
        "lr": 1e-5,
        "steps": -1,
        "flag": False,
        "nothing": None,
        "name": "x",
    }
    with pytest.raises(InvalidInputError, match="begin with --name, got 'a'"):
        parse_words(["a"])
    with pytest.raises(InvalidInputError, match="--x is given twice"):
        parse_words(["--x", "1", "--x", "2"])


def test_trainers_and_tasks_that_there_are_not() -> None:
    with pytest.raises(InvalidInputError, match="trainers are flagembedding"):
        translate_arguments({}, known=KNOWN, dialect="pylate")  # type: ignore[arg-type]


def test_every_argument_of_transformers_is_known() -> None:
    transformers = pytest.importorskip("transformers")
    known = {one.name for one in (*TRAINER, *DROPPED)} | OTHERS
    missing = {one.name for one in fields(transformers.TrainingArguments) if one.init} - known
    assert missing == set()
    assert len(DROPPED) == 18


def test_every_flagembedding_argument_is_known() -> None:
    arguments = pytest.importorskip("FlagEmbedding.abc.finetune.reranker.AbsArguments", reason="an optional extra")
    table = arguments_of("flagembedding", "reranker")
    for name in ("AbsRerankerModelArguments", "AbsRerankerDataArguments", "AbsRerankerTrainingArguments"):
        for one in fields(getattr(arguments, name)):
            assert one.name in table or one.name in OTHERS, one.name


@pytest.mark.parametrize("dialect", list(_TABLES))
@pytest.mark.parametrize("task", EVERY)
def test_every_entry_says_what_it_is(dialect: Any, task: Any) -> None:
    for name, one in arguments_of(dialect, task).items():
        assert one.name == name
        assert len(one.meaning) > 8, name
        assert (one.ours is None) == (one.effect in ("ignored", "refused")), name
        assert (one.turn is None) == (one.effect != "turned"), name


_SHARED = """
--output_dir out --train_data ./toy.jsonl --learning_rate 1e-5 --fp16 --num_train_epochs 5
--per_device_train_batch_size 8 --dataloader_drop_last True --temperature 0.02 --query_max_len 64
--passage_max_len 256 --negatives_cross_device --logging_steps 10
"""
OF_EMBEDDERS = {
    # README of FlagEmbedding 1.1 and 1.2: baai_general_embedding, BGE_M3.
    "old": f"""{_SHARED} --model_name_or_path BAAI/bge-large-zh-v1.5 --normlized True --train_group_size 2
        --save_steps 1000 --use_inbatch_neg True --fix_position_embedding False""",
    "old m3": f"""{_SHARED} --model_name_or_path BAAI/bge-m3 --normlized True --train_group_size 2
        --same_task_within_batch True --unified_finetuning True --use_self_distill True --enable_sub_batch True""",
    # examples/finetune/embedder/decoder_only/base.sh of 1.4.2.
    "decoder": f"""{_SHARED} --model_name_or_path BAAI/bge-multilingual-gemma2 --cache_dir ./cache/model --use_lora True
        --lora_rank 32 --lora_alpha 64 --target_modules q_proj k_proj v_proj o_proj gate_proj down_proj up_proj
        --additional_special_tokens <instruct> <query> --save_merged_lora_model True --cache_path ./cache/data
        --train_group_size 8 --pad_to_multiple_of 8 --query_instruction_for_retrieval Retrieve
        --query_instruction_format <instruct>{{}}\\n<query>{{}} --knowledge_distillation True
        --same_dataset_within_batch True --small_threshold 0 --drop_threshold 0 --overwrite_output_dir
        --warmup_ratio 0.1 --gradient_checkpointing --deepspeed ../ds_stage1.json --save_steps 1000
        --sentence_pooling_method last_token --normalize_embeddings True --kd_loss_type m3_kd_loss""",
}


@pytest.mark.parametrize("name", OF_EMBEDDERS)
def test_commands_of_flag_embeddings_embedders_are_settings(name: str) -> None:
    dialect: Any = "flagembedding" if name == "decoder" else "flagembedding-old"
    words = parse_words(OF_EMBEDDERS[name].split())
    known = setting_names(EmbedderTrainingSettings)
    settings = embedder_settings(translate_arguments(words, known=known, dialect=dialect, task="embedder").settings)
    assert (settings.data.query_max_len, settings.run.negatives_cross_device) == (64, True)
    assert settings.m3.unified_finetuning == (name == "old m3")
    assert settings.data.same_dataset_within_batch == (name != "old")
    if name == "decoder":
        assert settings.data.prefixes == ("<instruct>Retrieve\n<query>", "")
        assert settings.lora.lora_rank == 32


def test_a_batch_that_is_not_divided_is_nothing_to_tell() -> None:
    known = setting_names(EmbedderTrainingSettings)
    found = translate_arguments({"sub_batch_size": -1, "mrl_dims": 64}, known=known, task="embedder")
    assert found.settings == {"mrl_dims": (64,)}
