"""What each option of the adapters means, in one place for every framework.

The core's docstrings say the same at more length; ``tests/integrations/test_descriptions.py`` holds both together.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["OPTIONS"]

_LOADED = {
    "model": (
        "A hub id, a local folder (its name does not matter), mini, or the name of a registered backend, such as "
        "acme:large."
    ),
    "device": (
        "Where the model runs: cpu, cuda, cuda:1, mps; None takes the best one there is. cuda:0,cuda:1 or cuda:all "
        "puts a copy of the model on each."
    ),
    "dtype": (
        "auto (on CUDA float16, or bfloat16 for models trained in it, such as LLM rerankers; elsewhere float32), "
        "float32, float16, bfloat16, or int8 (products of BERT-like encoders on CPUs with AVX-512 VNNI or AMX)."
    ),
    "max_length": "Tokens of an input, special tokens included; None takes the model's default.",
    "family": "Conventions to use for a local folder that its name does not tell (bge, bce, qwen3).",
    "revision": "Commit, tag or branch on the hub; None takes the pinned one.",
    "local_files_only": "Never touch the network.",
    "allow_pickle": "Accept pickled weights (*.bin, *.pt), whose loading can run code.",
    "trust_remote_code": "Let transformers run Python code from the checkpoint.",
    "torch_compile": (
        "Compile what works token by token in each block with torch.compile; loading takes up to a minute longer. "
        "For GPUs, and for LLMs that transformers runs; BERT-like models on a CPU, and layerwise, lightweight and "
        "monoT5 rerankers, stay as they are."
    ),
}

_RERANKERS = {
    "query_max_length": "Tokens of a query kept at most; None takes the rule of the model's family.",
    "long_documents": (
        "How a text longer than the model's input is scored: truncate, maxp, firstp, meanp, topkmean, or a "
        "LongDocuments of rerank_plugins with more settings."
    ),
    "truncation": "Rule for pairs that are too long: longest_first, only_second or end; None takes the family's own.",
    "prompt": "Instruction that tells the model what to judge, for models that read one; None takes the model's own.",
    "peft_path": "Folder or hub id of a LoRA adapter that is merged into the weights.",
    "calibration": (
        "A calibration of rerank_plugins or its file: probability, and thresholds in that unit, are then its own. "
        "None takes the model's own scale."
    ),
    "layers": "Layer and compression of a layerwise LLM reranker; None takes the model's defaults.",
    "cutoff_layers": (
        "The layer whose score counts, such as 28 or [28]; the model runs no deeper. None takes 28, or the last "
        "layer of a smaller model. Each layer has a scale of its own."
    ),
    "compress_ratio": "How many tokens of the text become one: 1 (off), 2, 4 or 8; None takes 1.",
    "compress_layers": (
        "Layers in front of which the text is compressed, each time once more, such as [24, 40]; None takes the "
        "lowest layer that has a score (8)."
    ),
    "head_by_layer": (
        "Whether the layer's own head gives the score. None and False take the first head, whatever the layer, as "
        "FlagEmbedding 1.3.5 does."
    ),
    "attention_softcap": (
        "Whether attention is soft-capped as the model's config says. None and False leave it out, as FlagEmbedding "
        "1.3.5 does."
    ),
    "top_n": "Results returned at most; None returns all.",
    "after": (
        "What is done after ranking, an AfterRanking of rerank_plugins.adapters.after or a mapping of its fields: "
        "fewer near-copies (embedder), as many as fit (max_tokens), the best at both ends. None does nothing."
    ),
    "threshold": "Results below it are left out; None keeps all.",
    "threshold_unit": "What threshold is compared with: probability (in [0, 1]) or raw.",
    "score_unit": "What a result's score is: raw (a logit for most models) or probability (in [0, 1]).",
    "deadline_s": (
        "Seconds after which a call gives up waiting for its results; None waits for ever, or as long as a "
        "model that was passed in allows."
    ),
    "on_deadline": (
        "What a call gives that is not in time (deadline_s), or that finds too much waiting (max_waiting_tokens): "
        "retrieval_order, the first top_n results as they came, marked with metadata rerank_fallback; or raise, the "
        "core's error."
    ),
    "max_waiting_tokens": (
        "A call that finds so many tokens waiting is not queued but refused, see on_deadline; None queues every call."
    ),
    "token_cache": "Whether the ids of texts that were tokenised lately are used again.",
    "share_prefix": (
        "Whether the tokens that prompts of one batch begin with (instruction and query of an LLM reranker) are "
        "computed once for all its documents, where a trial at load found that exact. False computes each whole."
    ),
    "score_cache": (
        "A ScoreCache of rerank_plugins that keeps scores, so that a pair that comes again is not run again; None "
        "keeps none. It is no plain value: stored forms leave it out, and a pickle holds an empty one."
    ),
    "vectors": (
        "Folder of token vectors that Reranker.keep_vectors wrote (late interaction): documents that are in it are "
        "compared without running the model on them. They are known by their text, as it is reranked. None for none."
    ),
    "max_wait_ms": "How long a call waits for others to share its batch while the model is free, in milliseconds.",
    "max_batch_tokens": (
        "Token slots of a batch; None takes the device's default, 2,048 on a CPU (for BERT-like models 1,536 for each "
        "of up to eight threads), 1,024 in ONNX Runtime, and 32,768 on a GPU."
    ),
}

_EMBEDDERS = {
    "task": (
        "Which of the model's instructions to use (llm-embedder has six), or for models with a template a task in "
        "your own words, such as Given a question, retrieve code that answers it. None takes the default."
    ),
    "query_instruction": 'Text put in front of each query, as it is; None takes the task\'s, "" puts none.',
    "document_instruction": 'Text put in front of each document, as it is; None takes the task\'s, "" puts none.',
    "examples": (
        "Solved examples of the task put in front of each query, for models that were trained with them (bge-en-icl); "
        "None and () put none. They are not counted in max_length."
    ),
    "dimensions": (
        "Numbers of each vector that are kept (its beginning), scaled to length 1 again if vectors are normalised; "
        "None keeps all. The catalog's matryoshka_from says which models were trained for that."
    ),
    "query_cache_entries": "Queries whose vectors are kept, those used last; None keeps none.",
    "normalize": "Scale vectors to length 1; None does what the model's authors do.",
}

_CHAT = {
    "llm": "The chat model that ranks, an object of the framework. Stored forms leave it out.",
    "method": "pointwise, pairwise, setwise or listwise, or such an object of rerank_plugins.chat with other settings.",
    "limits": (
        "A ChatLimits of rerank_plugins.chat: calls at the same time, seconds for one, what happens when one fails. "
        "None takes the defaults."
    ),
    "price": "A ChatPrice of rerank_plugins.chat, for the cost of calls; None reports no cost.",
    "is_fenced": "Put passages between marks that their writers cannot know; False sends the published prompts alone.",
}

OPTIONS: Mapping[str, str] = MappingProxyType({**_LOADED, **_RERANKERS, **_EMBEDDERS, **_CHAT})
"""Name of an option to what it means, in plain text."""
