"""The embedding facade: instructions, pooling, normalising, threads, bad input."""

from __future__ import annotations

import asyncio
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tiny_checkpoints
import torch
from safetensors.torch import save_file

from rerank_plugins import Embedder, InstructionOptions, VectorOptions
from rerank_plugins.errors import InvalidInputError, UnknownModelError
from rerank_plugins.nn.backbone import TokenStates
from rerank_plugins.nn.packed_row import PackedRow
from rerank_plugins.nn.pooling import SentenceHead
from rerank_plugins.protocols import Batch, TokenInput

TEXTS = tiny_checkpoints.SENTENCES


@pytest.fixture
def embedder(checkpoints: Path) -> Embedder:
    return Embedder(checkpoints / "bert-embedder", device="cpu")


def test_shape_type_and_length(embedder: Embedder) -> None:
    vectors = embedder.embed_documents(TEXTS)
    assert vectors.shape == (len(TEXTS), 32)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-6)
    raw = Embedder(embedder.model, vectors=VectorOptions(normalize=False)).embed_documents(TEXTS)
    assert not np.allclose(np.linalg.norm(raw, axis=1), 1.0)


def test_one_by_one_batched_threads_and_async_agree(embedder: Embedder) -> None:
    batched = embedder.embed_documents(TEXTS)
    alone = np.concatenate([embedder.embed_documents([text]) for text in TEXTS])
    with ThreadPoolExecutor(16) as pool_of_threads:
        threaded = np.concatenate(list(pool_of_threads.map(lambda text: embedder.embed_documents([text]), TEXTS)))
    assert np.abs(batched - alone).max() <= 1e-5
    assert np.abs(batched - threaded).max() <= 1e-5
    assert np.abs(batched - asyncio.run(embedder.aembed_documents(TEXTS))).max() <= 1e-5


def test_an_instruction_is_text_in_front(checkpoints: Path, embedder: Embedder) -> None:
    instructed = Embedder(
        checkpoints / "bert-embedder", instruction=InstructionOptions(query="Find: ", document="Keep: ")
    )
    assert np.allclose(instructed.embed_queries(["panda"]), embedder.embed_documents(["Find: panda"]), atol=1e-6)
    assert np.allclose(instructed.embed_documents(["panda"]), embedder.embed_documents(["Keep: panda"]), atol=1e-6)
    assert not np.allclose(instructed.embed_queries(["panda"]), embedder.embed_queries(["panda"]), atol=1e-3)
    asynchronous = asyncio.run(instructed.aembed_queries(["panda"]))
    assert np.allclose(asynchronous, instructed.embed_queries(["panda"]), atol=1e-6)


def test_bge_instruction_reaches_a_renamed_local_folder(tmp_path: Path) -> None:
    # What the name cannot tell, the family and the config's facts do.
    folder = tiny_checkpoints.bert_embedder(tmp_path / "renamed")
    config = json.loads((folder / "config.json").read_text())
    plain = Embedder(folder)
    assert plain.instruction.query == ""
    assert (config["vocab_size"], plain.spec.family) != (21128, "bge")


def test_prompts_in_the_checkpoint_win(checkpoints: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(checkpoints / "bert-embedder", tmp_path / "prompted")
    prompts = {"prompts": {"query": "Q: ", "document": "D: "}}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    embedder = Embedder(folder)
    assert (embedder.instruction.query, embedder.instruction.document) == ("Q: ", "D: ")
    own = Embedder(folder, instruction=InstructionOptions(query=""))
    assert (own.instruction.query, own.instruction.document) == ("", "D: ")


def test_newlines_are_kept(embedder: Embedder) -> None:
    # BERT's tokenizer drops white space, so look at the text itself: nothing is replaced before it.
    seen: list[str] = []
    encoder = embedder._lease.value.tokenizer
    original = encoder.encode

    def spy(texts: list[str], *, use_cache: bool = True) -> object:
        seen.extend(texts)
        return original(texts, use_cache=use_cache)

    encoder.encode = spy  # type: ignore[method-assign, assignment]
    embedder.embed_documents(["a\nb\r\nc"])
    encoder.encode = original  # type: ignore[method-assign]
    assert seen == ["a\nb\r\nc"]


def test_unknown_pooling_is_refused_not_guessed(tmp_path: Path) -> None:
    folder = tiny_checkpoints.bert_embedder(tmp_path / "no-pooling", pooling=None)
    with pytest.raises(UnknownModelError, match=r"1_Pooling/config.json.*BAAI/bge-m3"):
        Embedder(folder)


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ("cls", [[1.0], [4.0]]),
        ("mean", [[2.0], [4.5]]),
        ("last_token", [[3.0], [5.0]]),
        ("max", [[3.0], [5.0]]),
        ("mean_sqrt_len", [[6 / 3**0.5], [9 / 2**0.5]]),
        ("weighted_mean", [[14 / 6], [14 / 3]]),
    ],
)
def test_pooling_by_hand(pooling: str, expected: list[list[float]]) -> None:
    states = TokenStates(torch.tensor([[1.0], [2.0], [3.0], [4.0], [5.0]]), PackedRow([3, 2], torch.device("cpu")))
    inputs = [TokenInput(np.zeros(n, dtype=np.int32), np.zeros(n, dtype=np.int32)) for n in states.row.lengths]
    found = SentenceHead((pooling,))(states, Batch(inputs))  # type: ignore[arg-type]
    assert found.flatten().tolist() == pytest.approx([value for [value] in expected])
    assert states.padded().tolist() == [[[1.0], [2.0], [3.0]], [[4.0], [5.0], [0.0]]]


@pytest.mark.parametrize("bad", ["text", None, [None], [1], [b"x"]])
def test_wrong_types(embedder: Embedder, bad: object) -> None:
    with pytest.raises(InvalidInputError, match="must be a"):
        embedder.embed_documents(bad)  # type: ignore[arg-type]


def test_nothing_and_blank_texts(embedder: Embedder) -> None:
    assert embedder.embed_queries([]).shape[0] == 0
    assert np.isfinite(embedder.embed_documents(["", " ", "\ud800", "x" * 9_000])).all()


def test_unknown_task_lists_the_known(embedder: Embedder) -> None:
    with pytest.raises(InvalidInputError, match="query_instruction"):
        Embedder(embedder.model, instruction=InstructionOptions(task="qa"))


@pytest.fixture
def static_folder(tmp_path: Path) -> Path:
    """A model2vec checkpoint of three dimensions."""
    tokenizer = tiny_checkpoints.wordpiece()
    table = torch.arange(tokenizer.get_vocab_size() * 3, dtype=torch.float32).reshape(-1, 3).sin()
    save_file({"embeddings": table}, str(tmp_path / "model.safetensors"))
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    config = {"model_type": "model2vec", "normalize": True, "architectures": ["StaticModel"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


def test_static_embeddings_equal_model2vec(static_folder: Path) -> None:
    model2vec = pytest.importorskip("model2vec")
    expected = model2vec.StaticModel.from_pretrained(static_folder, normalize=True).encode([*TEXTS, "☃"])
    found = Embedder(static_folder).embed_documents([*TEXTS, "☃"])
    assert np.abs(found - expected)[:-1].max() <= 1e-5
    # model2vec gives an unknown word the zero vector, which no store can compare.
    assert not expected[-1].any()
    assert np.linalg.norm(found[-1]) == pytest.approx(1)
