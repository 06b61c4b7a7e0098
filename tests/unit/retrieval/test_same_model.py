"""A saved retriever opens with the weights that its vectors were made with, wherever they lie, and with no others."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import colbert_checkpoints
import pytest
import tiny_checkpoints
from safetensors.torch import load_file, save_file

from rerank_plugins import Embedder, TwoStageRetriever
from rerank_plugins.errors import InvalidInputError
from rerank_plugins.retrieval import DenseIndex, MultiVectorIndex, SentenceIndex

TEXTS = {"a": "Paris is the capital of France.", "b": "Patients with high blood pressure should ask their doctor."}


def rewritten(folder: Path) -> None:
    """Train on what the shortest of the texts does not say: its vector stays as it was."""
    weights = load_file(folder / "model.safetensors")
    (name,) = (one for one in weights if one.endswith("word_embeddings.weight"))
    vocabulary = Embedder(folder, device="cpu")._lease.value.tokenizer
    for word in ("blood", "pressure", "doctor"):
        weights[name][vocabulary.token_to_id(word)] += 1.0
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def sentences(embedder: Embedder, folder: Path) -> Path:
    return SentenceIndex(TEXTS, embedder).save(folder)


def dense(embedder: Embedder, folder: Path) -> Path:
    return TwoStageRetriever(DenseIndex(TEXTS, embedder), TEXTS, reranker=None).save(folder)


def multi_vector(embedder: Embedder, folder: Path) -> Path:
    return TwoStageRetriever(MultiVectorIndex(TEXTS, embedder), TEXTS, reranker=None).save(folder)


@pytest.mark.parametrize("save", [sentences, dense, multi_vector])
def test_a_model_folder_that_was_written_again_is_refused(
    tmp_path: Path, save: Callable[[Embedder, Path], Path]
) -> None:
    model, moved = tmp_path / "one" / "model", tmp_path / "two" / "model"
    if save == multi_vector:
        colbert_checkpoints.stanford(model)
    else:
        tiny_checkpoints.bert_embedder(model, pooling="mean")
    opens = SentenceIndex.open if save == sentences else TwoStageRetriever.load
    with Embedder(model, device="cpu") as embedder:
        kept = save(embedder, tmp_path / "kept")
    shutil.copytree(model, moved)
    with Embedder(moved, device="cpu") as same:
        assert opens(kept, embedder=same).search("blood pressure", top_k=1)[0].id == "b"
    rewritten(moved)
    with Embedder(moved, device="cpu") as other, pytest.raises(InvalidInputError, match="its weights are others"):
        opens(kept, embedder=other)
