"""``rerank-plugins mine``, ``label`` and ``merge``."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
import tiny_rerankers
from safetensors.torch import load_file, save_file
from training_rows import rows, write_rows
from typer.testing import CliRunner

from rerank_plugins import ChatScorer
from rerank_plugins.backends import named
from rerank_plugins.chat import ChatAnswer, ChatMessage, ChatOptions, Pointwise, SimpleChatModel
from rerank_plugins.cli import app
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.training import read_records


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def test_mined_filtered_and_labelled(bert_reranker_folder: Path, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "data.jsonl", rows(12))
    mined, labelled = tmp_path / "mined.jsonl", tmp_path / "labelled.jsonl"
    options = ["--retriever", "bm25", "--range_for_sampling", "0-40", "--negative_number", 3]
    filters = ["--filter-model", bert_reranker_folder, "--max-score", 0.9, "--show-dropped", 2]
    told = run("mine", data, "-o", mined, *options, *filters)
    assert "12 rows, " in told
    assert "negatives mined" in told
    assert "candidates dropped as likely answers" in told
    assert all(len(one.neg) == 8 for one in read_records(mined))
    told = run("label", mined, "-o", labelled, "-m", bert_reranker_folder)
    assert "12 rows with 120 scores" in told
    assert "raw scores (logit)" in told
    assert all(len(one.neg_scores or ()) == 8 for one in read_records(labelled))
    assert "12 of them before" in run("label", mined, "-o", labelled, "-m", bert_reranker_folder)
    with pytest.raises(InvalidInputError, match=r"settings.max_length was 512, is 32.*--restart"):
        run("label", mined, "-o", labelled, "-m", bert_reranker_folder, "--max-length", 32)
    again = run("label", labelled, "-o", tmp_path / "two.jsonl", "-m", bert_reranker_folder)
    assert "120 scores that the data had before were replaced" in again
    alike = run("label", mined, "-o", tmp_path / "alike.jsonl", "-m", bert_reranker_folder, "--standardise")
    assert "standardised per query" in alike


def test_dropped_texts_are_printed(bert_reranker_folder: Path, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "data.jsonl", rows(3))
    options = ["--retriever", "bm25", "--range-for-sampling", "0-9", "--filter-model", bert_reranker_folder]
    told = run("mine", data, "-o", tmp_path / "out.jsonl", *options, "--max-score", 0, "--show-dropped", 1)
    assert told.count("dropped: ") == 1
    assert "(worst positive " in told
    assert "query what is " in told


def test_two_teachers_and_a_language_model(bert_reranker_folder: Path, tmp_path: Path) -> None:
    model = tiny_rerankers.qwen_reranker(tmp_path / "lm")
    data = write_rows(tmp_path / "data.jsonl", [{**row, "answers": ["panda"]} for row in rows(4)])
    told = run("label", data, "-o", tmp_path / "lm.jsonl", "--preference", model, "--reduction", "sum")
    assert "log-likelihoods of the answers" in told
    assert all(score < 0 for one in read_records(tmp_path / "lm.jsonl") for score in one.pos_scores or ())
    both = ["-m", bert_reranker_folder, "--preference", model, "--weight", 1, "--weight", 2]
    assert "standardised per query" in run("label", data, "-o", tmp_path / "both.jsonl", *both)
    with pytest.raises(InvalidInputError, match="'answers' is missing"):
        run("label", write_rows(tmp_path / "x.jsonl", rows(2)), "-o", tmp_path / "y.jsonl", "--preference", model)


class _Silent(SimpleChatModel):
    name = "silent"

    def complete(self, messages: Sequence[ChatMessage], options: ChatOptions) -> ChatAnswer:
        return ChatAnswer(text="no" if any("is panda" in one.content for one in messages) else "7")


def test_rows_without_scores_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = ChatScorer(_Silent(), method=Pointwise(answer="grade"))
    monkeypatch.setattr(named, "_OPENERS", {("reranker", "silent"): lambda _: scorer})
    data = [{"query": "q", "pos": ["salt"], "neg": ["it is panda"]}, {"query": "r", "pos": ["salt"], "neg": ["fee"]}]
    told = run("label", write_rows(tmp_path / "data.jsonl", data), "-o", tmp_path / "out.jsonl", "-m", "silent:x")
    assert "1 rows with 2 scores" in told
    assert "1 rows got no scores and are not in it; the same command asks for them again" in told


def test_merged_with_a_table(bert_reranker_folder: Path, tmp_path: Path) -> None:
    tuned = tmp_path / "tuned"
    shutil.copytree(bert_reranker_folder, tuned)
    weights = {name: 1.5 * value for name, value in load_file(tuned / "model.safetensors").items()}
    save_file(weights, tuned / "model.safetensors", {"format": "pt"})
    dev = write_rows(tmp_path / "dev.jsonl", rows(6))
    output = tmp_path / "merged"
    told = run("merge", tuned, "--base", bert_reranker_folder, "-o", output, "--dev-data", dev, "--device", "cpu")
    assert "nDCG@10 on dev" in told
    assert "chosen" in told
    assert "Saved" in told
    assert json.loads((output / "merge.json").read_text())["weights"].keys() == {str(tuned), str(bert_reranker_folder)}
    with pytest.raises(InvalidInputError, match="is not empty"):
        run("merge", tuned, "--base", bert_reranker_folder, "-o", output)


@pytest.mark.parametrize("option", [("--template", "{text} {query} {answer}"), ("--reduction", "sum")])
def test_options_of_a_language_model_need_one(tmp_path: Path, option: tuple[str, str]) -> None:
    data = write_rows(tmp_path / "data.jsonl", rows(2))
    with pytest.raises(InvalidInputError, match="name it with --preference"):
        run("label", data, "-o", tmp_path / "out.jsonl", *option)


@pytest.mark.parametrize("option", [("--prompt", "x"), ("--cutoff-layers", "3"), ("--long-documents", "maxp")])
def test_options_of_a_reranker_need_one(tmp_path: Path, option: tuple[str, str]) -> None:
    data = write_rows(tmp_path / "data.jsonl", rows(2))
    with pytest.raises(InvalidInputError, match=f"{option[0]} is of a reranker: name it with --model"):
        run("label", data, "-o", tmp_path / "out.jsonl", "--preference", tmp_path, *option)


@pytest.mark.parametrize("option", [("--embedder", "mini"), ("--faiss-index", "Flat")])
def test_options_of_dense_stages_need_one(tmp_path: Path, option: tuple[str, str]) -> None:
    data = write_rows(tmp_path / "data.jsonl", rows(2))
    with pytest.raises(InvalidInputError, match="are of dense first stages"):
        run("mine", data, "-o", tmp_path / "out.jsonl", "--retriever", "bm25", *option)
