"""From a name to a model: who is believed, and what is said when nothing can be found."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
import tiny_checkpoints

from rerank_plugins import Embedder, Reranker, SourceOptions
from rerank_plugins.catalog import known_models, plugins
from rerank_plugins.catalog.resolve import resolve
from rerank_plugins.catalog.spec import ModelSpec
from rerank_plugins.errors import (
    InvalidInputError,
    MissingExtraError,
    ModelUnavailableError,
    UnsupportedModelError,
)

BGE = "BAAI/bge-reranker-v2-m3"


def with_config(source: Path, target: Path, **changes: object) -> Path:
    shutil.copytree(source, target)
    config = {**json.loads((source / "config.json").read_text()), **changes}
    (target / "config.json").write_text(json.dumps(config))
    return target


BGE_BASE_FACTS = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "vocab_size": 250_002,
    "max_position_embeddings": 514,
}
V2_M3_FACTS = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "vocab_size": 250_002,
    "max_position_embeddings": 8194,
}


@pytest.mark.parametrize(("facts", "expected"), [(BGE_BASE_FACTS, "BAAI/bge-reranker-base"), (V2_M3_FACTS, BGE)])
def test_a_renamed_folder_is_recognised_within_its_family(
    xlmr_reranker_folder: Path, tmp_path: Path, facts: dict[str, int], expected: str
) -> None:
    folder = with_config(xlmr_reranker_folder, tmp_path / "whatever", **facts)
    assert resolve(folder, kind="reranker", options=SourceOptions(family="bge")).spec.id == expected
    assert resolve(folder, kind="reranker").spec.family == "inferred"


def test_a_folder_named_like_a_known_model_is_that_model(xlmr_reranker_folder: Path, tmp_path: Path) -> None:
    folder = with_config(xlmr_reranker_folder, tmp_path / "bge-reranker-base", **BGE_BASE_FACTS)
    assert resolve(folder, kind="reranker").spec.truncation == "only_second"


@pytest.mark.parametrize(
    ("family", "rule"),
    [("bge", "only_second"), ("luyu", "only_second"), ("ms-marco", "longest_first"), (None, "longest_first")],
)
def test_a_family_gives_a_renamed_cross_encoder_its_rule(
    bert_reranker_folder: Path, family: str | None, rule: str
) -> None:
    assert resolve(bert_reranker_folder, kind="reranker", options=SourceOptions(family=family)).spec.truncation == rule


def test_part_of_a_name_never_decides(xlmr_reranker_folder: Path, tmp_path: Path) -> None:
    folder = with_config(xlmr_reranker_folder, tmp_path / "my-bge-reranker-base-tuned", **BGE_BASE_FACTS)
    assert resolve(folder, kind="reranker").spec.family == "inferred"


def test_a_name_does_not_win_over_the_configs_facts(xlmr_reranker_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(xlmr_reranker_folder, tmp_path / "bge-reranker-base")
    assert resolve(folder, kind="reranker").spec.family == "inferred"


def test_the_hub_caches_own_folder_is_recognised(xlmr_reranker_folder: Path, tmp_path: Path) -> None:
    cached = tmp_path / "models--BAAI--bge-reranker-base" / "snapshots" / "0123abcd"
    cached.parent.mkdir(parents=True)
    with_config(xlmr_reranker_folder, cached, **BGE_BASE_FACTS)
    assert resolve(cached, kind="reranker").spec.id == "BAAI/bge-reranker-base"


def test_a_renamed_bge_embedder_gets_its_instruction(checkpoints: Path, tmp_path: Path) -> None:
    facts = {"hidden_size": 1024, "num_hidden_layers": 24, "vocab_size": 21128, "max_position_embeddings": 512}
    folder = with_config(checkpoints / "bert-embedder", tmp_path / "renamed", **facts)
    spec = resolve(folder, kind="embedder", options=SourceOptions(family="bge")).spec
    assert spec.instructions["retrieval"].query == "为这个句子生成表示以用于检索相关文章："
    english = with_config(checkpoints / "bert-embedder", tmp_path / "renamed-en", **{**facts, "vocab_size": 30522})
    spec = resolve(english, kind="embedder", options=SourceOptions(family="bge")).spec
    assert spec.instructions["retrieval"].query.startswith("Represent this sentence for searching")


def test_the_checkpoints_own_pooling_wins_over_the_table(checkpoints: Path, tmp_path: Path) -> None:
    facts = {"hidden_size": 1024, "num_hidden_layers": 24, "vocab_size": 21128, "max_position_embeddings": 512}
    tiny_checkpoints.bert_embedder(tmp_path / "source", pooling="mean", normalize=False)
    folder = with_config(tmp_path / "source", tmp_path / "renamed", **facts)
    spec = resolve(folder, kind="embedder", options=SourceOptions(family="bge")).spec
    assert (spec.pooling, spec.normalize) == ("mean", False)


def test_what_the_checkpoint_can_read_wins_over_the_table(xlmr_reranker_folder: Path, tmp_path: Path) -> None:
    # A config that does not tell its positions has transformers' 512 of them, two of which XLM-R loses.
    facts = {**V2_M3_FACTS, "max_position_embeddings": None}
    spec = resolve(with_config(xlmr_reranker_folder, tmp_path / "bge-reranker-v2-m3", **facts), kind="reranker").spec
    assert (spec.id, spec.max_length_tokens) == (BGE, 510)


def test_offline_the_error_names_every_way_out() -> None:
    with pytest.raises(ModelUnavailableError, match="switched off") as caught:
        Reranker(BGE)
    for way_out in ("local folder", "HF_ENDPOINT", "HF_HOME", "'mini'", BGE):
        assert way_out in str(caught.value)
    with pytest.raises(ModelUnavailableError, match="not in the local cache"):
        Embedder("someone/unknown-model", source=SourceOptions(local_files_only=True))


@pytest.mark.parametrize("name", ["", "  ", None, 5])
def test_names_that_are_no_names(name: object) -> None:
    with pytest.raises(InvalidInputError, match="model must be a hub id"):
        Reranker(name)  # type: ignore[arg-type]


def test_a_folder_that_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UnsupportedModelError, match=r"no config.json.*notes.txt"):
        Reranker(tmp_path)


def test_broken_json_is_named(bert_reranker_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(bert_reranker_folder, tmp_path / "broken")
    (folder / "config.json").write_text("{")
    with pytest.raises(UnsupportedModelError, match=r"config.json' is not valid JSON"):
        Reranker(folder)


def test_unknown_modules_and_poolings_are_refused(checkpoints: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(checkpoints / "bert-embedder", tmp_path / "odd")
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode": "attention"}))
    with pytest.raises(UnsupportedModelError, match="expected one or more of cls, max, mean"):
        Embedder(folder)
    (folder / "modules.json").write_text(json.dumps([{"type": "sentence_transformers.models.CNN", "path": ""}]))
    with pytest.raises(UnsupportedModelError, match=r"sentence_transformers\.models\.CNN"):
        Embedder(folder)


def test_a_bundled_reranker_has_the_version_of_its_package_as_its_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    package = pytest.importorskip("rerank_plugins_mini")
    before = resolve("mini", kind="reranker").spec.revision
    assert before == package.__version__
    monkeypatch.setattr(package, "__version__", "9.9")
    assert resolve("mini", kind="reranker").spec.revision == "9.9"
    monkeypatch.delattr(package, "__version__")
    assert resolve("mini", kind="reranker").spec.revision is None


def test_mini_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rerank_plugins_mini", None)
    with pytest.raises(MissingExtraError, match=r'pip install "rerank-plugins\[mini\]"'):
        Reranker("mini")


class FakeEntryPoint:
    group, name, value, dist = "rerank_plugins.models", "third", "third_party:MODELS", None

    def __init__(self, loaded: object) -> None:
        self._loaded = loaded

    def load(self) -> object:
        return self._loaded


def register(monkeypatch: pytest.MonkeyPatch, loaded: object) -> None:
    monkeypatch.setattr(plugins, "entry_points", lambda **_: [FakeEntryPoint(loaded)])
    known_models.cache_clear()


@pytest.fixture
def _forget_registrations() -> object:
    yield
    known_models.cache_clear()


OWN = ModelSpec(
    id="third/party",
    kind="reranker",
    family="third",
    scorer="cross-encoder",
    default_max_length_tokens=64,
    max_length_tokens=64,
    license="MIT",
)


@pytest.mark.usefixtures("_forget_registrations")
def test_another_package_registers_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, [OWN])
    assert known_models()["reranker", "third/party"] is OWN
    register(monkeypatch, lambda: [OWN])
    assert known_models()["reranker", "third/party"] is OWN


@pytest.mark.usefixtures("_forget_registrations")
@pytest.mark.parametrize("loaded", [["not a spec"], 5, [OWN, OWN]])
def test_a_bad_registration_names_its_package(monkeypatch: pytest.MonkeyPatch, loaded: object) -> None:
    monkeypatch.setattr(plugins, "_BROKEN", {})
    register(monkeypatch, loaded)
    with pytest.warns(RuntimeWarning, match="third_party:MODELS"):
        known_models()
