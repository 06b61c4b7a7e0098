"""Scores read from the logits of answers: by hand, and what a tokenizer or checkpoint must have."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import tiny_checkpoints
import tiny_rerankers
import torch
from llm_checkpoints import llm_checkpoint
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers

from rerank_plugins import Reranker, SourceOptions
from rerank_plugins.errors import UnsupportedModelError
from rerank_plugins.nn.heads import AnswerHead

STATES = torch.tensor([[1.0, 2.0], [0.0, -1.0]])
YES, NO = [3.0, 1.0], [1.0, 0.5]


def test_one_answer_is_its_logit() -> None:
    assert AnswerHead(torch.tensor([YES]))(STATES).tolist() == [[5.0], [-1.0]]


def test_two_answers_are_a_difference() -> None:
    assert AnswerHead(torch.tensor([YES, NO]))(STATES).tolist() == [[3.0], [-0.5]]


def test_soft_caps_are_taken_before_the_difference() -> None:
    cap = 2.0
    expected = [
        cap * torch.tanh(torch.tensor(yes / cap)) - cap * torch.tanh(torch.tensor(no / cap))
        for yes, no in ((5.0, 2.0), (-1.0, -0.5))
    ]
    found = AnswerHead(torch.tensor([YES, NO]), softcap=cap)(STATES)
    assert torch.allclose(found, torch.stack(expected).unsqueeze(1))


def test_the_difference_does_not_drown_in_large_logits() -> None:
    # In float32 4096.0003 - 4096 is 0.00049 or 0; the difference of the rows keeps it.
    rows = torch.tensor([[1.0, 1e-4], [1.0, 0.0]])
    assert AnswerHead(rows)(torch.tensor([[4096.0, 3.0]])).item() == pytest.approx(3e-4, rel=1e-5)


def test_a_tokenizer_without_the_answer_is_refused(tmp_path: Path) -> None:
    folder = tiny_rerankers.qwen_reranker(tmp_path / "t5", vocabulary=tiny_rerankers.t5_tokenizer())
    with pytest.raises(UnsupportedModelError, match=r"no token of its own for 'yes' and 'no'"):
        Reranker(folder, device="cpu", source=SourceOptions(family="qwen3"))


def test_an_answer_that_the_tokenizer_does_not_know_is_refused(tmp_path: Path) -> None:
    # "1" and "0" are both its unknown token.
    words = Tokenizer(models.WordLevel({"[UNK]": 0, "panda": 1, "eats": 2, "bamboo": 3}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    folder = tiny_rerankers.qwen_reranker(tmp_path / "words", vocabulary=words)
    with pytest.raises(UnsupportedModelError, match="no token of its own"):
        Reranker(folder, device="cpu", source=SourceOptions(family="mxbai-v2"))


def test_tart_needs_its_first_token(tmp_path: Path) -> None:
    folder = tiny_rerankers.tart_full(tmp_path / "tart")
    path = folder / "tokenizer.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"<s>"', '"<other>"'), encoding="utf-8")
    with pytest.raises(UnsupportedModelError, match="needs the token '<s>'"):
        Reranker(folder, device="cpu")


def test_an_untied_model_needs_its_output_matrix(tmp_path: Path) -> None:
    folder = tiny_rerankers.qwen_reranker(tmp_path / "qwen", tied=False)
    weights = load_file(str(folder / "model.safetensors"))
    biased = shutil.copytree(folder, tmp_path / "biased")
    save_file({**weights, "lm_head.bias": torch.zeros(3)}, str(biased / "model.safetensors"), {"format": "pt"})
    with pytest.raises(UnsupportedModelError, match=r"lm_head\.bias"):
        Reranker(biased, device="cpu", source=SourceOptions(family="qwen3"))
    del weights["lm_head.weight"]
    save_file(weights, str(folder / "model.safetensors"), {"format": "pt"})
    with pytest.raises(UnsupportedModelError, match=r"lacks lm_head\.weight"):
        Reranker(folder, device="cpu", source=SourceOptions(family="qwen3"))


def test_settings_of_the_tokenizers_file_change_nothing(tmp_path: Path) -> None:
    # Left padding and truncation in tokenizer.json, as training scripts leave them there.
    folder = tiny_rerankers.qwen_reranker(tmp_path / "qwen")
    pairs = [("What do pandas eat?", text) for text in tiny_checkpoints.SENTENCES]
    expected = Reranker(folder, device="cpu", source=SourceOptions(family="qwen3")).score(pairs)
    tokenizer = tiny_rerankers.qwen_tokenizer()
    tokenizer.enable_padding(direction="left", length=64)
    tokenizer.enable_truncation(8)
    tokenizer.save(str(folder / "tokenizer.json"))
    assert Reranker(folder, device="cpu", source=SourceOptions(family="qwen3")).score(pairs) == pytest.approx(
        expected, abs=1e-5
    )


def test_flag_embeddings_prompt_on_a_gemma_2(tmp_path: Path) -> None:
    # A soft cap on the final logits is part of the score, as FlagLLMReranker reads it.
    import transformers

    folder = shutil.copytree(llm_checkpoint("tiny-gemma"), tmp_path / "gemma2")
    if not hasattr(transformers, "Gemma2Config"):
        pytest.skip("this transformers has no Gemma 2")
    torch.manual_seed(4)
    source = transformers.AutoConfig.from_pretrained(folder)
    config = transformers.Gemma2Config(
        vocab_size=source.vocab_size,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        query_pre_attn_scalar=8,
        initializer_range=0.4,
        final_logit_softcapping=3.0,
        attn_implementation="eager",
    )
    model = transformers.Gemma2ForCausalLM(config).eval()
    model.save_pretrained(folder)
    reranker = Reranker(folder, device="cpu", source=SourceOptions(family="bge"))
    pairs = [("What do pandas eat?", text) for text in tiny_checkpoints.SENTENCES]
    encoder = reranker._lease.value.tokenizer
    answer = int(encoder.encode_one("Yes").ids[0])
    with torch.inference_mode():
        expected = [
            float(model(input_ids=torch.from_numpy(pair.inputs[0].ids).long().unsqueeze(0)).logits[0, -1, answer])
            for pair in reranker._backend.encode(pairs)
        ]
    assert max(map(abs, expected)) < 3.0
    assert reranker.score(pairs) == pytest.approx(expected, abs=1e-3)
