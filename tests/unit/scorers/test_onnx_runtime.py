"""Checkpoints in ONNX Runtime: the numbers of torch, one code around both, and no torch where there is none."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
import tiny_checkpoints
import tiny_rerankers
import torch
from safetensors.torch import load_file, save_file

from rerank_plugins import Embedder, EngineOptions, Reranker, SourceOptions
from rerank_plugins.backends import runtimes
from rerank_plugins.engine.device import DTYPES
from rerank_plugins.engine.score_cache import ScoreCache
from rerank_plugins.errors import (
    DeadlineExceededError,
    DeviceUnavailableError,
    InvalidInputError,
    RerankPluginsError,
    UnsafeModelError,
    UnsupportedModelError,
)
from rerank_plugins.graphs.int8 import quantised_rows
from rerank_plugins.nn.int8 import has_int8_products

pytest.importorskip("onnxruntime")

DOCUMENTS = [*tiny_checkpoints.SENTENCES, "panda " * 700, "x", "   ", "bamboo", "大熊猫 <pad> [PAD] x"]
QUERIES = ("What is a panda?", "大熊猫吃什么？")
PAIRS = [(query, document) for query in QUERIES for document in DOCUMENTS]


def scores(model: object, *, backend: str, **options: object) -> np.ndarray:
    with Reranker(model, backend=backend, **options) as reranker:  # type: ignore[arg-type]
        assert reranker.runtime == backend
        return np.array(reranker.score(PAIRS))


def check_parity(model: object, **options: object) -> None:
    expected = scores(model, backend="torch", device="cpu", **options)
    found = scores(model, backend="onnx", **options)
    assert np.ptp(expected[expected > -100]) > 0.1, "the scores do not differ, so they show nothing"
    assert np.abs(found - expected).max() <= 1e-4


def test_another_file_of_weights_in_the_folder_is_read_by_neither(tmp_path: Path, checkpoints: Path) -> None:
    folder = shutil.copytree(checkpoints / "bert-reranker", tmp_path / "model")
    before = scores(folder, backend="onnx")
    stored = load_file(folder / "model.safetensors")
    other = {name: one + 0.5 if one.is_floating_point() else one for name, one in stored.items()}
    # Behind model.safetensors in the order of the names.
    save_file(other, folder / "model_old.safetensors", {"format": "pt"})
    check_parity(folder)
    assert np.array_equal(scores(folder, backend="onnx"), before)


@pytest.mark.parametrize("name", ["bert-reranker", "xlmr-reranker"])
@pytest.mark.parametrize("long_documents", ["truncate", "maxp"])
def test_rerankers_score_as_in_torch(checkpoints: Path, name: str, long_documents: str) -> None:
    check_parity(checkpoints / name, long_documents=long_documents, max_length=64)


@pytest.mark.parametrize("model", ["mini", pytest.param("mini-zh", marks=pytest.mark.slow)])
def test_the_bundled_rerankers_score_as_in_torch(model: str) -> None:
    pytest.importorskip(f"rerank_plugins_{model.replace('-', '_')}")
    check_parity(model)


@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "gelu_pytorch_tanh", "gelu_fast", "relu"])
def test_activations(tmp_path: Path, activation: str) -> None:
    folder = tiny_checkpoints.bert_reranker(tmp_path / "model")
    check_parity(tiny_rerankers.change_config(folder, hidden_act=activation))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_in_any_precision_run_in_float32(tmp_path: Path, dtype: torch.dtype) -> None:
    folder = tiny_checkpoints.xlmr_reranker(tmp_path / "model")
    path = folder / "model.safetensors"
    save_file({name: one.to(dtype) for name, one in load_file(path).items()}, path, {"format": "pt"})
    check_parity(folder, dtype="float32")


def test_weights_in_several_files_and_with_tensorflows_names(tmp_path: Path) -> None:
    folder = tiny_checkpoints.bert_reranker(tmp_path / "model")
    before = scores(folder, backend="onnx")
    weights = load_file(folder / "model.safetensors")
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    for new, name in old.items():
        weights = {key.replace(new, name): value for key, value in weights.items()}
    names = sorted(weights)
    parts = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    (folder / "model.safetensors").unlink()
    for file, some in parts.items():
        save_file({name: weights[name] for name in some}, folder / file, {"format": "pt"})
    index = {"metadata": {}, "weight_map": {name: file for file, some in parts.items() for name in some}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    assert np.array_equal(scores(folder, backend="onnx"), before)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("make", [tiny_checkpoints.bert_embedder, tiny_checkpoints.xlmr_embedder])
def test_embedders_embed_as_in_torch(tmp_path: Path, pooling: str, make: Callable[..., Path]) -> None:
    folder = make(tmp_path / "model", pooling=pooling)
    texts = [text for text in DOCUMENTS if text.strip()]
    found = Embedder(folder, backend="onnx").embed_documents(texts)
    expected = Embedder(folder, backend="torch", device="cpu").embed_documents(texts)
    assert np.abs(found - expected).max() <= 1e-5
    assert np.abs(expected[0] - expected[1]).max() > 0.01


@pytest.mark.parametrize("model", ["mini", "mini-zh"])
def test_the_bundled_embedders_embed_as_in_torch(model: str) -> None:
    pytest.importorskip(f"rerank_plugins_{model.replace('-', '_')}")
    found = Embedder(model, backend="onnx").embed_queries(list(QUERIES))
    assert np.abs(found - Embedder(model, backend="torch", device="cpu").embed_queries(list(QUERIES))).max() <= 1e-5


@pytest.mark.parametrize("name", ["bert-reranker", "xlmr-reranker"])
def test_alone_batched_and_from_many_threads(checkpoints: Path, name: str) -> None:
    engine = EngineOptions(max_batch_tokens=200)
    with Reranker(checkpoints / name, backend="onnx", engine=engine) as reranker:
        expected = np.array([reranker.score([pair])[0] for pair in PAIRS])
        together = np.array(reranker.score(PAIRS))
        with ThreadPoolExecutor(16) as pool:
            found = list(pool.map(lambda _: reranker.score(PAIRS), range(48)))
    assert np.abs(together - expected).max() <= 1e-5
    assert all(np.abs(np.array(one) - expected).max() <= 1e-5 for one in found)


@pytest.mark.parametrize("model", ["bert-reranker", "xlmr-reranker", "mini"])
def test_int8_is_near_and_does_not_depend_on_the_batch(checkpoints: Path, model: str) -> None:
    if model == "mini":
        pytest.importorskip("rerank_plugins_mini")
    source = model if model == "mini" else checkpoints / model
    exact = scores(source, backend="onnx")
    engine = EngineOptions(max_batch_tokens=300, token_cache=False)
    reranker = Reranker(source, backend="onnx", dtype="int8", engine=engine)
    if not has_int8_products():
        assert reranker.dtype == "float32"
        return
    with reranker:
        assert reranker.dtype == "int8"
        found = reranker.score(PAIRS)
        alone = [reranker.score([pair])[0] for pair in PAIRS]
        with ThreadPoolExecutor(8) as pool:
            others = list(pool.map(lambda _: reranker.score(PAIRS), range(8)))
    counted = exact > -100
    assert np.corrcoef(np.array(found)[counted], exact[counted])[0, 1] > 0.99
    assert np.abs(np.array(found) - exact).max() > 1e-5, "nothing was quantised"
    assert np.abs(np.array(alone) - found).max() <= 1e-3
    assert all(np.abs(np.array(one) - found).max() <= 1e-3 for one in others)


def test_int8_weights_are_those_of_the_bundled_file() -> None:
    mini = pytest.importorskip("rerank_plugins_mini")
    stored = load_file(mini.reranker_path() / "model.safetensors")
    name = "encoder.layer.3.output.dense.weight"
    values, scales = quantised_rows((stored[name].float() * stored[f"{name}.scale"].unsqueeze(1)).numpy())
    assert np.array_equal(values, stored[name].numpy())
    assert np.allclose(scales, stored[f"{name}.scale"].numpy(), rtol=1e-6)


def test_weights_outlive_what_they_were_read_into(bert_reranker_folder: Path) -> None:
    with Reranker(bert_reranker_folder, backend="onnx") as reranker:
        before = reranker.score(PAIRS)
        held = [np.full(10_000 + number, 7.0, dtype=np.float32) for number in range(2_000)]
        assert reranker.score(PAIRS) == before
    assert len(held) == 2_000


def test_runtimes_share_no_weights_and_no_cached_scores(bert_reranker_folder: Path) -> None:
    cache = ScoreCache(100)
    one = Reranker(bert_reranker_folder, backend="torch", device="cpu", cache=cache)
    other = Reranker(bert_reranker_folder, backend="onnx", cache=cache)
    one.score(PAIRS[:3])
    other.score(PAIRS[:3])
    assert other.stats().inputs_reused == 0
    other.score(PAIRS[:3])
    assert other.stats().inputs_reused == 3
    assert Reranker(bert_reranker_folder, backend="onnx").stats().calls == 2, "the weights are shared in the process"


def test_a_call_gives_up_at_its_deadline_and_a_loop_is_not_blocked(bert_reranker_folder: Path) -> None:
    with Reranker(bert_reranker_folder, backend="onnx") as reranker:
        with pytest.raises(DeadlineExceededError):
            reranker.score(PAIRS * 50, deadline_s=1e-4)
        found = asyncio.run(reranker.ascore(PAIRS))
        assert found == reranker.score(PAIRS)


def test_copies_and_pickles_keep_the_runtime(bert_reranker_folder: Path) -> None:
    with Reranker(bert_reranker_folder, backend="onnx") as reranker:
        again = pickle.loads(pickle.dumps(reranker))
        assert again.runtime == "onnx"
        assert again.is_named
        assert again.score(PAIRS[:2]) == reranker.score(PAIRS[:2])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_process_scores(bert_reranker_folder: Path) -> None:
    code = f"""
    import os
    from rerank_plugins import Reranker

    reranker = Reranker({str(bert_reranker_folder)!r}, backend="onnx")
    pair = [("What is a panda?", "bamboo")]
    before = reranker.score(pair)
    child = os.fork()
    if child == 0:
        os._exit(0 if abs(reranker.score(pair)[0] - before[0]) < 1e-5 else 3)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), reranker.score(pair) == before)
    """
    done = subprocess.run([sys.executable, "-c", dedent(code)], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["0", "True"], done.stderr


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"device": "cuda"}, DeviceUnavailableError, "on the CPU"),
        ({"dtype": "bfloat16"}, InvalidInputError, "dtype='bfloat16'"),
        ({"dtype": "flaot32"}, InvalidInputError, "dtype must be 'auto', 'float32', .* got 'flaot32'"),
        ({"engine": EngineOptions(torch_compile=True)}, InvalidInputError, "torch_compile"),
        ({"source": SourceOptions(trust_remote_code=True)}, InvalidInputError, "trust_remote_code"),
        ({"backend": "openvino"}, InvalidInputError, "'openvino'"),
    ],
)
def test_options_of_torch_alone(
    bert_reranker_folder: Path, options: dict[str, object], error: type[RerankPluginsError], message: str
) -> None:
    with pytest.raises(error, match=message):
        Reranker(bert_reranker_folder, **{"backend": "onnx", **options})  # type: ignore[arg-type]


def test_the_precisions_are_those_of_torch() -> None:
    assert ("auto", *DTYPES) == runtimes._DTYPES


@pytest.mark.parametrize("texts", [["", "panda bamboo", "", "It eats bamboo."], ["", ""]])
@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_a_text_without_any_token_is_as_in_torch(tmp_path: Path, pooling: str, texts: list[str]) -> None:
    """With a tokenizer that puts no tokens around it. It failed, or got the state of its neighbour."""
    folder = tiny_checkpoints.bert_embedder(tmp_path / "model", pooling=pooling)
    path = folder / "tokenizer.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), "post_processor": None}), "utf-8")
    expected = Embedder(folder, backend="torch", device="cpu").embed_documents(texts)
    assert np.abs(Embedder(folder, backend="onnx").embed_documents(texts) - expected).max() <= 1e-5


def test_chunks_in_context_say_what_reads_them(tmp_path: Path) -> None:
    """The error was NumPy's, or a vector was a few of the numbers of the whole text's."""
    embedder = Embedder(tiny_checkpoints.bert_embedder(tmp_path / "model", pooling="mean"), backend="onnx")
    for documents in (["It eats bamboo."], ["It eats bamboo. It sleeps."]):
        with pytest.raises(InvalidInputError, match=r"ONNX Runtime, which gives .* in_context=False"):
            embedder.encode_chunks(documents)
        with pytest.raises(InvalidInputError, match="in ONNX Runtime"):
            asyncio.run(embedder.aencode_chunks(documents))


def test_a_name_of_a_backend_takes_no_runtime() -> None:
    with pytest.raises(InvalidInputError, match="says what runs a checkpoint"):
        Reranker("openai-chat:acme", backend="onnx")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_act": "silu"}, "hidden_act='silu'"),
        ({"position_embedding_type": "relative_key"}, "positions are relative"),
        ({"is_decoder": True}, "is a decoder"),
        ({"model_type": "electra"}, "model_type is 'electra'"),
        ({"auto_map": {"AutoModel": "code.Model"}}, "code of its own"),
        ({"num_attention_heads": 5}, "no multiple"),
    ],
)
def test_what_is_not_done_says_what_does_it(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    folder = tiny_rerankers.change_config(tiny_checkpoints.bert_reranker(tmp_path / "model"), **changes)
    with pytest.raises(UnsupportedModelError, match=message) as caught:
        Reranker(folder, backend="onnx")
    assert 'pip install "rerank-plugins[torch]"' in str(caught.value)


def test_a_decoder_says_what_runs_it(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match=r"scorer is 'decoder'.*rerank-plugins\[torch\]"):
        Reranker(tiny_rerankers.mxbai_reranker(tmp_path / "m"), backend="onnx", source=SourceOptions(family="mxbai-v2"))


@pytest.mark.parametrize("backend", ["torch", "onnx"])
@pytest.mark.parametrize("name", ["head.mean_scale", "head.token_weight", "head.linear.bias"])
def test_a_head_of_ours_that_could_be_stretched(tmp_path: Path, backend: str, name: str) -> None:
    mini = pytest.importorskip("rerank_plugins_mini")
    folder = shutil.copytree(mini.reranker_path(), tmp_path / "model")
    path = folder / "model.safetensors"
    weights = {key: one.clone() for key, one in load_file(path).items()}
    save_file({**weights, name: torch.ones(2, 384)}, path, {"rerank_plugins.quantization": "int8-rows"})
    with pytest.raises(UnsupportedModelError, match="do not fit"):
        Reranker(folder, backend=backend, device="cpu")  # type: ignore[arg-type]


def _without(part: str) -> Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]:
    return lambda weights: {name: one for name, one in weights.items() if part not in name}


def _cut(part: str) -> Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]:
    return lambda weights: {name: one[:-1].contiguous() if part in name else one for name, one in weights.items()}


def _as(part: str, *shape: int) -> Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]:
    return lambda weights: {**weights, part: torch.zeros(shape)}


@pytest.mark.parametrize("backend", ["torch", "onnx"])
@pytest.mark.parametrize(
    "change",
    [
        _as("classifier.bias", 2),
        _as("bert.pooler.dense.bias", 1),
        _as("bert.embeddings.LayerNorm.weight", 1),
        _as("bert.encoder.layer.1.output.LayerNorm.bias", 1),
        _as("bert.encoder.layer.0.output.dense.bias", 1, 32),
        _as("bert.encoder.layer.0.attention.self.key.bias", 1),
        lambda weights: _as("classifier.weight", 2, 32)(_as("classifier.bias", 2)(weights)),
    ],
)
def test_weights_that_could_be_stretched(
    tmp_path: Path, backend: str, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]
) -> None:
    """ONNX Runtime stretched a bias of one number, and took the first of two labels."""
    folder = tiny_checkpoints.bert_reranker(tmp_path / "model")
    path = folder / "model.safetensors"
    save_file(change(load_file(path)), path, {"format": "pt"})
    with pytest.raises(UnsupportedModelError):
        Reranker(folder, backend=backend, device="cpu")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without("classifier.weight"), "lacks the weights 'classifier.weight'"),
        (_without("layer.1.output.dense.bias"), "lacks the weights"),
        (_without("word_embeddings"), "lacks the weights"),
        (_cut("position_embeddings"), "position embeddings of the shape"),
        (_cut("layer.0.intermediate.dense.weight"), "in ONNX Runtime"),
        (_cut("pooler.dense.weight"), "in ONNX Runtime"),
    ],
)
def test_damaged_weights(
    tmp_path: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]], message: str
) -> None:
    folder = tiny_checkpoints.bert_reranker(tmp_path / "model")
    path = folder / "model.safetensors"
    save_file(change(load_file(path)), path, {"format": "pt"})
    with pytest.raises(UnsupportedModelError, match=message):
        Reranker(folder, backend="onnx")


@pytest.mark.parametrize("key", ["type_vocab_size", "max_position_embeddings", "vocab_size"])
@pytest.mark.parametrize("more", [-1, 1])
def test_a_config_with_another_size_of_a_table(tmp_path: Path, key: str, more: int) -> None:
    """With one type less than there are, inputs had none: other scores, where torch refuses."""
    folder = tiny_checkpoints.bert_reranker(tmp_path / "model")
    size = json.loads((folder / "config.json").read_text(encoding="utf-8"))[key]
    tiny_rerankers.change_config(folder, **{key: size + more})
    for backend in ("torch", "onnx"):
        with pytest.raises(UnsupportedModelError):
            Reranker(folder, backend=backend, device="cpu")  # type: ignore[arg-type]


def test_pickled_weights_are_not_read(tmp_path: Path) -> None:
    folder = tiny_checkpoints.bert_reranker(tmp_path / "model")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(UnsafeModelError, match="pickled"):
        Reranker(folder, backend="onnx")
    # It asked for what had been passed.
    with pytest.raises(UnsupportedModelError, match=r"no \*.safetensors files.* with torch"):
        Reranker(folder, backend="onnx", source=SourceOptions(allow_pickle=True))


def test_a_pooling_or_module_that_is_not_done(tmp_path: Path) -> None:
    folder = tiny_checkpoints.bert_embedder(tmp_path / "last", pooling="last_token")
    with pytest.raises(UnsupportedModelError, match="pooling is 'last_token'"):
        Embedder(folder, backend="onnx")


BLOCKED = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        top = name.split(".")[0]
        if top in {"torch", "transformers", "sentence_transformers", "onnx"}:
            raise ModuleNotFoundError(f"No module named {top!r}", name=top)

sys.meta_path.insert(0, Refuse())
"""


def test_without_torch_a_checkpoint_runs_by_itself(bert_reranker_folder: Path, tmp_path: Path) -> None:
    embedder = shutil.copytree(tiny_checkpoints.bert_embedder(tmp_path / "made"), tmp_path / "embedder")
    code = """
    import sys
    from rerank_plugins import Embedder, Reranker

    reranker = Reranker(sys.argv[1], long_documents="maxp", max_length=64)
    found = reranker.rank("What is a panda?", ["bamboo", "panda " * 200, None, "It eats bamboo."], threshold=0.0)
    print(reranker.runtime, reranker.device, reranker.dtype, len(found), found[-1].index)
    print(Embedder(sys.argv[2]).embed_queries(["panda"]).shape, "torch" in sys.modules)
    """
    command = [sys.executable, "-c", BLOCKED + dedent(code), str(bert_reranker_folder), str(embedder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines() == ["onnx cpu float32 4 2", "(1, 32) False"], done.stderr


def test_without_torch_the_bundled_models_and_the_command_line_run() -> None:
    pytest.importorskip("rerank_plugins_mini")
    code = BLOCKED + "from rerank_plugins.cli import main\nmain()"
    command = [sys.executable, "-c", code, "rank", "-", "--query", "capital of France", "--model", "mini", "--json"]
    text = "Berlin\nParis is the capital of France.\n"
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.index("Paris") < done.stdout.index("Berlin")
