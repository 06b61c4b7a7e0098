"""Folders for ONNX Runtime: opened by this package as the checkpoint itself, and by others through ``model.onnx``."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Literal

import embedder_checkpoints
import numpy as np
import pytest
import tiny_checkpoints
import tiny_rerankers
from safetensors.numpy import load_file, save_file

from rerank_plugins import Embedder, Reranker
from rerank_plugins.catalog.resolve import resolve
from rerank_plugins.catalog.spec import ModelKind
from rerank_plugins.cli import main
from rerank_plugins.errors import InvalidInputError, UnsupportedModelError
from rerank_plugins.scorers.export import export_model

runtime = pytest.importorskip("onnxruntime")

Runtime = Literal["onnx", "torch"]

QUERY = "What is a panda?"
PAIRS = [(QUERY, text) for text in tiny_checkpoints.SENTENCES]


@pytest.mark.parametrize("name", ["bert-reranker", "xlmr-reranker"])
def test_a_folder_is_the_checkpoint_in_both_runtimes(checkpoints: Path, tmp_path: Path, name: str) -> None:
    folder = export_model(resolve(checkpoints / name, kind="reranker"), tmp_path / "exported")
    expected = Reranker(checkpoints / name, backend="onnx").score(PAIRS)
    assert Reranker(folder, backend="onnx").score(PAIRS) == expected
    assert np.abs(np.array(Reranker(folder, backend="torch", device="cpu").score(PAIRS)) - expected).max() <= 1e-4


@pytest.mark.parametrize("padding", ["right", "left"])
@pytest.mark.parametrize("name", ["bert-reranker", "xlmr-reranker"])
def test_others_read_the_graph(checkpoints: Path, tmp_path: Path, name: str, padding: str) -> None:
    """With transformers' inputs, and as much padding as they like."""
    transformers = pytest.importorskip("transformers")
    source = checkpoints / name
    folder = export_model(resolve(source, kind="reranker"), tmp_path / "exported")
    session = runtime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    tokenizer = transformers.AutoTokenizer.from_pretrained(source, padding_side=padding)
    fed = tokenizer([QUERY] * len(PAIRS), [text for _, text in PAIRS], padding="max_length", max_length=90)
    inputs = {one.name: np.array(fed[one.name], dtype=np.int64) for one in session.get_inputs()}
    found = session.run(None, inputs)[0][:, 0]
    assert np.abs(found - Reranker(source, backend="onnx").score(PAIRS)).max() <= 1e-5


def test_names_of_2018_and_weights_in_a_file_of_another_name(checkpoints: Path, tmp_path: Path) -> None:
    """The first was a KeyError; of the second, the config of the export named a file that was not in it."""
    source = tmp_path / "source"
    shutil.copytree(checkpoints / "bert-reranker", source)
    weights, old = load_file(source / "model.safetensors"), {}
    for name, array in weights.items():
        old[name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")] = array
    (source / "model.safetensors").unlink()
    save_file(old, source / "weights.safetensors", {"format": "pt"})
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    (source / "config.json").write_text(json.dumps({**config, "transformers_weights": "weights.safetensors"}))
    folder = export_model(resolve(source, kind="reranker"), tmp_path / "exported")
    expected = np.array(Reranker(checkpoints / "bert-reranker", backend="onnx").score(PAIRS))
    runtimes: tuple[Runtime, ...] = ("onnx", "torch")
    for backend in runtimes:
        assert np.abs(np.array(Reranker(folder, backend=backend, device="cpu").score(PAIRS)) - expected).max() <= 1e-4


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("index", ["other.safetensors.index.json", "pytorch_model.bin.index.json"])
def test_an_index_of_files_that_are_not_exported_is_left_out(
    checkpoints: Path, tmp_path: Path, index: str, *, int8: bool
) -> None:
    """It was copied, and then the folder was refused as an incomplete download."""
    source = shutil.copytree(checkpoints / "bert-reranker", tmp_path / "source")
    part = index.replace(".index.json", "").replace(".", "-1.")
    shutil.copyfile(source / "model.safetensors", source / part)
    (source / index).write_text(json.dumps({"weight_map": {"a": part}}), encoding="utf-8")
    folder = export_model(resolve(source, kind="reranker"), tmp_path / "exported", int8=int8)
    assert not [*folder.glob("*.index.json")]
    assert len(Reranker(folder, backend="onnx").score(PAIRS)) == len(PAIRS)


def test_a_name_that_no_folder_can_have(checkpoints: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="cannot be written"):
        export_model(resolve(checkpoints / "bert-reranker", kind="reranker"), tmp_path / ("x" * 300))


def test_the_mini_models(tmp_path: Path) -> None:
    pytest.importorskip("rerank_plugins_mini_zh")
    folder = export_model(resolve("mini-zh", kind="reranker"), tmp_path / "reranker")
    found = np.array(Reranker(folder, backend="onnx").score(PAIRS))
    assert np.abs(found - Reranker("mini-zh", backend="torch", device="cpu").score(PAIRS)).max() <= 1e-4
    inputs = runtime.InferenceSession(str(folder / "model.onnx")).get_inputs()
    assert {one.name for one in inputs} >= {"segments", "second_starts"}


def test_an_embedder_keeps_its_modules(checkpoints: Path, tmp_path: Path) -> None:
    source = checkpoints / "xlmr-embedder"
    folder = export_model(resolve(source, kind="embedder"), tmp_path / "exported")
    found = Embedder(folder, backend="onnx").embed_documents(tiny_checkpoints.SENTENCES)
    assert np.array_equal(found, Embedder(source, backend="onnx").embed_documents(tiny_checkpoints.SENTENCES))


def test_a_model_is_no_copy_of_its_weights(checkpoints: Path, tmp_path: Path) -> None:
    folder = export_model(resolve(checkpoints / "bert-reranker", kind="reranker"), tmp_path / "exported")
    weights = (folder / "model.safetensors").stat().st_size
    assert (folder / "model.onnx").stat().st_size < weights / 2
    onnx = pytest.importorskip("onnx")
    onnx.checker.check_model(str(folder / "model.onnx"), full_check=False)
    facts = {one.key: one.value for one in onnx.load(str(folder / "model.onnx")).metadata_props}
    assert facts["kind"] == "reranker"


@pytest.mark.parametrize("backend", ["onnx", "torch"])
@pytest.mark.parametrize("name", ["bert-reranker", "xlmr-reranker"])
def test_8_bit_rows_are_read_in_both_runtimes(checkpoints: Path, tmp_path: Path, name: str, backend: Runtime) -> None:
    source = checkpoints / name
    folder = export_model(resolve(source, kind="reranker"), tmp_path / "exported", int8=True)
    size, whole = ((one / "model.safetensors").stat().st_size for one in (folder, source))
    assert size < whole / 2
    assert not (folder / "model.onnx").exists()
    exact = np.array(Reranker(source, backend=backend, device="cpu").score(PAIRS))
    found = np.array(Reranker(folder, backend=backend, device="cpu").score(PAIRS))
    assert 0 < np.abs(found - exact).max() <= 0.1 * (exact.max() - exact.min())


@pytest.mark.parametrize("name", ["bert-reranker", "xlmr-embedder"])
def test_8_bit_rows_are_refused_by_other_libraries(checkpoints: Path, tmp_path: Path, name: str) -> None:
    """They took the whole numbers for weights, and their scores were noise."""
    transformers = pytest.importorskip("transformers")
    kind: ModelKind = "reranker" if name.endswith("reranker") else "embedder"
    folder = export_model(resolve(checkpoints / name, kind=kind), tmp_path / "exported", int8=True)
    with pytest.raises(RuntimeError, match="mismatch"):
        transformers.AutoModel.from_pretrained(folder)


def test_8_bit_rows_of_8_bit_rows_are_the_same(tmp_path: Path) -> None:
    """So dtype="int8", which rounds again, takes the numbers that are stored."""
    folder = export_model(resolve("mini", kind="reranker"), tmp_path / "exported", int8=True)
    again = export_model(resolve(folder, kind="reranker"), tmp_path / "again", int8=True)
    first, second = (load_file(one / "model.safetensors") for one in (folder, again))
    assert {*first} == {*second}
    assert all(np.array_equal(first[name], second[name]) for name in first if first[name].dtype == np.int8)
    assert Reranker(folder, backend="onnx").score(PAIRS) == Reranker("mini", backend="onnx").score(PAIRS)


@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_8_bit_rows_of_an_encoder_inside_another_model(checkpoints: Path, tmp_path: Path, backend: Runtime) -> None:
    """A masked language model puts ``bert.`` in front of names that its bare encoder has without it."""
    source = tmp_path / "source"
    shutil.copytree(checkpoints / "bert-embedder", source)
    weights = load_file(source / "model.safetensors")
    save_file({f"bert.{name}": one for name, one in weights.items()}, source / "model.safetensors", {"format": "pt"})
    folder = export_model(resolve(source, kind="embedder"), tmp_path / "exported", int8=True)
    expected = Embedder(checkpoints / "bert-embedder", backend=backend).embed_documents(tiny_checkpoints.SENTENCES)
    found = Embedder(folder, backend=backend).embed_documents(tiny_checkpoints.SENTENCES)
    assert (found * expected).sum(1).min() > 0.995


@pytest.mark.parametrize("int8", [False, True])
def test_a_folder_of_another_name_keeps_its_catalog_entry(checkpoints: Path, tmp_path: Path, *, int8: bool) -> None:
    """A prompt that only the entry has would be lost, and nothing but worse results would show it."""
    cached = tmp_path / "models--cross-encoder--ms-marco-TinyBERT-L2-v2" / "snapshots" / "0"
    shutil.copytree(checkpoints / "bert-reranker", cached)
    source = resolve(cached, kind="reranker")
    assert source.spec.id == "cross-encoder/ms-marco-TinyBERT-L2-v2"
    assert resolve(export_model(source, tmp_path / "exported", int8=int8), kind="reranker").spec == source.spec


@pytest.mark.parametrize("int8", [False, True])
def test_a_model_whose_other_heads_would_be_lost_is_refused(tmp_path: Path, *, int8: bool) -> None:
    """The folder opened as an embedder of dense vectors alone."""
    source = embedder_checkpoints.bge_m3(tmp_path / "m3", pickled=False)
    kinds: tuple[ModelKind, ...] = ("embedder", "reranker")
    for kind, scorer in zip(kinds, ("multi-vector", "late-interaction"), strict=True):
        with pytest.raises(UnsupportedModelError, match=f"its scorer is '{scorer}'"):
            export_model(resolve(source, kind=kind), tmp_path / "exported", int8=int8)


def test_a_folder_that_is_there_and_a_model_without_graph_are_refused(tmp_path: Path) -> None:
    folder = tiny_checkpoints.bert_reranker(tmp_path / "model")
    with pytest.raises(InvalidInputError, match="is there already"):
        export_model(resolve(folder, kind="reranker"), folder)
    tiny_rerankers.change_config(folder, hidden_act="silu")
    with pytest.raises(UnsupportedModelError, match="hidden_act"):
        export_model(resolve(folder, kind="reranker"), tmp_path / "exported")
    assert not (tmp_path / "exported").exists()


@pytest.mark.parametrize("int8", [False, True])
def test_a_table_of_vectors_says_that_it_is_copied(tmp_path: Path, *, int8: bool) -> None:
    with pytest.raises(UnsupportedModelError, match=r"runs without torch and ONNX Runtime\. Copy the folder"):
        export_model(resolve("mini", kind="embedder"), tmp_path / "exported", int8=int8)


def test_the_command(
    checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "exported"
    command = ["rerank-plugins", "export", str(checkpoints / "bert-embedder"), "--kind", "embedder", "-o", str(output)]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert "Saved" in capsys.readouterr().out
    assert json.loads((output / "config.json").read_text(encoding="utf-8"))["model_type"] == "bert"


@pytest.mark.parametrize(("options", "is_told"), [([], False), (["--family", "bge"], True)])
def test_the_command_tells_that_a_family_is_needed_again(
    checkpoints: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    *,
    is_told: bool,
) -> None:
    """Without it pairs that are too long are cut otherwise, as those of the checkpoint itself are."""
    command = ["rerank-plugins", "export", str(checkpoints / "xlmr-reranker"), "-o", str(tmp_path / "made"), *options]
    monkeypatch.setattr(sys, "argv", command)
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert ("open it with family='bge' too" in capsys.readouterr().out) == is_told


@pytest.mark.parametrize(("options", "has_graph"), [([], True), (["--int8"], False)])
def test_the_command_needs_no_torch(checkpoints: Path, tmp_path: Path, options: list[str], *, has_graph: bool) -> None:
    code = "import sys; sys.modules['torch'] = sys.modules['transformers'] = None\n"
    code += "from rerank_plugins.cli import main\nmain()"
    given = [str(checkpoints / "bert-reranker"), "-o", str(tmp_path / "made"), *options]
    done = subprocess.run([sys.executable, "-c", code, "export", *given], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "made" / "model.onnx").is_file() == has_graph
    assert ("8-bit rows" in done.stdout) != has_graph
