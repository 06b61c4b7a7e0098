"""Write bce_rerank.json from BCEmbedding 0.1.5: long passages split into windows, and compute_score.

Run it in the reference environment described in README.md, after make_checkpoints.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from BCEmbedding import RerankerModel
from BCEmbedding.models.utils import reranker_tokenize_preproc
from golden_io import CHECKPOINTS, HERE, versions, with_tokenizer_class, write_json
from golden_texts import CHINESE, ENGLISH, build_pairs, long_text

RERANKERS = {"tiny-xlmr-reranker": "XLMRobertaTokenizerFast", "tiny-bert-reranker": "BertTokenizerFast"}
MAX_LENGTH = 512
OVERLAPS = (80, 20, 200)
#: Largest query, special tokens included, for which ``max_length - len - 2 > 100`` holds.
LONGEST_QUERY = MAX_LENGTH - 2 - 101
WINDOWS_FOR = ("boundary", "query-limit", "invalid-passages", "cut-at-128000-characters")
#: A passage that the 128 000 character guard cuts after "bamboo"; stored in this compact form.
CUT: dict[str, Any] = {"start": "panda treaty", "spaces": 127_982, "end": "bamboo is cut here"}


def token_count(tokenizer: Any, text: str) -> int:
    """Return the number of tokens of ``text`` without special tokens."""
    return len(tokenizer(text, add_special_tokens=False)["input_ids"])


def of_length(tokenizer: Any, text: str, tokens: int) -> str:
    """Cut ``text`` at words and pad it with the one-token word "the" to exactly ``tokens`` tokens."""
    words = text.split(" ")
    while words and token_count(tokenizer, " ".join(words)) > tokens:
        words.pop()
    missing = tokens - token_count(tokenizer, " ".join(words))
    exact = " ".join(words + ["the"] * missing)
    if token_count(tokenizer, exact) != tokens:
        message = f"cannot build a text of {tokens} tokens"
        raise RuntimeError(message)
    return exact


def boundary_passages(tokenizer: Any, query: str, overlap: int) -> list[str]:
    """Return passages whose lengths sit on every edge of the window rule for ``query``."""
    room = MAX_LENGTH - token_count(tokenizer, query) - 2 - 2
    step = room - min(overlap, room // 4)
    lengths = (1, room - 1, room, room + 1, room + step - 1, room + step, room + step + 1, room + 3 * step)
    return [of_length(tokenizer, long_text("en", 80, 450 + n), length) for n, length in enumerate(lengths)]


def cases(tokenizer: Any) -> list[dict[str, Any]]:
    """Return the inputs: name, query, passages and overlap."""
    mixed = [long_text(style, size, 410 + n) for n, (style, size) in enumerate(
        (("en", 1), ("en", 5), ("en", 14), ("en", 30), ("en", 95), ("zh", 1), ("zh", 20), ("zh", 70), ("mixed", 60))
    )]  # fmt: skip
    found: list[dict[str, Any]] = []

    def add(name: str, query: str, passages: list[Any], overlaps: Iterable[int]) -> None:
        found.extend(
            {"name": name, "query": query, "passages": passages, "overlap_tokens": value} for value in overlaps
        )

    add("short", "what do pandas eat", [*ENGLISH[:6], *CHINESE[:3]], (80,))
    add("english", "How much did revenue grow in 2019?", mixed, OVERLAPS)
    add("chinese", "孩子上小学需要准备什么材料？", mixed, OVERLAPS)
    add("medium-query", of_length(tokenizer, long_text("en", 9, 430), 200), mixed, (80,))
    boundary_query = "when was the treaty signed"
    for value in OVERLAPS:
        add("boundary", boundary_query, boundary_passages(tokenizer, boundary_query, value), (value,))
    limit = of_length(tokenizer, long_text("en", 20, 440), LONGEST_QUERY - 2)
    add("query-limit", limit, [ENGLISH[4], of_length(tokenizer, long_text("en", 20, 441), 300)], (80,))
    add("invalid-passages", "treaty", ["", ENGLISH[4], None, 7, ENGLISH[5], "", ENGLISH[6]], (80,))
    add("duplicates", "treaty", [ENGLISH[4], ENGLISH[5], ENGLISH[4], ENGLISH[5], ENGLISH[4]], (80,))
    add("odd-characters", "emoji 😀\nand  spaces", ["ꙮ  bamboo\n\nꙮ", "Ｗｈａｔ ﬁnd ㎏", "</s> </s> <pad> x"], (80,))
    add("cut-at-128000-characters", "treaty", [CUT["start"] + " " * CUT["spaces"] + CUT["end"], ENGLISH[4]], (80,))
    return found


def window_rows(reranker: RerankerModel, case: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the windows of one case exactly as the released splitter builds them."""
    passages = [text[:128000] for text in case["passages"] if isinstance(text, str) and text]
    built, owners = reranker_tokenize_preproc(
        case["query"], passages,
        tokenizer=reranker.tokenizer, max_length=MAX_LENGTH, overlap_tokens=case["overlap_tokens"],
    )  # fmt: skip
    return [
        {
            "passage": owner,
            "length": len(window["input_ids"]),
            "input_ids": window["input_ids"],
            "token_type_ids": window.get("token_type_ids"),
        }
        for window, owner in zip(built, owners, strict=True)
    ]


def run_case(reranker: RerankerModel, checkpoint: str, case: dict[str, Any]) -> dict[str, Any]:
    """Rerank one case; ``overlap_tokens`` is set on the instance, see README.md."""
    reranker.overlap_tokens = case["overlap_tokens"]
    result = reranker.rerank(case["query"], case["passages"], batch_size=16)
    windows = window_rows(reranker, case)
    shown = case["passages"]
    if case["name"] == "cut-at-128000-characters":
        shown = [CUT, *case["passages"][1:]]
    return {
        "checkpoint": checkpoint,
        "name": case["name"],
        "max_length": MAX_LENGTH,
        "overlap_tokens": case["overlap_tokens"],
        "query": case["query"],
        "passages": shown,
        "rerank_ids": result["rerank_ids"],
        "rerank_scores": result["rerank_scores"],
        "window_owners": [window["passage"] for window in windows],
        "window_lengths": [window["length"] for window in windows],
        "windows": windows if case["name"] in WINDOWS_FOR and case["overlap_tokens"] == 80 else None,
    }


def error_of(reranker: RerankerModel, query: str, passages: list[Any]) -> dict[str, Any]:
    """Record the exception that the released code raises for an input."""
    try:
        result = reranker.rerank(query, passages)
    except Exception as error:  # noqa: BLE001 - the golden is the error itself
        return {"type": type(error).__name__, "message": str(error)}
    return {"type": None, "result": result}


def error_rows(reranker: RerankerModel, checkpoint: str) -> list[dict[str, Any]]:
    """Return the inputs that the released code refuses, breaks on, or answers with nothing."""
    too_long = of_length(reranker.tokenizer, long_text("en", 20, 440), LONGEST_QUERY - 1)
    inputs: list[tuple[str, str, list[Any]]] = [
        ("query-one-token-too-long", too_long, [ENGLISH[4]]),
        ("white-space-passage", "treaty", [ENGLISH[4], "   "]),
        ("no-passages", "treaty", []),
        ("only-empty-passages", "treaty", ["", None]),
        ("empty-query", "", [ENGLISH[4]]),
    ]
    return [
        {"checkpoint": checkpoint, "name": name, "query": query, "passages": texts, **error_of(reranker, query, texts)}
        for name, query, texts in inputs
    ]


def compute_score_rows(reranker: RerankerModel, checkpoint: str) -> list[dict[str, Any]]:
    """Score pairs.json with ``compute_score``: sigmoid, longest_first, no windows."""
    pairs = build_pairs()
    rows = [[pair.query, pair.passage] for pair in pairs]
    runs = []
    for max_length in (512, 64):
        scores = reranker.compute_score(rows, batch_size=16, max_length=max_length, enable_tqdm=False)
        named = {pair.id: score for pair, score in zip(pairs, scores, strict=True)}
        runs.append({"checkpoint": checkpoint, "max_length": max_length, "scores": named})
    return runs


def build(checkpoint: str, folder: Path, document: dict[str, Any]) -> None:
    """Add everything of one checkpoint to ``document``."""
    reranker = RerankerModel(str(folder), device="cpu")
    document["cases"] += [run_case(reranker, checkpoint, case) for case in cases(reranker.tokenizer)]
    reranker.overlap_tokens = 80
    document["errors"] += error_rows(reranker, checkpoint)
    document["compute_score"] += compute_score_rows(reranker, checkpoint)


def main() -> None:
    """Write bce_rerank.json."""
    torch.set_num_threads(1)
    document: dict[str, Any] = {
        "versions": versions("BCEmbedding", "transformers", "tokenizers", "torch"),
        "cases": [],
        "errors": [],
        "compute_score": [],
    }
    for name, tokenizer_class in RERANKERS.items():
        with with_tokenizer_class(CHECKPOINTS / name, tokenizer_class) as folder:
            build(name, folder, document)
    write_json(HERE / "bce_rerank.json", document)


if __name__ == "__main__":
    main()
