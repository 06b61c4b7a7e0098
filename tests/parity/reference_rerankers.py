"""What the authors of each reranker compute, written on plain transformers, one pair at a time.

Each function follows the source named in it, except that nothing is padded: padding is what must not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file
from transformers import PreTrainedTokenizerFast

Pairs = Sequence[tuple[str, str]]

_WEB_SEARCH = "Given a web search query, retrieve relevant passages that answer the query"
_QWEN_PREFIX = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
)
_QWEN_SUFFIX = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"


def _tokenizer(folder: Path) -> Any:
    return PreTrainedTokenizerFast.from_pretrained(folder)


def _logits(model: Any, ids: list[int], **inputs: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return model(input_ids=torch.tensor([ids]), **inputs).logits[0]  # type: ignore[no-any-return]


def qwen3_ids(folder: Path, pairs: Pairs, *, max_length: int, instruction: str = _WEB_SEARCH) -> list[list[int]]:
    """Return the input ids of Qwen/Qwen3-Reranker-0.6B's card: ``format_instruction`` and ``process_inputs``."""
    tokenizer = _tokenizer(folder)
    prefix = tokenizer.encode(_QWEN_PREFIX, add_special_tokens=False)
    suffix = tokenizer.encode(_QWEN_SUFFIX, add_special_tokens=False)
    texts = [f"<Instruct>: {instruction}\n<Query>: {query}\n<Document>: {document}" for query, document in pairs]
    encoded = tokenizer(
        texts,
        padding=False,
        truncation="longest_first",
        return_attention_mask=False,
        max_length=max_length - len(prefix) - len(suffix),
        add_special_tokens=False,
    )
    return [prefix + ids + suffix for ids in encoded["input_ids"]]


def qwen3_scores(folder: Path, pairs: Pairs, *, max_length: int, instruction: str = _WEB_SEARCH) -> list[float]:
    """Return the scores of Qwen3-Reranker's card as logits: ``log_softmax`` over (no, yes) is their log sigmoid."""
    inputs = qwen3_ids(folder, pairs, max_length=max_length, instruction=instruction)
    return decoder_scores(folder, inputs, answer="yes", rejection="no")


def decoder_scores(folder: Path, inputs: Sequence[list[int]], *, answer: str, rejection: str) -> list[float]:
    """Return a decoder's difference of two logits behind each input, as both cards read it."""
    tokenizer = _tokenizer(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    wanted, other = tokenizer.convert_tokens_to_ids(answer), tokenizer.convert_tokens_to_ids(rejection)
    found = [_logits(model, ids)[-1] for ids in inputs]
    return [float(logits[wanted] - logits[other]) for logits in found]


def mxbai_ids(folder: Path, pairs: Pairs, *, max_length: int, instruction: str | None = None) -> list[list[int]]:
    """Return the input ids of mxbai_rerank_v2.py (``prepare_inputs``, ``concat_input_ids``)."""
    tokenizer = _tokenizer(folder)

    def ids_of(text: str) -> list[int]:
        return tokenizer(text, add_special_tokens=False)["input_ids"]  # type: ignore[no-any-return]

    separator = ids_of("\n")
    task = ids_of(
        "You are a search relevance expert who evaluates how well documents match search queries. For each "
        "query-document pair, carefully analyze the semantic relationship between them, then provide your binary "
        "relevance judgment (0 for not relevant, 1 for relevant).\nRelevance:"
    )
    prefix = ids_of(
        "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\n"
    )
    suffix = ids_of("<|im_end|>\n<|im_start|>assistant\n")
    inputs = []
    for query, document in pairs:
        asked = f"query: {query}" if instruction is None else f"instruction: {instruction}\nquery: {query}"
        first = ids_of(asked)[: max_length * 3 // 4]
        second = (separator + ids_of(f"document: {document}")[:max_length])[: max_length - len(first)]
        inputs.append(prefix + first + second + separator + task + suffix)
    return inputs


def mxbai_scores(folder: Path, pairs: Pairs, *, max_length: int, instruction: str | None = None) -> list[float]:
    """Return the scores of mxbai_rerank_v2.py (``forward``)."""
    inputs = mxbai_ids(folder, pairs, max_length=max_length, instruction=instruction)
    return decoder_scores(folder, inputs, answer="1", rejection="0")


def mono_t5_scores(folder: Path, pairs: Pairs) -> list[float]:
    """Return pygaggle's MonoT5 scores (``greedy_decode`` of one step) for pairs that fit, as a difference of logits."""
    tokenizer = _tokenizer(folder)
    model: Any = transformers.T5ForConditionalGeneration.from_pretrained(folder).eval()
    true, false = tokenizer.convert_tokens_to_ids("▁true"), tokenizer.convert_tokens_to_ids("▁false")
    start = torch.tensor([[model.config.decoder_start_token_id]])
    scores = []
    for query, document in pairs:
        ids = tokenizer(f"Query: {query} Document: {document} Relevant:")["input_ids"]
        logits = _logits(model, ids, decoder_input_ids=start)[0]
        scores.append(float(logits[true] - logits[false]))
    return scores


def tart_scores(folder: Path, pairs: Pairs, *, instruction: str | None = None) -> list[float]:
    """Return the scores of TART's ``Rerank`` and ``EncT5ForSequenceClassification``, as a difference of logits."""
    tokenizer = _tokenizer(folder)
    model: Any = transformers.T5EncoderModel.from_pretrained(folder).eval()
    stored = load_file(str(folder / "model.safetensors"))
    weight, bias = stored["classifier.weight"], stored["classifier.bias"]
    bos, eos = tokenizer.convert_tokens_to_ids("<s>"), tokenizer.convert_tokens_to_ids("</s>")
    scores = []
    for query, document in pairs:
        asked = query if instruction is None else f"{instruction} [SEP] {query}"
        first, second = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in (asked, document))
        while len(first) + len(second) > 512 - 3:
            (first if len(first) > len(second) else second).pop()
        with torch.inference_mode():
            states = model(input_ids=torch.tensor([[bos, *first, eos, *second, eos]])).last_hidden_state
            logits = states[0, 0] @ weight.T + bias
        scores.append(float(logits[1] - logits[0]))
    return scores


def classifier_scores(folder: Path, pairs: Pairs, *, max_length: int) -> list[float]:
    """Return a sequence classifier's logits, as every cross-encoder's card computes them."""
    tokenizer = _tokenizer(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    scores = []
    for query, document in pairs:
        inputs = tokenizer(query, document, truncation=True, max_length=max_length, return_tensors="pt")
        with torch.inference_mode():
            scores.append(float(model(**inputs).logits[0, 0]))
    return scores
