"""What is said about a name before anything is fetched: the wrong kind, a misspelt name, a path that is none."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import huggingface_hub
import pytest
from typer.testing import CliRunner

from rerank_plugins import Embedder, Reranker, SourceOptions
from rerank_plugins.catalog import known_models, plugins, specs_of_kind
from rerank_plugins.catalog.names import existing_folder, nearest_names
from rerank_plugins.catalog.resolve import resolve
from rerank_plugins.catalog.scorer_traits import traits_of
from rerank_plugins.catalog.spec import ModelKind, ModelSpec
from rerank_plugins.cli import app
from rerank_plugins.errors import InvalidInputError, ModelUnavailableError, UnsupportedModelError

KINDS: tuple[ModelKind, ModelKind] = ("reranker", "embedder")
OTHER: dict[ModelKind, ModelKind] = {"reranker": "embedder", "embedder": "reranker"}
NAMES_BY_KIND = [
    (spec.kind, name)
    for spec in known_models().values()
    for name in (spec.id, *spec.aliases)
    if spec.package is None and not traits_of(spec.scorer).is_late_interaction
]


@pytest.fixture(autouse=True)
def _nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> str:
        pytest.fail("the hub was asked")

    monkeypatch.setattr(huggingface_hub, "model_info", refuse)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)


@pytest.mark.parametrize(("kind", "name"), NAMES_BY_KIND)
def test_the_wrong_kind_is_told_whatever_the_spelling(kind: ModelKind, name: str) -> None:
    other = OTHER[kind]
    for spelling in (name, name.lower(), name.upper(), name.rsplit("/", 1)[-1]):
        with pytest.raises(UnsupportedModelError, match=f"is an? {kind}, and an? {other} is needed here") as caught:
            resolve(spelling, kind=other)
        assert f"{kind.capitalize()}(" in str(caught.value)
        assert f"rerank-plugins models --kind {other}" in str(caught.value)


def test_a_model_of_both_kinds_is_both() -> None:
    assert [resolve("mini", kind=kind).spec.kind for kind in KINDS] == ["reranker", "embedder"]


def test_another_packages_models_count_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def spec(name: str, kind: ModelKind) -> ModelSpec:
        return ModelSpec(
            id=name,
            kind=kind,
            family="third",
            scorer="cross-encoder",
            default_max_length_tokens=64,
            max_length_tokens=64,
            license="MIT",
        )

    class EntryPoint:
        value, name = "third:MODELS", "third"

        def load(self) -> object:
            return [spec("third/one", "embedder"), spec("third/both", "embedder"), spec("third/both", "reranker")]

    monkeypatch.setattr(plugins, "entry_points", lambda **_: [EntryPoint()])
    known_models.cache_clear()
    try:
        with pytest.raises(UnsupportedModelError, match="an embedder, and a reranker is needed"):
            resolve("third/one", kind="reranker")
        for kind in KINDS:
            with pytest.raises(pytest.fail.Exception, match="the hub was asked"):
                resolve("third/both", kind=kind)
    finally:
        monkeypatch.undo()
        known_models.cache_clear()


def test_a_folder_of_that_name_is_a_folder(monkeypatch: pytest.MonkeyPatch, checkpoints: Path, tmp_path: Path) -> None:
    shutil.copytree(checkpoints / "bert-reranker", tmp_path / "BAAI" / "bge-m3")
    monkeypatch.chdir(tmp_path)
    assert resolve("BAAI/bge-m3", kind="reranker").files.folder == tmp_path / "BAAI" / "bge-m3"


@pytest.mark.parametrize(
    ("typed", "kind", "meant"),
    [
        ("miny", "reranker", "mini"),
        ("MINI", "reranker", "mini"),
        ("mimi", "embedder", "mini"),
        ("bge-reranker-v2-m3", "reranker", "BAAI/bge-reranker-v2-m3"),
        ("BGE-Reranker-V2-M3", "reranker", "BAAI/bge-reranker-v2-m3"),
        ("bge-reranker", "reranker", "BAAI/bge-reranker-base"),
        ("bge-rerankr-large", "reranker", "BAAI/bge-reranker-large"),
        ("bge-m-3", "embedder", "BAAI/bge-m3"),
        ("multilingual-e5-larg", "embedder", "intfloat/multilingual-e5-large"),
        ("ms-marco-MiniLM-L-6-v2", "reranker", "cross-encoder/ms-marco-MiniLM-L6-v2"),
    ],
)
def test_the_nearest_names_come_first_and_the_list_by_command(typed: str, kind: ModelKind, meant: str) -> None:
    with pytest.raises(ModelUnavailableError, match=r"Did you mean '") as caught:
        resolve(typed, kind=kind)
    message = str(caught.value)
    assert meant in nearest_names(typed, kind=kind)
    assert repr(meant) in message
    assert f"rerank-plugins models --kind {kind}" in message
    assert sum(repr(spec.id) in message for spec in specs_of_kind(kind)) <= 4


@pytest.mark.parametrize("kind", KINDS)
def test_every_known_name_is_found_again_after_a_slip(kind: ModelKind) -> None:
    for spec in specs_of_kind(kind):
        short = spec.id.rsplit("/", 1)[-1]
        slips = [short.swapcase(), short[:-1], f"{short}x", short[0] + short[2:], short.replace("-", "_")]
        for slip in slips:
            assert spec.id in nearest_names(slip, kind=kind), slip


def test_what_is_like_nothing_gets_no_question() -> None:
    with pytest.raises(ModelUnavailableError, match=r"neither a folder") as caught:
        resolve("quetzalcoatl", kind="reranker")
    assert "Did you mean" not in str(caught.value)


def test_a_misspelt_hub_id_is_asked_about_once_the_hub_does_not_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with pytest.raises(ModelUnavailableError, match=r"Did you mean 'BAAI/bge-reranker-v2-m3'"):
        resolve("BAAI/bge-reranker-v2-m4", kind="reranker")
    with pytest.raises(ModelUnavailableError) as caught:
        resolve("someone/their-own-model", kind="reranker")
    assert "Did you mean" not in str(caught.value)


@pytest.mark.parametrize(
    "path",
    [
        "/no/such/folder",
        "./missing",
        "../missing",
        ".",
        "~/no-such-folder-here",
        "~no-such-user/model",
        "a/b/c",
        "models/",
        "C:\\models\\bge",
        "C:/models/bge",
        "models\\bge",
        "./" + "x" * 5000,
        "/nul\0l",
        Path("missing"),
        Path("BAAI/bge-m3"),
        Path("someone/model"),
        Path("mini"),
    ],
    ids=lambda path: repr(path)[:30],
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_path_that_does_not_exist_is_called_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, path: str | Path, kind: ModelKind
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    if path == ".":
        with pytest.raises(UnsupportedModelError, match=r"no config\.json.*holds nothing"):
            resolve(path, kind=kind)
        return
    with pytest.raises(ModelUnavailableError, match="is a path that does not exist") as caught:
        resolve(path, kind=kind)
    assert len(str(caught.value)) < 600
    if path in (Path("BAAI/bge-m3"), Path("mini")):
        assert f"pass a str: '{path}'" in str(caught.value)


def test_a_file_is_called_a_file(checkpoints: Path) -> None:
    weights = checkpoints / "bert-reranker" / "model.safetensors"
    for name, kind in itertools.product((weights, str(weights)), KINDS):
        with pytest.raises(ModelUnavailableError, match="is a file; give the folder"):
            resolve(name, kind=kind)


def test_an_empty_folder_and_no_name(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match=r"no config\.json.*holds nothing"):
        resolve(tmp_path, kind="embedder")
    for nothing in ("", " "):
        with pytest.raises(InvalidInputError, match="hub id, a local folder or 'mini'"):
            resolve(nothing, kind="embedder")


@pytest.mark.parametrize("name", ["x" * 100_000, "~no-such-user", "\0", "\ud800", "a\nb"])
def test_names_that_the_system_cannot_look_at(name: str) -> None:
    assert existing_folder(name) is None
    with pytest.raises(ModelUnavailableError) as caught:
        resolve(name, kind="reranker")
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize("rest", ["large", "acme/large", ""])
def test_a_backend_that_is_not_registered_is_called_one(rest: str) -> None:
    for open_it, kind, option in ((Reranker, "reranker", ""), (Embedder, "embedder", r", kind='embedder'")):
        with pytest.raises(ModelUnavailableError) as caught:
            open_it(f"acme-cloud:{rest}")
        message = str(caught.value)
        assert f"no {kind} backend 'acme-cloud' is registered" in message
        assert f"entry point group rerank_plugins.{kind}s" in message
        assert f"register_backend('acme-cloud', opener{option})" in message
        assert f"rerank-plugins models --kind {kind}" in message


@pytest.mark.parametrize("name", ["C:models", "acme", "Acme:large"])
def test_what_is_no_backends_name_is_not_called_one(name: str) -> None:
    with pytest.raises(ModelUnavailableError) as caught:
        resolve(name, kind="reranker", options=SourceOptions(local_files_only=True))
    assert "is registered" not in str(caught.value)


def test_the_facades_and_the_command_line_say_it_too(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match=r"Embedder\('BAAI/bge-m3'\)"):
        Reranker("BAAI/bge-m3")
    with pytest.raises(UnsupportedModelError, match=r"Reranker\('BAAI/bge-reranker-v2-m3'\)"):
        Embedder("BAAI/bge-reranker-v2-m3")
    (tmp_path / "documents.txt").write_text("one\ntwo\n")
    result = CliRunner().invoke(
        app, ["rank", str(tmp_path / "documents.txt"), "--query", "which", "--model", "BAAI/bge-m3"]
    )
    assert isinstance(result.exception, UnsupportedModelError)


def test_both_adapters_say_it_too() -> None:
    langchain = pytest.importorskip("langchain_rerank_plugins")
    postprocessors = pytest.importorskip("llama_index.postprocessor.rerank_plugins")
    embeddings = pytest.importorskip("llama_index.embeddings.rerank_plugins")
    rerankers = [getattr(module, name) for module in (langchain, postprocessors) for name in module.__all__]
    n_seen = 0
    for cls in rerankers:
        if "Base" in cls.__name__ or not cls.__name__.endswith(("Postprocessor", "Compressor", "CrossEncoder")):
            continue
        if "llm" in getattr(cls, "model_fields", {}):  # a chat model, given as an object
            continue
        n_seen += 1
        with pytest.raises(UnsupportedModelError, match=r"Embedder\('BAAI/bge-m3'\)"):
            cls(model="BAAI/bge-m3")
    assert n_seen == 15
    embedders = [(langchain, "BgeEmbeddings", "model"), (langchain, "InstructionEmbeddings", "model")]
    embedders += [(embeddings, name, "model_name") for name in embeddings.__all__]
    for module, name, option in embedders:
        with pytest.raises(UnsupportedModelError, match=r"Reranker\('BAAI/bge-reranker-v2-m3'\)"):
            getattr(module, name)(**{option: "BAAI/bge-reranker-v2-m3"})
