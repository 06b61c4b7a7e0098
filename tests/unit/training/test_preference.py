"""LLM preference: the likelihood of an answer, as transformers computes it for one sequence at a time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import tiny_rerankers
import torch
import transformers
from llm_checkpoints import llm_checkpoint
from tokenizers import Tokenizer, models
from tokenizers.pre_tokenizers import ByteLevel
from training_rows import write_rows

from rerank_plugins.errors import InvalidInputError, ModelError
from rerank_plugins.training import LabelSettings, LanguageModelTeacher, PreferenceSettings, label_records
from rerank_plugins.training.data import TrainingRecord
from rerank_plugins.training.row_source import PlacedRecord

ROWS: list[dict[str, Any]] = [
    {
        "query": "what do pandas eat",
        "pos": ["The panda eats bamboo.", "Bamboo"],
        "neg": ["Berlin is in Germany.", "A {query} in braces", "bamboo " * 40],
        "answers": ["bamboo"],
    },
    {"query": "capital of France", "pos": ["Paris"], "neg": [], "answers": ["Paris is the capital", "Paris"]},
]


def their_scores(folder: Path, texts: Sequence[str], query: str, answer: str, *, is_sum: bool) -> list[float]:
    """FlagEmbedding research/llm_embedder run_lm_score.py, one sequence at a time, without padding and truncation."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).float().eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    n_answer = len(tokenizer.encode(f"Answer: {answer}", add_special_tokens=False))
    n_answer -= len(tokenizer.encode("Answer:", add_special_tokens=False))
    scores = []
    for text in texts:
        prompt = f"Knowledge: {text.strip()}\n\nQuestion: {query}\n\nAnswer: {answer}"
        ids = tokenizer(prompt, return_tensors="pt").input_ids
        if ids[0, -1] == tokenizer.eos_token_id:
            ids = ids[:, :-1]
        with torch.no_grad():
            logits = model(input_ids=ids).logits[0, :-1].float()
        found = torch.log_softmax(logits, dim=1).gather(1, ids[0, 1:, None])[-n_answer:, 0]
        scores.append(float(found.sum() if is_sum else found.mean()))
    return scores


def labelled(folder: Path, teacher: object, data: list[dict[str, Any]], **options: Any) -> list[dict[str, Any]]:
    path = write_rows(folder / "data.jsonl", data)
    label_records(LabelSettings(data=(path,), output=folder / "out.jsonl", **options), teacher)
    return [json.loads(line) for line in (folder / "out.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("name", ["qwen", "qwen untied", "gemma"])
def test_it_is_what_transformers_gives_for_each_sequence(name: str, reduction: str, tmp_path: Path) -> None:
    if name == "gemma":
        folder = llm_checkpoint("tiny-gemma")
    else:
        folder = tiny_rerankers.qwen_reranker(tmp_path / "model", tied=name == "qwen")
    settings = PreferenceSettings(reduction=reduction)
    with LanguageModelTeacher(folder, settings=settings, device="cpu") as teacher:
        made = labelled(tmp_path, teacher, ROWS[:1])[0]
    texts = [*ROWS[0]["pos"], *ROWS[0]["neg"]]
    wanted = their_scores(folder, texts, ROWS[0]["query"], "bamboo", is_sum=reduction == "sum")
    assert [*made["pos_scores"], *made["neg_scores"]] == pytest.approx(wanted, abs=1e-4)
    assert len(set(wanted)) == len(wanted)
    asked = json.loads((tmp_path / "out.jsonl.job.json").read_text())["asked"]
    assert asked["scale"] == "log_likelihood"
    assert asked["teachers"][0]["reduction"] == reduction


@pytest.mark.skipif(not hasattr(transformers, "Gemma2Config"), reason="transformers of that time had no Gemma 2")
@pytest.mark.parametrize("attention_cap", [None, 30.0])
def test_soft_caps_of_logits_are_kept(attention_cap: float | None, tmp_path: Path) -> None:
    """With a cap of its attention a model is padded."""
    tokenizer = tiny_rerankers.qwen_tokenizer()
    torch.manual_seed(5)
    config = transformers.Gemma2Config(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        intermediate_size=64,
        initializer_range=0.3,
        final_logit_softcapping=0.5,
        attn_logit_softcapping=attention_cap,
        pad_token_id=tokenizer.token_to_id("<|endoftext|>"),
        bos_token_id=None,
        eos_token_id=tokenizer.token_to_id("<|im_end|>"),
    )
    model = transformers.Gemma2ForCausalLM(config)
    folder = tiny_rerankers.save(
        model, tokenizer, tmp_path / "model", pad_token="<|endoftext|>", eos_token="<|im_end|>"
    )
    with LanguageModelTeacher(folder, device="cpu") as teacher:
        made = labelled(tmp_path, teacher, ROWS[:1])[0]
    wanted = their_scores(folder, ROWS[0]["pos"], ROWS[0]["query"], "bamboo", is_sum=False)
    assert made["pos_scores"] == pytest.approx(wanted, abs=1e-4)


def test_a_text_is_cut_behind_a_token_and_prompt_and_answer_stay(tmp_path: Path) -> None:
    folder = tiny_rerankers.qwen_reranker(tmp_path / "model")
    row = {"query": "q", "pos": ["bamboo " * 40, "bamboo bamboo"], "neg": [], "answers": ["panda"]}
    with LanguageModelTeacher(folder, settings=PreferenceSettings(text_max_length=3), device="cpu") as teacher:
        made = labelled(tmp_path, teacher, [row])[0]
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(row["pos"][0].strip(), add_special_tokens=False).input_ids[:3]
    wanted = their_scores(folder, [tokenizer.decode(ids)], "q", "panda", is_sum=False)
    assert made["pos_scores"][0] == pytest.approx(wanted[0], abs=1e-4)
    with (
        LanguageModelTeacher(folder, settings=PreferenceSettings(max_length=8), device="cpu") as teacher,
        pytest.raises(InvalidInputError, match=r"data.jsonl:1: prompt, query and answer take \d+ tokens"),
    ):
        labelled(tmp_path, teacher, [row], restart=True)


def test_a_text_whose_characters_are_several_tokens_is_cut_until_it_fits(tmp_path: Path) -> None:
    """A character is kept whole, so that a text loses fewer tokens than it was cut by."""
    folder = tiny_rerankers.qwen_reranker(tmp_path / "model")
    row = {"query": "q", "pos": ["\u718a\u732b" * 40], "neg": [], "answers": ["panda"]}
    placed = PlacedRecord(0, "data.jsonl:1", TrainingRecord.from_mapping(row))
    bytes_only = Tokenizer(models.BPE({one: n for n, one in enumerate(sorted(ByteLevel.alphabet()))}, []))
    bytes_only.pre_tokenizer = ByteLevel(add_prefix_space=False)
    with LanguageModelTeacher(folder, device="cpu") as teacher:
        teacher._tokenizer = bytes_only
        for length in range(60, 90):
            teacher._length = length
            made = teacher._input(placed, row["pos"][0])
            # A character is three bytes here: two tokens may be left over.
            assert length - 2 <= len(made) <= length


def test_one_of_several_answers_is_drawn_by_the_row(tmp_path: Path) -> None:
    folder = tiny_rerankers.qwen_reranker(tmp_path / "model")
    data = [{**ROWS[1], "answers": ["Paris", "France"]} for _ in range(8)]
    by_answer = {
        answer: their_scores(folder, ["Paris"], "capital of France", answer, is_sum=False)[0]
        for answer in ("Paris", "France")
    }
    with LanguageModelTeacher(folder, device="cpu") as teacher:
        found = [row["pos_scores"][0] for row in labelled(tmp_path, teacher, data)]
        assert [row["pos_scores"][0] for row in labelled(tmp_path, teacher, data, batch_pairs=1, restart=True)] == (
            pytest.approx(found, abs=1e-5)
        )
    drawn = [min(by_answer, key=lambda answer: abs(by_answer[answer] - score)) for score in found]
    assert set(drawn) == {"Paris", "France"}
    assert found == pytest.approx([by_answer[answer] for answer in drawn], abs=1e-4)


def test_rows_without_answers_are_told_before_anything_is_scored(tmp_path: Path) -> None:
    folder = tiny_rerankers.qwen_reranker(tmp_path / "model")
    for changed, told in (
        ({"answers": None}, "data.jsonl:2: 'answers' is missing"),
        ({"answers": []}, "data.jsonl:2: 'answers' is missing"),
        ({"answers": ["Paris", " "]}, "data.jsonl:2: an answer is blank"),
    ):
        with (
            LanguageModelTeacher(folder, device="cpu") as teacher,
            pytest.raises(InvalidInputError, match=told),
        ):
            labelled(tmp_path, teacher, [ROWS[0], {**ROWS[1], **changed}])
        assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    "template", ["{text} {query}", "{text} {answer}", "{text} {query} {answer} end", "{text}{text}"]
)
def test_templates_that_cannot_work(template: str) -> None:
    with pytest.raises(InvalidInputError, match="template must hold"):
        PreferenceSettings(template=template)


def test_what_is_no_language_model_is_refused(bert_reranker_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        LanguageModelTeacher(bert_reranker_folder, device="cpu")
    with pytest.raises(ModelError):
        LanguageModelTeacher(tmp_path / "absent", device="cpu")


def test_half_of_a_surrogate_pair_is_read_as_the_replacement_character(tmp_path: Path) -> None:
    folder = tiny_rerankers.qwen_reranker(tmp_path / "model")
    row = {"query": "q\ud800", "pos": ["bamboo \udfff"], "neg": [], "answers": ["panda"]}
    data = [row, json.loads(json.dumps(row).replace("\\ud800", "\\ufffd").replace("\\udfff", "\\ufffd"))]
    with LanguageModelTeacher(folder, device="cpu") as teacher:
        broken, whole = labelled(tmp_path, teacher, data)
    assert broken["pos_scores"] == pytest.approx(whole["pos_scores"])
