"""FlagEmbedding's own arguments, of the package and of its older modules.

Sources: ``FlagEmbedding/abc/finetune/{reranker,embedder}/AbsArguments.py`` and
``FlagEmbedding/finetune/**/arguments.py`` of 1.4.2; ``research/{reranker,baai_general_embedding,BGE_M3,llm_reranker}``
for what 1.1 and 1.2 had.
"""

from __future__ import annotations

from typing import Any

from rerank_plugins.training.arguments.argument import Argument, Settings, Task, converted, ignored, refused, same
from rerank_plugins.training.arguments.flagembedding_llm import FINETUNE_TYPE, LAYERS, LORA, MODEL_TYPE, SEPARATOR

__all__ = ["NEW", "OLD"]

_R: tuple[Task, ...] = ("reranker",)
_E: tuple[Task, ...] = ("embedder",)

_OWN = "config and tokenizer are the checkpoint's own"
_CACHE = "the hub's cache is where HF_HOME says; rows are read from their files"
_ROWS = "rows are read one at a time from their files, whatever their size"


def _paths(value: Any) -> Settings:
    return {"train_data": tuple(value) if isinstance(value, (list, tuple)) else (value,)}


def _line_feeds(name: str) -> Any:
    def turn(value: Any) -> Settings:
        return {name: value.replace("\\n", "\n") if isinstance(value, str) else value}

    return turn


def _pair_length(value: Any) -> Settings:
    """Return the two lengths whose sum is the length of a pair."""
    return {"query_max_len": value // 2, "passage_max_len": value - value // 2}


def _chunk(value: Any) -> Settings:
    return {"sub_batch_size": value} if value is not None and value > 0 else {}


def _dimensions(value: Any) -> Settings:
    return {"mrl_dims": tuple(value) if isinstance(value, (list, tuple)) else (value,)}


def _adapter(value: Any) -> Settings:
    return {"from_peft": value} if value else {}


def _in_front(name: str) -> Any:
    """Return what puts an instruction in front, as the old modules did without a format."""

    def turn(value: Any) -> Settings:
        return {} if value is None else {name: value}

    return turn


NEW: tuple[Argument, ...] = (
    same("model_name_or_path", "hub id or folder"),
    ignored("config_name", _OWN),
    ignored("tokenizer_name", _OWN),
    ignored("use_fast_tokenizer", _OWN, default=True),
    ignored("use_slow_tokenizer", _OWN, default=False),
    ignored("cache_dir", _CACHE),
    ignored("cache_path", _CACHE),
    ignored("token", "the hub's token is where huggingface_hub looks for it (HF_TOKEN)"),
    same("trust_remote_code", "whether code of the checkpoint may run", default=False),
    MODEL_TYPE,
    converted("train_data", "files or folders of JSON lines", ours="train_data", turn=_paths),
    same("train_group_size", "texts of a group: one positive and the rest negatives", default=8),
    same("query_max_len", "with passage_max_len the length of a reranker's pair; of a query in embedders", default=32),
    same("passage_max_len", "see query_max_len; of a text in embedders", default=128),
    ignored(
        "max_len",
        "FlagEmbedding declares it and never reads it: a pair has query_max_len + passage_max_len",
        default=512,
        tasks=_R,
    ),
    ignored("pad_to_multiple_of", "it changes no number"),
    refused("max_example_num_per_dataset", "take a sample of the file before: shuf -n N", default=100_000_000),
    same("query_instruction_for_rerank", "text in front of each query", tasks=_R),
    same("query_instruction_for_retrieval", "text in front of each query", tasks=_E),
    converted(
        "query_instruction_format",
        "how instruction and query become one; \\n is a line feed",
        default="{}{}",
        ours="query_instruction_format",
        turn=_line_feeds("query_instruction_format"),
    ),
    same("passage_instruction_for_rerank", "text in front of each text", tasks=_R),
    same("passage_instruction_for_retrieval", "text in front of each text", tasks=_E),
    converted(
        "passage_instruction_format",
        "how instruction and text become one; \\n is a line feed",
        default="{}{}",
        ours="passage_instruction_format",
        turn=_line_feeds("passage_instruction_format"),
    ),
    same("knowledge_distillation", "learn from pos_scores and neg_scores", default=False),
    same("shuffle_ratio", "chance that a long positive is cut in three and shuffled", default=0.0),
    SEPARATOR,
    converted(
        "sub_batch_size",
        "texts that are encoded at a time; -1 for all",
        default=-1,
        ours="sub_batch_size",
        turn=_chunk,
        tasks=_E,
    ),
    ignored("sub_batch_size", "FlagEmbedding's rerankers do not read it: see gradient_accumulation_steps", tasks=_R),
    same("same_dataset_within_batch", "each batch from one file", default=False, tasks=_E),
    same("small_threshold", "files with fewer rows are joined", default=0, tasks=_E),
    same("drop_threshold", "joined files with fewer rows are left out", default=0, tasks=_E),
    same("negatives_cross_device", "negatives of all devices", default=False, tasks=_E),
    same("temperature", "divides cosine scores", default=0.02, tasks=_E),
    same("fix_position_embedding", "position embeddings stay as they are", default=False, tasks=_E),
    same("sentence_pooling_method", "cls, mean or last_token", default="cls", tasks=_E),
    same("normalize_embeddings", "vectors have length 1", default=True, tasks=_E),
    same("kd_loss_type", "kl_div or m3_kd_loss", default="kl_div", tasks=_E),
    same("use_mrl", "Matryoshka: the mean of the loss over mrl_dims", default=False, tasks=_E),
    converted("mrl_dims", "dimensions of Matryoshka", default=(), ours="mrl_dims", turn=_dimensions, tasks=_E),
    same("colbert_dim", "of bge-m3's token vectors; -1 is the hidden size", default=-1, tasks=_E),
    same("unified_finetuning", "bge-m3's dense, sparse and token heads together", default=False, tasks=_E),
    same("use_self_distill", "bge-m3's heads learn from their sum", default=False, tasks=_E),
    same("self_distill_start_step", "the step after which they do", default=-1, tasks=_E),
    same("fix_encoder", "only bge-m3's two linear heads are trained", default=False, tasks=_E),
    *LORA,
    converted("peft_model_path", "adapter to start from", default="", ours="from_peft", turn=_adapter, tasks=_E),
    same("additional_special_tokens", "tokens that are added to the vocabulary", tasks=_E),
    refused("only_merge_lora_model", "merging is a command of its own: rerank-plugins merge", default=False, tasks=_E),
    ignored("use_flash_attn", "transformers chooses the fastest attention that is installed", default=False),
    *LAYERS,
    same("example_query_max_len", "tokens of an example's query (in-context embedders)", default=64, tasks=_E),
    same("example_passage_max_len", "tokens of an example's text", default=96, tasks=_E),
    same("retrieval_use_examples", "whether examples are put in front", default=True, tasks=_E),
    same("icl_suffix_str", "what stands behind them", default="\nResponse:", tasks=_E),
)

OLD: tuple[Argument, ...] = (
    converted(
        "max_len", "tokens of a pair", default=512, ours="query_max_len,passage_max_len", turn=_pair_length, tasks=_R
    ),
    converted(
        "query_instruction_for_retrieval",
        "text in front of each query of an LLM reranker",
        default="A: ",
        ours="query_instruction_for_rerank",
        turn=_in_front("query_instruction_for_rerank"),
        tasks=_R,
    ),
    converted(
        "passage_instruction_for_retrieval",
        "text in front of each text of an LLM reranker",
        default="B: ",
        ours="passage_instruction_for_rerank",
        turn=_in_front("passage_instruction_for_rerank"),
        tasks=_R,
    ),
    same(
        "normlized", "vectors have length 1; so it is spelt there", default=True, ours="normalize_embeddings", tasks=_E
    ),
    same("use_inbatch_neg", "texts of the batch's other queries are negatives too", default=True, tasks=_E),
    same(
        "same_task_within_batch", "each batch from one file", default=False, ours="same_dataset_within_batch", tasks=_E
    ),
    ignored("enable_sub_batch", "it saves memory there and changes no number", default=True, tasks=_E),
    same("lora_extra_parameters", "layers that are trained whole beside LoRA", ours="modules_to_save"),
    FINETUNE_TYPE,
    ignored("loss_type", "it has one value there", default="only logits", tasks=_R),
    ignored("low_cpu_mem_usage", "weights are read tensor by tensor in any case", default=False),
    ignored("load_from_disk", _ROWS, default=False),
    ignored("load_disk_path", _ROWS),
    ignored("save_to_disk", _ROWS, default=False),
    ignored("save_disk_path", _ROWS),
    ignored("num_shards", _ROWS, default=0),
    ignored("save_max_shard_size", _ROWS, default="50GB"),
    ignored("exit_after_save", _ROWS, default=False),
)
"""What the older modules called otherwise, or only they had; the rest is as in :data:`NEW`."""
