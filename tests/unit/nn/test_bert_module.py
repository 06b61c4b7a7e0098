"""BERT without transformers gives what transformers' BERT gives, and is all that a first score of mini needs."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
import transformers

from rerank_plugins.nn.bert_module import BertConfig, BertModule

SETTINGS = {
    "hidden_act": "gelu",
    "hidden_size": 32,
    "intermediate_size": 48,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 16,
    "num_attention_heads": 4,
    "num_hidden_layers": 3,
    "pad_token_id": 0,
    "type_vocab_size": 2,
    "vocab_size": 50,
}


@pytest.fixture(scope="module")
def theirs() -> transformers.BertModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.BertModel(transformers.BertConfig(**SETTINGS), add_pooling_layer=False).eval()
        for one in model.parameters():
            # Biases that are 0 and norms that are 1 would hide that they are not used.
            torch.nn.init.normal_(one, std=0.3)
    return model


def ours(theirs: transformers.BertModel) -> BertModule:
    model = BertModule(BertConfig.of(SETTINGS))
    assert not any(model.load_state_dict(theirs.state_dict(), strict=True, assign=True))
    return model.eval()


@torch.inference_mode()
def test_padded_texts_have_the_states_of_transformers(theirs: transformers.BertModel) -> None:
    ids = torch.tensor([[3, 9, 4, 7, 12], [5, 6, 0, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])
    types = torch.tensor([[0, 0, 1, 1, 1], [0, 1, 0, 0, 0]])
    expected = theirs(input_ids=ids, attention_mask=mask, token_type_ids=types).last_hidden_state
    found = ours(theirs)(input_ids=ids, attention_mask=mask, token_type_ids=types).last_hidden_state
    torch.testing.assert_close(found[mask.bool()], expected[mask.bool()], atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_types_and_mask_may_be_left_out(theirs: transformers.BertModel) -> None:
    ids = torch.tensor([[3, 9, 4]])
    expected = theirs(input_ids=ids).last_hidden_state
    torch.testing.assert_close(ours(theirs)(input_ids=ids).last_hidden_state, expected, atol=1e-5, rtol=1e-5)


def test_weights_are_not_copied(theirs: transformers.BertModel) -> None:
    stored = theirs.state_dict()
    assert all(one.data_ptr() == stored[name].data_ptr() for name, one in ours(theirs).named_parameters())


def test_heads_that_do_not_share_the_hidden_size_are_refused() -> None:
    with pytest.raises(ValueError, match="hidden_size=32 is no multiple of num_attention_heads=5"):
        BertModule(BertConfig.of({**SETTINGS, "num_attention_heads": 5}))


def test_a_first_score_of_mini_imports_neither_transformers_nor_a_compiler() -> None:
    heavy = ("transformers", "scipy", "sympy", "torch._dynamo", "torch._inductor")
    code = (
        "import sys; from rerank_plugins import Reranker\n"
        "print(Reranker('mini', backend='torch').score([('panda', 'a bear')])[0] is not None, "
        f"*[name for name in {heavy!r} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["True"]
