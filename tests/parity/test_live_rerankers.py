"""sentence-transformers, as it is installed beside us, on the same tiny weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_rerankers
from declared import parity
from test_rerankers import PAIRS, TOLERANCE

from rerank_plugins import Reranker, SourceOptions

sentence_transformers = pytest.importorskip("sentence_transformers", minversion="6")

pytestmark = pytest.mark.slow

# What a chat template must render to give the model its authors' prompt.
QWEN3_TEMPLATE = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
    '<Instruct>: {{ messages | selectattr("role", "eq", "system") | map(attribute="content") | first | '
    'default("Given a web search query, retrieve relevant passages that answer the query") }}\n'
    '<Query>: {{ messages | selectattr("role", "eq", "query") | map(attribute="content") | first }}\n'
    '<Document>: {{ messages | selectattr("role", "eq", "document") | map(attribute="content") | first }}'
    "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>{{ '\n\n' }}"
)


def logits(peer: Any, pairs: list[tuple[str, str]], **options: Any) -> np.ndarray[Any, Any]:
    import torch

    found = peer.predict(pairs, activation_fn=torch.nn.Identity(), show_progress_bar=False, **options)
    return np.asarray(found, dtype=np.float64).reshape(-1)


@parity("qwen3", kind="reranker", architectures=["qwen3"], reference="sentence-transformers")
@pytest.mark.skipif(not tiny_rerankers.HAS_QWEN3, reason="this transformers has no Qwen3")
@pytest.mark.parametrize("max_length", [2048, 330])
@pytest.mark.parametrize("instruction", [None, "Is the document about pandas?"])
def test_qwen3(tmp_path: Path, max_length: int, instruction: str | None) -> None:
    folder = tiny_rerankers.qwen_reranker(tmp_path / "qwen")
    path = folder / "tokenizer_config.json"
    config = {**json.loads(path.read_text(encoding="utf-8")), "chat_template": QWEN3_TEMPLATE}
    path.write_text(json.dumps(config), encoding="utf-8")
    peer = sentence_transformers.CrossEncoder(str(folder), device="cpu", max_length=max_length)
    options = {} if instruction is None else {"prompt": instruction}
    expected = logits(peer, PAIRS, **options)
    reranker = Reranker(
        folder, device="cpu", max_length=max_length, prompt=instruction, source=SourceOptions(family="qwen3")
    )
    assert np.abs(np.array(reranker.score(PAIRS)) - expected).max() <= TOLERANCE


@parity("mxbai-v1", kind="reranker", architectures=["deberta-v2"], reference="sentence-transformers")
@parity("gte", kind="reranker", architectures=["modernbert", "gte"], reference="sentence-transformers")
@pytest.mark.parametrize("kind", ["deberta", "modernbert", "gte"])
def test_classifiers(tmp_path: Path, kind: str) -> None:
    folder = getattr(tiny_rerankers, f"{kind}_reranker")(tmp_path / kind)
    peer = sentence_transformers.CrossEncoder(str(folder), device="cpu", max_length=512)
    reranker = Reranker(folder, device="cpu", max_length=512)
    assert np.abs(np.array(reranker.score(PAIRS)) - logits(peer, PAIRS)).max() <= TOLERANCE


def test_a_folder_that_it_saved_is_read(tmp_path: Path) -> None:
    folder = tiny_rerankers.qwen_reranker(tmp_path / "qwen")
    sentence_transformers.CrossEncoder(str(folder), device="cpu").save_pretrained(str(tmp_path / "saved"))
    assert "LogitScore" in (tmp_path / "saved" / "modules.json").read_text(encoding="utf-8")
    found = Reranker(tmp_path / "saved", device="cpu", source=SourceOptions(family="qwen3")).score(PAIRS[:5])
    assert found == pytest.approx(
        Reranker(folder, device="cpu", source=SourceOptions(family="qwen3")).score(PAIRS[:5]), abs=TOLERANCE
    )
