"""What a reranker was trained to read in front of texts stands in its folder: here, and for sentence-transformers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_checkpoints import bert_reranker, xlmr_reranker
from training_rows import rows, tiny_run

from rerank_plugins import Reranker, SourceOptions
from rerank_plugins.evaluation import evaluate, parse_measures

pytest.importorskip("accelerate")
pytest.importorskip("ir_measures")

from rerank_plugins.training import train_reranker

MEASURES = ("nDCG@10", "MRR@10", "hit@5")


def without_settings(folder: Path, target: Path) -> Path:
    """Return a copy of a model that says nothing of what stands in front of texts."""
    names = ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json")
    return shutil.copytree(folder, target, ignore=shutil.ignore_patterns(*names))


def measured(folder: Path, data: Path, prefixes: tuple[str, str]) -> list[float]:
    """Return the measures of a model on the dev set of a run, with texts put in front by hand."""
    scores, qrels = {}, {}
    with Reranker(folder, device="cpu", dtype="float32") as reranker:
        for number, line in enumerate((data / "dev.jsonl").read_text().splitlines()):
            row = json.loads(line)
            texts = list(dict.fromkeys([*row["pos"], *row["neg"]]))
            pairs = [(prefixes[0] + row["query"], prefixes[1] + text) for text in texts]
            scores[str(number)] = dict(zip(texts, reranker.score(pairs), strict=True))
            qrels[str(number)] = {text: int(text in row["pos"]) for text in texts}
    found = evaluate(scores, qrels, measures=parse_measures(list(MEASURES)))
    return [found.mean(name) for name in MEASURES]


def test_sentence_transformers_puts_a_querys_instruction_in_front_too(tmp_path: Path) -> None:
    peer = pytest.importorskip("sentence_transformers", minversion="6.0")
    # Of a listed model, whose rule for pairs that are too long is not sentence-transformers'.
    start = xlmr_reranker(tmp_path / "start")
    given = {"query_instruction_for_rerank": "find ", "query_instruction_format": "{}: {}", "family": "bge"}
    result = train_reranker(tiny_run(start, tmp_path, dev_fraction=0.0, **given))
    assert result is not None
    pairs = [(row["query"], text) for row in rows(6, seed=3) for text in (*row["pos"], *row["neg"])]
    with Reranker(result.folder, device="cpu", source=SourceOptions(family="bge")) as reranker:
        assert (reranker.spec.truncation, reranker.max_length) == ("only_second", 512)
        ours = reranker.score(pairs)
    encoder = peer.CrossEncoder(str(result.folder), device="cpu", activation_fn=torch.nn.Identity())
    assert ours == pytest.approx(encoder.predict(pairs).tolist(), rel=1e-5, abs=1e-5)
    by_hand = [(f"find : {query}", text) for query, text in pairs]
    assert ours == pytest.approx(encoder.predict(by_hand, prompt="").tolist(), rel=1e-5, abs=1e-5)


def test_a_format_that_ends_behind_the_text_is_left_to_whoever_asks(bert_reranker_folder: Path, tmp_path: Path) -> None:
    given = {
        "query_instruction_for_rerank": "find",
        "query_instruction_format": "{} {} now",
        "passage_instruction_for_rerank": "text of ",
    }
    result = train_reranker(tiny_run(bert_reranker_folder, tmp_path, **given))
    assert result is not None
    with Reranker(result.folder, device="cpu") as reranker:
        assert (reranker.spec.query_prefix, reranker.spec.document_prefix) == ("", "")
    assert (
        "read as `find ... now` and texts as `text of ...`, in the measures above too: whoever asks writes both so"
        in ((result.folder / "README.md").read_text())
    )


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({}, ("find ", "text of ")),
        ({"query_instruction_for_rerank": "look "}, ("look ", "text of ")),
        ({"query_instruction_for_rerank": "", "passage_instruction_for_rerank": ""}, ("", "")),
    ],
    ids=["its-own", "another", "none"],
)
def test_a_trained_model_is_trained_further_with_its_instructions(
    bert_reranker_folder: Path, tmp_path: Path, given: dict[str, Any], kept: tuple[str, str]
) -> None:
    peer = pytest.importorskip("sentence_transformers", minversion="6.0")
    both = {"query_instruction_for_rerank": "find ", "passage_instruction_for_rerank": "text of "}
    first = train_reranker(tiny_run(bert_reranker_folder, tmp_path, **both))
    assert first is not None
    again = tmp_path / "again"
    again.mkdir()
    second = train_reranker(tiny_run(first.folder, again, max_steps=1, dev_data=tmp_path / "dev.jsonl", **given))
    assert second is not None
    with Reranker(second.folder, device="cpu") as reranker:
        assert (reranker.spec.query_prefix, reranker.spec.document_prefix) == kept
    encoder = peer.CrossEncoder(str(second.folder), device="cpu")
    assert (encoder.prompts.get(encoder.default_prompt_name) or "") == kept[0]
    assert encoder.max_seq_length == 512
    # The start is measured with the instructions that it is trained with from now on.
    before = [change.before for change in second.changes]
    assert before == pytest.approx(measured(without_settings(first.folder, tmp_path / "plain"), tmp_path, kept))


def test_own_checkpoints_and_adapters_say_their_instructions(tmp_path: Path) -> None:
    given = {"query_instruction_for_rerank": "find ", "max_steps": 1, "dev_fraction": 0.0}
    result = train_reranker(tiny_run("mini", tmp_path, **given))
    assert result is not None
    with Reranker(result.folder, device="cpu") as reranker:
        assert (reranker.spec.query_prefix, reranker.spec.document_prefix) == ("find ", "")
    # Its format is no one else's.
    assert not (result.folder / "modules.json").exists()
    pytest.importorskip("peft")
    start = bert_reranker(tmp_path / "start")
    lora = {"use_lora": True, "lora_rank": 2, "target_modules": ("query",), "save_merged_lora_model": True}
    (tmp_path / "adapted").mkdir()
    adapted = train_reranker(tiny_run(start, tmp_path / "adapted", **given, **lora))
    assert adapted is not None
    with (
        Reranker(start, device="cpu", source=SourceOptions(peft_path=adapted.folder)) as reranker,
        Reranker(adapted.folder / "merged_model", device="cpu") as merged,
    ):
        assert reranker.spec.query_prefix == merged.spec.query_prefix == "find "
    (tmp_path / "further").mkdir()
    further = train_reranker(
        tiny_run(start, tmp_path / "further", max_steps=1, dev_fraction=0.0, from_peft=adapted.folder)
    )
    assert further is not None
    with Reranker(start, device="cpu", source=SourceOptions(peft_path=further.folder)) as reranker:
        assert reranker.spec.query_prefix == "find "
